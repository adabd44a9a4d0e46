//! Unix sockets that keep packets apart (SOCK_SEQPACKET), with descriptors travelling beside the bytes.

use super::Error;
use super::error::Attempt;
use crate::manifest::limits::POD_MESSAGE_FDS;
use core::mem::MaybeUninit;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, IoSliceMut, Result};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect as connect_to,
    listen as listen_on, recvmsg, sendmsg, socket_with,
};
use std::path::Path;

/// The descriptors that came with one packet.
pub type Descriptors = heapless::Vec<OwnedFd, POD_MESSAGE_FDS>;

fn seqpacket(flags: SocketFlags) -> Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | flags, None)
}

/// A listening socket at `path`, non-blocking. The path must be free.
pub fn listen(path: &Path) -> core::result::Result<OwnedFd, Error> {
    let listen = || -> Result<OwnedFd> {
        let socket = seqpacket(SocketFlags::NONBLOCK)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        listen_on(&socket, 4)?;
        Ok(socket)
    };
    listen().attempt("listen at", &path.to_string_lossy())
}

/// A connection to the listener at `path`, non-blocking.
pub fn connect(path: &Path) -> core::result::Result<OwnedFd, Error> {
    let connect = || -> Result<OwnedFd> {
        let socket = seqpacket(SocketFlags::NONBLOCK)?;
        connect_to(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(socket)
    };
    connect().attempt("connect to", &path.to_string_lossy())
}

/// The next connection, non-blocking; `None` where nobody waits.
pub fn accept(listener: impl AsFd) -> Result<Option<OwnedFd>> {
    match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(connection) => Ok(Some(connection)),
        Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Sends one packet, whole or not at all; `EAGAIN` where the other end does not keep up.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(POD_MESSAGE_FDS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::TOOBIG);
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map(drop)
}

/// What [`receive`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A packet of so many bytes.
    Packet(usize),
    /// None yet.
    Nothing,
    /// The other end is gone.
    Closed,
    /// A packet over the bounds of the buffer or of [`Descriptors`]; it and its descriptors are gone.
    TooLarge,
}

/// Takes one packet into `buffer`, and what came with it into `descriptors`, which is emptied first.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], descriptors: &mut Descriptors) -> Result<Received> {
    descriptors.clear();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(POD_MESSAGE_FDS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let message = match recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut beside,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    ) {
        Ok(message) => message,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(Received::Nothing),
        Err(Errno::CONNRESET) => return Ok(Received::Closed),
        Err(errno) => return Err(errno),
    };
    let mut fits = !message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    for part in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = part {
            for fd in fds {
                fits &= descriptors.push(fd).is_ok();
            }
        }
    }
    if !fits {
        descriptors.clear();
        return Ok(Received::TooLarge);
    }
    Ok(if message.bytes == 0 { Received::Closed } else { Received::Packet(message.bytes) })
}
