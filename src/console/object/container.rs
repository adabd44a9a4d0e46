//! One element of `containers` or `initContainers`.

use super::{Options, REDACTED, flag, probe, resources, words};
use crate::console::emit::{Emit, Kind};
use crate::manifest::List;
use crate::manifest::pod::{Container, ContainerKind, Pod, Security};
use crate::manifest::probe::ProbeKind;
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
    probe::lifecycle(emit, container)?;
    probe::probe(emit, container, ProbeKind::Liveness)?;
    emit.pair("name", container.name)?;
    ports(emit, container)?;
    probe::probe(emit, container, ProbeKind::Readiness)?;
    resources(emit, &container.resources)?;
    if container.kind == ContainerKind::Sidecar {
        emit.pair("restartPolicy", "Always")?;
    }
    security(emit, &container.security)?;
    probe::probe(emit, container, ProbeKind::Startup)?;
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

fn security(emit: &mut dyn Emit, security: &Security) -> fmt::Result {
    if *security == Security::default() {
        return Ok(());
    }
    emit.begin("securityContext", Kind::Map)?;
    if security.no_new_privileges {
        emit.number("allowPrivilegeEscalation", &false)?;
    }
    capabilities(emit, security.capabilities)?;
    flag(emit, "readOnlyRootFilesystem", security.read_only_root)?;
    if let Some(group) = security.run_as_group {
        emit.number("runAsGroup", &group)?;
    }
    flag(emit, "runAsNonRoot", security.run_as_non_root)?;
    if let Some(user) = security.run_as_user {
        emit.number("runAsUser", &user)?;
    }
    emit.close()
}

/// The difference from the default set, as additions and removals.
fn capabilities(emit: &mut dyn Emit, kept: u64) -> fmt::Result {
    let added = kept & !Security::DEFAULT_CAPABILITIES;
    let dropped = Security::DEFAULT_CAPABILITIES & !kept;
    if added == 0 && dropped == 0 {
        return Ok(());
    }
    emit.begin("capabilities", Kind::Map)?;
    if added != 0 {
        words(emit, "add", names(added))?;
    }
    if kept == 0 {
        words(emit, "drop", ["ALL"])?;
    } else if dropped != 0 {
        words(emit, "drop", names(dropped))?;
    }
    emit.close()
}

fn names(set: u64) -> impl Iterator<Item = &'static str> {
    let chosen = move |(bit, _): &(usize, &str)| set >> bit & 1 == 1;
    Security::CAPABILITIES.into_iter().enumerate().filter(chosen).map(|(_, name)| name)
}
