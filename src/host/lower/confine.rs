//! What holds a container beside its user and capabilities, and what it is given of the board: seccomp, privileged, procMount,
//! sysctls, devices; and what a board has no answer to: AppArmor, SELinux, Windows.

use super::Context;
use super::objects::Metadata;
use super::pod::Shared;
use super::security;
use crate::host::arena::Arena;
use crate::host::diagnostic::alternatives;
use crate::host::read::{Object, Place, did_you_mean};
use crate::host::suggest::nearest;
use crate::host::{schema, seccomp};
use crate::manifest::check::rule::{self, SysctlNamespace};
use crate::manifest::pod::{Confinement, Device, Pair, ProcMount, Seccomp, Sharing};
use crate::manifest::{List, limits};
use core::cell::RefCell;
use std::format;
use std::path::Path;
use std::prelude::v1::*;

/// The filters of a manifest, each once, however many containers have it.
#[derive(Default)]
pub(super) struct Filters(RefCell<Vec<Vec<u8>>>);

impl Filters {
    /// All of them.
    pub(super) fn list<'a>(&self, arena: &'a Arena) -> List<'a, &'a [u8]> {
        arena.list(self.0.borrow().iter().map(|filter| arena.bytes(filter)))
    }

    /// The index of a filter; `None` where there are too many.
    fn index(&self, filter: Vec<u8>) -> Option<u8> {
        let mut all = self.0.borrow_mut();
        let index = all.iter().position(|known| *known == filter).unwrap_or_else(|| {
            all.push(filter);
            all.len() - 1
        });
        u8::try_from(index).ok().filter(|_| index < limits::FILTERS)
    }
}

/// A `seccompProfile` as it is written.
#[derive(Clone)]
pub(super) enum Profile {
    Unconfined,
    RuntimeDefault,
    Localhost { name: String, profile: seccomp::Profile },
}

/// The `seccompProfile` of a pod's or a container's security context.
pub(super) fn profile(cx: &Context<'_>, security: &Object<'_>) -> Option<Profile> {
    let object = security.get("seccompProfile")?.object(&schema::SECCOMP)?;
    let path = object.get("localhostProfile").filter(|path| path.text().is_some());
    let kind = object.require("type")?.one_of(&["Unconfined", "RuntimeDefault", "Localhost"])?;
    match (kind, path) {
        ("Localhost", Some(path)) => localhost(cx, &path),
        ("Localhost", None) => {
            object.place.error("localhostProfile is required where the type is Localhost");
            None
        }
        (_, Some(path)) => {
            path.error("can only be set where the type is Localhost");
            None
        }
        ("RuntimeDefault", None) => Some(Profile::RuntimeDefault),
        _ => Some(Profile::Unconfined),
    }
}

/// Bytes of a profile that is read at all.
const PROFILE: u64 = 1 << 20;

/// Reads and checks a profile of the pod's own: a file beside the pod's.
fn localhost(cx: &Context<'_>, place: &Place<'_>) -> Option<Profile> {
    let name = place.text()?;
    if name.is_empty() || name.starts_with('/') || name.split('/').any(|part| part == "..") {
        place.error(format!("{} must be a path below the folder of this file, without ..", place.quoted(name)));
        return None;
    }
    let (_, source) = cx.sources.iter().find(|(file, _)| *file == place.at().file)?;
    let path = Path::new(&source.name).parent().unwrap_or(Path::new("")).join(name);
    let read = || match std::fs::metadata(&path)?.len() {
        ..=PROFILE => std::fs::read_to_string(&path),
        _ => Err(std::io::Error::other("it is larger than 1 MiB")),
    };
    let text = read().map_err(|e| place.error(format!("cannot read {}: {e}", path.display()))).ok()?;
    let profile = seccomp::parse(&text).map_err(|e| place.error(format!("{}: {e}", path.display()))).ok()?;
    Some(Profile::Localhost { name: name.into(), profile })
}

/// Whether a container's security context says `privileged: true`.
pub(super) fn is_privileged(security: &Object<'_>) -> bool {
    security.get("privileged").and_then(|place| place.boolean()) == Some(true)
}

/// A container's part.
pub(super) fn container<'c>(cx: &'c Context<'_>, pod: &Shared<'_>, container: &Object<'_>) -> Confinement<'c> {
    let object = container.get("securityContext").filter(Place::is_map);
    let object = object.and_then(|s| s.object(&schema::SECURITY));
    let devices = cx.arena.list(devices(cx, container));
    let default = if cx.board.node.seccomp_default { Profile::RuntimeDefault } else { Profile::Unconfined };
    let own = object.as_ref().and_then(|object| profile(cx, object));
    let wanted = own.or_else(|| pod.security.seccomp.clone()).unwrap_or(default);
    let held = Confinement { devices, ..Confinement::default() };
    let Some(object) = object else {
        let seccomp = seccomp(cx, &container.place, &wanted, security::capabilities_of(None));
        return Confinement { seccomp, ..held };
    };
    foreign(&object);
    let proc_mount = proc_mount(pod, &object);
    if privileged(cx, pod, &object) {
        // As in every runtime: nothing filters what is privileged.
        return Confinement { privileged: true, proc_mount, ..held };
    }
    let seccomp = seccomp(cx, &object.place, &wanted, security::capabilities_of(Some(&object)));
    Confinement { seccomp, proc_mount, ..held }
}

/// `hostUsers: false`: users of the pod's own, which the API server refuses beside the node's namespaces.
pub(super) fn own_users(spec: &Object<'_>) -> bool {
    let own = spec.flag("hostUsers") == Some(false);
    for name in ["hostIPC", "hostNetwork", "hostPID"] {
        if let Some(place) = spec.get(name).filter(|place| own && place.boolean() == Some(true)) {
            place.error("forbidden when hostUsers is false");
        }
    }
    own
}

/// Compiles a profile for the board's CPU.
fn seccomp<'c>(cx: &'c Context<'_>, place: &Place<'_>, wanted: &Profile, capabilities: u64) -> Seccomp<'c> {
    let compiled = match wanted {
        Profile::Unconfined => return Seccomp::Unconfined,
        Profile::RuntimeDefault => seccomp::runtime_default(capabilities).compile(cx.board.arch),
        Profile::Localhost { profile, .. } => profile.compile(cx.board.arch),
    };
    let filter = match compiled {
        Ok(filter) if cx.afford(place, filter.len()) => filter,
        Ok(_) => return Seccomp::Unconfined,
        Err(error) => {
            place.error(format!("seccompProfile: {error}"));
            return Seccomp::Unconfined;
        }
    };
    let Some(filter) = cx.filters.index(filter) else {
        let most = limits::FILTERS;
        place.error(format!("seccompProfile: a manifest holds at most {most} different filters; give containers the same capabilities to share one"));
        return Seccomp::Unconfined;
    };
    match wanted {
        Profile::Localhost { name, .. } => Seccomp::Localhost { profile: cx.arena.str(name), filter },
        _ => Seccomp::RuntimeDefault { filter },
    }
}

/// Spec 83, 87.
fn privileged(cx: &Context<'_>, pod: &Shared<'_>, object: &Object<'_>) -> bool {
    if !is_privileged(object) {
        return false;
    }
    if let Some(place) = object.get("privileged").filter(|_| !cx.board.allow_privileged) {
        let path = place.path().to_owned();
        place.renamed("").error(format!("The Pod {:?} is invalid: {path}: forbidden", pod.meta.name));
    } else if let Some(place) = object.get("privileged").filter(|_| pod.own_users) {
        place.error("cannot be had with hostUsers: false: the node's devices do not work for users of the pod's own");
    }
    true
}

fn proc_mount(pod: &Shared<'_>, object: &Object<'_>) -> ProcMount {
    let Some(place) = object.get("procMount") else { return ProcMount::Default };
    match place.one_of(&["Default", "Unmasked"]) {
        Some("Unmasked") if pod.own_users => return ProcMount::Unmasked,
        // As the API server has it.
        Some("Unmasked") => place.error("Unmasked needs spec.hostUsers: false"),
        _ => {}
    }
    ProcMount::Default
}

/// What no board has: said with the reason, unless it asks for nothing.
fn foreign(security: &Object<'_>) {
    if let Some(object) = security.get("appArmorProfile").and_then(|p| p.object(&schema::APP_ARMOR)) {
        said(&object, &["localhostProfile"]);
        let place = object.require("type");
        let kind = place.as_ref().and_then(|place| place.one_of(&["Unconfined", "RuntimeDefault", "Localhost"]));
        if let (Some(place), Some(kind @ ("RuntimeDefault" | "Localhost"))) = (place, kind) {
            place.error(format!("{kind} {NO_APP_ARMOR}"));
        }
    }
    if let Some(place) = security.get("seLinuxOptions")
        && let Some(object) = place.object(&schema::SE_LINUX)
        && said(&object, &["level", "role", "type", "user"])
    {
        place.error("cannot be honoured: no board's kernel enforces SELinux, and images carry no labels");
    }
    if let Some(place) = security.get("windowsOptions")
        && let Some(object) = place.object(&schema::WINDOWS)
    {
        said(&object, &["gmsaCredentialSpec", "gmsaCredentialSpecName", "runAsUserName"]);
        object.flag("hostProcess");
        place.error("cannot be set: a board runs linux");
    }
}

/// Whether one of these fields, all of them texts, says something.
fn said(object: &Object<'_>, names: &[&'static str]) -> bool {
    names.iter().filter_map(|name| object.get(name)?.text()).filter(|text| !text.is_empty()).count() > 0
}

const NO_APP_ARMOR: &str = "cannot be honoured: no board's kernel has AppArmor with profiles loaded; Unconfined is possible, and \
    seccompProfile filters system calls";

/// The annotation that named AppArmor profiles before there was a field.
const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The pod's part: what is foreign is said, and its sysctls are given back.
pub(super) fn pod<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    meta: &Metadata<'a>,
    spec: &Object<'a>,
    sharing: Sharing,
) -> Vec<Pair<'c>> {
    for (key, place) in &meta.annotation_places {
        if key.starts_with(APP_ARMOR_ANNOTATION) && place.text().is_some_and(|value| value != "unconfined") {
            place.error(format!("this {NO_APP_ARMOR}"));
        }
    }
    for (name, place) in spec.get("resources").filter(Place::is_map).iter().flat_map(lists) {
        place.error(format!("{} is for containers: a pod as a whole has cpu and memory", place.quoted(name)));
    }
    let Some(object) = spec.get("securityContext").filter(Place::is_map) else { return Vec::new() };
    let Some(object) = object.object(&schema::POD_SECURITY) else { return Vec::new() };
    foreign(&object);
    let mut set: Vec<Pair<'c>> = Vec::new();
    for place in object.get("sysctls").iter().flat_map(|list| list.list(limits::SYSCTLS)) {
        let Some(one) = place.object(&schema::SYSCTL) else { continue };
        let (name, value) = (one.require("name"), one.require("value").and_then(|value| value.text()));
        let key = name.as_ref().and_then(Place::text);
        let (Some(name), Some(key), Some(text)) = (name, key, value) else { continue };
        let key = dotted(key);
        if sysctl(cx, &name, &key, sharing) && set.iter().any(|earlier| earlier.key == key) {
            name.error(format!("{} is set already", name.quoted(&key)));
        }
        set.push(Pair { key: cx.arena.str(&key), value: cx.arena.str(text) });
    }
    set
}

/// A sysctl's name with `.` between its parts; Kubernetes takes `/` as well, and then `.` is a part's own.
fn dotted(name: &str) -> String {
    match name.find(['.', '/']).map(|at| &name[at..=at]) {
        Some("/") => name.replace('/', "."),
        _ => name.into(),
    }
}

/// What Kubernetes lets every pod set: it is of the pod's own namespaces, and cannot starve the node.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Whether a pod may set this, with the reason said where not.
fn sysctl(cx: &Context<'_>, place: &Place<'_>, name: &str, sharing: Sharing) -> bool {
    if !(rule::SYSCTL.holds)(name) {
        let says = rule::SYSCTL.says;
        place.error(format!("{} {says}: any other would change the whole board", place.quoted(name)));
        return false;
    }
    let shared = match rule::sysctl_namespace(name) {
        SysctlNamespace::Network => sharing.host_network.then_some("hostNetwork"),
        SysctlNamespace::Ipc => sharing.host_ipc.then_some("hostIPC"),
    };
    if let Some(shared) = shared {
        place.error(format!(
            "{} may not be set by a pod with {shared}: it would change the whole board",
            place.quoted(name)
        ));
        return false;
    }
    let matches = |pattern: &String| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    };
    if !SAFE_SYSCTLS.contains(&name) && !cx.board.node.allowed_unsafe_sysctls.iter().any(matches) {
        place.error(format!("{} is not one of the safe sysctls: the board must allow it, with node.allowed_unsafe_sysctls in its board.toml", place.quoted(name)));
        return false;
    }
    true
}

/// The entries of `limits` and `requests` that name no resource of Kubernetes' own.
fn lists<'a>(resources: &Place<'a>) -> Vec<(&'a str, Place<'a>)> {
    let extended = |(name, place): (&'a str, Place<'a>)| name.contains('/').then_some((name, place));
    let Some(object) = resources.object(&schema::RESOURCES) else { return Vec::new() };
    ["limits", "requests"]
        .into_iter()
        .filter_map(|which| object.get(which).filter(Place::is_map))
        .flat_map(|list| list.map(usize::MAX).into_iter().filter_map(extended))
        .collect()
}

/// The devices that a container asks for, as it would a device plugin: `resources.limits["board.podling/gpio"]: 1`.
fn devices<'c>(cx: &'c Context<'_>, container: &Object<'_>) -> Vec<Device<'c>> {
    let Some(resources) = container.get("resources").filter(Place::is_map) else { return Vec::new() };
    let Some(object) = resources.object(&schema::RESOURCES) else { return Vec::new() };
    let bounds = object.get("limits").filter(Place::is_map).map(|list| list.map(usize::MAX)).unwrap_or_default();
    let mut devices: Vec<Device<'c>> = Vec::new();
    for (name, place) in lists(&resources) {
        let Some((resource, paths)) = cx.board.resources.get_key_value(name) else {
            let known: Vec<&str> = cx.board.resources.keys().map(String::as_str).collect();
            let hint = did_you_mean(nearest(name, known.iter().copied()));
            let there =
                if known.is_empty() { "it names none".into() } else { format!("it has {}", alternatives(&known)) };
            place.error(format!(
                "{} is not a resource of the board {}: {there}{hint}",
                place.quoted(name),
                cx.board.class
            ));
            continue;
        };
        if place.word().is_some_and(|word| word != "1") {
            place.error(format!(
                "1 is possible: {name} is all of its devices, and containers that ask for it share them"
            ));
        }
        if !bounds.iter().any(|(limit, _)| *limit == name) {
            place.error("a request needs the same limit");
        }
        for path in paths {
            if devices.iter().all(|known| known.path != path) {
                devices.push(Device { resource: cx.arena.str(resource), path: cx.arena.str(path) });
            }
        }
    }
    if devices.len() > limits::DEVICES {
        resources.error(format!(
            "at most {} devices are possible in a container, and these are {}",
            limits::DEVICES,
            devices.len()
        ));
    }
    devices
}
