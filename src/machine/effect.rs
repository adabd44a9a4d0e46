//! What a machine asks the world to do, and what the world tells it.

use super::admit::Lacks;
use super::probe::Outcome;
use crate::manifest::eviction::Evicted;
use crate::manifest::limits;
use crate::manifest::probe::ProbeKind;
use crate::manifest::record::{Ending, Memo, Stage};
use crate::manifest::status::{Exit, Message, Reason, Verdict, message};
use crate::manifest::time::Duration;

/// Something for the effect floor to carry out. Containers are named by their index in the manifest's list.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make the pod's cgroup, volumes and pod-init. Answered by [`Event::SandboxReady`] or [`Event::SandboxFailed`], always: there is
    /// one order about the sandbox at a time, and a delete waits for the answer.
    CreateSandbox,
    /// Start instance `instance` (from 1) of a container. Answered by [`Event::Started`] or [`Event::StartFailed`], later by [`Event::Exited`].
    Start {
        /// Which.
        container: u8,
        /// Its number.
        instance: u32,
        /// What an agent that adopts the pod must be told.
        memo: Memo,
    },
    /// Run the preStop hook inside. Answered by [`Event::PreStopEnded`].
    PreStop {
        /// Which.
        container: u8,
        /// Its number, for the answer.
        instance: u32,
    },
    /// Send the stop signal (STOPSIGNAL, else TERM) to the main process (spec 71).
    Stop {
        /// Which.
        container: u8,
    },
    /// Kill everything in the container's cgroup (spec 74). Answered by [`Event::Exited`], or by [`Event::StartFailed`] where it was
    /// not started yet. It comes again, seldom, where no answer does.
    Kill {
        /// Which.
        container: u8,
    },
    /// Run the postStart hook. Answered by [`Event::PostStartEnded`], unless the container ends first.
    PostStart {
        /// Which.
        container: u8,
        /// Its number, for the answer.
        instance: u32,
    },
    /// Run a probe once. Answered by [`Event::ProbeEnded`] within its timeout, unless the container ends first.
    Probe {
        /// Which.
        container: u8,
        /// Its number, for the answer.
        instance: u32,
        /// Which of its probes.
        kind: ProbeKind,
    },
    /// Have pod-init remember how far an instance has come.
    MarkStage {
        /// Which.
        container: u8,
        /// Its number.
        instance: u32,
        /// How far.
        stage: Stage,
    },
    /// Have pod-init remember that the pod is being ended (spec 76).
    MarkEnding(Ending),
    /// Tell people that the pod has failed as a whole, and put it on record: whoever adopts it must know ([`super::pod::Pod::adopt`]).
    Condemn(Verdict),
    /// End pod-init, if it lives, and remove the pod's cgroup, mounts, volumes and files. Comes when no container is left, and after
    /// [`Event::SandboxUnmade`] and [`Event::SandboxLost`]. Answered by [`Event::SandboxRemoved`].
    RemoveSandbox,
    /// Tell people.
    Report(Report),
}

/// An event as `kubectl get events` shows one.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// `type: Warning`, else Normal.
    pub warning: bool,
    /// `reason`, for example `BackOff`.
    pub reason: &'static str,
    /// The container it is about.
    pub container: Option<u8>,
    /// `message`.
    pub message: Message,
}

/// Something that happened to a pod. Answers about containers name the instance they are about, so that a late one is not taken for another's.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Nothing but time: the moment of `poll_at` has come.
    Wake,
    /// There is room for it now (spec 96).
    Admit,
    /// There still is no room for it, now for want of this.
    Hold(Lacks),
    /// The sandbox stands: containers may be started. Its last touches are its own, and may still fail.
    SandboxReady,
    /// The sandbox could not be made; nothing of it is left.
    SandboxFailed(Message),
    /// The sandbox has failed at its last touches, before it started anything.
    SandboxUnmade(Message),
    /// pod-init has died, and all containers with it (failure F3).
    SandboxLost,
    /// The sandbox is gone: nothing of it is left.
    SandboxRemoved,
    /// The program runs.
    Started {
        /// Which.
        container: u8,
        /// Its number.
        instance: u32,
    },
    /// The instance could not be started.
    StartFailed {
        /// Which.
        container: u8,
        /// Its number.
        instance: u32,
        /// Why, as a waiting reason.
        reason: Reason,
        /// Why, in words.
        message: Message,
    },
    /// The instance is over, with everything in its cgroup.
    Exited {
        /// Which.
        container: u8,
        /// Its number.
        instance: u32,
        /// How.
        exit: Exit,
    },
    /// The preStop hook is over.
    PreStopEnded {
        /// Which.
        container: u8,
        /// Its number.
        instance: u32,
        /// What went wrong, if something did.
        failure: Option<Message>,
    },
    /// The postStart hook is over.
    PostStartEnded {
        /// Which.
        container: u8,
        /// Its number.
        instance: u32,
        /// What went wrong, if something did.
        failure: Option<Message>,
    },
    /// A probe has run.
    ProbeEnded {
        /// Which.
        container: u8,
        /// Its number.
        instance: u32,
        /// Which of its probes.
        kind: ProbeKind,
        /// How.
        outcome: Outcome,
    },
    /// End the pod (spec 66–82).
    Delete {
        /// `--grace-period`, else the pod's own.
        grace: Option<Duration>,
        /// `--force`: the name is free at once, the node still gives 2 s (spec 80, 81).
        force: bool,
        /// Start a replacement afterwards, with a new UID.
        replace: bool,
    },
    /// The node shuts down: end the pod within its own grace period, and within what the node has left. It gets no replacement.
    Shutdown {
        /// What [`super::shutdown::Shutdown`] allows.
        at_most: Duration,
    },
    /// The node wants it gone (spec 97): it has failed, and its containers get no time to speak of.
    Evict(Evicted),
    /// An ephemeral container was put in (spec 37).
    Debug {
        /// The index that [`super::pod::Pod::room`] gave for it.
        container: u8,
    },
    /// A readiness gate was set from outside (spec 46).
    Gate {
        /// Which, by its index in the manifest.
        gate: u8,
        /// Whether its condition is True now.
        holds: bool,
    },
    /// Stop one container, and start its next instance without back-off (`restart POD -c CONTAINER`).
    Restart {
        /// Which.
        container: u8,
    },
}

/// The effects of one step, to be handed in empty. One step moves each container through at most two transitions of at most two
/// effects each, and the pod through two of its own; `tests/machine.rs` tries to break that bound.
pub type Effects = heapless::Vec<Effect, { 4 * limits::CONTAINERS + 8 }>;

/// Ask for something.
pub(super) fn give(effects: &mut Effects, effect: Effect) {
    let given = effects.push(effect);
    debug_assert!(given.is_ok(), "effects of an earlier step were not taken out");
}

/// Tell people something; of a container, in words that its name completes: in place of `{}`, or behind them.
pub(super) fn tell(effects: &mut Effects, reason: &'static str, container: Option<u8>, text: &str) {
    give(effects, Effect::Report(Report { warning: false, reason, container, message: message(text) }));
}

/// Warn people of something.
pub(super) fn warn(effects: &mut Effects, reason: &'static str, container: Option<u8>, text: &str) {
    give(effects, Effect::Report(Report { warning: true, reason, container, message: message(text) }));
}
