//! The ending of a pod (spec 66–82): how long it may take, and who ends when.
//!
//! Everything but the sidecars is stopped at once; the sidecars follow one by one, the last one first, once nothing else is
//! left; at expiry whatever is left is killed. The same order ends the sidecars of a pod whose work is done.

use super::container::{Container, State};
use super::effect::{self, Effect, Effects};
use crate::manifest::pod::ContainerKind;
use crate::manifest::record::Ending;
use crate::manifest::status::{Message, Verdict};
use crate::manifest::time::{Duration, Instant};

/// What the node gives even a forced pod (spec 81), and any other that would get nothing.
pub(super) const SMALL_GRACE: Duration = Duration::from_secs(2);

/// What a preStop hook that is still running at expiry gets beyond it (spec 70).
const PRE_STOP_EXTRA: Duration = Duration::from_secs(2);
/// How long a killed container may take to be gone before people are told (spec 77).
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// The first pause between such reports; it doubles.
const REPORT_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause between such reports.
const REPORT_PAUSE_CAP: Duration = Duration::from_secs(3600);
/// How a container is to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// With its preStop hook.
    Gently,
    /// The stop signal at once (spec 80).
    ByForce,
}

/// Who ends a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody deletes it.
    Deletion,
    /// The node shuts down.
    Shutdown,
}

/// Whether a pod is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It is.
    Wanted,
    /// It has failed as a whole: its containers are being stopped, or are, and so it stays until somebody deletes it.
    Condemned {
        /// Why.
        verdict: Verdict,
        /// Since when.
        since: Instant,
        /// When the grace period of its containers is over.
        dead_after: Instant,
    },
    /// It is being ended, and nothing revokes that.
    Ending {
        /// By whom.
        cause: Cause,
        /// When that began.
        since: Instant,
        /// When its grace period is over (spec 67).
        dead_after: Instant,
        /// What its pod-init remembers of it.
        order: Ending,
        /// It had failed as a whole before, and when.
        verdict: Option<(Verdict, Instant)>,
    },
}

impl Life {
    /// The ending `order` from now on. One that is under way may be hastened and changed in what follows it, never slowed.
    pub(super) fn end(&mut self, now: Instant, cause: Cause, order: Ending) {
        let order = Ending { grace_ms: granted(&order).0, ..order };
        let dead_after = now.after(granted(&order));
        *self = match *self {
            Life::Wanted => Life::Ending { cause, since: now, dead_after, order, verdict: None },
            Life::Condemned { verdict, since, dead_after: before } => {
                let (dead_after, verdict) = (dead_after.min(before), Some((verdict, since)));
                Life::Ending { cause, since: now, dead_after, order, verdict }
            }
            Life::Ending { cause: first, since, dead_after: before, order: old, verdict } => Life::Ending {
                cause: if cause == Cause::Shutdown { cause } else { first },
                since,
                dead_after: dead_after.min(before),
                order: Ending {
                    grace_ms: order.grace_ms.min(old.grace_ms),
                    force: order.force || old.force,
                    replace: order.replace,
                },
                verdict,
            },
        };
    }

    /// The ending's order, while there is one.
    pub(super) fn order(&self) -> Option<Ending> {
        match *self {
            Life::Wanted | Life::Condemned { .. } => None,
            Life::Ending { order, .. } => Some(order),
        }
    }

    /// Why the pod has failed as a whole, if it has, and since when.
    pub(super) fn verdict(&self) -> Option<(Verdict, Instant)> {
        match *self {
            Life::Wanted => None,
            Life::Condemned { verdict, since, .. } => Some((verdict, since)),
            Life::Ending { verdict, .. } => verdict,
        }
    }

    /// Since when the node ends it of its own accord: by its shutdown, or by eviction.
    pub(super) fn disrupted(&self) -> Option<Instant> {
        match *self {
            Life::Ending { cause: Cause::Shutdown, since, .. } => Some(since),
            _ => self.verdict().filter(|(verdict, _)| matches!(verdict, Verdict::Evicted(_))).map(|(_, since)| since),
        }
    }

    /// When its grace period is over.
    pub(super) fn dead_after(&self) -> Option<Instant> {
        match *self {
            Life::Wanted => None,
            Life::Condemned { dead_after, .. } | Life::Ending { dead_after, .. } => Some(dead_after),
        }
    }

    /// How its containers are stopped.
    pub(super) fn manner(&self) -> Manner {
        if self.order().is_some_and(|order| order.force) { Manner::ByForce } else { Manner::Gently }
    }
}

/// The grace period that an order really gives.
pub(super) fn granted(order: &Ending) -> Duration {
    if order.force { SMALL_GRACE } else { Duration(order.grace_ms).max(SMALL_GRACE) }
}

/// Bring the containers of a pod that is over a step nearer to their end. Says whether none is left.
pub(super) fn wind_down(containers: &mut [Container], until: Instant, manner: Manner, effects: &mut Effects) -> bool {
    let mut main_left = false;
    for (me, container) in (0..).zip(containers.iter_mut()) {
        container.give_up();
        if container.kind() != ContainerKind::Sidecar {
            container.stop(until, manner, me, effects);
            main_left |= container.is_live();
        }
    }
    if main_left {
        return false;
    }
    match (0..).zip(containers.iter_mut()).filter(|(_, container)| container.is_live()).last() {
        Some((me, sidecar)) => {
            sidecar.stop(until, manner, me, effects);
            false
        }
        None => true,
    }
}

/// How one container ends.
impl Container {
    /// Begin to stop it, if it runs and nobody has yet (spec 69–71).
    pub(super) fn stop(&mut self, until: Instant, manner: Manner, me: u8, effects: &mut Effects) {
        self.stop_because("Stopping container", until, manner, me, effects);
    }

    /// The same, with what people are told.
    pub(super) fn stop_because(&mut self, why: &str, until: Instant, manner: Manner, me: u8, effects: &mut Effects) {
        let State::Running { started } = self.state else {
            return;
        };
        effect::tell(effects, "Killing", Some(me), why);
        if self.rules.pre_stop && manner == Manner::Gently {
            self.state = State::PreStop { started, until };
            effect::give(effects, Effect::PreStop { container: me, instance: self.instance });
        } else {
            self.state = State::Stopping { started, until };
            effect::give(effects, Effect::Stop { container: me });
        }
    }

    /// It is being stopped already, and now has less time, or no time for its hook.
    pub(super) fn hasten(&mut self, by: Instant, manner: Manner, me: u8, effects: &mut Effects) {
        match &mut self.state {
            State::PreStop { started, until } if manner == Manner::ByForce => {
                self.state = State::Stopping { started: *started, until: by.min(*until) };
                effect::give(effects, Effect::Stop { container: me });
            }
            State::PreStop { until, .. } | State::Stopping { until, .. } => *until = by.min(*until),
            _ => {}
        }
    }

    /// [`super::effect::Event::PreStopEnded`].
    pub(super) fn pre_stop_ended(&mut self, instance: u32, failure: Option<Message>, me: u8, effects: &mut Effects) {
        let State::PreStop { started, until } = self.state else {
            return;
        };
        if instance != self.instance {
            return;
        }
        if let Some(failure) = failure {
            effect::warn(effects, "FailedPreStopHook", Some(me), &failure);
        }
        self.state = State::Stopping { started, until };
        effect::give(effects, Effect::Stop { container: me });
    }

    /// Time has passed. `dead_after`: when the grace period of the whole pod is over, if it is being ended.
    pub(super) fn expire(&mut self, now: Instant, dead_after: Option<Instant>, me: u8, effects: &mut Effects) {
        let pod_expired = dead_after.is_some_and(|at| at <= now);
        match self.state {
            State::PreStop { started, until } if until <= now => {
                effect::warn(
                    effects,
                    "FailedPreStopHook",
                    Some(me),
                    "preStop hook did not end within the grace period",
                );
                self.state = State::Stopping { started, until: now.after(PRE_STOP_EXTRA) };
                effect::give(effects, Effect::Stop { container: me });
            }
            State::Stopping { started, until } if until <= now => self.kill(now, Some(started), me, effects),
            State::Running { started } if pod_expired => self.kill(now, Some(started), me, effects),
            State::Starting if pod_expired => self.kill(now, None, me, effects),
            State::Killing { started, report_at, pause } if report_at <= now => {
                let text = "the container is still there after it was killed; a process of it may hang in the kernel";
                effect::warn(effects, "FailedKillPod", Some(me), text);
                effect::give(effects, Effect::Kill { container: me });
                let next = Duration(pause.0.saturating_mul(2)).min(REPORT_PAUSE_CAP);
                self.state = State::Killing { started, report_at: now.after(pause), pause: next };
            }
            _ => {}
        }
    }

    /// Kill it, if it is there and is not being killed already.
    pub(super) fn kill_at_once(&mut self, now: Instant, me: u8, effects: &mut Effects) {
        let started = match self.state {
            State::Starting => None,
            State::Running { started } | State::PreStop { started, .. } | State::Stopping { started, .. } => {
                Some(started)
            }
            State::Queued { .. } | State::BackOff { .. } | State::Killing { .. } | State::Ended(_) => return,
        };
        effect::tell(effects, "Killing", Some(me), "Stopping container");
        self.kill(now, started, me, effects);
    }

    fn kill(&mut self, now: Instant, started: Option<Instant>, me: u8, effects: &mut Effects) {
        self.state = State::Killing { started, report_at: now.after(KILL_PATIENCE), pause: REPORT_PAUSE };
        effect::give(effects, Effect::Kill { container: me });
    }
}
