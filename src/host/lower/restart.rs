//! `restartPolicy`, `restartPolicyRules` and `resizePolicy` of a container.

use super::Context;
use super::pod::policy_of;
use crate::host::read::{Object, Place};
use crate::host::schema;
use crate::manifest::pod::{ContainerKind, Operator, Resize, ResizePolicy, RestartAction, RestartPolicy, RestartRule};
use crate::manifest::{List, limits};
use std::format;
use std::prelude::v1::*;

/// The kind of a container of `spec.containers` (`app`) or of `spec.initContainers`, and its own restart policy. Spec 36: an init
/// container with `restartPolicy: Always` is a sidecar.
pub(super) fn policy(object: &Object<'_>, app: bool) -> (ContainerKind, Option<RestartPolicy>) {
    match (app, object.get("restartPolicy").as_ref().and_then(policy_of)) {
        (true, policy) => (ContainerKind::App, policy),
        (false, Some(RestartPolicy::Always)) => (ContainerKind::Sidecar, None),
        (false, policy) => (ContainerKind::Init, policy),
    }
}

/// The rules, checked as the API server checks them.
pub(super) fn rules<'c>(cx: &'c Context<'_>, object: &Object<'_>) -> List<'c, RestartRule<'c>> {
    let Some(place) = object.get("restartPolicyRules") else {
        return List::EMPTY;
    };
    let places = place.list(limits::RESTART_RULES);
    if !places.is_empty() && object.get("restartPolicy").is_none() {
        place.error("need a restartPolicy of the container beside them, for the exit codes that they do not name");
    }
    cx.arena.list(places.iter().filter_map(|place| rule(cx, place)))
}

fn rule<'c>(cx: &'c Context<'_>, place: &Place<'_>) -> Option<RestartRule<'c>> {
    let rule = place.object(&schema::RESTART_RULE)?;
    let action = rule.require("action").and_then(|place| place.one_of(&RestartAction::ALL.map(RestartAction::as_str)));
    let (operator, values) = exit_codes(&rule.require("exitCodes")?.object(&schema::EXIT_CODES)?)?;
    let action = RestartAction::ALL.into_iter().find(|known| action == Some(known.as_str()))?;
    Some(RestartRule { operator, codes: cx.arena.list(values), action })
}

/// `operator` and `values`, of exit codes.
pub(super) fn exit_codes(object: &Object<'_>) -> Option<(Operator, Vec<u8>)> {
    let operator = object.require("operator").and_then(|operator| operator.one_of(&["In", "NotIn"]));
    let mut values: Vec<u8> = Vec::new();
    for value in object.get("values").iter().flat_map(|list| list.list(limits::EXIT_CODES)) {
        let Some(number) = value.integer(i64::from(i32::MIN)..=i64::from(i32::MAX)) else { continue };
        match u8::try_from(number) {
            Ok(code) if values.contains(&code) => value.error(format!("{code} is there twice")),
            Ok(code) => values.push(code),
            Err(_) => value.warning("is no exit code, and changes nothing: those are 0 to 255"),
        }
    }
    Some((if operator? == "In" { Operator::In } else { Operator::NotIn }, values))
}

/// What a change of its resources takes, each resource once.
pub(super) fn resize(object: &Object<'_>) -> ResizePolicy {
    let mut policies: [Option<Resize>; 2] = [None; 2];
    for place in object.get("resizePolicy").iter().flat_map(|list| list.list(limits::RESIZE_POLICIES)) {
        let Some(policy) = place.object(&schema::RESIZE) else { continue };
        let name = policy.require("resourceName").and_then(|name| name.one_of(&["cpu", "memory"]));
        let how = policy.require("restartPolicy").and_then(|how| how.one_of(&["NotRequired", "RestartContainer"]));
        let (Some(name), Some(how)) = (name, how) else { continue };
        let resource = &mut policies[usize::from(name == "memory")];
        if resource.is_some() {
            place.error(format!("{name} is there twice"));
        }
        *resource = Some(if how == "RestartContainer" { Resize::Restart } else { Resize::InPlace });
    }
    let [cpu, memory] = policies.map(Option::unwrap_or_default);
    ResizePolicy { cpu, memory }
}
