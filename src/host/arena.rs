//! Where the compiler keeps the strings and lists of a manifest until it is encoded.

use crate::manifest::List;
use bumpalo::Bump;
use serde::Serialize;

/// Owns everything that a manifest under construction borrows.
#[derive(Default)]
pub struct Arena(Bump);

impl Arena {
    /// A copy of `text`.
    pub fn str(&self, text: &str) -> &str {
        self.0.alloc_str(text)
    }

    /// A copy of `bytes`.
    pub fn bytes(&self, bytes: &[u8]) -> &[u8] {
        self.0.alloc_slice_copy(bytes)
    }

    /// A copy of `items`.
    pub fn slice<T: Copy>(&self, items: &[T]) -> &[T] {
        self.0.alloc_slice_copy(items)
    }

    /// The list of `elements`.
    pub fn list<'a, T: Serialize>(&'a self, elements: impl IntoIterator<Item = T>) -> List<'a, T> {
        let mut bytes = std::vec::Vec::new();
        for element in elements {
            bytes = postcard::to_extend(&element, bytes).expect("a manifest type serializes into memory");
        }
        List::from_bytes(self.bytes(&bytes))
    }
}
