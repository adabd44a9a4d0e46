//! One element of `containers` or `initContainers`.

use super::{Options, REDACTED, flag, probe, projected, resources, restart_policy};
use crate::console::emit::{Emit, Kind};
use crate::manifest::List;
use crate::manifest::fact;
use crate::manifest::pod::{
    Container, ContainerKind, EnvVar, MessagePolicy, Mount, Operator, Pod, Propagation, Resize, ResizePolicy,
};
use crate::manifest::probe::ProbeKind;
use crate::manifest::terminal::Stdin;
use alloc::string::String;
use core::fmt::{self, Write};

pub(super) fn container(
    emit: &mut dyn Emit,
    pod: &Pod<'_>,
    container: &Container<'_>,
    target: Option<&str>,
    options: Options,
) -> fmt::Result {
    emit.open(Kind::Map)?;
    if let Some(args) = container.args {
        expanded(emit, container, "args", args)?;
    }
    if let Some(command) = container.command {
        expanded(emit, container, "command", command)?;
    }
    environment(emit, pod, container, options)?;
    emit.pair("image", container.image)?;
    probe::lifecycle(emit, container)?;
    probe::probe(emit, container, ProbeKind::Liveness)?;
    emit.pair("name", container.name)?;
    ports(emit, container)?;
    probe::probe(emit, container, ProbeKind::Readiness)?;
    resize_policy(emit, &container.resize)?;
    resources(emit, &container.resources, container.confinement.devices)?;
    if container.kind == ContainerKind::Sidecar {
        emit.pair("restartPolicy", "Always")?;
    } else if let Some(policy) = container.restart_policy {
        emit.pair("restartPolicy", restart_policy(policy))?;
    }
    restart_rules(emit, container)?;
    super::confinement::security(emit, container)?;
    flag(emit, "stdin", container.stdin != Stdin::None)?;
    flag(emit, "stdinOnce", container.stdin == Stdin::Once)?;
    target.map_or(Ok(()), |target| emit.pair("targetContainerName", target))?;
    if container.message_path != Container::MESSAGE_PATH {
        emit.pair("terminationMessagePath", container.message_path)?;
    }
    if container.message_policy == MessagePolicy::FallbackToLogsOnError {
        emit.pair("terminationMessagePolicy", "FallbackToLogsOnError")?;
    }
    probe::probe(emit, container, ProbeKind::Startup)?;
    flag(emit, "tty", container.tty)?;
    mounts(emit, pod, container)?;
    if let Some(directory) = container.working_dir {
        emit.pair("workingDir", directory)?;
    }
    emit.close()
}

fn environment(emit: &mut dyn Emit, pod: &Pod<'_>, container: &Container<'_>, options: Options) -> fmt::Result {
    if container.env.is_empty() {
        return Ok(());
    }
    emit.begin("env", Kind::List)?;
    for variable in container.env {
        let shown = if variable.secret && !options.secrets { REDACTED } else { variable.value };
        emit.open(Kind::Map)?;
        emit.pair("name", variable.key)?;
        match fact::alone(shown).and_then(|index| container.facts.get(index.into())) {
            Some(told) => {
                emit.begin("valueFrom", Kind::Map)?;
                projected::fact(emit, pod, told)?;
                emit.close()?;
            }
            None => {
                emit.key("value")?;
                escaped(emit, container, shown)?;
            }
        }
        emit.close()?;
    }
    emit.close()
}

pub(super) fn expanded(
    emit: &mut dyn Emit,
    container: &Container<'_>,
    key: &str,
    words: List<'_, &str>,
) -> fmt::Result {
    emit.begin(key, Kind::List)?;
    for word in words {
        escaped(emit, container, word)?;
    }
    emit.close()
}

/// A text in which references have been resolved, written so that resolving it once more changes nothing: Kubernetes reads
/// `$$` as one `$`, and leaves a `$(NAME)` alone that names no variable.
fn escaped(emit: &mut dyn Emit, container: &Container<'_>, text: &str) -> fmt::Result {
    if !text.contains("$$") && !text.contains("$(") && !text.contains(fact::MARK) {
        return emit.text(text);
    }
    let mut written = String::with_capacity(text.len() + 8);
    for piece in fact::pieces(text) {
        let text = match piece {
            fact::Piece::Text(text) => text,
            fact::Piece::Fact(index) => {
                // The variable that is this fact, and nothing else.
                let is_it = |variable: &EnvVar<'_>| fact::alone(variable.value) == Some(index);
                let variable = container.env.iter().find(is_it).map_or("", |variable| variable.key);
                let _ = write!(written, "$({variable})");
                continue;
            }
        };
        for (at, c) in text.char_indices() {
            written.push(c);
            if c == '$' && is_operator(container, &text[at + 1..]) {
                written.push('$');
            }
        }
    }
    emit.text(&written)
}

/// Whether what follows a `$` would make it more than a `$`.
fn is_operator(container: &Container<'_>, rest: &str) -> bool {
    let name = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let known = |(name, _): (&str, &str)| container.env.iter().any(|variable| variable.key == name);
    rest.starts_with('$') || name.is_some_and(known)
}

fn resize_policy(emit: &mut dyn Emit, policy: &ResizePolicy) -> fmt::Result {
    if *policy == ResizePolicy::default() {
        return Ok(());
    }
    emit.begin("resizePolicy", Kind::List)?;
    for (name, resize) in [("cpu", policy.cpu), ("memory", policy.memory)] {
        emit.open(Kind::Map)?;
        emit.pair("resourceName", name)?;
        emit.pair("restartPolicy", if resize == Resize::Restart { "RestartContainer" } else { "NotRequired" })?;
        emit.close()?;
    }
    emit.close()
}

fn restart_rules(emit: &mut dyn Emit, container: &Container<'_>) -> fmt::Result {
    if container.restart_rules.is_empty() {
        return Ok(());
    }
    emit.begin("restartPolicyRules", Kind::List)?;
    for rule in container.restart_rules {
        emit.open(Kind::Map)?;
        emit.pair("action", rule.action.as_str())?;
        emit.begin("exitCodes", Kind::Map)?;
        emit.pair("operator", if rule.operator == Operator::In { "In" } else { "NotIn" })?;
        emit.begin("values", Kind::List)?;
        rule.codes.iter().try_for_each(|code| emit.raw(&code))?;
        emit.close()?;
        emit.close()?;
        emit.close()?;
    }
    emit.close()
}

fn ports(emit: &mut dyn Emit, container: &Container<'_>) -> fmt::Result {
    if container.ports.is_empty() {
        return Ok(());
    }
    emit.begin("ports", Kind::List)?;
    for port in container.ports {
        emit.open(Kind::Map)?;
        emit.number("containerPort", &port.container)?;
        emit.pair("protocol", if port.udp { "UDP" } else { "TCP" })?;
        emit.close()?;
    }
    emit.close()
}

fn mounts(emit: &mut dyn Emit, pod: &Pod<'_>, container: &Container<'_>) -> fmt::Result {
    let is_block = |mount: &Mount<'_>| pod.volumes.get(mount.volume.into()).is_some_and(|it| it.source.is_block());
    if container.mounts.iter().any(|mount| is_block(&mount)) {
        emit.begin("volumeDevices", Kind::List)?;
        for mount in container.mounts.iter().filter(is_block) {
            emit.open(Kind::Map)?;
            emit.pair("devicePath", mount.path)?;
            emit.pair("name", pod.volumes.get(mount.volume.into()).map_or("", |v| v.name))?;
            emit.close()?;
        }
        emit.close()?;
    }
    if container.mounts.iter().all(|mount| is_block(&mount)) {
        return Ok(());
    }
    emit.begin("volumeMounts", Kind::List)?;
    for mount in container.mounts.iter().filter(|mount| !is_block(mount)) {
        emit.open(Kind::Map)?;
        emit.pair("mountPath", mount.path)?;
        if mount.propagation != Propagation::None {
            emit.pair("mountPropagation", mount.propagation.as_str())?;
        }
        emit.pair("name", pod.volumes.get(mount.volume.into()).map_or("", |v| v.name))?;
        flag(emit, "readOnly", mount.read_only)?;
        if mount.recursive_read_only {
            emit.pair("recursiveReadOnly", "Enabled")?;
        }
        if mount.sub_path.contains(fact::MARK) {
            emit.key("subPathExpr")?;
            escaped(emit, container, mount.sub_path)?;
        } else if !mount.sub_path.is_empty() {
            emit.pair("subPath", mount.sub_path)?;
        }
        emit.close()?;
    }
    emit.close()
}
