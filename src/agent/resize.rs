//! Resources that change while a pod runs: its groups get their new bounds, and its processes go on.

use super::drive::Agent;
use super::effect::instance_group;
use super::start;
use super::trouble::Trouble;
use crate::manifest::pod::{Container, Pod};
use crate::manifest::record::{ContainerRecord, Life};
use crate::manifest::status::{Uid, message};
use crate::manifest::{check, limits};
use crate::sys::cgroup::Limits;
use std::format;
use std::prelude::v1::*;

/// Gives a pod that was made by the manifest `runs` the bounds of `pod`. What cannot be done is told, and waits for the container's
/// next start. Those that are to be restarted for it get theirs then as well.
pub(super) fn resize(agent: &Agent, uid: Uid, runs: &[u8], pod: &Pod<'_>, records: &[ContainerRecord]) {
    let Some(old) = check::manifest(runs).ok().and_then(|manifest| manifest.pods.get(0)) else { return };
    if (old.containers, old.resources) == (pod.containers, pod.resources) {
        return;
    }
    let path = format!("{uid}");
    let (before, after) = (start::pod_limits(&old), start::pod_limits(pod));
    // No child may have more than its parent, so that this has the larger of both while they change.
    let both = Limits {
        memory: larger(before.memory, after.memory),
        cpu_milli: larger(before.cpu_milli, after.cpu_milli),
        ..after
    };
    let mut done = set(agent, &path, &before, &both);
    for (index, (container, record)) in (0..).zip(pod.containers.iter().zip(records)) {
        let Some(was) = old.containers.get(index) else { continue };
        let (from, to) = (start::limits(&was), start::limits(&container));
        if from != to && !matches!(record.life, Life::Ended { .. }) && record.memo.edition == container.edition() {
            done = done.and(set(agent, &instance_group(uid, container.name, record.instance), &from, &to));
        }
    }
    done = done.and(set(agent, &path, &both, &after));
    if before != after || resources(&old) != resources(pod) {
        let (warning, reason, text) = match &done {
            Ok(()) => (false, "ResizeCompleted", message("Pod resize completed")),
            Err(why) => (true, "ResizeError", why.message()),
        };
        agent.report(pod, warning, reason, None, text);
    }
}

fn resources(pod: &Pod<'_>) -> heapless::Vec<Limits, { limits::CONTAINERS }> {
    pod.containers.iter().map(|it: Container<'_>| start::limits(&it)).take(limits::CONTAINERS).collect()
}

/// No bound is the largest.
fn larger<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    Some(one?.max(other?))
}

/// Sets the bounds of a group; as with kubelet none for memory below what is used.
fn set(agent: &Agent, path: &str, from: &Limits, to: &Limits) -> Result<(), Trouble> {
    if from == to {
        return Ok(());
    }
    let group = agent.cgroups().group(path);
    if let (Some(limit), Some(used)) = (to.memory, group.usage().memory)
        && from.memory.is_none_or(|before| limit < before)
        && used >= limit
    {
        let text = format!(
            "attempting to set a memory limit ({limit}) below the current usage ({used}); restart the container for it"
        );
        return Err(text.into());
    }
    if let Some(fix) = agent.cgroups().refuses(to) {
        return Err(fix.into());
    }
    Ok(group.relimit(to)?)
}
