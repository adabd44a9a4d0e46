//! Mounts by descriptor: made detached, changed, and only then put in their place.

use super::Error;
use super::error::Attempt;
use super::raw;
use core::ffi::CStr;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::CWD;
use rustix::io::Result;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
    unmount,
};

/// No set-user-ID programs.
pub const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
/// No device nodes.
pub const NODEV: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
/// No programs.
pub const NOEXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
/// No writing through this mount.
pub const RDONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;
/// What a file system of the kernel's own needs not.
pub const PLAIN: MountAttrFlags = NOSUID.union(NODEV).union(NOEXEC);

/// A new mount of a file system, not yet anywhere. `options` are its parameters, each with its value; a flag has an empty one.
pub fn new_mount(kind: &CStr, options: &[(&CStr, &CStr)], attributes: MountAttrFlags) -> Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(context.as_fd(), *name)?;
        } else {
            fsconfig_set_string(context.as_fd(), *name, *value)?;
        }
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A detached copy of the mount at `path`; of those below it too where `recursive`. An empty path means `from` itself.
pub fn clone_tree(from: impl AsFd, path: &str, recursive: bool) -> core::result::Result<OwnedFd, Error> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    open_tree(from.as_fd(), path, flags).attempt("open", path)
}

/// Puts a detached mount onto the directory or file that `target` is.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount.as_fd(), c"", target.as_fd(), c"", flags)
}

/// Puts a detached mount at a path.
pub fn attach_at(mount: impl AsFd, path: &CStr) -> Result<()> {
    move_mount(mount.as_fd(), c"", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Forbids writing through a mount; through those below it too where `recursive`.
pub fn read_only(mount: impl AsFd, recursive: bool) -> Result<()> {
    restrict(mount, RDONLY, recursive)
}

/// How a mount and those that it was copied from share what is mounted on them later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// What is mounted on the others shows here.
    Slave,
    /// And the other way round.
    Shared,
}

/// Sets the propagation of a mount; of those below it too where `recursive`.
pub fn propagate(mount: impl AsFd, how: Propagation, recursive: bool) -> Result<()> {
    // MS_PRIVATE, MS_SLAVE and MS_SHARED, as wide as mount_setattr(2) wants them on every processor.
    let flag = match how {
        Propagation::Private => 1 << 18,
        Propagation::Slave => 1 << 19,
        Propagation::Shared => 1 << 20,
    };
    raw::mount_propagation(mount, flag, recursive)
}

/// Makes the whole mount tree of this namespace shared, as systemd does: what a pod asks to see of later mounts, it can.
pub fn make_shared() -> Result<()> {
    mount_change(c"/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)
}

/// Shows the files of a detached mount as the users of that namespace have them; of those below it too where `recursive`.
pub fn map_ids(mount: impl AsFd, users: BorrowedFd<'_>, recursive: bool) -> Result<()> {
    raw::mount_idmap(mount, users, recursive)
}

/// Adds attributes to a mount; to those below it too where `recursive`.
pub fn restrict(mount: impl AsFd, attributes: MountAttrFlags, recursive: bool) -> Result<()> {
    raw::mount_setattr(mount, u64::from(attributes.bits()), recursive)
}

/// Cuts this mount namespace off: nothing mounted here shows elsewhere, nor the other way round.
pub fn make_private() -> Result<()> {
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
}

/// Makes the mount behind `root` the root of this mount namespace, and lets go of the old one with all that is mounted there.
pub fn pivot(root: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(root)?;
    rustix::process::pivot_root(c".", c".")?;
    // The old root now lies over the new one, at `/`.
    unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}
