//! What a container starts with: the image's configuration and the pod's, merged by Kubernetes' rules, and everything opened.

use super::config::Facts;
use super::confine;
use super::downward::{Teller, fill};
use super::envfile;
use super::images::{Images, Record, Refused};
use super::paths::Paths;
use super::{logs, mounts, volumes, words};
use crate::manifest::List;
use crate::manifest::check::rule;
use crate::manifest::codec;
use crate::manifest::fact::{self, Fact};
use crate::manifest::huge::HugePages;
use crate::manifest::image::Image;
use crate::manifest::pod::{Container, ContainerKind, EnvVar, GroupsPolicy, Mount, Pod, Qos, Resources};
use crate::manifest::record::Memo;
use crate::manifest::status::Uid;
use crate::pod::wire::{MountPoint, Order, Start};
use crate::sys::cgroup::{Doors, Limits};
use serde::Serialize;
use std::borrow::Cow;
use std::format;
use std::os::fd::OwnedFd;
use std::prelude::v1::*;

/// The search path where neither image nor pod says one.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The files of /etc that are the pod's.
const MANAGED: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// The bytes of a [`List`], being written.
#[derive(Default)]
pub(super) struct Bytes(Vec<u8>);

impl Bytes {
    /// Adds an element.
    pub(super) fn push<T: Serialize>(&mut self, element: &T) {
        codec::write(element, &mut |piece| {
            self.0.extend_from_slice(piece);
            true
        });
    }

    /// The bytes of all of them.
    pub(super) fn into_vec(self) -> Vec<u8> {
        self.0
    }

    /// The list of all of them.
    pub(super) fn list<T>(&self) -> List<'_, T> {
        List::from_bytes(&self.0)
    }
}

impl<T: Serialize> FromIterator<T> for Bytes {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Bytes {
        let mut bytes = Bytes::default();
        elements.into_iter().for_each(|element| bytes.push(&element));
        bytes
    }
}

/// Which instance of which container of which pod.
#[derive(Clone, Copy)]
pub(super) struct Which<'a> {
    /// The pod's identity.
    pub(super) uid: Uid,
    /// What the manifest says of it.
    pub(super) pod: &'a Pod<'a>,
    /// The container.
    pub(super) container: Container<'a>,
    /// The container whose processes it sees, where it is not to have its own.
    pub(super) target: Option<u8>,
    /// Its index.
    pub(super) index: u8,
    /// The instance.
    pub(super) instance: u32,
    /// What its pod-init is to remember.
    pub(super) memo: Memo,
}

/// Opens everything that a start takes, and hands the order with its descriptors to `send`.
pub(super) fn order(
    paths: &Paths,
    images: &mut Images,
    facts: &Facts,
    which: Which<'_>,
    (doors, filters): (Doors, List<'static, &'static [u8]>),
    send: impl FnOnce(&Order<'_>, Vec<OwnedFd>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let Which { pod, container, .. } = which;
    let record = Record::read(paths, container.image)?;
    let image = record.image_for(&facts.machine)?;
    let user = user(&container, &image).map_err(Refused::config)?;
    let teller = Teller { paths, node: facts, uid: which.uid, pod };
    let argv = argv(&container, &image).map_err(Refused::config)?;
    let (variables, told) = told(&teller, &container)?;
    let container = Container { env: variables.list(), ..container };
    let argv: Bytes = argv.map(|word| fill(word, &told)).collect();
    let env = environment(pod, &container, &image, user.0);
    let env: Bytes = env.iter().map(|entry| fill(entry, &told)).collect();
    let groups: Bytes = groups(pod, &image, user.0).into_iter().collect();

    let put_in = container.kind == ContainerKind::Ephemeral;
    let mut fds = Vec::from([if put_in { images.open_once(paths, &record)? } else { images.open(paths, &record)? }]);
    fds.extend(logs::create(paths, which.uid, container.name).map_err(|e| Refused::new(e.into()))?);
    let (cgroups, cgroup_v2) = (doors.fds.len() as u8, doors.v2);
    fds.extend(doors.fds);
    let mut points = Bytes::default();
    let users = confine::users(paths, which.uid, pod).map_err(Refused::new)?;
    confine::map_ids(&fds[0], users.as_ref(), container.image).map_err(Refused::new)?;
    for (point, mount) in opened(&teller, images, &container, &told, which.instance)? {
        confine::map_ids(&mount, users.as_ref(), point.path).map_err(Refused::new)?;
        points.push(&point);
        fds.push(mount);
    }
    for (point, mount) in confine::devices(&container).map_err(Refused::new)? {
        points.push(&point);
        fds.push(mount);
    }
    fds.extend(confine::node_devices(&container).map_err(Refused::new)?);
    let start = Start {
        container: which.index,
        instance: which.instance,
        memo: which.memo,
        argv: argv.list(),
        env: env.list(),
        cwd: container.working_dir.unwrap_or(image.working_dir),
        uid: user.0,
        gid: user.1,
        groups: groups.list(),
        capabilities: container.security.capabilities,
        no_new_privileges: container.security.no_new_privileges,
        read_only_root: container.security.read_only_root,
        layer_bytes: layer(&container.resources, facts.memory),
        oom_score_adj: oom_score_adj(pod.qos(), &container, facts.memory),
        cgroups,
        cgroup_v2,
        mounts: points.list(),
        view: confine::view(&container),
        seccomp: confine::filter(&container, filters).map_err(Refused::config)?,
        stdin: container.stdin,
        tty: container.tty,
        target: which.target,
    };
    send(&Order::Start(start), fds)
}

/// Bytes of a container's own files, which are in memory: no more than it may have of that, or of ephemeral storage.
fn layer(asked: &Resources, memory: u64) -> u64 {
    [asked.memory_limit, asked.storage_limit].into_iter().flatten().fold(memory / 2, u64::min)
}

/// User and group: the pod's word over the image's. The image's group goes with the image's user only.
fn user(container: &Container<'_>, image: &Image<'_>) -> Result<(u32, u32), &'static str> {
    let uid = container.security.run_as_user.unwrap_or(image.uid);
    let gid = container.security.run_as_group.unwrap_or(if uid == image.uid { image.gid } else { 0 });
    match (uid, container.security.run_as_non_root, container.security.run_as_user) {
        (0, true, Some(_)) => Err("container's runAsUser breaks non-root policy"),
        (0, true, None) => Err("container has runAsNonRoot and image will run as root"),
        _ => Ok((uid, gid)),
    }
}

/// The pod's further groups, and the image's where the user is the image's; each once.
fn groups(pod: &Pod<'_>, image: &Image<'_>, uid: u32) -> Vec<u32> {
    let of_image = image.groups.iter().filter(|_| uid == image.uid && pod.groups_policy == GroupsPolicy::Merge);
    let of_volumes = pod.fs_group.map(|group| group.id);
    let mut groups: Vec<u32> = pod.supplemental_groups.iter().chain(of_volumes).chain(of_image).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// `command` replaces ENTRYPOINT and CMD, `args` replaces CMD.
fn argv<'a>(
    container: &Container<'a>,
    image: &Image<'a>,
) -> Result<impl Iterator<Item = &'a str> + use<'a>, &'static str> {
    let (program, words) = match (container.command, container.args) {
        (Some(command), args) => (command, args.unwrap_or_default()),
        (None, Some(args)) => (image.entrypoint, args),
        (None, None) => (image.entrypoint, image.cmd),
    };
    if program.is_empty() && words.is_empty() {
        return Err("no command specified: neither the image nor the pod names one");
    }
    Ok(program.iter().chain(words.iter()))
}

/// The variables that are set, and each of the container's facts as it is now. A reference to a variable that is not set stays as it
/// was written, as in Kubernetes.
fn told(teller: &Teller<'_>, container: &Container<'_>) -> Result<(Bytes, Vec<String>), Refused> {
    let (mut told, mut missing) = (Vec::new(), Vec::new());
    for (index, fact) in (0..).zip(container.facts) {
        let Fact::File(asked) = fact else {
            told.push(teller.tell(fact));
            continue;
        };
        told.push(envfile::value(teller, asked)?.unwrap_or_else(|| {
            missing.push(index);
            let variable = container.env.iter().find(|variable| fact::alone(variable.value) == Some(index));
            format!("$({})", variable.map_or("", |variable| variable.key))
        }));
    }
    let is_set = |variable: &EnvVar<'_>| !fact::alone(variable.value).is_some_and(|index| missing.contains(&index));
    Ok((container.env.iter().filter(is_set).collect(), told))
}

/// The image's environment with the pod's over it, and what every program may count on.
fn environment<'a>(pod: &Pod<'a>, container: &Container<'a>, image: &Image<'a>, uid: u32) -> Vec<Cow<'a, str>> {
    let name = |entry: &'a str| entry.split_once('=').map_or(entry, |(name, _)| name);
    let told = |wanted: &str| container.env.iter().any(|variable| variable.key == wanted);
    let mut entries: Vec<Cow<'a, str>> =
        image.env.iter().filter(|entry| !told(name(entry))).map(Cow::Borrowed).collect();
    for (n, variable) in container.env.iter().enumerate() {
        // The last one of a name counts.
        if !container.env.iter().skip(n + 1).any(|later| later.key == variable.key) {
            entries.push(format!("{}={}", variable.key, variable.value).into());
        }
    }
    let home = if uid == 0 { "/root" } else { "/" };
    for (key, value) in [("PATH", PATH), ("HOSTNAME", pod.hostname), ("HOME", home)] {
        if !entries.iter().any(|entry| entry.split_once('=').is_some_and(|(name, _)| name == key)) {
            entries.push(format!("{key}={value}").into());
        }
    }
    entries
}

/// Volumes, managed files and the place of the last words, outer ones first.
fn opened<'a>(
    teller: &Teller<'_>,
    images: &mut Images,
    container: &Container<'a>,
    told: &[String],
    instance: u32,
) -> Result<Vec<(MountPoint<'a>, OwnedFd)>, Refused> {
    const HOSTS: [&str; 3] = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
    let mut all = Vec::new();
    for mount in container.mounts {
        let volume =
            teller.pod.volumes.get(mount.volume.into()).ok_or_else(|| Refused::config("a mount names no volume"))?;
        let sub_path = fill(mount.sub_path, told);
        if !sub_path.is_empty() && !(rule::RELATIVE_PATH.holds)(&sub_path) {
            return Err(Refused::config(&format!("subPathExpr: {sub_path} {}", rule::RELATIVE_PATH.says)));
        }
        let opened = volumes::open(teller, images, &volume, &Mount { sub_path: &sub_path, ..mount })?;
        // Its mount is read-only already where it is to be.
        all.push((MountPoint { path: mount.path, directory: opened.directory, read_only: false }, opened.mount));
    }
    for (file, path) in MANAGED.into_iter().zip(HOSTS) {
        if container.mounts.iter().any(|mount| mount.path == path) {
            continue;
        }
        let mount = mounts::copy(&teller.paths.pod(teller.uid).etc(file), false).map_err(|e| Refused::new(e.into()))?;
        all.push((MountPoint { path, directory: false, read_only: container.security.read_only_root }, mount));
    }
    if container.kind != ContainerKind::Ephemeral {
        all.extend(words::place(teller.paths, teller.uid, container, instance).map_err(Refused::new)?);
    }
    all.sort_by_key(|(point, _)| point.path.matches('/').count());
    Ok(all)
}

/// How readily the kernel ends it for want of memory (spec 94).
fn oom_score_adj(qos: Qos, container: &Container<'_>, capacity: u64) -> i16 {
    let request = match container.resources.memory_request {
        0 => container.resources.memory_limit.unwrap_or(0),
        asked => asked,
    };
    match qos {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let part = u128::from(request) * 1000 / u128::from(capacity.max(1));
            1000u128.saturating_sub(part).clamp(2, 999) as i16
        }
    }
}

/// The bounds of a container's own cgroup.
pub(super) fn limits(container: &Container<'_>) -> Limits {
    let asked = container.resources;
    Limits {
        memory: asked.memory_limit,
        memory_high: None,
        memory_group: true,
        cpu_milli: asked.cpu_limit_milli,
        cpu_request_milli: Some(if asked.cpu_request_milli == 0 {
            asked.cpu_limit_milli.unwrap_or(0)
        } else {
            asked.cpu_request_milli
        }),
        pids: None,
        huge_pages: asked.huge_pages,
    }
}

/// The huge pages that a container of a pod may have: those that it asks for; and of a size that only the pod as a whole asks for, all.
pub(super) fn huge_pages(pod: &Pod<'_>, container: &Container<'_>) -> HugePages {
    let asked = pod.containers.iter().map(|it| it.resources.huge_pages);
    let asked = asked.fold(HugePages::NONE, |sum, one| sum.join(one, u32::saturating_add));
    let of_pod = pod.resources.huge_pages.join(asked, |pod, asked| if asked == 0 { pod } else { 0 });
    container.resources.huge_pages.join(of_pod, u32::max)
}

/// The bounds of a pod's cgroup (spec 19), but for its processes.
pub(super) fn pod_limits(pod: &Pod<'_>) -> Limits {
    let asked = pod.resources;
    let request: u32 =
        pod.containers.iter().filter_map(|container| limits(&container).cpu_request_milli).fold(0, u32::saturating_add);
    let overhead = pod.overhead;
    Limits {
        memory: asked.memory_limit.map(|limit| limit.saturating_add(overhead.memory_request)),
        memory_high: None,
        memory_group: false,
        cpu_milli: asked.cpu_limit_milli.map(|limit| limit.saturating_add(overhead.cpu_request_milli)),
        cpu_request_milli: Some(asked.cpu_request_milli.max(request).saturating_add(overhead.cpu_request_milli)),
        pids: pod.pids_limit,
        huge_pages: asked.huge_pages.join(overhead.huge_pages, u32::saturating_add),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::pod::Security;

    fn words(list: &[&str]) -> Bytes {
        list.iter().collect()
    }

    fn image<'a>(entrypoint: &'a Bytes, cmd: &'a Bytes, env: &'a Bytes) -> Image<'a> {
        Image {
            reference: "i",
            platform: "arm64",
            sha256: [0; 32],
            size: 0,
            entrypoint: entrypoint.list(),
            cmd: cmd.list(),
            env: env.list(),
            working_dir: "/srv",
            uid: 33,
            gid: 34,
            groups: List::EMPTY,
            stop_signal: 15,
            ports: List::EMPTY,
        }
    }

    #[test]
    fn command_replaces_both_and_args_replaces_cmd() {
        let (entrypoint, cmd, none) = (words(&["/e"]), words(&["d"]), words(&[]));
        let (command, args) = (words(&["/c"]), words(&["a"]));
        let image = image(&entrypoint, &cmd, &none);
        let run = |command: Option<&Bytes>, args: Option<&Bytes>| {
            let mut it = Container::default();
            let list = |bytes: &Bytes| bytes.0.clone().leak() as &[u8];
            it.command = command.map(|b| List::from_bytes(list(b)));
            it.args = args.map(|b| List::from_bytes(list(b)));
            argv(&it, &image).map(|words| words.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(run(None, None).unwrap(), "/e d");
        assert_eq!(run(Some(&command), None).unwrap(), "/c");
        assert_eq!(run(None, Some(&args)).unwrap(), "/e a");
        assert_eq!(run(Some(&command), Some(&args)).unwrap(), "/c a");
        let empty = super::tests::image(&none, &none, &none);
        assert!(argv(&Container::default(), &empty).is_err());
    }

    #[test]
    fn the_pods_environment_is_over_the_images() {
        let (none, env) = (words(&[]), words(&["A=1", "B=2", "PATH=/x"]));
        let image = image(&none, &none, &env);
        let told: Bytes = [("A", "3"), ("C", "4"), ("C", "5")]
            .map(|(key, value)| EnvVar { key, value, secret: false })
            .into_iter()
            .collect();
        let it = Container { env: told.list(), ..Container::default() };
        let merged = environment(&Pod { hostname: "web", ..Pod::default() }, &it, &image, 0);
        assert_eq!(merged, ["B=2", "PATH=/x", "A=3", "C=5", "HOSTNAME=web", "HOME=/root"]);
    }

    #[test]
    fn users_are_kubernetes_and_root_is_refused_where_it_must_be() {
        let none = words(&[]);
        let image = image(&none, &none, &none);
        let run = |security: Security, image: &Image<'_>| user(&Container { security, ..Container::default() }, image);
        let base = Security::default();
        assert_eq!(run(base, &image), Ok((33, 34)));
        assert_eq!(run(Security { run_as_user: Some(7), ..base }, &image), Ok((7, 0)));
        assert_eq!(run(Security { run_as_user: Some(33), ..base }, &image), Ok((33, 34)));
        assert_eq!(run(Security { run_as_group: Some(9), ..base }, &image), Ok((33, 9)));
        let root = Image { uid: 0, ..image };
        let refused = run(Security { run_as_non_root: true, ..base }, &root).unwrap_err();
        assert_eq!(refused, "container has runAsNonRoot and image will run as root");
    }

    #[test]
    fn spec_94_oom_scores() {
        let it = |memory_request| Container {
            resources: Resources { memory_request, ..Resources::default() },
            ..Container::default()
        };
        assert_eq!(oom_score_adj(Qos::Guaranteed, &it(5), 100), -997);
        assert_eq!(oom_score_adj(Qos::BestEffort, &it(0), 100), 1000);
        assert_eq!(oom_score_adj(Qos::Burstable, &it(25), 100), 750);
        assert_eq!(oom_score_adj(Qos::Burstable, &it(0), 100), 999);
        assert_eq!(oom_score_adj(Qos::Burstable, &it(u64::MAX), 100), 2);
    }
}
