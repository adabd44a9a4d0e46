//! Volumes (spec 31–35) and where containers mount them.

use super::Context;
use super::claims::{self, PersistentKind};
use super::names;
use super::objects::{self, Data, Metadata};
use super::projected::{self, Pod};
use super::{container, env, resources};
use crate::host::diagnostic::quote;
use crate::host::read::{Object, Place, did_you_mean};
use crate::host::suggest::nearest;
use crate::host::{schema, units};
use crate::manifest::huge::{HugePages, PageSize};
use crate::manifest::limits;
use crate::manifest::pod::{Disk, File, HostPathKind, Medium, Source, Volume};
use std::format;
use std::prelude::v1::*;

/// The bytes of a volume in which nothing is to be.
const INJECTED: u64 = 4096;
/// The medium of huge pages of the one size that a pod asks for.
const HUGE_PAGES: &str = "HugePages";

/// The volumes of one pod.
pub(super) struct Volumes<'c> {
    all: Vec<Volume<'c>>,
    /// Those that are read-only for everyone, beside those whose source says so.
    read_only: Vec<usize>,
    /// Those of huge pages, each with its medium.
    huge: Vec<(usize, Place<'c>)>,
}

/// Lowers `spec.volumes`.
pub(super) fn lower<'c, 'a: 'c>(cx: &'c Context<'a>, pod: Pod<'c, 'a>, spec: &Object<'a>) -> Volumes<'c> {
    let mut volumes: Vec<Volume<'c>> = Vec::new();
    let (mut read_only, mut huge) = (Vec::new(), Vec::new());
    for place in spec.get("volumes").iter().flat_map(|list| list.list(limits::VOLUMES)) {
        let Some(object) = place.object(&schema::VOLUME) else {
            continue;
        };
        let Some(name) = object.require("name") else {
            continue;
        };
        // A wrong name stays known, so that its mounts are not wrong as well.
        let text = names::label(&name).or_else(|| name.text()).unwrap_or_default();
        if volumes.iter().any(|v| v.name == text) {
            name.error(format!("the name {} is taken by another volume of this pod", quote(text)));
            continue;
        }
        let source = injected(text, &object)
            .or_else(|| source(cx, pod, &object))
            .unwrap_or(Source::EmptyDir { medium: Medium::Disk, size_limit: None });
        let claim = object.get("persistentVolumeClaim").filter(Place::is_map).map(|place| place.map(usize::MAX));
        let flag = claim.into_iter().flatten().find(|(key, _)| *key == "readOnly");
        if matches!(source, Source::HostPath { .. }) && flag.is_some_and(|(_, place)| place.boolean() == Some(true)) {
            read_only.push(volumes.len());
        }
        if matches!(source, Source::EmptyDir { medium: Medium::HugePages(_), .. }) {
            let fields = object.get("emptyDir").map(|place| place.map(usize::MAX));
            let medium = fields.into_iter().flatten().find(|(key, _)| *key == "medium");
            huge.extend(medium.map(|(_, medium)| (volumes.len(), medium)));
        }
        volumes.push(Volume { name: text, source });
    }
    pod.meta.given.mount_claims(&mut volumes, &spec.place);
    Volumes { all: volumes, read_only, huge }
}

/// What an API server puts into every pod that it is given, as `kubectl get -o yaml` shows it: the way to that API server.
fn injected(name: &str, volume: &Object<'_>) -> Option<Source<'static>> {
    let place = volume.get("projected").filter(|_| name.starts_with("kube-api-access-"))?;
    place.warning("there is no API server on a board: this is an empty directory there");
    Some(Source::EmptyDir { medium: Medium::Memory, size_limit: Some(INJECTED) })
}

/// The one source of a volume; `None` with a message where there is not exactly one that a board has.
fn source<'c, 'a: 'c>(cx: &'c Context<'a>, pod: Pod<'c, 'a>, volume: &Object<'a>) -> Option<Source<'c>> {
    const KINDS: [&str; 9] = [
        "emptyDir",
        "hostPath",
        "persistentVolumeClaim",
        "configMap",
        "secret",
        "downwardAPI",
        "projected",
        "image",
        "ephemeral",
    ];
    let meta = pod.meta;
    let mut given = KINDS.iter().filter_map(|kind| Some((*kind, volume.get(kind)?)));
    let Some((kind, place)) = given.next() else {
        if volume.has_refused() {
            return None;
        }
        volume.place.warning(format!("no source is named, so this is an emptyDir (a board has {})", KINDS.join(", ")));
        return Some(Source::EmptyDir { medium: Medium::Disk, size_limit: None });
    };
    if let Some((other, _)) = given.next() {
        volume.place.error(format!("a volume has one source, and this one has {kind} and {other}"));
    }
    match kind {
        "emptyDir" => empty_dir(&place.object(&schema::EMPTY_DIR)?),
        "hostPath" => {
            let (path, kind) = host_path(&place.object(&schema::HOST_PATH)?)?;
            Some(Source::HostPath { path: cx.arena.str(&path), kind })
        }
        "persistentVolumeClaim" => claim(cx, meta, &place.object(&schema::CLAIM_VOLUME)?),
        "configMap" => files(cx, meta, &place.object(&schema::CONFIG_MAP_VOLUME)?, false),
        "secret" => files(cx, meta, &place.object(&schema::SECRET_VOLUME)?, true),
        "downwardAPI" => projected::downward(cx, pod, &place.object(&schema::DOWNWARD_VOLUME)?),
        "image" => image_volume(cx, &place.object(&schema::IMAGE_VOLUME)?),
        "ephemeral" => ephemeral(cx, meta, &place.object(&schema::EPHEMERAL)?),
        _ => projected::projected(cx, pod, &place.object(&schema::PROJECTED)?),
    }
}

fn empty_dir(object: &Object<'_>) -> Option<Source<'static>> {
    let sizes = PageSize::ALL.map(PageSize::medium);
    let medium = object.get("medium").map_or(Some(""), |place| {
        place.one_of(&["", "Memory", HUGE_PAGES].into_iter().chain(sizes).collect::<Vec<_>>())
    })?;
    let medium = match medium {
        "" => Medium::Disk,
        "Memory" => Medium::Memory,
        // Which size it is shows when all is known that the pod asks for.
        _ => Medium::HugePages(PageSize::Mi2),
    };
    let size = object.get("sizeLimit");
    let size_limit = size.and_then(|place| resources::amount(&place, units::bytes)).filter(|bytes| *bytes > 0);
    Some(Source::EmptyDir { medium, size_limit })
}

/// Images are packed on the workstation: see [`super::container`] for the pull policy.
fn image_volume<'c>(cx: &'c Context<'_>, object: &Object<'_>) -> Option<Source<'c>> {
    container::pull_policy(object, "pullPolicy");
    let place = object.require("reference")?;
    Some(Source::Image { reference: container::reference(cx, &place)? })
}

/// A claim that lives as long as its pod: on one board that is what an emptyDir is.
fn ephemeral<'a>(cx: &Context<'a>, meta: &Metadata<'a>, object: &Object<'a>) -> Option<Source<'static>> {
    let template = object.require("volumeClaimTemplate")?.object(&schema::CLAIM_TEMPLATE)?;
    let _ = template.get("metadata").map(|meta| meta.object(&schema::METADATA));
    let spec = template.require("spec")?.object(&schema::CLAIM_SPEC)?;
    let block = claims::block(&spec);
    cx.bound_claim(meta.namespace, &spec);
    Some(match block {
        Some(bytes) => Source::Block { disk: Disk::Own { bytes }, read_only: false },
        None => Source::EmptyDir { medium: Medium::Disk, size_limit: None },
    })
}

/// A path of the node, and what it is to be.
pub(super) fn host_path(object: &Object<'_>) -> Option<(String, HostPathKind)> {
    const TYPES: [&str; 8] =
        ["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];
    let kind = match object.get("type").map_or(Some(""), |place| place.one_of(&TYPES))? {
        "DirectoryOrCreate" => HostPathKind::DirectoryOrCreate,
        "Directory" => HostPathKind::Directory,
        "FileOrCreate" => HostPathKind::FileOrCreate,
        "File" => HostPathKind::File,
        "Socket" => HostPathKind::Socket,
        "CharDevice" => HostPathKind::CharDevice,
        "BlockDevice" => HostPathKind::BlockDevice,
        _ => HostPathKind::Any,
    };
    let path = names::absolute(&object.require("path")?)?;
    Some((path, kind))
}

fn claim<'c, 'a: 'c>(cx: &'c Context<'a>, meta: &Metadata<'a>, object: &Object<'a>) -> Option<Source<'c>> {
    let read_only = object.flag("readOnly").unwrap_or(false);
    let place = object.require("claimName")?;
    let name = names::subdomain(&place)?;
    let known = &cx.objects.claims;
    // A claim needs no document. Where there are some, another name is more likely a typo.
    if !known.is_empty() && objects::lookup(known, meta.namespace, name).is_none() {
        let hint = objects::hint(known, meta.namespace, name);
        place.warning(format!(
            "there is no PersistentVolumeClaim {} in these files{hint}",
            quote(&format!("{}/{name}", meta.namespace))
        ));
    }
    if let Some(claim) = objects::lookup(known, meta.namespace, name) {
        let user = meta.given.cron_job().map_or(meta.name, |owner| owner.name);
        claim.uses(&place, user);
        let block = claim.block;
        if let Some(volume) = claim.bound((meta.namespace, name), &cx.objects.persistent) {
            let path = cx.arena.str(&volume.path);
            match (volume.kind, block) {
                (PersistentKind::Block, Some(_)) => {
                    return Some(Source::Block { disk: Disk::Device { claim: name, path }, read_only });
                }
                (PersistentKind::Local(fs_type), None) => {
                    let (read_only, options) =
                        (read_only || volume.read_only, cx.arena.list(volume.options.iter().copied()));
                    return Some(Source::Local { claim: name, path, fs_type, read_only, options });
                }
                (PersistentKind::HostPath(kind), None) => return Some(Source::HostPath { path, kind }),
                _ => place.error("the claim and its PersistentVolume have a different volumeMode"),
            }
        }
        if let Some(bytes) = block {
            claim.is_only_for(&place, user);
            return Some(Source::Block { disk: Disk::Claim { claim: name, bytes }, read_only });
        }
    }
    Some(Source::Claim { name, read_only })
}

/// A configMap or secret volume: its files, as they will be.
fn files<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    meta: &Metadata<'_>,
    object: &Object<'a>,
    secret: bool,
) -> Option<Source<'c>> {
    let name = if secret { "secretName" } else { "name" };
    let mode = object.get("defaultMode").and_then(|place| mode(&place)).unwrap_or(0o644);
    let files = entries(cx, meta, object, Entries { name, mode, secret });
    Some(Source::Files { secret, files: cx.arena.list(files) })
}

/// Which entries of a ConfigMap or Secret are to be files.
#[derive(Clone, Copy)]
pub(super) struct Entries {
    /// The field that names the object.
    pub(super) name: &'static str,
    /// The mode of those that have none of their own.
    pub(super) mode: u16,
    pub(super) secret: bool,
}

/// The files that `items`, or all entries, come out as.
pub(super) fn entries<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    meta: &Metadata<'_>,
    object: &Object<'a>,
    Entries { name, mode, secret }: Entries,
) -> Vec<File<'c>> {
    let optional = object.flag("optional").unwrap_or(false);
    let data = env::find(cx, meta, object, name, secret);
    let mut files: Vec<File<'c>> = Vec::new();
    match object.get("items") {
        Some(items) => {
            for place in items.list(limits::FILES) {
                let Some(file) = item(cx, data, &place, mode, optional) else {
                    continue;
                };
                if files.iter().any(|f| f.path == file.path) {
                    place.error(format!("the path {} is taken by another item", quote(file.path)));
                }
                files.push(file);
            }
        }
        None => {
            let entries = data.iter().flat_map(|data| &data.entries);
            files.extend(entries.map(|(path, data)| File { path, mode, data }));
        }
    }
    if files.len() > limits::FILES {
        object.place.error(format!("at most {} files are possible, and there are {}", limits::FILES, files.len()));
    }
    let bytes = files.iter().map(|f| f.data.len()).sum();
    if !cx.afford(&object.place, bytes) {
        files.clear();
    }
    files
}

/// One of `items`.
fn item<'c>(
    cx: &'c Context<'_>,
    data: Option<&'c Data<'_>>,
    place: &Place<'_>,
    default: u16,
    optional: bool,
) -> Option<File<'c>> {
    let object = place.object(&schema::KEY_TO_PATH)?;
    let key = object.require("key").and_then(|p| Some((p.text()?, p)));
    let path = object.require("path").and_then(|place| path(cx, &place));
    let mode = object.get("mode").map_or(Some(default), |place| mode(&place));
    let ((name, key), path, mode, data) = (key?, path?, mode?, data?);
    let Some(bytes) = data.entries.get(name) else {
        if !optional {
            let hint = did_you_mean(nearest(name, data.entries.keys().copied()));
            key.error(format!("there is no key {} in it{hint}", quote(name)));
        }
        return None;
    };
    Some(File { path, mode, data: bytes })
}

/// Where a file goes below its volume. Names that begin with `..` are the volume's own.
pub(super) fn path<'c>(cx: &'c Context<'_>, place: &Place<'_>) -> Option<&'c str> {
    let text = place.text()?;
    if text.is_empty()
        || text.len() > limits::PATH
        || text.split('/').any(|part| matches!(part, "" | "." | ".."))
        || text.starts_with("..")
    {
        place.error(format!("{} is not a path below the volume: relative, without . and ..", place.quoted(text)));
        return None;
    }
    Some(cx.arena.str(text))
}

/// Permission bits. A number like 644 without the leading 0 is decimal, and hardly ever meant.
pub(super) fn mode(place: &Place<'_>) -> Option<u16> {
    let number = place.integer(0..=9999)?;
    if number > 0o777 {
        place.error(format!("{number} is not a mode: from 0 to 0777; modes are octal with a 0 in front, as in 0644"));
        return None;
    }
    u16::try_from(number).ok()
}

impl<'c> Volumes<'c> {
    /// Gives the volumes of huge pages their sizes, now that it is known what the pod asks for.
    pub(super) fn settle(&mut self, asked: HugePages) {
        for (volume, place) in &self.huge {
            let medium = place.text().unwrap_or_default();
            let named = PageSize::ALL.into_iter().find(|size| size.medium() == medium);
            let mut sizes = asked.iter().map(|(size, _)| size).filter(|size| named.is_none_or(|named| named == *size));
            let (first, second) = (sizes.next(), sizes.next());
            match (first, second) {
                (Some(size), None) => {
                    let Source::EmptyDir { medium, .. } = &mut self.all[*volume].source else { continue };
                    *medium = Medium::HugePages(size);
                }
                (None, _) => {
                    let what = named.map_or("hugepages-2Mi or another size", PageSize::resource);
                    place.error(format!("no container asks for such pages: one needs {what} under resources.limits"));
                }
                _ => place.error("the containers ask for huge pages of several sizes: name one, as in HugePages-2Mi"),
            }
        }
    }

    /// The volumes, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Volume<'c>> {
        self.all.iter().copied()
    }

    /// Whether it is an emptyDir.
    pub(super) fn is_empty_dir(&self, volume: u8) -> bool {
        self.all.get(usize::from(volume)).is_some_and(|volume| volume.source.is_empty_dir())
    }

    /// Whether it is a block device.
    pub(super) fn is_block(&self, volume: u8) -> bool {
        self.all.get(usize::from(volume)).is_some_and(|volume| volume.source.is_block())
    }

    /// The index of the volume that `name` names, and whether it is read-only for everyone.
    pub(super) fn find(&self, name: &Place<'_>) -> Option<(u8, bool)> {
        let text = name.text()?;
        let Some(index) = self.all.iter().position(|v| v.name == text) else {
            let hint = did_you_mean(nearest(text, self.all.iter().map(|v| v.name)));
            name.error(format!("the pod has no volume {}{hint}", quote(text)));
            return None;
        };
        let read_only = matches!(
            self.all[index].source,
            Source::Files { .. }
                | Source::Projected { .. }
                | Source::Image { .. }
                | Source::Claim { read_only: true, .. }
                | Source::Local { read_only: true, .. }
                | Source::Block { read_only: true, .. }
        );
        Some((u8::try_from(index).ok()?, read_only || self.read_only.contains(&index)))
    }
}
