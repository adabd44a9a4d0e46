//! A pod that has failed as a whole: `activeDeadlineSeconds` are over, whatever its containers do.
//!
//! Its containers are stopped as those of a pod that is being ended, but it stays, with its sandbox and its logs, until somebody
//! deletes it. As with kubelet it has failed only when none of its containers is left.

use super::container::Container;
use super::effect::{self, Effect, Effects};
use super::pod::Pod;
use super::terminate::{Life, Manner};
use crate::manifest::status::Verdict;
use crate::manifest::time::Instant;

impl Pod {
    /// `status.reason` and `status.message`: why it has failed as a whole.
    pub fn verdict(&self) -> Option<Verdict> {
        self.life.verdict().filter(|_| !self.containers.iter().any(Container::is_live))
    }

    /// When the deadline ends the pod, if it may still do so.
    pub(super) fn deadline_to_come(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.lacks().is_none() && self.life == Life::Wanted && !self.phase().is_terminal())
    }

    /// Time has passed.
    pub(super) fn heed_deadline(&mut self, now: Instant, effects: &mut Effects) {
        if self.deadline_to_come().is_some_and(|at| at <= now) {
            let verdict = Verdict::DeadlineExceeded;
            effect::tell(effects, verdict.as_str(), None, verdict.message());
            self.condemn(now, verdict, effects);
        }
    }

    /// The pod has failed as a whole.
    fn condemn(&mut self, now: Instant, verdict: Verdict, effects: &mut Effects) {
        let dead_after = now.after(self.own_grace());
        self.life = Life::Condemned { verdict, dead_after };
        effect::give(effects, Effect::Condemn(verdict));
        for (me, container) in (0..).zip(&mut self.containers) {
            container.hasten(dead_after, Manner::Gently, me, effects);
        }
    }
}
