//! Namespaces: which a new process gets, and joining those of another.

use super::raw;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use std::format;

/// The namespaces that a new process does not share with its parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(u64);

impl Namespaces {
    /// Process numbers.
    pub const PID: Namespaces = Namespaces(libc::CLONE_NEWPID as u64);
    /// Mounts.
    pub const MOUNT: Namespaces = Namespaces(libc::CLONE_NEWNS as u64);
    /// Interfaces, addresses and ports.
    pub const NETWORK: Namespaces = Namespaces(libc::CLONE_NEWNET as u64);
    /// SysV IPC and POSIX message queues.
    pub const IPC: Namespaces = Namespaces(libc::CLONE_NEWIPC as u64);
    /// The host name.
    pub const NAMES: Namespaces = Namespaces(libc::CLONE_NEWUTS as u64);

    /// Users and groups; what else is new then belongs to its root.
    pub const USERS: Namespaces = Namespaces(libc::CLONE_NEWUSER as u64);

    /// Both sets.
    #[must_use]
    pub const fn and(self, more: Namespaces) -> Namespaces {
        Namespaces(self.0 | more.0)
    }

    /// This set, or none of it.
    #[must_use]
    pub const fn only_if(self, wanted: bool) -> Namespaces {
        if wanted { self } else { Namespaces(0) }
    }

    /// As flags of clone3(2).
    pub(super) const fn bits(self) -> u64 {
        self.0
    }
}

/// Makes the root of this process' cgroup namespace the cgroup that it is in now.
///
/// Not a clone flag: with CLONE_INTO_CGROUP the kernel would take the parent's cgroup as the root.
pub fn own_cgroup_view() -> Result<()> {
    raw::unshare_cgroup()
}

/// Enters the mount and cgroup namespaces of a process.
pub fn enter_container(process: BorrowedFd<'_>) -> Result<()> {
    move_into_thread_name_spaces(process, ThreadNameSpaceType::MOUNT | ThreadNameSpaceType::CONTROL_GROUP)
}

/// The mount namespace of a process, found in `proc`: it is there for as long as this is held.
pub fn mounts_of(proc: BorrowedFd<'_>, process: Pid) -> Result<OwnedFd> {
    let path = format!("{}/ns/mnt", process.as_raw_nonzero());
    openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Takes this process to the root of its own mount namespace, out of whatever chroot it was started in.
pub fn to_own_root() -> Result<()> {
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    move_into_thread_name_spaces(own.as_fd(), ThreadNameSpaceType::MOUNT)
}

/// Children of this process will be born into the PID namespace of that process.
pub fn children_into(process: BorrowedFd<'_>) -> Result<()> {
    move_into_thread_name_spaces(process, ThreadNameSpaceType::PROCESS_ID)
}

/// Brings the loopback of this network namespace up: 127.0.0.1 and ::1.
pub fn loopback_up() -> Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    raw::loopback_up(socket.as_fd())
}

/// A TCP socket in the network namespace of a process, non-blocking. This thread is there for a moment only.
pub fn tcp_socket_of(process: BorrowedFd<'_>, family: AddressFamily) -> Result<OwnedFd> {
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    move_into_thread_name_spaces(process, ThreadNameSpaceType::NETWORK)?;
    let socket = tcp_socket(family);
    // Whoever cannot come back would take every later socket for the node's that is this pod's.
    move_into_thread_name_spaces(own.as_fd(), ThreadNameSpaceType::NETWORK)
        .expect("the way back into the node's own network namespace");
    socket
}

/// A TCP socket in this network namespace, non-blocking.
pub fn tcp_socket(family: AddressFamily) -> Result<OwnedFd> {
    socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}
