//! One pod's life, from its sandbox to the last trace of it.

use super::effect::{Effects, Event};
use crate::manifest::pod::{ContainerKind, Node, RestartPolicy};
use crate::manifest::record::{ContainerRecord, PodRecord};
use crate::manifest::status::{Condition, ContainerState, Message, Phase, Reason, Terminated};
use crate::manifest::time::{Duration, Instant};
use crate::manifest::{self, limits};

/// What a pod's life goes by: the part of its manifest that decides anything, and the node's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// `restartPolicy`.
    pub restart_policy: RestartPolicy,
    /// `terminationGracePeriodSeconds`.
    pub grace: Duration,
    /// The node's back-off settings.
    pub node: Node,
    /// The containers, in start order.
    pub containers: heapless::Vec<ContainerRules, { limits::CONTAINERS }>,
}

/// What one container's life goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerRules {
    /// Its part in the pod.
    pub kind: ContainerKind,
    /// Whether there is a preStop hook to run.
    pub pre_stop: bool,
}

impl Rules {
    /// The rules of a checked pod.
    pub fn new(pod: &manifest::pod::Pod<'_>, node: Node) -> Rules {
        unimplemented!()
    }
}

/// One pod. Dropping it forgets it; it is finished with when [`Pod::is_gone`] says so.
#[derive(Clone, Debug)]
pub struct Pod { }

impl Pod {
    /// A new pod: asks for its sandbox at once.
    pub fn new(now: Instant, rules: Rules, effects: &mut Effects) -> Pod {
        unimplemented!()
    }

    /// A pod found running by an agent that has just started. `created` is when the pod was accepted. Containers that have
    /// ended meanwhile are restarted by policy; an ending that was under way begins again with its full grace (spec 76).
    pub fn adopt(now: Instant, created: Instant, rules: Rules, pod: PodRecord, containers: &[ContainerRecord], effects: &mut Effects) -> Pod {
        unimplemented!()
    }

    /// Something happened. Late and doubled events are ignored.
    pub fn step(&mut self, now: Instant, event: Event, effects: &mut Effects) {
        unimplemented!()
    }

    /// The next moment at which time alone changes something; `None` where only an event can.
    pub fn poll_at(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// Nothing is left of it.
    pub fn is_gone(&self) -> bool {
        unimplemented!()
    }

    /// Whether a replacement with a new UID is to be made now: it is gone, or it was deleted by force and its name is free (spec 80).
    pub fn wants_replacement(&self) -> bool {
        unimplemented!()
    }

    /// Whether it no longer shows in listings (gone, or deleted by force).
    pub fn is_hidden(&self) -> bool {
        unimplemented!()
    }

    /// `metadata.deletionTimestamp` is set: it lists as Terminating (spec 68).
    pub fn is_terminating(&self) -> bool {
        unimplemented!()
    }

    /// When the grace period of its ending is over (spec 67).
    pub fn dead_after(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// `status.phase`, computed from the containers' states (spec 53).
    pub fn phase(&self) -> Phase {
        unimplemented!()
    }

    /// `status.conditions`, in Kubernetes' order.
    pub fn conditions(&self) -> heapless::Vec<Condition, 6> {
        unimplemented!()
    }

    /// When it was accepted.
    pub fn created(&self) -> Instant {
        unimplemented!()
    }

    /// The containers, in manifest order.
    pub fn containers(&self) -> &[Container] {
        unimplemented!()
    }
}

/// One container's status, for people.
#[derive(Clone, Debug)]
pub struct Container { }

impl Container {
    /// `state`.
    pub fn state(&self) -> ContainerState {
        unimplemented!()
    }
    /// `state.waiting.message`.
    pub fn message(&self) -> &str {
        unimplemented!()
    }
    /// `lastState`.
    pub fn last(&self) -> Option<Terminated> {
        unimplemented!()
    }
    /// `restartCount`.
    pub fn restarts(&self) -> u32 {
        unimplemented!()
    }
    /// `ready`.
    pub fn ready(&self) -> bool {
        unimplemented!()
    }
    /// The newest instance ordered, from 1; 0 where none was.
    pub fn instance(&self) -> u32 {
        unimplemented!()
    }
    /// Its part in the pod.
    pub fn kind(&self) -> ContainerKind {
        unimplemented!()
    }
}
