//! One element of `containers` or `initContainers`.

use super::{Options, REDACTED, flag, resources, words};
use crate::console::emit::{Emit, Kind};
use crate::manifest::List;
use crate::manifest::pod::{Container, ContainerKind, Hook, Pod};
use alloc::string::String;
use core::fmt;

pub(super) fn container(
    emit: &mut dyn Emit,
    pod: &Pod<'_>,
    container: &Container<'_>,
    options: Options,
) -> fmt::Result {
    emit.open(Kind::Map)?;
    if let Some(args) = container.args {
        expanded(emit, container, "args", args)?;
    }
    if let Some(command) = container.command {
        expanded(emit, container, "command", command)?;
    }
    environment(emit, container, options)?;
    emit.pair("image", container.image)?;
    if let Some(hook) = container.pre_stop {
        pre_stop(emit, hook)?;
    }
    emit.pair("name", container.name)?;
    ports(emit, container)?;
    resources(emit, &container.resources, container.confinement.devices)?;
    if container.kind == ContainerKind::Sidecar {
        emit.pair("restartPolicy", "Always")?;
    }
    super::confinement::security(emit, container)?;
    mounts(emit, pod, container)?;
    if let Some(directory) = container.working_dir {
        emit.pair("workingDir", directory)?;
    }
    emit.close()
}

fn environment(emit: &mut dyn Emit, container: &Container<'_>, options: Options) -> fmt::Result {
    if container.env.is_empty() {
        return Ok(());
    }
    emit.begin("env", Kind::List)?;
    for variable in container.env {
        let shown = if variable.secret && !options.secrets { REDACTED } else { variable.value };
        emit.open(Kind::Map)?;
        emit.pair("name", variable.key)?;
        emit.key("value")?;
        escaped(emit, container, shown)?;
        emit.close()?;
    }
    emit.close()
}

fn expanded(emit: &mut dyn Emit, container: &Container<'_>, key: &str, words: List<'_, &str>) -> fmt::Result {
    emit.begin(key, Kind::List)?;
    for word in words {
        escaped(emit, container, word)?;
    }
    emit.close()
}

/// A text in which references have been resolved, written so that resolving it once more changes nothing: Kubernetes reads
/// `$$` as one `$`, and leaves a `$(NAME)` alone that names no variable.
fn escaped(emit: &mut dyn Emit, container: &Container<'_>, text: &str) -> fmt::Result {
    if !text.contains("$$") && !text.contains("$(") {
        return emit.text(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        escaped.push(c);
        if c == '$' && is_operator(container, &text[at + 1..]) {
            escaped.push('$');
        }
    }
    emit.text(&escaped)
}

/// Whether what follows a `$` would make it more than a `$`.
fn is_operator(container: &Container<'_>, rest: &str) -> bool {
    let name = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let known = |(name, _): (&str, &str)| container.env.iter().any(|variable| variable.key == name);
    rest.starts_with('$') || name.is_some_and(known)
}

fn pre_stop(emit: &mut dyn Emit, hook: Hook<'_>) -> fmt::Result {
    emit.begin("lifecycle", Kind::Map)?;
    emit.begin("preStop", Kind::Map)?;
    match hook {
        Hook::Exec(command) => {
            emit.begin("exec", Kind::Map)?;
            words(emit, "command", command)?;
        }
        Hook::Sleep(seconds) => {
            emit.begin("sleep", Kind::Map)?;
            emit.number("seconds", &seconds)?;
        }
    }
    emit.close()?;
    emit.close()?;
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
    if container.mounts.is_empty() {
        return Ok(());
    }
    emit.begin("volumeMounts", Kind::List)?;
    for mount in container.mounts {
        emit.open(Kind::Map)?;
        emit.pair("mountPath", mount.path)?;
        emit.pair("name", pod.volumes.get(mount.volume.into()).map_or("", |v| v.name))?;
        flag(emit, "readOnly", mount.read_only)?;
        emit.close()?;
    }
    emit.close()
}
