//! The check of a pod's owner.

use super::{At, Checked, Problem, rule};
use crate::manifest::limits;
use crate::manifest::owner::{Controller, Owner, Schedule};

pub(super) fn owner<'a>(at: &At<'_, 'a>, owner: &Owner<'a>) -> Checked {
    at.field("name").text(owner.name, rule::SUBDOMAIN)?;
    let Controller::Job(rules) = owner.controller else { return Ok(()) };
    let most = limits::PODS as u64;
    at.field("parallelism").number(rules.parallelism.into(), 0..=most, "pods at once are more than a board runs")?;
    rules.schedule.map_or(Ok(()), |times| schedule(&at.field("schedule"), &times))
}

/// Each field of a schedule names something, and nothing that is not there.
fn schedule(at: &At<'_, '_>, times: &Schedule) -> Checked {
    let is_some_of = |bits: u64, all: u64| bits != 0 && bits & !all == 0;
    let holds = is_some_of(times.minutes, Schedule::ALL_MINUTES)
        && is_some_of(times.hours.into(), Schedule::ALL_HOURS.into())
        && is_some_of(times.days.into(), Schedule::ALL_DAYS.into())
        && is_some_of(times.months.into(), Schedule::ALL_MONTHS.into())
        && is_some_of(times.weekdays.into(), Schedule::ALL_WEEKDAYS.into());
    if holds { Ok(()) } else { Err(at.fail(Problem::Field("names no time, or times that do not exist"))) }
}
