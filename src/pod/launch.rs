//! A process on its way to its program: made by fork, watched by a pipe that closes with exec.

use super::wire::{Failure, Step};
use crate::manifest::codec;
use crate::manifest::status::Exit;
use crate::sys::namespace::Namespaces;
use crate::sys::raw::exit_now;
use crate::sys::spawn::{Cgroup, Child, Fork, SingleThreaded, fork_child};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::format;

/// What the new process tells on its pipe: that exec comes next, or what failed.
type Told = Result<(), Failure>;

/// The parent's side of a new process that has not been seen to execute yet.
#[derive(Debug)]
pub struct Launch {
    /// The process.
    pub child: Child,
    pipe: OwnedFd,
    told: Option<Told>,
}

/// How far a new process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No further than before.
    Underway,
    /// Its program has been executed.
    Executed,
    /// It is ending without that; its end tells why.
    Failing,
}

impl Launch {
    /// Makes a process that runs `body`, which ends in exec or says why it does not.
    pub fn new(
        proof: &SingleThreaded,
        namespaces: Namespaces,
        cgroup: Cgroup<'_>,
        body: impl FnOnce(&Teller) -> Failure,
    ) -> Result<Launch, Failure> {
        let failed = |subject| move |errno: Errno| Failure::new(Step::Clone, errno.raw_os_error(), subject);
        let place = if let Cgroup::Into(_) = cgroup { "(in the container's cgroup)" } else { "(a copy of pod-init)" };
        let (pipe, told) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(failed("(its pipe)"))?;
        match fork_child(proof, namespaces, cgroup).map_err(failed(place))? {
            Fork::Parent(child) => Ok(Launch { child, pipe, told: None }),
            Fork::Child => become_it(Teller(told), body),
        }
    }

    /// Reads what there is on the pipe.
    pub fn progress(&mut self) -> Progress {
        let mut buffer = [0; 512];
        loop {
            match rustix::io::read(&self.pipe, &mut buffer) {
                Ok(0) => return if matches!(self.told, Some(Ok(()))) { Progress::Executed } else { Progress::Failing },
                Ok(n) => {
                    let mut rest = &buffer[..n];
                    while let Ok((told, after)) = postcard::take_from_bytes::<Told>(rest) {
                        self.told = Some(told);
                        rest = after;
                    }
                }
                Err(_) => return Progress::Underway,
            }
        }
    }

    /// The process has ended: how its program did, or why there never was one.
    pub fn ended(mut self, exit: Exit) -> Result<Exit, Failure> {
        match (self.progress(), self.told) {
            (_, Some(Ok(()))) => Ok(exit),
            (_, Some(Err(failure))) => Err(failure),
            (_, None) => Err(Failure::new(Step::Clone, 0, &format!("(it ended early, with exit code {})", exit.code))),
        }
    }
}

/// The new process' whole life. Kept out of line: what it needs of the stack is no part of the parent's.
#[inline(never)]
fn become_it(teller: Teller, body: impl FnOnce(&Teller) -> Failure) -> ! {
    let failure = body(&teller);
    teller.tell(&Err(failure));
    exit_now(127)
}

impl AsFd for Launch {
    /// The pipe: readable when [`Launch::progress`] has something to tell.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// The new process' side.
#[derive(Debug)]
pub struct Teller(OwnedFd);

impl Teller {
    /// Everything is done but exec itself.
    pub fn ready(&self) {
        self.tell(&Ok(()));
    }

    fn tell(&self, told: &Told) {
        let mut buffer = [0; 512];
        if let Some(bytes) = codec::write_to(told, &mut buffer) {
            let _ = rustix::io::write(&self.0, bytes);
        }
    }
}
