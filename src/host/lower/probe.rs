//! Probes and hooks: the API server's defaults and its validation.

use super::Context;
use super::container::words;
use super::env::Environment;
use super::pod::Shared;
use super::ports::Ports;
use crate::host::read::{Object, Place};
use crate::host::schema;
use crate::manifest::limits;
use crate::manifest::pod::{ContainerKind, Hook, Pair};
use crate::manifest::probe::{Action, HttpGet, Probe, ProbeKind, Scheme, Timing};
use core::net::IpAddr;
use std::format;
use std::prelude::v1::*;

/// What is said of both on an init container.
const NOT_FOR_INIT: &str =
    "must not be set for an init container: only app containers and sidecars (restartPolicy: Always) have it";

/// The probes of a container, in their order.
pub(super) fn probes<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    object: &Object<'a>,
    kind: ContainerKind,
    environment: &Environment<'c>,
    ports: &Ports<'_>,
) -> Vec<Probe<'c>> {
    let mut probes = Vec::new();
    let fields = [
        (ProbeKind::Startup, "startupProbe"),
        (ProbeKind::Liveness, "livenessProbe"),
        (ProbeKind::Readiness, "readinessProbe"),
    ];
    for (probe, name) in fields {
        let Some(place) = object.get(name) else { continue };
        if kind == ContainerKind::Init {
            place.error(NOT_FOR_INIT);
            continue;
        }
        let Some(found) = place.object(&schema::PROBE) else { continue };
        let timing = timing(&found, probe);
        if let Some(action) = action(cx, &found, environment, ports) {
            probes.push(Probe { kind: probe, timing, action });
        }
    }
    probes
}

/// The numbers. As with the API server, 0 asks for the default.
fn timing(probe: &Object<'_>, kind: ProbeKind) -> Timing {
    let least = Timing::default();
    let number = |name, default: u32| {
        let given = probe.get(name).and_then(|place| place.integer(0..=i64::from(limits::PROBE_NUMBER)));
        given.and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0).unwrap_or(default)
    };
    let successes = number("successThreshold", least.successes);
    if let Some(place) = probe.get("successThreshold").filter(|_| kind != ProbeKind::Readiness && successes != 1) {
        place.error(format!("must be 1 for a {} probe", kind.as_str().to_lowercase()));
    }
    let grace = probe.get("terminationGracePeriodSeconds").and_then(|place| {
        if kind == ProbeKind::Readiness {
            place.error("must not be set for readinessProbes");
            return None;
        }
        u32::try_from(place.integer(1..=i64::from(limits::GRACE_SECONDS))?).ok()
    });
    Timing {
        delay_seconds: number("initialDelaySeconds", least.delay_seconds),
        period_seconds: number("periodSeconds", least.period_seconds),
        timeout_seconds: number("timeoutSeconds", least.timeout_seconds),
        successes,
        failures: number("failureThreshold", least.failures),
        grace_seconds: grace,
    }
}

/// The one handler that `object` has of these.
fn handler<'a>(object: &Object<'a>, names: &[&'static str]) -> Option<(&'static str, Place<'a>)> {
    let mut given = names.iter().filter_map(|name| Some((*name, object.get(name)?)));
    let first = given.next();
    if let Some((_, second)) = given.next() {
        second.error("may not specify more than 1 handler type");
    }
    if first.is_none() && !object.has_refused() {
        object.place.error(format!("must specify a handler type: one of {}", names.join(", ")));
    }
    first
}

fn action<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    probe: &Object<'a>,
    environment: &Environment<'c>,
    ports: &Ports<'_>,
) -> Option<Action<'c>> {
    let (name, place) = handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"])?;
    match name {
        "exec" => {
            let command = place.object(&schema::EXEC)?.require("command")?;
            let words = words(cx, environment, Some(command.clone()));
            if words.is_none() && command.is_list() {
                command.error("needs a program to run");
            }
            words.map(Action::Exec)
        }
        "httpGet" => http_get(cx, &place, ports).map(Action::HttpGet),
        "tcpSocket" => {
            let socket = place.object(&schema::TCP_SOCKET)?;
            let (host, port) = (host(cx, &socket), port(&socket, ports));
            Some(Action::TcpSocket { host: host?, port: port? })
        }
        _ => {
            let grpc = place.object(&schema::GRPC)?;
            let service = grpc.get("service").and_then(|place| bounded(&place)).unwrap_or_default();
            let port = grpc.require("port")?.integer(1..=65535)?;
            Some(Action::Grpc { port: u16::try_from(port).ok()?, service: cx.arena.str(service) })
        }
    }
}

/// `httpGet` of a probe or of a hook.
fn http_get<'c, 'a: 'c>(cx: &'c Context<'a>, place: &Place<'a>, ports: &Ports<'_>) -> Option<HttpGet<'c>> {
    let object = place.object(&schema::HTTP_GET)?;
    let scheme = match object.get("scheme").and_then(|scheme| scheme.choice(&["HTTP", "HTTPS"])) {
        Some("HTTPS") => Scheme::Https,
        _ => Scheme::Http,
    };
    let headers: Vec<Pair<'c>> = object
        .get("httpHeaders")
        .iter()
        .flat_map(|list| list.list(limits::HTTP_HEADERS))
        .filter_map(|place| {
            let header = place.object(&schema::HTTP_HEADER)?;
            let (name, value) = (header.require("name"), header.require("value"));
            let (key, text) = (name.as_ref().and_then(bounded), value.as_ref().and_then(bounded));
            let (name, value, key, text) = (name?, value?, key?, text?);
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                name.error(format!("{} is not the name of an HTTP header: A-Z, a-z, 0-9 and -", name.quoted(key)));
            }
            if text.chars().any(char::is_control) {
                value.error("must hold no line break and no other control character");
            }
            Some(Pair { key: cx.arena.str(key), value: cx.arena.str(text) })
        })
        .collect();
    let path = match object.get("path") {
        None => "/",
        Some(place) => {
            let text = bounded(&place)?;
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                place.error(format!("{} is not the path of a URL: printable ASCII without blanks", place.quoted(text)));
            }
            match text.starts_with('/') {
                true => cx.arena.str(text),
                false => cx.arena.str(&format!("/{text}")),
            }
        }
    };
    let (host, port) = (host(cx, &object), port(&object, ports));
    Some(HttpGet { host: host?, port: port?, path, headers: cx.arena.list(headers), scheme })
}

fn bounded<'a>(place: &Place<'a>) -> Option<&'a str> {
    let text = place.text()?;
    if text.len() >= limits::HTTP_TEXT {
        place.error(format!("a text of {} bytes: at most {} are possible", text.len(), limits::HTTP_TEXT - 1));
        return None;
    }
    Some(text)
}

/// `host`: the pod itself where there is none, else an address, since a board asks no name server for it.
fn host<'c>(cx: &'c Context<'_>, object: &Object<'_>) -> Option<&'c str> {
    let Some(place) = object.get("host") else { return Some("") };
    match place.text()? {
        "" => Some(""),
        "localhost" => Some("127.0.0.1"),
        text if text.parse::<IpAddr>().is_ok() => Some(cx.arena.str(text)),
        text => {
            place.error(format!("{} is not an IP address; leave it out for the pod itself", place.quoted(text)));
            None
        }
    }
}

/// `port`, by number or by the name of one of the container's own ports.
fn port(object: &Object<'_>, ports: &Ports<'_>) -> Option<u16> {
    let place = object.require("port")?;
    let word = place.word()?;
    if word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return u16::try_from(place.integer(1..=65535)?).ok();
    }
    let found = ports.named.iter().find(|(name, _)| *name == word);
    if found.is_none() {
        let hint = match ports.named.is_empty() {
            true => String::new(),
            false => crate::host::read::did_you_mean(crate::host::suggest::nearest(
                word,
                ports.named.iter().map(|(name, _)| *name),
            )),
        };
        place.error(format!("{} is not the name of a port of this container{hint}", place.quoted(word)));
    }
    found.map(|(_, port)| *port)
}

/// `lifecycle.postStart` and `lifecycle.preStop` (spec 69).
pub(super) fn hooks<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    pod: &Shared<'_>,
    object: &Object<'a>,
    kind: ContainerKind,
    ports: &Ports<'_>,
) -> [Option<Hook<'c>>; 2] {
    let Some(place) = object.get("lifecycle") else { return [None; 2] };
    if kind == ContainerKind::Init {
        place.error(NOT_FOR_INIT);
        return [None; 2];
    }
    let Some(lifecycle) = place.object(&schema::LIFECYCLE) else { return [None; 2] };
    ["postStart", "preStop"].map(|name| hook(cx, pod, &lifecycle.get(name)?, ports))
}

fn hook<'c, 'a: 'c>(cx: &'c Context<'a>, pod: &Shared<'_>, hook: &Place<'a>, ports: &Ports<'_>) -> Option<Hook<'c>> {
    let object = hook.object(&schema::HANDLER)?;
    let (name, place) = handler(&object, &["exec", "httpGet", "sleep"])?;
    match name {
        "exec" => {
            let command = place.object(&schema::EXEC)?.require("command")?;
            let words = command.texts(limits::ARGS);
            if words.is_empty() && command.is_list() {
                command.error("needs a program to run");
            }
            Some(Hook::Exec(cx.arena.list(words)))
        }
        "httpGet" => http_get(cx, &place, ports).map(Hook::HttpGet),
        _ => {
            let seconds = place.object(&schema::SLEEP)?.require("seconds")?;
            let number = seconds.integer(0..=i64::from(pod.grace_seconds));
            Some(Hook::Sleep(u32::try_from(number?).ok()?))
        }
    }
}
