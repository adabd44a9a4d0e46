//! A Job under simulated time.

extern crate std;
use super::*;
use crate::manifest::pod::Node;
use std::vec;
use std::vec::Vec;

const RULES: JobRules = JobRules {
    goal: Goal::Each,
    parallelism: 1,
    backoff_limit: 2,
    deadline_seconds: None,
    ttl_seconds: None,
    schedule: None,
};
const ACTIVE: Place = Place::Active { restarts: 0 };

/// A Job and its places, with orders carried out as an agent would.
struct Story {
    job: Job,
    rules: JobRules,
    places: Vec<Place>,
    now: Instant,
}

impl Story {
    fn new(places: usize, rules: JobRules) -> Story {
        Story { job: Job::default(), rules, places: vec![Place::Free; places], now: Instant(5_000) }
    }

    fn step(&mut self) -> Vec<Order> {
        let mut orders = Orders::new();
        self.job.step(self.now, &self.rules, &backoff(), &self.places, &mut orders);
        for order in &orders {
            match *order {
                Order::Start(at) => self.places[at] = ACTIVE,
                Order::Clear(at) | Order::End(at) => self.places[at] = Place::Free,
                Order::Tell(_) => {}
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
        story.all(Place::Failed);
        assert_eq!(story.step(), [], "the failed pod stays to be looked at");
        assert_eq!(story.wait(), Some(seconds));
        assert_eq!(story.step(), [Order::Clear(0)]);
        assert_eq!(story.step(), [Order::Start(0)]);
    }
    story.all(Place::Failed);
    assert_eq!(story.step(), [Order::Tell(Verdict::BackoffLimitExceeded)]);
    assert_eq!((story.step(), story.wait(), story.places[0]), (vec![], None, Place::Failed));
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
    story.places[0] = Place::Failed;
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
    story.places[2] = Place::Failed;
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
    story.places = vec![Place::Failed, ACTIVE];
    assert_eq!((story.step(), story.wait()), (vec![], None));
}

#[test]
fn it_can_be_written_down() {
    let mut story = Story::new(1, RULES);
    story.step();
    story.all(Place::Failed);
    story.step();
    let mut room = [0; 64];
    let bytes = postcard::to_slice(&story.job, &mut room).unwrap();
    assert_eq!(postcard::from_bytes::<Job>(bytes).unwrap(), story.job);
}
