//! New processes: clone3, and the two ways on from it.
//!
//! [`spawn_exec`] is for a program with threads: between clone and exec its child makes raw system calls on data prepared before,
//! and nothing else. [`fork_child`] is for one without: its child may run ordinary code.
#![allow(unsafe_code, reason = "clone3 and the code that runs in its child; every block says why it is sound")]

use super::namespace::Namespaces;
use super::raw::{CLOSE_RANGE_CLOEXEC, KernelAction, SIGSET, SYS_CLONE3, SYS_CLOSE_RANGE};
use super::{Error, mount};
use crate::manifest::limits::POD_IDS;
use core::ffi::CStr;
use core::ptr;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::format;
use std::vec::Vec;

/// `struct clone_args` of clone3(2), as long as CLONE_INTO_CGROUP needs it.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The cgroup of a new process.
#[derive(Clone, Copy, Debug)]
pub enum Cgroup<'a> {
    /// Its parent's.
    Inherit,
    /// A directory of cgroup v2, entered at birth.
    Into(BorrowedFd<'a>),
    /// `cgroup.procs` files (v1), joined by the child as its first act.
    Join(&'a [OwnedFd]),
}

impl Cgroup<'_> {
    /// Writes this process into each `cgroup.procs` of [`Cgroup::Join`]; the others need nothing done.
    pub fn join(&self) -> rustix::io::Result<()> {
        let Cgroup::Join(files) = self else { return Ok(()) };
        files.iter().try_for_each(|file| rustix::io::write(file, b"0").map(drop))
    }
}

/// A child process.
#[derive(Debug)]
pub struct Child {
    /// Its number, in the caller's PID namespace.
    pub pid: Pid,
    /// The same, as a descriptor that never comes to mean another process.
    pub pidfd: OwnedFd,
}

/// clone3 without a shared address space. `None` in the child.
///
/// # Safety
/// Where the process has other threads, the child must do nothing but async-signal-safe things until it executes or exits: their
/// locks may be held for good.
unsafe fn clone(namespaces: Namespaces, cgroup: Cgroup<'_>) -> rustix::io::Result<Option<Child>> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: libc::CLONE_PIDFD as u64 | CLONE_CLEAR_SIGHAND | namespaces.bits(),
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Cgroup::Into(directory) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = directory.as_raw_fd() as u64;
    }
    // SAFETY: the structure is as long as it is said to be, and `pidfd` outlives the call. Without CLONE_VM the child goes on with a
    // copy of this stack, as after fork(2).
    let pid = unsafe { libc::syscall(SYS_CLONE3, &raw const args, size_of::<CloneArgs>()) };
    match pid {
        -1 => Err(Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))),
        0 => Ok(None),
        pid => {
            // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = Pid::from_raw(pid as i32).ok_or(Errno::SRCH)?;
            Ok(Some(Child { pid, pidfd }))
        }
    }
}

/// Proof that this process has one thread, so that a clone of it may run ordinary code.
#[derive(Debug)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Counts the threads. The caller promises by its design to start none later.
    pub fn prove() -> Result<SingleThreaded, Error> {
        let tasks = std::fs::read_dir("/proc/self/task").map(Iterator::count);
        match tasks {
            Ok(1) => Ok(SingleThreaded(())),
            _ => Err(Error::new("prove single-threaded", "/proc/self/task", Errno::BUSY)),
        }
    }
}

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Fork {
    /// The new process. It must end in exec or [`exit_now`](super::raw::exit_now), and never return to the parent's own business.
    Child,
    /// The old process.
    Parent(Child),
}

/// Makes a copy of this process that may run ordinary code: with one thread, no lock can be held and no state be half-changed.
pub fn fork_child(_: &SingleThreaded, namespaces: Namespaces, cgroup: Cgroup<'_>) -> rustix::io::Result<Fork> {
    // SAFETY: there are no other threads: `SingleThreaded` is the proof.
    let child = unsafe { clone(namespaces, cgroup) }?;
    Ok(child.map_or(Fork::Child, Fork::Parent))
}

/// A program to execute in a new process.
#[derive(Debug)]
pub struct Program<'a> {
    /// The file.
    pub file: BorrowedFd<'a>,
    /// Its arguments, the first one its name.
    pub argv: &'a [&'a CStr],
    /// Its environment.
    pub env: &'a [&'a CStr],
    /// The descriptors that it gets, from 0 up; no others.
    pub descriptors: &'a [BorrowedFd<'a>],
    /// The namespaces of its own.
    pub namespaces: Namespaces,
    /// Its cgroup.
    pub cgroup: Cgroup<'a>,
    /// Its users where it has its own: the first of [`POD_IDS`] of the node's, and it is the root of them.
    pub users: Option<u32>,
}

/// This program's own file, as [`program`].
pub fn own_program() -> Result<OwnedFd, Error> {
    program("/proc/self/exe")
}

/// A program's file to execute, read-only for good: through what is executed nobody can write to the file, not even as root by
/// `/proc/PID/exe` (CVE-2019-5736). It shares the page cache with the original, so it costs no memory.
pub fn program(path: &str) -> Result<OwnedFd, Error> {
    let program = mount::clone_tree(rustix::fs::CWD, path, false)?;
    mount::read_only(&program, false).map_err(|errno| Error::new("make read-only", path, errno))?;
    Ok(program)
}

/// Where descriptors wait in the child until they are put in their places.
const PARKED: RawFd = 64;

/// Starts a program. Returns once it has been executed, or has failed to be.
///
/// # Errors
/// `what` is `clone`, `join cgroup`, `place descriptors` or `execute`. Then there is no child any more.
pub fn spawn_exec(program: &Program<'_>) -> Result<Child, Error> {
    let name = program.argv.first().map_or("", |name| name.to_str().unwrap_or_default());
    let fail = |what, errno| Error::new(what, name, errno);
    let park =
        |fd: BorrowedFd<'_>| fcntl_dupfd_cloexec(fd, PARKED).map_err(|errno| fail("duplicate descriptors for", errno));

    let (result, writing) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| fail("make a pipe for", errno))?;
    let told = park(writing.as_fd())?;
    // Or the end of the pipe would never be seen.
    drop(writing);
    let file = park(program.file)?;
    let go = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| fail("make a pipe for", errno))?;
    let wait = program.users.map(|_| [go.0.as_raw_fd(), go.1.as_raw_fd()]);
    let held = program.descriptors.iter().map(|fd| park(*fd)).collect::<Result<Vec<OwnedFd>, Error>>()?;
    let parked: Vec<RawFd> = held.iter().map(AsRawFd::as_raw_fd).collect();
    let argv: Vec<*const libc::c_char> = program.argv.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
    let env: Vec<*const libc::c_char> = program.env.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
    let prepared = Prepared {
        file: file.as_raw_fd(),
        told: told.as_raw_fd(),
        parked: &parked,
        join: program.cgroup,
        wait,
        argv: &argv,
        env: &env,
    };

    let namespaces = program.namespaces.and(Namespaces::USERS.only_if(program.users.is_some()));
    // SAFETY: the child does nothing but `Prepared::execute`, which makes system calls on prepared data and never returns.
    let child = match unsafe { clone(namespaces, program.cgroup) } {
        Err(errno) => return Err(fail("clone", errno)),
        // SAFETY: this is the child, and what `Prepared` points to is a copy that lives as long as it does.
        Ok(None) => unsafe { prepared.execute() },
        Ok(Some(child)) => child,
    };
    drop(told);
    let mapped = program.users.map_or(Ok(()), |first| map_users(&child, first));
    // Without its users the child waits in vain, and ends with the pipe.
    if mapped.is_ok() && program.users.is_some() {
        let _ = rustix::io::write(&go.1, &[1]);
    }
    drop(go);
    let mut failure = [0; 8];
    match rustix::io::retry_on_intr(|| rustix::io::read(&result, &mut failure)) {
        Ok(8) => {
            let [s0, s1, s2, s3, e0, e1, e2, e3] = failure;
            let what = match i32::from_ne_bytes([s0, s1, s2, s3]) {
                CHILD_CGROUP => "join cgroup for",
                CHILD_USERS => "give users of its own to",
                CHILD_DESCRIPTORS => "place descriptors for",
                _ => "execute",
            };
            let _ = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED));
            Err(fail(what, Errno::from_raw_os_error(i32::from_ne_bytes([e0, e1, e2, e3]))))
        }
        _ => Ok(child),
    }
}

const CHILD_CGROUP: i32 = 1;
const CHILD_DESCRIPTORS: i32 = 2;
const CHILD_EXEC: i32 = 3;
const CHILD_USERS: i32 = 4;

/// Gives a new user namespace its users and groups.
fn map_users(child: &Child, first: u32) -> std::io::Result<()> {
    let map = format!("0 {first} {POD_IDS}");
    let pid = child.pid.as_raw_nonzero();
    ["uid_map", "gid_map"].iter().try_for_each(|file| std::fs::write(format!("/proc/{pid}/{file}"), &map))
}

/// Everything that the child of a threaded process needs, made before it is born.
struct Prepared<'a> {
    file: RawFd,
    told: RawFd,
    parked: &'a [RawFd],
    join: Cgroup<'a>,
    wait: Option<[RawFd; 2]>,
    argv: &'a [*const libc::c_char],
    env: &'a [*const libc::c_char],
}

impl Prepared<'_> {
    /// The child's whole life: only system calls, no allocation, no panic, no lock.
    ///
    /// # Safety
    /// To be called in a new process only; `argv` and `env` point to C strings and end in null.
    unsafe fn execute(&self) -> ! {
        if let Cgroup::Join(files) = self.join {
            for file in files {
                // SAFETY: a system call on one prepared byte.
                if unsafe { libc::syscall(libc::SYS_write, file.as_raw_fd(), c"0".as_ptr(), 1_usize) } == -1 {
                    self.fail(CHILD_CGROUP);
                }
            }
        }
        if let Some([go, held]) = self.wait {
            let mut word = 0_u8;
            // SAFETY: system calls on descriptors, on one byte of this stack, and on numbers. The pipe's other end is closed here, so
            // that it ends with the parent. 0 is the same user for the calls of 16 and of 32 bits.
            let ready = unsafe {
                libc::syscall(libc::SYS_close, held);
                libc::syscall(libc::SYS_read, go, &raw mut word, 1_usize) == 1
                    && libc::syscall(libc::SYS_setresgid, 0, 0, 0) == 0
                    && libc::syscall(libc::SYS_setgroups, 0_usize, ptr::null::<u32>()) == 0
                    && libc::syscall(libc::SYS_setresuid, 0, 0, 0) == 0
            };
            if !ready {
                self.fail(CHILD_USERS);
            }
        }
        let mut place: RawFd = 0;
        for fd in self.parked {
            // SAFETY: descriptors only; the parked ones lie above all places, so that none is overwritten before its turn.
            if unsafe { libc::syscall(libc::SYS_dup3, *fd, place, 0) } == -1 {
                self.fail(CHILD_DESCRIPTORS);
            }
            place = place.saturating_add(1);
        }
        // SAFETY: only flags of descriptors change. The result pipe stays usable until exec closes it.
        if unsafe { libc::syscall(SYS_CLOSE_RANGE, place, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) } == -1 {
            self.fail(CHILD_DESCRIPTORS);
        }
        let (none, default) = (0_u64, KernelAction([0; 4], 0));
        for signal in 1..=64 {
            // SAFETY: a prepared structure of zeroes, at least as long as the kernel's.
            unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, ptr::null::<u64>(), SIGSET) };
        }
        // SAFETY: a prepared set, as long as it is said to be. Then the file, with C strings in arrays that end in null.
        unsafe {
            libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, ptr::null::<u64>(), SIGSET);
            libc::syscall(
                libc::SYS_execveat,
                self.file,
                c"".as_ptr(),
                self.argv.as_ptr(),
                self.env.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        self.fail(CHILD_EXEC)
    }

    /// Tells the parent which step failed with the current errno, and is over.
    fn fail(&self, step: i32) -> ! {
        // SAFETY: errno is this thread's own.
        let told = [step, unsafe { *libc::__errno_location() }];
        // SAFETY: the array is as long as it is said to be; _exit takes nothing and never returns.
        unsafe {
            libc::syscall(libc::SYS_write, self.told, &raw const told, size_of_val(&told));
            libc::_exit(127)
        }
    }
}

/// Sends a signal to a process by its descriptor.
pub fn signal(pidfd: impl AsFd, signal: Signal) -> rustix::io::Result<()> {
    pidfd_send_signal(pidfd, signal)
}

/// `/dev/null`, for the descriptors 0, 1 and 2 of a program.
pub fn null() -> Result<OwnedFd, Error> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::new("open", "/dev/null", errno))
}
