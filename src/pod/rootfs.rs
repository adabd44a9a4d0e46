//! A container's file system: its layer over its image, the system's mounts, and volumes at places that cannot lie.
//!
//! All of it is assembled at [`ROOT`] in the new container's own mount namespace, by descriptors. No path of the image is ever
//! followed by the kernel: [`resolve`] takes one component at a time.

use super::nodes;
use super::steps::{Broken, On};
use super::wire::{MountPoint, Start, View};
use crate::sys::mount::{self, NODEV, NOEXEC, NOSUID, PLAIN, RDONLY};
use core::ffi::CStr;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, chmodat, fstat, fstatfs, makedev, mkdirat,
    mknodat, openat, openat2, readlinkat, symlinkat,
};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use std::borrow::ToOwned;
use std::ffi::CString;
use std::format;
use std::string::String;
use std::vec::Vec;

/// The directories of pod-init's own root, in which containers are assembled.
const ROOM: [&str; 5] = ["image", "layer", "root", "shm", STILL];

/// What every container gets the same of, unchangeable: the device nodes, and an empty directory to hide others with.
const STILL: &str = "still";

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NODE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const MODE_755: Mode = Mode::RWXU.union(Mode::RGRP).union(Mode::XGRP).union(Mode::ROTH).union(Mode::XOTH);
const MODE_666: Mode =
    Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::WGRP).union(Mode::ROTH).union(Mode::WOTH);
const MODE_644: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::ROTH);

/// Furnishes pod-init's new root, before it is one.
///
/// Without the right to make device nodes, among users of its own, it is given empty files for them; then [`borrow`] is to come.
pub fn furnish(root: BorrowedFd<'_>) -> Result<bool, Broken> {
    let mut own = true;
    for directory in ROOM {
        mkdirat(root, directory, Mode::RWXU | Mode::XGRP | Mode::XOTH).on(directory)?;
    }
    let still = openat(root, STILL, DIRECTORY, Mode::empty()).on(STILL)?;
    mkdirat(&still, "empty", MODE_755).on("empty")?;
    for (name, major, minor) in NODES {
        match mknodat(&still, name, FileType::CharacterDevice, MODE_666, makedev(major, minor)) {
            Err(Errno::PERM) => {
                own = false;
                make(still.as_fd(), name, Leaf::File).on(name)?;
            }
            // mknodat heeds the umask that the agent was started with; /dev/null is for every user.
            made => made.and_then(|()| chmodat(&still, name, MODE_666, AtFlags::empty())).on(name)?,
        }
    }
    Ok(own)
}

/// Puts the node's device nodes where [`furnish`] has made files, and a /proc and a /sys beside them: among users of its own a
/// container may mount these only where one of each can be seen already. To be called while the node's own can be.
pub fn borrow(root: BorrowedFd<'_>) -> Result<(), Broken> {
    let still = openat(root, STILL, DIRECTORY, Mode::empty()).on(STILL)?;
    for (name, ..) in NODES {
        let node = mount::clone_tree(CWD, &format!("/dev/{name}"), false)?;
        mount::attach(&node, openat(&still, name, NODE, Mode::empty()).on(name)?).on(name)?;
    }
    put(root, "proc", mount::new_mount(c"proc", &[], PLAIN).on("proc")?)?;
    put(root, "sys", mount::new_mount(c"sysfs", &[], PLAIN).on("sysfs")?)?;
    Ok(())
}

/// Makes what containers get the same of unchangeable, in pod-init's root: copies of this mount inherit that.
pub fn seal() -> Result<(), Broken> {
    let still = mount::clone_tree(CWD, "/still", true)?;
    mount::restrict(&still, RDONLY | NOSUID | NOEXEC, true).on(STILL)?;
    mount::attach_at(&still, c"/still").on(STILL)
}

/// The image under a writable layer of so many bytes, at [`ROOM`]'s `/root`.
///
/// Device nodes work nowhere in a container but where pod-init has put one, so that CAP_MKNOD opens no disk.
pub fn layered(image: BorrowedFd<'_>, bytes: u64, view: View, own_users: bool) -> Result<OwnedFd, Broken> {
    let nodev = if view == View::Privileged { MountAttrFlags::empty() } else { NODEV };
    mount::attach_at(image, c"/image").on("the image")?;
    let layer = mount::new_mount(c"tmpfs", &[(c"size", &size(bytes)), (c"mode", c"755")], nodev).on("tmpfs")?;
    for directory in ["upper", "work"] {
        mkdirat(&layer, directory, MODE_755).on("the writable layer")?;
    }
    mount::attach_at(&layer, c"/layer").on("/layer")?;
    let mut options: Vec<(&CStr, &CStr)> =
        Vec::from([(c"lowerdir", c"/image"), (c"upperdir", c"/layer/upper"), (c"workdir", c"/layer/work")]);
    if own_users {
        // What overlayfs notes of a directory is in attributes that only the node's root may write, otherwise.
        options.push((c"userxattr", c""));
    }
    let root = mount::new_mount(c"overlay", &options, nodev).on("overlay")?;
    mount::attach_at(&root, c"/root").on("/root")?;
    Ok(root)
}

/// The size option of a tmpfs, which would take 0 for no bound at all.
pub fn size(bytes: u64) -> CString {
    CString::new(format!("{}", bytes.max(4096))).unwrap_or_default()
}

/// The device nodes that every container has: name, minor and major number.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// The links of /dev.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// What of /proc and /sys a container does not see, as with Docker.
const MASKED_PROC: [&str; 10] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
const MASKED_SYS: [&str; 2] = ["firmware", "devices/virtual/powercap"];

/// What of /proc it cannot write.
const READ_ONLY_PROC: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Mounts /dev, /proc and /sys. Gives back `/dev/null`, known to be the real one. A privileged container gets the devices of `node`.
pub fn system(
    root: BorrowedFd<'_>,
    start: &Start<'_>,
    terminals: BorrowedFd<'_>,
    node: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, Broken> {
    let sealed = if start.view == View::Privileged { PLAIN } else { PLAIN | RDONLY };
    let proc = put(root, "proc", mount::new_mount(c"proc", &[], PLAIN).on("proc")?)?;
    let sys = put(root, "sys", mount::new_mount(c"sysfs", &[], sealed).on("sysfs")?)?;
    if start.cgroup_v2 {
        let cgroups = mount::new_mount(c"cgroup2", &[], sealed).on("cgroup2")?;
        let target = inside(sys.as_fd(), "fs/cgroup").on("/sys/fs/cgroup")?;
        mount::attach(&cgroups, &target).on("/sys/fs/cgroup")?;
    }
    let dev = devices(root, start, terminals)?;
    if let Some(node) = node {
        nodes::copy(node, dev.as_fd()).on("/dev")?;
    }
    let (hidden, fixed): (&[&str], &[&str]) = match start.view {
        View::Masked => (&MASKED_PROC, &READ_ONLY_PROC),
        View::Unmasked | View::Privileged => (&[], &[]),
    };
    for path in fixed {
        let Some(target) = present(inside(proc.as_fd(), path), path)? else { continue };
        let same = mount::clone_tree(proc.as_fd(), path, true)?;
        mount::restrict(&same, PLAIN | RDONLY, true).on(path)?;
        mount::attach(&same, &target).on(path)?;
    }
    let hidden_sys: &[&str] = if start.view == View::Privileged { &[] } else { &MASKED_SYS };
    let masks = hidden.iter().map(|path| (&proc, *path)).chain(hidden_sys.iter().map(|path| (&sys, *path)));
    for (file_system, path) in masks {
        let Some(target) = present(inside(file_system.as_fd(), path), path)? else { continue };
        let directory = FileType::from_raw_mode(fstat(&target).on(path)?.st_mode) == FileType::Directory;
        let mask = mount::clone_tree(CWD, if directory { "/still/empty" } else { "/still/null" }, false)?;
        mount::attach(&mask, &target).on(path)?;
    }
    openat(&dev, "null", OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).on("/dev/null")
}

/// /dev: a tmpfs of its own, with what every container has. A node that is made there does not work either.
fn devices(root: BorrowedFd<'_>, start: &Start<'_>, terminals: BorrowedFd<'_>) -> Result<OwnedFd, Broken> {
    let (attributes, size) = if start.view == View::Privileged { (NOSUID | NOEXEC, c"1m") } else { (PLAIN, c"64k") };
    let options = [(c"mode", c"755"), (c"size", size)];
    let dev = put(root, "dev", mount::new_mount(c"tmpfs", &options, attributes).on("tmpfs")?)?;
    for (name, ..) in NODES {
        make(dev.as_fd(), name, Leaf::File).on(name)?;
        let target = openat(&dev, name, NODE, Mode::empty()).on(name)?;
        mount::attach(mount::clone_tree(CWD, &format!("/still/{name}"), false)?, &target).on(name)?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &dev, name).on(name)?;
    }
    put_on(dev.as_fd(), "pts", terminals)?;
    if start.tty {
        // The first of the instance, made before anybody else could.
        make(dev.as_fd(), "console", Leaf::File).on("console")?;
        let target = openat(&dev, "console", NODE, Mode::empty()).on("console")?;
        mount::attach(mount::clone_tree(terminals, "0", false)?, &target).on("console")?;
    }
    put(dev.as_fd(), "shm", mount::clone_tree(CWD, "/shm", false)?)?;
    match mount::new_mount(c"mqueue", &[], PLAIN) {
        Ok(queues) => drop(put(dev.as_fd(), "mqueue", queues)?),
        // Message queues are a kernel option; a pod without them lacks nothing else.
        Err(Errno::NODEV) => {}
        Err(errno) => return Err(errno).on("mqueue"),
    }
    Ok(dev)
}

/// Puts a mount on the directory `name`, made where it is missing. Anything but a directory there is refused: an image may hold a link.
fn put(parent: BorrowedFd<'_>, name: &str, mounted: OwnedFd) -> Result<OwnedFd, Broken> {
    put_on(parent, name, mounted.as_fd())?;
    Ok(mounted)
}

fn put_on(parent: BorrowedFd<'_>, name: &str, mounted: BorrowedFd<'_>) -> Result<(), Broken> {
    match mkdirat(parent, name, MODE_755) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).on(name),
    }
    let target = openat(parent, name, DIRECTORY, Mode::empty());
    let target = target.map_err(|errno| Broken {
        errno: errno.raw_os_error(),
        subject: format!("{name} (not a directory in the image)"),
    })?;
    mount::attach(mounted, &target).on(name)
}

/// A path of a kernel's file system that was just mounted: no links, no other mounts.
fn inside(root: BorrowedFd<'_>, path: &str) -> rustix::io::Result<OwnedFd> {
    openat2(root, path, NODE, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV)
}

fn present(found: rustix::io::Result<OwnedFd>, path: &str) -> Result<Option<OwnedFd>, Broken> {
    match found {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno).on(path),
    }
}

/// Mounts a volume or a managed file at its place inside `root`. In a volume that is a directory device nodes do not work, unless the
/// container is trusted with the whole board; a device of the host given by name does.
pub fn place(
    root: BorrowedFd<'_>,
    point: &MountPoint<'_>,
    mounted: BorrowedFd<'_>,
    trusted: bool,
) -> Result<(), Broken> {
    let target = resolve(root, point.path, if point.directory { Leaf::Directory } else { Leaf::File }).on(point.path)?;
    if is_same(target.as_fd(), root).on(point.path)? {
        return Err(Errno::INVAL).on(point.path);
    }
    // A volume over /proc would let the pod choose what writes to /proc hit (CVE-2019-19921, CVE-2025-52881).
    if fstatfs(&target).on(point.path)?.f_type == PROC_SUPER_MAGIC {
        return Err(Errno::PERM).on(point.path);
    }
    let mut attributes = MountAttrFlags::empty();
    attributes.set(RDONLY, point.read_only);
    attributes.set(NODEV, point.directory && !trusted);
    if !attributes.is_empty() {
        mount::restrict(mounted, attributes, true).on(point.path)?;
    }
    mount::attach(mounted, &target).on(point.path)
}

fn is_same(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let (a, b) = (fstat(a)?, fstat(b)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

/// What the end of a path is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// How many links a path may lead over, as in the kernel.
const LINKS_MOST: usize = 40;

/// Opens `path` inside `root`, making what is missing.
///
/// Whatever links the container has put there, the walk stays inside: each component is opened without following, a link's text is
/// walked as if it had been written in the path, and `..` goes back along the way that was come. So a directory that is swapped for
/// a link meanwhile (CVE-2021-30465) changes nothing.
pub fn resolve(root: BorrowedFd<'_>, path: &str, leaf: Leaf) -> rustix::io::Result<OwnedFd> {
    let mut way: Vec<OwnedFd> = Vec::new();
    let mut ahead: Vec<String> = components(path);
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        if name == ".." {
            way.pop();
            continue;
        }
        let here = way.last().map_or(root, AsFd::as_fd);
        let node = match openat(here, &*name, NODE, Mode::empty()) {
            Err(Errno::NOENT) => {
                make(here, &name, if ahead.is_empty() { leaf } else { Leaf::Directory })?;
                openat(here, &*name, NODE, Mode::empty())?
            }
            node => node?,
        };
        match FileType::from_raw_mode(fstat(&node)?.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > LINKS_MOST {
                    return Err(Errno::LOOP);
                }
                let target = readlinkat(&node, c"", Vec::new())?;
                let target = target.to_str().map_err(|_| Errno::ILSEQ)?;
                if target.starts_with('/') {
                    way.clear();
                }
                ahead.extend(components(target));
            }
            FileType::Directory => way.push(node),
            _ if ahead.is_empty() && leaf == Leaf::File => return Ok(node),
            _ => return Err(Errno::NOTDIR),
        }
    }
    match (leaf, way.pop()) {
        (Leaf::File, _) => Err(Errno::ISDIR),
        (Leaf::Directory, Some(directory)) => Ok(directory),
        (Leaf::Directory, None) => openat(root, c".", DIRECTORY, Mode::empty()),
    }
}

/// The components of a path, the first one last.
fn components(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|name| !matches!(*name, "" | ".")).map(ToOwned::to_owned).collect()
}

fn make(here: BorrowedFd<'_>, name: &str, leaf: Leaf) -> rustix::io::Result<()> {
    let made = match leaf {
        Leaf::Directory => mkdirat(here, name, MODE_755),
        Leaf::File => {
            openat(here, name, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC, MODE_644).map(drop)
        }
    };
    // Somebody else made it: what it is shows when it is opened.
    if made == Err(Errno::EXIST) { Ok(()) } else { made }
}
