//! The check of a container's probes and hooks.

use super::pod::{command, grace};
use super::{At, Checked, Problem, rule};
use crate::manifest::limits;
use crate::manifest::pod::{Container, ContainerKind, Hook};
use crate::manifest::probe::{Action, HttpGet, Probe, ProbeKind, Timing};

pub(super) fn hook<'a>(at: &At<'_, 'a>, hook: Option<Hook<'a>>) -> Checked {
    match hook {
        None => Ok(()),
        Some(Hook::Exec(words)) => command(&at.field("exec.command"), words),
        Some(Hook::Sleep(seconds)) => grace(&at.field("sleep.seconds"), seconds),
        Some(Hook::HttpGet(get)) => http_get(&at.field("httpGet"), &get),
    }
}

pub(super) fn probes<'a>(at: &At<'_, 'a>, container: &Container<'a>) -> Checked {
    let mut last = None;
    at.list(container.probes, limits::PROBES, |at, probe| {
        if container.kind == ContainerKind::Init {
            return Err(at.fail(Problem::Field("an init container has no probes: only app containers and sidecars do")));
        }
        if last >= Some(probe.kind) {
            return Err(at.fail(Problem::Field("is there twice, or in the wrong place")));
        }
        last = Some(probe.kind);
        one(at, &probe)
    })?;
    Ok(())
}

fn one<'a>(at: &At<'_, 'a>, probe: &Probe<'a>) -> Checked {
    let Timing { delay_seconds, period_seconds, timeout_seconds, successes, failures, grace_seconds } = probe.timing;
    let most = u64::from(limits::PROBE_NUMBER);
    let number = |name, number: u32, least| at.field(name).number(number.into(), least..=most, "is out of its range");
    number("initialDelaySeconds", delay_seconds, 0)?;
    number("periodSeconds", period_seconds, 1)?;
    number("timeoutSeconds", timeout_seconds, 1)?;
    number("successThreshold", successes, 1)?;
    number("failureThreshold", failures, 1)?;
    if probe.kind != ProbeKind::Readiness && successes != 1 {
        return Err(at.field("successThreshold").fail(Problem::Field("must be 1 but for readiness")));
    }
    match grace_seconds {
        Some(_) if probe.kind == ProbeKind::Readiness => {
            let says = "must not be set for a readiness probe, which ends nothing";
            return Err(at.field("terminationGracePeriodSeconds").fail(Problem::Field(says)));
        }
        Some(seconds) => number("terminationGracePeriodSeconds", seconds, 1)?,
        None => {}
    }
    match probe.action {
        Action::Exec(words) => command(&at.field("exec.command"), words),
        Action::HttpGet(get) => http_get(&at.field("httpGet"), &get),
        Action::TcpSocket { host, port: number } => {
            let at = at.field("tcpSocket");
            at.field("host").text(host, rule::PROBE_HOST)?;
            at.field("port").port(number)
        }
        Action::Grpc { port: number, service } => {
            let at = at.field("grpc");
            at.field("service").length(service, limits::HTTP_TEXT)?;
            at.field("port").port(number)
        }
    }
}

fn http_get<'a>(at: &At<'_, 'a>, get: &HttpGet<'a>) -> Checked {
    at.field("host").text(get.host, rule::PROBE_HOST)?;
    at.field("port").port(get.port)?;
    at.field("path").text(get.path, rule::HTTP_PATH)?;
    at.field("httpHeaders").list(get.headers, limits::HTTP_HEADERS, |at, header| {
        at.field("name").text(header.key, rule::HTTP_NAME)?;
        at.field("value").text(header.value, rule::HTTP_VALUE)
    })?;
    Ok(())
}
