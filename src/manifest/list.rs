//! A list that stays in the bytes it came in: length-prefixed, walked by an iterator, never copied.

use core::fmt;
use core::marker::PhantomData;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// Elements of type `T`, as the postcard bytes of one after the other.
///
/// On the wire it is one byte string, so that a reader can step over a list without knowing its elements. Every element
/// must take at least one byte; [`crate::manifest::check`] proves that of each list once, with its bound on the count, before
/// anything else walks it.
pub struct List<'a, T> {
    bytes: &'a [u8],
    element: PhantomData<fn() -> T>,
}

impl<'a, T> List<'a, T> {
    /// The list with no elements.
    pub const EMPTY: Self = List { bytes: &[], element: PhantomData };

    /// A list over the postcard bytes of its elements. Nothing is checked here.
    pub const fn from_bytes(bytes: &'a [u8]) -> Self {
        List { bytes, element: PhantomData }
    }

    /// A list of these, for tests.
    #[cfg(test)]
    pub(crate) fn leaked(elements: &[T]) -> Self
    where
        T: serde::Serialize,
    {
        extern crate std;
        let bytes: std::vec::Vec<u8> = elements.iter().flat_map(|one| postcard::to_stdvec(one).unwrap()).collect();
        List::from_bytes(bytes.leak())
    }

    /// The bytes of all elements.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there is no element.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<'a, T: Deserialize<'a>> List<'a, T> {
    /// The elements. The walk ends at the first one that does not decode; in a checked manifest there is none.
    pub fn iter(&self) -> Iter<'a, T> {
        Iter { rest: self.bytes, element: PhantomData }
    }

    /// The number of elements, counted by walking them.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<T> {
        self.iter().nth(index)
    }
}

/// The walk over a [`List`].
pub struct Iter<'a, T> {
    rest: &'a [u8],
    element: PhantomData<fn() -> T>,
}

impl<'a, T: Deserialize<'a>> Iterator for Iter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.rest.is_empty() {
            return None;
        }
        match postcard::take_from_bytes(self.rest) {
            Ok((element, rest)) if rest.len() < self.rest.len() => {
                self.rest = rest;
                Some(element)
            }
            _ => {
                self.rest = &[];
                None
            }
        }
    }
}

impl<'a, T: Deserialize<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for List<'_, T> {}

impl<'a, T: Deserialize<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T> Serialize for List<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.bytes)
    }
}

impl<'de: 'a, 'a, T> Deserialize<'de> for List<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a [u8]>::deserialize(deserializer).map(List::from_bytes)
    }
}
