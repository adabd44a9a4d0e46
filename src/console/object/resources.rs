//! What is asked for, in quantities: `resources` of a container or pod, and `overhead`.

use super::{confinement, text};
use crate::console::emit::{Emit, Kind};
use crate::manifest::List;
use crate::manifest::huge::HugePages;
use crate::manifest::pod::{Device, Resources};
use crate::manifest::units::{Bytes, Cpu};
use core::fmt;

pub(super) fn resources(emit: &mut dyn Emit, resources: &Resources, devices: List<'_, Device<'_>>) -> fmt::Result {
    if *resources == Resources::default() && devices.is_empty() {
        return Ok(());
    }
    emit.begin("resources", Kind::Map)?;
    let huge = resources.huge_pages != HugePages::NONE;
    let limited = huge || [resources.memory_limit, resources.storage_limit].iter().any(Option::is_some);
    if resources.cpu_limit_milli.is_some() || limited || !devices.is_empty() {
        emit.begin("limits", Kind::Map)?;
        confinement::devices(emit, devices)?;
        if let Some(milli) = resources.cpu_limit_milli {
            text(emit, "cpu", Cpu(milli))?;
        }
        if let Some(bytes) = resources.storage_limit {
            text(emit, "ephemeral-storage", Bytes(bytes))?;
        }
        huge_pages(emit, resources)?;
        if let Some(bytes) = resources.memory_limit {
            text(emit, "memory", Bytes(bytes))?;
        }
        emit.close()?;
    }
    requests(emit, "requests", resources)?;
    emit.close()
}

/// The requests among them, or the overhead of a pod.
pub(super) fn requests(emit: &mut dyn Emit, key: &str, resources: &Resources) -> fmt::Result {
    let Resources { cpu_request_milli: cpu, memory_request: memory, storage_request: storage, .. } = *resources;
    if (u64::from(cpu), memory, storage) == (0, 0, 0) && resources.huge_pages == HugePages::NONE {
        return Ok(());
    }
    emit.begin(key, Kind::Map)?;
    if cpu != 0 {
        text(emit, "cpu", Cpu(cpu))?;
    }
    if storage != 0 {
        text(emit, "ephemeral-storage", Bytes(storage))?;
    }
    huge_pages(emit, resources)?;
    if memory != 0 {
        text(emit, "memory", Bytes(memory))?;
    }
    emit.close()
}

fn huge_pages(emit: &mut dyn Emit, resources: &Resources) -> fmt::Result {
    let pages = resources.huge_pages;
    pages.iter().try_for_each(|(size, _)| text(emit, size.resource(), Bytes(pages.bytes(size))))
}
