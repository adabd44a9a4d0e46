//! A pod that was found and does not answer (spec 52): nobody knows how it is, and nobody ends it for that.

use super::effect::{self, Effects};
use super::pod::{Container, ContainerRules, Pod, Rules, Sandbox};
use crate::manifest::status::{Reason, message};
use crate::manifest::time::Instant;

impl Pod {
    /// A pod whose pod-init does not answer: it is left alone until it does, or somebody ends it.
    pub fn silent(created: Instant, rules: Rules, effects: &mut Effects) -> Pod {
        let new = |rules: &ContainerRules| Container::new(*rules, Reason::ContainerStatusUnknown);
        let containers = rules.containers.iter().map(new).collect();
        let text = "The pod's first process does not answer: nobody knows how the pod is until it does, or is deleted";
        effect::warn(effects, "SandboxNotResponding", None, &message(text));
        Pod::with(created, rules, Sandbox::Silent, containers)
    }

    /// Whether it is such a pod.
    pub fn is_silent(&self) -> bool {
        self.sandbox == Sandbox::Silent
    }
}
