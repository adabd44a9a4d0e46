//! The probes and the postStart hook of a container: when each runs, and what its results make of the instance (spec 44).
//!
//! An instance goes through the stages of [`Stage`]. What runs in which of them, while the container is neither being stopped nor
//! in a pod that is being ended (where readiness alone goes on, as with kubelet):
//!
//! | stage       | runs                | its success            | its failure, often enough in a row                       |
//! |-------------|---------------------|------------------------|----------------------------------------------------------|
//! | New         | the postStart hook  | → Begun                | → HookFailed                                             |
//! | Begun       | startup             | → Started              | → ProbeFailed                                            |
//! | Started     | liveness, readiness | readiness: → Ready     | liveness: → ProbeFailed                                  |
//! | Ready       | liveness, readiness | ·                      | liveness: → ProbeFailed; readiness: → Started            |
//! | HookFailed  | nothing: it is stopped                       | |                                                          |
//! | ProbeFailed | nothing: it is stopped                       | |                                                          |
//! | Renewed     | nothing: it is stopped, and started again    | |                                                          |
//!
//! A stage for which there is nothing to run is passed at once.

use super::container::{Container, ContainerRules, State};
use super::effect::{self, Effect, Effects};
use super::terminate::{Manner, SMALL_GRACE};
use crate::manifest::pod::{ContainerKind, RestartPolicy};
use crate::manifest::probe::{ProbeKind, Timing};
use crate::manifest::record::Stage;
use crate::manifest::status::Message;
use crate::manifest::time::{Duration, Instant};

/// How one run of a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Success,
    /// As it should, and what somebody should look at all the same.
    Warning(Message),
    /// The container did not answer as it should, and how.
    Failure(Message),
    /// The probe could not be carried out, and why: it counts for nothing.
    Unknown(Message),
}

/// Where one probe, or the hook, of an instance is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Run {
    /// It has nothing to find out.
    #[default]
    Idle,
    /// It is due then.
    Waiting { due: Instant },
    /// It is ordered, since then.
    Underway { begun: Instant },
}

/// How many results of one kind there were in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Streak {
    Good(u32),
    Bad(u32),
}

/// What the probes of one instance have found out, and when they go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probes {
    stage: Stage,
    hook: Run,
    runs: [(Run, Streak); 3],
}

impl Default for Probes {
    fn default() -> Probes {
        Probes { stage: Stage::New, hook: Run::Idle, runs: [(Run::Idle, Streak::Good(0)); 3] }
    }
}

impl Probes {
    /// The probes of an instance that runs since `started` and had come to `stage` already, if an agent before this one knew it.
    pub(super) fn begin(rules: &ContainerRules, started: Instant, stage: Stage) -> Probes {
        let mut probes = Probes::default();
        probes.enter(rules, started, started, stage);
        probes
    }

    /// Goes to a stage, and on from there where there is nothing to wait for.
    fn enter(&mut self, rules: &ContainerRules, started: Instant, now: Instant, stage: Stage) {
        let was_started = matches!(self.stage, Stage::Started | Stage::Ready);
        self.stage = stage;
        self.hook = Run::Idle;
        let has = |kind: ProbeKind| rules.probe(kind).is_some();
        match stage {
            Stage::New if rules.post_start => self.hook = Run::Waiting { due: now },
            Stage::New => self.enter(rules, started, now, Stage::Begun),
            Stage::Begun if has(ProbeKind::Startup) => self.schedule(rules, started, now, ProbeKind::Startup),
            Stage::Begun => self.enter(rules, started, now, Stage::Started),
            Stage::Started | Stage::Ready => {
                if stage == Stage::Started && !has(ProbeKind::Readiness) {
                    self.stage = Stage::Ready;
                }
                if !was_started {
                    self.runs[ProbeKind::Startup as usize].0 = Run::Idle;
                    self.schedule(rules, started, now, ProbeKind::Liveness);
                    self.schedule(rules, started, now, ProbeKind::Readiness);
                }
            }
            Stage::HookFailed | Stage::ProbeFailed(_) | Stage::Renewed | Stage::Earlier | Stage::Anew => {
                self.runs.iter_mut().for_each(|(run, _)| *run = Run::Idle)
            }
        }
    }

    /// The first run of a probe: now, or when its initial delay is over.
    fn schedule(&mut self, rules: &ContainerRules, started: Instant, now: Instant, kind: ProbeKind) {
        if let Some(timing) = rules.probe(kind) {
            let due = started.after(Duration::from_secs(timing.delay_seconds.into())).max(now);
            self.runs[kind as usize] = (Run::Waiting { due }, Streak::Good(0));
        }
    }

    /// Only readiness goes on: the rest would end what is being ended.
    fn only_readiness(&mut self) {
        self.hook = Run::Idle;
        self.runs[ProbeKind::Startup as usize].0 = Run::Idle;
        self.runs[ProbeKind::Liveness as usize].0 = Run::Idle;
    }

    /// What is due now, and so is begun: the hook, and each probe.
    fn take_due(&mut self, now: Instant) -> (bool, impl Iterator<Item = ProbeKind>) {
        let take = |run: &mut Run| match *run {
            Run::Waiting { due } if due <= now => {
                *run = Run::Underway { begun: now };
                true
            }
            _ => false,
        };
        let hook = take(&mut self.hook);
        let due = self.runs.each_mut().map(|(run, _)| take(run));
        (hook, ProbeKind::ALL.into_iter().filter(move |kind| due[*kind as usize]))
    }

    /// The next moment at which one of them is due.
    fn deadline(&self, whole: bool) -> Option<Instant> {
        let all = self.runs.iter().map(|(run, _)| *run).chain([self.hook]);
        let readiness = ProbeKind::Readiness as usize;
        all.enumerate().filter(|(n, _)| whole || *n == readiness).filter_map(|(_, run)| run.due()).min()
    }

    /// A run has ended: counts its result, and sets the next one. The verdict, once there are enough results of one kind in a row.
    fn count(&mut self, now: Instant, kind: ProbeKind, timing: &Timing, outcome: &Outcome) -> Option<Streak> {
        let (run, streak) = &mut self.runs[kind as usize];
        let Run::Underway { begun } = *run else { return None };
        *run = Run::Waiting { due: begun.after(Duration::from_secs(timing.period_seconds.into())).max(now) };
        *streak = match (outcome, *streak) {
            (Outcome::Unknown(_), _) => return None,
            (Outcome::Success | Outcome::Warning(_), Streak::Good(before)) => Streak::Good(before.saturating_add(1)),
            (Outcome::Success | Outcome::Warning(_), Streak::Bad(_)) => Streak::Good(1),
            (Outcome::Failure(_), Streak::Bad(before)) => Streak::Bad(before.saturating_add(1)),
            (Outcome::Failure(_), Streak::Good(_)) => Streak::Bad(1),
        };
        match *streak {
            Streak::Good(times) => times >= timing.successes,
            Streak::Bad(times) => times >= timing.failures,
        }
        .then_some(*streak)
    }

    fn is_underway(&self, kind: ProbeKind) -> bool {
        matches!(self.runs[kind as usize].0, Run::Underway { .. })
    }
}

impl Run {
    fn due(self) -> Option<Instant> {
        match self {
            Run::Waiting { due } => Some(due),
            Run::Idle | Run::Underway { .. } => None,
        }
    }
}

impl ContainerRules {
    fn probe(&self, kind: ProbeKind) -> Option<&Timing> {
        self.probes[kind as usize].as_ref()
    }
}

/// What a container's probes go by beside its own rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// The pod is being ended.
    pub(super) ending: bool,
    /// The pod's grace period.
    pub(super) grace: Duration,
}

/// What is so.
impl Container {
    /// `started`: it runs, its postStart hook has ended, and its startup probe has succeeded.
    pub fn has_started(&self) -> bool {
        let stage =
            matches!(self.probes.stage, Stage::Started | Stage::Ready | Stage::ProbeFailed(ProbeKind::Liveness));
        self.is_up() && stage
    }

    /// Its readiness probe says so, or it has none.
    pub(super) fn serves(&self) -> bool {
        self.is_up() && self.probes.stage == Stage::Ready
    }

    /// Its postStart hook has not ended, or has failed: people are not told yet that it runs.
    pub(super) fn is_unborn(&self) -> bool {
        self.has_failed_hook() || self.probes.hook != Run::Idle
    }

    /// A probe has found it to be ill: whatever its exit code, it failed.
    pub(super) fn is_ill(&self) -> bool {
        matches!(self.probes.stage, Stage::ProbeFailed(_))
    }

    /// Nobody but itself has ended it: its hook or one of its probes failed.
    pub(super) fn is_to_blame(&self) -> bool {
        self.is_ill() || self.has_failed_hook()
    }

    /// Its postStart hook has failed.
    pub(super) fn has_failed_hook(&self) -> bool {
        self.probes.stage == Stage::HookFailed
    }

    /// As with kubelet, containers behind it whose turn has not come wait for its postStart hook.
    pub(super) fn holds_back(&self) -> bool {
        let runs = matches!(self.state, State::Starting | State::Running { .. });
        self.rules.post_start && runs && self.probes.stage == Stage::New
    }

    /// When its next probe is due.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        match self.state {
            State::Running { .. } => self.probes.deadline(true),
            State::PreStop { .. } | State::Stopping { .. } => self.probes.deadline(false),
            _ => None,
        }
    }
}

/// What becomes of it.
impl Container {
    /// Begins the probes that are due, and the end of a container that they have found to be ill.
    pub(super) fn attend(&mut self, now: Instant, setting: Setting, me: u8, effects: &mut Effects) {
        // An init container goes on to its end, as with kubelet: what it has done is not undone.
        if let State::Running { started } = self.state
            && self.is_outdated()
            && !setting.ending
            && self.rules.kind != ContainerKind::Init
        {
            self.enter(now, started, Stage::Renewed, me, effects);
        }
        match (self.state, self.probes.stage) {
            (State::Running { .. }, Stage::Renewed) if !setting.ending => {
                let why = "Container {} definition changed, will be restarted";
                self.stop_because(why, now.after(setting.grace), Manner::Gently, me, effects);
            }
            (State::Running { .. }, Stage::HookFailed) if !setting.ending => {
                self.stop_because(
                    "Container {} failed postStart hook",
                    now.after(setting.grace),
                    Manner::Gently,
                    me,
                    effects,
                );
            }
            (State::Running { .. }, Stage::ProbeFailed(kind)) if !setting.ending => {
                let restarts =
                    self.rules.restart.policy != RestartPolicy::Never || self.rules.kind == ContainerKind::Sidecar;
                let why = match (kind, restarts) {
                    (ProbeKind::Startup, true) => "Container {} failed startup probe, will be restarted",
                    (ProbeKind::Startup, false) => "Container {} failed startup probe",
                    (_, true) => "Container {} failed liveness probe, will be restarted",
                    (_, false) => "Container {} failed liveness probe",
                };
                let own = self.rules.probe(kind).and_then(|timing| timing.grace_seconds);
                let grace = own.map_or(setting.grace, |seconds| Duration::from_secs(seconds.into()).max(SMALL_GRACE));
                self.stop_because(why, now.after(grace), Manner::Gently, me, effects);
            }
            (State::Running { .. }, _) if !setting.ending => {}
            (State::Running { .. } | State::PreStop { .. } | State::Stopping { .. }, _) => self.probes.only_readiness(),
            _ => return,
        }
        let (hook, due) = self.probes.take_due(now);
        if hook {
            effect::give(effects, Effect::PostStart { container: me, instance: self.instance });
        }
        for kind in due {
            effect::give(effects, Effect::Probe { container: me, instance: self.instance, kind });
        }
    }

    /// [`super::effect::Event::ProbeEnded`].
    pub(super) fn probe_ended(
        &mut self,
        now: Instant,
        (instance, kind, outcome): (u32, ProbeKind, Outcome),
        me: u8,
        effects: &mut Effects,
    ) {
        let started = match self.state {
            State::Running { started } | State::PreStop { started, .. } | State::Stopping { started, .. } => started,
            _ => return,
        };
        let (true, true, Some(timing)) =
            (instance == self.instance, self.probes.is_underway(kind), self.rules.probe(kind))
        else {
            return;
        };
        let timing = *timing;
        match &outcome {
            Outcome::Success => {}
            Outcome::Warning(text) => tell("ProbeWarning", kind, " probe warning: ", text, me, effects),
            Outcome::Failure(text) => tell("Unhealthy", kind, " probe failed: ", text, me, effects),
            Outcome::Unknown(text) => {
                tell("Unhealthy", kind, " probe errored and resulted in unknown state: ", text, me, effects)
            }
        }
        let stage = match (kind, self.probes.count(now, kind, &timing, &outcome)) {
            (ProbeKind::Startup, Some(Streak::Good(_))) => Stage::Started,
            (ProbeKind::Readiness, Some(Streak::Good(_))) => Stage::Ready,
            (ProbeKind::Readiness, Some(Streak::Bad(_))) => Stage::Started,
            (ProbeKind::Startup | ProbeKind::Liveness, Some(Streak::Bad(_))) => Stage::ProbeFailed(kind),
            (ProbeKind::Liveness, Some(Streak::Good(_))) | (_, None) => return,
        };
        self.enter(now, started, stage, me, effects);
    }

    /// [`super::effect::Event::PostStartEnded`].
    pub(super) fn post_start_ended(
        &mut self,
        now: Instant,
        (instance, failure): (u32, Option<Message>),
        me: u8,
        effects: &mut Effects,
    ) {
        let (State::Running { started }, Run::Underway { .. }, true) =
            (self.state, self.probes.hook, instance == self.instance)
        else {
            return;
        };
        if let Some(failure) = &failure {
            effect::warn(effects, "FailedPostStartHook", Some(me), failure);
        }
        let stage = if failure.is_some() { Stage::HookFailed } else { Stage::Begun };
        self.enter(now, started, stage, me, effects);
    }

    /// Goes to a stage, and has its pod-init remember it for an agent that comes after this one.
    fn enter(&mut self, now: Instant, started: Instant, stage: Stage, me: u8, effects: &mut Effects) {
        let before = self.probes.stage;
        self.probes.enter(&self.rules, started, now, stage);
        if self.probes.stage != before {
            let (instance, stage) = (self.instance, self.probes.stage);
            effect::give(effects, Effect::MarkStage { container: me, instance, stage });
        }
    }
}

/// Tells people what a probe has found, in kubelet's words, cut where they are too long.
fn tell(reason: &'static str, kind: ProbeKind, what: &str, text: &str, me: u8, effects: &mut Effects) {
    let mut whole = Message::new();
    for letter in [kind.as_str(), what, text].into_iter().flat_map(str::chars) {
        if whole.push(letter).is_err() {
            break;
        }
    }
    effect::warn(effects, reason, Some(me), &whole);
}
