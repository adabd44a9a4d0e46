//! `exec`: a program in a container, its output passed on as it comes, its exit code as ours.

use super::{Done, Failure, Io, container_of, refused};
use crate::console::board::Board;
use crate::console::grammar::Exec;
use crate::console::wire::Kind;
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
    let target = &exec.target;
    let container = container_of(board, target, io).await?;
    let failed = |what: &str, error: io::Error| Failure(format!("error: exec: {what}: {error}"));
    let stdin = io.stdin.as_ref().filter(|_| exec.stdin);
    let (their_in, our_in) = match stdin {
        Some(_) => {
            let (read, write) = pipe().map_err(|e| failed("make a pipe", e.into()))?;
            (read, Some(Async::new(write).map_err(|e| failed("prepare a pipe", e))?))
        }
        None => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            (rustix::fs::open("/dev/null", flags, Mode::empty()).map_err(|e| failed("open /dev/null", e.into()))?, None)
        }
    };
    let (our_out, their_out) = pipe().map_err(|e| failed("make a pipe", e.into()))?;
    let (our_err, their_err) = pipe().map_err(|e| failed("make a pipe", e.into()))?;
    let out = Async::new(our_out).map_err(|e| failed("prepare a pipe", e))?;
    let err = Async::new(our_err).map_err(|e| failed("prepare a pipe", e))?;
    let argv: Vec<&str> = exec.argv.iter().map(String::as_str).collect();
    let ended = board
        .exec(&target.namespace, &target.pod, &container, &argv, [their_in, their_out, their_err])
        .map_err(|refusal| refused(refusal, target))?;
    let over = Cell::new(false);
    let ended = async {
        let result = ended.await;
        over.set(true);
        result
    };
    let relay = zip(pass_out(&out, Kind::Out, &over, io), pass_out(&err, Kind::Err, &over, io));
    let feed = async {
        if let (Some(queue), Some(fd)) = (stdin, our_in) {
            let _ = pass_in(queue, fd).await;
        }
        std::future::pending().await
    };
    let (result, _) = or(feed, zip(ended, relay)).await;
    match result {
        Ok(exit) if exit.success() => Ok(0),
        Ok(exit) => {
            io.err(&format!("command terminated with exit code {}\n", exit.code)).await;
            Ok(exit.code)
        }
        Err(why) => Err(Failure(format!("error: exec failed: {why}"))),
    }
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

/// Ends with the input, or when the program does not read any more; dropping the descriptor tells it.
async fn pass_in(queue: &Stdin, fd: Async<OwnedFd>) -> io::Result<()> {
    loop {
        let bytes = queue.take().await;
        if bytes.is_empty() {
            return Ok(());
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let count = fd.write_with(|fd| Ok(write(fd, rest)?)).await?;
            rest = &rest[count..];
        }
    }
}
