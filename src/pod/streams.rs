//! The standard streams of a container: pipes, or a terminal of its own; and what of them whoever attaches is handed.

use super::steps::{Broken, On};
use super::wire::Start;
use crate::manifest::terminal::{Size, Stdin};
use crate::sys::tty;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Gid, Uid, fchown};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// The container's side.
#[derive(Debug)]
pub enum Theirs {
    /// Pipes; without standard input it reads /dev/null.
    Pipes {
        /// Standard input.
        input: Option<OwnedFd>,
        /// Standard output.
        output: OwnedFd,
        /// Standard error.
        error: OwnedFd,
    },
    /// A terminal for all three.
    Terminal(OwnedFd),
}

/// What of a container's input is left to be handed out.
#[derive(Debug, Default)]
pub enum Input {
    /// Nothing: there was none, or the only one who may have it has it.
    #[default]
    None,
    /// A pipe that stays open here.
    Kept(OwnedFd),
    /// A pipe that goes with the first who attaches: when that one lets go of it, the container reads its end.
    Once(OwnedFd),
    /// The container's side of its terminal. Held open, it stays a terminal whatever the container closes.
    Terminal(OwnedFd),
}

/// pod-init's side.
#[derive(Debug)]
pub struct Ours {
    /// What is to be drained, non-blocking. A terminal has one output only.
    pub output: [Option<OwnedFd>; 2],
    /// What is to be handed out.
    pub input: Input,
}

/// Both sides of the streams that `start` asks for; a terminal is one of `terminals`, an instance of devpts.
pub fn make(start: &Start<'_>, terminals: BorrowedFd<'_>) -> rustix::io::Result<(Theirs, Ours)> {
    if start.tty {
        let pty = tty::open(terminals, Size::default())?;
        let held = pty.slave.try_clone().map_err(|error| errno(&error))?;
        let ours = Ours { output: [Some(pty.master), None], input: Input::Terminal(held) };
        return Ok((Theirs::Terminal(pty.slave), ours));
    }
    let pipe = || pipe_with(PipeFlags::CLOEXEC);
    let ((out, write_out), (err, write_err)) = (pipe()?, pipe()?);
    for end in [&out, &err] {
        rustix::io::ioctl_fionbio(end, true)?;
    }
    let (input, held) = match start.stdin {
        Stdin::None => (None, Input::None),
        Stdin::Kept => pipe().map(|(read, write)| (Some(read), Input::Kept(write)))?,
        Stdin::Once => pipe().map(|(read, write)| (Some(read), Input::Once(write)))?,
    };
    let theirs = Theirs::Pipes { input, output: write_out, error: write_err };
    Ok((theirs, Ours { output: [Some(out), Some(err)], input: held }))
}

fn errno(error: &std::io::Error) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO)
}

impl Theirs {
    /// They belong to that user: only so may a program open /dev/stdout or its terminal anew.
    pub fn give(&self, uid: Uid, gid: Gid) -> Result<(), Broken> {
        match self {
            Theirs::Pipes { input, output, error } => [input.as_ref(), Some(output), Some(error)]
                .into_iter()
                .flatten()
                .try_for_each(|end| fchown(end, Some(uid), Some(gid)))
                .on("standard streams"),
            // Its group stays `tty`.
            Theirs::Terminal(slave) => fchown(slave, Some(uid), None).on("terminal"),
        }
    }

    /// The same as descriptors.
    pub fn stdio<'a>(&'a self, null: BorrowedFd<'a>) -> Stdio<'a> {
        match self {
            Theirs::Pipes { input, output, error } => {
                let input = input.as_ref().map_or(null, AsFd::as_fd);
                Stdio::Files([input, output.as_fd(), error.as_fd()])
            }
            Theirs::Terminal(slave) => Stdio::Terminal(slave.as_fd()),
        }
    }
}

/// What becomes standard input, output and error of a program.
#[derive(Clone, Copy, Debug)]
pub enum Stdio<'a> {
    /// Each by itself.
    Files([BorrowedFd<'a>; 3]),
    /// A terminal, which also becomes the controlling one of the program's session.
    Terminal(BorrowedFd<'a>),
}

impl Stdio<'_> {
    /// Makes this process the first of a session, on these streams.
    pub fn take(self) -> Result<(), Broken> {
        let _ = setsid();
        let [input, output, error] = match self {
            Stdio::Files(files) => files,
            Stdio::Terminal(slave) => {
                ioctl_tiocsctty(slave).on("controlling terminal")?;
                [slave; 3]
            }
        };
        dup2_stdin(input).on("standard input")?;
        dup2_stdout(output).on("standard output")?;
        dup2_stderr(error).on("standard error")
    }
}
