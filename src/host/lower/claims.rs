//! PersistentVolumeClaim and PersistentVolume documents (spec 35): who may use a claim, and where its files are.

use super::objects::{Key, Metadata};
use super::resources;
use super::{names, volumes};
use crate::host::diagnostic::{Span, quote};
use crate::host::read::{Object, Place};
use crate::host::{schema, units};
use crate::manifest::check::rule;
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
    pub(super) spec: Option<Object<'a>>,
    /// `ReadWriteOncePod`.
    exclusive: bool,
    /// With `volumeMode: Block`, and how large.
    pub(super) block: Option<u64>,
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
    pub(super) kind: PersistentKind<'a>,
    class: &'a str,
    /// `ro` is one of its `mountOptions`.
    pub(super) read_only: bool,
    /// The others.
    pub(super) options: Vec<&'a str>,
    /// `claimRef`, or the claim that was bound to it.
    claim: RefCell<Option<(String, String)>>,
}

/// What a PersistentVolume is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PersistentKind<'a> {
    HostPath(HostPathKind),
    /// `local`, with its `fsType`.
    Local(&'a str),
    /// `local`, with `volumeMode: Block`.
    Block,
}

/// Reads the claim in `object`.
pub(super) fn claim<'a>(object: &Object<'a>, meta: &Metadata<'a>) -> Claim<'a> {
    let none = || Claim { at: meta.at, ..Claim::default() };
    let Some(spec) = object.require("spec").and_then(|spec| spec.object(&schema::CLAIM_SPEC)) else { return none() };
    let block = block(&spec);
    let exclusive = modes(&spec).contains(&"ReadWriteOncePod");
    let text = |name| spec.get(name).and_then(|place| place.text()).unwrap_or_default();
    Claim {
        exclusive,
        block,
        volume: text("volumeName"),
        class: text("storageClassName"),
        spec: Some(spec.clone()),
        ..none()
    }
}

fn modes(spec: &Object<'_>) -> Vec<&'static str> {
    let Some(list) = spec.get("accessModes") else { return Vec::new() };
    let modes: Vec<&str> = list.list(MODES.len()).iter().filter_map(|place| place.one_of(&MODES)).collect();
    if modes.contains(&"ReadWriteOncePod") && modes.len() > 1 {
        list.error("ReadWriteOncePod cannot be had together with another mode");
    }
    modes
}

/// The size of a claim that is to be a block device, which must say one; its resources are checked in any case.
pub(super) fn block(spec: &Object<'_>) -> Option<u64> {
    let resources = spec.get("resources").and_then(|place| place.object(&schema::CLAIM_RESOURCES));
    let of = |list| resources.as_ref().and_then(|resources| storage(&resources.get(list)?));
    let (asked, _) = (of("requests"), of("limits"));
    let is_block = is_block(spec);
    if is_block && asked.is_none() {
        spec.place.error("resources.requests.storage: is required with volumeMode: Block");
    }
    is_block.then_some(asked.unwrap_or(1))
}

/// `volumeMode`.
fn is_block(spec: &Object<'_>) -> bool {
    spec.get("volumeMode").and_then(|word| word.one_of(&["Filesystem", "Block"])) == Some("Block")
}

fn storage(list: &Place<'_>) -> Option<u64> {
    let amounts = list.map(limits::PAIRS).into_iter().filter(|(name, _)| *name == "storage");
    amounts.filter_map(|(_, amount)| resources::amount(&amount, units::bytes)).last()
}

/// Reads the volume in `object`.
pub(super) fn persistent<'a>(object: &Object<'a>, meta: &Metadata<'a>) -> Option<Persistent<'a>> {
    let spec = object.require("spec")?.object(&schema::PERSISTENT_VOLUME_SPEC)?;
    let _ = modes(&spec);
    let _ = spec.get("capacity").and_then(|capacity| storage(&capacity));
    let block = is_block(&spec);
    let (path, kind) = match (spec.get("hostPath"), spec.get("local")) {
        (Some(place), None) => {
            if block {
                place.error("cannot be a block device: volumeMode: Block is for local");
            }
            let (path, kind) = volumes::host_path(&place.object(&schema::HOST_PATH)?)?;
            (path, PersistentKind::HostPath(kind))
        }
        (None, Some(place)) => {
            let object = place.object(&schema::LOCAL)?;
            let file_system = object.get("fsType").map(|place| (place.text().unwrap_or_default(), place));
            if let Some((name, place)) = &file_system
                && !name.is_empty()
                && !(rule::KERNEL_NAME.holds)(name)
            {
                place.error(format!("{} is not the name of a file system", place.quoted(name)));
            }
            let path = names::absolute(&object.require("path")?)?;
            let name = file_system.map_or("", |(name, _)| name);
            (path, if block { PersistentKind::Block } else { PersistentKind::Local(name) })
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
    let mut options = mount_options(&spec, kind);
    let before = options.len();
    options.retain(|word| *word != "ro");
    let read_only = options.len() < before;
    Some(Persistent { at: meta.at, path, kind, class, read_only, options, claim: RefCell::new(claim) })
}

/// `mountOptions`, but for those that say what is so anyway.
fn mount_options<'a>(spec: &Object<'a>, kind: PersistentKind<'_>) -> Vec<&'a str> {
    /// What mount(8) itself heeds, and what is so on a board.
    const IDLE: [&str; 7] = ["defaults", "rw", "auto", "noauto", "nofail", "_netdev", "nouser"];
    const AGAINST: [&str; 10] = ["suid", "dev", "bind", "rbind", "move", "remount", "loop", "user", "users", "owner"];
    let Some(list) = spec.get("mountOptions") else { return Vec::new() };
    let places = list.list(limits::MOUNT_OPTIONS);
    if !places.is_empty() && !matches!(kind, PersistentKind::Local(_)) {
        list.error("are for the file system on a block device (local): leave them out");
    }
    let word = |place: &Place<'a>| {
        let word = place.text()?;
        if !(rule::MOUNT_OPTION.holds)(word) {
            place.error(format!("{} {}", quote(word), rule::MOUNT_OPTION.says));
        } else if AGAINST.contains(&word) {
            place.error(format!("{word} is not possible: a board mounts a device as it is, without set-user-ID programs and device nodes"));
        }
        Some(word).filter(|word| !IDLE.contains(word))
    };
    places.iter().filter_map(word).collect()
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

    /// The same for a block device on the data partition: each pod would have a loop device of its own over it.
    pub(super) fn is_only_for(&self, place: &Place<'_>, pod: &str) {
        if let Some(first) = self.user.borrow().as_ref().filter(|first| *first != pod) {
            place.error(format!(
                "the claim is a block device for one pod, and the pod {} uses it already",
                quote(first)
            ));
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
        let is_alike = |volume: &&Persistent<'_>| (volume.kind == PersistentKind::Block) == self.block.is_some();
        let is_free = |volume: &&Persistent<'_>| {
            volume.claim.borrow().is_none() && volume.class == self.class && is_alike(volume)
        };
        let named = || volumes.iter().find(|(known, _)| **known == self.volume).map(|(_, volume)| volume);
        let free = || volumes.values().find(is_free).filter(|_| self.volume.is_empty());
        let found = named().or_else(|| volumes.values().find(is_own)).or_else(free)?;
        *found.claim.borrow_mut() = Some((namespace.into(), name.into()));
        Some(found)
    }
}
