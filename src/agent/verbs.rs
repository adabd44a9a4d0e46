//! What people may ask of the agent; each verb of the console that needs it is one method here.

use super::drive::{Agent, Entry, Shutdown};
use super::logs;
use crate::manifest::status::{Exit, Message, Uid};
use crate::manifest::time::{Duration, Instant};
use std::cell::Ref;
use std::fmt;
use std::os::fd::OwnedFd;
use std::prelude::v1::*;

/// Why a verb was not carried out, in kubectl's words.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// No such pod.
    NoSuchPod,
    /// No such container in it.
    NoSuchContainer(String),
    /// The container is not running.
    NotRunning(String),
    /// The pod is being ended already, so it cannot be restarted.
    Terminating,
    /// The container has no such instance.
    NoPrevious(String),
    /// This agent must not switch its node off.
    NoPower,
    /// The kernel would not.
    Failed(Message),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoSuchPod => f.write_str("pod not found"),
            Refusal::NoSuchContainer(name) => {
                write!(f, "container {name} is not valid for this pod")
            }
            Refusal::NotRunning(name) => write!(f, "container {name} is not running"),
            Refusal::Terminating => f.write_str("the pod is being terminated"),
            Refusal::NoPrevious(name) => {
                write!(f, "previous terminated container {name} not found")
            }
            Refusal::NoPower => f.write_str("this agent may not reboot or switch off its node"),
            Refusal::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}

/// What something uses right now; `None` where this node does not count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processor time used so far, in microseconds. A rate takes two looks.
    pub cpu_us: Option<u64>,
    /// Processes.
    pub pids: Option<u64>,
}

/// A program started by [`Agent::exec`]. Dropping it before its end kills the program.
#[derive(Debug)]
pub struct Exec {}

impl Exec {
    /// Waits for its end. `Err` says why it could not be started.
    pub async fn ended(self) -> Result<Exit, Message> {
        unimplemented!()
    }
}

impl Agent {
    /// All pods, in manifest order, replacements after what they replace. Some may be hidden ([`Entry::machine`] says so).
    pub fn pods(&self) -> Ref<'_, [Entry]> {
        unimplemented!()
    }

    /// The pod of that name that is not hidden.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Ref<'_, Entry>> {
        unimplemented!()
    }

    /// Ends a pod; it stays away until the next boot or manifest (spec 66–82). Gives the UID to wait for: it is gone when no
    /// entry has it any more, and the wait goes by [`Agent::changed`].
    pub fn delete(&self, namespace: &str, name: &str, grace: Option<Duration>, force: bool) -> Result<Uid, Refusal> {
        unimplemented!()
    }

    /// Restarts one container, or ends the whole pod and starts a replacement.
    pub fn restart(&self, namespace: &str, name: &str, container: Option<&str>) -> Result<(), Refusal> {
        unimplemented!()
    }

    /// The output of a container: of its newest instance, or of the one before.
    pub fn logs(&self, namespace: &str, name: &str, container: &str, previous: bool) -> Result<logs::Reader, Refusal> {
        unimplemented!()
    }

    /// Runs a program in a running container, with these descriptors as its standard input, output and error.
    pub fn exec(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
        argv: &[&str],
        stdio: [OwnedFd; 3],
    ) -> Result<Exec, Refusal> {
        unimplemented!()
    }

    /// What a container uses.
    pub fn usage(&self, entry: &Entry, container: usize) -> Usage {
        unimplemented!()
    }

    /// What a whole pod uses.
    pub fn pod_usage(&self, entry: &Entry) -> Usage {
        unimplemented!()
    }

    /// Ends all pods in two waves, then the agent; the one above it then restarts the node or switches it off.
    pub fn shutdown(&self, how: Shutdown) -> Result<(), Refusal> {
        unimplemented!()
    }

    /// How often something that a listing shows has changed so far.
    pub fn generation(&self) -> u64 {
        unimplemented!()
    }

    /// Waits until [`Agent::generation`] is no longer `seen`, and gives what it is now.
    pub async fn changed(&self, seen: u64) -> u64 {
        unimplemented!()
    }

    /// Milliseconds since the board booted: what every [`Instant`] of the agent counts in.
    pub fn now(&self) -> Instant {
        unimplemented!()
    }
}
