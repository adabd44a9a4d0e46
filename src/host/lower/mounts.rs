//! Where a container mounts the volumes of its pod (spec 31), and which part of them; and which of them are its devices.

use super::Context;
use super::env::Environment;
use super::names;
use super::volumes::Volumes;
use crate::host::diagnostic::quote;
use crate::host::read::{Object, Place};
use crate::host::schema;
use crate::manifest::limits;
use crate::manifest::pod::{Mount, Propagation};
use std::format;
use std::prelude::v1::*;

/// Lowers the `volumeMounts` of a container.
pub(super) fn lower<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    volumes: &Volumes<'c>,
    container: &Object<'a>,
    environment: &Environment<'c>,
) -> Vec<Mount<'c>> {
    let mut mounts: Vec<Mount<'c>> = Vec::new();
    for place in container.get("volumeMounts").iter().flat_map(|list| list.list(limits::MOUNTS)) {
        let Some(object) = place.object(&schema::MOUNT) else {
            continue;
        };
        let volume = object.require("name").and_then(|name| volumes.find(&name));
        let path = object.require("mountPath").and_then(|path| mount_path(&path));
        let read_only = object.flag("readOnly").unwrap_or(false);
        let sub_path = sub_path(cx, &object, environment).unwrap_or_default();
        let propagation = propagation(container, &object);
        let recursive_read_only = recursive_read_only(&object, read_only, propagation);
        let (Some((volume, always)), Some(path)) = (volume, path) else {
            continue;
        };
        if volumes.is_block(volume) {
            place.error("this volume is a block device: it is for volumeDevices");
        }
        if mounts.iter().any(|m| m.path == path) {
            place.error(format!("{} is taken by another volume of this container", quote(&path)));
            continue;
        }
        let (path, read_only) = (cx.arena.str(&path), read_only || always);
        mounts.push(Mount { volume, path, read_only, sub_path, recursive_read_only, propagation });
    }
    devices(cx, volumes, container, &mut mounts);
    mounts
}

/// Adds the `volumeDevices` of a container.
fn devices<'c>(cx: &'c Context<'_>, volumes: &Volumes<'c>, container: &Object<'_>, mounts: &mut Vec<Mount<'c>>) {
    for place in container.get("volumeDevices").iter().flat_map(|list| list.list(limits::MOUNTS)) {
        let Some(object) = place.object(&schema::VOLUME_DEVICE) else { continue };
        let volume = object.require("name").and_then(|name| volumes.find(&name));
        let path = object.require("devicePath").and_then(|path| mount_path(&path));
        let (Some((volume, read_only)), Some(path)) = (volume, path) else { continue };
        if !volumes.is_block(volume) {
            place.error("this volume has a file system: volumeMode: Block makes a device of a claim");
        }
        if mounts.iter().any(|m| m.path == path) {
            place.error(format!("{} is taken by another volume of this container", quote(&path)));
        }
        mounts.push(Mount { volume, path: cx.arena.str(&path), read_only, ..Mount::default() });
    }
    if mounts.len() > limits::MOUNTS {
        let most = limits::MOUNTS;
        container
            .place
            .error(format!("at most {most} volumes and devices are possible, and there are {}", mounts.len()));
    }
}

/// Where a volume is mounted.
fn mount_path(place: &Place<'_>) -> Option<String> {
    let path = names::absolute(place)?;
    if path == "/" || path.contains(':') {
        place.error(format!("{} cannot be mounted on", quote(&path)));
        return None;
    }
    Some(path)
}

/// `subPath`, or `subPathExpr` with the container's variables put in.
fn sub_path<'c>(cx: &'c Context<'_>, mount: &Object<'_>, environment: &Environment<'c>) -> Option<&'c str> {
    let given = |name| mount.get(name).filter(|place| place.text() != Some(""));
    let (place, text) = match (given("subPath"), given("subPathExpr")) {
        (Some(_), Some(expression)) => {
            expression.error("subPath or subPathExpr, not both");
            return None;
        }
        (Some(plain), None) => (plain.clone(), String::from(plain.text()?)),
        (None, Some(expression)) => {
            let text = expression.text()?;
            if let Some(missing) = environment.missing(text) {
                expression.error(format!("this container has no variable {}", quote(missing)));
                return None;
            }
            let Some(expanded) = environment.expand(text).filter(|expanded| expanded.text.len() <= limits::PATH) else {
                expression.error(format!("with its variables this is longer than {} bytes", limits::PATH));
                return None;
            };
            let place = if expanded.secret { expression.hidden() } else { expression };
            (place, expanded.text)
        }
        (None, None) => return None,
    };
    let problem = if text.starts_with('/') {
        "is not a path below the volume: it must not begin with /"
    } else if text.split('/').any(|part| part == "..") {
        "must not contain .."
    } else if text.len() > limits::PATH {
        "is longer than a path may be"
    } else {
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        return Some(cx.arena.str(&parts.join("/")));
    };
    place.error(format!("{} {problem}", place.quoted(&text)));
    None
}

/// `mountPropagation`. What a container mounts on the node it can only mount with the node's own privileges.
fn propagation(container: &Object<'_>, mount: &Object<'_>) -> Propagation {
    let Some(place) = mount.get("mountPropagation") else { return Propagation::None };
    match place.one_of(&["None", "HostToContainer", "Bidirectional"]) {
        Some("HostToContainer") => Propagation::HostToContainer,
        Some("Bidirectional") => {
            let security = container.get("securityContext").filter(Place::is_map).map(|place| place.map(usize::MAX));
            let mut fields = security.into_iter().flatten();
            let privileged = fields.find(|(key, _)| *key == "privileged").and_then(|(_, place)| place.boolean());
            if privileged != Some(true) {
                place.error("Bidirectional is possible only in a privileged container");
            }
            Propagation::Bidirectional
        }
        _ => Propagation::None,
    }
}

/// `recursiveReadOnly`. Every kernel that a board may have can do it: IfPossible comes out as Enabled.
fn recursive_read_only(mount: &Object<'_>, read_only: bool, propagation: Propagation) -> bool {
    let Some(place) = mount.get("recursiveReadOnly") else { return false };
    let wanted = matches!(place.one_of(&["Disabled", "IfPossible", "Enabled"]), Some("IfPossible" | "Enabled"));
    if wanted && !read_only {
        place.error("needs readOnly: true");
    } else if wanted && propagation != Propagation::None {
        place.error("cannot be had together with a mountPropagation other than None");
    }
    wanted && read_only
}
