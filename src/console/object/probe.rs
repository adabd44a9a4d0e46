//! Probes and hooks of a container.

use super::container::expanded;
use super::{named, words};
use crate::console::emit::{Emit, Kind};
use crate::manifest::pod::{Container, Hook};
use crate::manifest::probe::{Action, HttpGet, Probe, ProbeKind};
use core::fmt;

/// `lifecycle`, where there is a hook.
pub(super) fn lifecycle(emit: &mut dyn Emit, container: &Container<'_>) -> fmt::Result {
    if container.post_start.is_none() && container.pre_stop.is_none() && container.stop_signal.is_none() {
        return Ok(());
    }
    emit.begin("lifecycle", Kind::Map)?;
    for (name, hook) in [("postStart", container.post_start), ("preStop", container.pre_stop)] {
        let Some(hook) = hook else { continue };
        emit.begin(name, Kind::Map)?;
        match hook {
            Hook::Exec(command) => {
                emit.begin("exec", Kind::Map)?;
                words(emit, "command", command)?;
                emit.close()?;
            }
            Hook::Sleep(seconds) => {
                emit.begin("sleep", Kind::Map)?;
                emit.number("seconds", &seconds)?;
                emit.close()?;
            }
            Hook::HttpGet(get) => http_get(emit, &get)?,
        }
        emit.close()?;
    }
    container.stop_signal.map_or(Ok(()), |signal| emit.pair("stopSignal", signal.name))?;
    emit.close()
}

/// The probe of one kind, where there is one.
pub(super) fn probe(emit: &mut dyn Emit, container: &Container<'_>, kind: ProbeKind) -> fmt::Result {
    let Some(Probe { timing, action, .. }) = container.probes.iter().find(|probe| probe.kind == kind) else {
        return Ok(());
    };
    let name = match kind {
        ProbeKind::Startup => "startupProbe",
        ProbeKind::Liveness => "livenessProbe",
        ProbeKind::Readiness => "readinessProbe",
    };
    emit.begin(name, Kind::Map)?;
    if let Action::Exec(command) = action {
        emit.begin("exec", Kind::Map)?;
        expanded(emit, container, "command", command)?;
        emit.close()?;
    }
    emit.number("failureThreshold", &timing.failures)?;
    match action {
        Action::Grpc { port, service } => {
            emit.begin("grpc", Kind::Map)?;
            emit.number("port", &port)?;
            emit.pair("service", service)?;
            emit.close()?;
        }
        Action::HttpGet(get) => http_get(emit, &get)?,
        Action::Exec(_) | Action::TcpSocket { .. } => {}
    }
    if timing.delay_seconds != 0 {
        emit.number("initialDelaySeconds", &timing.delay_seconds)?;
    }
    emit.number("periodSeconds", &timing.period_seconds)?;
    emit.number("successThreshold", &timing.successes)?;
    if let Action::TcpSocket { host, port } = action {
        emit.begin("tcpSocket", Kind::Map)?;
        address(emit, host)?;
        emit.number("port", &port)?;
        emit.close()?;
    }
    if let Some(seconds) = timing.grace_seconds {
        emit.number("terminationGracePeriodSeconds", &seconds)?;
    }
    emit.number("timeoutSeconds", &timing.timeout_seconds)?;
    emit.close()
}

fn http_get(emit: &mut dyn Emit, get: &HttpGet<'_>) -> fmt::Result {
    emit.begin("httpGet", Kind::Map)?;
    address(emit, get.host)?;
    named(emit, "httpHeaders", get.headers)?;
    emit.pair("path", get.path)?;
    emit.number("port", &get.port)?;
    emit.pair("scheme", get.scheme.word())?;
    emit.close()
}

fn address(emit: &mut dyn Emit, host: &str) -> fmt::Result {
    if host.is_empty() { Ok(()) } else { emit.pair("host", host) }
}
