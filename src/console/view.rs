//! A pod as people see it: its status in one value, and kubectl's READY, STATUS and RESTARTS columns (`printPod`).

use super::clock::Clock;
use crate::machine;
use crate::machine::admit::Lacks;
use crate::manifest::ephemeral::Ephemeral;
use crate::manifest::limits;
use crate::manifest::pod::{ContainerKind, Pod};
use crate::manifest::status::{Condition, ConditionKind, ContainerState, Phase, Reason, Terminated, Uid, Verdict};
use crate::manifest::time::Instant;
use core::fmt::Write;
use heapless::{String, Vec};

/// Where and when a pod is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scene<'a> {
    /// The name of the node.
    pub node: &'a str,
    /// The node's address.
    pub node_ip: Option<[u8; 4]>,
    /// This moment.
    pub now: Instant,
    /// The wall clock.
    pub clock: Clock,
}

/// A pod's status at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusView<'a> {
    /// Where and when.
    pub scene: Scene<'a>,
    /// `metadata.uid`.
    pub uid: Uid,
    /// `status.podIP`.
    pub ip: Option<[u8; 4]>,
    /// `metadata.creationTimestamp`.
    pub created: Instant,
    /// It is being deleted (spec 68).
    pub terminating: bool,
    /// `metadata.deletionTimestamp`: when its grace period is over.
    pub dead_after: Option<Instant>,
    /// `status.phase`.
    pub phase: Phase,
    /// `status.conditions`.
    pub conditions: Vec<Condition, 7>,
    /// The containers, in the order of the manifest.
    pub containers: Vec<ContainerView<'a>, { limits::CONTAINERS }>,
    /// `status.reason` and `status.message`: why it has failed as a whole.
    pub verdict: Option<Verdict>,
    /// The readiness gates, in the order of the manifest.
    pub gates: &'a [GateView<'a>],
    /// What the node has not enough of, for it to be admitted (spec 96).
    pub lacks: Option<Lacks>,
    /// The ephemeral containers, whose statuses stand behind those of the others (spec 37).
    pub ephemeral: &'a [Ephemeral<'a>],
}

/// A readiness gate (spec 46).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateView<'a> {
    /// The type of its condition.
    pub name: &'a str,
    /// The condition; `None` where nobody has set it.
    pub condition: Option<GateCondition<'a>>,
}

/// The condition of a readiness gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateCondition<'a> {
    /// `status`.
    pub holds: bool,
    /// `lastTransitionTime`.
    pub since: Instant,
    /// `reason`, or empty.
    pub reason: &'a str,
    /// `message`, or empty.
    pub message: &'a str,
}

impl GateView<'_> {
    /// Whether it counts as True.
    pub fn holds(&self) -> bool {
        self.condition.is_some_and(|condition| condition.holds)
    }

    /// `status`, as `describe` shows it.
    pub fn status(&self) -> &'static str {
        match self.condition {
            None => "<none>",
            Some(GateCondition { holds: true, .. }) => "True",
            Some(GateCondition { holds: false, .. }) => "False",
        }
    }
}

/// One container's status at that moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContainerView<'a> {
    /// Its part in the pod.
    pub kind: ContainerKind,
    /// `state`.
    pub state: ContainerState,
    /// `state.waiting.message`.
    pub message: &'a str,
    /// `lastState.terminated`.
    pub last: Option<Terminated>,
    /// `restartCount`.
    pub restarts: u32,
    /// `ready`.
    pub ready: bool,
    /// `state.terminated.message` of one that ran.
    pub words: &'a str,
    /// `lastState.terminated.message`.
    pub last_words: &'a str,
    /// `started`.
    pub started: bool,
}

impl<'a> ContainerView<'a> {
    /// `state.terminated.message`: its last words, or why it could not be started.
    pub fn said(&self) -> &'a str {
        if self.words.is_empty() { self.message } else { self.words }
    }
}

impl<'a> StatusView<'a> {
    /// The status of a pod of the machine. `ip` is its own address, where it has one.
    pub fn of(pod: &'a machine::pod::Pod, uid: Uid, ip: Option<[u8; 4]>, scene: Scene<'a>) -> StatusView<'a> {
        let view = |c: &'a machine::pod::Container| ContainerView {
            kind: c.kind(),
            state: c.state(),
            message: c.message(),
            last: c.last(),
            restarts: c.restarts(),
            ready: c.ready(),
            words: "",
            last_words: "",
            started: c.has_started(),
        };
        StatusView {
            scene,
            uid,
            ip,
            created: pod.created(),
            terminating: pod.is_terminating(),
            dead_after: pod.dead_after(),
            phase: pod.phase(),
            conditions: pod.conditions(),
            containers: pod.containers().iter().map(view).collect(),
            verdict: pod.verdict(),
            gates: &[],
            lacks: pod.lacks(),
            ephemeral: &[],
        }
    }

    /// Whether its containers have a status: not as long as there is no room for them, nor while nobody knows how they are.
    pub fn knows_containers(&self) -> bool {
        self.lacks.is_none() && self.phase != Phase::Unknown
    }

    /// Whether a condition holds; one that is not there does not.
    pub fn condition(&self, kind: ConditionKind) -> bool {
        self.conditions.iter().any(|c| c.kind == kind && c.status)
    }

    /// `message` of a condition of the machine, in kubelet's words; empty where there is none.
    pub fn message(&self, pod: &Pod<'_>, condition: &Condition) -> alloc::string::String {
        let mut text = alloc::string::String::new();
        if let (ConditionKind::DisruptionTarget, Some(Verdict::Evicted(why))) = (condition.kind, self.verdict) {
            text.push_str(&why.message(pod));
        }
        if let (ConditionKind::PodScheduled, Some(lacks)) = (condition.kind, self.lacks) {
            let _ = write!(text, "{lacks}");
        }
        if condition.kind == ConditionKind::Ready && condition.reason == "ReadinessGatesNotReady" {
            for gate in self.gates.iter().filter(|gate| !gate.holds()) {
                text.push_str(if text.is_empty() { "" } else { ", " });
                // A string takes everything.
                let _ = match gate.condition {
                    None => {
                        write!(text, "corresponding condition of pod readiness gate \"{}\" does not exist.", gate.name)
                    }
                    Some(_) => {
                        write!(text, "the status of pod readiness gate \"{}\" is not \"True\", but False", gate.name)
                    }
                };
            }
        }
        text
    }

    /// What the columns of `get pods` say.
    pub fn summary(&self) -> Summary {
        let (mut summary, initializing) = self.init_summary();
        if !self.knows_containers() {
            summary.status = word(self.phase.as_str());
        } else if !initializing || self.condition(ConditionKind::Initialized) {
            self.app_summary(&mut summary);
        }
        if self.terminating && !self.phase.is_terminal() {
            summary.status = word("Terminating");
        }
        summary
    }

    /// The first half of `printPod`: the init containers, up to the first that is not done.
    fn init_summary(&self) -> (Summary, bool) {
        let in_spec = |kind| self.containers.iter().filter(move |c| c.kind == kind).count();
        let mut summary = Summary {
            ready: 0,
            total: in_spec(ContainerKind::App) + in_spec(ContainerKind::Sidecar),
            status: word(self.verdict.map_or(self.phase.as_str(), Verdict::as_str)),
            restarts: 0,
            last_restart: None,
        };
        let inits = self.containers.iter().filter(|c| c.kind.is_init());
        let count = inits.clone().count();
        for (done, container) in inits.enumerate() {
            summary.count_restarts(container);
            match container.state {
                ContainerState::Terminated(end) if end.exit.code == 0 => continue,
                ContainerState::Running(_) if container.kind == ContainerKind::Sidecar => {
                    summary.ready += usize::from(container.ready);
                    continue;
                }
                ContainerState::Terminated(Terminated { reason, .. }) => summary.status = init_word(reason.as_str()),
                ContainerState::Waiting(reason) if reason != Reason::PodInitializing => {
                    summary.status = init_word(reason.as_str());
                }
                ContainerState::Waiting(_) | ContainerState::Running(_) => {
                    summary.status.clear();
                    let _ = write!(summary.status, "Init:{done}/{count}");
                }
            }
            return (summary, true);
        }
        (summary, false)
    }

    /// The second half: the app containers, last to first, so that the first one's word stands.
    fn app_summary(&self, summary: &mut Summary) {
        (summary.restarts, summary.last_restart) = (0, None);
        for sidecar in self.containers.iter().filter(|c| c.kind == ContainerKind::Sidecar) {
            summary.count_restarts(sidecar);
        }
        let mut running = false;
        for container in self.containers.iter().rev().filter(|c| c.kind == ContainerKind::App) {
            summary.count_restarts(container);
            match container.state {
                ContainerState::Waiting(reason) => summary.status = word(reason.as_str()),
                ContainerState::Terminated(end) => summary.status = word(end.reason.as_str()),
                ContainerState::Running(_) if container.ready => {
                    running = true;
                    summary.ready += 1;
                }
                ContainerState::Running(_) => {}
            }
        }
        if running && summary.status == Reason::Completed.as_str() {
            let ready = self.condition(ConditionKind::Ready);
            summary.status = word(if ready { "Running" } else { "NotReady" });
        }
    }
}

/// The columns of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Containers that are ready.
    pub ready: usize,
    /// Containers that should be: the app containers and the sidecars.
    pub total: usize,
    /// STATUS.
    pub status: String<48>,
    /// RESTARTS.
    pub restarts: u32,
    /// When the last of them was due.
    pub last_restart: Option<Instant>,
}

impl Summary {
    fn count_restarts(&mut self, container: &ContainerView<'_>) {
        self.restarts = self.restarts.saturating_add(container.restarts);
        let finished = container.last.map(|end| end.finished);
        self.last_restart = self.last_restart.max(finished);
    }
}

fn word(text: &str) -> String<48> {
    String::try_from(text).unwrap_or_default()
}

fn init_word(reason: &str) -> String<48> {
    let mut text = word("Init:");
    let _ = text.push_str(reason);
    text
}
