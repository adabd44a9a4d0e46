//! What an agent is told when it is started, and what it knows of its node.

use super::reload::Source;
use crate::machine::admit::Amount;
use crate::machine::evict::Pressure;
use crate::manifest::huge::HugePages;
use crate::manifest::status::Message;
use std::path::PathBuf;
use std::prelude::v1::*;

/// What an agent is told. Everything that differs between a board, a workstation and a test.
#[derive(Clone, Debug)]
pub struct Config {
    /// State that a reboot may forget (a tmpfs): `/run/podling`.
    pub run_dir: PathBuf,
    /// State that survives: `/data`; holds `images/`, `volumes/` and `pods/`.
    pub data_dir: PathBuf,
    /// Further directories with packed images, looked at after `data_dir/images`.
    pub image_dirs: Vec<PathBuf>,
    /// The agent's own cgroup, below the root of every hierarchy: `podling`.
    pub cgroup: String,
    /// The name of the node; the host name of pods on the node's network.
    pub node: String,
    /// The class of the board; `None` accepts manifests of every class (a workstation).
    pub class: Option<String>,
    /// The content of the pods' /etc/resolv.conf.
    pub resolv_conf: String,
    /// The manifest, as its file was read from a slot; `None` where no slot holds a good one.
    pub manifest: Option<Vec<u8>>,
    /// Where a newer one is read from when the agent is told to; `None` where there is no such place.
    pub source: Option<Source>,
    /// What is wrong with the node, for people (no valid manifest, a missing data partition): told as events at the start.
    pub troubles: Vec<String>,
    /// Whether the node may be rebooted and switched off through this agent.
    pub power: bool,
    /// Whether the kernel is to spare the agent when memory runs out; then its life is the node's.
    pub protect: bool,
    /// The file that is executed as pod-init; this program itself where it is `None`.
    pub program: Option<PathBuf>,
    /// Whether the node runs privileged containers (spec 85).
    pub allow_privileged: bool,
    /// Whether pods are evicted when the node is under pressure (spec 97), and bounded by its memory: its want is then theirs.
    pub evict: bool,
}

impl Config {
    /// A board's: `/run/podling`, `/data`, cgroup `podling`.
    pub fn board(node: &str, class: &str) -> Config {
        Config {
            run_dir: PathBuf::from("/run/podling"),
            data_dir: PathBuf::from("/data"),
            image_dirs: Vec::new(),
            cgroup: String::from("podling"),
            node: String::from(node),
            class: Some(String::from(class)),
            resolv_conf: String::new(),
            manifest: None,
            source: None,
            troubles: Vec::new(),
            power: true,
            protect: true,
            program: None,
            allow_privileged: false,
            evict: true,
        }
    }
}

/// What the agent knows of its node.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The name of the node.
    pub name: String,
    /// The kernel's release.
    pub kernel: String,
    /// The machine: `aarch64`.
    pub machine: String,
    /// Processors on line.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of the file system of volumes.
    pub disk: u64,
    /// What it has for pods (spec 96).
    pub room: Amount,
    /// Bytes of memory that all pods together can have at most.
    pub pods_memory: u64,
    /// How often a container was ended for want of memory.
    pub oom_kills: u32,
    /// Huge pages, those in use among them.
    pub huge_pages: HugePages,
    /// The class of the board; empty on a workstation.
    pub class: String,
    /// The sequence number of the manifest in force.
    pub sequence: Option<u64>,
    /// How cgroups are mounted: `v2`, `v1` or `hybrid`.
    pub cgroups: &'static str,
    /// Whether [`super::Agent::shutdown`] does anything.
    pub power: bool,
    /// What it is short of (spec 97).
    pub pressures: Vec<Pressure>,
    /// What is missing or wrong, each with its fix (spec 98).
    pub troubles: Vec<Message>,
}
