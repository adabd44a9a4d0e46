//! Connections to what a pod serves, made in the pod's own network namespace.

use super::drive::Entry;
use super::sandbox::Sandbox;
use crate::sys::{self, namespace};
use rustix::io::Errno;
use rustix::net::AddressFamily;
use smol::Async;
use std::format;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::prelude::v1::*;
use std::rc::Rc;

/// Where to connect to, and from where.
pub(super) struct Place {
    /// The address.
    pub(super) address: SocketAddr,
    /// The pod from within which; the node itself where a host is named.
    from: Option<Rc<Sandbox>>,
}

impl Place {
    /// A port of a pod; of another host where one is named, which is reached from the node, as kubelet does.
    pub(super) fn of(entry: &Entry, host: &str, port: u16) -> Place {
        match host.parse::<IpAddr>() {
            Ok(host) => Place { address: SocketAddr::new(host, port), from: None },
            Err(_) => Place { address: (Ipv4Addr::LOCALHOST, port).into(), from: entry.sandbox.clone() },
        }
    }

    /// The same place, another port.
    pub(super) fn at_port(&self, port: u16) -> Place {
        Place { address: SocketAddr::new(self.address.ip(), port), from: self.from.clone() }
    }

    /// Connects.
    ///
    /// # Errors
    /// In words, as kubelet has them.
    pub(super) async fn connect(&self) -> Result<Async<TcpStream>, String> {
        self.dial().await.map_err(|error| {
            let words = sys::error::text(error.raw_os_error().unwrap_or_default()).to_ascii_lowercase();
            format!("dial tcp {}: connect: {words}", self.address)
        })
    }

    async fn dial(&self) -> io::Result<Async<TcpStream>> {
        let family = if self.address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = match &self.from {
            Some(sandbox) => namespace::tcp_socket_of(sandbox.init.as_fd(), family),
            None => namespace::tcp_socket(family),
        }?;
        match rustix::net::connect(&socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno.into()),
        }
        let stream = Async::new_nonblocking(TcpStream::from(socket))?;
        stream.writable().await?;
        match stream.get_ref().take_error()? {
            None => Ok(stream),
            Some(error) => Err(error),
        }
    }
}
