//! `dnsPolicy` and `dnsConfig`: what a pod's /etc/resolv.conf has beside, or in place of, the node's.

use super::List;
use serde::{Deserialize, Serialize};

/// What a pod says of its resolver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns<'a> {
    /// `dnsPolicy`.
    pub policy: DnsPolicy,
    /// `dnsConfig.nameservers`.
    #[serde(borrow)]
    pub servers: List<'a, &'a str>,
    /// `dnsConfig.searches`.
    #[serde(borrow)]
    pub searches: List<'a, &'a str>,
    /// `dnsConfig.options`, as they are written in the file: `ndots:2`.
    #[serde(borrow)]
    pub options: List<'a, &'a str>,
}

/// `dnsPolicy`: the policies of a cluster are the node's own file on a board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DnsPolicy {
    /// What the node has, and `dnsConfig`.
    #[default]
    Default,
    /// `dnsConfig` alone.
    None,
}

impl Dns<'_> {
    /// Whether the node's file is right as it is.
    pub const fn is_nodes(&self) -> bool {
        let nothing = self.servers.is_empty() && self.searches.is_empty() && self.options.is_empty();
        matches!(self.policy, DnsPolicy::Default) && nothing
    }
}
