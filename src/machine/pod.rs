//! One pod's life, from its sandbox to the last trace of it.
//!
//! Two things are true of a pod beside its containers: how its sandbox stands, and whether it is to live
//! ([`super::terminate`]). The sandbox goes its way by answers, one order at a time (`·`: ignored, late or doubled):
//!
//! | sandbox  | SandboxReady | SandboxFailed | SandboxUnmade, SandboxLost | SandboxRemoved               | time, or the pod is over |
//! |----------|--------------|---------------|----------------------------|------------------------------|--------------------------|
//! | Held     | ·            | ·             | ·                          | ·                            | over: Absent             |
//! | Creating | Ready        | Retry         | ·                          | ·                            | the answer is awaited    |
//! | Retry    | ·            | ·             | ·                          | ·                            | Creating; over: Absent   |
//! | Ready    | ·            | ·             | Removing                   | ·                            | all ended: Removing      |
//! | Silent   | ·            | ·             | ·                          | ·                            | being ended: Removing    |
//! | Removing | ·            | ·             | ·                          | Retry, at first due at once  | the answer is awaited    |
//! | Absent   | ·            | ·             | ·                          | ·                            | being ended: gone        |
//!
//! A pod for which there is no room is Held from the first, until [`Event::Admit`] makes it Creating ([`super::admit`]).
//! Each step is: hear the event; let time pass; decide about what has ended; then either start whose turn it is, or, where the
//! pod is over, wind it down. Nothing is remembered between these but the states themselves. A pod whose work is done keeps its
//! sandbox, and with it its logs and its pod-init's memory, until somebody deletes it; a pod that loses its sandbox then has none.

use super::admit::{self, Lacks};
use super::anew::Anew;
use super::backoff::Backoff;
pub use super::container::{Container, ContainerRules};
use super::effect::{self, Effect, Effects, Event};
use super::gates::Gates;
use super::probe::Setting;
use super::restart::Restart;
use super::status::Times;
use super::terminate::{self, Cause, Life};
use crate::manifest::pod::{ContainerKind, Node};
use crate::manifest::probe::ProbeKind;
use crate::manifest::record::{ContainerRecord, PodRecord};
use crate::manifest::status::{Condition, Phase, Reason, Verdict};
use crate::manifest::time::{Duration, Instant};
use crate::manifest::{self, limits};

/// What a pod's life goes by: the part of its manifest that decides anything, and the node's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// `terminationGracePeriodSeconds`.
    pub grace: Duration,
    /// The node's back-off settings.
    pub node: Node,
    /// The containers, in start order.
    pub containers: heapless::Vec<ContainerRules, { limits::CONTAINERS }>,
    /// `activeDeadlineSeconds`.
    pub active_deadline: Option<Duration>,
    /// `readinessGates`; those that are known to hold already, where the pod is adopted.
    pub gates: Gates,
}

impl Rules {
    /// The rules of a checked pod.
    pub fn new(pod: &manifest::pod::Pod<'static>, node: Node) -> Rules {
        let rules = |container: manifest::pod::Container<'static>| ContainerRules {
            kind: container.kind,
            pre_stop: container.pre_stop.is_some(),
            restart: Restart::new(&container, pod.restart_policy),
            post_start: container.post_start.is_some(),
            edition: container.edition(),
            probes: ProbeKind::ALL
                .map(|kind| container.probes.iter().find(|probe| probe.kind == kind).map(|probe| probe.timing)),
        };
        Rules {
            grace: Duration::from_secs(pod.grace_seconds.into()),
            node,
            containers: pod.containers.iter().map(rules).take(limits::CONTAINERS).collect(),
            active_deadline: pod.active_deadline_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            gates: Gates::new(pod.readiness_gates.iter().count()),
        }
    }

    /// Why a container waits whose turn has not come.
    fn first_reason(&self) -> Reason {
        let only_apps = self.containers.iter().all(|container| container.kind == ContainerKind::App);
        if only_apps { Reason::ContainerCreating } else { Reason::PodInitializing }
    }
}

/// How the pod's sandbox stands. `failures`: how often in a row it could not be made, or did not last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sandbox {
    /// There is none, for want of room on the node (spec 96).
    Held { lacks: Lacks },
    /// CreateSandbox is ordered.
    Creating { failures: u16 },
    /// There is none; the next try is due then.
    Retry { failures: u16, due: Instant },
    /// It stands.
    Ready { failures: u16, since: Instant },
    /// It was found, and does not answer: nobody knows how the pod is (spec 52).
    Silent,
    /// RemoveSandbox is ordered.
    Removing { failures: u16 },
    /// There is none, and there will be none.
    Absent,
}

/// One pod. Dropping it forgets it; it is finished with when [`Pod::is_gone`] says so.
#[derive(Clone, Debug)]
pub struct Pod {
    pub(super) grace: Duration,
    pub(super) backoff: Backoff,
    created: Instant,
    /// When there was room for it.
    pub(super) accepted: Instant,
    /// When `activeDeadlineSeconds` are over.
    pub(super) deadline: Option<Instant>,
    pub(super) sandbox: Sandbox,
    pub(super) life: Life,
    pub(super) containers: heapless::Vec<Container, { limits::CONTAINERS }>,
    times: Times,
    pub(super) gates: Gates,
    pub(super) anew: Anew,
}

// A board has up to 64 of these; most of each is the containers' messages, one apiece.
const _: () = assert!(size_of::<Pod>() <= 8 * 1024 + 512);

impl Pod {
    /// A new pod: asks for its sandbox at once.
    pub fn new(now: Instant, rules: Rules, effects: &mut Effects) -> Pod {
        let reason = rules.first_reason();
        let containers = rules.containers.iter().map(|rules| Container::new(*rules, reason)).collect();
        effect::tell(effects, "Scheduled", None, "Accepted by this node");
        effect::give(effects, Effect::CreateSandbox);
        Pod::with(now, rules, Sandbox::Creating { failures: 0 }, containers)
    }

    /// A new pod for which there is no room yet: it waits, and nothing is made of it.
    pub fn held(now: Instant, rules: Rules, lacks: Lacks, effects: &mut Effects) -> Pod {
        let reason = rules.first_reason();
        let containers = rules.containers.iter().map(|rules| Container::new(*rules, reason)).collect();
        admit::tell(lacks, effects);
        Pod::with(now, rules, Sandbox::Held { lacks }, containers)
    }

    /// A pod found running by an agent that has just started. `created` is when the pod was accepted. Containers that have
    /// ended meanwhile are restarted by policy; an ending that was under way begins again with its full grace (spec 76), and so does
    /// what followed from a `verdict` ([`Effect::Condemn`]).
    pub fn adopt(
        now: Instant,
        created: Instant,
        rules: Rules,
        (pod, verdict): (PodRecord, Option<Verdict>),
        containers: &[ContainerRecord],
        effects: &mut Effects,
    ) -> Pod {
        let (reason, backoff) = (rules.first_reason(), Backoff::new(&rules.node));
        let records = containers.iter().chain(core::iter::repeat(&ContainerRecord::NEW));
        let adopted = rules
            .containers
            .iter()
            .zip(records)
            .map(|(rules, record)| Container::adopt(*rules, reason, record, &backoff));
        let adopted = adopted.collect();
        let mut this = Pod::with(created, rules, Sandbox::Ready { failures: 0, since: created }, adopted);
        if let Some(verdict) = verdict {
            let dead_after = now.after(this.grace_for(verdict));
            this.life = Life::Condemned { verdict, since: now, dead_after };
        }
        if let Some(order) = pod.ending {
            this.life.end(now, Cause::Deletion, order);
        }
        // When the conditions changed is not remembered: the newest moment that is, comes nearest.
        this.times = Times::all(this.containers.iter().filter_map(Container::newest).fold(created, Instant::max));
        this.step(now, Event::Wake, effects);
        this
    }

    pub(super) fn with(
        created: Instant,
        rules: Rules,
        sandbox: Sandbox,
        containers: heapless::Vec<Container, { limits::CONTAINERS }>,
    ) -> Pod {
        Pod {
            grace: rules.grace,
            backoff: Backoff::new(&rules.node),
            created,
            accepted: created,
            deadline: rules.active_deadline.map(|span| created.after(span)),
            sandbox,
            life: Life::Wanted,
            containers,
            times: Times::all(created),
            gates: rules.gates,
            anew: Anew::Never,
        }
    }

    /// Something happened. Late and doubled events are ignored.
    pub fn step(&mut self, now: Instant, event: Event, effects: &mut Effects) {
        let before = self.truths();
        self.hear(now, event, effects);
        self.advance(now, effects);
        self.times.note(now, before, self.truths());
    }

    /// The next moment at which time alone changes something; `None` where only an event can.
    pub fn poll_at(&self) -> Option<Instant> {
        let deadline = self.deadline_to_come();
        let next = match self.sandbox {
            Sandbox::Retry { due, .. } => Some(deadline.map_or(due, |deadline| deadline.min(due))),
            Sandbox::Ready { .. } => {
                let pod = self.life.dead_after().filter(|_| self.containers.iter().any(Container::is_unstopped));
                self.containers.iter().filter_map(Container::deadline).chain(pod).chain(deadline).min()
            }
            Sandbox::Held { .. }
            | Sandbox::Creating { .. }
            | Sandbox::Silent
            | Sandbox::Removing { .. }
            | Sandbox::Absent => None,
        };
        // A deadline that has saturated never comes.
        next.filter(|at| *at < Instant(u64::MAX))
    }

    /// Nothing is left of it.
    pub fn is_gone(&self) -> bool {
        self.is_terminating() && self.sandbox == Sandbox::Absent
    }

    /// Whether a replacement with a new UID is to be made now: it is gone, or it was deleted by force and its name is free (spec 80).
    pub fn wants_replacement(&self) -> bool {
        self.is_hidden() && self.life.order().is_some_and(|order| order.replace)
    }

    /// Whether it no longer shows in listings (gone, or deleted by force).
    pub fn is_hidden(&self) -> bool {
        self.is_gone() || self.life.order().is_some_and(|order| order.force)
    }

    /// `metadata.deletionTimestamp` is set: it lists as Terminating (spec 68).
    pub fn is_terminating(&self) -> bool {
        matches!(self.life, Life::Ending { .. })
    }

    /// When the grace period of its ending is over (spec 67).
    pub fn dead_after(&self) -> Option<Instant> {
        self.life.dead_after()
    }

    /// `status.phase`, computed from the containers' states (spec 53).
    pub fn phase(&self) -> Phase {
        self.phase_now()
    }

    /// `status.conditions`, in Kubernetes' order.
    pub fn conditions(&self) -> heapless::Vec<Condition, 7> {
        self.conditions_at(&self.times)
    }

    /// When it was accepted.
    pub fn created(&self) -> Instant {
        self.created
    }

    /// When there was room for it on this node; `activeDeadlineSeconds` count from then.
    pub fn accepted(&self) -> Instant {
        self.accepted
    }

    /// What it waits for that the node has not enough of (spec 96).
    pub fn lacks(&self) -> Option<Lacks> {
        match self.sandbox {
            Sandbox::Held { lacks } => Some(lacks),
            _ => None,
        }
    }

    /// The containers, in manifest order; the ephemeral ones behind them.
    pub fn containers(&self) -> &[Container] {
        &self.containers
    }
}

/// What follows.
impl Pod {
    /// Let time pass, and do what the states ask for.
    fn advance(&mut self, now: Instant, effects: &mut Effects) {
        if let Sandbox::Ready { .. } = self.sandbox {
            let dead_after = self.life.dead_after();
            let setting = Setting { ending: self.is_terminating(), grace: self.own_grace() };
            for (me, container) in (0..).zip(&mut self.containers) {
                container.expire(now, dead_after, me, effects);
                container.attend(now, setting, me, effects);
            }
            self.begin_anew(now, effects);
            self.settle(now, effects);
        }
        self.heed_deadline(now, effects);
        match self.sandbox {
            Sandbox::Held { .. } | Sandbox::Retry { .. } if self.is_over() => self.sandbox = Sandbox::Absent,
            Sandbox::Silent if self.is_terminating() => self.remove_sandbox(0, effects),
            Sandbox::Retry { failures, due } if due <= now => {
                self.sandbox = Sandbox::Creating { failures };
                effect::give(effects, Effect::CreateSandbox);
            }
            Sandbox::Ready { failures, .. } if !self.is_emptied() => {
                if !self.is_over() {
                    self.start_due(now, effects);
                } else if self.wind_down(now, effects) && self.is_terminating() {
                    self.remove_sandbox(failures, effects);
                }
            }
            Sandbox::Held { .. }
            | Sandbox::Creating { .. }
            | Sandbox::Retry { .. }
            | Sandbox::Ready { .. }
            | Sandbox::Silent
            | Sandbox::Removing { .. }
            | Sandbox::Absent => {}
        }
    }

    /// Decide about the containers that have ended, the last one first: whether a sidecar is wanted depends on those after it.
    pub(super) fn settle(&mut self, now: Instant, effects: &mut Effects) {
        if self.is_emptied() {
            return;
        }
        for me in (0..self.containers.len()).rev() {
            let unwanted =
                self.life != Life::Wanted || self.containers[me].kind() == ContainerKind::Sidecar && self.is_over();
            if !unwanted {
                self.containers[me].settle(now, &self.backoff, me as u8, effects);
            }
        }
    }

    /// Start whose turn it is: init containers and sidecars one after another, then all app containers (spec 36), at
    /// once but for the postStart hook of one, for which those behind it wait.
    fn start_due(&mut self, now: Instant, effects: &mut Effects) {
        self.start_ephemeral(now, effects);
        let mut held = false;
        for me in 0..self.containers.len() {
            if !held || self.containers[me].had_its_turn() {
                self.containers[me].start_if_due(now, me as u8, effects);
            }
            held |= self.containers[me].holds_back();
            if !self.lets_next_start(me) {
                return;
            }
        }
    }

    /// Whether the container after this one has its turn.
    pub(super) fn lets_next_start(&self, me: usize) -> bool {
        let (this, later) = (&self.containers[me], &self.containers[me + 1..]);
        match this.kind() {
            ContainerKind::Init => this.succeeded(),
            // Once is enough: that a later one was begun shows that this one had started.
            ContainerKind::Sidecar => {
                let mut own = later.iter().filter(|container| !container.is_ephemeral());
                this.has_started() || own.any(Container::is_begun)
            }
            ContainerKind::App | ContainerKind::Ephemeral => true,
        }
    }

    /// Whether nothing is started any more: the pod is being ended, or its work is done.
    pub(super) fn is_over(&self) -> bool {
        self.life != Life::Wanted || !self.is_emptied() && (self.init_failed() || self.apps_ended())
    }

    fn wind_down(&mut self, now: Instant, effects: &mut Effects) -> bool {
        let until = self.life.dead_after().unwrap_or_else(|| now.after(self.own_grace()));
        terminate::wind_down(&mut self.containers, until, self.life.manner(), effects)
    }

    /// What a container gets that is stopped while nobody ends the pod.
    pub(super) fn own_grace(&self) -> Duration {
        self.grace.max(terminate::SMALL_GRACE)
    }
}
