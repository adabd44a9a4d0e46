//! The connection to one pod-init: whole packets of `pod::wire`, orders kept while there is no room for them.

use crate::manifest::limits;
use crate::pod::wire::{self, Order, Report};
use crate::sys::socket::{self, Descriptors, Received};
use crate::sys::{self, error::Attempt};
use rustix::io::Errno;
use smol::Async;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::prelude::v1::*;

/// Orders that may wait for a pod-init that does not read. One that is further behind is not worth waiting for.
const BACKLOG: usize = 4 * limits::CONTAINERS;

/// One connection.
pub(super) struct Link {
    socket: Async<OwnedFd>,
    waiting: RefCell<VecDeque<(Vec<u8>, Vec<OwnedFd>)>>,
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

impl Link {
    /// Connects. Refused, or no file at all: no pod-init is left behind this path.
    pub(super) fn connect(path: &Path) -> Result<Link, sys::Error> {
        let socket = Async::new(socket::connect(path)?).map_err(errno).attempt("watch", &path.to_string_lossy())?;
        Ok(Link { socket, waiting: RefCell::default() })
    }

    /// Sends an order, or keeps it until there is room: then somebody has to [`Link::flush`].
    pub(super) fn send(&self, order: &Order<'_>, fds: Vec<OwnedFd>, scratch: &mut [u8]) -> rustix::io::Result<()> {
        let bytes = wire::encode(order, scratch).ok_or(Errno::MSGSIZE)?;
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            match self.send_now(bytes, &fds) {
                Err(Errno::AGAIN) => {}
                done => return done,
            }
        }
        if waiting.len() == BACKLOG {
            return Err(Errno::NOBUFS);
        }
        waiting.push_back((bytes.to_vec(), fds));
        Ok(())
    }

    fn send_now(&self, bytes: &[u8], fds: &[OwnedFd]) -> rustix::io::Result<()> {
        let borrowed: heapless::Vec<_, { limits::POD_MESSAGE_FDS }> = fds.iter().map(AsFd::as_fd).collect();
        socket::send(&self.socket, bytes, &borrowed)
    }

    /// Whether orders wait.
    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// Sends what waits, as there is room; ends when nothing does any more.
    pub(super) async fn flush(&self) -> rustix::io::Result<()> {
        while self.is_behind() {
            self.socket.writable().await.map_err(errno)?;
            let mut waiting = self.waiting.borrow_mut();
            while let Some((bytes, fds)) = waiting.front() {
                match self.send_now(bytes, fds) {
                    Err(Errno::AGAIN) => break,
                    done => done?,
                }
                waiting.pop_front();
            }
        }
        Ok(())
    }

    /// The next report and what came beside it; `None` where the pod-init has closed. `buffer` is borrowed only while there is a
    /// packet to take.
    pub(super) async fn receive(&self, buffer: &RefCell<Vec<u8>>) -> rustix::io::Result<Option<(Report, Descriptors)>> {
        let mut beside = Descriptors::new();
        loop {
            let received = socket::receive(&self.socket, &mut buffer.borrow_mut(), &mut beside)?;
            match received {
                Received::Packet(bytes) => {
                    let report = wire::decode_report(&buffer.borrow()[..bytes]).ok_or(Errno::BADMSG)?;
                    return Ok(Some((report, beside)));
                }
                Received::Nothing => self.socket.readable().await.map_err(errno)?,
                Received::Closed => return Ok(None),
                Received::TooLarge => return Err(Errno::BADMSG),
            }
        }
    }
}
