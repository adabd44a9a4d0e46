//! Ended children: told of by a descriptor, collected a bounded number at a time.

use super::raw;
use crate::manifest::status::Exit;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Result;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

/// Tells that some child has ended. All signals of the process are blocked from here on.
#[derive(Debug)]
pub struct ChildWatch {
    signals: OwnedFd,
}

impl ChildWatch {
    /// Blocks all signals of this (single-threaded) process and watches for ended children.
    pub fn new() -> Result<ChildWatch> {
        raw::mask_signals(true)?;
        Ok(ChildWatch { signals: raw::signal_fd(libc::SIGCHLD)? })
    }

    /// Hands each ended child to `ended`, `most` at once. Whether there may be more: then come again before sleeping.
    pub fn reap(&self, most: usize, mut ended: impl FnMut(Pid, Exit)) -> bool {
        let mut signal = [0; 128];
        // Emptied first: a child that ends while the loop below runs is told of again.
        while rustix::io::read(&self.signals, &mut signal).is_ok() {}
        for _ in 0..most {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => ended(pid, exit(status)),
                _ => return false,
            }
        }
        true
    }
}

impl AsFd for ChildWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

/// How a process ended, in the words of spec 41.
pub fn exit(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit { code: code as u8, ..Exit::OK },
        (None, Some(signal)) => Exit::by_signal(signal as u8),
        (None, None) => Exit::UNKNOWN,
    }
}
