//! What people are told of a pod: its phase and its conditions, computed from the states of its containers (spec 45–53).

use super::anew::Anew;
use super::container::Container;
use super::pod::{Pod, Sandbox};
use super::terminate::Life;
use crate::manifest::pod::ContainerKind;
use crate::manifest::status::{Condition, ConditionKind, ContainerState, Phase};
use crate::manifest::time::Instant;

/// Which of the conditions are true that come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truths {
    stands: bool,
    initialized: bool,
    containers_ready: bool,
    ready: bool,
}

/// When each of [`Truths`] last changed: the one thing about a condition that its pod's states do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    stands: Instant,
    initialized: Instant,
    containers_ready: Instant,
    ready: Instant,
}

impl Times {
    /// They are as they are since then.
    pub(super) fn all(at: Instant) -> Times {
        Times { stands: at, initialized: at, containers_ready: at, ready: at }
    }

    /// Take down which of them have changed.
    pub(super) fn note(&mut self, now: Instant, before: Truths, after: Truths) {
        let note = |time: &mut Instant, changed: bool| {
            if changed {
                *time = now;
            }
        };
        note(&mut self.stands, before.stands != after.stands);
        note(&mut self.initialized, before.initialized != after.initialized);
        note(&mut self.containers_ready, before.containers_ready != after.containers_ready);
        note(&mut self.ready, before.ready != after.ready);
    }
}

impl Pod {
    /// The containers of one kind.
    fn of(&self, kind: ContainerKind) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(move |container| container.kind() == kind)
    }

    /// Whether an init container failed for good, and the pod with it (spec 51).
    pub(super) fn init_failed(&self) -> bool {
        self.of(ContainerKind::Init).any(Container::failed)
    }

    /// Whether its app containers are over for good.
    pub(super) fn apps_ended(&self) -> bool {
        self.of(ContainerKind::App).all(|app| app.ended().is_some())
    }

    /// As kubelet computes it. A pod that is being ended is what its containers are, too.
    pub(super) fn phase_now(&self) -> Phase {
        let apps = || self.of(ContainerKind::App);
        if self.is_silent() {
            Phase::Unknown
        } else if self.verdict().is_some() || !self.is_emptied() && self.init_failed() {
            Phase::Failed
        } else if self.is_emptied()
            || !self.of(ContainerKind::Init).all(Container::succeeded)
            || apps().any(Container::is_new)
        {
            Phase::Pending
        } else if !self.apps_ended() || self.of(ContainerKind::Sidecar).any(Container::is_live) {
            Phase::Running
        } else if apps().all(Container::succeeded) {
            Phase::Succeeded
        } else {
            Phase::Failed
        }
    }

    /// The conditions that come and go.
    pub(super) fn truths(&self) -> Truths {
        let mut own = self.containers.iter().filter(|container| !container.is_ephemeral());
        let containers_ready = own.all(Container::ready);
        Truths {
            stands: matches!(self.sandbox, Sandbox::Ready { .. }),
            initialized: self.apps_ended() || (0..self.containers.len()).all(|me| self.lets_next_start(me)),
            containers_ready,
            ready: containers_ready && self.life == Life::Wanted && self.gates.open(),
        }
    }

    /// All conditions, in Kubernetes' order.
    pub(super) fn conditions_at(&self, times: &Times) -> heapless::Vec<Condition, 7> {
        let truths = self.truths();
        let unready = match self.phase_now() {
            Phase::Succeeded => "PodCompleted",
            Phase::Failed => "PodFailed",
            Phase::Pending | Phase::Running | Phase::Unknown => "ContainersNotReady",
        };
        let not_serving = match truths.containers_ready {
            false => unready,
            true if self.life == Life::Wanted => "ReadinessGatesNotReady",
            true => "PodTerminating",
        };
        let mut all = heapless::Vec::new();
        let mut put = |kind, status, otherwise, since| {
            let condition = Condition { kind, status, reason: if status { kind.reason() } else { otherwise }, since };
            // There are seven kinds.
            let _ = all.push(condition);
        };
        if let Some(since) = self.life.disrupted() {
            put(ConditionKind::DisruptionTarget, true, "", since);
        }
        match self.anew {
            Anew::Never => {}
            Anew::Emptied { since, .. } => put(ConditionKind::AllContainersRestarting, true, "", since),
            Anew::Begun { since } => put(ConditionKind::AllContainersRestarting, false, "", since),
        }
        put(ConditionKind::PodReadyToStartContainers, truths.stands, "", times.stands);
        put(ConditionKind::Initialized, truths.initialized, "ContainersNotInitialized", times.initialized);
        put(ConditionKind::Ready, truths.ready, not_serving, times.ready);
        put(ConditionKind::ContainersReady, truths.containers_ready, unready, times.containers_ready);
        put(ConditionKind::PodScheduled, self.lacks().is_none(), "Unschedulable", self.accepted());
        all
    }
}

impl Container {
    /// It waits for what would be its first run.
    fn is_new(&self) -> bool {
        matches!(self.state(), ContainerState::Waiting(_)) && self.last().is_none()
    }
}
