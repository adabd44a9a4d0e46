//! Loop devices, and the squashfs images on them.

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

/// A loop device with a file behind it, read-only. It is let go of with its last user.
#[derive(Debug)]
pub struct Loop {
    /// The open device: keep it until it is mounted.
    pub device: OwnedFd,
    /// `/dev/loopN`.
    pub path: String,
}

/// Puts a file behind a free loop device.
pub fn attach_loop(file: impl AsFd) -> Result<Loop, Error> {
    let control = open("/dev/loop-control", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .attempt("open", "/dev/loop-control")?;
    for _ in 0..RACES {
        let number = raw::loop_free(&control).attempt("find a free loop device in", "/dev/loop-control")?;
        let path = format!("/dev/loop{number}");
        let device = open_loop(&path, number).attempt("open", &path)?;
        match raw::loop_configure(&device, &file) {
            Ok(()) => return Ok(Loop { device, path }),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(Error::new("configure", path, errno)),
        }
    }
    Err(Error::new("find a free loop device in", "/dev/loop-control", Errno::BUSY))
}

/// Opens the device, making its node where it is missing: without devtmpfs or udev nobody else does.
fn open_loop(path: &str, number: u32) -> rustix::io::Result<OwnedFd> {
    let open_it = || open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
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
    let file = open(image, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).attempt("open", &name)?;
    let device = attach_loop(&file)?;
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
