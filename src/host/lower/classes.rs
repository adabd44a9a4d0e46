//! PriorityClass documents, and the priority that a pod has by its class or by itself (spec 96, 97).

use super::objects::Metadata;
use crate::host::diagnostic::Span;
use crate::host::read::{Object, did_you_mean};
use crate::host::suggest::nearest;
use crate::manifest::limits;
use std::collections::BTreeMap;
use std::format;
use std::prelude::v1::*;

/// The classes that every node has.
const SYSTEM: [(&str, i32); 2] =
    [("system-node-critical", limits::NODE_CRITICAL), ("system-cluster-critical", limits::CLUSTER_CRITICAL)];

/// A PriorityClass.
pub(super) struct Class {
    pub(super) at: Span,
    value: i32,
    /// Whether it is that of pods which name none.
    is_default: bool,
}

/// Reads the class in `object`.
pub(super) fn class(object: &Object<'_>, meta: &Metadata<'_>) -> Class {
    let range = i64::from(i32::MIN)..=i64::from(limits::PRIORITY);
    let value = object.require("value").and_then(|value| i32::try_from(value.integer(range)?).ok()).unwrap_or(0);
    if meta.name.starts_with("system-") {
        object.place.error("metadata.name: names that begin with system- are the node's own");
    }
    // For people who read it.
    let _ = object.get("description").and_then(|text| text.text());
    Class { at: meta.at, value, is_default: object.flag("globalDefault").unwrap_or(false) }
}

/// The pod's priority: that of its class, else its own number, else that of the class which is everybody's.
pub(super) fn priority(classes: &BTreeMap<&str, Class>, spec: &Object<'_>) -> i32 {
    let known = |name: &str| {
        let system = SYSTEM.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        system.or_else(|| classes.get(name).map(|class| class.value))
    };
    let class = spec.get("priorityClassName").and_then(|place| match place.text() {
        Some("") | None => None,
        Some(name) => known(name).or_else(|| {
            let all = SYSTEM.iter().map(|(name, _)| *name).chain(classes.keys().copied());
            let hint = did_you_mean(nearest(name, all));
            place.error(format!(
                "{} is no PriorityClass of these files, nor system-node-critical or system-cluster-critical{hint}",
                place.quoted(name)
            ));
            None
        }),
    });
    let everybodys = || classes.values().filter(|class| class.is_default).map(|class| class.value).min();
    let Some(place) = spec.get("priority") else {
        return class.or_else(everybodys).unwrap_or(0);
    };
    let most = class.unwrap_or(limits::PRIORITY).max(limits::PRIORITY);
    let number = place.integer(i64::from(i32::MIN)..=i64::from(most)).and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
    if let Some(class) = class.filter(|class| *class != number) {
        place.error(format!("the integer value of priority must not be provided beside a class that has {class}"));
    }
    class.unwrap_or(number)
}
