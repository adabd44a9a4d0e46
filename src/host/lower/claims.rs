//! PersistentVolumeClaim and PersistentVolume documents (spec 35): who may use a claim, and where its files are.

use super::objects::{Key, Metadata};
use super::resources;
use super::{names, volumes};
use crate::host::diagnostic::{Span, quote};
use crate::host::read::{Object, Place};
use crate::host::{schema, units};
use crate::manifest::limits;
use crate::manifest::pod::HostPathKind;
use core::cell::RefCell;
use std::collections::BTreeMap;
use std::format;
use std::prelude::v1::*;

const MODES: [&str; 4] = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

/// A claim's document.
#[derive(Default)]
pub(super) struct Claim<'a> {
    pub(super) at: Span,
    /// `ReadWriteOncePod`.
    exclusive: bool,
    /// `volumeName`.
    volume: &'a str,
    class: &'a str,
    /// The pod that was the first to use it.
    user: RefCell<Option<String>>,
}

/// A PersistentVolume's document: a place of the node.
pub(super) struct Persistent<'a> {
    pub(super) at: Span,
    pub(super) path: String,
    pub(super) kind: HostPathKind,
    class: &'a str,
    /// `claimRef`, or the claim that was bound to it.
    claim: RefCell<Option<(String, String)>>,
}

/// Reads the claim in `object`.
pub(super) fn claim<'a>(object: &Object<'a>, meta: &Metadata<'a>) -> Claim<'a> {
    let none = || Claim { at: meta.at, ..Claim::default() };
    let Some(spec) = object.require("spec").and_then(|spec| spec.object(&schema::CLAIM_SPEC)) else { return none() };
    if let Some(resources) = spec.get("resources").and_then(|place| place.object(&schema::CLAIM_RESOURCES)) {
        for list in ["requests", "limits"].into_iter().filter_map(|name| resources.get(name)) {
            storage(&list);
        }
    }
    let exclusive = modes(&spec).contains(&"ReadWriteOncePod");
    let text = |name| spec.get(name).and_then(|place| place.text()).unwrap_or_default();
    Claim { exclusive, volume: text("volumeName"), class: text("storageClassName"), ..none() }
}

fn modes(spec: &Object<'_>) -> Vec<&'static str> {
    let Some(list) = spec.get("accessModes") else { return Vec::new() };
    let modes: Vec<&str> = list.list(MODES.len()).iter().filter_map(|place| place.one_of(&MODES)).collect();
    if modes.contains(&"ReadWriteOncePod") && modes.len() > 1 {
        list.error("ReadWriteOncePod cannot be had together with another mode");
    }
    modes
}

fn storage(list: &Place<'_>) {
    for (name, amount) in list.map(limits::PAIRS) {
        if name == "storage" {
            let _ = resources::amount(&amount, units::bytes);
        }
    }
}

/// Reads the volume in `object`.
pub(super) fn persistent<'a>(object: &Object<'a>, meta: &Metadata<'a>) -> Option<Persistent<'a>> {
    let spec = object.require("spec")?.object(&schema::PERSISTENT_VOLUME_SPEC)?;
    let _ = modes(&spec);
    if let Some(capacity) = spec.get("capacity") {
        storage(&capacity);
    }
    let (path, kind) = match (spec.get("hostPath"), spec.get("local")) {
        (Some(place), None) => volumes::host_path(&place.object(&schema::HOST_PATH)?)?,
        (None, Some(place)) => {
            let path = names::absolute(&place.object(&schema::LOCAL)?.require("path")?)?;
            (path, HostPathKind::Any)
        }
        _ => {
            if !spec.has_refused() {
                spec.place.error("needs hostPath or local: a board has no other persistent volumes");
            }
            return None;
        }
    };
    let claim = spec.get("claimRef").filter(Place::is_map).map(|place| place.map(usize::MAX)).and_then(|fields| {
        let text = |name: &str| fields.iter().find(|(key, _)| *key == name).and_then(|(_, place)| place.text());
        Some((String::from(text("namespace").unwrap_or("default")), String::from(text("name")?)))
    });
    let class = spec.get("storageClassName").and_then(|place| place.text()).unwrap_or_default();
    Some(Persistent { at: meta.at, path, kind, class, claim: RefCell::new(claim) })
}

impl Claim<'_> {
    /// The pod called `pod` uses it; an error at `place` where another one does so already and it is for one alone.
    pub(super) fn uses(&self, place: &Place<'_>, pod: &str) {
        let mut first = self.user.borrow_mut();
        let first = first.get_or_insert_with(|| pod.into());
        if self.exclusive && first != pod {
            place.error(format!("the claim is ReadWriteOncePod, and the pod {} uses it already", quote(first)));
        }
    }

    /// The volume that it is bound to: the one that either names, else a free one of the same class. `None`: a folder of its own.
    pub(super) fn bound<'v, 'a>(
        &self,
        (namespace, name): Key<'_>,
        volumes: &'v BTreeMap<&'a str, Persistent<'a>>,
    ) -> Option<&'v Persistent<'a>> {
        let is_own = |volume: &&Persistent<'_>| {
            volume.claim.borrow().as_ref().is_some_and(|(of, called)| of == namespace && called == name)
        };
        let is_free = |volume: &&Persistent<'_>| volume.claim.borrow().is_none() && volume.class == self.class;
        let named = || volumes.iter().find(|(known, _)| **known == self.volume).map(|(_, volume)| volume);
        let free = || volumes.values().find(is_free).filter(|_| self.volume.is_empty());
        let found = named().or_else(|| volumes.values().find(is_own)).or_else(free)?;
        *found.claim.borrow_mut() = Some((namespace.into(), name.into()));
        Some(found)
    }
}
