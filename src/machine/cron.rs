//! A CronJob's life (spec 54–58): when its Job begins again, by the clock on the wall of its zone, and what becomes of the runs before.
//!
//! Each run has an equal part of the places, and is a Job there. A plain Job is one that begins at once and never again.

use super::backoff::Backoff;
use super::job::{Job, Note, Order, Orders, Place, give};
use super::zone::{civil, weekday};
use crate::manifest::limits;
use crate::manifest::owner::{Concurrency, JobRules, Schedule};
use crate::manifest::time::Instant;
use serde::{Deserialize, Serialize};

const MINUTE: u64 = 60;
const DAY: i64 = 24 * 60;
/// Days in which every possible date comes up, a 29th of February among them.
const DAYS: i64 = 8 * 366;

impl Schedule {
    /// The first minute after `minute` that it names, both in minutes since 1970 (UTC); `None` where there is no such date. Times that a
    /// clock leaves out when summer begins never come, and those that it shows twice come twice.
    pub fn next(&self, minute: u64) -> Option<u64> {
        let mut from = i64::try_from(minute).ok()?.checked_add(1)?;
        let last = from.checked_add(DAYS * DAY)?;
        while from < last {
            let (offset, until) = self.zone.offset(from);
            let until = until.unwrap_or(last).min(last);
            if let Some(found) = self.first(from + offset, until + offset) {
                return u64::try_from(found - offset).ok();
            }
            from = until;
        }
        None
    }

    /// The first of the minutes from `from` to before `until` that it names, by one clock.
    fn first(&self, from: i64, until: i64) -> Option<i64> {
        let days = from.div_euclid(DAY)..(until + DAY - 1).div_euclid(DAY);
        days.filter(|day| self.names_day(*day)).find_map(|day| {
            let (earliest, latest) = ((from - day * DAY).max(0), (until - day * DAY).min(DAY));
            let named = |of_day: &i64| self.hours >> (of_day / 60) & 1 == 1 && self.minutes >> (of_day % 60) & 1 == 1;
            (earliest..latest).find(named).map(|of_day| day * DAY + of_day)
        })
    }

    /// As cron has it: where both the day of the month and that of the week are restricted, either will do.
    fn names_day(&self, day: i64) -> bool {
        let (_, month, of_month) = civil(day);
        let (any_month_day, any_week_day) = (self.days == Schedule::ALL_DAYS, self.weekdays == Schedule::ALL_WEEKDAYS);
        let (by_month, by_week) = (self.days >> of_month & 1 == 1, self.weekdays >> weekday(day) & 1 == 1);
        let by_day = if any_month_day || any_week_day { by_month && by_week } else { by_month || by_week };
        self.months >> month & 1 == 1 && by_day
    }
}

/// A run, or room for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "there are a few runs, and this floor has no heap")]
enum Run {
    /// Nothing is there.
    None,
    /// What was there is being removed, and nothing follows.
    Leaving,
    /// What was there is being removed; the next run begins at once.
    Clearing,
    /// It is there: the Job, and its place in the order of all runs.
    There(Job, u32),
}

impl Run {
    /// Whether it goes on. One whose pod somebody has deleted holds up no other.
    fn is_busy(&self, places: &[Place]) -> bool {
        let runs = |place: &Place| matches!(place, Place::Active { .. } | Place::Ending);
        let waits = |job: &Job| job.outcome().is_none() && !places.contains(&Place::Forsaken);
        match self {
            Run::None => false,
            Run::Leaving => places.iter().any(runs),
            Run::Clearing => true,
            Run::There(job, _) => places.iter().any(runs) || waits(job),
        }
    }

    /// Its place in the order of all runs; those that are none come first.
    fn age(&self) -> u32 {
        match self {
            Run::There(_, number) => *number,
            Run::None | Run::Leaving | Run::Clearing => 0,
        }
    }
}

/// A Job with its schedule, if it has one. It can be written down and read again by an agent that comes after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CronJob {
    /// Runs so far.
    number: u32,
    runs: heapless::Vec<Run, { limits::CRON_RUNS }>,
    /// The newest minute that has been dealt with; 0 as long as the wall clock has not been seen.
    seen: u64,
}

impl CronJob {
    /// Looks at the clocks and at all places. `wall` is in seconds since 1970, `None` as long as the wall clock is not set.
    pub fn step(
        &mut self,
        now: Instant,
        wall: Option<u64>,
        rules: &JobRules<'_>,
        backoff: &Backoff,
        places: &[Place],
        orders: &mut Orders,
    ) {
        let (count, each) = shares(rules, places);
        // There is room for as many as a checked manifest may ask for.
        let _ = self.runs.resize(count, Run::None);
        let begins = match (&rules.schedule, wall) {
            (None, _) => self.number == 0,
            (Some(_), None) => false,
            (Some(schedule), Some(wall)) => self.is_due(schedule, wall, orders),
        };
        if begins {
            self.begin(rules, places, each, orders);
        }
        for (at, run) in self.runs.iter_mut().enumerate() {
            let (first, mine) = (at * each, part(places, each, at));
            match run {
                Run::Clearing | Run::Leaving if remove(first, mine, orders) => {}
                Run::Clearing => *run = Run::There(Job::default(), self.number),
                Run::Leaving => *run = Run::None,
                Run::None | Run::There(..) => {}
            }
            if let Run::There(job, _) = run {
                let mut own = Orders::new();
                job.step(now, rules, backoff, mine, &mut own);
                own.iter().for_each(|order| give(orders, order.moved(first)));
            }
        }
        self.keep_few(rules, places, each, orders);
    }

    /// The next moment at which the time since boot alone changes something.
    pub fn poll_at(&self, rules: &JobRules<'_>, backoff: &Backoff, places: &[Place]) -> Option<Instant> {
        let (_, each) = shares(rules, places);
        let next = |(at, run): (usize, &Run)| match run {
            Run::There(job, _) => job.poll_at(rules, backoff, part(places, each, at)),
            Run::None | Run::Leaving | Run::Clearing => None,
        };
        self.runs.iter().enumerate().filter_map(next).min()
    }

    /// The next moment at which the wall clock does, in seconds since 1970.
    pub fn wall_at(&self, rules: &JobRules<'_>) -> Option<u64> {
        let schedule = rules.schedule.as_ref().filter(|_| rules.parallelism > 0 && self.seen > 0)?;
        schedule.next(self.seen).map(|minute| minute * MINUTE)
    }

    /// Whether a run is to begin: the newest time of the schedule that has passed counts, older ones are missed.
    fn is_due(&mut self, schedule: &Schedule, wall: u64, orders: &mut Orders) -> bool {
        let minute = wall / MINUTE;
        // The clock is seen for the first time, or was set: what was due before is not made up for.
        if self.seen == 0 || self.seen > minute || minute - self.seen > DAY as u64 {
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
        if !in_time {
            give(orders, Order::Note(Note::Missed));
        }
        in_time
    }

    /// A run begins where none goes on, in the place of the oldest; or of the one that does, where that is the policy.
    fn begin(&mut self, rules: &JobRules<'_>, places: &[Place], each: usize, orders: &mut Orders) {
        let concurrency = rules.schedule.map_or(Concurrency::Allow, |schedule| schedule.concurrency);
        let blocked = |(at, run): (usize, &Run)| run.is_busy(part(places, each, at));
        let may = match concurrency {
            Concurrency::Forbid => !self.runs.iter().enumerate().any(blocked),
            Concurrency::Allow | Concurrency::Replace => true,
        };
        let free = |(at, run): &(usize, &mut Run)| concurrency == Concurrency::Replace || !blocked((*at, run));
        match self.runs.iter_mut().enumerate().filter(free).min_by_key(|(_, run)| run.age()).filter(|_| may) {
            Some((_, run)) => {
                self.number = self.number.wrapping_add(1);
                *run = Run::Clearing;
                if rules.schedule.is_some() {
                    give(orders, Order::Note(Note::Begun));
                }
            }
            None => give(orders, Order::Note(Note::Busy)),
        }
    }

    /// Has runs that are over leave, the oldest first, until only as many are there as are to be kept.
    fn keep_few(&mut self, rules: &JobRules<'_>, places: &[Place], each: usize, orders: &mut Orders) {
        let Some(schedule) = rules.schedule else { return };
        for (success, most) in [true, false].into_iter().zip(schedule.keeps) {
            let ended = |(at, run): &(usize, &Run)| {
                let is_such = |job: &Job| job.outcome().is_some_and(|verdict| verdict.is_success() == success);
                !run.is_busy(part(places, each, *at)) && matches!(run, Run::There(job, _) if is_such(job))
            };
            while self.runs.iter().enumerate().filter(ended).count() > usize::from(most) {
                let oldest = self.runs.iter().enumerate().filter(ended).min_by_key(|(_, run)| run.age());
                let Some((at, _)) = oldest else { break };
                self.runs[at] = Run::Leaving;
                remove(at * each, part(places, each, at), orders);
            }
        }
    }
}

/// How many runs there may be, and how many places each has.
fn shares(rules: &JobRules<'_>, places: &[Place]) -> (usize, usize) {
    let count = rules.schedule.map_or(1, |schedule| usize::from(schedule.runs).clamp(1, limits::CRON_RUNS));
    (count, places.len() / count)
}

/// The places of one run.
fn part(places: &[Place], each: usize, at: usize) -> &[Place] {
    places.get(at * each..(at + 1) * each).unwrap_or_default()
}

/// Ends what is in the places from `first` on; whether something still is.
fn remove(first: usize, places: &[Place], orders: &mut Orders) -> bool {
    let mut left = false;
    for (at, place) in places.iter().enumerate() {
        left |= !matches!(place, Place::Free | Place::Forsaken);
        let order = Order::End(first + at);
        if matches!(place, Place::Active { .. } | Place::Succeeded | Place::Failed(_)) && !orders.contains(&order) {
            give(orders, order);
        }
    }
    left
}

#[cfg(test)]
mod tests;
