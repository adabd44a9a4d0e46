//! `describe pod`: all that is known of a pod, laid out as kubectl does.

use super::sheet::Sheet;
use super::{Done, Io, each, tell_missing};
use crate::console::board::{Board, Seen};
use crate::console::clock::Age;
use crate::console::grammar::Scope;
use crate::console::object::{Bytes, Cpu, REDACTED, host_path_kind, priority_class};
use crate::console::table::Table;
use crate::console::view::{ContainerView, StatusView};
use crate::manifest::List;
use crate::manifest::fact::{self, Fact, Piece};
use crate::manifest::huge::HugePages;
use crate::manifest::pod::{Container, ContainerKind, Content, EnvVar, Pair, Pod, Port, Projection, Source, Volume};
use crate::manifest::probe::{Action, ProbeKind, Timing};
use crate::manifest::status::{ContainerState, Terminated};
use crate::manifest::time::Instant;
use crate::manifest::volume::Disk;
use core::iter;
use std::format;
use std::net::Ipv4Addr;
use std::prelude::v1::*;
use std::string::ToString;

pub(super) async fn pods(board: &dyn Board, scope: &Scope, names: &[String], io: &Io) -> Done {
    let mut texts = Vec::new();
    let missing =
        each(board, scope, names, &mut |seen| texts.push((seen.pod.namespace.into(), seen.pod.name.into(), pod(seen))));
    for (n, (namespace, name, mut text)) in texts.into_iter().enumerate() {
        if n > 0 {
            io.out("\n\n").await;
        }
        events(board, namespace, name, &mut text);
        io.out(&text).await;
    }
    Ok(tell_missing(&missing, io).await)
}

fn pod(seen: &Seen<'_>) -> String {
    let (pod, status) = (seen.pod, &seen.status);
    let mut sheet = Sheet::default();
    heading(&mut sheet, seen);
    let sections = [
        ("Init Containers", &[ContainerKind::Init, ContainerKind::Sidecar][..]),
        ("Containers", &[ContainerKind::App]),
        ("Ephemeral Containers", &[ContainerKind::Ephemeral]),
    ];
    for (title, kinds) in sections {
        let both = seen.containers().zip(&status.containers);
        let mut chosen = both.filter(|(c, _)| kinds.contains(&c.kind)).peekable();
        if chosen.peek().is_some() {
            sheet.head(0, title);
        }
        chosen.for_each(|(c, view)| container(&mut sheet, pod, &c, view, status));
    }
    let mut text = sheet.print();
    if !status.gates.is_empty() {
        text.push_str("Readiness Gates:\n");
        let mut table = Table::indented(&["Type", "Status"]);
        status.gates.iter().for_each(|gate| table.row([gate.name.into(), gate.status().into()]));
        table.print(&mut text);
    }
    text.push_str("Conditions:\n");
    conditions(status, &mut text);
    let mut sheet = Sheet::default();
    if pod.volumes.is_empty() {
        sheet.line(0, "Volumes", "<none>");
    } else {
        sheet.head(0, "Volumes");
        pod.volumes.iter().for_each(|v| volume(&mut sheet, &v));
    }
    sheet.line(0, "QoS Class", pod.qos().as_str());
    text.push_str(&sheet.print());
    text
}

fn heading(sheet: &mut Sheet, seen: &Seen<'_>) {
    let (pod, status) = (seen.pod, &seen.status);
    sheet.line(0, "Name", pod.name);
    sheet.line(0, "Namespace", pod.namespace);
    if pod.priority != 0 {
        sheet.line(0, "Priority", &pod.priority.to_string());
    }
    if let Some(class) = priority_class(pod) {
        sheet.line(0, "Priority Class Name", class);
    }
    let node = status.scene.node;
    sheet.line(
        0,
        "Node",
        &status.scene.node_ip.map_or_else(|| node.into(), |ip| format!("{node}/{}", Ipv4Addr::from(ip))),
    );
    sheet.line(0, "Start Time", &moment(status, status.created));
    sheet.lines(0, "Labels", pairs(pod.labels, "="));
    sheet.lines(0, "Annotations", pairs(pod.annotations, ": "));
    sheet.line(0, "UID", &status.uid.to_string());
    if status.terminating {
        let left = status
            .dead_after
            .map_or(String::new(), |end| format!(" (at most {} left)", Age(end.since(status.scene.now))));
        sheet.line(0, "Status", &format!("Terminating{left}"));
        sheet.line(0, "Termination Grace Period", &format!("{}s", pod.grace_seconds));
    } else {
        sheet.line(0, "Status", status.phase.as_str());
    }
    if let Some(verdict) = status.verdict {
        sheet.line(0, "Reason", verdict.as_str());
        sheet.line(0, "Message", &verdict.message(pod));
    }
    sheet.line(0, "IP", &status.ip.map_or_else(String::new, |ip| Ipv4Addr::from(ip).to_string()));
    if let Some(owner) = pod.owner {
        sheet.line(0, "Controlled By", &format!("{}/{}", owner.controller.kind(), owner.name));
    }
}

/// A date; where the clock is not set, how long ago.
fn moment(status: &StatusView<'_>, at: Instant) -> String {
    match status.scene.clock.date(at) {
        Some(date) => date.long().to_string(),
        None => format!("{} ago (clock not synced)", Age(status.scene.now.since(at))),
    }
}

fn pairs<'a>(pairs: List<'a, Pair<'a>>, between: &'a str) -> impl Iterator<Item = String> + 'a {
    pairs.into_iter().map(move |pair| format!("{}{between}{}", pair.key, pair.value))
}

fn container(
    sheet: &mut Sheet,
    pod: &Pod<'_>,
    container: &Container<'_>,
    view: &ContainerView<'_>,
    status: &StatusView<'_>,
) {
    sheet.head(1, container.name);
    sheet.line(2, "Image", container.image);
    let port = |port: Port| format!("{}/{}", port.container, if port.udp { "UDP" } else { "TCP" });
    let ports: Vec<String> = container.ports.iter().map(port).collect();
    let title = if ports.len() > 1 { "Ports" } else { "Port" };
    sheet.line(2, title, &if ports.is_empty() { String::from("<none>") } else { ports.join(", ") });
    for (title, words) in [("Command", container.command), ("Args", container.args)] {
        if let Some(words) = words {
            sheet.head(2, title);
            for word in words {
                told(word, container.facts).lines().for_each(|line| sheet.plain(3, line));
            }
        }
    }
    if status.knows_containers() {
        state(sheet, view, status);
    }
    if let Some(last) = &view.last {
        sheet.line(2, "Last State", "Terminated");
        terminated(sheet, last, view.last_words, status);
    }
    sheet.line(2, "Ready", if view.ready { "True" } else { "False" });
    sheet.line(2, "Restart Count", &view.restarts.to_string());
    let asked = container.resources;
    amounts(sheet, "Limits", asked.cpu_limit_milli, asked.storage_limit, asked.huge_pages, asked.memory_limit);
    let request = |bytes: u64| Some(bytes).filter(|bytes| *bytes > 0);
    let cpu = Some(asked.cpu_request_milli).filter(|milli| *milli > 0);
    let (storage, memory) = (request(asked.storage_request), request(asked.memory_request));
    amounts(sheet, "Requests", cpu, storage, asked.huge_pages, memory);
    probes(sheet, container);
    environment(sheet, container.env, container.facts);
    if container.mounts.is_empty() {
        sheet.line(2, "Mounts", "<none>");
    } else {
        sheet.head(2, "Mounts");
        for mount in container.mounts {
            let name = pod.volumes.get(mount.volume.into()).map_or("", |v| v.name);
            sheet.plain(3, &format!("{} from {name} ({})", mount.path, if mount.read_only { "ro" } else { "rw" }));
        }
    }
}

/// The probes, in kubectl's words.
fn probes(sheet: &mut Sheet, container: &Container<'_>) {
    for kind in [ProbeKind::Liveness, ProbeKind::Readiness, ProbeKind::Startup] {
        let Some(probe) = container.probes.iter().find(|probe| probe.kind == kind) else { continue };
        let what = match probe.action {
            Action::Exec(command) => format!("exec [{}]", command.iter().collect::<Vec<_>>().join(" ")),
            Action::HttpGet(get) => format!("http-get {}://{}:{}{}", get.scheme.as_str(), get.host, get.port, get.path),
            Action::TcpSocket { host, port } => format!("tcp-socket {host}:{port}"),
            Action::Grpc { port, service } => format!("grpc <pod>:{port} {service}"),
        };
        let Timing { delay_seconds, timeout_seconds, period_seconds, successes, failures, .. } = probe.timing;
        let numbers = format!(
            "delay={delay_seconds}s timeout={timeout_seconds}s period={period_seconds}s #success={successes} #failure={failures}"
        );
        sheet.line(2, kind.as_str(), &format!("{what} {numbers}"));
    }
}

fn state(sheet: &mut Sheet, view: &ContainerView<'_>, status: &StatusView<'_>) {
    match &view.state {
        ContainerState::Waiting(reason) => {
            sheet.line(2, "State", "Waiting");
            sheet.line(3, "Reason", reason.as_str());
            if !view.message.is_empty() {
                sheet.line(3, "Message", view.message);
            }
        }
        ContainerState::Running(since) => {
            sheet.line(2, "State", "Running");
            sheet.line(3, "Started", &moment(status, *since));
        }
        ContainerState::Terminated(end) => {
            sheet.line(2, "State", "Terminated");
            terminated(sheet, end, view.said(), status);
        }
    }
}

fn terminated(sheet: &mut Sheet, end: &Terminated, message: &str, status: &StatusView<'_>) {
    sheet.line(3, "Reason", end.reason.as_str());
    if !message.is_empty() {
        // Written by the container: nothing of it may move the terminal's cursor.
        let harmless = |line: &str| line.replace(char::is_control, "\u{fffd}");
        sheet.lines(3, "Message", message.lines().map(harmless));
    }
    sheet.line(3, "Exit Code", &end.exit.code.to_string());
    if end.exit.signal != 0 {
        sheet.line(3, "Signal", &end.exit.signal.to_string());
    }
    if let Some(started) = end.started {
        sheet.line(3, "Started", &moment(status, started));
    }
    sheet.line(3, "Finished", &moment(status, end.finished));
}

fn amounts(
    sheet: &mut Sheet,
    title: &str,
    cpu_milli: Option<u32>,
    storage: Option<u64>,
    huge_pages: HugePages,
    memory: Option<u64>,
) {
    if cpu_milli.is_none() && storage.is_none() && memory.is_none() && huge_pages == HugePages::NONE {
        return;
    }
    sheet.head(2, title);
    if let Some(milli) = cpu_milli {
        sheet.line(3, "cpu", &Cpu(milli).to_string());
    }
    let huge_pages = huge_pages.iter().map(|(size, _)| (size.resource(), Some(huge_pages.bytes(size))));
    for (name, bytes) in iter::once(("ephemeral-storage", storage)).chain(huge_pages).chain([("memory", memory)]) {
        if let Some(bytes) = bytes {
            sheet.line(3, name, &Bytes(bytes).to_string());
        }
    }
}

/// A text with the facts in it told by their names, as kubectl does.
fn told(text: &str, facts: List<'_, Fact<'_>>) -> String {
    let name = |fact: Fact<'_>| match fact {
        Fact::Resource(resource) => format!("({})", resource.of.as_str()),
        Fact::File(of) => format!("<set to the key '{}' in file '{}'>", of.key, of.path),
        other => other.field().map_or_else(String::new, |(field, _)| format!("(v1:{field})")),
    };
    let piece = |piece| match piece {
        Piece::Text(text) => String::from(text),
        Piece::Fact(index) => facts.get(index.into()).map(name).unwrap_or_default(),
    };
    fact::pieces(text).map(piece).collect()
}

fn environment(sheet: &mut Sheet, env: List<'_, EnvVar<'_>>, facts: List<'_, Fact<'_>>) {
    if env.is_empty() {
        return sheet.line(2, "Environment", "<none>");
    }
    sheet.head(2, "Environment");
    for variable in env {
        let value = if variable.secret { REDACTED.into() } else { told(variable.value, facts) };
        sheet.line(3, variable.key, value.lines().next().unwrap_or_default());
    }
}

fn conditions(status: &StatusView<'_>, text: &mut String) {
    let mut table = Table::indented(&["Type", "Status", "Reason"]);
    for condition in &status.conditions {
        let holds = if condition.status { "True" } else { "False" };
        table.row([condition.kind.as_str().into(), holds.into(), condition.reason.into()]);
    }
    for gate in status.gates {
        if let Some(condition) = gate.condition {
            table.row([gate.name.into(), gate.status().into(), condition.reason.into()]);
        }
    }
    table.print(text);
}

fn volume(sheet: &mut Sheet, volume: &Volume<'_>) {
    sheet.head(1, volume.name);
    match volume.source {
        Source::EmptyDir { medium, size_limit } => {
            sheet.line(2, "Type", "EmptyDir (a temporary directory that shares a pod's lifetime)");
            sheet.line(2, "Medium", medium.as_str());
            sheet.line(2, "SizeLimit", &size_limit.map_or_else(|| "<unset>".into(), |bytes| Bytes(bytes).to_string()));
        }
        Source::HostPath { path, kind } => {
            sheet.line(2, "Type", "HostPath (bare host directory volume)");
            sheet.line(2, "Path", path);
            sheet.line(2, "HostPathType", host_path_kind(kind));
        }
        Source::Block { disk: Disk::Own { bytes }, .. } => {
            sheet.line(
                2,
                "Type",
                "EphemeralVolume (an inline specification for a volume that shares a pod's lifetime)",
            );
            sheet.line(2, "Capacity", &Bytes(bytes).to_string());
            sheet.line(2, "VolumeMode", "Block");
        }
        Source::Claim { read_only, .. } | Source::Local { read_only, .. } | Source::Block { read_only, .. } => {
            sheet.line(
                2,
                "Type",
                "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
            );
            sheet.line(2, "ClaimName", volume.source.claim().unwrap_or_default());
            sheet.line(2, "ReadOnly", if read_only { "true" } else { "false" });
        }
        Source::Files { secret, files } => {
            let kind = if secret {
                "Secret (a volume populated by a Secret)"
            } else {
                "ConfigMap (a volume populated by a ConfigMap)"
            };
            sheet.line(2, "Type", kind);
            sheet.lines(2, "Files", files.iter().map(|file| format!("{} ({} bytes)", file.path, file.data.len())));
        }
        Source::Image { reference } => {
            sheet.line(2, "Type", "Image (a container image or OCI artifact)");
            sheet.line(2, "Reference", reference);
        }
        Source::Projected { files } => {
            sheet.line(2, "Type", "Projected (a volume that contains injected data from multiple sources)");
            let from = |file: Projection<'_>| match file.content {
                Content::Plain(data) => format!("{} ({} bytes)", file.path, data.len()),
                Content::Secret(data) => format!("{} ({} bytes of a Secret)", file.path, data.len()),
                Content::Fact(fact) => match fact.field() {
                    Some((field, None)) => format!("{} ({field})", file.path),
                    Some((field, Some(key))) => format!("{} ({field}['{key}'])", file.path),
                    None => format!("{} (a resource)", file.path),
                },
            };
            sheet.lines(2, "Files", files.iter().map(from));
        }
    }
}

fn events(board: &dyn Board, namespace: String, name: String, text: &mut String) {
    let now = board.now();
    let mut table = Table::indented(&["Type", "Reason", "Age", "From", "Message"]);
    table.row(["----", "------", "----", "----", "-------"].map(String::from));
    let mut any = false;
    board.events(&mut |event| {
        if *event.namespace != *namespace || *event.object != *name {
            return;
        }
        any = true;
        let last = Age(now.since(event.last));
        let age = match event.count {
            1 => last.to_string(),
            count => format!("{last} (x{count} over {})", Age(now.since(event.first))),
        };
        let kind = if event.warning { "Warning" } else { "Normal" };
        table.row([kind.into(), event.reason.into(), age, "podling".into(), event.message.as_str().into()]);
    });
    if any {
        text.push_str("Events:\n");
        table.print(text);
    } else {
        text.push_str("Events:  <none>\n");
    }
}
