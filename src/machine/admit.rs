//! Whether there is room for one more pod (spec 96): what it asks for, against what the node has and the pods on it have been promised.
//!
//! As with kube-scheduler, what counts is what pods request, not what they use; one that requests nothing of a kind always has room
//! for it. What a node has for pods is its processors, [`limits::PODS`] places, and of its memory and disk what is neither reserved nor
//! below the border of eviction.

use super::effect::{self, Effects};
use super::evict::{Evict, Pressure};
use super::storage;
use crate::manifest::eviction::Signal;
use crate::manifest::huge::{HugePages, PageSize};
use crate::manifest::limits;
use crate::manifest::pod::{ContainerKind, Node, Pod};
use crate::manifest::status::Message;
use core::fmt::{self, Write};

/// What a node has for pods, or what pods request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Bytes.
    pub memory: u64,
    /// Thousandths of a processor.
    pub cpu_milli: u64,
    /// Pods.
    pub pods: u64,
    /// Bytes of ephemeral storage.
    pub storage: u64,
    /// Huge pages. They are no part of the memory.
    pub huge_pages: HugePages,
}

impl Amount {
    /// What a node with that much memory, so many processors and so many bytes of disk has for pods: kubelet's "Allocatable". Of its
    /// memory these are huge pages.
    pub fn of_node(settings: &Node, memory: u64, cpus: u32, disk: u64, huge_pages: HugePages) -> Amount {
        let evict = Evict::new(settings.eviction);
        let above = |signal, all: u64, capacity| all.saturating_sub(evict.threshold(signal, capacity));
        Amount {
            memory: above(Signal::MemoryAvailable, bound(settings, memory, huge_pages), memory),
            cpu_milli: u64::from(cpus) * 1000,
            pods: limits::PODS as u64,
            storage: above(Signal::NodefsAvailable, disk, disk),
            huge_pages,
        }
    }

    /// What a pod requests at its highest: that of its init containers one by one, or of all others together, and its overhead.
    pub fn of(pod: &Pod<'_>) -> Amount {
        let with = |asked: u64, overhead: u64| asked.saturating_add(overhead);
        Amount {
            memory: with(pod.resources.memory_request, pod.overhead.memory_request),
            cpu_milli: with(pod.resources.cpu_request_milli.into(), pod.overhead.cpu_request_milli.into()),
            pods: 1,
            storage: storage::request(pod),
            huge_pages: pod.resources.huge_pages.join(pod.overhead.huge_pages, u32::saturating_add),
        }
    }

    /// Both together.
    pub fn and(self, other: Amount) -> Amount {
        Amount {
            memory: self.memory.saturating_add(other.memory),
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            pods: self.pods.saturating_add(other.pods),
            storage: self.storage.saturating_add(other.storage),
            huge_pages: self.huge_pages.join(other.huge_pages, u32::saturating_add),
        }
    }

    /// What stands in the way of `asked` on a node that has this, of which `promised` is promised; `None` where it fits.
    pub fn lacks(self, promised: Amount, asked: Amount) -> Option<Lacks> {
        let with = promised.and(asked);
        let lacks = Lacks {
            cpu: asked.cpu_milli > 0 && with.cpu_milli > self.cpu_milli,
            memory: asked.memory > 0 && with.memory > self.memory,
            pods: with.pods > self.pods,
            storage: asked.storage > 0 && with.storage > self.storage,
            huge_pages: self
                .huge_pages
                .short_of(with.huge_pages.join(asked.huge_pages, |with, asked| if asked > 0 { with } else { 0 })),
            pressure: None,
        };
        (lacks != Lacks::default()).then_some(lacks)
    }
}

/// Bytes that all pods together can have at most of a node's memory: what is neither reserved (kubelet's `systemReserved`) nor huge
/// pages. They are under pressure as soon as they have more than [`Amount::of_node`] says, and the kernel ends who wants more than this.
pub fn bound(settings: &Node, memory: u64, huge_pages: HugePages) -> u64 {
    let own = limits::MEMORY_RESERVE + memory / limits::MEMORY_RESERVE_PART;
    let own = own.min(memory / limits::MEMORY_RESERVE_MOST_PART);
    memory.saturating_sub(settings.memory_reserve.unwrap_or(own)).saturating_sub(huge_pages.all_bytes())
}

/// What containers, in start order, need together at their highest: init containers run one after another, each beside the sidecars
/// before it; then all sidecars and app containers run together.
pub fn highest(containers: impl Iterator<Item = (ContainerKind, u64)>) -> u64 {
    let (mut highest, mut together) = (0u64, 0u64);
    for (kind, part) in containers {
        let with = together.saturating_add(part);
        highest = highest.max(with);
        if kind != ContainerKind::Init {
            together = with;
        }
    }
    highest
}

/// What there is not enough of. Shown as kube-scheduler shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    /// Processors.
    pub cpu: bool,
    /// Memory.
    pub memory: bool,
    /// Places for pods.
    pub pods: bool,
    /// Ephemeral storage.
    pub storage: bool,
    /// Huge pages of this size.
    pub huge_pages: Option<PageSize>,
    /// It has enough, and is under a pressure that keeps the pod out ([`Pressure::keeps_out`]).
    pub pressure: Option<Pressure>,
}

impl fmt::Display for Lacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0/1 nodes are available: ")?;
        if let Some(pressure) = self.pressure {
            return write!(f, "1 node(s) had untolerated taint {{{}: }}.", pressure.taint());
        }
        let huge_pages = self.huge_pages.map_or("", PageSize::resource);
        let all = [
            (self.cpu, "Insufficient ", "cpu"),
            (self.storage, "Insufficient ", "ephemeral-storage"),
            (self.huge_pages.is_some(), "Insufficient ", huge_pages),
            (self.memory, "Insufficient ", "memory"),
            (self.pods, "Too many ", "pods"),
        ];
        for (n, (_, words, what)) in all.iter().filter(|(lacking, ..)| *lacking).enumerate() {
            f.write_str(if n > 0 { ", 1 " } else { "1 " })?;
            f.write_str(words)?;
            f.write_str(what)?;
        }
        f.write_str(".")
    }
}

/// Tells people that there is no room.
pub(super) fn tell(lacks: Lacks, effects: &mut Effects) {
    let mut text = Message::new();
    let fits = write!(text, "{lacks}");
    debug_assert!(fits.is_ok());
    effect::warn(effects, "FailedScheduling", None, &text);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    const NODE: Amount = Amount {
        memory: 1000,
        cpu_milli: 2000,
        pods: 3,
        storage: 100,
        huge_pages: HugePages::NONE.with(PageSize::Mi2, 4),
    };

    fn asks(memory: u64, cpu_milli: u64) -> Amount {
        Amount { memory, cpu_milli, pods: 1, ..Amount::default() }
    }

    #[test]
    fn spec_96_requests_fit_to_the_last_byte_and_no_further() {
        let promised = asks(600, 500).and(asks(100, 0));
        assert_eq!(NODE.lacks(promised, asks(300, 1500)), None);
        let said = |memory, cpu| NODE.lacks(promised, asks(memory, cpu)).unwrap().to_string();
        assert_eq!(said(301, 0), "0/1 nodes are available: 1 Insufficient memory.");
        assert_eq!(said(0, 1501), "0/1 nodes are available: 1 Insufficient cpu.");
        assert_eq!(said(u64::MAX, u64::MAX), "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.");
        let full = promised.and(asks(0, 0));
        assert_eq!(NODE.lacks(full, asks(0, 0)).unwrap().to_string(), "0/1 nodes are available: 1 Too many pods.");
    }

    #[test]
    fn spec_96_whoever_requests_nothing_has_room_even_where_too_much_is_promised() {
        assert_eq!(NODE.lacks(asks(5000, 5000), asks(0, 0)), None);
        assert_eq!(NODE.lacks(asks(5000, 5000), asks(1, 0)), Some(Lacks { memory: true, ..Lacks::default() }));
    }

    #[test]
    fn spec_96_a_part_of_the_memory_is_not_for_pods() {
        let mib = |memory: u64, settings: &Node| {
            let (memory, huge_pages) = (memory << 20, HugePages::NONE);
            let room = Amount::of_node(settings, memory, 4, 0, huge_pages);
            [bound(settings, memory, huge_pages), room.memory].map(|it| it >> 20)
        };
        let own = Node::default();
        assert_eq!((mib(8192, &own), mib(256, &own)), ([7904, 7804], [216, 208]));
        assert_eq!(mib(64, &own), [32, 30], "of a small board not more than a half");
        let told = |reserve: u64| Node { memory_reserve: Some(reserve << 20), ..own };
        assert_eq!((mib(256, &told(0)), mib(256, &told(255))), ([256, 248], [1, 0]));
        assert_eq!(mib(256, &told(257)), [0, 0]);
        let huge_pages = HugePages::NONE;
        let node = Amount { memory: 0, cpu_milli: 4000, pods: limits::PODS as u64, storage: 900, huge_pages };
        assert_eq!(Amount::of_node(&own, 0, 4, 1000, huge_pages), node);
        let asks = Amount { storage: 901, memory: 1, cpu_milli: 4001, pods: 1, huge_pages };
        let all = node.lacks(Amount::default(), asks).unwrap();
        let said = "1 Insufficient cpu, 1 Insufficient ephemeral-storage, 1 Insufficient memory.";
        assert_eq!(all.to_string(), ["0/1 nodes are available: ", said].concat());
    }

    #[test]
    fn spec_96_huge_pages_are_counted_by_size_and_are_no_memory() {
        let asks = |size, pages| Amount { huge_pages: HugePages::NONE.with(size, pages), ..Amount::default() };
        let (two, one) = (PageSize::Mi2, PageSize::Gi1);
        assert_eq!(NODE.lacks(asks(two, 3), asks(two, 1)), None);
        let said = |size, pages| NODE.lacks(asks(two, 3), asks(size, pages)).unwrap().to_string();
        assert_eq!(said(two, 2), "0/1 nodes are available: 1 Insufficient hugepages-2Mi.");
        assert_eq!(said(one, 1), "0/1 nodes are available: 1 Insufficient hugepages-1Gi.");
        assert_eq!(NODE.lacks(asks(two, 9), asks(two, 0)), None, "who asks for none has room");
        let node = Amount::of_node(&Node::default(), 64 << 20, 1, 0, HugePages::NONE.with(two, 8));
        assert_eq!(node.memory, (64 << 20) - (34 << 20) - (16 << 20));
    }
}
