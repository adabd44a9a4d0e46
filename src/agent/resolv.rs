//! A pod's /etc/resolv.conf: the node's, and what `dnsConfig` adds to it or puts in its place, merged as kubelet does.

use crate::manifest::pod::{Dns, DnsPolicy};
use std::prelude::v1::*;

/// The file for a pod, on a node whose own is `node`.
pub(super) fn conf(node: &str, dns: &Dns<'_>) -> String {
    if dns.is_nodes() {
        return node.into();
    }
    let node = if dns.policy == DnsPolicy::None { "" } else { node };
    let lines = || node.lines().filter_map(|line| line.trim().split_once([' ', '\t']));
    let all = |keyword: &'static str| lines().filter(move |(word, _)| *word == keyword);
    let servers = all("nameserver").map(|(_, server)| server.trim()).chain(dns.servers.iter());
    // Of several lines of domains the last one counts.
    let searches =
        all("search").next_back().map_or("", |(_, rest)| rest).split_ascii_whitespace().chain(dns.searches.iter());
    let of_node = all("options").flat_map(|(_, rest)| rest.split_ascii_whitespace());
    let name = |option: &str| String::from(option.split(':').next().unwrap_or_default());
    let kept = of_node.filter(|option| !dns.options.iter().any(|own| name(own) == name(option)));
    let mut text = String::new();
    let searches = unique(searches).join(" ");
    for (keyword, words) in [("search ", searches), ("options ", unique(kept.chain(dns.options.iter())).join(" "))] {
        if !words.is_empty() {
            text.extend([keyword, &words, "\n"]);
        }
    }
    for server in unique(servers) {
        text.extend(["nameserver ", server, "\n"]);
    }
    text
}

/// Each word once, where it is first.
fn unique<'t>(words: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let mut all: Vec<&str> = Vec::new();
    for word in words {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::List;

    fn list(words: &[&str]) -> List<'static, &'static str> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| postcard::to_stdvec(word).unwrap()).collect();
        List::from_bytes(bytes.leak())
    }

    const NODE: &str = "# of the node\nsearch lan\nnameserver 10.0.0.1\noptions ndots:5 rotate\n";

    #[test]
    fn what_a_pod_says_is_merged_with_what_the_node_has() {
        let dns = Dns {
            policy: DnsPolicy::Default,
            servers: list(&["10.0.0.1", "1.1.1.1"]),
            searches: list(&["example.org"]),
            options: list(&["ndots:2", "edns0"]),
        };
        let merged = "search lan example.org\noptions rotate ndots:2 edns0\nnameserver 10.0.0.1\nnameserver 1.1.1.1\n";
        assert_eq!(conf(NODE, &dns), merged);
        let own = "search example.org\noptions ndots:2 edns0\nnameserver 10.0.0.1\nnameserver 1.1.1.1\n";
        assert_eq!(conf(NODE, &Dns { policy: DnsPolicy::None, ..dns }), own);
        assert_eq!(conf(NODE, &Dns::default()), NODE, "as it is");
    }
}
