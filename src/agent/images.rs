//! Packed images: found by name, checked, mounted once, and taken away when no pod uses them any more.

use super::mounts;
use super::paths::Paths;
use super::trouble::Trouble;
use crate::manifest::codec::{self, Kind};
use crate::manifest::image::{Image, platform_of_machine, record_name, runs, squashfs_name};
use crate::manifest::status::{Reason, Uid};
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

/// The images that are mounted, and by which pods they are used.
#[derive(Default)]
pub(super) struct Images {
    mounted: Vec<([u8; 32], Vec<Uid>)>,
}

impl Images {
    /// The detached mount of an image for one container of the pod `user`; mounts the image where no pod has done so.
    pub(super) fn open(&mut self, paths: &Paths, record: &Record, user: Uid) -> Result<OwnedFd, Refused> {
        let image = record.image()?;
        self.mount(paths, record, &image, user)?;
        mounts::copy(&place(paths, &image.sha256), false).map_err(|e| invalid(&record.reference, &format!("{e}")))
    }

    /// Mounts an image that a container of the pod `user` is about to need. What is in the way of that is told when it does.
    pub(super) fn prepare(&mut self, paths: &Paths, reference: &str, user: Uid) {
        if let Ok(record) = Record::read(paths, reference)
            && let Ok(image) = record.image()
        {
            let _ = self.mount(paths, &record, &image, user);
        }
    }

    fn mount(&mut self, paths: &Paths, record: &Record, image: &Image<'_>, user: Uid) -> Result<(), Refused> {
        if !self.use_mounted(&image.sha256, user) {
            mount(paths, record, image)?;
            self.mounted.push((image.sha256, Vec::from([user])));
        }
        Ok(())
    }

    /// Counts a user of an image that is mounted already.
    fn use_mounted(&mut self, sha256: &[u8; 32], user: Uid) -> bool {
        let Some((_, users)) = self.mounted.iter_mut().find(|(sha, _)| sha == sha256) else { return false };
        if !users.contains(&user) {
            users.push(user);
        }
        true
    }

    /// Finds what an agent before this one has mounted.
    pub(super) fn adopt(&mut self, paths: &Paths) {
        for at in mounts::below(&paths.mounted_images()) {
            let sha = at.file_name().and_then(|name| name.to_str()).and_then(parse_hex);
            if let Some(sha) = sha.filter(|sha| !self.mounted.iter().any(|(known, _)| known == sha)) {
                self.mounted.push((sha, Vec::new()));
            }
        }
    }

    /// Counts an adopted pod as a user of an image.
    pub(super) fn adopt_user(&mut self, paths: &Paths, reference: &str, user: Uid) {
        if let Ok(record) = Record::read(paths, reference)
            && let Ok(image) = record.image()
        {
            self.use_mounted(&image.sha256, user);
        }
    }

    /// The pod uses none any more; what nobody uses is unmounted.
    pub(super) fn release(&mut self, paths: &Paths, user: Uid) {
        for (_, users) in &mut self.mounted {
            users.retain(|other| *other != user);
        }
        self.sweep(paths);
    }

    /// Unmounts what nobody uses, and removes every directory without a mount.
    pub(super) fn sweep(&mut self, paths: &Paths) {
        self.mounted.retain(|(sha, users)| {
            if users.is_empty() {
                let at = place(paths, sha);
                if let Err(error) = mounts::detach(&at) {
                    log::warn!("image: {error}");
                }
            }
            !users.is_empty()
        });
        // Only an empty directory can be removed: a mounted one is busy.
        for entry in fs::read_dir(paths.mounted_images()).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
    }
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
