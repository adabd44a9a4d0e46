//! `dnsPolicy` and `dnsConfig`.

use super::Context;
use super::names;
use crate::host::read::{Object, Place};
use crate::host::schema;
use crate::manifest::check::rule;
use crate::manifest::limits;
use crate::manifest::pod::{Dns, DnsPolicy};
use std::format;
use std::prelude::v1::*;

/// What a pod says of its resolver. A board has no DNS of a cluster: what speaks of that comes out as the board's own.
pub(super) fn lower<'c>(cx: &'c Context<'_>, spec: &Object<'_>) -> Dns<'c> {
    const POLICIES: [&str; 4] = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    let place = spec.get("dnsPolicy");
    let policy = match place.as_ref().and_then(|place| place.one_of(&POLICIES)) {
        Some("None") => DnsPolicy::None,
        _ => DnsPolicy::Default,
    };
    let config = spec.get("dnsConfig").and_then(|place| place.object(&schema::DNS_CONFIG));
    let words = |name, most, rule| -> Vec<&'c str> {
        let list = config.as_ref().and_then(|config| config.get(name));
        let places = list.iter().flat_map(|list| list.list(most));
        places.filter_map(|place| Some(cx.arena.str(names::text(&place, rule)?))).collect()
    };
    let servers = words("nameservers", limits::DNS_SERVERS, rule::ADDRESS);
    if let Some(place) = place.filter(|_| policy == DnsPolicy::None && servers.is_empty()) {
        place.error("None needs at least one of dnsConfig.nameservers");
    }
    let searches = words("searches", limits::DNS_WORDS, rule::DNS_WORD);
    let options = config.as_ref().and_then(|config| config.get("options"));
    let options = options.iter().flat_map(|list| list.list(limits::DNS_WORDS));
    let options: Vec<&str> = options.filter_map(|place| option(cx, &place)).collect();
    let list = |words: Vec<&'c str>| cx.arena.list(words);
    Dns { policy, servers: list(servers), searches: list(searches), options: list(options) }
}

/// `name:value`, or the name alone.
fn option<'c>(cx: &'c Context<'_>, place: &Place<'_>) -> Option<&'c str> {
    let object = place.object(&schema::DNS_OPTION)?;
    let value = object.get("value").and_then(|value| names::text(&value, rule::DNS_WORD));
    let name = names::text(&object.require("name")?, rule::DNS_WORD)?;
    Some(cx.arena.str(&value.map_or_else(|| name.into(), |value| format!("{name}:{value}"))))
}
