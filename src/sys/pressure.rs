//! What tells that a node runs short: the kernel's word about stalls for memory (PSI), and what is left of memory, disk and processes.

use super::Error;
use super::error::Attempt;
use crate::machine::evict::Level;
use rustix::event::epoll;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::path::Path;

/// Where the kernel tells of stalls for memory.
const MEMORY: &str = "/proc/pressure/memory";
/// Told of stalls of 100 ms within two seconds, of some process: when pages are wanted back as soon as they are taken. Two seconds are
/// what the kernel gives also to those without CAP_SYS_RESOURCE.
const TRIGGER: &[u8] = b"some 100000 2000000\0";

/// Readable when processes have stalled for memory, once in two seconds at most.
pub struct Stalls {
    /// A trigger has urgent data (EPOLLPRI) and no other, which nobody waits for but an epoll of its own.
    epoll: OwnedFd,
    /// The trigger lasts as long as this is open.
    _trigger: OwnedFd,
}

impl Stalls {
    /// Has the kernel tell.
    ///
    /// # Errors
    /// It has no PSI, or is started without (`psi=1`).
    pub fn listen() -> Result<Stalls, Error> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let trigger = rustix::fs::open(MEMORY, flags, Mode::empty()).attempt("open", MEMORY)?;
        rustix::io::write(&trigger, TRIGGER).attempt("set a trigger in", MEMORY)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).attempt("watch", MEMORY)?;
        epoll::add(&epoll, &trigger, epoll::EventData::new_u64(0), epoll::EventFlags::PRI).attempt("watch", MEMORY)?;
        Ok(Stalls { epoll, _trigger: trigger })
    }

    /// Whether it is readable now. To be asked before each wait: a poll takes the news away, and to begin to wait is one.
    pub fn are_told(&self) -> bool {
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut told = [const { core::mem::MaybeUninit::<epoll::Event>::uninit() }; 1];
        epoll::wait(&self.epoll, &mut told, Some(&now)).is_ok_and(|(told, _)| !told.is_empty())
    }
}

impl AsFd for Stalls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Memory, in bytes.
pub fn memory() -> Option<Level> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = |key: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
    };
    Some(Level { available: kib("MemAvailable:")? << 10, capacity: kib("MemTotal:")? << 10 })
}

/// Bytes and files of the file system at `path`. One that makes files as it needs them has no number of them.
pub fn disk(path: &Path) -> [Option<Level>; 2] {
    let Ok(found) = rustix::fs::statvfs(path) else { return [None; 2] };
    let level = |available, capacity| (capacity > 0).then_some(Level { available, capacity });
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    [level(bytes(found.f_bavail), bytes(found.f_blocks)), level(found.f_favail, found.f_files)]
}

/// Processes and threads.
pub fn processes() -> Option<Level> {
    let number = |file: &str| -> Option<u64> { fs::read_to_string(file).ok()?.trim().parse().ok() };
    let most = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
    // 0.00 0.01 0.05 1/123 4567: of 123 one runs.
    let loads = fs::read_to_string("/proc/loadavg").ok()?;
    let all: u64 = loads.split(' ').nth(3)?.split_once('/')?.1.parse().ok()?;
    Some(Level { available: most.saturating_sub(all), capacity: most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spec_97_every_signal_can_be_told_here() {
        let files = disk(Path::new("/proc/self/.."));
        assert_eq!(files, [None; 2], "nothing is written to /proc");
        let levels = [memory(), disk(Path::new("/")).first().copied().flatten(), processes()];
        assert!(
            levels.iter().flatten().filter(|it| 0 < it.available && it.available < it.capacity).count() == 3,
            "{levels:?}"
        );
    }
}
