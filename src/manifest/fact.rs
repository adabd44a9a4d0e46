//! What a pod may be told of itself that only the board knows (`fieldRef`, `resourceFieldRef`), and texts with such facts in them.
//!
//! In a text of a container a NUL and a character stand for a fact: `\0@` for the first of [`super::pod::Container::facts`], `\0A` for
//! the second. No other text of a manifest holds a NUL, so that nothing need be escaped.

use super::huge::PageSize;
use serde::{Deserialize, Serialize};

/// One fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact<'a> {
    /// `metadata.uid`.
    Uid,
    /// `metadata.labels`, one line each.
    Labels,
    /// `metadata.annotations`, one line each.
    Annotations,
    /// `metadata.name`.
    Name,
    /// `metadata.namespace`.
    Namespace,
    /// `metadata.labels['KEY']`.
    Label(&'a str),
    /// `metadata.annotations['KEY']`.
    Annotation(&'a str),
    /// `spec.nodeName`.
    NodeName,
    /// `status.podIP`.
    PodIp,
    /// `status.podIPs`, with a comma between two.
    PodIps,
    /// `status.hostIP`.
    HostIp,
    /// `status.hostIPs`, with a comma between two.
    HostIps,
    /// A `resourceFieldRef`.
    Resource(ResourceFact),
    /// A `fileKeyRef`; of variables only.
    File(FileKey<'a>),
}

impl<'a> Fact<'a> {
    /// The `fieldPath`, and the key in it where there is one; `None` for a resource or a file.
    pub const fn field(self) -> Option<(&'static str, Option<&'a str>)> {
        Some(match self {
            Fact::Uid => ("metadata.uid", None),
            Fact::Labels => ("metadata.labels", None),
            Fact::Annotations => ("metadata.annotations", None),
            Fact::Name => ("metadata.name", None),
            Fact::Namespace => ("metadata.namespace", None),
            Fact::Label(key) => ("metadata.labels", Some(key)),
            Fact::Annotation(key) => ("metadata.annotations", Some(key)),
            Fact::NodeName => ("spec.nodeName", None),
            Fact::PodIp => ("status.podIP", None),
            Fact::PodIps => ("status.podIPs", None),
            Fact::HostIp => ("status.hostIP", None),
            Fact::HostIps => ("status.hostIPs", None),
            Fact::Resource(_) | Fact::File(_) => return None,
        })
    }

    /// Whether it can change while the pod runs.
    pub const fn changes(self) -> bool {
        matches!(self, Fact::PodIp | Fact::PodIps | Fact::HostIp | Fact::HostIps)
    }
}

/// A variable in a file that a container has written before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileKey<'a> {
    /// The index of the emptyDir in [`super::pod::Pod::volumes`].
    pub volume: u8,
    /// `path`: relative, without `..`.
    pub path: &'a str,
    /// `key`.
    pub key: &'a str,
    /// `optional`: without the file or the key the variable is not set.
    pub optional: bool,
}

/// A request or limit of a container, in units of its divisor, rounded up. A limit that is not set is what the node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceFact {
    /// The index of the container in [`super::pod::Pod::containers`].
    pub container: u8,
    /// `resource`.
    pub of: Quantity,
    /// `divisor`: in thousandths of a processor, or in bytes; not zero.
    pub divisor: u64,
}

/// What a [`ResourceFact`] is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quantity {
    /// `limits.cpu`.
    CpuLimit,
    /// `requests.cpu`.
    CpuRequest,
    /// `limits.memory`.
    MemoryLimit,
    /// `requests.memory`.
    MemoryRequest,
    /// `limits.ephemeral-storage`.
    StorageLimit,
    /// `requests.ephemeral-storage`.
    StorageRequest,
    /// `limits.hugepages-SIZE`.
    HugePagesLimit(PageSize),
    /// `requests.hugepages-SIZE`.
    HugePagesRequest(PageSize),
}

impl Quantity {
    /// All of them but huge pages.
    pub const PLAIN: [Quantity; 6] = [
        Quantity::CpuLimit,
        Quantity::CpuRequest,
        Quantity::MemoryLimit,
        Quantity::MemoryRequest,
        Quantity::StorageLimit,
        Quantity::StorageRequest,
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Quantity> {
        let huge = PageSize::ALL.map(|size| [Quantity::HugePagesLimit(size), Quantity::HugePagesRequest(size)]);
        Quantity::PLAIN.into_iter().chain(huge.into_iter().flatten())
    }

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Quantity::CpuLimit => "limits.cpu",
            Quantity::CpuRequest => "requests.cpu",
            Quantity::MemoryLimit => "limits.memory",
            Quantity::MemoryRequest => "requests.memory",
            Quantity::StorageLimit => "limits.ephemeral-storage",
            Quantity::StorageRequest => "requests.ephemeral-storage",
            Quantity::HugePagesLimit(size) => size.limit(),
            Quantity::HugePagesRequest(size) => size.request(),
        }
    }

    /// Whether it counts processors, and its divisor thousandths of one.
    pub const fn is_cpu(self) -> bool {
        matches!(self, Quantity::CpuLimit | Quantity::CpuRequest)
    }
}

/// What begins a reference to a fact in a text.
pub const MARK: char = '\0';

/// The character that stands for the first fact.
const FIRST: u32 = '@' as u32;

/// What refers to the fact at `index` of the container's, to be put into a text.
pub fn reference(index: u8) -> [char; 2] {
    [MARK, char::from_u32(FIRST + u32::from(index)).unwrap_or(MARK)]
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Plain text.
    Text(&'a str),
    /// The fact at this index; `u8::MAX` where the reference is broken.
    Fact(u8),
}

/// The pieces of a text, in order. Empty plain ones may be among them.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    text.split(MARK).enumerate().flat_map(|(n, part)| {
        let mut rest = part.chars();
        let fact = (n > 0).then(|| {
            let index = rest.next().and_then(|c| u32::from(c).checked_sub(FIRST));
            Piece::Fact(index.and_then(|index| index.try_into().ok()).unwrap_or(u8::MAX))
        });
        fact.into_iter().chain([Piece::Text(rest.as_str())])
    })
}

/// The one fact that a text is, if it is nothing else.
pub fn alone(text: &str) -> Option<u8> {
    let mut facts = None;
    for piece in pieces(text) {
        match (piece, facts) {
            (Piece::Text(""), _) => {}
            (Piece::Fact(index), None) => facts = Some(index),
            _ => return None,
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn a_text_is_taken_apart_at_its_facts() {
        let refer = |index| String::from_iter(reference(index));
        let text = std::format!("a{}b{}{}", refer(0), refer(31), refer(1));
        let found: Vec<Piece<'_>> = pieces(&text).filter(|piece| *piece != Piece::Text("")).collect();
        assert_eq!(found, [Piece::Text("a"), Piece::Fact(0), Piece::Text("b"), Piece::Fact(31), Piece::Fact(1)]);
        assert_eq!(pieces("plain").collect::<Vec<_>>(), [Piece::Text("plain")]);
        for broken in ["\0", "\0\0", "\0!", "a\0ä"] {
            assert!(pieces(broken).any(|piece| matches!(piece, Piece::Fact(32..))), "{broken:?}");
        }
        assert_eq!((alone(&refer(3)), alone(&text), alone("x"), alone("")), (Some(3), None, None, None));
    }
}
