//! A Job's life (spec 54–58): which of its pods is to start, to be tried again or to end, and when the whole is over.
//!
//! Each completion, or worker on a queue, is a place that one pod after another may take. A failed pod stays to be looked at
//! until the next one is due. What is over stays over: only the time to live can still take the pods away.

use super::backoff::Backoff;
use crate::manifest::limits;
use crate::manifest::owner::{Goal, JobRules};
use crate::manifest::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// How one of its places stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// No pod yet, or none any more.
    Free,
    /// Somebody has deleted its pod: it stays free.
    Forsaken,
    /// Its pod is on its way or runs; its containers have been restarted so often.
    Active {
        /// Restarts of all of its containers.
        restarts: u32,
    },
    /// Its pod is being ended.
    Ending,
    /// Its pod has succeeded.
    Succeeded,
    /// Its pod has failed.
    Failed,
}

/// What is to be done. Pods are named by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Make a pod.
    Start(usize),
    /// Remove the failed pod; its place is wanted.
    Clear(usize),
    /// End the pod and remove it.
    End(usize),
    /// Tell people that it is over.
    Tell(Verdict),
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// `Complete`.
    Complete,
    /// `Failed`: more failures than `backoffLimit`.
    BackoffLimitExceeded,
    /// `Failed`: `activeDeadlineSeconds` have passed.
    DeadlineExceeded,
}

impl Verdict {
    /// The reason and message that Kubernetes' controller gives.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Verdict::Complete => ("Completed", "Job completed"),
            Verdict::BackoffLimitExceeded => ("BackoffLimitExceeded", "Job has reached the specified backoff limit"),
            Verdict::DeadlineExceeded => ("DeadlineExceeded", "Job was active longer than specified deadline"),
        }
    }
}

/// The orders of one step: one for each place, and the verdict.
pub type Orders = heapless::Vec<Order, { limits::PODS + 1 }>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Nothing has been started.
    New,
    /// Under way since then; pods have failed so often, the last time then. A bit for each place whose failed pod has been counted.
    Active { since: Instant, failures: u16, failed: Instant, counted: u64 },
    /// Over since then.
    Over { since: Instant, verdict: Verdict },
}

const _: () = assert!(limits::PODS <= u64::BITS as usize);

/// One Job. It can be written down and read again by an agent that comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job(State);

impl Default for Job {
    fn default() -> Self {
        Job(State::New)
    }
}

impl Job {
    /// Looks at all places (at most [`limits::PODS`]) and gives what is to be done about them. What has been ordered shows in
    /// the places of the next step.
    pub fn step(&mut self, now: Instant, rules: &JobRules, backoff: &Backoff, places: &[Place], orders: &mut Orders) {
        if let State::New = self.0
            && rules.parallelism > 0
        {
            self.0 = State::Active { since: now, failures: 0, failed: now, counted: 0 };
        }
        self.count(now, places);
        if let State::Active { .. } = self.0
            && let Some(verdict) = self.verdict(now, rules, places)
        {
            self.0 = State::Over { since: now, verdict };
            give(orders, Order::Tell(verdict));
        }
        match self.0 {
            State::New => {}
            State::Active { .. } => self.fill(now, rules, backoff, places, orders),
            State::Over { .. } => {
                let expired = self.expiry(rules).is_some_and(|at| at <= now);
                for (at, place) in places.iter().enumerate() {
                    let ends = match place {
                        Place::Active { .. } => true,
                        Place::Succeeded | Place::Failed => expired,
                        Place::Free | Place::Forsaken | Place::Ending => false,
                    };
                    if ends {
                        give(orders, Order::End(at));
                    }
                }
            }
        }
    }

    /// The next moment at which time alone changes something.
    pub fn poll_at(&self, rules: &JobRules, backoff: &Backoff, places: &[Place]) -> Option<Instant> {
        match self.0 {
            State::New => None,
            State::Active { since, .. } => {
                let deadline = rules.deadline_seconds.map(|seconds| since.after(Duration::from_secs(seconds.into())));
                let retry = places.contains(&Place::Failed).then(|| self.retry_at(backoff)).flatten();
                // Without room a retry waits for a pod's end, not for time.
                [deadline, retry.filter(|_| room(rules, places) > 0)].into_iter().flatten().min()
            }
            State::Over { .. } => {
                let remains = |place: &Place| matches!(place, Place::Succeeded | Place::Failed);
                self.expiry(rules).filter(|_| places.iter().any(remains))
            }
        }
    }

    /// How it went, once it is over.
    pub fn outcome(&self) -> Option<Verdict> {
        match self.0 {
            State::Over { verdict, .. } => Some(verdict),
            State::New | State::Active { .. } => None,
        }
    }

    /// Counts each failed pod once.
    fn count(&mut self, now: Instant, places: &[Place]) {
        let State::Active { failures, failed, counted, .. } = &mut self.0 else { return };
        for (at, place) in places.iter().enumerate().take(limits::PODS) {
            let bit = 1 << at;
            match place {
                Place::Failed if *counted & bit == 0 => {
                    *counted |= bit;
                    *failures = failures.saturating_add(1);
                    *failed = now;
                }
                Place::Failed => {}
                _ => *counted &= !bit,
            }
        }
    }

    fn verdict(&self, now: Instant, rules: &JobRules, places: &[Place]) -> Option<Verdict> {
        let State::Active { since, failures, .. } = self.0 else { return None };
        let is_active = |place: &Place| matches!(place, Place::Active { .. } | Place::Ending);
        let complete = match rules.goal {
            Goal::Each => places.iter().all(|place| *place == Place::Succeeded),
            Goal::Any => places.contains(&Place::Succeeded) && !places.iter().any(is_active),
        };
        let restarts = places.iter().fold(0u32, |sum, place| match place {
            Place::Active { restarts } => sum.saturating_add(*restarts),
            _ => sum,
        });
        if complete {
            Some(Verdict::Complete)
        } else if rules.deadline_seconds.is_some_and(|s| now.since(since) >= Duration::from_secs(s.into())) {
            Some(Verdict::DeadlineExceeded)
        } else if u32::from(failures) > rules.backoff_limit || restarts >= rules.backoff_limit.max(1) {
            Some(Verdict::BackoffLimitExceeded)
        } else {
            None
        }
    }

    /// Gives work to free places, as far as there is room.
    fn fill(&self, now: Instant, rules: &JobRules, backoff: &Backoff, places: &[Place], orders: &mut Orders) {
        // Workers on a queue: once one has found it empty, no more are sent.
        if rules.goal == Goal::Any && places.contains(&Place::Succeeded) {
            return;
        }
        let due = self.retry_at(backoff).is_none_or(|at| at <= now);
        for (at, place) in
            places.iter().enumerate().filter(|(_, place)| due && is_open(place)).take(room(rules, places))
        {
            give(orders, if *place == Place::Free { Order::Start(at) } else { Order::Clear(at) });
        }
    }

    /// After a failure nothing is started before that.
    fn retry_at(&self, backoff: &Backoff) -> Option<Instant> {
        match self.0 {
            State::Active { failures, failed, .. } if failures > 0 => {
                Some(failed.after(backoff.after_refusal(failures)))
            }
            _ => None,
        }
    }

    fn expiry(&self, rules: &JobRules) -> Option<Instant> {
        match self.0 {
            State::Over { since, .. } => {
                rules.ttl_seconds.map(|seconds| since.after(Duration::from_secs(seconds.into())))
            }
            State::New | State::Active { .. } => None,
        }
    }
}

/// Whether a place waits for a pod.
fn is_open(place: &Place) -> bool {
    matches!(place, Place::Free | Place::Failed)
}

/// How many more pods may run.
fn room(rules: &JobRules, places: &[Place]) -> usize {
    let active = places.iter().filter(|place| matches!(place, Place::Active { .. } | Place::Ending)).count();
    usize::from(rules.parallelism).saturating_sub(active)
}

/// There is room for one order a place and the verdict; nothing gives more.
fn give(orders: &mut Orders, order: Order) {
    let given = orders.push(order);
    debug_assert!(given.is_ok(), "more orders than places");
}

#[cfg(test)]
mod tests;
