//! Loop devices: the squashfs images on them, and the disks that containers get.

use super::Error;
use super::error::Attempt;
use super::mount::{self, NODEV, NOSUID, RDONLY};
use super::raw;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat, open};
use rustix::io::Errno;
use std::ffi::CString;
use std::format;
use std::path::Path;
use std::string::String;

/// The major number of loop devices.
const LOOP_MAJOR: u32 = 7;

/// How often another process may take the loop device that was free a moment ago.
const RACES: usize = 64;

/// What a loop device is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To be mounted, and let go of with its last user. It cannot be written.
    Image,
    /// A disk until [`release`] is called.
    Disk,
    /// The same, for reading only.
    ReadOnlyDisk,
}

impl Use {
    const fn flags(self) -> u32 {
        match self {
            Use::Image => raw::LO_FLAGS_READ_ONLY | raw::LO_FLAGS_AUTOCLEAR,
            Use::Disk => 0,
            Use::ReadOnlyDisk => raw::LO_FLAGS_READ_ONLY,
        }
    }

    const fn access(self) -> OFlags {
        match self {
            Use::Disk => OFlags::RDWR,
            Use::Image | Use::ReadOnlyDisk => OFlags::RDONLY,
        }
    }
}

/// A loop device with a file behind it.
#[derive(Debug)]
pub struct Loop {
    /// The open device: keep it until it is mounted.
    pub device: OwnedFd,
    /// `/dev/loopN`.
    pub path: String,
    /// Its number as a device.
    pub number: u64,
}

/// Puts a file, or another block device, behind a free loop device.
pub fn attach(path: &Path, usage: Use) -> Result<Loop, Error> {
    let name = path.to_string_lossy();
    let file = open(path, usage.access() | OFlags::CLOEXEC, Mode::empty()).attempt("open", &name)?;
    attach_loop(&file, usage)
}

/// Lets go of what is behind the loop device that the node `path` is.
pub fn release(path: &Path) -> Result<(), Error> {
    let name = path.to_string_lossy();
    let device = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).attempt("open", &name)?;
    raw::loop_clear(&device).attempt("let go of the loop device", &name)
}

fn attach_loop(file: impl AsFd, usage: Use) -> Result<Loop, Error> {
    let control = open("/dev/loop-control", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .attempt("open", "/dev/loop-control")?;
    for _ in 0..RACES {
        let number = raw::loop_free(&control).attempt("find a free loop device in", "/dev/loop-control")?;
        let path = format!("/dev/loop{number}");
        let device = open_loop(&path, number, usage.access()).attempt("open", &path)?;
        match raw::loop_configure(&device, &file, usage.flags()) {
            Ok(()) => return Ok(Loop { device, path, number: makedev(LOOP_MAJOR, number) }),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(Error::new("configure", path, errno)),
        }
    }
    Err(Error::new("find a free loop device in", "/dev/loop-control", Errno::BUSY))
}

/// Opens the device, making its node where it is missing: without devtmpfs or udev nobody else does.
fn open_loop(path: &str, number: u32, access: OFlags) -> rustix::io::Result<OwnedFd> {
    let open_it = || open(path, access | OFlags::CLOEXEC, Mode::empty());
    match open_it() {
        Err(Errno::NOENT) => {
            match mknodat(CWD, path, FileType::BlockDevice, Mode::RUSR | Mode::WUSR, makedev(LOOP_MAJOR, number)) {
                Ok(()) | Err(Errno::EXIST) => open_it(),
                Err(errno) => Err(errno),
            }
        }
        opened => opened,
    }
}

/// Mounts a squashfs image, detached and read-only.
pub fn squashfs(image: &Path) -> Result<OwnedFd, Error> {
    let name = image.to_string_lossy();
    let device = attach(image, Use::Image)?;
    let subject = format!("squashfs image {name} on {}", device.path);
    let source = CString::new(device.path.as_str()).map_err(|_| Error::new("mount", subject.as_str(), Errno::INVAL))?;
    mount::new_mount(c"squashfs", &[(c"source", &source), (c"ro", c"")], RDONLY | NOSUID | NODEV)
        .attempt("mount", &subject)
}

/// Mounts a squashfs image read-only on the directory `target`.
pub fn mount_squashfs(image: &Path, target: &Path) -> Result<(), Error> {
    let mounted = squashfs(image)?;
    let name = target.to_string_lossy();
    let directory =
        open(target, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).attempt("open", &name)?;
    mount::attach(&mounted, &directory).attempt("mount squashfs on", &name)
}
