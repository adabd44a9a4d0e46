//! The check of filters, devices and sysctls.

use super::{At, Checked, Problem, rule};
use crate::manifest::pod::{Container, Pod};
use crate::manifest::{List, limits};

/// The filters of a manifest: how many there are. What they do the kernel checks.
pub(super) fn filters<'a>(at: &At<'_, 'a>, filters: List<'a, &'a [u8]>) -> Checked<usize> {
    at.list(filters, limits::FILTERS, |at, filter| {
        let says = "bytes are not a seccomp filter: 1 to 4096 instructions of eight bytes";
        match filter.len().is_multiple_of(8) {
            true => at.number(filter.len() as u64, 8..=limits::FILTER_BYTES as u64, says),
            false => Err(at.fail(Problem::Number { number: filter.len() as u64, says })),
        }
    })
}

/// What a container is held by, and given.
pub(super) fn confinement<'a>(at: &At<'_, 'a>, container: &Container<'a>, filters: usize) -> Checked {
    let held = container.confinement;
    if let Some(filter) = held.seccomp.filter() {
        let at = at.field("seccompProfile");
        if usize::from(filter) >= filters {
            let says = "is not the index of one of the manifest's filters";
            return Err(at.fail(Problem::Number { number: filter.into(), says }));
        }
        if held.privileged {
            return Err(at.fail(Problem::Field("cannot be had together with privileged; leave one out")));
        }
    }
    if held.privileged && container.security.no_new_privileges {
        let says = "cannot be false for a privileged container";
        return Err(at.field("allowPrivilegeEscalation").fail(Problem::Field(says)));
    }
    at.field("devices").list(held.devices, limits::DEVICES, |at, device| {
        at.field("path").text(device.path, rule::DEVICE)?;
        at.field("resource").string(device.resource)
    })?;
    Ok(())
}

/// The sysctls of a pod: each is one of a namespace that the pod has to itself.
pub(super) fn sysctls<'a>(at: &At<'_, 'a>, pod: &Pod<'a>) -> Checked {
    at.list(pod.sysctls, limits::SYSCTLS, |at, sysctl| {
        let name = at.field("name");
        name.text(sysctl.key, rule::SYSCTL)?;
        let shared = match rule::sysctl_namespace(sysctl.key) {
            rule::SysctlNamespace::Network => pod.sharing.host_network,
            rule::SysctlNamespace::Ipc => pod.sharing.host_ipc,
        };
        if shared {
            return Err(name
                .fail(Problem::Text { text: sysctl.key, says: "would change the node, whose namespace the pod has" }));
        }
        let value = at.field("value");
        value.length(sysctl.value, limits::PATH)?;
        value.string(sysctl.value)
    })?;
    Ok(())
}
