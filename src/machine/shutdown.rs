//! The node's shutdown (spec G, last point): regular pods end first, then critical ones, within one budget.
//!
//! | state    | pods of the wave are gone, or its time is up      | else |
//! |----------|---------------------------------------------------|------|
//! | Regular  | → Critical: end the critical pods                 | wait |
//! | Critical | → Done                                            | wait |
//! | Done     | –                                                 | –    |
//!
//! It knows no pods, only how many are left: whoever drives it ends them ([`super::effect::Event::Shutdown`]).

use crate::manifest::time::{Duration, Instant};

/// What a wave gets beyond its grace period for the kills and their aftermath, before it is left behind.
const AFTERMATH: Duration = Duration::from_secs(5);
/// The part of the budget that is kept for the critical pods: one in this many.
const CRITICAL_SHARE: u64 = 3;

/// The pods that end together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wave {
    /// First.
    Regular,
    /// Those that others lean on.
    Critical,
}

/// How many pods are not gone yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Of the first wave.
    pub regular: usize,
    /// Of the second.
    pub critical: usize,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// End the pods of this wave, each within its own grace period and within this.
    End(Wave, Duration),
    /// Wait until a pod is gone, or until [`Shutdown::poll_at`].
    Wait,
    /// Go on with file systems and power: nothing is left, or nothing that would end.
    Done,
}

/// The shutdown of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    deadline: Instant,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asked,
    Regular { until: Instant },
    Critical { until: Instant },
    Done,
}

impl Shutdown {
    /// A shutdown that gives all pods together `budget`.
    pub fn new(now: Instant, budget: Duration) -> Shutdown {
        Shutdown { deadline: now.after(budget), state: State::Asked }
    }

    /// Time has passed, or a pod is gone. Call it until it says [`Next::Wait`] or [`Next::Done`].
    pub fn step(&mut self, now: Instant, left: Left) -> Next {
        match self.state {
            State::Asked => {
                let budget = self.deadline.since(now);
                let kept = if left.critical > 0 { budget.0 / CRITICAL_SHARE } else { 0 };
                let grace = Duration(budget.0 - kept);
                self.state = State::Regular { until: now.after(grace).after(AFTERMATH) };
                Next::End(Wave::Regular, grace)
            }
            State::Regular { until } if left.regular == 0 || until <= now => {
                let grace = self.deadline.since(now);
                self.state = State::Critical { until: now.after(grace).after(AFTERMATH) };
                Next::End(Wave::Critical, grace)
            }
            State::Critical { until } if left.critical == 0 || until <= now => {
                self.state = State::Done;
                Next::Done
            }
            State::Regular { .. } | State::Critical { .. } => Next::Wait,
            State::Done => Next::Done,
        }
    }

    /// When time alone goes on with it.
    pub fn poll_at(&self) -> Option<Instant> {
        match self.state {
            State::Regular { until } | State::Critical { until } => Some(until),
            State::Asked | State::Done => None,
        }
    }
}
