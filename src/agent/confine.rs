//! What holds a container, and what it is given of the node, as its pod-init is told: view, filter, devices.

use super::config::Config;
use super::mounts;
use super::trouble::Trouble;
use crate::manifest::List;
use crate::manifest::pod::{Container, ContainerKind, Device, Pod, ProcMount};
use crate::pod::wire::{MountPoint, View};
use rustix::fs::{FileType, Mode, OFlags};
use std::format;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::prelude::v1::*;

/// Whether this node runs such a pod at all (spec 85, 86).
pub(super) fn allowed(config: &Config, pod: &Pod<'_>) -> Result<(), Trouble> {
    let privileged = |container: &Container<'_>| container.confinement.privileged && !config.allow_privileged;
    let Some(at) = pod.containers.iter().position(|container| privileged(&container)) else { return Ok(()) };
    let is_app = |container: &Container<'_>| container.kind == ContainerKind::App;
    let app = pod.containers.get(at).is_some_and(|container| is_app(&container));
    // As the pod's file counts them.
    let index = pod.containers.iter().take(at).filter(|container| is_app(container) == app).count();
    let list = if app { "containers" } else { "initContainers" };
    let what = "securityContext.privileged: forbidden: this node does not allow privileged containers";
    Err(format!("spec.{list}[{index}].{what}").into())
}

/// What of the node a container sees.
pub(super) fn view(container: &Container<'_>) -> View {
    match (container.confinement.privileged, container.confinement.proc_mount) {
        (true, _) => View::Privileged,
        (false, ProcMount::Unmasked) => View::Unmasked,
        (false, ProcMount::Default) => View::Masked,
    }
}

/// The seccomp filter of a container; empty where it has none.
pub(super) fn filter(
    container: &Container<'_>,
    filters: List<'static, &'static [u8]>,
) -> Result<&'static [u8], &'static str> {
    match container.confinement.seccomp.filter() {
        None => Ok(&[]),
        Some(index) => filters.get(index.into()).ok_or("its seccomp filter is not in the manifest"),
    }
}

/// The node's /dev, which a privileged container gets the devices of.
pub(super) fn node_devices(container: &Container<'_>) -> Result<Option<OwnedFd>, Trouble> {
    if !container.confinement.privileged {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dev = rustix::fs::open("/dev", flags, Mode::empty());
    dev.map(Some).map_err(|errno| Trouble::at("open", Path::new("/dev"))(errno.into()))
}

/// The devices that a container has asked for, each a mount of the one node: in a file system where device nodes work.
pub(super) fn devices<'a>(container: &Container<'a>) -> Result<Vec<(MountPoint<'a>, OwnedFd)>, Trouble> {
    let open = |device: Device<'a>| {
        let path = Path::new(device.path);
        let stat = rustix::fs::stat(path).map_err(|errno| Trouble::at("find the device", path)(errno.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice | FileType::BlockDevice => {
                let point = MountPoint { path: device.path, directory: false, read_only: false };
                Ok((point, mounts::copy(path, false)?))
            }
            _ => Err(Trouble::from(format!("{} is not a device of this node ({})", device.path, device.resource))),
        }
    };
    container.confinement.devices.iter().map(open).collect()
}
