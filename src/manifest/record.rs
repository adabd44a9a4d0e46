//! What a pod-init remembers of its pod for an agent that may die at any instant: enough to go on as if it had not.

use super::probe::ProbeKind;
use super::status::{Exit, Terminated};
use super::time::Instant;
use serde::{Deserialize, Serialize};

/// The life of one container so far, as its pod-init knows it.
///
/// Instances are numbered from 1, those included that could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// The newest instance that was ordered, 0 where none was.
    pub instance: u32,
    /// The agent's own notes, handed over with the order to start that instance.
    pub memo: Memo,
    /// How far that instance has come.
    pub life: Life,
    /// What its probes and hooks have brought to light about it.
    pub stage: Stage,
}

impl ContainerRecord {
    /// A container that was never started.
    pub const NEW: ContainerRecord =
        ContainerRecord { instance: 0, memo: Memo::NEW, life: Life::None, stage: Stage::New };
}

/// What the agent wants to be told again after its own death.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// Starts in a row that count towards the back-off, this instance included (failure F24).
    pub failures: u16,
    /// `lastState.terminated`.
    pub last: Option<Terminated>,
    /// What it was started as ([`super::pod::Container::edition`]): an agent with another manifest sees by it what is to be renewed.
    pub edition: u64,
    /// `restartCount`: starts after an end, this instance included.
    pub restarts: u32,
}

impl Memo {
    /// That of a container which was never started.
    pub const NEW: Memo = Memo { failures: 0, last: None, edition: 0, restarts: 0 };
}

/// How far a running instance has come, by its postStart hook and its probes. Each stage includes those before it, but the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Its postStart hook has not ended yet.
    #[default]
    New,
    /// Its startup probe has not succeeded yet.
    Begun,
    /// It has started up, and is not ready.
    Started,
    /// It is ready.
    Ready,
    /// Its postStart hook failed: it is to be ended, and its exit code decides what follows.
    HookFailed,
    /// Its startup or liveness probe failed: it is to be ended, and counts as failed whatever its exit code is.
    ProbeFailed(ProbeKind),
    /// It is being ended to be started again: whatever its exit code and its restart policy are.
    Renewed,
    /// It was of a sandbox before this one, and in this one its container waits for its turn.
    Earlier,
    /// It ended, or was ended, for all containers of its pod to begin anew: its container waits for its turn without back-off.
    Anew,
}

/// The life of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// No instance.
    None,
    /// Its program runs.
    Running {
        /// Since when.
        started: Instant,
    },
    /// It could not be started, or it ended.
    Ended {
        /// When its program had started, `None` where it never did.
        started: Option<Instant>,
        /// When it ended.
        finished: Instant,
        /// How; without knowledge of the memory controller. Where it never started: code 128 if its program could not be
        /// executed, which counts as an end, else [`Exit::UNKNOWN`], which is tried again.
        exit: Exit,
    },
}

/// What the pod as a whole has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRecord {
    /// The pod is being ended: an agent that finds this ends it again, with the full grace period (spec 76).
    pub ending: Option<Ending>,
}

/// Why and how a pod is being ended (spec 67).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The grace period in milliseconds.
    pub grace_ms: u64,
    /// Deleted by force: it no longer shows, and its name is free (spec 80).
    pub force: bool,
    /// Start a replacement with a new UID once it is gone.
    pub replace: bool,
}
