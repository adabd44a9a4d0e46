//! One container's life: its instances one after another, and the waits between them.
//!
//! What each state makes of what happens (`·`: ignored, late or doubled; `E`: ended, see [`Container::settle`]):
//!
//! | state    | its turn, due | Started | StartFailed   | Exited | PreStopEnded | stop asked        | its deadline          |
//! |----------|---------------|---------|---------------|--------|--------------|-------------------|-----------------------|
//! | Queued   | → Starting    | ·       | ·             | ·      | ·            | ·                 | –                     |
//! | BackOff  | → Starting    | ·       | ·             | ·      | ·            | ·                 | (due)                 |
//! | Starting | –             | Running | BackOff, or E | E      | ·            | once it runs      | pod's → Killing       |
//! | Running  | –             | ·       | ·             | E      | ·            | PreStop, Stopping | pod's → Killing       |
//! | PreStop  | –             | ·       | ·             | E      | Stopping     | deadline nearer   | → Stopping, 2 s extra |
//! | Stopping | –             | ·       | ·             | E      | ·            | deadline nearer   | → Killing             |
//! | Killing  | –             | noted   | BackOff, or E | E      | ·            | ·                 | kill again and report |
//! | Ended    | –             | ·       | ·             | ·      | ·            | ·                 | –                     |
//!
//! A container of a living pod is only ever stopped to be started again (`restart POD -c CONTAINER`) or, being a sidecar, because
//! the pod is over; so what its end leads to needs no mark of its own.

use super::backoff::{Backoff, Shown};
use super::effect::{self, Effect, Effects};
use super::probe::Probes;
use super::restart::Restart;
use super::terminate::Manner;
use crate::manifest::limits;
use crate::manifest::pod::{ContainerKind, RestartPolicy};
use crate::manifest::probe::Timing;
use crate::manifest::record::{Memo, Stage};
use crate::manifest::status::{ContainerState, Exit, Message, Reason, Terminated};
use crate::manifest::time::{Duration, Instant};
use core::fmt::Write;

/// The exit code of a program that could not be executed.
pub(super) const NOT_EXECUTED: Exit = Exit { code: 128, signal: 0, oom: false };

/// What one container's life goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerRules {
    /// Its part in the pod.
    pub kind: ContainerKind,
    /// Whether there is a preStop hook to run.
    pub pre_stop: bool,
    /// What decides whether it is started again.
    pub restart: Restart,
    /// Whether there is a postStart hook to run.
    pub post_start: bool,
    /// Its probes, by [`crate::manifest::probe::ProbeKind`].
    pub probes: [Option<Timing>; limits::PROBES],
    /// What an instance is made of ([`crate::manifest::pod::Container::edition`]): one that is made of something else is renewed.
    pub edition: u64,
}

/// Where a container is. Each state owns its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not begun in this sandbox: its turn has not come. When it comes, it still waits until `due`.
    Queued { reason: Reason, due: Instant, after: Option<Terminated> },
    /// It was begun, and is started again at `due`; `after`: the end that it is restarted after, unless it could not be made at all.
    BackOff { reason: Reason, due: Instant, after: Option<Terminated> },
    /// Its start is ordered.
    Starting,
    /// Its program runs.
    Running { started: Instant },
    /// Its preStop hook runs.
    PreStop { started: Instant, until: Instant },
    /// The stop signal is sent.
    Stopping { started: Instant, until: Instant },
    /// The kill is ordered; people are told at `report_at` that it is still there.
    Killing { started: Option<Instant>, report_at: Instant, pause: Duration },
    /// It is over.
    Ended(Terminated),
}

/// One container of a pod: its status, for people; its life, for the pod.
#[derive(Clone, Debug)]
pub struct Container {
    pub(super) rules: ContainerRules,
    /// The newest instance ordered.
    pub(super) instance: u32,
    /// The memo of that instance.
    pub(super) memo: Memo,
    pub(super) state: State,
    /// What is known of that instance beyond its running.
    pub(super) probes: Probes,
    /// Why it waits, or was not started, in words.
    message: heapless::String<{ limits::MESSAGE }, u8>,
}

/// For people.
impl Container {
    /// `state`.
    pub fn state(&self) -> ContainerState {
        match self.state {
            State::Queued { reason, .. } | State::BackOff { reason, .. } => ContainerState::Waiting(reason),
            State::Starting | State::Killing { started: None, .. } => {
                ContainerState::Waiting(Reason::ContainerCreating)
            }
            _ if self.is_live() && self.is_unborn() => ContainerState::Waiting(Reason::ContainerCreating),
            State::Running { started }
            | State::PreStop { started, .. }
            | State::Stopping { started, .. }
            | State::Killing { started: Some(started), .. } => ContainerState::Running(started),
            State::Ended(terminated) => ContainerState::Terminated(terminated),
        }
    }

    /// `state.waiting.message`, or `state.terminated.message` where it could not be started.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// `lastState`.
    pub fn last(&self) -> Option<Terminated> {
        match self.state {
            State::Queued { after: Some(ended), .. } | State::BackOff { after: Some(ended), .. } => Some(ended),
            _ => self.memo.last,
        }
    }

    /// `restartCount`.
    pub fn restarts(&self) -> u32 {
        self.memo.restarts
    }

    /// `ready`: it runs and its readiness probe says so, or it is an init container that has succeeded. One that is being stopped may still serve (spec 73).
    pub fn ready(&self) -> bool {
        match self.rules.kind {
            ContainerKind::Init => self.succeeded(),
            ContainerKind::Sidecar | ContainerKind::App => self.serves(),
            ContainerKind::Ephemeral => false,
        }
    }

    /// The newest instance ordered, from 1; 0 where none was.
    pub fn instance(&self) -> u32 {
        self.instance
    }

    /// Its part in the pod.
    pub fn kind(&self) -> ContainerKind {
        self.rules.kind
    }
}

/// For the pod: what is so.
impl Container {
    /// An instance is there, or may be.
    pub(super) fn is_live(&self) -> bool {
        match self.state {
            State::Queued { .. } | State::BackOff { .. } | State::Ended(_) => false,
            State::Starting
            | State::Running { .. }
            | State::PreStop { .. }
            | State::Stopping { .. }
            | State::Killing { .. } => true,
        }
    }

    /// Its program runs, whether or not it is being stopped.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state(), ContainerState::Running(_))
    }

    /// It is live, and nobody has asked it to stop yet.
    pub(super) fn is_unstopped(&self) -> bool {
        matches!(self.state, State::Starting | State::Running { .. })
    }

    /// It was begun in this sandbox. (An app container that is over for good may have been so before it.)
    pub(super) fn is_begun(&self) -> bool {
        match self.state {
            State::Queued { .. } => false,
            State::Ended(_) => self.rules.kind != ContainerKind::App,
            _ => true,
        }
    }

    /// Its turn has come in this sandbox, or is over.
    pub(super) fn had_its_turn(&self) -> bool {
        !matches!(self.state, State::Queued { .. })
    }

    /// Its newest instance is not made of what it should be any more.
    pub(super) fn is_outdated(&self) -> bool {
        self.instance > 0 && self.memo.edition != self.rules.edition
    }

    /// How it ended, if it is over for good.
    pub(super) fn ended(&self) -> Option<Terminated> {
        match self.state {
            State::Ended(terminated) => Some(terminated),
            _ => None,
        }
    }

    /// It ended well, for good.
    pub(super) fn succeeded(&self) -> bool {
        self.ended().is_some_and(|ended| ended.exit.success())
    }

    /// It ended in failure, and is not to be started again.
    pub(super) fn failed(&self) -> bool {
        let (kind, restart) = (self.rules.kind, self.rules.restart);
        self.ended().is_some_and(|ended| !ended.exit.success() && !restart.follows(kind, ended.exit))
    }

    /// The newest moment it remembers.
    pub(super) fn newest(&self) -> Option<Instant> {
        match self.state() {
            ContainerState::Running(started) => Some(started),
            ContainerState::Terminated(terminated) => Some(terminated.finished),
            ContainerState::Waiting(_) => self.last().map(|last| last.finished),
        }
    }

    /// When time alone changes its state, provided that its turn has come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let own = match self.state {
            State::BackOff { due, .. } => Some(due),
            State::PreStop { until, .. } | State::Stopping { until, .. } => Some(until),
            State::Killing { report_at, .. } => Some(report_at),
            State::Queued { .. } | State::Starting | State::Running { .. } | State::Ended(_) => None,
        };
        own.into_iter().chain(self.probe_at()).min()
    }
}

/// For the pod: what becomes of it.
impl Container {
    /// A container that waits for its turn.
    pub(super) fn new(rules: ContainerRules, reason: Reason) -> Container {
        let state = State::Queued { reason, due: Instant(0), after: None };
        let (memo, probes) = (Memo::NEW, Probes::default());
        Container { rules, instance: 0, memo, state, probes, message: heapless::String::new() }
    }

    /// Its turn has come: start it, if it is due.
    pub(super) fn start_if_due(&mut self, now: Instant, me: u8, effects: &mut Effects) {
        match self.state {
            State::Queued { due, after, .. } | State::BackOff { due, after, .. } if due <= now => {
                self.start(after, me, effects)
            }
            State::Queued { reason, due, after } => self.state = State::BackOff { reason, due, after },
            _ => {}
        }
    }

    fn start(&mut self, after: Option<Terminated>, me: u8, effects: &mut Effects) {
        self.instance = self.instance.saturating_add(1);
        let (failures, last) = (self.memo.failures.saturating_add(1), after.or(self.memo.last));
        let restarts = self.memo.restarts.saturating_add(after.is_some().into());
        self.memo = Memo { failures, last, edition: self.rules.edition, restarts };
        self.message.clear();
        self.probes = Probes::default();
        self.state = State::Starting;
        effect::give(effects, Effect::Start { container: me, instance: self.instance, memo: self.memo });
    }

    /// [`super::effect::Event::Started`].
    pub(super) fn started(&mut self, now: Instant, instance: u32, me: u8, effects: &mut Effects) {
        match &mut self.state {
            _ if instance != self.instance => {}
            State::Starting => {
                self.state = State::Running { started: now };
                self.probes = Probes::begin(&self.rules, now, Stage::New);
                effect::tell(effects, "Started", Some(me), "Started container");
            }
            State::Killing { started: started @ None, .. } => *started = Some(now),
            _ => {}
        }
    }

    /// [`super::effect::Event::StartFailed`].
    pub(super) fn start_failed(
        &mut self,
        now: Instant,
        (instance, reason, message): (u32, Reason, Message),
        backoff: &Backoff,
        me: u8,
        effects: &mut Effects,
    ) {
        match self.state {
            _ if instance != self.instance => {}
            State::Starting | State::Killing { started: None, .. } => {
                if reason == Reason::RunContainerError {
                    self.state = State::Ended(terminated(NOT_EXECUTED, None, now));
                } else {
                    self.refuse(now, reason, backoff);
                }
                self.say(&message);
                effect::warn(effects, "Failed", Some(me), &message);
            }
            _ => {}
        }
    }

    /// It could not be made: tried again whatever the restart policy, unless somebody waits for it by hand.
    pub(super) fn refuse(&mut self, now: Instant, reason: Reason, backoff: &Backoff) {
        if self.is_ephemeral() {
            self.state = State::Ended(terminated(NOT_EXECUTED, None, now));
            return;
        }
        self.state = State::BackOff { reason, due: now.after(backoff.after_refusal(self.memo.failures)), after: None };
    }

    /// [`super::effect::Event::Exited`]. One that was asked to stop is due again at once, unless it was for its own illness; where
    /// its pod is over, it is given up.
    pub(super) fn exited(&mut self, now: Instant, instance: u32, exit: Exit) {
        let (started, asked) = match self.state {
            _ if instance != self.instance => return,
            State::Queued { .. } | State::BackOff { .. } | State::Ended(_) => return,
            State::Starting => (None, false),
            State::Running { started } => (Some(started), false),
            State::PreStop { started, .. } | State::Stopping { started, .. } => (Some(started), true),
            State::Killing { started, .. } => (started, true),
        };
        let ended = terminated(exit, started, now);
        if asked && !self.is_to_blame() {
            self.restart_after(ended, now);
        } else {
            self.state = State::Ended(ended);
        }
    }

    /// The pod-init died, and the container with it: nobody saw how it ended (failure F3).
    pub(super) fn lost(&mut self, now: Instant) {
        if self.is_live() {
            let started = match self.state() {
                ContainerState::Running(started) => Some(started),
                _ => None,
            };
            let ended =
                Terminated { reason: Reason::ContainerStatusUnknown, exit: Exit::UNKNOWN, started, finished: now };
            self.state = State::Ended(ended);
        }
    }

    /// Its sandbox failed before anything was started in it: it waits for its turn as before.
    pub(super) fn unmade(&mut self, now: Instant) {
        if self.state == State::Starting {
            self.memo.failures = self.memo.failures.saturating_sub(1);
            self.state = State::Queued { reason: Reason::ContainerCreating, due: now, after: None };
        }
        self.lost(now);
        self.requeue();
    }

    /// Decide what its end leads to: a restart by policy, with the back-off counted from that end, or nothing.
    pub(super) fn settle(&mut self, now: Instant, backoff: &Backoff, me: u8, effects: &mut Effects) {
        let State::Ended(ended) = self.state else {
            return;
        };
        let ill = self.is_ill() && self.rules.restart.policy != RestartPolicy::Never;
        if !ill && !self.rules.restart.follows(self.rules.kind, ended.exit) {
            return;
        }
        let due = self.back_off(now, backoff);
        let wait = backoff.after_end(self.memo.failures);
        let reason = if self.has_failed_hook() { Reason::PostStartHookError } else { Reason::CrashLoopBackOff };
        self.state = State::BackOff { reason, due, after: Some(ended) };
        if due > now {
            let text = backoff_text(wait, &self.message);
            self.say(&text);
            effect::warn(effects, "BackOff", Some(me), &text);
        }
    }

    /// When it may start again after its end, which counts towards its back-off.
    pub(super) fn back_off(&mut self, now: Instant, backoff: &Backoff) -> Instant {
        let Some(ended) = self.ended() else { return now };
        if let Some(started) = ended.started {
            self.memo.failures = backoff.counted(self.memo.failures, ended.finished.since(started));
        }
        ended.finished.after(backoff.after_end(self.memo.failures))
    }

    /// Its pod begins anew in a new sandbox: what is not over waits for its turn again, and init containers run again.
    pub(super) fn requeue(&mut self) {
        match self.state {
            State::BackOff { reason, due, after } => self.state = State::Queued { reason, due, after },
            State::Ended(ended) if self.rules.kind == ContainerKind::Init => {
                self.memo.failures = 0;
                self.state = State::Queued { reason: Reason::PodInitializing, due: ended.finished, after: Some(ended) };
            }
            _ => {}
        }
    }

    /// It will not be started any more: it is what it was before it waited.
    pub(super) fn give_up(&mut self) {
        match self.state {
            State::Queued { reason, after, .. } | State::BackOff { reason, after, .. } => {
                self.state = match after.or_else(|| self.memo.last.take()) {
                    Some(ended) => {
                        self.message.clear();
                        State::Ended(ended)
                    }
                    None => State::Queued { reason, due: Instant(0), after: None },
                };
            }
            _ => {}
        }
    }

    /// Stop this instance and start the next one without back-off.
    pub(super) fn restart(&mut self, now: Instant, until: Instant, me: u8, effects: &mut Effects) {
        match self.state {
            State::Running { .. } => self.stop(until, Manner::Gently, me, effects),
            State::Queued { reason, after, .. } => {
                self.memo.failures = 0;
                self.state = State::Queued { reason, due: now, after };
            }
            State::BackOff { reason, after, .. } => {
                self.memo.failures = 0;
                self.state = State::BackOff { reason, due: now, after };
            }
            State::Ended(ended) if self.rules.kind == ContainerKind::App => {
                // Its turn may not have come in this sandbox.
                self.restart_after(ended, now);
                self.requeue();
            }
            State::Ended(_)
            | State::Starting
            | State::PreStop { .. }
            | State::Stopping { .. }
            | State::Killing { .. } => {}
        }
    }

    pub(super) fn restart_after(&mut self, ended: Terminated, now: Instant) {
        self.memo.failures = 0;
        self.state = State::BackOff { reason: Reason::ContainerCreating, due: now, after: Some(ended) };
    }

    /// Keep a text. It is a [`Message`], so it fits.
    fn say(&mut self, text: &str) {
        self.message = heapless::String::try_from(text).unwrap_or_default();
    }
}

/// The end of an instance, as people are told of it (spec 44).
pub(super) fn terminated(exit: Exit, started: Option<Instant>, finished: Instant) -> Terminated {
    let reason = match exit {
        exit if exit.success() => Reason::Completed,
        Exit { oom: true, .. } => Reason::OomKilled,
        _ => Reason::Error,
    };
    Terminated { reason, exit, started, finished }
}

/// kubelet's words for a back-off, and what was wrong where that is known, cut where it is too long.
fn backoff_text(wait: Duration, cause: &str) -> Message {
    let mut text = Message::new();
    let fits = write!(
        text,
        "back-off {} restarting failed container{}",
        Shown(wait),
        if cause.is_empty() { "" } else { ": " }
    );
    debug_assert!(fits.is_ok());
    for letter in cause.chars() {
        if text.push(letter).is_err() {
            break;
        }
    }
    text
}
