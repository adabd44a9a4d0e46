//! The few mounts an agent makes and takes away itself. All are below its own directory, where no container can reach.

use crate::sys::{Error, error::Attempt, mount};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};
use std::ffi::{CString, OsString};
use std::format;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::prelude::v1::*;

/// What a tmpfs is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tmpfs {
    /// Its bound in bytes; the kernel's own (half of the memory) where there is none.
    pub(super) size: Option<u64>,
    /// The mode of its root.
    pub(super) mode: u16,
    /// Keep it out of the swap, where the kernel can.
    pub(super) secret: bool,
    /// Device nodes in it work.
    pub(super) devices: bool,
}

/// Mounts a new tmpfs.
pub(super) fn tmpfs(at: &Path, what: Tmpfs) -> Result<(), Error> {
    let make = || {
        let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(context.as_fd(), c"mode", format!("{:o}", what.mode))?;
        if let Some(size) = what.size {
            fsconfig_set_string(context.as_fd(), c"size", format!("{size}"))?;
        }
        if what.secret {
            // From kernel 6.4 on; before it a secret may be swapped out as any memory may.
            let _ = fsconfig_set_flag(context.as_fd(), c"noswap");
        }
        fsconfig_create(context.as_fd())?;
        let nodev = if what.devices { mount::NOSUID } else { mount::NODEV | mount::NOSUID };
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, nodev)
    };
    attach(make().attempt("mount", "tmpfs")?, at)
}

/// Mounts a new hugetlbfs of pages of so many bytes, in which so many bytes have room, with the mode of an emptyDir.
pub(super) fn huge(at: &Path, page: u64, size: u64) -> Result<(), Error> {
    let text = |number: u64| CString::new(format!("{number}")).unwrap_or_default();
    let (page, size) = (text(page), text(size));
    let options = [(c"pagesize", page.as_c_str()), (c"size", &size), (c"mode", c"0777")];
    let made = mount::new_mount(c"hugetlbfs", &options, mount::NODEV | mount::NOSUID);
    attach(made.attempt("mount", "hugetlbfs")?, at)
}

/// Puts a detached mount in its place.
pub(super) fn attach(made: OwnedFd, at: &Path) -> Result<(), Error> {
    let name = at.to_string_lossy();
    let path = CString::new(at.as_os_str().as_bytes()).map_err(|_| Error::new("mount on", &*name, Errno::INVAL))?;
    mount::attach_at(made, &path).attempt("mount on", &name)
}

/// A detached copy of what is mounted, or only lies, at `path`; with the mounts below it where `whole` is set. What a container
/// mounts there later stays in the container (`mountPropagation: None`).
pub(super) fn copy(path: &Path, whole: bool) -> Result<OwnedFd, Error> {
    let name = path.to_string_lossy();
    let copy = mount::clone_tree(CWD, &name, whole)?;
    mount::propagate(&copy, mount::Propagation::Private, whole).attempt("make private the mount of", &name)?;
    Ok(copy)
}

/// Whether what is mounted later on the mount that `place` lies on shows in its copies.
pub(super) fn is_shared(place: impl AsFd) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", place.as_fd().as_raw_fd())).unwrap_or_default();
    let Some(id) = info.lines().find_map(|line| line.strip_prefix("mnt_id:")) else { return false };
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let of_id = table.lines().find(|line| line.split(' ').next() == Some(id.trim()));
    // The optional fields are between the sixth and the dash.
    let fields = of_id.into_iter().flat_map(|line| line.split(' ').skip(6).take_while(|field| *field != "-"));
    fields.into_iter().any(|field| field.starts_with("shared:") || field.starts_with("master:"))
}

/// Takes away what is mounted at `path`, even while it is in use: it is gone when its last user is.
pub(super) fn detach(path: &Path) -> Result<(), Error> {
    rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
        .attempt("unmount", &path.to_string_lossy())
}

/// Everything that is mounted below `directory`, innermost first.
pub(super) fn below(directory: &Path) -> Vec<PathBuf> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<PathBuf> = table
        .split(|byte| *byte == b'\n')
        .filter_map(mount_point)
        .filter(|at| at.starts_with(directory) && at != directory)
        .collect();
    found.reverse();
    found
}

/// The fifth field of a line of mountinfo, its octal escapes undone.
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|digits| byte == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match digits {
            Some(digits) => {
                bytes.push(digits.iter().fold(0u8, |value, d| value.wrapping_mul(8).wrapping_add(d - b'0')));
                rest = &tail[3..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

/// Whether a path is one of a mount of ours: for messages and tests.
pub(super) fn is_mounted(path: &Path) -> bool {
    let Some(parent) = path.parent() else { return false };
    below(parent).iter().any(|at| at.as_os_str().as_bytes() == path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_mount_points_are_read_back() {
        let line = b"36 35 98:0 /mnt1 /run/a\\040b\\134c rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from("/run/a b\\c")));
        assert_eq!(mount_point(b"36 35"), None);
    }
}
