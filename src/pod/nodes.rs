//! The node's device nodes, made anew in the /dev of a privileged container (spec 83).

use core::ffi::CStr;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chmodat, chownat, mkdirat, mknodat, openat, statat,
};
use rustix::io::{Errno, Result};
use std::vec::Vec;

/// What a container has of its own, or only looks like a device.
const OWN: [&CStr; 6] = [c"pts", c"shm", c"mqueue", c"fd", c"console", c"hugepages"];

/// How deep /dev goes: `/dev/bus/usb/001/002` and one more.
const DEPTH: usize = 5;

/// Makes every device node below `from` in `to`, with its mode and owner. What `to` has already stays.
pub(super) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    copy_below(from, to, DEPTH)
}

fn copy_below(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> Result<()> {
    let entries: Vec<_> = Dir::read_from(from)?.collect::<Result<_>>()?;
    for entry in entries {
        let name = entry.file_name();
        if name == c"." || name == c".." || (depth == DEPTH && OWN.contains(&name)) {
            continue;
        }
        // What is unplugged meanwhile is not missed.
        let Ok(stat) = statat(from, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let mode = Mode::from_raw_mode(stat.st_mode);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if depth > 1 => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                made(mkdirat(to, name, mode))?;
                let (from, to) = (openat(from, name, flags, Mode::empty())?, openat(to, name, flags, Mode::empty())?);
                copy_below(from.as_fd(), to.as_fd(), depth - 1)?;
            }
            FileType::CharacterDevice | FileType::BlockDevice => node(to, name, &stat)?,
            _ => {}
        }
    }
    Ok(())
}

/// Makes one node, unless something of its name is there.
fn node(to: BorrowedFd<'_>, name: &CStr, like: &Stat) -> Result<()> {
    let (kind, mode) = (FileType::from_raw_mode(like.st_mode), Mode::from_raw_mode(like.st_mode));
    if !made(mknodat(to, name, kind, mode, like.st_rdev))? {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
    chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    chmodat(to, name, mode, AtFlags::empty())
}

/// Whether it has been made just now.
fn made(result: Result<()>) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}
