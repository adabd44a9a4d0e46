//! Jobs (spec 54–58): each completion becomes a pod of its own, which the board starts when its turn has come.

use super::controllers::{COMPLETION_INDEX, Document, Given};
use super::objects::PodObject;
use super::policy;
use crate::host::read::Object;
use crate::manifest::limits;
use crate::manifest::owner::{Controller, Goal, JobRules, Schedule};
use std::format;
use std::prelude::v1::*;

/// The pods of a Job: NAME-SUFFIX, or NAME-INDEX-SUFFIX where they are numbered; those of a CronJob once for each run that there may
/// be. `change` has the last word about its rules.
pub(super) fn pods<'a>(
    document: &Document<'a>,
    schedule: Option<Schedule>,
    change: impl FnOnce(&mut JobRules<'a>),
) -> Vec<PodObject<'a>> {
    let restarts = document.restarts(&["OnFailure", "Never"]);
    let spec = &document.spec;
    let number = |name, most: i64| spec.get(name).and_then(|place| place.integer(0..=most));
    let pods = i64::try_from(limits::PODS).unwrap_or(i64::MAX);
    let completions = number("completions", pods);
    let parallelism = number("parallelism", i64::from(i32::MAX));
    let indexed =
        spec.get("completionMode").and_then(|word| word.one_of(&["NonIndexed", "Indexed"])) == Some("Indexed");
    if indexed && spec.get("completions").is_none() {
        spec.place.error("completions: is required with completionMode: Indexed");
    }
    needs(spec, "backoffLimitPerIndex", indexed, "completionMode: Indexed");
    needs(spec, "successPolicy", indexed, "completionMode: Indexed");
    needs(spec, "maxFailedIndexes", spec.get("backoffLimitPerIndex").is_some(), "backoffLimitPerIndex");
    for field in ["backoffLimitPerIndex", "podFailurePolicy"] {
        needs(spec, field, restarts != Some("OnFailure"), "restartPolicy: Never in the template");
    }
    if let Some(policy) = spec.get("podReplacementPolicy")
        && policy.one_of(&["TerminatingOrFailed", "Failed"]) == Some("TerminatingOrFailed")
        && spec.get("podFailurePolicy").is_some()
    {
        policy.error("must be Failed with podFailurePolicy");
    }
    let (goal, places) = match (completions, parallelism) {
        (Some(completions), _) => (Goal::Each, completions),
        (None, Some(workers)) if workers > 1 => (Goal::Any, workers),
        (None, _) => (Goal::Each, 1),
    };
    if places > pods
        && let Some(place) = spec.get("parallelism")
    {
        place.error(format!("{places} pods at once are not possible: a board runs at most {pods}"));
    }
    let each = usize::try_from(places.min(pods)).unwrap_or(0);
    let suspended = spec.flag("suspend").unwrap_or(false);
    let parallelism = if suspended { 0 } else { parallelism.unwrap_or(1).min(pods) };
    let amount = |name, most| number(name, most).and_then(|n| u32::try_from(n).ok());
    let seconds = |name| amount(name, i64::from(i32::MAX));
    let index_backoff_limit = seconds("backoffLimitPerIndex");
    let runs = schedule.map_or(1, |schedule| usize::from(schedule.runs)).clamp(1, (limits::PODS / each.max(1)).max(1));
    let mut rules = JobRules {
        goal,
        parallelism: u16::try_from(parallelism).unwrap_or(u16::MAX),
        backoff_limit: seconds("backoffLimit").unwrap_or(if index_backoff_limit.is_some() { u32::MAX } else { 6 }),
        deadline_seconds: seconds("activeDeadlineSeconds"),
        ttl_seconds: seconds("ttlSecondsAfterFinished"),
        schedule: schedule.map(|schedule| Schedule { runs: u8::try_from(runs).unwrap_or(1), ..schedule }),
        index_backoff_limit,
        max_failed_indexes: amount("maxFailedIndexes", places),
        failure_policy: policy::failure(document, index_backoff_limit.is_some()),
        success_policy: policy::success(document, u32::try_from(each).unwrap_or(0)),
    };
    change(&mut rules);
    let owner = document.owner(Controller::Job(rules));
    let pod = |n: usize| {
        let number = n % each.max(1);
        let index = document.arena.str(&format!("{number}"));
        let mut labels =
            Vec::from([("batch.kubernetes.io/job-name", document.meta.name), ("job-name", document.meta.name)]);
        if !indexed {
            let name = document.pod_name(document.meta.name, n);
            return document.pod(&name, &labels, Given { owner, ..Given::default() });
        }
        labels.push((COMPLETION_INDEX, index));
        let hostname = document.arena.str(&document.numbered(number));
        let given = Given { owner, index: Some(index), hostname: Some(hostname), ..Given::default() };
        document.pod(&document.pod_name(hostname, n), &labels, given)
    };
    (0..each * runs).map(pod).collect()
}

/// Says so where `field` is there without what it needs.
fn needs(spec: &Object<'_>, field: &'static str, there: bool, what: &str) {
    if let Some(place) = spec.get(field).filter(|_| !there) {
        place.error(format!("needs {what}"));
    }
}
