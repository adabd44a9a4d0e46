//! One container: its program, and what belongs to it alone.

use super::Context;
use super::env::{self, Environment};
use super::mounts;
use super::names;
use super::pod::Shared;
use super::{ports, resources, security};
use crate::host::read::{Object, Place};
use crate::host::schema;
use crate::manifest::pod::{Container, ContainerKind, Hook};
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
    let kind = kind(object, app);
    let environment = env::lower(cx, pod, object);
    let working_dir = object.get("workingDir").filter(|p| p.text() != Some(""));
    pull_policy(object, "imagePullPolicy");
    Container {
        name: object.require("name").and_then(|name| names::label(&name)).unwrap_or_default(),
        kind,
        image: image_name(cx, object),
        command: words(cx, &environment, object.get("command")),
        args: words(cx, &environment, object.get("args")),
        working_dir: working_dir.and_then(|p| names::absolute(&p)).map(|path| cx.arena.str(&path)),
        env: cx.arena.list(environment.iter()),
        ports: cx.arena.list(ports::lower(object, pod.host_network)),
        mounts: cx.arena.list(mounts::lower(cx, &pod.volumes, object, &environment)),
        resources: resources::container(object),
        security: security::container(cx, pod, object),
        pre_stop: pre_stop(cx, pod, object, kind),
        facts: cx.arena.list(environment.facts()),
    }
}

/// Spec 36: an init container with `restartPolicy: Always` is a sidecar.
fn kind(object: &Object<'_>, app: bool) -> ContainerKind {
    let own = object
        .get("restartPolicy")
        .and_then(|place| Some((place.clone(), place.one_of(&["Always", "OnFailure", "Never"])?)));
    match own {
        None if app => ContainerKind::App,
        None => ContainerKind::Init,
        Some((_, "Always")) if !app => ContainerKind::Sidecar,
        Some((place, _)) if app => {
            place.error("not supported on the board yet: set spec.restartPolicy for all containers of the pod");
            ContainerKind::App
        }
        Some((place, _)) => {
            place.error("not supported on the board yet: an init container has none, or Always to be a sidecar");
            ContainerKind::Init
        }
    }
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
    if place.one_of(&["IfNotPresent", "Never", "Always"]) == Some("Always") {
        place.warning("a board pulls no images: it runs the one that was packed with `podling pack`");
    }
}

/// `command` or `args`, with the container's variables put in.
fn words<'c>(cx: &'c Context<'_>, environment: &Environment<'c>, list: Option<Place<'_>>) -> Option<List<'c, &'c str>> {
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

/// Spec 69.
fn pre_stop<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    pod: &Shared<'_>,
    object: &Object<'a>,
    kind: ContainerKind,
) -> Option<Hook<'c>> {
    let lifecycle = object.get("lifecycle")?;
    if kind == ContainerKind::Init {
        lifecycle.error("an init container has no lifecycle: only app containers and sidecars do");
        return None;
    }
    let hook = lifecycle.object(&schema::LIFECYCLE)?.get("preStop")?;
    let handler = hook.object(&schema::HANDLER)?;
    match (handler.get("exec"), handler.get("sleep")) {
        (Some(exec), None) => {
            let command = exec.object(&schema::EXEC)?.require("command")?;
            let words = command.texts(limits::ARGS);
            if words.is_empty() && command.is_list() {
                command.error("needs a program to run");
            }
            Some(Hook::Exec(cx.arena.list(words)))
        }
        (None, Some(sleep)) => {
            let seconds = sleep.object(&schema::SLEEP)?.require("seconds")?;
            let number = seconds.integer(0..=i64::from(pod.grace_seconds));
            Some(Hook::Sleep(u32::try_from(number?).ok()?))
        }
        (Some(_), Some(_)) => {
            hook.error("exec or sleep, not both");
            None
        }
        (None, None) => {
            if !handler.has_refused() {
                hook.error("needs exec or sleep");
            }
            None
        }
    }
}
