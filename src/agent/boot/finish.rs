//! The end of a board's run: everything that is left is killed, file systems are written out and let go, then reboot(2).

use super::keeper::Power;
use crate::sys::reap::ChildWatch;
use core::time::Duration;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::sync;
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};
use rustix::process::{Pid, Signal, kill_process};
use rustix::system::{RebootCommand, reboot};
use std::string::{String, ToString};
use std::time::Instant;
use std::vec::Vec;
use std::{fs, thread};

/// How long what was killed may take to be gone. What sits in the kernel longer than that stays (failure F22).
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the board down. Does not return: where reboot(2) fails, it says so and tries again.
pub(super) fn finish(power: Power, children: Option<&ChildWatch>) -> ! {
    sync();
    let left = kill_all(&running, &|| settle(children), PATIENCE);
    if !left.is_empty() {
        log::warn!("{} processes could not be killed", left.len());
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for path in to_unmount(&mounts) {
        let_go(&path);
    }
    sync();
    loop {
        let (word, command) = match power {
            Power::Reboot => ("reboot", RebootCommand::Restart),
            Power::Off => ("power off", RebootCommand::PowerOff),
        };
        log::info!("{word}");
        let result = reboot(command);
        log::error!("{word}: {result:?}; trying again in 10 s");
        thread::sleep(Duration::from_secs(10));
    }
}

/// Kills what `running` finds until it finds nothing more. What is left in the end.
fn kill_all(running: &dyn Fn() -> Vec<Pid>, settle: &dyn Fn(), patience: Duration) -> Vec<Pid> {
    // What a pod forks while it is being killed is killed with it here, and one by one only where there is no cgroup.kill.
    let _ = fs::write("/sys/fs/cgroup/podling/cgroup.kill", "1");
    let end = Instant::now() + patience;
    loop {
        let left = running();
        if left.is_empty() || Instant::now() >= end {
            return left;
        }
        for pid in left {
            // It may have ended by itself in between.
            let _ = kill_process(pid, Signal::KILL);
        }
        settle();
    }
}

/// Waits for something to end, but not long, and collects it. Orphans are process 1's, so it is told of all of them.
fn settle(children: Option<&ChildWatch>) {
    let Some(children) = children else { return thread::sleep(Duration::from_millis(100)) };
    let bound = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let _ = poll(&mut [PollFd::new(children, PollFlags::IN)], Some(&bound));
    while children.reap(usize::MAX, |_, _| {}) {}
}

/// Every process but this one and the kernel's own, which have no program.
fn running() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_left = |pid: &i32| *pid != 1 && fs::read_link(std::format!("/proc/{pid}/exe")).is_ok();
    numbers.filter(is_left).filter_map(Pid::from_raw).collect()
}

/// The places that a file system is mounted at, the last one first, but those that the kernel makes out of nothing.
fn to_unmount(mountinfo: &str) -> Vec<String> {
    let paths = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(plain);
    let kept = |path: &str| {
        path == "/"
            || ["/dev", "/proc", "/sys"]
                .iter()
                .any(|top| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    let mut paths: Vec<String> = paths.filter(|path| !kept(path)).collect();
    paths.reverse();
    paths
}

/// A path as the kernel wrote it, with `\040` for a blank.
fn plain(written: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(written.to_string(), |path, (code, byte)| path.replace(code, byte))
}

/// Unmounts; what is still busy is written out and made read-only at least.
fn let_go(path: &str) {
    if let Err(errno) = unmount(path, UnmountFlags::NOFOLLOW) {
        let read_only = mount_remount(path, MountFlags::RDONLY, c"");
        if read_only.is_err() {
            log::warn!("unmount {path}: {errno}; it is written out and left as it is");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mount_goes_first_and_the_kernels_own_stay() {
        let mountinfo = "\
21 1 0:2 / / rw - rootfs rootfs rw
22 21 0:5 / /dev rw - devtmpfs devtmpfs rw
23 22 0:6 / /dev/pts rw - devpts devpts rw
24 21 0:7 / /proc rw - proc proc rw
25 21 254:2 / /data rw shared:1 - ext4 /dev/vda2 rw
26 21 0:8 / /run rw - tmpfs tmpfs rw
27 26 7:0 / /run/podling/a\\040b ro - squashfs /dev/loop0 ro
28 21 0:9 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
29 21 0:9 / /system rw - tmpfs tmpfs rw
";
        assert_eq!(to_unmount(mountinfo), ["/system", "/run/podling/a b", "/run", "/data"]);
    }

    #[test]
    fn killing_goes_on_until_nothing_is_left() {
        let child = std::cell::RefCell::new(std::process::Command::new("sleep").arg("1000").spawn().unwrap());
        let pid = Pid::from_child(&child.borrow());
        let there = || if rustix::process::test_kill_process(pid).is_ok() { Vec::from([pid]) } else { Vec::new() };
        let reap = || drop(child.borrow_mut().wait());
        assert!(kill_all(&there, &reap, Duration::from_secs(20)).is_empty());
        assert_eq!(kill_all(&|| Vec::from([pid]), &reap, Duration::ZERO), [pid], "what stays is named");
    }
}
