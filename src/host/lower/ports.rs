//! Ports: declared, and not taken twice (spec 22, failure F28).

use super::Context;
use super::objects::PodObject;
use crate::host::diagnostic::Span;
use crate::host::read::{Object, Place};
use crate::host::schema;
use crate::manifest::limits;
use crate::manifest::owner::Owner;
use crate::manifest::pod::{Container, ContainerKind, Pod, Port};
use std::collections::BTreeMap;
use std::format;
use std::prelude::v1::*;

/// The ports of one container.
pub(super) struct Ports<'a> {
    /// As they are declared.
    pub(super) all: Vec<Port>,
    /// Those that have a name, with it.
    pub(super) named: Vec<(&'a str, u16)>,
}

/// The ports of one container.
pub(super) fn lower<'a>(container: &Object<'a>, host_network: bool) -> Ports<'a> {
    let mut ports: Vec<Port> = Vec::new();
    let mut named: Vec<(&str, u16)> = Vec::new();
    for place in container.get("ports").iter().flat_map(|list| list.list(limits::PORTS)) {
        let Some(object) = place.object(&schema::PORT) else {
            continue;
        };
        let number = |name| object.get(name).and_then(|p| p.integer(1..=65535)).and_then(|n| u16::try_from(n).ok());
        let udp = match object.get("protocol").and_then(|p| p.choice(&["TCP", "UDP", "SCTP"]).map(|w| (p, w))) {
            Some((place, "SCTP")) => {
                place.error("SCTP is not supported on the board yet");
                continue;
            }
            Some((_, word)) => word == "UDP",
            None => false,
        };
        let name = object.get("name").filter(|name| name.text() != Some("")).and_then(|name| port_name(&name));
        if let Some(name) = name.filter(|name| named.iter().any(|(taken, _)| taken == name)) {
            place.error(format!("the name {} is taken by another port of this container", place.quoted(name)));
        }
        // As Go has it, 0 is what nobody has set.
        let host = object.get("hostPort").filter(|host| host.word() != Some("0"));
        let published = host.and_then(|host| Some((host, number("hostPort")?)));
        let declared = object.require("containerPort");
        let Some(port) = declared.and_then(|_| number("containerPort")) else {
            continue;
        };
        named.extend(name.map(|name| (name, port)));
        if let Some((host, published)) = published {
            if !host_network {
                host.error("not supported on the board yet: use hostNetwork: true to serve on the board's address");
            } else if published != port {
                host.error(format!("must be the containerPort {port}, for the pod has hostNetwork: true"));
            }
        }
        let port = Port { container: port, udp };
        if ports.contains(&port) {
            place.warning(format!("the port {} is declared twice in this container", show(port)));
            continue;
        }
        ports.push(port);
    }
    Ports { all: ports, named }
}

/// An IANA service name: what Kubernetes takes as the name of a port.
fn port_name<'a>(place: &Place<'a>) -> Option<&'a str> {
    let name = place.text()?;
    let legal = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let ends = !name.starts_with('-') && !name.ends_with('-') && !name.contains("--");
    if !(legal && ends && (1..=15).contains(&name.len()) && name.bytes().any(|b| b.is_ascii_lowercase())) {
        place.error(format!(
            "{} is not the name of a port: at most 15 of a-z, 0-9 and -, with a letter",
            place.quoted(name)
        ));
        return None;
    }
    Some(name)
}

/// `8080/TCP`.
fn show(port: Port) -> String {
    format!("{}/{}", port.container, if port.udp { "UDP" } else { "TCP" })
}

/// Spec 22: two containers that run at the same time cannot bind the same port. Like Kubernetes, this warns where the ports are the pod's
/// own, for a declaration binds nothing; on the node's network it is an error, which [`check_node`] says.
pub(super) fn check_pod(host_network: bool, containers: &[(Place<'_>, Container<'_>)]) {
    let mut taken: BTreeMap<(u16, bool), &str> = BTreeMap::new();
    for (place, container) in containers.iter().filter(|(_, c)| !host_network && c.kind != ContainerKind::Init) {
        for port in container.ports {
            match taken.get(&(port.container, port.udp)) {
                Some(first) => place.warning(format!(
                    "the port {} is declared by {first} as well: only one of them can bind it",
                    show(port)
                )),
                None => drop(taken.insert((port.container, port.udp), place.path())),
            }
        }
    }
}

/// Failure F28: on the node's network a port belongs to one container of all pods.
pub(super) fn check_node(cx: &Context<'_>, found: &[PodObject<'_>], pods: &[Pod<'_>]) {
    let mut taken: BTreeMap<(u16, bool), (Span, String, Option<Owner<'_>>)> = BTreeMap::new();
    for (object, pod) in found.iter().zip(pods).filter(|(_, pod)| pod.sharing.host_network) {
        for (index, container) in pod.containers.iter().enumerate().filter(|(_, c)| c.kind != ContainerKind::Init) {
            let place = container_place(object, pod, index).unwrap_or_else(|| object.place.clone());
            for port in container.ports {
                let cron_job = object.meta.given.cron_job();
                if let Some((first, name, owner)) = taken.get(&(port.container, port.udp)) {
                    if cron_job.is_some() && cron_job == *owner {
                        continue;
                    }
                    let first = cx.sources.place(*first);
                    place.error(format!(
                        "the port {} of the board is taken by the container {name} at {first}",
                        show(port)
                    ));
                } else {
                    let name = format!("{}/{}", pod.name, container.name);
                    taken.insert((port.container, port.udp), (place.at(), name, cron_job));
                }
            }
        }
    }
}

/// Where the container at `index` of a lowered pod was written.
fn container_place<'a>(object: &PodObject<'a>, pod: &Pod<'_>, index: usize) -> Option<Place<'a>> {
    let spec = object.spec.as_ref()?;
    let places = |name| spec.get(name).map(|list| list.list(limits::CONTAINERS)).unwrap_or_default();
    let apps = pod.containers.iter().filter(|c| c.kind == ContainerKind::App).count();
    match index.checked_sub(pod.containers.len() - apps) {
        Some(app) => places("containers").into_iter().nth(app),
        None => places("initContainers").into_iter().nth(index),
    }
}
