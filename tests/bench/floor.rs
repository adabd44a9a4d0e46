//! The floor under `scripts/bench`: the least that starts and ends one pod of isolated containers on this kernel, with no runtime at all.
//!
//! `floor ROOTFS CGROUP N PROGRAM ARGUMENT…`: makes the cgroup2 directory CGROUP, a holder of the pod's PID, network, IPC and UTS namespaces,
//! and N containers in it, each with its own mount namespace, cgroup, read-only root, /dev, /proc, /sys and masks; prints when it began
//! (CLOCK_MONOTONIC); a line on standard input ends the pod by TERM, and it prints when that began and when all was gone. `{n}` in
//! an argument is the container's number. It is compiled alone, by rustc.
use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::io::Read;
use std::os::fd::AsRawFd;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn mount(source: *const c_char, target: *const c_char, kind: *const c_char, flags: c_ulong, data: *const c_void) -> c_int;
    fn umount2(target: *const c_char, flags: c_int) -> c_int;
    fn chdir(path: *const c_char) -> c_int;
    fn mknod(path: *const c_char, mode: u32, device: u64) -> c_int;
    fn prctl(option: c_int, ...) -> c_int;
    fn execv(path: *const c_char, argv: *const *const c_char) -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn setns(fd: c_int, kind: c_int) -> c_int;
    fn pause() -> c_int;
    fn umask(mask: u32) -> u32;
    fn clock_gettime(clock: c_int, time: *mut [i64; 2]) -> c_int;
    fn _exit(code: c_int) -> !;
}

#[cfg(target_arch = "x86_64")]
const PIVOT_ROOT: c_long = 155;
#[cfg(target_arch = "aarch64")]
const PIVOT_ROOT: c_long = 41;
const CLONE3: c_long = 435;
const NEWNS: u64 = 0x2_0000;
const NEWCGROUP: u64 = 0x200_0000;
const NEWUTS: u64 = 0x400_0000;
const NEWIPC: u64 = 0x800_0000;
const NEWPID: u64 = 0x2000_0000;
const NEWNET: u64 = 0x4000_0000;
const PIDFD: u64 = 0x1000;
const INTO_CGROUP: u64 = 0x2_0000_0000;
const RDONLY: c_ulong = 1;
const NOSUID: c_ulong = 2;
const NODEV: c_ulong = 4;
const NOEXEC: c_ulong = 8;
const REMOUNT: c_ulong = 32;
const BIND: c_ulong = 4096;
const REC: c_ulong = 16384;
const PRIVATE: c_ulong = 1 << 18;

/// Says what failed, and stops.
fn check(ok: bool, what: &str) {
    if !ok {
        eprintln!("floor: {what}: {}", std::io::Error::last_os_error());
        unsafe { _exit(1) }
    }
}

fn c(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

fn now() -> i64 {
    let mut time = [0; 2];
    unsafe { clock_gettime(1, &mut time) };
    time[0] * 1_000_000_000 + time[1]
}

/// clone3 without CLONE_VM: 0 in the child.
fn clone3(flags: u64, pidfd: Option<&mut c_int>, cgroup: Option<c_int>) -> c_int {
    let flags = flags | if pidfd.is_some() { PIDFD } else { 0 } | if cgroup.is_some() { INTO_CGROUP } else { 0 };
    let pidfd = pidfd.map_or(0, |fd| fd as *mut c_int as u64);
    let args: [u64; 11] = [flags, pidfd, 0, 0, 17, 0, 0, 0, 0, 0, cgroup.unwrap_or(0) as u64];
    let pid = unsafe { syscall(CLONE3, args.as_ptr(), 88usize) } as c_int;
    check(pid >= 0, "clone3");
    pid
}

fn fs(kind: &str, target: &str, flags: c_ulong, data: &str) {
    let (kind, at, data) = (c(kind), c(target), c(data));
    check(unsafe { mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) } == 0, target);
}

/// A bind mount, made read-only where `flags` say so. Whether it worked.
fn bind(source: &str, target: &str, flags: c_ulong) -> bool {
    let (from, to) = (c(source), c(target));
    let bound = unsafe { mount(from.as_ptr(), to.as_ptr(), std::ptr::null(), BIND | REC, std::ptr::null()) } == 0;
    bound && (flags == 0 || unsafe { mount(std::ptr::null(), to.as_ptr(), std::ptr::null(), REMOUNT | BIND | flags, std::ptr::null()) } == 0)
}

/// All that a container's root needs, and then its program.
fn container(rootfs: &str, program: &[CString]) -> ! {
    let root = c("/");
    check(unsafe { mount(std::ptr::null(), root.as_ptr(), std::ptr::null(), REC | PRIVATE, std::ptr::null()) } == 0, "private");
    check(bind(rootfs, rootfs, RDONLY), rootfs);
    check(unsafe { chdir(c(rootfs).as_ptr()) } == 0, "chdir");
    fs("proc", "proc", NOSUID | NODEV | NOEXEC, "");
    fs("tmpfs", "dev", NOSUID, "mode=755,size=65536k");
    unsafe { umask(0) };
    for (name, major, minor) in [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)] {
        check(unsafe { mknod(c(&format!("dev/{name}")).as_ptr(), 0o20666, major << 8 | minor) } == 0, name);
    }
    for directory in ["dev/pts", "dev/shm", "dev/mqueue"] {
        check(std::fs::create_dir(directory).is_ok(), directory);
    }
    fs("devpts", "dev/pts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=0620");
    fs("tmpfs", "dev/shm", NOSUID | NODEV | NOEXEC, "mode=1777,size=65536k");
    fs("mqueue", "dev/mqueue", NOSUID | NODEV | NOEXEC, "");
    fs("sysfs", "sys", NOSUID | NODEV | NOEXEC | RDONLY, "");
    for (target, link) in [("/proc/self/fd", "dev/fd"), ("pts/ptmx", "dev/ptmx"), ("/proc/self/fd/0", "dev/stdin")] {
        check(std::os::unix::fs::symlink(target, link).is_ok(), link);
    }
    for path in ["bus", "fs", "irq", "sys", "sysrq-trigger"] {
        let path = format!("proc/{path}");
        bind(&path, &path, RDONLY | NOSUID | NODEV | NOEXEC);
    }
    for path in ["proc/acpi", "proc/kcore", "proc/keys", "proc/timer_list", "proc/scsi", "sys/firmware"] {
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => fs("tmpfs", path, RDONLY, ""),
            Ok(_) => check(bind("dev/null", path, 0), path),
            Err(_) => {}
        }
    }
    let dot = c(".");
    check(unsafe { syscall(PIVOT_ROOT, dot.as_ptr(), dot.as_ptr()) } == 0, "pivot_root");
    check(unsafe { umount2(dot.as_ptr(), 2) } == 0, "umount");
    for capability in (0..41).filter(|n| ![5, 10, 29].contains(n)) {
        unsafe { prctl(24, capability as c_ulong, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) };
    }
    let argv: Vec<*const c_char> = program.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
    unsafe { execv(argv[0], argv.as_ptr()) };
    check(false, "execv");
    unreachable!()
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let [_, rootfs, cgroup, count, program @ ..] = words.as_slice() else { panic!("floor ROOTFS CGROUP N PROGRAM ARGUMENT…") };
    let count: usize = count.parse().expect("a number of containers");
    let begin = now();
    check(std::fs::create_dir(cgroup).is_ok(), cgroup);
    let mut holder = -1;
    let holder_pid = clone3(NEWPID | NEWNET | NEWIPC | NEWUTS, Some(&mut holder), None);
    if holder_pid == 0 {
        unsafe { prctl(1, 9 as c_ulong, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) };
        loop {
            unsafe { pause() };
        }
    }
    check(unsafe { setns(holder, (NEWPID | NEWNET | NEWIPC | NEWUTS) as c_int) } == 0, "setns");
    let mut pids = Vec::new();
    for n in 0..count {
        let directory = format!("{cgroup}/c{n}");
        check(std::fs::create_dir(&directory).is_ok(), &directory);
        let fd = std::fs::File::open(&directory).expect("open the cgroup");
        let program: Vec<CString> = program.iter().map(|word| c(&word.replace("{n}", &n.to_string()))).collect();
        match clone3(NEWNS | NEWCGROUP, None, Some(fd.as_raw_fd())) {
            0 => container(rootfs, &program),
            pid => pids.push(pid),
        }
    }
    println!("begin {begin}");
    let _ = std::io::stdin().read(&mut [0; 1]);
    let stop = now();
    for pid in &pids {
        unsafe { kill(*pid, 15) };
    }
    for pid in pids.iter().chain([&holder_pid]) {
        if *pid == holder_pid {
            unsafe { kill(*pid, 9) };
        }
        unsafe { waitpid(*pid, std::ptr::null_mut(), 0) };
    }
    for n in 0..count {
        while std::fs::remove_dir(format!("{cgroup}/c{n}")).is_err() {}
    }
    while std::fs::remove_dir(cgroup).is_err() {}
    println!("stop {stop}\ngone {}", now());
}
