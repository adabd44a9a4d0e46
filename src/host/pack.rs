//! `podling pack`: one OCI image becomes one squashfs, named by its hash, and one record, named by the image.

use super::arena::Arena;
use super::atomic::{self, Draft};
use super::blobs::Hashing;
use super::layers::{self, Limits};
use super::record::{self, Packed};
use super::{oci, select, squash, units};
use crate::manifest::codec::{self, Kind};
use crate::manifest::{check, image, limits};
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::{eprintln, println};

/// The arguments of `podling pack`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// oci:DIR[:TAG], oci-archive:FILE[:REF], docker-archive:FILE[:REF], or the path of one of these
    image: String,
    /// What pods call the image [default: what the layout or archive calls it]
    #[arg(long, value_name = "REFERENCE")]
    name: Option<String>,
    /// Where to write
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Which platform of an image for several: arm64, arm/v7, amd64
    #[arg(long)]
    arch: Option<String>,
    #[command(flatten)]
    size: Size,
}

/// How large an image may be.
#[derive(Debug, clap::Args)]
pub struct Size {
    /// The most that all layers may be, unpacked
    #[arg(long, value_name = "BYTES", default_value = "4Gi", value_parser = |text: &str| units::bytes(text))]
    max_size: u64,
    /// The most files and directories that all layers may hold
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().entries)]
    max_entries: u64,
}

impl Size {
    /// The same as limits.
    pub fn limits(&self) -> Limits {
        Limits { bytes: self.max_size, entries: self.max_entries }
    }
}

/// What became of an image.
#[derive(Debug)]
pub struct Outcome {
    /// What pods call it.
    pub reference: String,
    /// Its squashfs.
    pub squashfs: PathBuf,
    /// Its record.
    pub record: PathBuf,
    /// What it runs on.
    pub platform: String,
    /// What was lost on the way.
    pub warnings: Vec<String>,
    /// Bytes of its layers, unpacked.
    pub unpacked: u64,
    /// The squashfs's hash and size.
    pub packed: Packed,
}

impl Args {
    /// Does it.
    pub fn run(self) -> Result<()> {
        pack(&self.image, self.name.as_deref(), self.arch.as_deref(), &self.output, self.size.limits())?.tell();
        Ok(())
    }
}

impl Outcome {
    /// Tells the user.
    pub fn tell(&self) {
        for warning in &self.warnings {
            eprintln!("warning: {warning}");
        }
        println!(
            "{}: {} of files for {} in {} of squashfs",
            self.reference,
            units::from_bytes(self.unpacked),
            self.platform,
            units::from_bytes(self.packed.size)
        );
        println!("  {}\n  {}", self.record.display(), self.squashfs.display());
    }
}

/// Packs the image `source` into `output`, as `name`.
pub fn pack(source: &str, name: Option<&str>, arch: Option<&str>, output: &Path, limits: Limits) -> Result<Outcome> {
    atomic::ensure_directory(output)?;
    oci::open(source, arch, output, limits)
        .and_then(|image| pack_image(&image, name, output, limits))
        .with_context(|| std::format!("cannot pack {source}"))
}

/// Packs that image into the directory `output`, as `name`, else as what it is called where it was found.
pub fn pack_image(image: &oci::Image, name: Option<&str>, output: &Path, limits: Limits) -> Result<Outcome> {
    let reference =
        name.or(image.reference.as_deref()).context("the image has no name of its own: give one with --name")?;
    let normal = image::normalise(reference)
        .with_context(|| std::format!("{reference:?} is no image reference of at most {} bytes", limits::IMAGE))?;
    let rootfs = image.unpack(output, limits)?;
    let mut warnings: Vec<String> = layers::losses(rootfs.tree()).into_iter().collect();
    if name.is_none() && !reference.contains(['/', ':']) {
        warnings.push(std::format!(
            "the image is called {normal}, after its tag {reference:?}: to call it something else, use --name"
        ));
    }

    let draft = Draft::new(output)?;
    squash::write(&rootfs, draft.path())?;
    let packed = measure(draft.file())?;

    let arena = Arena::default();
    let record =
        record::record(&arena, &normal, &image.config, &rootfs, packed, &mut |warning| warnings.push(warning))?;
    let bytes = seal(&record)?;
    // The record last: whoever finds it finds its squashfs.
    let squashfs = output.join(&*image::squashfs_name(&packed.sha256));
    draft.publish(&squashfs, 0o644)?;
    let record = output.join(&*image::record_name(&normal).context("the image's name is too long for a file name")?);
    atomic::write(&record, 0o644, &bytes)?;
    Ok(Outcome {
        reference: normal.as_str().into(),
        platform: select::platform_of(&image.config),
        squashfs,
        record,
        warnings,
        unpacked: rootfs.unpacked(),
        packed,
    })
}

/// The hash and size of the whole of `file`.
fn measure(mut file: &File) -> Result<Packed> {
    file.rewind()?;
    let (sha256, size) = Hashing::new(file).finish()?;
    Ok(Packed { sha256, size })
}

/// The file of a record.
fn seal(record: &image::Image<'_>) -> Result<Vec<u8>> {
    let body = postcard::to_stdvec(record).context("cannot encode the image's record")?;
    ensure!(
        body.len() + codec::HEADER <= limits::IMAGE_RECORD,
        "the image's configuration needs {} bytes; at most {} fit in its record",
        body.len(),
        limits::IMAGE_RECORD - codec::HEADER
    );
    check::image(&body).map_err(|error| anyhow::anyhow!("the image's configuration: {error}"))?;
    let header = codec::seal(Kind::Image, "", 0, &body)
        .map_err(|error| anyhow::anyhow!("cannot seal the image's record: {error}"))?;
    Ok([&header[..], &body].concat())
}
