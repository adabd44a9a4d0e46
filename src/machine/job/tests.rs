//! A Job under simulated time.

extern crate std;
use super::*;
use crate::manifest::List;
use crate::manifest::pod::Node;
use FailureAction::{Count, FailIndex, FailJob, Ignore};
use std::vec;
use std::vec::Vec;

const RULES: JobRules<'static> = JobRules {
    goal: Goal::Each,
    parallelism: 1,
    backoff_limit: 2,
    deadline_seconds: None,
    ttl_seconds: None,
    schedule: None,
    index_backoff_limit: None,
    max_failed_indexes: None,
    failure_policy: List::EMPTY,
    success_policy: List::EMPTY,
};
const ACTIVE: Place = Place::Active { restarts: 0 };

/// A Job and its places, with orders carried out as an agent would.
struct Story {
    job: Job,
    rules: JobRules<'static>,
    places: Vec<Place>,
    now: Instant,
}

impl Story {
    fn new(places: usize, rules: JobRules<'static>) -> Story {
        Story { job: Job::default(), rules, places: vec![Place::Free; places], now: Instant(5_000) }
    }

    fn step(&mut self) -> Vec<Order> {
        let mut orders = Orders::new();
        self.job.step(self.now, &self.rules, &backoff(), &self.places, &mut orders);
        for order in &orders {
            match *order {
                Order::Start(at) => self.places[at] = ACTIVE,
                Order::Clear(at) | Order::End(at) => self.places[at] = Place::Free,
                Order::Tell(_) | Order::Note(_) => {}
            }
        }
        orders.to_vec()
    }

    /// Goes on to the next moment that the machine names; gives the seconds until then.
    fn wait(&mut self) -> Option<u64> {
        let at = self.job.poll_at(&self.rules, &backoff(), &self.places)?;
        let span = at.since(self.now).as_secs();
        self.now = at;
        Some(span)
    }

    fn all(&mut self, place: Place) {
        self.places.iter_mut().filter(|it| **it == ACTIVE).for_each(|it| *it = place);
    }
}

fn backoff() -> Backoff {
    Backoff::new(&Node::default())
}

#[test]
fn spec_54_completions_run_as_parallel_as_they_may() {
    let mut story = Story::new(5, JobRules { parallelism: 2, ..RULES });
    assert_eq!(story.step(), [Order::Start(0), Order::Start(1)]);
    assert_eq!(story.step(), []);
    story.places[1] = Place::Succeeded;
    assert_eq!(story.step(), [Order::Start(2)]);
    story.all(Place::Succeeded);
    assert_eq!(story.step(), [Order::Start(3), Order::Start(4)]);
    story.all(Place::Succeeded);
    assert_eq!(story.step(), [Order::Tell(Verdict::Complete)]);
    assert_eq!((story.step(), story.wait()), (vec![], None));
}

#[test]
fn spec_54_failures_wait_longer_each_time_until_the_limit() {
    let mut story = Story::new(1, RULES);
    story.step();
    for seconds in [10, 20] {
        story.all(Place::Failed(Count));
        assert_eq!(story.step(), [], "the failed pod stays to be looked at");
        assert_eq!(story.wait(), Some(seconds));
        assert_eq!(story.step(), [Order::Clear(0)]);
        assert_eq!(story.step(), [Order::Start(0)]);
    }
    story.all(Place::Failed(Count));
    assert_eq!(story.step(), [Order::Tell(Verdict::BackoffLimitExceeded)]);
    assert_eq!((story.step(), story.wait(), story.places[0]), (vec![], None, Place::Failed(Count)));
    assert_eq!(story.job.outcome(), Some(Verdict::BackoffLimitExceeded));
}

#[test]
fn restarts_inside_a_pod_count_as_failures() {
    let mut story = Story::new(2, JobRules { parallelism: 2, ..RULES });
    story.step();
    story.places[0] = Place::Active { restarts: 1 };
    assert_eq!(story.step(), []);
    story.places[1] = Place::Active { restarts: 1 };
    assert_eq!(story.step(), [Order::Tell(Verdict::BackoffLimitExceeded), Order::End(0), Order::End(1)]);
    let mut story = Story::new(1, JobRules { backoff_limit: 0, ..RULES });
    story.step();
    assert_eq!(story.step(), [], "no restart is no failure");
    story.places[0] = Place::Active { restarts: 1 };
    assert_eq!(story.step()[0], Order::Tell(Verdict::BackoffLimitExceeded));
}

#[test]
fn the_deadline_ends_what_runs_and_goes_on_over_failures() {
    let mut story = Story::new(2, JobRules { parallelism: 2, deadline_seconds: Some(15), ..RULES });
    story.step();
    story.places[0] = Place::Failed(Count);
    story.step();
    assert_eq!(story.wait(), Some(10));
    assert_eq!(story.step(), [Order::Clear(0)]);
    story.step();
    assert_eq!(story.wait(), Some(5));
    assert_eq!(story.step(), [Order::Tell(Verdict::DeadlineExceeded), Order::End(0), Order::End(1)]);
}

#[test]
fn what_is_finished_is_removed_after_its_time_to_live() {
    let mut story = Story::new(1, JobRules { ttl_seconds: Some(100), ..RULES });
    story.step();
    story.all(Place::Succeeded);
    assert_eq!(story.step(), [Order::Tell(Verdict::Complete)]);
    assert_eq!(story.wait(), Some(100));
    assert_eq!(story.step(), [Order::End(0)]);
    assert_eq!((story.step(), story.wait()), (vec![], None), "and does not come back");
}

#[test]
fn a_work_queue_is_done_when_one_worker_says_so_and_the_others_have_ended() {
    let mut story = Story::new(3, JobRules { goal: Goal::Any, parallelism: 3, ..RULES });
    assert_eq!(story.step().len(), 3);
    story.places[1] = Place::Succeeded;
    story.places[2] = Place::Failed(Count);
    assert_eq!((story.step(), story.step()), (vec![], vec![]), "none is sent again");
    story.places[0] = Place::Succeeded;
    assert_eq!(story.step(), [Order::Tell(Verdict::Complete)]);
}

#[test]
fn suspended_jobs_wait_and_deleted_pods_stay_away() {
    let mut story = Story::new(1, JobRules { parallelism: 0, deadline_seconds: Some(1), ..RULES });
    assert_eq!((story.step(), story.wait()), (vec![], None));
    let mut story = Story::new(2, RULES);
    story.places[0] = Place::Forsaken;
    assert_eq!(story.step(), [Order::Start(1)]);
    let mut story = Story::new(0, RULES);
    assert_eq!(story.step(), [Order::Tell(Verdict::Complete)], "nothing to do is done");
}

#[test]
fn a_job_without_room_has_no_timer_for_its_retry() {
    let mut story = Story::new(2, RULES);
    story.step();
    story.places = vec![Place::Failed(Count), ACTIVE];
    assert_eq!((story.step(), story.wait()), (vec![], None));
}

#[test]
fn it_can_be_written_down() {
    let mut story = Story::new(1, RULES);
    story.step();
    story.all(Place::Failed(Count));
    story.step();
    let mut room = [0; 128];
    let bytes = postcard::to_slice(&story.job, &mut room).unwrap();
    assert_eq!(postcard::from_bytes::<Job>(bytes).unwrap(), story.job);
}

#[test]
fn spec_54_what_a_failed_pod_means_decides_about_the_job() {
    let mut story = Story::new(2, JobRules { parallelism: 2, ..RULES });
    story.step();
    story.places[1] = Place::Failed(FailJob);
    assert_eq!(story.step(), [Order::Tell(Verdict::PodFailurePolicy), Order::End(0)]);

    let mut story = Story::new(1, JobRules { backoff_limit: 0, ..RULES });
    story.step();
    for seconds in [10, 20, 40] {
        story.all(Place::Failed(Ignore));
        assert_eq!((story.step(), story.wait()), (vec![], Some(seconds)), "not counted, but not tried again at once");
        assert_eq!((story.step(), story.step()), (vec![Order::Clear(0)], vec![Order::Start(0)]));
    }
    story.all(Place::Failed(Count));
    assert_eq!(story.step(), [Order::Tell(Verdict::BackoffLimitExceeded)]);
}

#[test]
fn spec_54_each_number_has_a_limit_of_its_own() {
    let rules = JobRules { parallelism: 2, backoff_limit: u32::MAX, index_backoff_limit: Some(1), ..RULES };
    let mut story = Story::new(3, rules);
    story.step();
    story.places[0] = Place::Failed(Count);
    assert_eq!(story.step(), [Order::Start(2)], "the wait is that of the number which has failed");
    story.places[2] = Place::Succeeded;
    assert_eq!(story.step(), []);
    assert_eq!(story.wait(), Some(10));
    assert_eq!((story.step(), story.step()), (vec![Order::Clear(0)], vec![Order::Start(0)]));
    story.places[0] = Place::Failed(Count);
    assert_eq!((story.step(), story.wait()), (vec![], None), "it has failed for good, and the others go on");
    story.places[1] = Place::Succeeded;
    assert_eq!(story.step(), [Order::Tell(Verdict::FailedIndexes)]);

    let mut story = Story::new(3, JobRules { max_failed_indexes: Some(0), ..rules });
    story.step();
    story.places[1] = Place::Failed(FailIndex);
    assert_eq!(story.step(), [Order::Tell(Verdict::MaxFailedIndexesExceeded), Order::End(0)]);
}

#[test]
fn spec_54_some_successes_may_be_enough() {
    let rule = |indexes, count| {
        let bytes = postcard::to_stdvec(&SuccessRule { indexes, count }).unwrap();
        let rules = JobRules { parallelism: 3, success_policy: List::from_bytes(bytes.leak()), ..RULES };
        let mut story = Story::new(3, rules);
        story.step();
        story
    };
    let mut story = rule(0b110, 1);
    story.places[0] = Place::Succeeded;
    assert_eq!(story.step(), []);
    story.places[2] = Place::Succeeded;
    assert_eq!(story.step(), [Order::Tell(Verdict::SuccessPolicy), Order::End(1)]);
    let mut story = rule(0b011, 2);
    story.places[1] = Place::Succeeded;
    assert_eq!(story.step(), []);
    story.places[0] = Place::Succeeded;
    assert_eq!(story.step(), [Order::Tell(Verdict::SuccessPolicy), Order::End(2)]);
}

#[test]
fn a_pod_that_has_succeeded_may_be_deleted() {
    let mut story = Story::new(2, RULES);
    story.step();
    story.places[0] = Place::Succeeded;
    assert_eq!(story.step(), [Order::Start(1)]);
    story.places = vec![Place::Forsaken, Place::Succeeded];
    assert_eq!(story.step(), [Order::Tell(Verdict::Complete)]);
}
