//! What people may ask of the agent; each verb of the console that needs it is one method here.

use super::drive::{Agent, Entry, Shutdown};
use super::effect::Streams;
use super::queue::Question;
use super::words::{self, Whose};
use super::{adopt, effect, logs, start};
use crate::machine::effect::Event;
use crate::machine::pod::Container;
use crate::manifest::status::{ContainerState, Exit, Message, Uid, message};
use crate::manifest::time::Duration;
use crate::pod::wire::Order;

pub use crate::sys::cgroup::Usage;
use rustix::io::Errno;
use std::cell::Ref;
use std::fmt;
use std::format;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::prelude::v1::*;

/// Why a verb was not carried out, in kubectl's words.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// No such pod.
    NoSuchPod,
    /// No such container in it.
    NoSuchContainer(String),
    /// The pod has no such readiness gate.
    NoSuchGate(String),
    /// The container is not running.
    NotRunning(String),
    /// The pod is being ended already, so it cannot be restarted.
    Terminating,
    /// The container has no such instance.
    NoPrevious(String),
    /// This agent must not switch its node off.
    NoPower,
    /// The kernel would not.
    Failed(Box<str>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoSuchPod => f.write_str("pod not found"),
            Refusal::NoSuchContainer(name) => {
                write!(f, "container {name} is not valid for this pod")
            }
            Refusal::NoSuchGate(name) => write!(f, "condition {name} is none of the pod's readiness gates"),
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

/// A program started by [`Agent::exec`]. Dropping it before its end kills the program.
pub struct Exec {
    agent: Agent,
    uid: Uid,
    id: u32,
    told: Option<effect::Ended>,
    opened: Option<Question<OwnedFd>>,
}

impl Exec {
    /// A program that was started.
    pub(super) fn new(agent: &Agent, uid: Uid, begun: effect::Begun) -> Exec {
        let effect::Begun { id, ended, terminal } = begun;
        Exec { agent: agent.clone(), uid, id, told: Some(ended), opened: Some(terminal) }
    }

    /// Waits for its terminal, once; `None` where it gets none.
    pub fn terminal(&mut self) -> impl Future<Output = Option<OwnedFd>> + use<> {
        let opened = self.opened.take();
        async move { opened?.recv().await.ok() }
    }

    /// Waits for its end. `Err` says why it could not be started.
    pub async fn ended(mut self) -> Result<Exit, Message> {
        let Some(told) = &self.told else { return Ok(Exit::UNKNOWN) };
        let end = told.recv().await;
        self.told = None;
        match end {
            Ok(Ok(exit)) => Ok(exit),
            Ok(Err(failure)) => Err(message(&format!("{failure}"))),
            // The sandbox is gone, and the program with it.
            Err(_) => Ok(Exit::UNKNOWN),
        }
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        if self.told.is_none() {
            return;
        }
        let sandbox =
            self.agent.pods().iter().find(|entry| entry.uid() == self.uid).and_then(|entry| entry.sandbox.clone());
        if let Some(sandbox) = sandbox {
            let _ = self.agent.order(&sandbox, &Order::ExecKill { id: self.id }, Vec::new());
        }
    }
}

impl Agent {
    /// The pod of that name that is not hidden.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Ref<'_, Entry>> {
        let wanted = |entry: &Entry| {
            entry.manifest().namespace == namespace && entry.manifest().name == name && !entry.machine().is_hidden()
        };
        Ref::filter_map(self.pods(), |entries| entries.iter().find(|entry| wanted(entry))).ok()
    }

    /// Ends a pod; it stays away until the next boot or manifest (spec 66–82). Gives the UID to wait for: it is gone when no
    /// entry has it any more, and the wait goes by [`Agent::changed`].
    pub fn delete(&self, namespace: &str, name: &str, grace: Option<Duration>, force: bool) -> Result<Uid, Refusal> {
        let (uid, is_former) = {
            let entry = self.find(namespace, name).ok_or(Refusal::NoSuchPod)?;
            (entry.uid(), entry.is_former())
        };
        // One that an update waits with makes way for the new one, which may have its name.
        if !is_former {
            // First on record, so that an agent that dies here does not bring the pod back.
            adopt::mark_deleted(self, namespace, name).map_err(failed)?;
        }
        self.step(uid, Event::Delete { grace, force, replace: false });
        self.look();
        Ok(uid)
    }

    /// Restarts one container, or ends the whole pod and starts a replacement. A pod that was deleted comes back.
    pub fn restart(&self, namespace: &str, name: &str, container: Option<&str>) -> Result<(), Refusal> {
        if container.is_none() && self.find(namespace, name).is_none() && adopt::unmark_deleted(self, namespace, name) {
            self.look();
            return Ok(());
        }
        let (uid, event) = {
            let entry = self.find(namespace, name).ok_or(Refusal::NoSuchPod)?;
            if entry.machine().is_terminating() {
                return Err(Refusal::Terminating);
            }
            let event = match container {
                None => Event::Delete { grace: None, force: false, replace: true },
                Some(container) => Event::Restart { container: index(&entry, container)? },
            };
            (entry.uid(), event)
        };
        self.step(uid, event);
        self.look();
        Ok(())
    }

    /// The output of a container: of its newest instance, or of the one before.
    pub fn logs(&self, namespace: &str, name: &str, container: &str, previous: bool) -> Result<logs::Reader, Refusal> {
        let entry = self.find(namespace, name).ok_or(Refusal::NoSuchPod)?;
        let newest = instance(&entry, index(&entry, container)?);
        let wanted = if previous { newest.saturating_sub(1) } else { newest };
        match wanted {
            0 if previous => Err(Refusal::NoPrevious(container.into())),
            0 => Err(Refusal::NotRunning(container.into())),
            wanted => logs::open(self.paths(), entry.uid(), container, wanted).map_err(|error| match error.errno {
                // It has failed before there was anything to write to.
                Errno::NOENT => Refusal::NotRunning(container.into()),
                _ => failed(error),
            }),
        }
    }

    /// Runs a program in a running container, with these as its standard input, output and error.
    pub fn exec(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
        argv: &[&str],
        streams: Streams,
    ) -> Result<Exec, Refusal> {
        let entry = self.find(namespace, name).ok_or(Refusal::NoSuchPod)?;
        let index = running(&entry, container)?;
        let words: start::Bytes = argv.iter().collect();
        let begun = effect::exec(self, &entry, index, words.list(), streams).map_err(failed)?;
        Ok(Exec::new(self, entry.uid(), begun))
    }

    /// The input of a running container: the writing end of its pipe, or its terminal, of which only the size and the input are the
    /// caller's, for its output goes to the log. `Err`: why there is none.
    pub fn attach(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
    ) -> Result<impl Future<Output = Result<OwnedFd, Message>> + use<>, Refusal> {
        let entry = self.find(namespace, name).ok_or(Refusal::NoSuchPod)?;
        let told = effect::attach(self, &entry, running(&entry, container)?).map_err(failed)?;
        Ok(async move {
            match told.recv().await {
                Ok(told) => told.map_err(|failure| message(&format!("{failure}"))),
                Err(_) => Err(message("the pod is gone")),
            }
        })
    }

    /// What a container has said last: for its `state`, and for its `lastState` (`terminated.message`).
    pub fn last_words(&self, entry: &Entry, container: usize) -> [String; 2] {
        let (machine, manifest) =
            (entry.machine().containers().get(container), entry.manifest().containers.get(container));
        let (Some(machine), Some(manifest)) = (machine, manifest) else { return Default::default() };
        let read = |whose| words::read(self.paths(), entry.uid(), &manifest, whose);
        match (machine.state(), machine.last()) {
            (ContainerState::Terminated(_), None) => [read(Whose::Newest), String::new()],
            (ContainerState::Terminated(_), Some(_)) => [read(Whose::Newest), read(Whose::Before)],
            (_, Some(_)) => [String::new(), read(Whose::Newest)],
            (_, None) => Default::default(),
        }
    }

    /// What a container uses.
    pub fn usage(&self, entry: &Entry, container: usize) -> Usage {
        let name = entry.container(container).map(|container| container.name);
        let instance = entry.machine().containers().get(container).map_or(0, Container::instance);
        match name {
            Some(name) if instance > 0 => {
                self.cgroups().group(&effect::instance_group(entry.uid(), name, instance)).usage()
            }
            _ => Usage::default(),
        }
    }

    /// What a whole pod uses.
    pub fn pod_usage(&self, entry: &Entry) -> Usage {
        self.cgroups().group(&format!("{}", entry.uid())).usage()
    }

    /// Ends all pods in two waves, then the agent; the one above it then restarts the node or switches it off.
    pub fn shutdown(&self, how: Shutdown) -> Result<(), Refusal> {
        if how != Shutdown::Exit && !self.config().power {
            return Err(Refusal::NoPower);
        }
        self.end(how);
        Ok(())
    }
}

fn failed(why: impl fmt::Display) -> Refusal {
    Refusal::Failed(format!("{why}").into())
}

fn index(entry: &Entry, container: &str) -> Result<u8, Refusal> {
    entry.position(container).map(|at| at as u8).ok_or_else(|| Refusal::NoSuchContainer(container.into()))
}

/// The same, of a container that runs.
pub(super) fn running(entry: &Entry, container: &str) -> Result<u8, Refusal> {
    let index = index(entry, container)?;
    let runs = |it: &Container| matches!(it.state(), ContainerState::Running(_));
    let found = entry.machine().containers().get(usize::from(index)).filter(|it| runs(it));
    found.map(|_| index).ok_or_else(|| Refusal::NotRunning(container.into()))
}

fn instance(entry: &Entry, container: u8) -> u32 {
    entry.machine().containers().get(usize::from(container)).map_or(0, Container::instance)
}
