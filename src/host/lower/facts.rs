//! `fieldRef` and `resourceFieldRef`: what of a pod is known here, and what its board has to say.

use super::objects::Metadata;
use super::resources;
use crate::host::diagnostic::quote;
use crate::host::read::{Object, Place, did_you_mean};
use crate::host::suggest::nearest;
use crate::host::{schema, units};
use crate::manifest::fact::{Fact, Quantity, ResourceFact};
use crate::manifest::limits;
use std::format;
use std::prelude::v1::*;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker<'n> {
    /// A variable of the container of that name.
    Variable(&'n str),
    /// A file of a volume.
    Volume,
}

/// What a `fieldRef` says.
pub(super) enum Told<'c> {
    /// This.
    Now(&'c str),
    /// What the board knows.
    Later(Fact<'c>),
}

/// The fields without a key.
const FIELDS: [Fact<'static>; 12] = [
    Fact::Name,
    Fact::Namespace,
    Fact::Uid,
    Fact::Labels,
    Fact::Annotations,
    Fact::Label("KEY"),
    Fact::Annotation("KEY"),
    Fact::NodeName,
    Fact::PodIp,
    Fact::PodIps,
    Fact::HostIp,
    Fact::HostIps,
];

const SERVICE_ACCOUNT: &str = "spec.serviceAccountName";

/// The fact that `fieldRef` names; with a message where there is no such field for `asker`.
pub(super) fn field<'c, 'a: 'c>(meta: &'c Metadata<'a>, place: &Place<'a>, asker: Asker<'_>) -> Option<Told<'c>> {
    let place = place.object(&schema::FIELD_REF)?.require("fieldPath")?;
    let path = place.text()?;
    let keyed = |prefix: &str| path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']");
    let fact = if let Some(key) = keyed("metadata.labels") {
        Some(Fact::Label(key))
    } else if let Some(key) = keyed("metadata.annotations") {
        Some(Fact::Annotation(key))
    } else {
        FIELDS.into_iter().find(|fact| fact.field() == Some((path, None)))
    };
    match (fact, asker) {
        (Some(Fact::Labels | Fact::Annotations), Asker::Variable(_)) => {
            place.error(format!("a variable can take one of them: write {path}['KEY']"));
            None
        }
        (Some(fact), Asker::Volume) => Some(Told::Later(fact)),
        (Some(fact), Asker::Variable(_)) => Some(now(meta, fact).map_or(Told::Later(fact), Told::Now)),
        (None, Asker::Variable(_)) if path == SERVICE_ACCOUNT => Some(Told::Now(meta.service_account)),
        (None, _) => {
            let spell = |fact: Fact<'static>| match fact.field() {
                Some((field, None)) => String::from(field),
                Some((field, Some(key))) => format!("{field}['{key}']"),
                None => String::new(),
            };
            let known: Vec<String> = FIELDS.into_iter().map(spell).collect();
            let hint = did_you_mean(nearest(path, known.iter().map(String::as_str)));
            let what = if asker == Asker::Volume { "file" } else { "variable" };
            place.error(format!("{} is not a field that a {what} can take{hint}", quote(path)));
            None
        }
    }
}

/// What is known before the pod runs.
fn now<'c>(meta: &'c Metadata<'_>, fact: Fact<'c>) -> Option<&'c str> {
    let of = |pairs: &'c [crate::manifest::pod::Pair<'_>], key: &str| {
        pairs.iter().find(|p| p.key == key).map_or("", |p| p.value)
    };
    match fact {
        Fact::Name => Some(meta.name),
        Fact::Namespace => Some(meta.namespace),
        Fact::Label(key) => Some(of(&meta.labels, key)),
        Fact::Annotation(key) => Some(of(&meta.annotations, key)),
        _ => None,
    }
}

/// The fact that `resourceFieldRef` names. `containers` are the names of the pod's, in their order.
pub(super) fn resource<'c>(place: &Place<'_>, containers: &[&str], asker: Asker<'_>) -> Option<Fact<'c>> {
    let object = place.object(&schema::RESOURCE_REF)?;
    let of = object.require("resource").and_then(|place| quantity(&place));
    let divisor = divisor(&object, of);
    let name = match (object.get("containerName"), asker) {
        (Some(place), _) => Some((place.text()?, place)),
        (None, Asker::Variable(own)) => Some((own, object.place.clone())),
        (None, Asker::Volume) => object.require("containerName").map(|place| ("", place)),
    };
    let (name, at) = name?;
    let Some(container) = containers.iter().take(limits::CONTAINERS).position(|known| *known == name) else {
        let hint = did_you_mean(nearest(name, containers.iter().copied()));
        at.error(format!("the pod has no container {}{hint}", quote(name)));
        return None;
    };
    Some(Fact::Resource(ResourceFact { container: u8::try_from(container).ok()?, of: of?, divisor: divisor? }))
}

fn quantity(place: &Place<'_>) -> Option<Quantity> {
    let text = place.text()?;
    let found = Quantity::all().find(|of| of.as_str() == text);
    if found.is_none() {
        let hint = did_you_mean(nearest(text, Quantity::all().map(Quantity::as_str)));
        place.error(format!("{} is not a resource that can be told{hint}", quote(text)));
    }
    found
}

/// The divisor: 1 where none is said. Kubernetes takes a few round ones only.
fn divisor(object: &Object<'_>, of: Option<Quantity>) -> Option<u64> {
    const CPU: [&str; 3] = ["0", "1m", "1"];
    const BYTES: [&str; 14] = ["0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let given = object.get("divisor").map(|place| (place.word(), place));
    let of = of?;
    let one = if of.is_cpu() { 1000 } else { 1 };
    let Some((text, place)) = given else { return Some(one) };
    let text = text?;
    let known: &[&str] = if of.is_cpu() { &CPU } else { &BYTES };
    if !known.contains(&text) {
        place.error(format!(
            "{} is not a divisor for {}: {} are",
            place.quoted(text),
            of.as_str(),
            known[1..].join(", ")
        ));
        return None;
    }
    match text {
        "0" => Some(one),
        _ if of.is_cpu() => resources::amount(&place, units::milli).map(u64::from),
        _ => match text {
            // More than anything that a board can count: one of them is what everything rounds up to.
            "1P" | "1E" | "1Pi" | "1Ei" => Some(limits::BYTES),
            _ => resources::amount(&place, units::bytes),
        },
    }
}

/// The names of the containers of a pod in start order, as far as they can be read; what is wrong with them is said elsewhere.
pub(super) fn containers<'a>(spec: &Object<'a>) -> Vec<&'a str> {
    let lists = ["initContainers", "containers"].into_iter().filter_map(|field| spec.get(field));
    let elements = lists.filter(Place::is_list).flat_map(|list| list.list(usize::MAX));
    let name = |place: Place<'a>| {
        let fields = if place.is_map() { place.map(usize::MAX) } else { Vec::new() };
        let found = fields.into_iter().find(|(key, value)| *key == "name" && !value.is_map() && !value.is_list());
        found.and_then(|(_, value)| value.word()).unwrap_or_default()
    };
    elements.map(name).collect()
}
