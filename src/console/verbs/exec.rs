//! `exec`: a program in a container, its output passed on as it comes, its exit code as ours.

use super::{Done, Failure, Io, container_of, refused, terminal_for};
use crate::agent::Streams;
use crate::console::board::{Board, Program};
use crate::console::grammar::Exec;
use crate::console::terminal::{Keys, Terminal};
use crate::console::wire::Kind;
use crate::manifest::status::{Exit, Message};
use crate::sys::tty;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use smol::Async;
use smol::future::{or, zip};
use std::cell::{Cell, RefCell};
use std::format;
use std::future::poll_fn;
use std::io;
use std::prelude::v1::*;
use std::task::{Poll, Waker};

/// Bytes read from the program at once.
const PIECE: usize = 1024;
/// Bytes that a pipe holds.
const PIPE: usize = 64 * 1024;

/// Standard input on its way to the program: one piece at a time, each asked for when the one before has been read.
#[derive(Default)]
pub struct Stdin {
    bytes: RefCell<Vec<u8>>,
    ended: Cell<bool>,
    wanted: Cell<bool>,
    reader: Cell<Option<Waker>>,
}

impl Stdin {
    /// Whether a piece is wanted that has not been asked for; asking is up to the caller.
    pub fn ask(&self) -> bool {
        self.wanted.take()
    }

    /// The piece that was asked for.
    pub fn put(&self, bytes: &[u8]) {
        self.bytes.replace(bytes.to_vec());
        self.wake();
    }

    /// There is no more.
    pub fn end(&self) {
        self.ended.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// The next piece; empty at the end.
    async fn take(&self) -> Vec<u8> {
        self.wanted.set(!self.ended.get());
        poll_fn(|cx| {
            let bytes = self.bytes.take();
            if !bytes.is_empty() || self.ended.get() {
                return Poll::Ready(bytes);
            }
            self.reader.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

pub(super) async fn exec(board: &dyn Board, exec: &Exec, io: &Io) -> Done {
    let container = container_of(board, &exec.target, io).await?;
    // As with kubectl, a terminal that nobody types at is none.
    let terminal = if exec.tty && exec.stdin { terminal_for(io).await } else { None };
    // One of the two takes place: on the heap, so that there is no room for both in each that waits.
    let ended = match terminal {
        Some(terminal) => Box::pin(on_terminal(board, exec, &container, &terminal, io)).await?,
        None => Box::pin(on_pipes(board, exec, &container, io)).await?,
    };
    match ended {
        Ok(exit) if exit.success() => Ok(0),
        Ok(exit) => {
            io.err(&format!("command terminated with exit code {}\n", exit.code)).await;
            Ok(exit.code)
        }
        Err(why) => Err(Failure(format!("error: exec failed: {why}"))),
    }
}

/// How a program ended, or why it was not executed.
type Ended = Result<Exit, Message>;

fn failed(what: &str, error: impl Into<io::Error>) -> Failure {
    Failure(format!("error: exec: {what}: {}", error.into()))
}

/// On a terminal of the container's, which is the caller's as long as the program runs. Whoever leaves it by its keys ends it: the
/// line hangs up.
async fn on_terminal(
    board: &dyn Board,
    exec: &Exec,
    container: &str,
    terminal: &Terminal,
    io: &Io,
) -> Result<Ended, Failure> {
    let Program { terminal: opened, ended } = start(board, exec, container, Streams::Terminal(terminal.size()))?;
    let Some(opened) = opened.await else { return Ok(ended.await) };
    let fd = Async::new(opened).map_err(|e| failed("prepare a terminal", e))?;
    let lent = io.outbox.lend();
    let over = Cell::new(false);
    let ended = async {
        let result = ended.await;
        over.set(true);
        result
    };
    let run = async { zip(ended, pass_out(&fd, Kind::Out, &over, io)).await.0 };
    let leave = async {
        typed(io, &fd, terminal).await;
        Ok(Exit::OK)
    };
    let result = or(leave, run).await;
    drop(lent);
    Ok(result)
}

/// Passes on what is typed, and every new size, until the keys are typed that leave.
pub(super) async fn typed(io: &Io, fd: &Async<OwnedFd>, terminal: &Terminal) {
    let mut keys = Keys::default();
    let sizes = async {
        loop {
            let _ = tty::resize(fd, terminal.resized().await);
        }
    };
    let keys = async {
        match &io.stdin {
            Some(queue) if matches!(pass_in(queue, fd, Some(&mut keys)).await, Ok(true)) => {}
            // Nothing more is typed; what is said is still heard.
            _ => std::future::pending().await,
        }
    };
    or(keys, sizes).await;
}

fn start(board: &dyn Board, exec: &Exec, container: &str, streams: Streams) -> Result<Program, Failure> {
    let target = &exec.target;
    let argv: Vec<&str> = exec.argv.iter().map(String::as_str).collect();
    board.exec(&target.namespace, &target.pod, container, &argv, streams).map_err(|refusal| refused(refusal, target))
}

/// Its output passed on as it comes.
async fn on_pipes(board: &dyn Board, exec: &Exec, container: &str, io: &Io) -> Result<Ended, Failure> {
    let stdin = io.stdin.as_ref().filter(|_| exec.stdin);
    let (their_in, our_in) = match stdin {
        Some(_) => {
            let (read, write) = pipe().map_err(|e| failed("make a pipe", e))?;
            (read, Some(Async::new(write).map_err(|e| failed("prepare a pipe", e))?))
        }
        None => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            (rustix::fs::open("/dev/null", flags, Mode::empty()).map_err(|e| failed("open /dev/null", e))?, None)
        }
    };
    let (our_out, their_out) = pipe().map_err(|e| failed("make a pipe", e))?;
    let (our_err, their_err) = pipe().map_err(|e| failed("make a pipe", e))?;
    let out = Async::new(our_out).map_err(|e| failed("prepare a pipe", e))?;
    let err = Async::new(our_err).map_err(|e| failed("prepare a pipe", e))?;
    let ended = start(board, exec, container, Streams::Files([their_in, their_out, their_err]))?.ended;
    let over = Cell::new(false);
    let ended = async {
        let result = ended.await;
        over.set(true);
        result
    };
    let relay = zip(pass_out(&out, Kind::Out, &over, io), pass_out(&err, Kind::Err, &over, io));
    let feed = async {
        if let (Some(queue), Some(fd)) = (stdin, our_in) {
            // Letting go of it tells the program that there is no more.
            let _ = pass_in(queue, &fd, None).await;
            drop(fd);
        }
        std::future::pending().await
    };
    let (result, _) = or(feed, zip(ended, relay)).await;
    Ok(result)
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    pipe_with(PipeFlags::CLOEXEC)
}

/// Passes on what the program writes, until nobody writes any more, or it is over and what it wrote has been read: after its
/// end no more than a pipe holds, since its children may go on writing for ever.
async fn pass_out(fd: &Async<OwnedFd>, kind: Kind, over: &Cell<bool>, io: &Io) {
    let mut bytes = [0; PIECE];
    let mut left = PIPE / PIECE;
    while left > 0 {
        let count = poll_fn(|cx| {
            loop {
                match read(fd, &mut bytes) {
                    Ok(count) => return Poll::Ready(count),
                    Err(Errno::AGAIN) if !over.get() => match fd.poll_readable(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(0),
                        Poll::Pending => return Poll::Pending,
                    },
                    Err(_) => return Poll::Ready(0),
                }
            }
        });
        match count.await {
            0 => return,
            count => io.outbox.write(kind, &bytes[..count]).await,
        }
        left -= usize::from(over.get());
    }
}

/// Passes on what comes in, until it ends, or nobody reads it any more (an error), or the keys are typed that leave (`true`).
pub(super) async fn pass_in(queue: &Stdin, fd: &Async<OwnedFd>, mut keys: Option<&mut Keys>) -> io::Result<bool> {
    loop {
        let mut bytes = queue.take().await;
        if bytes.is_empty() {
            return Ok(false);
        }
        let mut left = false;
        if let Some(keys) = &mut keys {
            (bytes, left) = keys.pass(&bytes);
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let count = fd.write_with(|fd| Ok(write(fd, rest)?)).await?;
            rest = &rest[count..];
        }
        if left {
            return Ok(true);
        }
    }
}
