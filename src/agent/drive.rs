//! The loop: waits for whatever comes first, lets the machines decide, has the effects carried out.

use super::config::{Config, Facts};
use super::events::Events;
use crate::machine;
use crate::manifest::pod::Pod;
use crate::manifest::status::{Message, Uid};
use crate::manifest::time::Instant;
use std::cell::Ref;
use std::fmt;
use std::future::Future;
use std::prelude::v1::*;
use std::rc::Rc;

/// What to do when all pods have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Only end: the agent was told to (SIGTERM as a service, Ctrl-C on a workstation).
    Exit,
    /// Restart the node.
    Reboot,
    /// Switch it off.
    PowerOff,
}

/// How an agent's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What is to be done now.
    pub shutdown: Shutdown,
}

impl Outcome {
    /// The exit code of the process: 0, [`super::EXIT_REBOOT`] or [`super::EXIT_POWER_OFF`].
    pub fn exit_code(self) -> u8 {
        match self.shutdown {
            Shutdown::Exit => 0,
            Shutdown::Reboot => super::EXIT_REBOOT,
            Shutdown::PowerOff => super::EXIT_POWER_OFF,
        }
    }
}

/// Why an agent could not start, or go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// Another one runs (failure F4).
    Running {
        /// Its process, where it says so.
        pid: Option<u32>,
    },
    /// The world would not.
    Failed(Message),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Running { pid: Some(pid) } => write!(f, "another agent runs already, as process {pid}: only one may"),
            Error::Running { pid: None } => f.write_str("another agent runs already: only one may"),
            Error::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

/// A running agent. A handle: clones are the same agent, all on its one thread.
#[derive(Clone)]
pub struct Agent(Rc<Inner>);

struct Inner {}

/// One pod on this node.
pub struct Entry {}

impl Entry {
    /// What the manifest says of it.
    pub fn manifest(&self) -> &Pod<'static> {
        unimplemented!()
    }
    /// How it is doing.
    pub fn machine(&self) -> &machine::pod::Pod {
        unimplemented!()
    }
    /// Its identity.
    pub fn uid(&self) -> Uid {
        unimplemented!()
    }
    /// When it was accepted.
    pub fn created(&self) -> Instant {
        unimplemented!()
    }
    /// Where its sandbox is wanted and could not be made: why (it is Pending).
    pub fn trouble(&self) -> Option<&str> {
        unimplemented!()
    }
}

impl Agent {
    /// The events of this boot. Do not hold on to it across an `await`; the same goes for everything else that is a [`Ref`].
    pub fn events(&self) -> Ref<'_, Events> {
        unimplemented!()
    }

    /// The node.
    pub fn node(&self) -> Ref<'_, Facts> {
        unimplemented!()
    }

    /// Runs a task on the agent's thread until it ends or the agent does.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let _ = task;
        unimplemented!()
    }
}

/// The whole life of an agent: adopts what runs, runs what should, and returns when it has been told to end and all pods have.
/// `attach` is called once, after adoption and before anything is started; it hangs the console on with [`Agent::spawn`].
pub fn run(config: Config, attach: impl FnOnce(&Agent)) -> Result<Outcome, Error> {
    let _ = (config, attach);
    unimplemented!()
}
