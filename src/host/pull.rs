//! `podling pull`: images from registries, archives and other engines' stores, packed for a board.

use super::image::check_manifest;
use super::layers::Limits;
use super::pack::{self, Outcome, Size};
use super::registry::Registry;
use super::{atomic, boards, oci};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::process::Command;
use std::{eprintln, format, fs, vec};

/// The arguments of `podling pull`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["images", "manifest"])))]
pub struct Args {
    /// Images as pods name them (nginx:1.27, registry.example/me/app@sha256:…), or oci:…, oci-archive:…, docker-archive:…, and by skopeo
    /// containers-storage:… and docker-daemon:…
    images: Vec<String>,
    /// All images of a manifest that `podling build` wrote; needs --board
    #[arg(long, value_name = "FILE", requires = "board")]
    manifest: Option<PathBuf>,
    /// The board that the images are for: a name, or the path of its file
    #[arg(long, conflicts_with = "arch")]
    board: Option<String>,
    /// The platform that they are for, without a board: arm64, arm/v7, amd64
    #[arg(long)]
    arch: Option<String>,
    /// Where to write
    #[arg(short, long, value_name = "DIR", default_value = "images")]
    output: PathBuf,
    /// Speak HTTP without TLS with the registries
    #[arg(long)]
    plain_http: bool,
    #[command(flatten)]
    size: Size,
}

impl Args {
    /// Does it; one image that cannot be had does not keep the others.
    pub fn run(self) -> Result<()> {
        let board = self.board.as_deref().map(boards::load).transpose()?;
        let arch = board.as_ref().map(|board| board.arch.oci()).or(self.arch.as_deref());
        let mut images = self.images;
        if let (Some(file), Some(board)) = (&self.manifest, &board) {
            let bytes = fs::read(file).with_context(|| format!("cannot read the manifest {}", file.display()))?;
            images.extend(check_manifest(board, &bytes).with_context(|| format!("{}", file.display()))?);
        }
        let mut failed = vec![];
        for image in &images {
            match pull(image, arch, &self.output, self.size.limits(), self.plain_http) {
                Ok(done) => done.tell(),
                Err(error) => failed.push(format!("{error:#}")),
            }
        }
        let Some(last) = failed.pop() else { return Ok(()) };
        for error in failed {
            eprintln!("podling: {error}");
        }
        bail!(last)
    }
}

/// Fetches one image and packs it into the directory `output`.
pub fn pull(image: &str, arch: Option<&str>, output: &Path, limits: Limits, plain_http: bool) -> Result<Outcome> {
    atomic::ensure_directory(output)?;
    let done = match image.split_once(':') {
        Some(("oci" | "oci-archive" | "docker-archive", _)) => return pack::pack(image, None, arch, output, limits),
        Some((store @ ("containers-storage" | "docker-daemon"), name)) => {
            from_engine(image, name, arch, output, limits).with_context(|| format!("{store} is read by skopeo"))
        }
        // What engines call the images that were built on this machine.
        _ if image.starts_with("localhost/") => Err(anyhow!(
            "no registry has it: `podling pull containers-storage:{image}` takes it from podman's store, `podling pack SOURCE --name {image}` \
             from a layout or an archive"
        )),
        _ => {
            let reference = image.strip_prefix("docker://").unwrap_or(image);
            Registry::open(reference, plain_http, limits.bytes)
                .and_then(|registry| oci::fetch(registry, arch))
                .and_then(|fetched| pack::pack_image(&fetched, None, output, limits))
        }
    };
    done.with_context(|| format!("cannot pull {image}"))
}

/// From the store of another engine on this machine.
fn from_engine(image: &str, name: &str, arch: Option<&str>, output: &Path, limits: Limits) -> Result<Outcome> {
    let layout = tempfile::Builder::new().prefix(".podling-").tempdir_in(output)?;
    let place = format!("oci:{}:image", layout.path().display());
    let mut skopeo = Command::new("skopeo");
    if let Some((arch, variant)) = arch.map(|arch| arch.split_once('/').unwrap_or((arch, ""))) {
        skopeo.args(["--override-arch", arch, "--override-variant", variant]);
    }
    let said = skopeo.args(["copy", "--quiet", image, &place]).output();
    let said = said.context("cannot run skopeo (Debian's package skopeo)")?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr).trim());
    pack::pack(&place, Some(name), arch, output, limits)
}
