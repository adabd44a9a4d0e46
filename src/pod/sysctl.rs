//! The pod's sysctls, set once in its own namespaces.

use super::steps::{Broken, On};
use crate::manifest::check::rule;
use crate::sys::mount;
use rustix::fs::{Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstatfs, openat2};
use rustix::io::Errno;
use std::prelude::v1::*;

/// Writes one. Its name is checked again: whatever the order said, nothing but a sysctl of a namespace is written (CVE-2022-0811).
pub(super) fn set(name: &str, value: &str) -> Result<(), Broken> {
    if !(rule::SYSCTL.holds)(name) {
        return Err(Errno::PERM).on(name);
    }
    // A /proc of its own: what is written to can be nothing else (CVE-2025-52881).
    let proc = mount::new_mount(c"proc", &[], mount::PLAIN).on("proc")?;
    let path = format!("sys/{}", name.replace('.', "/"));
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let file = openat2(&proc, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve).on(name)?;
    if fstatfs(&file).on(name)?.f_type != PROC_SUPER_MAGIC {
        return Err(Errno::PERM).on(name);
    }
    match rustix::io::write(&file, value.as_bytes()) {
        Ok(written) if written == value.len() => Ok(()),
        Ok(_) => Err(Errno::INVAL).on(name),
        Err(errno) => Err(errno).on(name),
    }
}
