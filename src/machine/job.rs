//! A Job's life (spec 54–58): which of its pods is to start, to be tried again or to end, and when the whole is over.
//!
//! Each completion, or worker on a queue, is a place that one pod after another may take. A failed pod stays to be looked at
//! until the next one is due. What is over stays over: only the time to live can still take the pods away.

use super::backoff::Backoff;
use crate::manifest::job::{FailureAction, SuccessRule};
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
    /// Its pod has failed, and means that.
    Failed(FailureAction),
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
    /// Tell people of a CronJob's time that has come.
    Note(Note),
}

/// What became of a time of a CronJob's schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A run begins.
    Begun,
    /// None does, for the one before has not ended.
    Busy,
    /// None does, for it is too late.
    Missed,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// `Complete`.
    Complete,
    /// `Complete`: as many as `successPolicy` asks for.
    SuccessPolicy,
    /// `Failed`: more failures than `backoffLimit`.
    BackoffLimitExceeded,
    /// `Failed`: `activeDeadlineSeconds` have passed.
    DeadlineExceeded,
    /// `Failed`: a pod failed in a way that `podFailurePolicy` calls final.
    PodFailurePolicy,
    /// `Failed`: all is done, and some numbers failed more often than `backoffLimitPerIndex`.
    FailedIndexes,
    /// `Failed`: more of them than `maxFailedIndexes`.
    MaxFailedIndexesExceeded,
}

impl Verdict {
    /// Whether it is `Complete`.
    pub const fn is_success(self) -> bool {
        matches!(self, Verdict::Complete | Verdict::SuccessPolicy)
    }

    /// The reason and message that Kubernetes' controller gives.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Verdict::Complete => ("Completed", "Job completed"),
            Verdict::SuccessPolicy => ("Completed", "Job completed, as its successPolicy says"),
            Verdict::BackoffLimitExceeded => ("BackoffLimitExceeded", "Job has reached the specified backoff limit"),
            Verdict::DeadlineExceeded => ("DeadlineExceeded", "Job was active longer than specified deadline"),
            Verdict::PodFailurePolicy => ("PodFailurePolicy", "Pod failed in a way that is final"),
            Verdict::FailedIndexes => ("FailedIndexes", "Job has failed indexes"),
            Verdict::MaxFailedIndexesExceeded => {
                ("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes")
            }
        }
    }
}

/// The orders of one step: one for each place, the verdict of each run, and what became of a CronJob's time.
pub type Orders = heapless::Vec<Order, { limits::PODS + limits::CRON_RUNS + 1 }>;

/// What is remembered of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Try {
    stage: Stage,
    /// Failed pods, and those of them that do not count.
    failures: u16,
    ignored: u16,
    /// When the last one failed.
    failed: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// It is tried, or will be.
    Open,
    /// The failed pod that is there has been counted.
    Counted,
    /// A pod has succeeded here.
    Succeeded,
    /// It has failed for good.
    GivenUp,
}

impl Try {
    const NEW: Try = Try { stage: Stage::Open, failures: 0, ignored: 0, failed: Instant(0) };

    fn counted(&self) -> u32 {
        self.failures.saturating_sub(self.ignored).into()
    }

    fn wants_pod(&self, place: &Place) -> bool {
        matches!(self.stage, Stage::Open | Stage::Counted) && matches!(place, Place::Free | Place::Failed(_))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "there are a few Jobs, and this floor has no heap")]
enum State {
    /// Nothing has been started.
    New,
    /// Under way since then.
    Active { since: Instant, tries: heapless::Vec<Try, { limits::PODS }> },
    /// Over since then.
    Over { since: Instant, verdict: Verdict },
}

const _: () = assert!(limits::PODS <= u64::BITS as usize);

/// One Job. It can be written down and read again by an agent that comes after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job(State);

impl Default for Job {
    fn default() -> Self {
        Job(State::New)
    }
}

impl Job {
    /// Looks at all places (at most [`limits::PODS`]) and gives what is to be done about them. What has been ordered shows in
    /// the places of the next step.
    pub fn step(
        &mut self,
        now: Instant,
        rules: &JobRules<'_>,
        backoff: &Backoff,
        places: &[Place],
        orders: &mut Orders,
    ) {
        if let State::New = self.0
            && rules.parallelism > 0
        {
            self.0 = State::Active { since: now, tries: places.iter().map(|_| Try::NEW).collect() };
        }
        if let State::Active { since, tries } = &mut self.0 {
            for (this, place) in tries.iter_mut().zip(places) {
                count(this, now, rules, place);
            }
            if let Some(verdict) = verdict(now, *since, rules, tries, places) {
                self.0 = State::Over { since: now, verdict };
                give(orders, Order::Tell(verdict));
            }
        }
        match &self.0 {
            State::New => {}
            State::Active { tries, .. } => fill(now, rules, backoff, (tries, places), orders),
            State::Over { .. } => {
                let expired = self.expiry(rules).is_some_and(|at| at <= now);
                for (at, place) in places.iter().enumerate() {
                    let ends = match place {
                        Place::Active { .. } => true,
                        Place::Succeeded | Place::Failed(_) => expired,
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
    pub fn poll_at(&self, rules: &JobRules<'_>, backoff: &Backoff, places: &[Place]) -> Option<Instant> {
        match &self.0 {
            State::New => None,
            State::Active { since, tries } => {
                let deadline = rules.deadline_seconds.map(|seconds| since.after(Duration::from_secs(seconds.into())));
                let open = tries.iter().zip(places).filter(|(this, place)| this.wants_pod(place));
                let retry = open.filter_map(|(this, _)| retry_at(rules, backoff, tries, this)).min();
                // Without room a retry waits for a pod's end, not for time.
                [deadline, retry.filter(|_| room(rules, places) > 0)].into_iter().flatten().min()
            }
            State::Over { .. } => {
                let remains = |place: &Place| matches!(place, Place::Succeeded | Place::Failed(_));
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

    fn expiry(&self, rules: &JobRules<'_>) -> Option<Instant> {
        match self.0 {
            State::Over { since, .. } => {
                rules.ttl_seconds.map(|seconds| since.after(Duration::from_secs(seconds.into())))
            }
            State::New | State::Active { .. } => None,
        }
    }
}

/// Counts each failed pod once.
fn count(this: &mut Try, now: Instant, rules: &JobRules<'_>, place: &Place) {
    match (place, this.stage) {
        (Place::Succeeded, Stage::Open | Stage::Counted) => this.stage = Stage::Succeeded,
        (Place::Failed(action), Stage::Open) => {
            this.failures = this.failures.saturating_add(1);
            this.ignored = this.ignored.saturating_add(u16::from(*action == FailureAction::Ignore));
            this.failed = now;
            let too_often = rules.index_backoff_limit.is_some_and(|limit| this.counted() > limit);
            let gives_up = too_often || *action == FailureAction::FailIndex;
            this.stage = if gives_up { Stage::GivenUp } else { Stage::Counted };
        }
        (Place::Failed(_), _) => {}
        (_, Stage::Counted) => this.stage = Stage::Open,
        (_, Stage::Open | Stage::Succeeded | Stage::GivenUp) => {}
    }
}

fn verdict(now: Instant, since: Instant, rules: &JobRules<'_>, tries: &[Try], places: &[Place]) -> Option<Verdict> {
    let is_active = |place: &Place| matches!(place, Place::Active { .. } | Place::Ending);
    let number = |stage| tries.iter().filter(|this| this.stage == stage).count();
    let (succeeded, given_up) = (number(Stage::Succeeded), number(Stage::GivenUp));
    let complete = match rules.goal {
        Goal::Each => succeeded + given_up == places.len(),
        Goal::Any => succeeded > 0 && !places.iter().any(is_active),
    };
    let restarts = places.iter().fold(0u32, |sum, place| match place {
        Place::Active { restarts } => sum.saturating_add(*restarts),
        _ => sum,
    });
    let failures = tries.iter().map(Try::counted).sum::<u32>();
    if places.contains(&Place::Failed(FailureAction::FailJob)) {
        Some(Verdict::PodFailurePolicy)
    } else if rules.max_failed_indexes.is_some_and(|most| given_up as u32 > most) {
        Some(Verdict::MaxFailedIndexesExceeded)
    } else if complete {
        Some(if given_up > 0 { Verdict::FailedIndexes } else { Verdict::Complete })
    } else if rules.deadline_seconds.is_some_and(|s| now.since(since) >= Duration::from_secs(s.into())) {
        Some(Verdict::DeadlineExceeded)
    } else if failures > rules.backoff_limit || restarts >= rules.backoff_limit.max(1) {
        Some(Verdict::BackoffLimitExceeded)
    } else if rules.success_policy.iter().any(|rule| is_met(rule, tries)) {
        Some(Verdict::SuccessPolicy)
    } else {
        None
    }
}

/// Whether as many numbers have succeeded as a rule asks for.
fn is_met(rule: SuccessRule, tries: &[Try]) -> bool {
    let succeeded = tries.iter().rev().fold(0u64, |bits, this| bits << 1 | u64::from(this.stage == Stage::Succeeded));
    (succeeded & rule.indexes).count_ones() >= rule.count.into()
}

/// Gives work to free places, as far as there is room.
fn fill(
    now: Instant,
    rules: &JobRules<'_>,
    backoff: &Backoff,
    (tries, places): (&[Try], &[Place]),
    orders: &mut Orders,
) {
    // Workers on a queue: once one has found it empty, no more are sent.
    if rules.goal == Goal::Any && tries.iter().any(|this| this.stage == Stage::Succeeded) {
        return;
    }
    let due = |this: &Try| retry_at(rules, backoff, tries, this).is_none_or(|at| at <= now);
    let open = tries.iter().zip(places).enumerate().filter(|(_, (this, place))| this.wants_pod(place) && due(this));
    for (at, (_, place)) in open.take(room(rules, places)) {
        give(orders, if *place == Place::Free { Order::Start(at) } else { Order::Clear(at) });
    }
}

/// After a failure nothing is started before that; where each number has a limit of its own, nothing of that number.
fn retry_at(rules: &JobRules<'_>, backoff: &Backoff, tries: &[Try], this: &Try) -> Option<Instant> {
    let (failures, failed) = match rules.index_backoff_limit {
        Some(_) => (this.failures, this.failed),
        None => tries.iter().fold((0u16, Instant(0)), |(failures, failed), this| {
            (failures.saturating_add(this.failures), failed.max(this.failed))
        }),
    };
    (failures > 0).then(|| failed.after(backoff.after_refusal(failures)))
}

/// How many more pods may run.
fn room(rules: &JobRules<'_>, places: &[Place]) -> usize {
    let active = places.iter().filter(|place| matches!(place, Place::Active { .. } | Place::Ending)).count();
    usize::from(rules.parallelism).saturating_sub(active)
}

impl Order {
    /// The same about places that come after `by` others.
    pub(super) fn moved(self, by: usize) -> Order {
        match self {
            Order::Start(at) => Order::Start(at + by),
            Order::Clear(at) => Order::Clear(at + by),
            Order::End(at) => Order::End(at + by),
            Order::Tell(_) | Order::Note(_) => self,
        }
    }
}

/// There is room for one order a place, a verdict of each run and a note; nothing gives more.
pub(super) fn give(orders: &mut Orders, order: Order) {
    let given = orders.push(order);
    debug_assert!(given.is_ok(), "more orders than places");
}

#[cfg(test)]
mod tests;
