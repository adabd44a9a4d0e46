//! Between the console's parties, which do no I/O, and descriptors that must never block.

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use smol::Async;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

/// One end of a conversation.
pub trait Party {
    /// Reads, works and writes as far as it goes without waiting. `cx` is woken when more of the work can be done.
    fn turn<S: Read + ReadReady + Write + WriteReady>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Result<Turn, S::Error>;
}

/// What a party waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// For the stream, or for its own work.
    Wait {
        /// There is use for input.
        read: bool,
        /// There is output.
        write: bool,
    },
    /// For nothing: the conversation is over.
    Over,
}

/// Lets a party talk over a descriptor until it is over. `before` is called before each turn.
pub async fn converse<P: Party>(
    fd: &Async<OwnedFd>,
    party: &mut P,
    mut before: impl FnMut(&mut P, &mut Context<'_>),
) -> io::Result<()> {
    let mut stream = FdStream(fd.as_fd());
    poll_fn(|cx| {
        before(party, cx);
        match party.turn(cx, &mut stream) {
            Err(error) => Poll::Ready(Err(error.into())),
            Ok(Turn::Over) => Poll::Ready(Ok(())),
            Ok(Turn::Wait { read, write }) => {
                // A descriptor that is ready already means another turn, after what else the thread has to do.
                let readable = read && fd.poll_readable(cx)?.is_ready();
                let writable = write && fd.poll_writable(cx)?.is_ready();
                if readable || writable {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    })
    .await
}

/// A non-blocking descriptor as an embedded-io stream.
#[derive(Debug)]
pub struct FdStream<'a>(pub BorrowedFd<'a>);

/// An errno as embedded-io wants one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdError(pub Errno);

impl std::fmt::Display for FdError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for FdError {}

impl embedded_io::Error for FdError {
    fn kind(&self) -> embedded_io::ErrorKind {
        match self.0 {
            Errno::PIPE | Errno::CONNRESET => embedded_io::ErrorKind::BrokenPipe,
            Errno::ACCESS | Errno::PERM => embedded_io::ErrorKind::PermissionDenied,
            _ => embedded_io::ErrorKind::Other,
        }
    }
}

impl From<FdError> for io::Error {
    fn from(error: FdError) -> io::Error {
        error.0.into()
    }
}

impl ErrorType for FdStream<'_> {
    type Error = FdError;
}

impl FdStream<'_> {
    fn is_ready(&self, flags: PollFlags) -> Result<bool, FdError> {
        let mut fds = [PollFd::new(&self.0, flags)];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(FdError(errno)),
        }
    }
}

impl ReadReady for FdStream<'_> {
    fn read_ready(&mut self) -> Result<bool, FdError> {
        self.is_ready(PollFlags::IN)
    }
}

impl WriteReady for FdStream<'_> {
    fn write_ready(&mut self) -> Result<bool, FdError> {
        self.is_ready(PollFlags::OUT)
    }
}

impl Read for FdStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FdError> {
        rustix::io::read(self.0, buffer).map_err(FdError)
    }
}

impl Write for FdStream<'_> {
    /// A stream that was ready and is no longer takes nothing.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, FdError> {
        match rustix::io::write(self.0, bytes) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            result => result.map_err(FdError),
        }
    }

    fn flush(&mut self) -> Result<(), FdError> {
        Ok(())
    }
}
