//! Finding one image in an OCI layout, an OCI archive or a `docker save` archive, and its parts, each checked by digest.

use super::blobs::{Hashing, Store, decompress, hex};
use super::layers::{Limits, Rootfs};
use super::progress::Step;
use super::registry::Registry;
use super::select::{self, Wanted};
use super::tarstream::show;
use crate::manifest::image::normalise;
use anyhow::{Context, Result, bail, ensure};
use core::slice;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, Os};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::{format, vec};

/// Bytes of one index, manifest or configuration.
const JSON: u64 = 4 << 20;
/// Layers of one image.
const LAYERS: usize = 512;

/// One image, found but not unpacked.
pub struct Image {
    store: Store,
    layers: Vec<Layer>,
    /// What it says of itself.
    pub config: ImageConfiguration,
    /// What the layout or archive calls it.
    pub reference: Option<String>,
}

struct Layer {
    /// Its part in the store.
    name: String,
    /// The digest and size of that part, where the manifest says them.
    stored: Option<(String, u64)>,
    /// The digest of the uncompressed stream.
    diff_id: String,
}

/// Where an image is: `oci:DIR[:TAG]`, `oci-archive:FILE[:REF]`, `docker-archive:FILE[:REF]`, or a path of any of these.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    format: Option<Format>,
    path: PathBuf,
    tag: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Oci,
    Docker,
}

impl Source {
    fn parse(text: &str) -> Result<Source> {
        let (format, rest) = match text.split_once(':') {
            Some(("oci" | "oci-archive", rest)) => (Some(Format::Oci), rest),
            Some(("docker-archive", rest)) => (Some(Format::Docker), rest),
            Some(("docker" | "docker-daemon" | "containers-storage" | "dir", _)) => {
                bail!("`podling pull {text}` fetches that image")
            }
            _ => (None, text),
        };
        // The path ends at the first colon before which something exists: a tag may hold colons, and so may a path.
        let ends = rest.match_indices(':').map(|(at, _)| at).chain([rest.len()]);
        let whole = Some(rest.len()).filter(|_| Path::new(rest).exists());
        let end = whole.or_else(|| ends.clone().find(|&at| Path::new(&rest[..at]).exists()));
        let Some(end) = end else { bail!("there is no image at {rest}") };
        let tag = rest[end..].strip_prefix(':').filter(|tag| !tag.is_empty()).map(String::from);
        Ok(Source { format, path: rest[..end].into(), tag })
    }
}

/// Finds the image that `source` names; `arch` picks one of several platforms. Temporary files go to `scratch`.
pub fn open(source: &str, arch: Option<&str>, scratch: &Path, limits: Limits) -> Result<Image> {
    let source = Source::parse(source)?;
    let store = Store::open(&source.path, scratch, limits.bytes)?;
    let format = match source.format {
        Some(format) => format,
        None if store.has("index.json") => Format::Oci,
        None if store.has("manifest.json") => Format::Docker,
        None => bail!(
            "{} is no image: neither an OCI layout (index.json) nor a docker archive (manifest.json)",
            source.path.display()
        ),
    };
    let wanted = Wanted { tag: source.tag.as_deref(), arch };
    let image = match format {
        Format::Oci => {
            parse(&store.read("index.json", JSON)?, "index.json").and_then(|index| open_oci(store, &index, &wanted))
        }
        Format::Docker => open_docker(store, &wanted),
    };
    image.with_context(|| format!("{}", source.path.display()))
}

/// The same for an image at its registry; all of it is in the cache afterwards.
pub fn fetch(registry: Registry, arch: Option<&str>) -> Result<Image> {
    let index = registry.index()?;
    open_oci(Store::Registry(Box::new(registry)), &index, &Wanted { tag: None, arch })
}

fn open_oci(store: Store, index: &ImageIndex, wanted: &Wanted<'_>) -> Result<Image> {
    let chosen = select::choose(&store, index, wanted)?;
    let manifest: ImageManifest = json_blob(&store, &chosen.descriptor)?;
    let config: ImageConfiguration = json_blob(&store, manifest.config())?;
    let mut layers = vec![];
    for (descriptor, diff_id) in pair(manifest.layers(), &config)? {
        let media = descriptor.media_type().to_string();
        let known = media.starts_with("application/")
            && ["tar", "tar+gzip", "tar.gzip", "tar+zstd"].iter().any(|end| media.ends_with(end));
        ensure!(known, "a layer is of the kind {media}, which is not read");
        let stored = Some((sha256_of(descriptor.digest().as_ref())?, descriptor.size()));
        layers.push(Layer { name: blob_name(descriptor)?, stored, diff_id });
    }
    let image = finish(store, layers, config, chosen.reference, wanted)?;
    image.store.obtain(manifest.layers())?;
    Ok(image)
}

/// One image of a `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

fn open_docker(store: Store, wanted: &Wanted<'_>) -> Result<Image> {
    let images: Vec<DockerImage> = parse(&store.read("manifest.json", JSON)?, "manifest.json")?;
    let tags = |image: &DockerImage| image.repo_tags.clone().unwrap_or_default();
    let is_wanted = |image: &&DockerImage| {
        wanted.tag.is_none_or(|tag| tags(image).iter().any(|name| normalise(name) == normalise(tag)))
    };
    let matching: Vec<&DockerImage> = images.iter().filter(is_wanted).collect();
    let image = match matching[..] {
        [image] => image,
        _ => {
            let known: Vec<String> = images.iter().flat_map(tags).collect();
            bail!("which image? name one as docker-archive:FILE:NAME of: {}", known.join(", "))
        }
    };
    let bytes = store.read(&image.config, JSON)?;
    let stem = image.config.rsplit('/').next().unwrap_or_default();
    if let Ok(digest) = sha256_of(&format!("sha256:{}", stem.strip_suffix(".json").unwrap_or(stem))) {
        verify(&bytes, &digest, &image.config)?;
    }
    let config: ImageConfiguration = parse(&bytes, &image.config)?;
    let layers = pair(&image.layers, &config)?
        .map(|(name, diff_id)| Layer { name: name.clone(), stored: None, diff_id })
        .collect();
    let reference = wanted.tag.map(String::from).or_else(|| tags(image).into_iter().next());
    finish(store, layers, config, reference, wanted)
}

fn finish(
    store: Store,
    layers: Vec<Layer>,
    config: ImageConfiguration,
    reference: Option<String>,
    wanted: &Wanted<'_>,
) -> Result<Image> {
    ensure!(*config.os() == Os::Linux, "the image is for {}, not for Linux", config.os());
    if let Some(arch) = wanted.arch {
        let has = select::platform_name(&config.architecture().to_string(), config.variant().as_deref());
        ensure!(select::fits(arch, &has), "the image is for {has}, not for {arch}");
    }
    Ok(Image { store, layers, config, reference })
}

/// Each layer with its digest in the configuration.
fn pair<'a, T>(
    layers: &'a [T],
    config: &ImageConfiguration,
) -> Result<impl Iterator<Item = (&'a T, String)> + use<'a, T>> {
    let diff_ids = config.rootfs().diff_ids();
    ensure!(
        layers.len() == diff_ids.len(),
        "the manifest has {} layers, the configuration {}",
        layers.len(),
        diff_ids.len()
    );
    ensure!(layers.len() <= LAYERS, "it has {} layers; at most {LAYERS} are read", layers.len());
    let diff_ids: Vec<String> = diff_ids.iter().map(|id| sha256_of(id)).collect::<Result<_>>()?;
    Ok(layers.iter().zip(diff_ids))
}

impl Image {
    /// Lays all layers over one another.
    pub fn unpack(&self, scratch: &Path, limits: Limits) -> Result<Rootfs> {
        let sizes =
            self.layers.iter().map(|layer| Ok(self.store.reader(&layer.name)?.1)).collect::<Result<Vec<u64>>>()?;
        let step = Step::new("reading layers", sizes.iter().sum());
        let mut rootfs = Rootfs::new(scratch, limits)?;
        for (n, layer) in self.layers.iter().enumerate() {
            self.unpack_layer(layer, &mut rootfs, &step)
                .with_context(|| format!("layer {} of {}", n + 1, self.layers.len()))?;
        }
        Ok(rootfs)
    }

    fn unpack_layer(&self, layer: &Layer, rootfs: &mut Rootfs, step: &Step) -> Result<()> {
        let (reader, length) = self.store.reader(&layer.name)?;
        let size = layer.stored.as_ref().map_or(length, |(_, size)| *size);
        ensure!(
            size == length,
            "{} has {length} bytes, not the {size} that the manifest says",
            show(layer.name.as_bytes())
        );
        let mut stored = Hashing::new(step.reading(reader));
        let unpacked = unpack_stream(&mut stored, &layer.diff_id, rootfs);
        // A wrong digest explains whatever else went wrong.
        if let Some((digest, _)) = &layer.stored {
            let (found, _) = stored.finish().with_context(|| format!("cannot read {}", layer.name))?;
            ensure!(hex(&found) == *digest, "{} is damaged: its SHA-256 is {}", layer.name, hex(&found));
        }
        unpacked
    }
}

fn unpack_stream(stored: &mut impl std::io::Read, diff_id: &str, rootfs: &mut Rootfs) -> Result<()> {
    let mut plain = Hashing::new(decompress(stored)?);
    rootfs.apply(&mut plain)?;
    let (found, _) = plain.finish()?;
    ensure!(hex(&found) == diff_id, "it is damaged: its SHA-256 is {}, and the image says {diff_id}", hex(&found));
    Ok(())
}

/// The JSON blob that `descriptor` names, checked.
pub fn json_blob<T: DeserializeOwned>(store: &Store, descriptor: &Descriptor) -> Result<T> {
    let name = blob_name(descriptor)?;
    ensure!(descriptor.size() <= JSON, "{name} has {} bytes; at most {JSON} are read", descriptor.size());
    store.obtain(slice::from_ref(descriptor))?;
    let bytes = store.read(&name, JSON)?;
    let size = bytes.len() as u64;
    ensure!(size == descriptor.size(), "{name} has {size} bytes, not the {} that are said of it", descriptor.size());
    verify(&bytes, &sha256_of(descriptor.digest().as_ref())?, &name)?;
    parse(&bytes, &name)
}

fn blob_name(descriptor: &Descriptor) -> Result<String> {
    Ok(format!("blobs/sha256/{}", sha256_of(descriptor.digest().as_ref())?))
}

fn verify(bytes: &[u8], digest: &str, name: &str) -> Result<()> {
    let (found, _) = Hashing::new(bytes).finish()?;
    ensure!(hex(&found) == digest, "{} is damaged: its SHA-256 is {}", show(name.as_bytes()), hex(&found));
    Ok(())
}

fn parse<T: DeserializeOwned>(bytes: &[u8], name: &str) -> Result<T> {
    serde_json::from_slice(bytes).with_context(|| format!("{} is not what it should be", show(name.as_bytes())))
}

/// The 64 hexadecimal digits of `sha256:…`. Errors: any other digest.
pub fn sha256_of(digest: &str) -> Result<String> {
    let digits = digest.strip_prefix("sha256:").filter(|digits| digits.len() == 64);
    let digits = digits.filter(|digits| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    digits
        .map(String::from)
        .with_context(|| format!("{} is no SHA-256 digest, and no other kind is read", show(digest.as_bytes())))
}
