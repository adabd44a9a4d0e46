//! The connection to one pod-init: packets of `pod::wire`, descriptors beside them.

use crate::manifest::limits;
use crate::pod::wire::{Order, Report};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use smol::Async;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::prelude::v1::*;
use std::vec;

/// Orders that may wait for a pod-init that does not read. One that is further behind is not worth waiting for.
const BACKLOG: usize = 4 * limits::CONTAINERS;

/// A socket on which one pod-init will listen, made before it is, so that no moment is without one.
pub(super) fn listen(path: &Path) -> rustix::io::Result<OwnedFd> {
    let socket = packet_socket(SocketFlags::empty())?;
    in_directory(path, |address| rustix::net::bind(&socket, address))?;
    rustix::net::listen(&socket, 4)?;
    Ok(socket)
}

fn packet_socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | flags, None)
}

/// Calls with an address that fits, however long the path is: a socket's address holds 107 bytes.
fn in_directory<T>(path: &Path, call: impl FnOnce(&SocketAddrUnix) -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    use rustix::fs::{Mode, OFlags};
    use std::os::fd::AsRawFd;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL) };
    let directory = rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(std::format!("{}", directory.as_raw_fd())).join(name);
    call(&SocketAddrUnix::new(short)?)
}

/// One connection.
pub(super) struct Link {
    socket: Async<OwnedFd>,
    waiting: RefCell<VecDeque<(Vec<u8>, Vec<OwnedFd>)>>,
}

impl Link {
    /// Connects. `ECONNREFUSED`, or no file at all, means that no pod-init is left behind this path.
    pub(super) fn connect(path: &Path) -> rustix::io::Result<Link> {
        // Not blocking from the start: a pod-init that accepts nobody must not hold the agent up.
        let socket = packet_socket(SocketFlags::NONBLOCK)?;
        in_directory(path, |address| rustix::net::connect(&socket, address))?;
        let socket = Async::new(socket).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        Ok(Link { socket, waiting: RefCell::new(VecDeque::new()) })
    }

    /// Sends an order, or keeps it until there is room. `Err` where the pod-init is gone or reads no more.
    pub(super) fn send(&self, order: &Order<'_>, fds: Vec<OwnedFd>, scratch: &mut [u8]) -> rustix::io::Result<()> {
        let bytes = postcard::to_slice(order, scratch).map_err(|_| Errno::MSGSIZE)?;
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            match send_now(self.socket.as_fd(), bytes, &fds) {
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

    /// Whether orders wait, so that somebody has to [`Link::flush`].
    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// Sends what waits, as there is room. Ends when nothing waits any more.
    pub(super) async fn flush(&self) -> rustix::io::Result<()> {
        loop {
            if self.waiting.borrow().is_empty() {
                return Ok(());
            }
            self.socket.writable().await.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
            let mut waiting = self.waiting.borrow_mut();
            while let Some((bytes, fds)) = waiting.front() {
                match send_now(self.socket.as_fd(), bytes, fds) {
                    Err(Errno::AGAIN) => break,
                    Err(errno) => return Err(errno),
                    Ok(()) => waiting.pop_front(),
                };
            }
        }
    }

    /// The next report; `None` where the pod-init has closed. `buffer` is only borrowed while there is a packet to take.
    pub(super) async fn receive(&self, buffer: &RefCell<Vec<u8>>) -> rustix::io::Result<Option<Report>> {
        loop {
            self.socket.readable().await.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
            let mut buffer = buffer.borrow_mut();
            let mut none = RecvAncillaryBuffer::default();
            let into = &mut [IoSliceMut::new(&mut buffer)];
            let got = match rustix::net::recvmsg(self.socket.as_fd(), into, &mut none, RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Err(Errno::CONNRESET) => return Ok(None),
                got => got?.bytes,
            };
            if got == 0 {
                return Ok(None);
            }
            return match postcard::take_from_bytes(&buffer[..got]) {
                Ok((report, [])) => Ok(Some(report)),
                _ => Err(Errno::BADMSG),
            };
        }
    }
}

fn send_now(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[OwnedFd]) -> rustix::io::Result<()> {
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let message = SendAncillaryMessage::ScmRights(&borrowed);
    let mut space = vec![MaybeUninit::uninit(); if fds.is_empty() { 0 } else { message.size() }];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && (fds.len() > limits::POD_MESSAGE_FDS || !ancillary.push(message)) {
        return Err(Errno::MSGSIZE);
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags) {
            Err(Errno::INTR) => {}
            done => return done.map(drop),
        }
    }
}
