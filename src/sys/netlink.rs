//! The few netlink messages that a board needs: a link up, an address, the default route; and word of new devices.

use super::Error;
use super::error::Attempt;
use core::time::Duration;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netdevice, recv, send, socket_with,
};
use std::time::Instant;

/// NETLINK_ROUTE is number 0, which rustix writes so.
const ROUTE: Option<Protocol> = None;
// linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h, linux/if.h
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const IFF_UP: u32 = 1;
const AF_INET: u8 = 2;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RTN_UNICAST: u8 = 1;

/// A way to change the network of this network namespace.
#[derive(Debug)]
pub struct Network {
    socket: OwnedFd,
}

impl Network {
    /// Opens it.
    pub fn open() -> core::result::Result<Network, Error> {
        Ok(Network { socket: netlink(ROUTE, 0).attempt("open", "rtnetlink")? })
    }

    /// Brings an interface up.
    pub fn up(&self, interface: &str) -> core::result::Result<(), Error> {
        self.index(interface).and_then(|index| self.ask(&link_up(index))).attempt("bring up", interface)
    }

    /// Gives an interface an IPv4 address. One that it has already is fine.
    pub fn address(&self, interface: &str, address: [u8; 4], prefix: u8) -> core::result::Result<(), Error> {
        let message = |index| new_address(index, address, prefix);
        self.index(interface).and_then(|index| self.ask(&message(index))).attempt("set the address of", interface)
    }

    /// Makes `gateway`, behind an interface, the router for everything that has no other. It replaces an older one.
    pub fn default_route(&self, interface: &str, gateway: [u8; 4]) -> core::result::Result<(), Error> {
        let message = |index| default_route(index, gateway);
        self.index(interface).and_then(|index| self.ask(&message(index))).attempt("set the default route by", interface)
    }

    /// Whether there is such an interface.
    pub fn has(&self, interface: &str) -> bool {
        self.index(interface).is_ok()
    }

    fn index(&self, interface: &str) -> Result<u32> {
        netdevice::name_to_index(&self.socket, interface)
    }

    /// Sends a message and waits for the kernel's answer to it.
    fn ask(&self, message: &Message) -> Result<()> {
        send(&self.socket, &message.0, SendFlags::empty())?;
        let mut answer = [0; 512];
        let (length, _) = recv(&self.socket, &mut answer, RecvFlags::empty())?;
        errno(answer.get(..length).unwrap_or_default())
    }
}

/// What an acknowledgement says.
fn errno(answer: &[u8]) -> Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code @ -4095..0)) => Err(Errno::from_raw_os_error(-code)),
        _ => Err(Errno::BADMSG),
    }
}

fn netlink(protocol: Option<Protocol>, groups: u32) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn link_up(index: u32) -> Message {
    // struct ifinfomsg: family, pad, type u16, index, flags, which flags to change
    Message::new(RTM_NEWLINK, 0).bytes(&[0; 4]).number(index).number(IFF_UP).number(IFF_UP)
}

fn new_address(index: u32, address: [u8; 4], prefix: u8) -> Message {
    // struct ifaddrmsg: family, prefix, flags, scope, index
    let message = Message::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE).bytes(&[AF_INET, prefix, 0, 0]).number(index);
    message.attribute(IFA_LOCAL, address).attribute(IFA_ADDRESS, address)
}

fn default_route(index: u32, gateway: [u8; 4]) -> Message {
    // struct rtmsg: family, destination and source prefix, tos, table, protocol, scope, type, flags
    let message = Message::new(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    let message = message.bytes(&[AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST]).number(0);
    message.attribute(RTA_GATEWAY, gateway).attribute(RTA_OIF, index.to_ne_bytes())
}

/// A netlink message: a header with its length, fields, attributes. All of ours are made of words of four bytes.
struct Message(heapless::Vec<u8, 64>);

impl Message {
    fn new(kind: u16, flags: u16) -> Message {
        let flags = flags | NLM_F_REQUEST | NLM_F_ACK;
        // struct nlmsghdr: length, type, flags, sequence, port; one message at a time needs no number
        Message(heapless::Vec::new())
            .number(0)
            .bytes(&kind.to_ne_bytes())
            .bytes(&flags.to_ne_bytes())
            .number(0)
            .number(0)
    }

    fn bytes(mut self, bytes: &[u8]) -> Message {
        self.0.extend_from_slice(bytes).expect("the longest message is shorter than its room");
        let length = self.0.len() as u32;
        if let Some(place) = self.0.first_chunk_mut() {
            *place = length.to_ne_bytes();
        }
        self
    }

    fn number(self, number: u32) -> Message {
        self.bytes(&number.to_ne_bytes())
    }

    fn attribute(self, kind: u16, value: [u8; 4]) -> Message {
        self.bytes(&8u16.to_ne_bytes()).bytes(&kind.to_ne_bytes()).bytes(&value)
    }
}

// linux/rtnetlink.h: RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR
const ADDRESS_GROUPS: u32 = 0x10 | 0x100;

/// Word from the kernel that addresses of this network namespace have come or gone.
#[derive(Debug)]
pub struct Addresses {
    socket: OwnedFd,
}

impl AsFd for Addresses {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Addresses {
    /// Listens from here on.
    pub fn listen() -> core::result::Result<Addresses, Error> {
        Ok(Addresses { socket: netlink(ROUTE, ADDRESS_GROUPS).attempt("listen for", "addresses")? })
    }

    /// Forgets what has been told so far.
    pub fn drain(&self) {
        loop {
            match recv(&self.socket, &mut [0; 64], RecvFlags::DONTWAIT) {
                // More was told than the socket had room for: that is news as well.
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// Word from the kernel that devices have come or gone.
#[derive(Debug)]
pub struct Uevents {
    socket: OwnedFd,
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Uevents {
    /// Listens from here on.
    pub fn listen() -> core::result::Result<Uevents, Error> {
        Ok(Uevents { socket: netlink(Some(KOBJECT_UEVENT), 1).attempt("listen for", "devices")? })
    }

    /// Waits until `there` is true, asking again whenever a device comes or goes; `patience` at the most. Whether it is true.
    pub fn wait_until(&self, patience: Duration, there: impl Fn() -> bool) -> bool {
        let end = Instant::now() + patience;
        loop {
            // What has been told so far is in what `there` sees.
            while recv(&self.socket, &mut [0; 64], RecvFlags::DONTWAIT).is_ok() {}
            if there() {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
            match poll(&mut [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)], Some(&left)) {
                Ok(0) => return there(),
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return there(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_what_the_kernel_reads() {
        let message = new_address(7, [10, 0, 2, 15], 24);
        let mut expected = std::vec::Vec::new();
        for number in [40, u32::from(RTM_NEWADDR) | 0x505 << 16, 0, 0, u32::from_le_bytes([2, 24, 0, 0]), 7] {
            expected.extend(number.to_le_bytes());
        }
        expected.extend([8, 0, 2, 0, 10, 0, 2, 15, 8, 0, 1, 0, 10, 0, 2, 15]);
        assert_eq!(message.0[..], expected[..]);
        assert_eq!(link_up(1).0.len(), 32);
        assert_eq!(default_route(1, [0; 4]).0.len(), 44);
    }

    #[test]
    fn answers_are_read() {
        let answer = |kind: u16, code: i32| {
            let mut bytes = [0; 36];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[16..20].copy_from_slice(&code.to_ne_bytes());
            bytes
        };
        assert_eq!(errno(&answer(NLMSG_ERROR, 0)), Ok(()));
        assert_eq!(errno(&answer(NLMSG_ERROR, -17)), Err(Errno::EXIST));
        assert_eq!(errno(&answer(3, 0)), Err(Errno::BADMSG));
        assert_eq!(errno(&[0; 5]), Err(Errno::BADMSG));
        assert_eq!(errno(&answer(NLMSG_ERROR, i32::MIN)), Err(Errno::BADMSG));
    }

    #[test]
    fn waiting_ends_when_it_is_true_or_too_late() {
        let uevents = Uevents::listen().unwrap();
        assert!(uevents.wait_until(Duration::from_secs(60), || true));
        assert!(!uevents.wait_until(Duration::from_millis(20), || false));
    }
}
