//! A CronJob's life (spec 54–58): when its Job begins again, by the wall clock, and what becomes of the run before.
//!
//! One run is there at a time: its places are the Job's. A plain Job is one that begins at once and never again.

use super::backoff::Backoff;
use super::job::{Job, Order, Orders, Place};
use crate::manifest::owner::{Concurrency, JobRules, Schedule};
use crate::manifest::time::Instant;
use serde::{Deserialize, Serialize};

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60;
/// Days in which every possible date comes up, a 29th of February among them.
const DAYS: u64 = 8 * 366;

impl Schedule {
    /// The first minute after `minute` that it names, both in minutes since 1970 (UTC); `None` where there is no such date.
    pub fn next(&self, minute: u64) -> Option<u64> {
        let first = minute.checked_add(1)?;
        let (today, from) = (first / DAY, first % DAY);
        (today..today + DAYS).filter(|day| self.names_day(*day)).find_map(|day| {
            let earliest = if day == today { from } else { 0 };
            let named = |of_day: &u64| self.hours >> (of_day / 60) & 1 == 1 && self.minutes >> (of_day % 60) & 1 == 1;
            (earliest..DAY).find(named).map(|of_day| day * DAY + of_day)
        })
    }

    /// As cron has it: where both the day of the month and that of the week are restricted, either will do.
    fn names_day(&self, day: u64) -> bool {
        let (month, of_month) = month_and_day(day);
        // 1970-01-01 was a Thursday.
        let (of_week, any_month_day, any_week_day) =
            ((day + 4) % 7, self.days == Schedule::ALL_DAYS, self.weekdays == Schedule::ALL_WEEKDAYS);
        let (by_month, by_week) = (self.days >> of_month & 1 == 1, self.weekdays >> of_week & 1 == 1);
        let by_day = if any_month_day || any_week_day { by_month && by_week } else { by_month || by_week };
        self.months >> month & 1 == 1 && by_day
    }
}

/// The month (from 1) and day (from 1) of a count of days since 1970 (the civil calendar, by eras of 400 years).
const fn month_and_day(days: u64) -> (u32, u32) {
    let day_of_era = (days + 719_468) % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (month as u32, day as u32)
}

/// How the newest run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Run {
    /// There has been none.
    None,
    /// What the one before has left is being removed.
    Clearing,
    /// It is there.
    There(Job),
}

/// A Job with its schedule, if it has one. It can be written down and read again by an agent that comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CronJob {
    /// The newest minute that has been dealt with; 0 as long as the wall clock has not been seen.
    seen: u64,
    run: Run,
}

impl Default for CronJob {
    fn default() -> Self {
        CronJob { seen: 0, run: Run::None }
    }
}

impl CronJob {
    /// Looks at the clocks and at all places. `wall` is in seconds since 1970, `None` as long as the wall clock is not set.
    pub fn step(
        &mut self,
        now: Instant,
        wall: Option<u64>,
        rules: &JobRules,
        backoff: &Backoff,
        places: &[Place],
        orders: &mut Orders,
    ) {
        let begins = match (&rules.schedule, wall) {
            (None, _) => self.run == Run::None,
            (Some(_), None) => false,
            (Some(schedule), Some(wall)) => self.is_due(schedule, wall, places),
        };
        if begins {
            self.run = Run::Clearing;
        }
        if self.run == Run::Clearing {
            let mut left = false;
            for (at, place) in places.iter().enumerate() {
                left |= !matches!(place, Place::Free | Place::Forsaken);
                if matches!(place, Place::Active { .. } | Place::Succeeded | Place::Failed) {
                    // There is room for one order a place.
                    let _ = orders.push(Order::End(at));
                }
            }
            if left {
                return;
            }
            self.run = Run::There(Job::default());
        }
        if let Run::There(job) = &mut self.run {
            job.step(now, rules, backoff, places, orders);
        }
    }

    /// The next moment at which the time since boot alone changes something.
    pub fn poll_at(&self, rules: &JobRules, backoff: &Backoff, places: &[Place]) -> Option<Instant> {
        match &self.run {
            Run::There(job) => job.poll_at(rules, backoff, places),
            Run::None | Run::Clearing => None,
        }
    }

    /// The next moment at which the wall clock does, in seconds since 1970.
    pub fn wall_at(&self, rules: &JobRules) -> Option<u64> {
        let schedule = rules.schedule.as_ref().filter(|_| rules.parallelism > 0 && self.seen > 0)?;
        schedule.next(self.seen).map(|minute| minute * MINUTE)
    }

    /// Whether a run is to begin: the newest time of the schedule that has passed counts, older ones are missed.
    fn is_due(&mut self, schedule: &Schedule, wall: u64, places: &[Place]) -> bool {
        let minute = wall / MINUTE;
        // Of what was before it was declared, or before a clock was set back or far ahead, nothing is made up for.
        if self.seen == 0 || self.seen > minute || minute - self.seen > DAY {
            self.seen = minute;
            return false;
        }
        let mut due = None;
        while let Some(next) = schedule.next(self.seen).filter(|next| *next <= minute) {
            self.seen = next;
            due = Some(next);
        }
        let Some(due) = due else { return false };
        let in_time = schedule.deadline_seconds.is_none_or(|most| wall - due * MINUTE <= most.into());
        let is_busy = places.iter().any(|place| matches!(place, Place::Active { .. } | Place::Ending));
        in_time && (!is_busy || schedule.concurrency == Concurrency::Replace)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::machine::job::Verdict;
    use crate::manifest::owner::Goal;
    use crate::manifest::pod::Node;
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
    };
    const ACTIVE: Place = Place::Active { restarts: 0 };
    /// 2026-11-20T17:00:00Z, a Friday, in minutes.
    const FRIDAY: u64 = 29919900;

    fn rules(schedule: Option<Schedule>) -> JobRules {
        JobRules {
            goal: Goal::Each,
            parallelism: 1,
            backoff_limit: 0,
            deadline_seconds: None,
            ttl_seconds: None,
            schedule,
        }
    }

    fn step(job: &mut CronJob, wall: Option<u64>, rules: &JobRules, places: &[Place]) -> Vec<Order> {
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
        assert_eq!(next(monday), Some(7 * 60 + 2 * DAY));
        // The first of the month or a Monday, whichever is first.
        assert_eq!(next(Schedule { days: 1 << 1, ..monday }), Some(7 * 60 + 2 * DAY));
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
        assert_eq!(step(&mut job, Some(at + 60), &rules, &[Place::Free]), [Order::Start(0)]);
        assert_eq!(step(&mut job, Some(at + 61), &rules, &[Place::Succeeded]), [Order::Tell(Verdict::Complete)]);
        // What the last run has left goes first.
        assert_eq!(step(&mut job, Some(at + 120), &rules, &[Place::Succeeded]), [Order::End(0)]);
        assert_eq!(step(&mut job, Some(at + 120), &rules, &[Place::Ending]), []);
        assert_eq!(step(&mut job, Some(at + 121), &rules, &[Place::Free]), [Order::Start(0)]);
    }

    #[test]
    fn a_run_that_lasts_is_left_alone_or_replaced() {
        let at = FRIDAY * 60;
        for (concurrency, wanted) in [(Concurrency::Forbid, vec![]), (Concurrency::Replace, vec![Order::End(0)])] {
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
        assert_eq!(missed(None, 3 * 3600 + 600), [Order::Start(0)]);
        assert_eq!(missed(Some(601), 3 * 3600 + 600), [Order::Start(0)]);
        assert_eq!(missed(Some(599), 3 * 3600 + 600), []);
        assert_eq!(missed(None, 3 * 24 * 3600), [], "a clock that was set ahead");
    }

    #[test]
    fn a_clock_that_is_set_back_begins_anew() {
        let (mut job, rules, at) = (CronJob::default(), rules(Some(EVERY_MINUTE)), FRIDAY * 60);
        step(&mut job, Some(at), &rules, &[Place::Free]);
        assert_eq!(step(&mut job, Some(at - 3600), &rules, &[Place::Free]), []);
        assert_eq!(step(&mut job, Some(at - 3540), &rules, &[Place::Free]), [Order::Start(0)]);
    }
}
