//! `podFailurePolicy` and `successPolicy` of a Job, checked as the API server checks them.

use super::controllers::Document;
use super::names;
use super::restart::exit_codes;
use crate::host::read::{Object, Place};
use crate::host::schema;
use crate::manifest::job::{ConditionPattern, FailureAction, FailurePattern, FailureRule, SuccessRule};
use crate::manifest::pod::Operator;
use crate::manifest::{List, limits};
use std::format;
use std::prelude::v1::*;

/// What failed pods mean. `by_index`: each number has a limit of its own.
pub(super) fn failure<'a>(document: &Document<'a>, by_index: bool) -> List<'a, FailureRule<'a>> {
    let Some(place) = document.spec.get("podFailurePolicy") else { return List::EMPTY };
    let Some(policy) = place.object(&schema::FAILURE_POLICY) else { return List::EMPTY };
    let rules = policy.require("rules").map(|rules| rules.list(limits::JOB_RULES)).unwrap_or_default();
    let rules: Vec<_> = rules.iter().filter_map(|place| failure_rule(document, place, by_index)).collect();
    document.arena.list(rules)
}

fn failure_rule<'a>(document: &Document<'a>, place: &Place<'a>, by_index: bool) -> Option<FailureRule<'a>> {
    let rule = place.object(&schema::FAILURE_RULE)?;
    let action = rule.require("action").and_then(|word| failure_action(&word, by_index));
    let conditions = rule.get("onPodConditions").filter(|list| !list.is_list() || !list.list(1).is_empty());
    let pattern = match (rule.get("onExitCodes"), conditions) {
        (Some(codes), None) => on_exit_codes(document, &codes)?,
        (None, Some(list)) => {
            let patterns = list.list(limits::JOB_RULES);
            FailurePattern::Conditions(document.arena.list(patterns.iter().filter_map(condition)))
        }
        _ => {
            place.error("needs either onExitCodes or onPodConditions");
            return None;
        }
    };
    Some(FailureRule { action: action?, pattern })
}

fn failure_action(word: &Place<'_>, by_index: bool) -> Option<FailureAction> {
    Some(match word.one_of(&["FailJob", "FailIndex", "Ignore", "Count"])? {
        "FailJob" => FailureAction::FailJob,
        "FailIndex" => {
            if !by_index {
                word.error("FailIndex needs backoffLimitPerIndex");
            }
            FailureAction::FailIndex
        }
        "Ignore" => FailureAction::Ignore,
        _ => FailureAction::Count,
    })
}

fn on_exit_codes<'a>(document: &Document<'a>, place: &Place<'a>) -> Option<FailurePattern<'a>> {
    let object = place.object(&schema::FAILURE_CODES)?;
    let container = object.get("containerName");
    if let Some(name) = &container
        && let Some(text) = name.text()
        && !document.containers().contains(&text)
    {
        name.error(format!("the template has no container {}", name.quoted(text)));
    }
    let (operator, codes) = exit_codes(&object)?;
    if let Some(values) = object.get("values").filter(Place::is_list) {
        if values.list(1).is_empty() {
            values.error("needs at least one exit code");
        }
        if operator == Operator::In && codes.contains(&0) {
            values.error("0 is the exit code of success: no failed container has it");
        }
    } else {
        let _ = object.require("values");
    }
    let container = container.and_then(|name| name.text());
    Some(FailurePattern::ExitCodes { container, operator, codes: document.arena.list(codes) })
}

fn condition<'a>(place: &Place<'a>) -> Option<ConditionPattern<'a>> {
    let object = place.object(&schema::FAILURE_CONDITION)?;
    let status = object.get("status");
    let word = status.as_ref().map_or(Some("True"), |word| word.one_of(&["True", "False", "Unknown"]));
    let kind = object.require("type")?;
    let (text, word) = (kind.text()?, word?);
    if !names::is_qualified(text) {
        kind.error(format!("{} is not the type of a condition", kind.quoted(text)));
    }
    if let (Some(place), "Unknown") = (&status, word) {
        place.warning("changes nothing: on a board a condition is True or False");
        return None;
    }
    Some(ConditionPattern { kind: text, status: word == "True" })
}

/// How few successes are enough, of `completions` numbers.
pub(super) fn success<'a>(document: &Document<'a>, completions: u32) -> List<'a, SuccessRule> {
    let Some(place) = document.spec.get("successPolicy") else { return List::EMPTY };
    let Some(policy) = place.object(&schema::SUCCESS_POLICY) else { return List::EMPTY };
    let rules = policy.require("rules").map(|rules| rules.list(limits::JOB_RULES)).unwrap_or_default();
    if rules.is_empty() && policy.get("rules").is_some_and(|rules| rules.is_list()) {
        place.error("needs at least one rule");
    }
    let rule = |place: &Place<'a>| success_rule(&place.object(&schema::SUCCESS_RULE)?, completions);
    document.arena.list(rules.iter().filter_map(rule).collect::<Vec<_>>())
}

fn success_rule(rule: &Object<'_>, completions: u32) -> Option<SuccessRule> {
    let all = 1u64.checked_shl(completions).map_or(u64::MAX, |bit| bit - 1);
    let (named, count) = (rule.get("succeededIndexes"), rule.get("succeededCount"));
    if named.is_none() && count.is_none() {
        rule.place.error("needs succeededIndexes, succeededCount or both");
        return None;
    }
    let indexes = match named {
        None => all,
        Some(place) => {
            let text = place.text()?;
            let found = indexes(text).filter(|bits| bits & !all == 0);
            if found.is_none() {
                let last = completions.saturating_sub(1);
                place.error(format!(
                    "{} is not a list of numbers from 0 to {last}, as in 0,2-4: each once, in their order",
                    place.quoted(text)
                ));
            }
            found?
        }
    };
    let most = i64::from(indexes.count_ones());
    let count = count.map_or(Some(most), |place| place.integer(1..=most))?;
    Some(SuccessRule { indexes, count: u8::try_from(count).ok()? })
}

/// `1,3-5`: a bit for each.
fn indexes(text: &str) -> Option<u64> {
    let (mut bits, mut next) = (0u64, 0u32);
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        if from < next || to < from || to >= u64::BITS {
            return None;
        }
        (from..=to).for_each(|index| bits |= 1 << index);
        next = to + 1;
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::indexes;

    #[test]
    fn numbers_and_spans_in_their_order() {
        assert_eq!(indexes("1,3-5"), Some(0b11_1010));
        assert_eq!(indexes("0-63"), Some(u64::MAX));
        for wrong in ["", "2,1", "1,1", "3-2", "64", "a", "1,", "-1"] {
            assert_eq!(indexes(wrong), None, "{wrong}");
        }
    }
}
