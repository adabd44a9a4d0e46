//! Packed images: found by name, checked, mounted once, and taken away when the manifest names them no more.

use super::mounts;
use super::paths::Paths;
use super::trouble::Trouble;
use crate::manifest::codec::{self, Kind};
use crate::manifest::image::{Image, platform_of_machine, record_name, runs, squashfs_name};
use crate::manifest::pod::{Manifest, Pod};
use crate::manifest::status::Reason;
use crate::manifest::{check, limits};
use std::format;
use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::prelude::v1::*;

/// Why a container is not started.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// The waiting reason.
    pub(super) reason: Reason,
    /// In words, with what to do.
    pub(super) why: Trouble,
}

impl Refused {
    /// The kernel, or what it was asked for, is in the way.
    pub(super) fn new(why: Trouble) -> Refused {
        Refused { reason: Reason::CreateContainerError, why }
    }

    /// What the pod says cannot be done.
    pub(super) fn config(why: &str) -> Refused {
        Refused { reason: Reason::CreateContainerConfigError, why: why.into() }
    }
}

/// The record of an image, as its file was read.
pub(super) struct Record {
    bytes: Vec<u8>,
    directory: PathBuf,
    reference: String,
}

impl Record {
    /// Reads the record of `reference` from the first directory that has one.
    pub(super) fn read(paths: &Paths, reference: &str) -> Result<Record, Refused> {
        let name = record_name(reference).ok_or_else(|| invalid(reference, "its name is too long"))?;
        for directory in paths.images() {
            let file = directory.join(name.as_str());
            let mut bytes = Vec::new();
            // One byte more than may be there, so that the frame's own check sees what is too long.
            match fs::File::open(&file)
                .and_then(|file| file.take(limits::IMAGE_RECORD as u64 + 1).read_to_end(&mut bytes))
            {
                Ok(_) => return Ok(Record { bytes, directory, reference: String::from(reference) }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(invalid(reference, &format!("read {}: {error}", file.display()))),
            }
        }
        let hint = format!(
            "image {reference} is not on this board: pack it with 'podling pack' and write it with the manifest"
        );
        Err(Refused { reason: Reason::ImageMissing, why: hint.into() })
    }

    /// What it says.
    pub(super) fn image(&self) -> Result<Image<'_>, Refused> {
        let (_, body) = codec::open(&self.bytes, Kind::Image).map_err(|e| invalid(&self.reference, &format!("{e}")))?;
        let image = check::image(body).map_err(|e| invalid(&self.reference, &format!("{e}")))?;
        if image.reference != self.reference {
            return Err(invalid(&self.reference, &format!("its record is that of {}", image.reference)));
        }
        Ok(image)
    }

    /// The same, if a node that the kernel calls `machine` runs its programs.
    pub(super) fn image_for(&self, machine: &str) -> Result<Image<'_>, Refused> {
        let image = self.image()?;
        let node = platform_of_machine(machine);
        if !runs(node, image.platform) {
            let why = format!("it is for {}, and this node is {node}", image.platform);
            return Err(invalid(&self.reference, &why));
        }
        Ok(image)
    }
}

fn invalid(reference: &str, why: &str) -> Refused {
    Refused {
        reason: Reason::ImageInvalid,
        why: format!("image {reference} cannot be used: {why}; pack it again").into(),
    }
}

/// The images that are mounted: each from the first start that needs it for as long as the manifest names it, as a kubelet keeps what
/// it has pulled. A mount costs more than all the rest of a container's start, and what has been read stays in the page cache.
pub(super) struct Images {
    manifest: Manifest<'static>,
    /// Pods beside those of the manifest.
    more: Vec<Pod<'static>>,
    mounted: Vec<[u8; 32]>,
}

impl Images {
    pub(super) fn new(manifest: Manifest<'static>) -> Images {
        Images { manifest, more: Vec::new(), mounted: Vec::new() }
    }

    /// The detached mount of an image for one container; mounts the image where that has not been done yet.
    pub(super) fn open(&mut self, paths: &Paths, record: &Record) -> Result<OwnedFd, Refused> {
        let image = record.image()?;
        self.mount(paths, record, &image)?;
        mounts::copy(&place(paths, &image.sha256), false).map_err(|e| invalid(&record.reference, &format!("{e}")))
    }

    /// The same of an image that the manifest need not name: then it is mounted for that one container only.
    pub(super) fn open_once(&mut self, paths: &Paths, record: &Record) -> Result<OwnedFd, Refused> {
        let image = record.image()?;
        if self.mounted.contains(&image.sha256) {
            return self.open(paths, record);
        }
        mount(paths, record, &image)?;
        let at = place(paths, &image.sha256);
        let copy = mounts::copy(&at, false).map_err(|e| invalid(&record.reference, &format!("{e}")));
        let _ = mounts::detach(&at);
        let _ = fs::remove_dir(at);
        copy
    }

    /// Where an image is mounted, for a volume; mounts it where that has not been done yet.
    pub(super) fn path(&mut self, paths: &Paths, record: &Record, machine: &str) -> Result<PathBuf, Refused> {
        let image = record.image_for(machine)?;
        self.mount(paths, record, &image)?;
        Ok(place(paths, &image.sha256))
    }

    /// Mounts an image that a container is about to need. What is in the way of that is told when it does.
    pub(super) fn prepare(&mut self, paths: &Paths, reference: &str) {
        if let Ok(record) = Record::read(paths, reference)
            && let Ok(image) = record.image()
        {
            let _ = self.mount(paths, &record, &image);
        }
    }

    fn mount(&mut self, paths: &Paths, record: &Record, image: &Image<'_>) -> Result<(), Refused> {
        if !self.mounted.contains(&image.sha256) {
            mount(paths, record, image)?;
            self.mounted.push(image.sha256);
            // It may be there in place of another of its name.
            self.sweep(paths);
        }
        Ok(())
    }

    /// Finds what an agent before this one has mounted.
    pub(super) fn adopt(&mut self, paths: &Paths) {
        let names = mounts::below(&paths.mounted_images());
        self.mounted = names.iter().filter_map(|at| parse_hex(at.file_name()?.to_str()?)).collect();
    }

    /// Keeps the images of a pod that the manifest does not have, for as long as there is it.
    pub(super) fn also_for(&mut self, pod: Pod<'static>) {
        self.more.push(pod);
    }

    /// Such a pod is gone, if it is one.
    pub(super) fn not_for(&mut self, paths: &Paths, pod: &Pod<'_>) {
        if let Some(at) = self.more.iter().position(|other| other == pod) {
            self.more.swap_remove(at);
            self.sweep(paths);
        }
    }

    /// Unmounts what the manifest does not name; containers that run on it keep it until they end.
    pub(super) fn sweep(&mut self, paths: &Paths) {
        let named: Vec<[u8; 32]> = self
            .manifest
            .pods
            .iter()
            .chain(self.more.iter().copied())
            .flat_map(|pod| pod.images())
            .filter_map(|reference| Some(Record::read(paths, reference).ok()?.image().ok()?.sha256))
            .collect();
        self.keep(paths, &named);
    }

    /// Unmounts them all: the agent ends.
    pub(super) fn leave(&mut self, paths: &Paths) {
        self.keep(paths, &[]);
    }

    fn keep(&mut self, paths: &Paths, wanted: &[[u8; 32]]) {
        self.mounted.retain(|sha| {
            let keep = wanted.contains(sha);
            if !keep && let Err(error) = mounts::detach(&place(paths, sha)) {
                log::warn!("image: {error}");
            }
            keep
        });
        // Only an empty directory can be removed: a mounted one is busy.
        for entry in fs::read_dir(paths.mounted_images()).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The references of all images on this board that can be read, each once, sorted.
pub(super) fn on_board(paths: &Paths) -> Vec<String> {
    let files = paths.images().filter_map(|directory| fs::read_dir(directory).ok()).flatten().flatten();
    let reference = |file: fs::DirEntry| {
        let mut bytes = Vec::new();
        fs::File::open(file.path()).ok()?.take(limits::IMAGE_RECORD as u64 + 1).read_to_end(&mut bytes).ok()?;
        let (_, body) = codec::open(&bytes, Kind::Image).ok()?;
        Some(String::from(check::image(body).ok()?.reference))
    };
    let mut all: Vec<String> = files.filter_map(reference).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn place(paths: &Paths, sha256: &[u8; 32]) -> PathBuf {
    let name = squashfs_name(sha256);
    paths.mounted_images().join(name.trim_end_matches(".squashfs"))
}

fn parse_hex(name: &str) -> Option<[u8; 32]> {
    let mut sha = [0; 32];
    if name.len() != 64 || !name.is_ascii() {
        return None;
    }
    for (n, byte) in sha.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&name[2 * n..2 * n + 2], 16).ok()?;
    }
    Some(sha)
}

/// Mounts the squashfs of an image at its place.
fn mount(paths: &Paths, record: &Record, image: &Image<'_>) -> Result<(), Refused> {
    let file = record.directory.join(squashfs_name(&image.sha256).as_str());
    let refuse = |why: String| invalid(&record.reference, &why);
    let size = fs::metadata(&file).map_err(|e| refuse(format!("{}: {e}", file.display())))?.len();
    if size != image.size {
        return Err(refuse(format!("its squashfs has {size} bytes where its record speaks of {}", image.size)));
    }
    let at = place(paths, &image.sha256);
    fs::create_dir_all(&at).map_err(|e| refuse(format!("make {}: {e}", at.display())))?;
    let mounted = crate::sys::device::squashfs(&file).and_then(|detached| mounts::attach(detached, &at));
    super::fail::point("image mounted");
    mounted.map_err(|e| refuse(format!("{e}")))
}
