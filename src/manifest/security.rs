//! What of a container's security context is more than numbers: its filter, its privileges, its devices.

use super::List;
use serde::{Deserialize, Serialize};

/// The parts of `securityContext` beside [`super::pod::Security`], and the devices of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Confinement<'a> {
    /// `seccompProfile`.
    #[serde(borrow)]
    pub seccomp: Seccomp<'a>,
    /// `privileged` (spec 83): all devices of the node, nothing hidden, no filter.
    pub privileged: bool,
    /// `procMount`.
    pub proc_mount: ProcMount,
    /// The devices of the node that `resources.limits` names.
    #[serde(borrow)]
    pub devices: List<'a, Device<'a>>,
}

/// Who the containers of a pod run as that do not say so themselves. It is part of each of them already; this is for those that are put
/// into the pod while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// `runAsUser`.
    pub user: Option<u32>,
    /// `runAsGroup`.
    pub group: Option<u32>,
    /// `runAsNonRoot`.
    pub non_root: bool,
}

/// `securityContext.seccompProfile`. A filter is an index in [`super::pod::Manifest::filters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp<'a> {
    /// No filter.
    #[default]
    Unconfined,
    /// The default profile, for the container's capabilities.
    RuntimeDefault {
        /// Which filter.
        filter: u8,
    },
    /// A profile of the pod's own.
    Localhost {
        /// `localhostProfile`.
        profile: &'a str,
        /// Which filter.
        filter: u8,
    },
}

impl Seccomp<'_> {
    /// The index of its filter.
    pub const fn filter(&self) -> Option<u8> {
        match *self {
            Seccomp::Unconfined => None,
            Seccomp::RuntimeDefault { filter } | Seccomp::Localhost { filter, .. } => Some(filter),
        }
    }

    /// The same, to give it another.
    pub const fn filter_mut(&mut self) -> Option<&mut u8> {
        match self {
            Seccomp::Unconfined => None,
            Seccomp::RuntimeDefault { filter } | Seccomp::Localhost { filter, .. } => Some(filter),
        }
    }
}

/// `securityContext.procMount`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcMount {
    /// What tells of the node is hidden, what changes it cannot be written.
    #[default]
    Default,
    /// All of /proc, for containers within the container.
    Unmasked,
}

/// Devices of the node that a container has asked for by the name of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device<'a> {
    /// The resource, as the board file and `resources.limits` name it: `board.podling/gpio`.
    pub resource: &'a str,
    /// The device: below `/dev`, the same outside and inside.
    pub path: &'a str,
}
