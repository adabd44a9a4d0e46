//! The terminal of `podlingd exec -it` and its like while a program in a container has it: raw, and given back on every way out.

use crate::manifest::terminal::Size;
use crate::sys::{raw, tty};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result, read};
use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

/// The signals that end a program from outside.
const ENDING: [i32; 4] = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT];

/// The size of the terminal that standard input is; `None` where it is none.
pub(super) fn size() -> Option<Size> {
    isatty(stdin()).then(|| tty::size(stdin()).unwrap_or_default())
}

/// Standard input as a raw terminal. Dropping this makes it what it was before.
#[derive(Debug)]
pub(super) struct Raw {
    before: Termios,
    resized: OwnedFd,
    ending: [(i32, OwnedFd); 4],
}

impl Raw {
    /// Makes it raw. Signals no longer end this process by themselves: [`Raw::ended_by`] tells of them.
    pub(super) fn enter() -> Result<Raw> {
        let before = tcgetattr(stdin())?;
        raw::mask_signals(true)?;
        let watch = |signal| raw::signal_fd(signal).map(|fd| (signal, fd));
        let ending = [watch(ENDING[0])?, watch(ENDING[1])?, watch(ENDING[2])?, watch(ENDING[3])?];
        let mut settings = before.clone();
        settings.make_raw();
        let raw = Raw { before, resized: raw::signal_fd(libc::SIGWINCH)?, ending };
        tcsetattr(stdin(), OptionalActions::Now, &settings)?;
        Ok(raw)
    }

    /// What becomes readable when there is something to ask here.
    pub(super) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ending.iter().map(|(_, fd)| fd.as_fd()).chain([self.resized.as_fd()])
    }

    /// The signal that is to end this process, if one has come.
    pub(super) fn ended_by(&self) -> Option<i32> {
        self.ending.iter().find(|(_, fd)| has_come(fd)).map(|(signal, _)| *signal)
    }

    /// Whether the terminal may have another size since the last time.
    pub(super) fn is_resized(&self) -> bool {
        has_come(&self.resized)
    }
}

fn has_come(signal: &OwnedFd) -> bool {
    read(signal, &mut [0; 128]) != Err(Errno::AGAIN)
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
        let _ = raw::mask_signals(false);
    }
}
