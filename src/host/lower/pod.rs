//! One pod: what is said of all of its containers together.

use super::Context;
use super::confine;
use super::container;
use super::names;
use super::objects::{Metadata, PodObject};
use super::{dns, facts, groups, ports, projected, resources, security, volumes};
use crate::host::read::{Object, Place, did_you_mean};
use crate::host::schema;
use crate::host::suggest::nearest;
use crate::manifest::check::rule;
use crate::manifest::limits;
use crate::manifest::pod::{Container, Pair, Pod, RestartPolicy, Sharing};
use core::net::IpAddr;
use std::format;
use std::prelude::v1::*;

/// What the containers of a pod must know of it.
pub(super) struct Shared<'a> {
    pub(super) meta: &'a Metadata<'a>,
    /// The names of its containers, in start order.
    pub(super) containers: &'a [&'a str],
    pub(super) security: security::PodDefaults,
    pub(super) volumes: volumes::Volumes<'a>,
    pub(super) host_network: bool,
    pub(super) own_users: bool,
    pub(super) grace_seconds: u32,
}

/// Lowers a pod. With errors said, the result is good for further checks only.
pub(super) fn lower<'c, 'a: 'c>(cx: &'c Context<'a>, found: &'c PodObject<'a>) -> Pod<'c> {
    let named = Pod { namespace: found.meta.namespace, name: found.meta.name, ..Pod::default() };
    let Some(spec) = &found.spec else {
        return named;
    };
    let sharing = sharing(spec);
    let (security, supplemental_groups) = security::pod(cx, spec);
    let names = cx.arena.slice(&facts::containers(spec));
    let mut shared = Shared {
        meta: &found.meta,
        containers: names,
        security,
        volumes: volumes::lower(cx, projected::Pod { meta: &found.meta, containers: names }, spec),
        host_network: sharing.host_network,
        own_users: sharing.own_users,
        grace_seconds: grace(spec),
    };
    let containers = containers(cx, &shared, spec);
    ports::check_pod(sharing.host_network, &containers);
    if !sharing.host_network {
        spec.place
            .warning("pod networking is not there yet: the pod has only its loopback; use hostNetwork: true to serve");
    }
    if let Some(os) = spec.get("os").and_then(|os| os.object(&schema::POD_OS)).and_then(|os| os.require("name")) {
        // Spec 12.
        if let Some(name) = os.text().filter(|name| *name != "linux") {
            os.error(format!("{} is not what a board runs: linux is", os.quoted(name)));
        }
    }
    let lowered: Vec<Container<'c>> = containers.iter().map(|(_, container)| *container).collect();
    let (resources, overhead) = (resources::pod(spec, &lowered), resources::overhead(spec));
    shared.volumes.settle(resources.huge_pages);
    let namespace = found.meta.namespace;
    cx.bound_pod(namespace, spec, &lowered, (&resources, &overhead));
    found.meta.given.asked.iter().for_each(|claim| cx.bound_claim(namespace, claim));
    let mut annotations = found.meta.annotations.clone();
    annotations.extend(cx.given(namespace, spec).filter(|_| annotations.len() < limits::PAIRS));
    let priority = priority(cx, spec);
    let (fs_group, groups_policy) = groups::lower(spec);
    Pod {
        restart_policy: restart_policy(spec),
        grace_seconds: shared.grace_seconds,
        sharing,
        supplemental_groups,
        hostname: hostname(cx, &found.meta, spec),
        dns: dns::lower(cx, spec),
        host_aliases: cx.arena.list(host_aliases(cx, spec)),
        resources,
        overhead,
        run_as: shared.security.run_as,
        pids_limit: pids_limit(&found.meta),
        critical: priority >= limits::CLUSTER_CRITICAL,
        priority,
        volumes: cx.arena.list(shared.volumes.iter()),
        containers: cx.arena.list(lowered),
        readiness_gates: cx.arena.list(readiness_gates(spec)),
        active_deadline_seconds: spec
            .get("activeDeadlineSeconds")
            .and_then(|deadline| u32::try_from(deadline.integer(1..=i64::from(limits::DEADLINE_SECONDS))?).ok()),
        fs_group,
        groups_policy,
        labels: cx.arena.list(found.meta.labels.iter().copied()),
        annotations: cx.arena.list(annotations),
        owner: found.meta.given.owner,
        sysctls: cx.arena.list(confine::pod(cx, &found.meta, spec, sharing)),
        ..named
    }
}

/// The containers in start order (spec 36), each with its place.
fn containers<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    shared: &Shared<'c>,
    spec: &Object<'a>,
) -> Vec<(Place<'a>, Container<'c>)> {
    let init = spec.get("initContainers").map(|list| list.list(limits::CONTAINERS)).unwrap_or_default();
    let apps = spec.require("containers").map(|list| (list.list(limits::CONTAINERS), list));
    if let Some((apps, list)) = &apps {
        if apps.is_empty() && list.is_list() {
            list.error("a pod needs at least one container");
        } else if apps.len() + init.len() > limits::CONTAINERS {
            let (most, all) = (limits::CONTAINERS, apps.len() + init.len());
            list.error(format!(
                "at most {most} containers are possible in a pod, and there are {all} with the init containers"
            ));
        }
    }
    let apps = apps.map(|(apps, _)| apps).unwrap_or_default();
    let mut lowered: Vec<(Place<'a>, Container<'c>)> = Vec::new();
    for (place, app) in init.into_iter().map(|p| (p, false)).chain(apps.into_iter().map(|p| (p, true))) {
        let Some(object) = place.object(&schema::CONTAINER) else {
            continue;
        };
        let container = container::lower(cx, shared, &object, app);
        if let Some((first, _)) = lowered.iter().find(|(_, c)| c.name == container.name && !c.name.is_empty()) {
            place.error(format!("the name {} is taken by {} already", place.quoted(container.name), first.path()));
        }
        lowered.push((place, container));
    }
    lowered
}

fn restart_policy(spec: &Object<'_>) -> RestartPolicy {
    spec.get("restartPolicy").as_ref().and_then(policy_of).unwrap_or(RestartPolicy::Always)
}

/// The restart policy of that word.
pub(super) fn policy_of(place: &Place<'_>) -> Option<RestartPolicy> {
    match place.choice(&["Always", "OnFailure", "Never"])? {
        "OnFailure" => Some(RestartPolicy::OnFailure),
        "Never" => Some(RestartPolicy::Never),
        _ => Some(RestartPolicy::Always),
    }
}

/// Spec 66: 30 seconds where nothing is said.
fn grace(spec: &Object<'_>) -> u32 {
    let seconds =
        spec.get("terminationGracePeriodSeconds").and_then(|g| g.integer(0..=i64::from(limits::GRACE_SECONDS)));
    seconds.and_then(|s| u32::try_from(s).ok()).unwrap_or(30)
}

fn readiness_gates<'a>(spec: &Object<'a>) -> Vec<&'a str> {
    let places = spec.get("readinessGates").map(|list| list.list(limits::READINESS_GATES)).unwrap_or_default();
    let gate = |place: &Place<'a>| {
        let condition = place.object(&schema::READINESS_GATE)?.require("conditionType")?;
        names::text(&condition, rule::QUALIFIED_NAME)
    };
    places.iter().filter_map(gate).collect()
}

fn sharing(spec: &Object<'_>) -> Sharing {
    Sharing {
        host_network: spec.flag("hostNetwork").unwrap_or(false),
        host_pid: host_pid(spec),
        host_ipc: spec.flag("hostIPC").unwrap_or(false),
        process_namespace: spec.flag("shareProcessNamespace").unwrap_or(false),
        own_users: confine::own_users(spec),
    }
}

/// `hostPID`: what the API server refuses beside it is refused, and what it gives away is said.
fn host_pid(spec: &Object<'_>) -> bool {
    let Some(place) = spec.get("hostPID").filter(|place| place.boolean() == Some(true)) else { return false };
    if spec.flag("shareProcessNamespace") == Some(true) {
        place.error("cannot be had together with shareProcessNamespace; leave one out");
    }
    place.warning(
        "its containers see every process of the board, and those that run as root can end any of them unless they drop the capability KILL",
    );
    true
}

/// Spec 26. The node's own host name is what a pod with `hostNetwork` sees; that is the board's part.
fn hostname<'c>(cx: &'c Context<'_>, meta: &'c Metadata<'_>, spec: &Object<'_>) -> &'c str {
    if let Some(place) = spec.get("hostnameOverride") {
        for other in ["setHostnameAsFQDN", "hostNetwork"] {
            if spec.flag(other) == Some(true) {
                place.error(format!("cannot be had together with {other}: true"));
            }
        }
        return names::text(&place, rule::HOST_NAME).map_or("", |name| cx.arena.str(name));
    }
    let given = |name| spec.get(name).filter(|place| place.text() != Some(""));
    let short = match given("hostname") {
        Some(place) => names::label(&place).unwrap_or_default(),
        None => {
            let name = meta.given.hostname.unwrap_or(meta.name);
            let cut = name.get(..limits::LABEL).unwrap_or(name);
            cut.trim_end_matches(['-', '.'])
        }
    };
    let short = cx.arena.str(short);
    let qualified = spec.flag("setHostnameAsFQDN").unwrap_or(false);
    let place = given("subdomain");
    let subdomain = match &place {
        Some(place) => names::label(place),
        None => meta.given.service,
    };
    let Some(subdomain) = subdomain else {
        return short;
    };
    if !qualified {
        if let Some(place) = place {
            place.warning("has an effect only with setHostnameAsFQDN: true, for a board has no DNS of its own");
        }
        return short;
    }
    let full = format!("{short}.{subdomain}.{}.svc.cluster.local", meta.namespace);
    // The kernel's bound on a host name.
    if full.len() > 64 && !short.is_empty() {
        let at = place.as_ref().unwrap_or(&spec.place);
        at.error(format!(
            "the host name {} would have {} bytes: the kernel takes at most 64",
            at.quoted(&full),
            full.len()
        ));
    }
    cx.arena.str(&full)
}

fn host_aliases<'c>(cx: &'c Context<'_>, spec: &Object<'_>) -> Vec<Pair<'c>> {
    let mut pairs = Vec::new();
    for place in spec.get("hostAliases").iter().flat_map(|list| list.list(limits::PAIRS)) {
        let Some(alias) = place.object(&schema::HOST_ALIAS) else {
            continue;
        };
        let address = alias.require("ip").and_then(|ip| {
            let address = ip.text()?;
            if address.parse::<IpAddr>().is_err() {
                ip.error(format!("{} is not an IP address", ip.quoted(address)));
            }
            Some(cx.arena.str(address))
        });
        let hostnames = alias.require("hostnames").map(|list| {
            let places = list.list(limits::PAIRS);
            if places.is_empty() && list.is_list() {
                list.error("needs at least one host name");
            }
            let names: Vec<&str> = places.iter().filter_map(names::subdomain).collect();
            cx.arena.str(&names.join(" "))
        });
        if let (Some(key), Some(value)) = (address, hostnames) {
            pairs.push(Pair { key, value });
        }
    }
    pairs
}

/// The annotation that bounds the processes of the whole pod.
const PIDS_LIMIT: &str = "podling.dev/pids-limit";

fn pids_limit(meta: &Metadata<'_>) -> Option<u32> {
    /// The kernel's own bound on process ids.
    const MOST: u32 = 4_194_304;
    let (_, place) = meta.annotation_places.iter().find(|(key, _)| *key == PIDS_LIMIT)?;
    let text = place.text()?;
    let limit = text.parse().ok().filter(|n| (1..=MOST).contains(n));
    if limit.is_none() {
        place.error(format!("{} is not a number of processes: from 1 to {MOST}", place.quoted(text)));
    }
    limit
}

/// The pod's priority: that of its class, else its own number (spec 96, 97).
fn priority(cx: &Context<'_>, spec: &Object<'_>) -> i32 {
    let known = |name: &str| match name {
        "system-node-critical" => Some(limits::NODE_CRITICAL),
        "system-cluster-critical" => Some(limits::CLUSTER_CRITICAL),
        name => cx.objects.priorities.get(name).map(|class| class.value),
    };
    let named = spec.get("priorityClassName").filter(|place| place.text() != Some(""));
    let class = match named.as_ref().map(|place| (place, place.text())) {
        Some((place, Some(name))) => known(name).or_else(|| {
            let hint = did_you_mean(nearest(name, cx.objects.priorities.keys().copied()));
            place.error(format!(
                "{} is not a priority class of these files{hint}: they need its PriorityClass; system-node-critical and \
                 system-cluster-critical are always there",
                place.quoted(name)
            ));
            None
        }),
        Some((_, None)) => None,
        None => cx.objects.priorities.values().find(|class| class.is_default).map(|class| class.value),
    };
    let Some(place) = spec.get("priority") else {
        return class.unwrap_or(0);
    };
    let most = class.unwrap_or(limits::PRIORITY);
    let number = place.integer(i64::from(i32::MIN)..=i64::from(most)).and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
    if let Some(class) = class.filter(|class| *class != number) {
        place.error(format!("the integer value of priority must not be provided beside a class that has {class}"));
    }
    class.unwrap_or(number)
}
