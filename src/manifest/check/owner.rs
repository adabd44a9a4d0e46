//! The check of a pod's owner.

use super::{At, Checked, Problem, rule};
use crate::manifest::job::{FailurePattern, FailureRule};
use crate::manifest::limits;
use crate::manifest::owner::{Controller, Owner, Schedule, Strategy};
use crate::manifest::zone::{Change, Zone};

pub(super) fn owner<'a>(at: &At<'_, 'a>, owner: &Owner<'a>) -> Checked {
    at.field("name").text(owner.name, rule::SUBDOMAIN)?;
    match owner.controller.update().strategy {
        Strategy::Rolling { surge: 0, unavailable: 0 } | Strategy::Ordered { unavailable: 0, .. } => {
            return Err(at.field("strategy").fail(Problem::Field("lets nothing be replaced, ever")));
        }
        _ => {}
    }
    let Controller::Job(rules) = owner.controller else { return Ok(()) };
    let most = limits::PODS as u64;
    at.field("parallelism").number(rules.parallelism.into(), 0..=most, "pods at once are more than a board runs")?;
    at.field("podFailurePolicy").list(rules.failure_policy, limits::JOB_RULES, |at, one| failure(at, &one))?;
    at.field("successPolicy").list(rules.success_policy, limits::JOB_RULES, |at, one| {
        let most = u64::from(one.indexes.count_ones());
        at.field("succeededCount").number(one.count.into(), 1..=most, "is none, or more than there are indexes")
    })?;
    rules.schedule.map_or(Ok(()), |times| schedule(&at.field("schedule"), &times))
}

fn failure<'a>(at: &At<'_, 'a>, rule: &FailureRule<'a>) -> Checked {
    match rule.pattern {
        FailurePattern::ExitCodes { container, codes, .. } => {
            container.map_or(Ok(()), |name| at.field("containerName").text(name, rule::LABEL))?;
            at.field("values").list(codes, limits::EXIT_CODES, |_, _| Ok(()))?;
        }
        FailurePattern::Conditions(patterns) => {
            at.field("onPodConditions")
                .list(patterns, limits::JOB_RULES, |at, one| at.field("type").text(one.kind, rule::QUALIFIED_NAME))?;
        }
    }
    Ok(())
}

/// Each field of a schedule names something, and nothing that is not there.
fn schedule(at: &At<'_, '_>, times: &Schedule) -> Checked {
    let is_some_of = |bits: u64, all: u64| bits != 0 && bits & !all == 0;
    let holds = is_some_of(times.minutes, Schedule::ALL_MINUTES)
        && is_some_of(times.hours.into(), Schedule::ALL_HOURS.into())
        && is_some_of(times.days.into(), Schedule::ALL_DAYS.into())
        && is_some_of(times.months.into(), Schedule::ALL_MONTHS.into())
        && is_some_of(times.weekdays.into(), Schedule::ALL_WEEKDAYS.into());
    if !holds {
        return Err(at.fail(Problem::Field("names no time, or times that do not exist")));
    }
    at.field("runs").number(times.runs.into(), 1..=limits::CRON_RUNS as u64, "runs at once are not possible")?;
    zone(&at.field("timeZone"), &times.zone)
}

fn zone(at: &At<'_, '_>, zone: &Zone) -> Checked {
    let is_offset = |minutes: i16| minutes.unsigned_abs() <= Zone::OFFSET.unsigned_abs();
    let is_change = |change: Change| {
        matches!(change.month, 1..=12)
            && matches!(change.week, 1..=5)
            && change.weekday <= 6
            && change.minute.unsigned_abs() <= Zone::MINUTE.unsigned_abs()
    };
    let holds = is_offset(zone.standard)
        && zone.summer.is_none_or(|it| is_offset(it.offset) && is_change(it.begins) && is_change(it.ends));
    if holds { Ok(()) } else { Err(at.fail(Problem::Field("is no time zone"))) }
}
