//! CronJobs (spec 54–58): a Job and the minutes at which it begins, both checked here so that the board only compares numbers.

use super::controllers::Document;
use super::objects::{PodObject, metadata};
use super::{job, zone};
use crate::host::arena::Arena;
use crate::host::read::{Object, Place};
use crate::host::schema;
use crate::manifest::limits;
use crate::manifest::owner::{Concurrency, Schedule};
use crate::manifest::zone::Zone;
use std::format;
use std::prelude::v1::*;

/// The pods of a CronJob's Job.
pub(super) fn lower<'a>(root: &Place<'a>, arena: &'a Arena) -> Option<Vec<PodObject<'a>>> {
    let object = root.object(&schema::CRON_JOB)?;
    let meta = metadata(&object);
    let spec = object.require("spec")?.object(&schema::CRON_JOB_SPEC)?;
    let schedule = schedule(&spec);
    let suspended = spec.flag("suspend").unwrap_or(false);
    let template = spec.require("jobTemplate")?.object(&schema::JOB_TEMPLATE)?;
    let _ = template.get("metadata").and_then(|place| place.object(&schema::METADATA));
    let document = Document::of(arena, meta, template.require("spec")?.object(&schema::JOB_SPEC)?)?;
    Some(job::pods(&document, schedule, |rules| {
        rules.parallelism = if suspended { 0 } else { rules.parallelism };
    }))
}

fn schedule(spec: &Object<'_>) -> Option<Schedule> {
    let zone = spec.get("timeZone").map_or(Some(Zone::UTC), |place| zone::zone(&place));
    let policy = spec.get("concurrencyPolicy");
    let concurrency = match policy.as_ref().and_then(|word| word.choice(&["Allow", "Forbid", "Replace"])) {
        Some("Replace") => Concurrency::Replace,
        Some("Forbid") => Concurrency::Forbid,
        _ => Concurrency::Allow,
    };
    let runs = if concurrency == Concurrency::Allow { limits::CRON_RUNS as u8 } else { 1 };
    let keeps = |name, default| {
        let most = spec.get(name).and_then(|place| place.integer(0..=i64::from(i32::MAX))).unwrap_or(default);
        u8::try_from(most).unwrap_or(u8::MAX).min(runs)
    };
    let keeps = [keeps("successfulJobsHistoryLimit", 3), keeps("failedJobsHistoryLimit", 1)];
    let deadline = spec.get("startingDeadlineSeconds").and_then(|place| place.integer(0..=i64::from(i32::MAX)));
    let place = spec.require("schedule")?;
    let text = place.text()?;
    match parse(text) {
        Ok(times) => {
            let deadline_seconds = deadline.and_then(|n| u32::try_from(n).ok());
            let schedule = Schedule { concurrency, deadline_seconds, runs, keeps, zone: zone?, ..times };
            if schedule.next(0).is_none() {
                place.error(format!("{} names a date that never comes", place.quoted(text)));
            }
            Some(schedule)
        }
        Err(problem) => {
            place.error(format!("{} is not a schedule: {problem}", place.quoted(text)));
            None
        }
    }
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The five fields of a schedule: minute, hour, day of the month, month, day of the week.
fn parse(text: &str) -> Result<Schedule, String> {
    let text = match text.trim() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    };
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        return Err("the time zone belongs into the field timeZone".into());
    }
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let &[minute, hour, day, month, weekday] = fields.as_slice() else {
        return Err(format!("it has five fields (minute hour day month weekday), and here are {}", fields.len()));
    };
    let bits = |field, name, range, names: &[&str], first| {
        bits(field, range, names, first).ok_or_else(|| format!("its {name} {field:?} cannot be understood"))
    };
    let narrow = |bits: u64| u32::try_from(bits).unwrap_or(u32::MAX);
    Ok(Schedule {
        minutes: bits(minute, "minute", 0..=59, &[], 0)?,
        hours: narrow(bits(hour, "hour", 0..=23, &[], 0)?),
        days: narrow(bits(day, "day of the month", 1..=31, &[], 1)?),
        months: u16::try_from(bits(month, "month", 1..=12, &MONTHS, 1)?).unwrap_or(u16::MAX),
        weekdays: u8::try_from(bits(weekday, "day of the week", 0..=6, &WEEKDAYS, 0)?).unwrap_or(u8::MAX),
        concurrency: Concurrency::Forbid,
        deadline_seconds: None,
        zone: Zone::UTC,
        runs: 1,
        keeps: [1, 1],
    })
}

/// `*`, `5`, `1-5`, `*/15`, `10-40/10`, `mon-fri`, and lists of them: a bit for each number. `first` is the number of the first name.
fn bits(field: &str, range: core::ops::RangeInclusive<u32>, names: &[&str], first: u32) -> Option<u64> {
    let number = |word: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(word));
        let named = named.and_then(|at| u32::try_from(at).ok()).map(|at| at + first);
        named.or_else(|| word.parse().ok()).filter(|n| range.contains(n))
    };
    let mut all = 0u64;
    for part in field.split(',') {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => (span, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (from, to) = match span.split_once('-') {
            _ if matches!(span, "*" | "?") => (*range.start(), *range.end()),
            Some((from, to)) => (number(from)?, number(to)?),
            // `5/15` is from 5 on, as Kubernetes reads it.
            None => (number(span)?, if step.is_some() { *range.end() } else { number(span)? }),
        };
        if from > to {
            return None;
        }
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        (from..=to).step_by(step).for_each(|n| all |= 1 << n);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_as_cron_does() {
        let every = parse("* * * * *").unwrap();
        assert_eq!((every.minutes, every.hours), (Schedule::ALL_MINUTES, Schedule::ALL_HOURS));
        assert_eq!((every.days, every.months), (Schedule::ALL_DAYS, Schedule::ALL_MONTHS));
        assert_eq!(every.weekdays, Schedule::ALL_WEEKDAYS);
        let some = parse("*/20 1-3,22 1,15 JAN-mar/2 Mon-Fri").unwrap();
        assert_eq!((some.minutes, some.hours), (1 | 1 << 20 | 1 << 40, 0b1110 | 1 << 22));
        assert_eq!((some.days, some.months, some.weekdays), (1 << 1 | 1 << 15, 0b1010, 0b011_1110));
        assert_eq!(parse("40/10 0 ? * *").unwrap().minutes, 1 << 40 | 1 << 50);
        assert_eq!(parse("@weekly").unwrap(), parse("0 0 * * sun").unwrap());
    }

    #[test]
    fn what_is_no_schedule_is_said() {
        for wrong in ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["*/0 * * * *", "a * * * *", "1- * * * *", ", * * * *", "TZ=UTC * * * * *", "@never"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
