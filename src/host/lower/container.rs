//! One container: its program, and what belongs to it alone.

use super::Context;
use super::confine;
use super::env::{self, Environment};
use super::mounts;
use super::names;
use super::pod::Shared;
use super::{ports, probe, resources, restart, security};
use crate::host::read::{Object, Place};
use crate::host::record::signal;
use crate::manifest::pod::{Container, MessagePolicy, StopSignal};
use crate::manifest::terminal::Stdin;
use crate::manifest::{List, image, limits};
use std::format;
use std::prelude::v1::*;

/// Lowers a container of `spec.containers` (`app`) or of `spec.initContainers`.
pub(super) fn lower<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    pod: &Shared<'c>,
    object: &Object<'a>,
    app: bool,
) -> Container<'c> {
    let (kind, restart_policy) = restart::policy(object, app);
    let environment = env::lower(cx, pod, object);
    let working_dir = object.get("workingDir").filter(|p| p.text() != Some(""));
    pull_policy(object, "imagePullPolicy");
    let ports = ports::lower(object, pod.host_network);
    let resources = resources::container(object, &cx.defaults(pod.meta.namespace));
    cx.bound_container(pod.meta.namespace, object, &resources);
    let [post_start, pre_stop] = probe::hooks(cx, pod, object, kind, &ports);
    Container {
        name: object.require("name").and_then(|name| names::label(&name)).unwrap_or_default(),
        kind,
        image: image_name(cx, object),
        command: words(cx, &environment, object.get("command")),
        args: words(cx, &environment, object.get("args")),
        working_dir: working_dir.and_then(|p| names::absolute(&p)).map(|path| cx.arena.str(&path)),
        env: cx.arena.list(environment.iter()),
        ports: cx.arena.list(ports.all.iter().copied()),
        mounts: cx.arena.list(mounts::lower(cx, &pod.volumes, object, &environment)),
        resources,
        security: security::container(pod, object),
        pre_stop,
        stop_signal: stop_signal(cx, object),
        post_start,
        probes: cx.arena.list(probe::probes(cx, object, kind, &environment, &ports)),
        message_path: message_path(cx, object),
        message_policy: message_policy(object),
        restart_policy,
        restart_rules: restart::rules(cx, object),
        facts: cx.arena.list(environment.facts()),
        confinement: confine::container(cx, pod, object),
        stdin: stdin(object),
        tty: object.flag("tty").unwrap_or(false),
        resize: restart::resize(object),
    }
}

/// `lifecycle.stopSignal`; what is wrong with the rest of it is said elsewhere.
fn stop_signal<'c>(cx: &'c Context<'_>, object: &Object<'_>) -> Option<StopSignal<'c>> {
    let fields = object.get("lifecycle").filter(Place::is_map)?.map(usize::MAX);
    let (_, place) = fields.into_iter().find(|(key, _)| *key == "stopSignal")?;
    let name = place.text()?;
    let Some(number) = signal(name).filter(|_| name.starts_with("SIG")) else {
        place.error(format!("{} is no signal: SIGTERM is one, or SIGUSR1", place.quoted(name)));
        return None;
    };
    Some(StopSignal { name: cx.arena.str(name), number })
}

fn image_name<'c>(cx: &'c Context<'_>, object: &Object<'_>) -> &'c str {
    let Some(place) = object.require("image") else {
        return "";
    };
    reference(cx, &place).unwrap_or_default()
}

/// An image reference in full.
pub(super) fn reference<'c>(cx: &'c Context<'_>, place: &Place<'_>) -> Option<&'c str> {
    let text = place.text()?;
    let full = image::normalise(text);
    if full.is_none() {
        let most = limits::IMAGE;
        place.error(format!(
            "{} is not an image reference: registry/name:tag, at most {most} bytes",
            place.quoted(text)
        ));
    }
    full.map(|full| cx.arena.str(&full))
}

/// Images are packed on the workstation: nothing is ever pulled, so that IfNotPresent and Never come out the same.
pub(super) fn pull_policy(object: &Object<'_>, field: &'static str) {
    let Some(place) = object.get(field) else {
        return;
    };
    if place.choice(&["IfNotPresent", "Never", "Always"]) == Some("Always") {
        place.warning("a board pulls no images: it runs the one that was packed with `podling pack`");
    }
}

/// `command` or `args`, with the container's variables put in.
pub(super) fn words<'c>(
    cx: &'c Context<'_>,
    environment: &Environment<'c>,
    list: Option<Place<'_>>,
) -> Option<List<'c, &'c str>> {
    let places = list?.list(limits::ARGS);
    // As in Kubernetes, an empty list says no more than none.
    if places.is_empty() {
        return None;
    }
    Some(cx.arena.list(places.iter().map(|place| {
        let text = place.text().unwrap_or_default();
        let Some(expanded) = environment.expand(text) else {
            place.error(format!("with its variables this is longer than {} bytes", limits::STRING));
            return "";
        };
        if expanded.secret {
            place.warning("holds the value of a Secret, which `ps` and `get -o yaml` will show: hand it over as a variable or a file");
        }
        if cx.afford(place, expanded.text.len()) { cx.arena.str(&expanded.text) } else { "" }
    })))
}

/// As in Kubernetes, an empty path says no more than none.
fn message_path<'c>(cx: &'c Context<'_>, object: &Object<'_>) -> &'c str {
    let place = object.get("terminationMessagePath").filter(|p| p.text() != Some(""));
    let path = place.and_then(|place| {
        let path = names::absolute(&place)?;
        if path == "/" {
            place.error("is the root itself: it must be the path of a file");
        }
        Some(path)
    });
    path.map_or(Container::MESSAGE_PATH, |path| cx.arena.str(&path))
}

/// As in Kubernetes, `stdinOnce` says nothing by itself.
fn stdin(object: &Object<'_>) -> Stdin {
    let once = object.flag("stdinOnce").unwrap_or(false);
    match (object.flag("stdin").unwrap_or(false), once) {
        (true, true) => Stdin::Once,
        (true, false) => Stdin::Kept,
        (false, once) => {
            if let Some(place) = object.get("stdinOnce").filter(|_| once) {
                place.warning("has an effect only with stdin: true");
            }
            Stdin::None
        }
    }
}

fn message_policy(object: &Object<'_>) -> MessagePolicy {
    match object.get("terminationMessagePolicy").and_then(|p| p.choice(&["File", "FallbackToLogsOnError"])) {
        Some("FallbackToLogsOnError") => MessagePolicy::FallbackToLogsOnError,
        _ => MessagePolicy::File,
    }
}
