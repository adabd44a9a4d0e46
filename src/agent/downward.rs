//! The downward API: what a pod is told of itself and of its node, in variables when a container starts and in files kept current.

use super::config::Facts;
use super::drive::Agent;
use super::paths::Paths;
use super::volumes;
use crate::manifest::List;
use crate::manifest::fact::{Fact, Piece, Quantity, ResourceFact, pieces};
use crate::manifest::pod::{Content, Pair, Pod, Source};
use crate::manifest::status::Uid;
use crate::sys::netlink::Addresses;
use core::fmt::Write;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, getsockname, socket_with};
use smol::Async;
use std::borrow::Cow;
use std::format;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::prelude::v1::*;

/// One pod on its node, as it is told of.
#[derive(Clone, Copy)]
pub(super) struct Teller<'a> {
    pub(super) paths: &'a Paths,
    pub(super) node: &'a Facts,
    pub(super) uid: Uid,
    pub(super) pod: &'a Pod<'a>,
}

impl Teller<'_> {
    /// What a fact is now.
    pub(super) fn tell(&self, fact: Fact<'_>) -> String {
        let of = |pairs: List<'_, Pair<'_>>, key: &str| {
            pairs.iter().find(|pair| pair.key == key).map_or_else(String::new, |pair| pair.value.into())
        };
        match fact {
            Fact::Uid => format!("{}", self.uid),
            Fact::Name => self.pod.name.into(),
            Fact::Namespace => self.pod.namespace.into(),
            Fact::Labels => lines(self.pod.labels),
            Fact::Annotations => lines(self.pod.annotations),
            Fact::Label(key) => of(self.pod.labels, key),
            Fact::Annotation(key) => of(self.pod.annotations, key),
            Fact::NodeName => self.node.name.clone(),
            Fact::HostIp => first(&node_addresses()),
            Fact::HostIps => all(&node_addresses()),
            Fact::PodIp => first(&self.addresses()),
            Fact::PodIps => all(&self.addresses()),
            Fact::Resource(resource) => format!("{}", self.amount(resource)),
            // They are read where they can be refused.
            Fact::File(_) => String::new(),
        }
    }

    /// A pod that is not on the node's network has only its loopback.
    fn addresses(&self) -> Vec<IpAddr> {
        if self.pod.sharing.host_network { node_addresses() } else { Vec::from([Ipv4Addr::LOCALHOST.into()]) }
    }

    fn amount(&self, resource: ResourceFact) -> u64 {
        let asked = self.pod.containers.get(resource.container.into()).map(|it| it.resources).unwrap_or_default();
        let amount = match resource.of {
            Quantity::CpuLimit => asked.cpu_limit_milli.unwrap_or(self.node.cpus.saturating_mul(1000)).into(),
            Quantity::CpuRequest => asked.cpu_request_milli.into(),
            Quantity::MemoryLimit => asked.memory_limit.unwrap_or(self.node.memory),
            Quantity::MemoryRequest => asked.memory_request,
            Quantity::StorageLimit => asked.storage_limit.unwrap_or(self.node.disk),
            Quantity::StorageRequest => asked.storage_request,
            Quantity::HugePagesLimit(size) | Quantity::HugePagesRequest(size) => asked.huge_pages.bytes(size),
        };
        amount.div_ceil(resource.divisor.max(1))
    }
}

/// A text with its facts put in, as they were told in their order.
pub(super) fn fill<'t>(text: &'t str, told: &[String]) -> Cow<'t, str> {
    if told.is_empty() {
        return Cow::Borrowed(text);
    }
    let piece = |piece| match piece {
        Piece::Text(text) => text,
        Piece::Fact(index) => told.get(usize::from(index)).map_or("", String::as_str),
    };
    Cow::Owned(pieces(text).map(piece).collect())
}

/// Labels or annotations as Kubernetes writes them into a file: `key="value"`, by key, with the escapes of Go.
fn lines(pairs: List<'_, Pair<'_>>) -> String {
    let mut sorted: Vec<Pair<'_>> = pairs.iter().collect();
    sorted.sort_unstable_by_key(|pair| pair.key);
    let mut text = String::new();
    for pair in sorted {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(pair.key);
        text.push_str("=\"");
        for c in pair.value.chars() {
            let _ = match c {
                '"' | '\\' => write!(text, "\\{c}"),
                '\n' => text.write_str("\\n"),
                '\t' => text.write_str("\\t"),
                '\r' => text.write_str("\\r"),
                '\0'..='\x1f' | '\x7f' => write!(text, "\\x{:02x}", c as u32),
                _ => text.write_char(c),
            };
        }
        text.push('"');
    }
    text
}

fn first(addresses: &[IpAddr]) -> String {
    addresses.first().map_or_else(String::new, |address| format!("{address}"))
}

fn all(addresses: &[IpAddr]) -> String {
    let words: Vec<String> = addresses.iter().map(|address| format!("{address}")).collect();
    words.join(",")
}

/// The addresses that the node would speak to the world from, IPv4 before IPv6. Nothing is sent to find them.
fn node_addresses() -> Vec<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): where they would be reached, everything is.
    const WORLD: [IpAddr; 2] =
        [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
    let from = |far: IpAddr| {
        let family = if far.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        // Not the standard library's socket, which would link a resolver of names.
        let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
        connect(&socket, &SocketAddr::new(far, 9)).ok()?;
        let near = SocketAddr::try_from(getsockname(&socket).ok()?).ok()?.ip();
        Some(near).filter(|address| !address.is_loopback() && !address.is_unspecified())
    };
    let mut found: Vec<IpAddr> = WORLD.into_iter().filter_map(from).collect();
    if !found.iter().any(IpAddr::is_ipv4) {
        // Without a default route: the first that is the node's own.
        let table = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
        found.splice(0..0, own_address(&table).map(IpAddr::from));
    }
    found
}

/// The first address in /proc/net/fib_trie that belongs to this machine and is not loopback.
fn own_address(table: &str) -> Option<Ipv4Addr> {
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    lines.windows(2).find_map(|pair| {
        let address: Ipv4Addr = pair[0].strip_prefix("|-- ")?.parse().ok()?;
        (pair[1].ends_with("host LOCAL") && !address.is_loopback()).then_some(address)
    })
}

/// Brings the files of a pod up to date that has just been told something new.
pub(super) fn tell(agent: &Agent, uid: Uid) {
    let (node, pods) = (agent.node(), agent.pods());
    if let Some(entry) = pods.iter().find(|entry| entry.uid() == uid) {
        let teller = Teller { paths: agent.paths(), node: &node, uid, pod: entry.manifest() };
        if let Err(why) = volumes::refresh(&teller) {
            log::warn!("pod {uid}: {why}");
        }
    }
}

/// Whether a pod has files that may have to be written anew while it runs.
fn changes(pod: &Pod<'_>) -> bool {
    pod.volumes.iter().any(|volume| match volume.source {
        Source::Projected { files } => {
            files.iter().any(|file| matches!(file.content, Content::Fact(fact) if fact.changes()))
        }
        _ => false,
    })
}

/// Keeps the files of all pods current. Where no pod has any that change, nothing is listened for.
pub(super) async fn attend(agent: Agent) {
    let former = agent.pods().iter().any(|entry| changes(entry.manifest()));
    if !former && !agent.manifest().pods.iter().any(|pod| changes(&pod)) {
        return;
    }
    let listening = Addresses::listen().map_err(|error| format!("{error}"));
    let addresses = match listening.and_then(|it| Async::new(it).map_err(|error| format!("{error}"))) {
        Ok(addresses) => addresses,
        Err(error) => return log::warn!("downward API: files will not follow the node's addresses: {error}"),
    };
    while addresses.readable().await.is_ok() {
        addresses.get_ref().drain();
        refresh(&agent);
    }
}

/// Writes what has changed.
fn refresh(agent: &Agent) {
    let node = agent.node();
    for entry in agent.pods().iter().filter(|entry| entry.sandbox.is_some() && changes(entry.manifest())) {
        let teller = Teller { paths: agent.paths(), node: &node, uid: entry.uid(), pod: entry.manifest() };
        if let Err(why) = volumes::refresh(&teller) {
            log::warn!("downward API: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_written_as_kubernetes_does() {
        let pairs = [("b", "two\nlines"), ("a", "say \"hi\" \\ \u{1b}ö")];
        let bytes: Vec<u8> =
            pairs.iter().flat_map(|(key, value)| postcard::to_stdvec(&Pair { key, value }).unwrap()).collect();
        assert_eq!(lines(List::from_bytes(&bytes)), "a=\"say \\\"hi\\\" \\\\ \\x1bö\"\nb=\"two\\nlines\"");
        assert_eq!(lines(List::EMPTY), "");
    }

    #[test]
    fn the_nodes_own_address_is_found_without_a_route() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.2.0\n        /24 link UNICAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.0.2.15\n        /32 host LOCAL\n";
        assert_eq!(own_address(table), Some(Ipv4Addr::new(10, 0, 2, 15)));
        assert_eq!(own_address(""), None);
    }
}
