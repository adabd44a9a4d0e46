//! What pod-init waits for: descriptors, each registered under the thing that it is about.

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Result;
use std::time::Duration;

/// What a descriptor that is ready is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Some child has ended.
    Children,
    /// Somebody connects.
    Listener,
    /// An order, or the end of the connection.
    Connection,
    /// The start of this container's program.
    Launch(usize),
    /// Output of this container on this of its streams.
    Output(usize, usize),
    /// The start of this executed program.
    Execution(u32),
}

impl Source {
    fn token(self) -> EventData {
        let (kind, a, b) = match self {
            Source::Children => (0, 0, 0),
            Source::Listener => (1, 0, 0),
            Source::Connection => (2, 0, 0),
            Source::Launch(slot) => (3, slot as u64, 0),
            Source::Output(slot, stream) => (4, slot as u64, stream as u64),
            Source::Execution(id) => (5, u64::from(id), 0),
        };
        EventData::new_u64(kind << 48 | b << 32 | a)
    }

    fn from_token(token: u64) -> Source {
        let a = token & 0xffff_ffff;
        match token >> 48 {
            0 => Source::Children,
            1 => Source::Listener,
            2 => Source::Connection,
            3 => Source::Launch(a as usize),
            4 => Source::Output(a as usize, (token >> 32 & 0xffff) as usize),
            _ => Source::Execution(a as u32),
        }
    }
}

/// The set of descriptors waited for.
#[derive(Debug)]
pub struct Poller(OwnedFd);

/// The most sources handed out by one wait.
pub const AT_ONCE: usize = 16;

impl Poller {
    /// An empty set.
    pub fn new() -> Result<Poller> {
        epoll::create(CreateFlags::CLOEXEC).map(Poller)
    }

    /// Waits for `fd` to be readable or at its end.
    pub fn add(&self, fd: impl AsFd, source: Source) {
        // It fails for want of kernel memory only; then this pod does not work, and its agent sees that and ends it.
        let _ = epoll::add(&self.0, fd, source.token(), EventFlags::IN);
    }

    /// Waits for it no longer. Closing alone is not enough: a child on its way to exec may hold a copy.
    pub fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.0, fd);
    }

    /// What is ready; sleeps until something is, at the most so long where that is bounded.
    pub fn wait(&self, at_most: Option<Duration>) -> heapless::Vec<Source, AT_ONCE> {
        let mut events = [const { core::mem::MaybeUninit::<Event>::uninit() }; AT_ONCE];
        let at_most = at_most.and_then(|time| Timespec::try_from(time).ok());
        match epoll::wait(&self.0, &mut events, at_most.as_ref()) {
            Ok((ready, _)) => ready.iter().map(|event| Source::from_token({ event.data }.u64())).collect(),
            Err(_) => heapless::Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_survive_the_kernel() {
        for source in [
            Source::Children,
            Source::Listener,
            Source::Connection,
            Source::Launch(15),
            Source::Output(15, 1),
            Source::Execution(u32::MAX),
        ] {
            assert_eq!(Source::from_token(source.token().u64()), source);
        }
    }
}
