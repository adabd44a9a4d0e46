//! The `securityContext` of a container.

use super::{flag, words};
use crate::console::emit::{Emit, Kind};
use crate::manifest::List;
use crate::manifest::pod::{Confinement, Container, Device, ProcMount, Seccomp, Security};
use core::fmt;

/// What a manifest says in `securityContext`, where that is anything.
pub(super) fn security(emit: &mut dyn Emit, container: &Container<'_>) -> fmt::Result {
    let (security, held) = (&container.security, &container.confinement);
    let plain = Confinement { devices: held.devices, ..Confinement::default() };
    if *security == Security::default() && *held == plain {
        return Ok(());
    }
    emit.begin("securityContext", Kind::Map)?;
    if security.no_new_privileges {
        emit.number("allowPrivilegeEscalation", &false)?;
    }
    if !held.privileged {
        capabilities(emit, security.capabilities)?;
    }
    flag(emit, "privileged", held.privileged)?;
    if held.proc_mount == ProcMount::Unmasked {
        emit.pair("procMount", "Unmasked")?;
    }
    flag(emit, "readOnlyRootFilesystem", security.read_only_root)?;
    if let Some(group) = security.run_as_group {
        emit.number("runAsGroup", &group)?;
    }
    flag(emit, "runAsNonRoot", security.run_as_non_root)?;
    if let Some(user) = security.run_as_user {
        emit.number("runAsUser", &user)?;
    }
    seccomp(emit, held.seccomp)?;
    emit.close()
}

/// The resources that stand for devices, among the limits.
pub(super) fn devices(emit: &mut dyn Emit, devices: List<'_, Device<'_>>) -> fmt::Result {
    for (n, device) in devices.iter().enumerate() {
        if devices.iter().take(n).all(|earlier| earlier.resource != device.resource) {
            emit.pair(device.resource, "1")?;
        }
    }
    Ok(())
}

fn seccomp(emit: &mut dyn Emit, seccomp: Seccomp<'_>) -> fmt::Result {
    let (kind, profile) = match seccomp {
        Seccomp::Unconfined => return Ok(()),
        Seccomp::RuntimeDefault { .. } => ("RuntimeDefault", None),
        Seccomp::Localhost { profile, .. } => ("Localhost", Some(profile)),
    };
    emit.begin("seccompProfile", Kind::Map)?;
    if let Some(profile) = profile {
        emit.pair("localhostProfile", profile)?;
    }
    emit.pair("type", kind)?;
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
