//! A CronJob under simulated time.

extern crate std;
use super::*;
use crate::machine::job::Verdict;
use crate::manifest::List;
use crate::manifest::owner::Goal;
use crate::manifest::pod::Node;
use crate::manifest::zone::{Change, Summer, Zone};
use std::vec;
use std::vec::Vec;

const EVERY_MINUTE: Schedule = Schedule {
    minutes: Schedule::ALL_MINUTES,
    hours: Schedule::ALL_HOURS,
    days: Schedule::ALL_DAYS,
    months: Schedule::ALL_MONTHS,
    weekdays: Schedule::ALL_WEEKDAYS,
    concurrency: Concurrency::Forbid,
    deadline_seconds: None,
    zone: Zone::UTC,
    runs: 1,
    keeps: [1, 1],
};
const BEGUN: Order = Order::Note(Note::Begun);
const BUSY: Order = Order::Note(Note::Busy);
const ACTIVE: Place = Place::Active { restarts: 0 };
/// 2026-11-20T17:00:00Z, a Friday, in minutes.
const FRIDAY: u64 = 29919900;

fn rules(schedule: Option<Schedule>) -> JobRules<'static> {
    JobRules {
        goal: Goal::Each,
        parallelism: 1,
        backoff_limit: 0,
        deadline_seconds: None,
        ttl_seconds: None,
        schedule,
        index_backoff_limit: None,
        max_failed_indexes: None,
        failure_policy: List::EMPTY,
        success_policy: List::EMPTY,
    }
}

fn step(job: &mut CronJob, wall: Option<u64>, rules: &JobRules<'_>, places: &[Place]) -> Vec<Order> {
    let mut orders = Orders::new();
    job.step(Instant(0), wall, rules, &Backoff::new(&Node::default()), places, &mut orders);
    orders.to_vec()
}

#[test]
fn spec_54_the_next_time_of_a_schedule() {
    let next = |schedule: Schedule| schedule.next(FRIDAY).map(|minute| minute - FRIDAY);
    assert_eq!(next(EVERY_MINUTE), Some(1));
    assert_eq!(next(Schedule { minutes: 1 << 30 | 1, ..EVERY_MINUTE }), Some(30));
    assert_eq!(next(Schedule { minutes: 1, hours: 1 << 3, ..EVERY_MINUTE }), Some(10 * 60), "3:00 the next day");
    let monday = Schedule { minutes: 1, hours: 1, weekdays: 1 << 1, ..EVERY_MINUTE };
    assert_eq!(next(monday), Some(7 * 60 + 2 * 24 * 60));
    // The first of the month or a Monday, whichever is first.
    assert_eq!(next(Schedule { days: 1 << 1, ..monday }), Some(7 * 60 + 2 * 24 * 60));
    assert_eq!(next(Schedule { days: 1 << 21, ..monday }), Some(7 * 60));
    let leap = Schedule { minutes: 1, hours: 1, days: 1 << 29, months: 1 << 2, ..EVERY_MINUTE };
    assert_eq!(leap.next(FRIDAY), Some(30589920), "2028-02-29");
    assert_eq!(next(Schedule { days: 1 << 30, months: 1 << 2, ..EVERY_MINUTE }), None, "there is no such date");
}

#[test]
fn a_plain_job_begins_at_once_and_never_again() {
    let (mut job, rules) = (CronJob::default(), rules(None));
    assert_eq!(step(&mut job, None, &rules, &[Place::Free]), [Order::Start(0)]);
    assert_eq!(step(&mut job, None, &rules, &[Place::Succeeded]), [Order::Tell(Verdict::Complete)]);
    assert_eq!((step(&mut job, None, &rules, &[Place::Free]), job.wall_at(&rules)), (vec![], None));
}

#[test]
fn spec_54_103_a_run_waits_for_a_clock_and_then_for_its_time() {
    let (mut job, rules) = (CronJob::default(), rules(Some(EVERY_MINUTE)));
    assert_eq!((step(&mut job, None, &rules, &[Place::Free]), job.wall_at(&rules)), (vec![], None));
    let at = FRIDAY * 60;
    assert_eq!(step(&mut job, Some(at + 5), &rules, &[Place::Free]), []);
    assert_eq!(job.wall_at(&rules), Some(at + 60));
    assert_eq!(step(&mut job, Some(at + 59), &rules, &[Place::Free]), []);
    assert_eq!(step(&mut job, Some(at + 60), &rules, &[Place::Free]), [BEGUN, Order::Start(0)]);
    assert_eq!(step(&mut job, Some(at + 61), &rules, &[Place::Succeeded]), [Order::Tell(Verdict::Complete)]);
    // What the last run has left goes first.
    assert_eq!(step(&mut job, Some(at + 120), &rules, &[Place::Succeeded]), [BEGUN, Order::End(0)]);
    assert_eq!(step(&mut job, Some(at + 120), &rules, &[Place::Ending]), []);
    assert_eq!(step(&mut job, Some(at + 121), &rules, &[Place::Free]), [Order::Start(0)]);
}

#[test]
fn a_run_that_lasts_is_left_alone_or_replaced() {
    let at = FRIDAY * 60;
    for (concurrency, wanted) in [(Concurrency::Forbid, vec![BUSY]), (Concurrency::Replace, vec![BEGUN, Order::End(0)])]
    {
        let rules = rules(Some(Schedule { concurrency, ..EVERY_MINUTE }));
        let mut job = CronJob::default();
        step(&mut job, Some(at), &rules, &[Place::Free]);
        step(&mut job, Some(at + 60), &rules, &[Place::Free]);
        assert_eq!(step(&mut job, Some(at + 120), &rules, &[ACTIVE]), wanted);
        assert_eq!(job.wall_at(&rules), Some(at + 180));
    }
}

#[test]
fn what_was_missed_is_made_up_for_once_and_not_too_late() {
    let at = FRIDAY * 60;
    let missed = |deadline_seconds: Option<u32>, by: u64| {
        let rules = rules(Some(Schedule { deadline_seconds, minutes: 1, ..EVERY_MINUTE }));
        let mut job = CronJob::default();
        step(&mut job, Some(at), &rules, &[Place::Free]);
        step(&mut job, Some(at + by), &rules, &[Place::Free])
    };
    assert_eq!(missed(None, 3 * 3600 + 600), [BEGUN, Order::Start(0)]);
    assert_eq!(missed(Some(601), 3 * 3600 + 600), [BEGUN, Order::Start(0)]);
    assert_eq!(missed(Some(599), 3 * 3600 + 600), [Order::Note(Note::Missed)]);
    assert_eq!(missed(None, 3 * 24 * 3600), [], "a clock that was set ahead");
}

#[test]
fn a_clock_that_is_set_back_begins_anew() {
    let (mut job, rules, at) = (CronJob::default(), rules(Some(EVERY_MINUTE)), FRIDAY * 60);
    step(&mut job, Some(at), &rules, &[Place::Free]);
    assert_eq!(step(&mut job, Some(at - 3600), &rules, &[Place::Free]), []);
    assert_eq!(step(&mut job, Some(at - 3540), &rules, &[Place::Free]), [BEGUN, Order::Start(0)]);
}

#[test]
fn spec_54_runs_begin_side_by_side_as_far_as_there_is_room_for_them() {
    let at = FRIDAY * 60;
    let rules = rules(Some(Schedule { concurrency: Concurrency::Allow, runs: 2, keeps: [2, 1], ..EVERY_MINUTE }));
    let mut job = CronJob::default();
    step(&mut job, Some(at), &rules, &[Place::Free; 2]);
    assert_eq!(step(&mut job, Some(at + 60), &rules, &[Place::Free; 2]), [BEGUN, Order::Start(0)]);
    assert_eq!(step(&mut job, Some(at + 120), &rules, &[ACTIVE, Place::Free]), [BEGUN, Order::Start(1)]);
    assert_eq!(step(&mut job, Some(at + 180), &rules, &[ACTIVE; 2]), [BUSY]);
    let over = [ACTIVE, Place::Succeeded];
    assert_eq!(step(&mut job, Some(at + 181), &rules, &over), [Order::Tell(Verdict::Complete)]);
    assert_eq!(step(&mut job, Some(at + 240), &rules, &over), [BEGUN, Order::End(1)]);
    assert_eq!(step(&mut job, Some(at + 241), &rules, &[ACTIVE, Place::Free]), [Order::Start(1)]);
}

#[test]
fn only_so_many_runs_are_kept_and_failed_ones_apart_from_others() {
    let at = FRIDAY * 60;
    let failed = Place::Failed(crate::manifest::job::FailureAction::Count);
    for (ended, keeps, orders) in [
        (Place::Succeeded, [0, 1], vec![Order::Tell(Verdict::Complete), Order::End(0)]),
        (Place::Succeeded, [1, 0], vec![Order::Tell(Verdict::Complete)]),
        (failed, [1, 0], vec![Order::Tell(Verdict::BackoffLimitExceeded), Order::End(0)]),
        (failed, [0, 1], vec![Order::Tell(Verdict::BackoffLimitExceeded)]),
    ] {
        let rules = rules(Some(Schedule { keeps, ..EVERY_MINUTE }));
        let mut job = CronJob::default();
        step(&mut job, Some(at), &rules, &[Place::Free]);
        step(&mut job, Some(at + 60), &rules, &[Place::Free]);
        assert_eq!(step(&mut job, Some(at + 61), &rules, &[ended]), orders);
        assert_eq!(step(&mut job, Some(at + 62), &rules, &[Place::Free]), [], "and does not come back");
    }
}

#[test]
fn spec_54_a_schedule_goes_by_the_clock_of_its_zone() {
    let change = |month, minute| Change { month, week: 5, weekday: 0, minute };
    let summer = Summer { offset: 120, begins: change(3, 120), ends: change(10, 180) };
    let berlin = Zone { standard: 60, summer: Some(summer) };
    let daily = |hour: u32| Schedule { minutes: 1 << 30, hours: 1 << hour, zone: berlin, ..EVERY_MINUTE };
    let next = |hour, minute| daily(hour).next(minute).map(|next| next - minute);
    assert_eq!(next(19, FRIDAY), Some(90), "17:00 UTC is 18:00 there");
    // Before the night of 2026-10-25, when 2:30 comes twice; and before that of 2026-03-29, when it does not come.
    let (october, march) = (FRIDAY - 17 * 60 - 26 * 24 * 60, FRIDAY - 17 * 60 - 236 * 24 * 60);
    assert_eq!(next(2, october), Some(30), "2:30 of summer time");
    assert_eq!(next(2, october + 30), Some(60), "2:30 once more");
    assert_eq!(next(2, october + 90), Some(24 * 60));
    assert_eq!(next(3, october + 90), Some(60));
    assert_eq!(next(1, march), Some(30), "1:30");
    assert_eq!(next(2, march), Some(24 * 60 + 30), "the next day");
}
