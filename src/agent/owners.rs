//! What is left of controllers on the board: whose turn it is among the pods of one owner, and their events.

use super::drive::Agent;
use super::events::Event;
use crate::manifest::owner::{Controller, Start};
use crate::manifest::pod::Pod;
use crate::manifest::status::{ConditionKind, message};
use std::format;
use std::prelude::v1::*;

/// Whether pod `index` of the manifest, which is not here, may be made now. `OrderedReady`: once those before it are Ready (spec 65),
/// without those that somebody has deleted.
pub(super) fn may_come(agent: &Agent, index: usize, pod: &Pod<'_>) -> bool {
    match pod.owner.map(|owner| owner.controller) {
        Some(Controller::StatefulSet(Start::OrderedReady)) => {
            let before =
                agent.manifest().pods.iter().enumerate().take(index).filter(|(_, other)| is_sibling(pod, other));
            before.filter(|(_, other)| !agent.paths().deleted(other.namespace, other.name).exists()).all(|(at, _)| {
                agent
                    .pods()
                    .iter()
                    .any(|entry| entry.place.index() == Some(at) && !entry.machine().is_hidden() && is_ready(entry))
            })
        }
        // A Job's pods come when their time has ([`super::jobs`]).
        Some(Controller::Job(_)) => false,
        _ => true,
    }
}

/// Has the owner of a pod that is made now say so; a Job does so itself ([`super::jobs`]).
pub(super) fn tell_created(agent: &Agent, pod: &Pod<'_>) {
    let Some(owner) = pod.owner else { return };
    let (name, owned) = (pod.name, owner.name);
    let text = match owner.controller {
        Controller::Job(_) => return,
        Controller::StatefulSet(_) => format!("create Pod {name} in StatefulSet {owned} successful"),
        _ => format!("Created pod: {name}"),
    };
    let kind = owner.controller.kind().to_ascii_lowercase();
    report(agent, pod, (&kind, owned), (false, "SuccessfulCreate"), &text);
}

/// An event of something in the namespace of `pod`: its kind and name, whether it is a warning, and the reason.
pub(super) fn report(
    agent: &Agent,
    pod: &Pod<'_>,
    (kind, name): (&str, &str),
    (warning, reason): (bool, &'static str),
    text: &str,
) {
    let now = agent.now();
    agent.events_mut().add(Event {
        first: now,
        last: now,
        count: 1,
        warning,
        reason,
        namespace: pod.namespace.into(),
        object: format!("{kind}/{name}").into(),
        container: "".into(),
        message: message(text),
    });
}

/// Whether both are pods of one controller.
pub(super) fn is_sibling(one: &Pod<'_>, other: &Pod<'_>) -> bool {
    let (Some(mine), Some(its)) = (one.owner, other.owner) else { return false };
    one.namespace == other.namespace && (mine.controller.kind(), mine.name) == (its.controller.kind(), its.name)
}

fn is_ready(entry: &super::drive::Entry) -> bool {
    entry.machine().conditions().iter().any(|condition| condition.kind == ConditionKind::Ready && condition.status)
}
