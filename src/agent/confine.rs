//! What holds a container, and what it is given of the node, as its pod-init is told: view, filter, users, devices.
//!
//! There is no device cgroup, on purpose: a node works only where it is on a mount without NODEV, and pod-init makes none of those but
//! for what the container was given. What could make another needs SYS_ADMIN, which is as good as the board; and a program for
//! cgroup v2 and rules for v1 would say the same a second time.

use super::config::Config;
use super::drive::Agent;
use super::mounts;
use super::paths::Paths;
use super::sandbox;
use super::trouble::Trouble;
use crate::manifest::pod::{Container, ContainerKind, Device, Pod, ProcMount};
use crate::manifest::status::Uid;
use crate::manifest::{List, limits};
use crate::pod::wire::{MountPoint, View};
use crate::sys::mount;
use rustix::fs::{FileType, Mode, OFlags};
use std::format;
use std::os::fd::{AsFd, OwnedFd};
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

/// The first of the node's users that are this pod's, where it has its own: after the node's, a range for each place in the manifest.
pub(super) fn first_user(agent: &Agent, pod: &Pod<'_>) -> Option<u32> {
    let same = |other: Pod<'_>| (other.namespace, other.name) == (pod.namespace, pod.name);
    let place = agent.manifest().pods.iter().position(same)?;
    pod.sharing.own_users.then(|| limits::POD_IDS.saturating_mul(1 + place as u32))
}

/// Why a pod-init could not be started, with what it may be for want of where the pod has its own users.
pub(super) fn explain(error: crate::sys::Error, users: Option<u32>) -> Trouble {
    match users {
        Some(_) => format!("hostUsers: false: {error} (does this kernel have CONFIG_USER_NS, and /proc/sys/user/max_user_namespaces room?)").into(),
        None => error.into(),
    }
}

/// The user namespace of a pod that has one.
pub(super) fn users(paths: &Paths, uid: Uid, pod: &Pod<'_>) -> Result<Option<OwnedFd>, Trouble> {
    if !pod.sharing.own_users {
        return Ok(None);
    }
    let file = sandbox::init_file(&paths.pod(uid));
    let pid = std::fs::read_to_string(&file).map_err(Trouble::at("read", &file))?;
    let path = Path::new("/proc").join(pid.trim()).join("ns/user");
    let users = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    users.map(Some).map_err(|errno| Trouble::at("open", &path)(errno.into()))
}

/// Shows what a container is given as its own users' files.
pub(super) fn map_ids(mounted: &OwnedFd, users: Option<&OwnedFd>, what: &str) -> Result<(), Trouble> {
    let Some(users) = users else { return Ok(()) };
    mount::map_ids(mounted, users.as_fd(), true).map_err(|errno| {
        Trouble::from(format!(
            "hostUsers: false: map the users of {what}: {errno} (does its file system have id-mapped mounts in this kernel?)"
        ))
    })
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
