//! A pod that has failed as a whole, whatever its containers do: `activeDeadlineSeconds` are over, or it was evicted.
//!
//! Its containers are stopped as those of a pod that is being ended, but it stays, with its sandbox and its logs, until somebody
//! deletes it. As with kubelet it has failed only when none of its containers is left.

use super::container::Container;
use super::effect::{self, Effect, Effects};
use super::pod::Pod;
use super::terminate::{Life, Manner, SMALL_GRACE};
use crate::manifest::eviction::Evicted;
use crate::manifest::status::Verdict;
use crate::manifest::time::{Duration, Instant};

impl Pod {
    /// `status.reason` and `status.message`: why it has failed as a whole.
    pub fn verdict(&self) -> Option<Verdict> {
        let verdict = self.life.verdict().filter(|_| !self.containers.iter().any(Container::is_live));
        verdict.map(|(verdict, _)| verdict)
    }

    /// When the deadline ends the pod, if it may still do so.
    pub(super) fn deadline_to_come(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.may_fail())
    }

    /// Time has passed.
    pub(super) fn heed_deadline(&mut self, now: Instant, effects: &mut Effects) {
        if self.deadline_to_come().is_some_and(|at| at <= now) {
            self.condemn(now, Verdict::DeadlineExceeded, effects);
        }
    }

    /// [`super::effect::Event::Evict`].
    pub(super) fn evict(&mut self, now: Instant, why: Evicted, effects: &mut Effects) {
        if self.may_fail() {
            self.condemn(now, Verdict::Evicted(why), effects);
        }
    }

    /// Whether it can still fail as a whole: it was accepted, and is neither over nor being ended.
    pub fn may_fail(&self) -> bool {
        self.lacks().is_none() && self.life == Life::Wanted && !self.phase().is_terminal()
    }

    /// What its containers get to end in. An eviction has no time.
    pub(super) fn grace_for(&self, verdict: Verdict) -> Duration {
        match verdict {
            Verdict::DeadlineExceeded => self.own_grace(),
            Verdict::Evicted(_) => SMALL_GRACE,
        }
    }

    /// The pod has failed as a whole.
    fn condemn(&mut self, now: Instant, verdict: Verdict, effects: &mut Effects) {
        let dead_after = now.after(self.grace_for(verdict));
        self.life = Life::Condemned { verdict, since: now, dead_after };
        effect::give(effects, Effect::Condemn(verdict));
        for (me, container) in (0..).zip(&mut self.containers) {
            container.hasten(dead_after, Manner::Gently, me, effects);
        }
    }
}
