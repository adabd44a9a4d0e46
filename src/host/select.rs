//! Which of the images of an OCI index is meant: by name, by platform, or because there is only one.

use super::blobs::Store;
use super::oci::json_blob;
use crate::manifest::image::{self, normalise};
use anyhow::{Result, bail, ensure};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use std::collections::BTreeSet;
use std::prelude::v1::*;
use std::{format, vec};

/// Indexes within indexes.
const DEPTH: usize = 4;
/// Images of one layout.
const IMAGES: usize = 1000;

/// What the user asked for.
pub struct Wanted<'a> {
    /// The name in the layout.
    pub tag: Option<&'a str>,
    /// `arm64` or `arm/v7`.
    pub arch: Option<&'a str>,
}

/// The manifest that was meant.
pub struct Chosen {
    /// Where it is.
    pub descriptor: Descriptor,
    /// What the layout calls it.
    pub reference: Option<String>,
}

struct Candidate {
    descriptor: Descriptor,
    names: Names,
}

/// What an index entry is called, by OCI's annotation and by containerd's fuller one.
#[derive(Clone, Default)]
struct Names {
    name: Option<String>,
    full: Option<String>,
}

impl Names {
    fn of(descriptor: &Descriptor, outer: &Names) -> Names {
        let annotation = |key: &str| descriptor.annotations().as_ref().and_then(|all| all.get(key).cloned());
        Names {
            name: annotation("org.opencontainers.image.ref.name").or_else(|| outer.name.clone()),
            full: annotation("io.containerd.image.name").or_else(|| outer.full.clone()),
        }
    }

    fn matches(&self, tag: &str) -> bool {
        let same = |name: &str| name == tag || normalise(name).is_some_and(|name| Some(name) == normalise(tag));
        self.name.as_deref().is_some_and(same) || self.full.as_deref().is_some_and(same)
    }

    fn best(&self) -> Option<&str> {
        self.full.as_deref().or(self.name.as_deref())
    }
}

/// Chooses one manifest of `index`.
pub fn choose(store: &Store, index: &ImageIndex, wanted: &Wanted<'_>) -> Result<Chosen> {
    let mut all = vec![];
    collect(store, index, &Names::default(), DEPTH, &mut all)?;
    ensure!(!all.is_empty(), "the layout holds no image");
    let named: Vec<&Candidate> = all.iter().filter(|one| wanted.tag.is_none_or(|tag| one.names.matches(tag))).collect();
    if named.is_empty() {
        let names: BTreeSet<&str> = all.iter().filter_map(|one| one.names.best()).collect();
        bail!("there is no image called {}; there is: {}", wanted.tag.unwrap_or_default(), list(names));
    }
    let fitting = match wanted.arch {
        Some(arch) => for_arch(store, &named, arch)?,
        None => named,
    };
    let digests: BTreeSet<&str> = fitting.iter().map(|one| one.descriptor.digest().as_ref()).collect();
    if digests.len() > 1 {
        let names: BTreeSet<&str> = fitting.iter().filter_map(|one| one.names.best()).collect();
        ensure!(names.len() < 2, "which image? name one as oci:DIR:NAME of: {}", list(names));
        let platforms =
            fitting.iter().map(|one| platform(store, &one.descriptor)).collect::<Result<BTreeSet<String>>>()?;
        bail!(
            "the image is for several platforms; choose one with --arch: {}",
            list(platforms.iter().map(String::as_str))
        );
    }
    let first = fitting[0];
    // Two names of one image are none, unless one of them was asked for.
    let agree = fitting.iter().all(|one| one.names.best() == first.names.best());
    let reference = if agree { first.names.best() } else { wanted.tag };
    Ok(Chosen { descriptor: first.descriptor.clone(), reference: reference.map(String::from) })
}

fn collect(store: &Store, index: &ImageIndex, outer: &Names, depth: usize, all: &mut Vec<Candidate>) -> Result<()> {
    ensure!(depth > 0, "indexes are nested more than {DEPTH} deep");
    for descriptor in index.manifests() {
        let names = Names::of(descriptor, outer);
        match descriptor.media_type().to_string().as_str() {
            "application/vnd.oci.image.index.v1+json" | "application/vnd.docker.distribution.manifest.list.v2+json" => {
                collect(store, &json_blob(store, descriptor)?, &names, depth - 1, all)?;
            }
            "application/vnd.oci.image.manifest.v1+json" | "application/vnd.docker.distribution.manifest.v2+json" => {
                // What BuildKit attests of an image lies beside it, for the platform "unknown".
                let unknown =
                    descriptor.platform().as_ref().is_some_and(|platform| platform.os().to_string() == "unknown");
                if !unknown {
                    all.push(Candidate { descriptor: descriptor.clone(), names });
                }
            }
            _ => {}
        }
        ensure!(all.len() <= IMAGES, "the layout holds more than {IMAGES} images");
    }
    Ok(())
}

fn for_arch<'a>(store: &Store, candidates: &[&'a Candidate], arch: &str) -> Result<Vec<&'a Candidate>> {
    let mut has = BTreeSet::new();
    let mut fitting = vec![];
    for one in candidates {
        let platform = platform(store, &one.descriptor)?;
        if fits(arch, &platform) {
            fitting.push(*one);
        }
        has.insert(platform);
    }
    ensure!(!fitting.is_empty(), "the image is not for {arch}, but for: {}", list(has.iter().map(String::as_str)));
    Ok(fitting)
}

/// What an image is for, by its descriptor, else by its configuration.
fn platform(store: &Store, descriptor: &Descriptor) -> Result<String> {
    if let Some(platform) = descriptor.platform() {
        return Ok(platform_name(&platform.architecture().to_string(), platform.variant().as_deref()));
    }
    let manifest: ImageManifest = json_blob(store, descriptor)?;
    let config: ImageConfiguration = json_blob(store, manifest.config())?;
    Ok(platform_of(&config))
}

/// What an image with this configuration is for.
pub fn platform_of(config: &ImageConfiguration) -> String {
    platform_name(&config.architecture().to_string(), config.variant().as_deref())
}

/// `arm/v7`; 64-bit ARM has one variant only.
pub fn platform_name(arch: &str, variant: Option<&str>) -> String {
    // The kernel's words for what OCI has words of its own for, as some tools write them.
    let arch = image::platform_of_machine(arch);
    match variant.filter(|variant| !variant.is_empty() && arch != "arm64") {
        Some(variant) => format!("{arch}/{variant}"),
        None => arch.into(),
    }
}

/// Whether an image for `platform` is what `--arch wanted` asks for: `arm` takes every variant.
pub fn fits(wanted: &str, platform: &str) -> bool {
    wanted == platform || platform.split('/').next() == Some(wanted) || (wanted == "arm64/v8" && platform == "arm64")
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() { "nothing with a name".into() } else { names.join(", ") }
}
