//! downwardAPI and projected volumes: files from several places in one directory.

use super::Context;
use super::facts::{self, Asker, Told};
use super::objects::Metadata;
use super::volumes::{self, Entries};
use crate::host::diagnostic::quote;
use crate::host::read::{Object, Place};
use crate::host::schema;
use crate::manifest::limits;
use crate::manifest::pod::{Content, Projection, Source};
use std::format;
use std::prelude::v1::*;

/// What the volumes of a pod must know of it.
#[derive(Clone, Copy)]
pub(super) struct Pod<'p, 'a> {
    pub(super) meta: &'p Metadata<'a>,
    /// The names of its containers.
    pub(super) containers: &'p [&'a str],
}

/// A `downwardAPI` volume.
pub(super) fn downward<'c, 'a: 'c>(cx: &'c Context<'a>, pod: Pod<'c, 'a>, volume: &Object<'a>) -> Option<Source<'c>> {
    let mode = mode(volume);
    let mut files = Vec::new();
    downward_items(cx, pod, volume, mode, &mut files);
    finish(cx, &volume.place, files)
}

/// A `projected` volume.
pub(super) fn projected<'c, 'a: 'c>(cx: &'c Context<'a>, pod: Pod<'c, 'a>, volume: &Object<'a>) -> Option<Source<'c>> {
    const REFUSED: [(&str, &str); 3] = [
        ("serviceAccountToken", "there is no API server on a board that would take a token"),
        ("clusterTrustBundle", "there is no API server on a board that would have one: use a configMap"),
        ("podCertificate", "there is no API server on a board that would sign one: use a secret"),
    ];
    let mode = mode(volume);
    let mut files = Vec::new();
    for place in volume.get("sources").iter().flat_map(|list| list.list(limits::FILES)) {
        let Some(source) = place.object(&schema::PROJECTION) else { continue };
        let mut given = 0;
        for (field, why) in REFUSED {
            if let Some(refused) = source.get(field) {
                given += 1;
                if refused.is_map() {
                    refused.error(why);
                } else {
                    let _ = refused.map(0);
                }
            }
        }
        for (field, secret) in [("configMap", false), ("secret", true)] {
            let table = if secret { &schema::SECRET_PROJECTION } else { &schema::CONFIG_MAP_PROJECTION };
            if let Some(place) = source.get(field) {
                given += 1;
                let Some(object) = place.object(table) else { continue };
                let content = if secret { Content::Secret } else { Content::Plain };
                let of = Entries { name: "name", mode, secret };
                for file in volumes::entries(cx, pod.meta, &object, of) {
                    add(
                        &place,
                        &mut files,
                        Projection { path: file.path, mode: file.mode, content: content(file.data) },
                    );
                }
            }
        }
        if let Some(object) = source.get("downwardAPI").and_then(|place| place.object(&schema::DOWNWARD_PROJECTION)) {
            given += 1;
            downward_items(cx, pod, &object, mode, &mut files);
        }
        if given != 1 && !source.has_refused() {
            place.error("needs one of configMap, secret and downwardAPI");
        }
    }
    finish(cx, &volume.place, files)
}

fn mode(volume: &Object<'_>) -> u16 {
    volume.get("defaultMode").and_then(|place| volumes::mode(&place)).unwrap_or(0o644)
}

fn add<'c>(place: &Place<'_>, files: &mut Vec<Projection<'c>>, file: Projection<'c>) {
    if files.iter().any(|other| other.path == file.path) {
        place.error(format!("the path {} is taken by another file of this volume", quote(file.path)));
    } else {
        files.push(file);
    }
}

/// `items` of a `downwardAPI`.
fn downward_items<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    pod: Pod<'c, 'a>,
    owner: &Object<'a>,
    default: u16,
    files: &mut Vec<Projection<'c>>,
) {
    for place in owner.get("items").iter().flat_map(|list| list.list(limits::FILES)) {
        let Some(item) = place.object(&schema::DOWNWARD_FILE) else { continue };
        let path = item.require("path").and_then(|path| volumes::path(cx, &path));
        let mode = item.get("mode").map_or(Some(default), |place| volumes::mode(&place));
        let fact = match (item.get("fieldRef"), item.get("resourceFieldRef")) {
            (Some(field), None) => facts::field(pod.meta, &field, Asker::Volume),
            (None, Some(resource)) => facts::resource(&resource, pod.containers, Asker::Volume).map(Told::Later),
            _ => {
                place.error("needs fieldRef or resourceFieldRef, and one of them only");
                None
            }
        };
        if let (Some(path), Some(mode), Some(Told::Later(fact))) = (path, mode, fact) {
            add(&place, files, Projection { path, mode, content: Content::Fact(fact) });
        }
    }
}

fn finish<'c>(cx: &'c Context<'_>, place: &Place<'_>, files: Vec<Projection<'c>>) -> Option<Source<'c>> {
    if files.len() > limits::FILES {
        place.error(format!("at most {} files are possible, and there are {}", limits::FILES, files.len()));
        return None;
    }
    Some(Source::Projected { files: cx.arena.list(files) })
}
