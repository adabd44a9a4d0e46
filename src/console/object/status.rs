//! `status`. Dates are left out as long as the board's clock is not set.

use super::{StatusView, text};
use crate::console::emit::{Emit, Kind};
use crate::console::view::{ContainerView, GateView};
use crate::manifest::pod::{Container, Pod};
use crate::manifest::status::{ContainerState, Reason, Terminated};
use crate::manifest::time::Instant;
use core::fmt;

/// A key and its date, where there is one.
pub(super) fn date(emit: &mut dyn Emit, key: &str, status: &StatusView<'_>, moment: Option<Instant>) -> fmt::Result {
    match moment.and_then(|moment| status.scene.clock.date(moment)) {
        Some(date) => text(emit, key, format_args!("{date}")),
        None => Ok(()),
    }
}

pub(super) fn status(emit: &mut dyn Emit, pod: &Pod<'_>, status: &StatusView<'_>) -> fmt::Result {
    emit.begin("status", Kind::Map)?;
    emit.begin("conditions", Kind::List)?;
    for condition in &status.conditions {
        emit.open(Kind::Map)?;
        date(emit, "lastTransitionTime", status, Some(condition.since))?;
        let message = status.message(pod, condition);
        if !message.is_empty() {
            emit.pair("message", &message)?;
        }
        if !condition.reason.is_empty() {
            emit.pair("reason", condition.reason)?;
        }
        emit.pair("status", if condition.status { "True" } else { "False" })?;
        emit.pair("type", condition.kind.as_str())?;
        emit.close()?;
    }
    status.gates.iter().try_for_each(|it| gate(emit, it, status))?;
    emit.close()?;
    if status.knows_containers() {
        containers(emit, "containerStatuses", pod, status, false)?;
    }
    if !status.ephemeral.is_empty() {
        emit.begin("ephemeralContainerStatuses", Kind::List)?;
        let views = status.containers.iter().skip(pod.containers.len());
        status.ephemeral.iter().zip(views).try_for_each(|(it, view)| one(emit, &it.container, view, status))?;
        emit.close()?;
    }
    if let Some(ip) = status.scene.node_ip {
        address(emit, "hostIP", ip)?;
    }
    if status.knows_containers() {
        containers(emit, "initContainerStatuses", pod, status, true)?;
    }
    if let Some(verdict) = status.verdict {
        emit.pair("message", &verdict.message(pod))?;
    }
    emit.pair("phase", status.phase.as_str())?;
    if let Some(ip) = status.ip {
        address(emit, "podIP", ip)?;
        emit.begin("podIPs", Kind::List)?;
        emit.open(Kind::Map)?;
        address(emit, "ip", ip)?;
        emit.close()?;
        emit.close()?;
    }
    emit.pair("qosClass", pod.qos().as_str())?;
    if let Some(verdict) = status.verdict {
        emit.pair("reason", verdict.as_str())?;
    }
    date(emit, "startTime", status, Some(status.created))?;
    emit.close()
}

/// The condition of a readiness gate, where somebody has set it.
fn gate(emit: &mut dyn Emit, gate: &GateView<'_>, status: &StatusView<'_>) -> fmt::Result {
    let Some(condition) = gate.condition else {
        return Ok(());
    };
    emit.open(Kind::Map)?;
    date(emit, "lastTransitionTime", status, Some(condition.since))?;
    for (key, text) in [("message", condition.message), ("reason", condition.reason)] {
        if !text.is_empty() {
            emit.pair(key, text)?;
        }
    }
    emit.pair("status", gate.status())?;
    emit.pair("type", gate.name)?;
    emit.close()
}

fn address(emit: &mut dyn Emit, key: &str, ip: [u8; 4]) -> fmt::Result {
    text(emit, key, core::net::Ipv4Addr::from(ip))
}

fn containers(emit: &mut dyn Emit, key: &str, pod: &Pod<'_>, status: &StatusView<'_>, init: bool) -> fmt::Result {
    let both = pod.containers.iter().zip(&status.containers);
    let mut chosen = both.filter(|(c, _)| init == c.kind.is_init()).peekable();
    if chosen.peek().is_none() {
        return Ok(());
    }
    emit.begin(key, Kind::List)?;
    for (container, view) in chosen {
        one(emit, &container, view, status)?;
    }
    emit.close()
}

fn one(
    emit: &mut dyn Emit,
    container: &Container<'_>,
    view: &ContainerView<'_>,
    status: &StatusView<'_>,
) -> fmt::Result {
    emit.open(Kind::Map)?;
    emit.pair("image", container.image)?;
    emit.begin("lastState", Kind::Map)?;
    if let Some(end) = &view.last {
        terminated(emit, end, view.last_words, status)?;
    }
    emit.close()?;
    emit.pair("name", container.name)?;
    emit.number("ready", &view.ready)?;
    emit.number("restartCount", &view.restarts)?;
    emit.number("started", &view.started)?;
    emit.begin("state", Kind::Map)?;
    match &view.state {
        ContainerState::Waiting(reason) => waiting(emit, *reason, view.message)?,
        ContainerState::Running(since) => {
            emit.begin("running", Kind::Map)?;
            date(emit, "startedAt", status, Some(*since))?;
            emit.close()?;
        }
        ContainerState::Terminated(end) => terminated(emit, end, view.said(), status)?,
    }
    emit.close()?;
    emit.close()
}

fn waiting(emit: &mut dyn Emit, reason: Reason, message: &str) -> fmt::Result {
    emit.begin("waiting", Kind::Map)?;
    if !message.is_empty() {
        emit.pair("message", message)?;
    }
    emit.pair("reason", reason.as_str())?;
    emit.close()
}

fn terminated(emit: &mut dyn Emit, end: &Terminated, message: &str, status: &StatusView<'_>) -> fmt::Result {
    emit.begin("terminated", Kind::Map)?;
    emit.number("exitCode", &end.exit.code)?;
    date(emit, "finishedAt", status, Some(end.finished))?;
    if !message.is_empty() {
        emit.pair("message", message)?;
    }
    emit.pair("reason", end.reason.as_str())?;
    if end.exit.signal != 0 {
        emit.number("signal", &end.exit.signal)?;
    }
    date(emit, "startedAt", status, end.started)?;
    emit.close()
}
