//! What is in a `board.toml`, key by key.

use crate::host::units;
use crate::manifest::eviction::{Eviction, Threshold};
use core::net::Ipv4Addr;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::format;
use std::path::PathBuf;
use std::prelude::v1::*;

/// One board, as its file says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardFile {
    /// What manifests for it name in their header.
    pub class: String,
    /// Its processors.
    pub arch: Arch,
    /// One line for people.
    pub description: String,
    /// The host name of the node.
    pub hostname: String,
    /// Bytes of memory.
    #[serde(deserialize_with = "quantity")]
    pub memory_bytes: u64,
    /// Whether pods may be privileged (spec 85).
    #[serde(default)]
    pub allow_privileged: bool,
    /// The serial console.
    pub console: Console,
    /// What it boots.
    pub kernel: Kernel,
    /// What its boot partitions hold beside the kernel.
    pub firmware: Option<Firmware>,
    /// How its flash is laid out.
    pub flash: Flash,
    /// What the running board calls the parts of that flash.
    pub devices: Devices,
    /// The Ethernet of the node.
    pub network: Option<NetworkFile>,
    /// What the node sets for all of its pods.
    #[serde(default)]
    pub node: NodeFile,
    /// When its pods are evicted (spec 97).
    #[serde(default)]
    pub eviction: EvictionFile,
    /// Devices that containers ask for by the name of a resource, as they would a device plugin: all of those that are listed.
    #[serde(default)]
    pub resources: BTreeMap<String, Vec<String>>,
    /// Huge pages to set aside at boot: their number by their size, as in `2Mi = 16`.
    #[serde(default)]
    pub hugepages: BTreeMap<String, u32>,
    /// The folder of the file.
    #[serde(skip)]
    pub dir: PathBuf,
}

/// A processor architecture that the agent is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM with VFP.
    Armv7,
    /// The workstation's own, for tests.
    X86_64,
}

impl Arch {
    /// This machine's own; `None` where the agent is not built for it.
    pub fn host() -> Option<Arch> {
        match std::env::consts::ARCH {
            "aarch64" => Some(Arch::Aarch64),
            "arm" => Some(Arch::Armv7),
            "x86_64" => Some(Arch::X86_64),
            _ => None,
        }
    }

    /// As Debian names it.
    pub const fn debian(self) -> &'static str {
        match self {
            Arch::Aarch64 => "arm64",
            Arch::Armv7 => "armhf",
            Arch::X86_64 => "amd64",
        }
    }

    /// As OCI images name it: architecture and variant.
    pub const fn oci(self) -> &'static str {
        match self {
            Arch::Aarch64 => "arm64",
            Arch::Armv7 => "arm/v7",
            Arch::X86_64 => "amd64",
        }
    }

    /// `e_machine` of its programs, and the bits of their addresses.
    pub const fn elf(self) -> (u16, u8) {
        match self {
            Arch::Aarch64 => (183, 64),
            Arch::Armv7 => (40, 32),
            Arch::X86_64 => (62, 64),
        }
    }
}

/// The serial console.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Its tty, without `/dev/`.
    pub tty: String,
    /// Its speed.
    pub baud: u32,
}

/// What the board boots.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// The Debian package that brings it.
    pub package: String,
    /// The modules that the board needs; what those need comes with them.
    #[serde(default)]
    pub modules: Vec<String>,
    /// The kernel's command line.
    pub cmdline: String,
    /// Device trees of that package which the boot partitions hold.
    #[serde(default)]
    pub dtbs: Vec<String>,
}

/// What the board's firmware wants on a boot partition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// The Debian package that brings it.
    pub package: String,
    /// Its folder in there.
    pub folder: String,
    /// Files of that folder.
    #[serde(default)]
    pub files: Vec<String>,
    /// Files with what is in them.
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
}

/// The layout of the flash: an MBR and its partitions, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flash {
    /// Bytes of all of it.
    #[serde(deserialize_with = "quantity")]
    pub size: u64,
    /// Bytes of one of the two manifest slots.
    #[serde(deserialize_with = "quantity")]
    pub slot_bytes: u64,
    /// The partitions, from the first to the last.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// One word for people, and the label of its file system.
    pub name: String,
    /// What is in it.
    pub kind: PartitionKind,
    /// Its bytes; the last one may leave this out and take the rest.
    #[serde(default, deserialize_with = "some_quantity")]
    pub size: Option<u64>,
}

/// What is in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionKind {
    /// The boot files, as FAT.
    Fat,
    /// The two manifest slots, raw.
    Slots,
    /// Images and persistent volumes, as ext4.
    Ext4,
}

/// What the running board calls the parts of its flash.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    /// The partition of the slots.
    pub slots: String,
    /// The data partition.
    pub data: String,
    /// Its file system.
    pub data_fs: String,
}

/// A static address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkFile {
    /// `eth0`.
    pub interface: String,
    /// `10.0.2.15/24`.
    pub address: String,
    /// The default router.
    pub gateway: Option<Ipv4Addr>,
    /// The name server.
    pub dns: Option<Ipv4Addr>,
}

/// The settings of [`Node`], in seconds, with its defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    /// The delay of the second restart.
    pub backoff_base_seconds: Option<u32>,
    /// The longest delay.
    pub backoff_cap_seconds: Option<u32>,
    /// How long a container must have run for its back-off to be forgotten.
    pub backoff_reset_seconds: Option<u32>,
    /// Processes of one pod, where the pod says no other.
    pub pod_pids_limit: Option<u32>,
    /// The time that all pods together get to end when the node shuts down.
    pub shutdown_grace_seconds: Option<u32>,
    /// What is the kernel's and the agent's, as the kubelet's `systemReserved`.
    #[serde(default)]
    pub system_reserved: Reserved,
    /// Containers that say nothing of seccomp get RuntimeDefault, as with the kubelet's `seccompDefault`.
    #[serde(default)]
    pub seccomp_default: bool,
    /// Sysctls beside the safe ones that pods may set, each a name or a beginning with `*`, as the kubelet's `allowedUnsafeSysctls`.
    #[serde(default)]
    pub allowed_unsafe_sysctls: Vec<String>,
}

/// What is not for pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserved {
    /// Bytes of memory; without it 32Mi and a 32nd of the board's, and half of it at most.
    #[serde(default, deserialize_with = "some_quantity")]
    pub memory: Option<u64>,
}

/// kubelet's `evictionHard`: what is left of the node when it is under pressure, as an amount or a percentage of what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvictionFile {
    /// Memory; without it a 32nd of the board's, and 100Mi at most.
    #[serde(default, rename = "memory.available", deserialize_with = "threshold")]
    pub memory: Option<Threshold>,
    /// Bytes of the data partition; without it 10 %.
    #[serde(default, rename = "nodefs.available", deserialize_with = "threshold")]
    pub nodefs: Option<Threshold>,
    /// Its files; without it 5 %.
    #[serde(default, rename = "nodefs.inodesFree", deserialize_with = "threshold")]
    pub inodes: Option<Threshold>,
    /// Processes; without it they are not watched, as with kubelet.
    #[serde(default, rename = "pid.available", deserialize_with = "threshold")]
    pub pids: Option<Threshold>,
    /// For how long the node counts as under pressure after it was last seen to be.
    pub pressure_transition_seconds: Option<u32>,
}

impl EvictionFile {
    /// The same, as a manifest carries it.
    pub fn settings(&self) -> Eviction {
        let default = Eviction::DEFAULT.transition_seconds;
        Eviction {
            thresholds: [self.memory, self.nodefs, self.inodes, self.pids],
            transition_seconds: self.pressure_transition_seconds.unwrap_or(default),
        }
    }
}

/// `"100Mi"`, `"10%"` or a number.
fn threshold<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Threshold>, D::Error> {
    let bytes = Bytes::deserialize(deserializer)?;
    let Bytes::Text(text) = &bytes else { return Ok(Some(Threshold::Amount(bytes.value()?))) };
    let Some(percent) = text.strip_suffix('%') else { return Ok(Some(Threshold::Amount(bytes.value()?))) };
    let part = percent.parse::<f32>().ok().filter(|percent| (0.0..=100.0).contains(percent));
    let part = part.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a percentage from 0% to 100%")))?;
    Ok(Some(Threshold::Share((part * f32::from(Threshold::WHOLE) / 100.0).round() as u16)))
}

/// A number of bytes, as a TOML integer or as a quantity in a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Bytes {
    Number(u64),
    Text(String),
}

impl Bytes {
    fn value<E: serde::de::Error>(self) -> Result<u64, E> {
        match self {
            Bytes::Number(n) => Ok(n),
            Bytes::Text(text) => units::bytes(&text).map_err(E::custom),
        }
    }
}

fn quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Bytes::deserialize(deserializer)?.value()
}

fn some_quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Bytes::deserialize(deserializer)?.value().map(Some)
}
