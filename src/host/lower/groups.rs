//! The groups of a pod's volumes: `fsGroup` and what goes with it.

use crate::host::read::{Object, Place};
use crate::manifest::limits;
use crate::manifest::pod::{FsGroup, FsGroupChange, GroupsPolicy};
use std::prelude::v1::*;

/// Reads them from the pod's `securityContext`, whose other fields are read elsewhere.
pub(super) fn lower(spec: &Object<'_>) -> (Option<FsGroup>, GroupsPolicy) {
    let fields =
        spec.get("securityContext").filter(Place::is_map).map(|place| place.map(usize::MAX)).unwrap_or_default();
    let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, place)| place);
    let policy = field("supplementalGroupsPolicy").and_then(|place| place.one_of(&["Merge", "Strict"]));
    let change = field("fsGroupChangePolicy").and_then(|place| place.one_of(&["Always", "OnRootMismatch"]));
    let id = field("fsGroup").and_then(|place| u32::try_from(place.integer(0..=i64::from(limits::ID))?).ok());
    let change = if change == Some("OnRootMismatch") { FsGroupChange::OnRootMismatch } else { FsGroupChange::Always };
    let policy = if policy == Some("Strict") { GroupsPolicy::Strict } else { GroupsPolicy::Merge };
    (id.map(|id| FsGroup { id, change }), policy)
}
