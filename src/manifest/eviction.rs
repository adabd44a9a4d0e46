//! Eviction (spec 97): what tells that the node is under pressure, and what is said of a pod that had to go.

use super::pod::{Pod, Source};
use super::status::Message;
use super::units::Bytes;
use core::fmt::Write;
use serde::{Deserialize, Serialize};

/// What is watched, as kubelet names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// Memory that can be had without swapping.
    MemoryAvailable,
    /// Bytes of the file system of volumes.
    NodefsAvailable,
    /// Its files.
    NodefsInodesFree,
    /// Processes.
    PidAvailable,
}

impl Signal {
    /// All of them, in the order in which they are heeded.
    pub const ALL: [Signal; 4] =
        [Signal::MemoryAvailable, Signal::NodefsAvailable, Signal::NodefsInodesFree, Signal::PidAvailable];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Signal::MemoryAvailable => "memory.available",
            Signal::NodefsAvailable => "nodefs.available",
            Signal::NodefsInodesFree => "nodefs.inodesFree",
            Signal::PidAvailable => "pid.available",
        }
    }

    /// What there is too little of then.
    pub const fn resource(self) -> &'static str {
        match self {
            Signal::MemoryAvailable => "memory",
            Signal::NodefsAvailable => "ephemeral-storage",
            Signal::NodefsInodesFree => "inodes",
            Signal::PidAvailable => "pids",
        }
    }
}

/// The border below which a signal means pressure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Threshold {
    /// Bytes, files or processes. The border 0 is never crossed.
    Amount(u64),
    /// Ten-thousandths of what the node has.
    Share(u16),
}

impl Threshold {
    /// The whole, in parts of a share.
    pub const WHOLE: u16 = 10_000;

    /// The border on a node that has `capacity`.
    pub const fn of(self, capacity: u64) -> u64 {
        match self {
            Threshold::Amount(amount) => amount,
            Threshold::Share(parts) => (capacity as u128 * parts as u128 / Threshold::WHOLE as u128) as u64,
        }
    }
}

/// kubelet's `evictionHard` and `evictionPressureTransitionPeriod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eviction {
    /// For each of [`Signal::ALL`] its border, or the board's own ([`crate::machine::evict`]).
    pub thresholds: [Option<Threshold>; 4],
    /// For how long the node counts as under pressure after it was last seen to be, in seconds.
    pub transition_seconds: u32,
}

impl Eviction {
    /// kubelet's five minutes, and the board's own borders.
    pub const DEFAULT: Eviction = Eviction { thresholds: [None; 4], transition_seconds: 300 };
}

/// Why a pod was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evicted {
    /// The node was low on something.
    NodeLow {
        /// What told so.
        signal: Signal,
        /// The border.
        threshold: u64,
        /// What there was.
        available: u64,
        /// The container of the pod that was furthest above its request.
        most: Option<Excess>,
    },
    /// An emptyDir, the volume of that index, holds more than its `sizeLimit`.
    EmptyDir {
        /// Which.
        volume: u8,
    },
    /// Its emptyDirs on disk hold more than the limits of its containers together.
    Storage {
        /// What they are.
        limit: u64,
    },
}

/// A container that uses more than it has requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excess {
    /// Its index.
    pub container: u8,
    /// What it uses.
    pub usage: u64,
    /// What it has requested.
    pub request: u64,
}

impl Evicted {
    /// kubelet's words about `pod`.
    pub fn message(&self, pod: &Pod<'_>) -> Message {
        let mut text = Message::new();
        // What does not fit is cut.
        let _ = self.write(pod, &mut text);
        text
    }

    fn write(&self, pod: &Pod<'_>, text: &mut Message) -> core::fmt::Result {
        match *self {
            Evicted::NodeLow { signal, threshold, available, most } => {
                let resource = signal.resource();
                let (threshold, available) = (Bytes(threshold), Bytes(available));
                write!(text, "The node was low on resource: {resource}. ")?;
                write!(text, "Threshold quantity: {threshold}, available: {available}.")?;
                let Some(Excess { container, usage, request }) = most else { return Ok(()) };
                let name = pod.containers.get(container.into()).map_or("", |container| container.name);
                let (usage, request) = (Bytes(usage), Bytes(request));
                write!(text, " Container {name} was using {usage}, request is {request}, ")?;
                write!(text, "has larger consumption of {resource}.")
            }
            Evicted::EmptyDir { volume } => {
                let volume = pod.volumes.get(volume.into());
                let limit = volume.and_then(|volume| match volume.source {
                    Source::EmptyDir { size_limit, .. } => size_limit,
                    _ => None,
                });
                let (name, limit) = (volume.map_or("", |volume| volume.name), Bytes(limit.unwrap_or_default()));
                write!(text, "Usage of EmptyDir volume \"{name}\" exceeds the limit \"{limit}\".")
            }
            Evicted::Storage { limit } => {
                let limit = Bytes(limit);
                write!(text, "Pod ephemeral local storage usage exceeds the total limit of containers {limit}.")
            }
        }
    }
}
