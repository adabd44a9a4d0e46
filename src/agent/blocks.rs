//! Block devices as volumes: the node that a container gets of one (`volumeMode: Block`), and the file systems of `local` PersistentVolumes.

use super::mounts::{self, Tmpfs};
use super::paths::{Paths, PodPaths};
use super::trouble::Trouble;
use super::volumes::in_memory;
use crate::manifest::List;
use crate::manifest::pod::{Disk, Pod};
use crate::manifest::units::Bytes;
use crate::sys::device::{self, Use};
use crate::sys::error::Attempt;
use crate::sys::mount::{self, NODEV, NOEXEC, NOSUID, RDONLY};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, chmodat, chownat, mknodat};
use rustix::mount::MountAttrFlags;
use std::ffi::CString;
use std::format;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::prelude::v1::*;

/// The node of a device of the board.
const DEVICE: &str = "device";
/// That of a loop device of the pod's own.
const LOOP: &str = "loop";
/// The file behind it.
const FILE: &str = "block";
/// What a file system on a block device is where nothing is said, as kubelet has it.
const FILE_SYSTEM: &str = "ext4";
/// Devices count in these.
const SECTOR: u64 = 4096;

/// Makes the node of a block device, in a file system of the pod's own where nodes work.
pub(super) fn make(
    paths: &Paths,
    own: &PodPaths,
    pod: &Pod<'_>,
    volume: &str,
    (disk, read_only): (Disk<'_>, bool),
) -> Result<(), Trouble> {
    let place = own.memory_volume(volume);
    if node(&place).exists() {
        return Ok(());
    }
    in_memory(&place, Tmpfs { size: Some(SECTOR), mode: 0o755, secret: false, devices: true })?;
    let usage = if read_only { Use::ReadOnlyDisk } else { Use::Disk };
    let (name, number) = match disk {
        Disk::Device { path, .. } => match (number(Path::new(path))?, read_only) {
            (number, false) => (DEVICE, number),
            // A node has no read-only form: this is one over it.
            (_, true) => (LOOP, device::attach(Path::new(path), usage)?.number),
        },
        Disk::Claim { claim, bytes } => {
            let file = file(&paths.claim(pod.namespace, claim), bytes)?;
            (LOOP, device::attach(&file, usage)?.number)
        }
        Disk::Own { bytes } => (LOOP, device::attach(&file(&own.disk_volume(volume), bytes)?, usage)?.number),
    };
    let (at, mode) = (place.join(name), Mode::from_raw_mode(0o660));
    let owner = pod.fs_group.map(|group| Gid::from_raw(group.id));
    let made = mknodat(CWD, &at, FileType::BlockDevice, mode, number)
        .and_then(|()| chmodat(CWD, &at, mode, AtFlags::empty()))
        .and_then(|()| chownat(CWD, &at, None, owner, AtFlags::SYMLINK_NOFOLLOW));
    made.map_err(|errno| Trouble::at("make the device node", &at)(errno.into()))
}

/// The node of a block device that [`make`] has made.
pub(super) fn node(place: &Path) -> PathBuf {
    let device = place.join(DEVICE);
    if device.exists() { device } else { place.join(LOOP) }
}

/// Lets go of the loop devices of a pod.
pub(super) fn release(own: &PodPaths) {
    let volumes = fs::read_dir(own.memory_volume("")).into_iter().flatten().flatten();
    for at in volumes.map(|volume| volume.path().join(LOOP)) {
        if at.symlink_metadata().is_ok_and(|found| found.file_type().is_block_device())
            && let Err(error) = device::release(&at)
        {
            log::warn!("volume: {error}");
        }
    }
}

/// The number of a block device of the node.
fn number(path: &Path) -> Result<u64, Trouble> {
    let found = fs::metadata(path).map_err(Trouble::at("find the block device", path))?;
    if found.file_type().is_block_device() {
        Ok(found.rdev())
    } else {
        Err(format!("{} is not a block device: a volume with volumeMode: Block needs one", path.display()).into())
    }
}

/// The file behind a device, with its room taken. It grows with its claim, and never shrinks.
fn file(directory: &Path, bytes: u64) -> Result<PathBuf, Trouble> {
    let bytes = bytes.next_multiple_of(SECTOR);
    let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(directory);
    made.map_err(Trouble::at("make", directory))?;
    let path = directory.join(FILE);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    let file = options.open(&path).map_err(Trouble::at("make", &path))?;
    let before = file.metadata().map_err(Trouble::at("look at", &path))?.len();
    if before < bytes {
        let what = format!("take {} for the block device", Bytes(bytes));
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), before, bytes - before) {
            // Some file systems take room only as it is written.
            Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(bytes).map_err(Trouble::at(&what, &path))?,
            taken => taken.map_err(|errno| Trouble::at(&what, &path)(errno.into()))?,
        }
    }
    Ok(path)
}

/// Makes ready what a `local` PersistentVolume is: a directory is there already, the file system of a block device is mounted.
pub(super) fn make_local(
    own: &PodPaths,
    volume: &str,
    path: &Path,
    (fs_type, read_only, words): (&str, bool, List<'_, &str>),
) -> Result<(), Trouble> {
    let found = fs::metadata(path).map_err(Trouble::at("find the local volume", path))?.file_type();
    let place = own.memory_volume(volume);
    if found.is_dir() && !words.is_empty() {
        return Err(format!("{} is a directory: mountOptions are for a block device", path.display()).into());
    }
    if found.is_dir() || place.exists() && mounts::is_mounted(&place) {
        return Ok(());
    }
    if !found.is_block_device() {
        return Err(format!("{} is neither a directory nor a block device", path.display()).into());
    }
    let fs_type = if fs_type.is_empty() { FILE_SYSTEM } else { fs_type };
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| Trouble::from("a name holds a NUL"));
    let (kind, source) = (text(fs_type.as_bytes())?, text(path.as_os_str().as_bytes())?);
    let mut options = Vec::from([(c"source", source.as_c_str())]);
    let mut attributes = NODEV | NOSUID;
    if read_only {
        options.push((c"ro", c""));
        attributes |= RDONLY;
    }
    let words: Vec<&str> = words.iter().collect();
    let mut given = Vec::new();
    for word in &words {
        match attribute(word) {
            Some(attribute) => attributes |= attribute,
            None => {
                let (name, value) = word.split_once('=').unwrap_or((word, ""));
                given.push((text(name.as_bytes())?, text(value.as_bytes())?));
            }
        }
    }
    options.extend(given.iter().map(|(name, value)| (name.as_c_str(), value.as_c_str())));
    let with = if words.is_empty() { String::new() } else { format!(" with {}", words.join(",")) };
    let subject = format!("{fs_type} of {}{with} (does it hold one? a board makes none)", path.display());
    let made = mount::new_mount(&kind, &options, attributes).attempt("mount", &subject)?;
    fs::create_dir_all(&place).map_err(Trouble::at("make", &place))?;
    mounts::attach(made, &place)?;
    Ok(())
}

/// What an option asks of the mount; `None` where it is for the file system.
fn attribute(word: &str) -> Option<MountAttrFlags> {
    Some(match word {
        "nosuid" => NOSUID,
        "nodev" => NODEV,
        "noexec" => NOEXEC,
        "noatime" => MountAttrFlags::MOUNT_ATTR_NOATIME,
        "strictatime" => MountAttrFlags::MOUNT_ATTR_STRICTATIME,
        "nodiratime" => MountAttrFlags::MOUNT_ATTR_NODIRATIME,
        // What a mount is anyway.
        "exec" | "relatime" | "diratime" => MountAttrFlags::empty(),
        _ => return None,
    })
}

/// Where the files of a `local` PersistentVolume are.
pub(super) fn local(own: &PodPaths, volume: &str, path: &str) -> PathBuf {
    let place = own.memory_volume(volume);
    if place.exists() { place } else { PathBuf::from(path) }
}
