//! The system calls that rustix lacks, each behind a safe function. Nothing here decides anything.
#![allow(unsafe_code, reason = "raw system calls; every block says why it is sound")]

use core::ffi::CStr;
use core::mem;
use core::ptr;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, Result};
use std::vec::Vec;

// Calls from 424 on have one number on all architectures; not every libc names them.
const SYS_PIDFD_SEND_SIGNAL: libc::c_long = 424;
const SYS_FSOPEN: libc::c_long = 430;
pub(super) const SYS_CLONE3: libc::c_long = 435;
pub(super) const SYS_CLOSE_RANGE: libc::c_long = 436;
const SYS_OPENAT2: libc::c_long = 437;
const SYS_MOUNT_SETATTR: libc::c_long = 442;

pub(super) const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
const AT_RECURSIVE: libc::c_int = 0x8000;

/// The result of a libc call that says -1 where it failed.
fn checked(result: impl Into<i64>) -> Result<i64> {
    let result = result.into();
    if result == -1 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        return Err(Errno::from_raw_os_error(errno));
    }
    Ok(result)
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// mount_setattr(2) on the mount behind `mount`: set these `MOUNT_ATTR_*`; below it too where `recursive`.
pub fn mount_setattr(mount: impl AsFd, set: u64, recursive: bool) -> Result<()> {
    change_mount(mount, &MountAttr { set, ..MountAttr::default() }, recursive)
}

/// mount_setattr(2): gives the mount behind `mount` this `MS_PRIVATE`, `MS_SLAVE` or `MS_SHARED`; below it too where `recursive`.
pub fn mount_propagation(mount: impl AsFd, propagation: u64, recursive: bool) -> Result<()> {
    change_mount(mount, &MountAttr { propagation, ..MountAttr::default() }, recursive)
}

/// mount_setattr(2): files of the detached mount behind `mount` belong to whom the user namespace `users` maps their owners to; those
/// of the mounts below it too where `recursive`.
pub fn mount_idmap(mount: impl AsFd, users: BorrowedFd<'_>, recursive: bool) -> Result<()> {
    const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
    let userns = users.as_raw_fd() as u64;
    change_mount(mount, &MountAttr { set: MOUNT_ATTR_IDMAP, userns, ..MountAttr::default() }, recursive)
}

fn change_mount(mount: impl AsFd, attr: &MountAttr, recursive: bool) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, and the structure is as long as it is said to be; both outlive the call.
    let result = unsafe {
        libc::syscall(
            SYS_MOUNT_SETATTR,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    checked(result as i64).map(drop)
}

/// close_range(2) from `first` on: closed by the next exec, which keeps a result pipe usable until then.
pub fn close_on_exec_from(first: RawFd) -> Result<()> {
    // SAFETY: only flags of descriptors change, and only towards being closed by exec.
    let result = unsafe { libc::syscall(SYS_CLOSE_RANGE, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    checked(result as i64).map(drop)
}

/// The bytes of the kernel's own `sigset_t`.
pub(super) const SIGSET: usize = 8;

/// `struct sigaction` as the kernel knows it; all zeroes is SIG_DFL, on each architecture.
#[repr(C)]
pub(super) struct KernelAction(pub(super) [usize; 4], pub(super) u64);

/// Blocks all signals of this thread, or none. rt_sigprocmask(2).
pub fn mask_signals(all: bool) -> Result<()> {
    let set: u64 = if all { u64::MAX } else { 0 };
    // SAFETY: the set is as long as it is said to be and outlives the call; no old set is asked for.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const set, ptr::null::<u64>(), SIGSET)
    };
    checked(result as i64).map(drop)
}

/// SIGPIPE gets its default action again, which Rust's start-up code ignores; exec by itself keeps what is ignored. It is the only one:
/// [`super::spawn`] resets all others before this program starts, and clones reset what is handled.
pub fn default_sigpipe() {
    let default = KernelAction([0; 4], 0);
    // SAFETY: the action is all zeroes, at least as long as the kernel's, and outlives the call.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, libc::SIGPIPE, &raw const default, ptr::null::<u64>(), SIGSET) };
}

/// A signalfd(2) of one (blocked) signal: non-blocking, closed by exec.
pub fn signal_fd(signal: i32) -> Result<OwnedFd> {
    let set: u64 = 1 << (signal - 1);
    // SAFETY: the set is as long as it is said to be and outlives the call.
    let fd = unsafe {
        libc::syscall(libc::SYS_signalfd4, -1, &raw const set, SIGSET, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    let fd = checked(fd as i64)? as RawFd;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// unshare(2) of the cgroup namespace: what is now its cgroup becomes its root.
pub fn unshare_cgroup() -> Result<()> {
    // SAFETY: a cgroup namespace changes only what this process sees of cgroups; descriptors and memory stay as they are.
    checked(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }).map(drop)
}

/// A null-terminated array for execve(2), over strings that outlive it.
fn pointers(strings: &[impl AsRef<CStr>]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ref().as_ptr()).chain([ptr::null()]).collect()
}

/// `struct sock_fprog` of seccomp(2).
#[repr(C)]
struct FilterProgram {
    length: u16,
    instructions: *const u8,
}

/// seccomp(2): from now on this process and what it executes passes this filter, instructions of eight bytes. It takes CAP_SYS_ADMIN
/// or no_new_privs.
pub fn seccomp_filter(instructions: &[u8]) -> Result<()> {
    const SET_MODE_FILTER: libc::c_uint = 1;
    /// Kernels before 5.16 would slow down whatever is filtered.
    const SPEC_ALLOW: libc::c_ulong = 1 << 2;
    let length = u16::try_from(instructions.len() / 8).map_err(|_| Errno::INVAL)?;
    let program = FilterProgram { length, instructions: instructions.as_ptr() };
    // SAFETY: the kernel copies so many instructions of eight bytes, which are there, from a structure that outlives the call; it
    // takes them from any address, and it checks what they do.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, SPEC_ALLOW, &raw const program) };
    checked(result as i64).map(drop)
}

/// execve(2); returns only where it fails. For a relative `path` the working directory counts; PATH is not searched.
pub fn execve(path: &CStr, argv: &[impl AsRef<CStr>], env: &[impl AsRef<CStr>]) -> Errno {
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: path and strings are C strings, the arrays end in null, and all of it outlives the call.
    let result = unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    checked(result).err().unwrap_or(Errno::IO)
}

/// _exit(2): nothing of this process' memory is cleaned up or flushed, as suits a clone of another process.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: it takes nothing and never returns.
    unsafe { libc::_exit(code) }
}

/// Descriptor `fd`, inherited through exec.
///
/// # Errors
/// It is not open.
pub fn inherited_fd(fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: it is only asked for its flags.
    checked(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, and by the contract of the exec nothing else in this program owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets IFF_UP on `lo`, which gives it 127.0.0.1 and ::1.
pub fn loopback_up(socket: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: all zeroes is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    // SAFETY: the request is an `ifreq` with a terminated name and outlives the call.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) })?;
    // SAFETY: SIOCGIFFLAGS has filled this member, which is plain integers.
    unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short };
    // SAFETY: as above.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) }).map(drop)
}

/// `struct loop_config` of LOOP_CONFIGURE, with only what is set here named.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    before_flags: [u64; 5],
    numbers: [u32; 3],
    flags: u32,
    names: [u8; 64 + 64 + 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopConfig>() == 304);

const LOOP_CONFIGURE: u64 = 0x4C0A;
const LOOP_CTL_GET_FREE: u64 = 0x4C82;
const LOOP_CLR_FD: u64 = 0x4C01;
/// Nothing can be written to the loop device.
pub const LO_FLAGS_READ_ONLY: u32 = 1;
/// The kernel lets go of the file with the last user of the loop device.
pub const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// The number of a loop device that was free a moment ago.
pub fn loop_free(control: impl AsFd) -> Result<u32> {
    // SAFETY: this request takes no argument.
    let number = checked(unsafe { libc::ioctl(control.as_fd().as_raw_fd(), LOOP_CTL_GET_FREE as _) })?;
    Ok(number as u32)
}

/// Puts `file` behind the loop device, with the flags of loop(4).
pub fn loop_configure(device: impl AsFd, file: impl AsFd, flags: u32) -> Result<()> {
    let config = LoopConfig {
        fd: file.as_fd().as_raw_fd() as u32,
        block_size: 0,
        before_flags: [0; 5],
        numbers: [0; 3],
        flags,
        names: [0; 160],
        init: [0; 2],
        reserved: [0; 8],
    };
    // SAFETY: the structure is laid out as the kernel's `loop_config` (its size is asserted above) and outlives the call.
    checked(unsafe { libc::ioctl(device.as_fd().as_raw_fd(), LOOP_CONFIGURE as _, &raw const config) }).map(drop)
}

/// Lets go of the file behind the loop device, now or with its last user.
pub fn loop_clear(device: impl AsFd) -> Result<()> {
    // SAFETY: this request takes no argument.
    checked(unsafe { libc::ioctl(device.as_fd().as_raw_fd(), LOOP_CLR_FD as _) }).map(drop)
}

/// Whether the kernel knows a system call at all, asked with arguments that it must refuse.
pub fn knows(call: Call) -> bool {
    const BAD: libc::c_long = -1;
    let null = ptr::null::<u8>();
    // SAFETY: null pointers and bad descriptors: every one of these calls refuses them before it does anything.
    let result = unsafe {
        match call {
            Call::Clone3 => libc::syscall(SYS_CLONE3, null, 0),
            Call::Openat2 => libc::syscall(SYS_OPENAT2, BAD, null, null, 0),
            Call::CloseRange => libc::syscall(SYS_CLOSE_RANGE, 2, 1, 0),
            Call::MountSetattr => libc::syscall(SYS_MOUNT_SETATTR, BAD, null, 0, null, 0),
            Call::Fsopen => libc::syscall(SYS_FSOPEN, null, 0),
            Call::PidfdSendSignal => libc::syscall(SYS_PIDFD_SEND_SIGNAL, BAD, 0, null, 0),
        }
    };
    result != -1 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

/// The system calls that not every kernel in use has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// clone3(2), Linux 5.3.
    Clone3,
    /// openat2(2), Linux 5.6.
    Openat2,
    /// close_range(2), Linux 5.9 (its flag: 5.11).
    CloseRange,
    /// mount_setattr(2), Linux 5.12.
    MountSetattr,
    /// fsopen(2) and its family, Linux 5.2.
    Fsopen,
    /// pidfd_send_signal(2), Linux 5.1.
    PidfdSendSignal,
}
