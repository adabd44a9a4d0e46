//! `securityContext` of pod and container, folded into one.

use super::Context;
use super::confine;
use super::pod::Shared;
use crate::host::read::{Object, Place, did_you_mean};
use crate::host::schema;
use crate::host::suggest::nearest;
use crate::manifest::pod::{RunAs, Security};
use crate::manifest::{List, limits};
use std::format;
use std::prelude::v1::*;

const SYS_ADMIN: u64 = 1 << 21;
const ALL: u64 = (1 << Security::CAPABILITIES.len()) - 1;

/// What a pod sets for its containers.
#[derive(Default)]
pub(super) struct PodDefaults {
    pub(super) run_as: RunAs,
    pub(super) seccomp: Option<confine::Profile>,
}

/// The pod's part, and its supplemental groups.
pub(super) fn pod<'c>(cx: &'c Context<'_>, spec: &Object<'_>) -> (PodDefaults, List<'c, u32>) {
    let Some(object) = spec.get("securityContext").and_then(|s| s.object(&schema::POD_SECURITY)) else {
        return (PodDefaults::default(), List::EMPTY);
    };
    let seccomp = confine::profile(cx, &object);
    let places = object.get("supplementalGroups").map(|list| list.list(limits::GROUPS)).unwrap_or_default();
    let groups: Vec<u32> = places.iter().filter_map(id).collect();
    let run_as =
        RunAs { user: user(&object), group: group(&object), non_root: object.flag("runAsNonRoot").unwrap_or(false) };
    (PodDefaults { run_as, seccomp }, cx.arena.list(groups))
}

/// A container's security, over the pod's.
pub(super) fn container(pod: &Shared<'_>, container: &Object<'_>) -> Security {
    let RunAs { user: run_as_user, group: run_as_group, non_root: run_as_non_root } = pod.security.run_as;
    let base = Security { run_as_user, run_as_group, run_as_non_root, ..Security::default() };
    let Some(object) = container.get("securityContext").and_then(|s| s.object(&schema::SECURITY)) else {
        return non_root(&container.place, base);
    };
    let escalation = object.get("allowPrivilegeEscalation");
    let no_new_privileges = escalation.as_ref().and_then(Place::boolean) == Some(false);
    let privileged = confine::is_privileged(&object);
    let listed = capabilities(&object);
    let capabilities = if privileged { ALL } else { listed };
    if let Some(place) = escalation.filter(|_| no_new_privileges && capabilities & SYS_ADMIN != 0) {
        place.error(match privileged {
            true => "cannot be false for a privileged container",
            false => "cannot be false for a container with the capability SYS_ADMIN",
        });
    }
    let folded = Security {
        run_as_user: user(&object).or(base.run_as_user),
        run_as_group: group(&object).or(base.run_as_group),
        run_as_non_root: object.flag("runAsNonRoot").unwrap_or(base.run_as_non_root),
        read_only_root: object.flag("readOnlyRootFilesystem").unwrap_or(false),
        no_new_privileges,
        capabilities,
    };
    non_root(&object.place, folded)
}

/// Says what could only fail on the board.
fn non_root(place: &Place<'_>, security: Security) -> Security {
    if security.run_as_non_root && security.run_as_user == Some(0) {
        place.error("runAsNonRoot: true and runAsUser: 0 exclude each other");
    }
    security
}

/// A numeric user or group, in the range that Kubernetes has.
fn id(place: &Place<'_>) -> Option<u32> {
    u32::try_from(place.integer(0..=i64::from(i32::MAX))?).ok()
}

fn user(object: &Object<'_>) -> Option<u32> {
    id(&object.get("runAsUser")?)
}

fn group(object: &Object<'_>) -> Option<u32> {
    id(&object.get("runAsGroup")?)
}

/// What [`container`] gives a container that is not privileged, for its seccomp filter.
pub(super) fn capabilities_of(security: Option<&Object<'_>>) -> u64 {
    security.map_or(Security::DEFAULT_CAPABILITIES, capabilities)
}

/// `capabilities` over the default set: what is dropped by name is dropped, whatever is added.
fn capabilities(object: &Object<'_>) -> u64 {
    let Some(object) = object.get("capabilities").and_then(|c| c.object(&schema::CAPABILITIES)) else {
        return Security::DEFAULT_CAPABILITIES;
    };
    let set = |name: &'static str| {
        let places = object.get(name).map(|list| list.list(2 * Security::CAPABILITIES.len())).unwrap_or_default();
        let masks: Vec<u64> = places.iter().filter_map(capability).collect();
        let all = masks.contains(&ALL);
        (all, masks.into_iter().filter(|mask| *mask != ALL).fold(0, |a, b| a | b))
    };
    let (add_all, add) = set("add");
    let (drop_all, drop) = set("drop");
    let base = match (drop_all, add_all) {
        (true, _) => 0,
        (false, true) => ALL,
        (false, false) => Security::DEFAULT_CAPABILITIES,
    };
    (base | add) & !drop
}

/// The mask of a capability's name, with or without `CAP_`.
fn capability(place: &Place<'_>) -> Option<u64> {
    let text = place.text()?;
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if name == "ALL" {
        return Some(ALL);
    }
    let found = Security::CAPABILITIES.iter().position(|c| *c == name);
    if found.is_none() {
        let hint = did_you_mean(nearest(name, Security::CAPABILITIES));
        place.error(format!("{} is not a capability{hint}", place.quoted(text)));
    }
    found.map(|n| 1 << n)
}
