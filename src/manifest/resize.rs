//! What of a running container may change, and what a change takes (spec 40).

use super::codec;
use super::pod::Container;
use serde::{Deserialize, Serialize};

/// `resizePolicy`, by resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResizePolicy {
    /// For `cpu`.
    pub cpu: Resize,
    /// For `memory`.
    pub memory: Resize,
}

/// What a change of a resource takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resize {
    /// `NotRequired`: the container runs on.
    #[default]
    InPlace,
    /// `RestartContainer`.
    Restart,
}

impl Container<'_> {
    /// A number for what an instance is made of that its container may have otherwise while the pod lives on: its image, and the
    /// resources that it must be restarted for. One that runs with another number is to be renewed.
    pub fn edition(&self) -> u64 {
        let asked = self.resources;
        let cpu = (self.resize.cpu == Resize::Restart).then_some((asked.cpu_request_milli, asked.cpu_limit_milli));
        let memory = (self.resize.memory == Resize::Restart).then_some((asked.memory_request, asked.memory_limit));
        codec::digest(&(self.image, cpu, memory))
    }
}
