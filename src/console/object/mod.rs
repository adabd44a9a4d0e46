//! A checked pod as the Kubernetes object it came from, with its status where it has one: `get -o yaml` and `podling inspect`.
//!
//! What the compiler inlined is taken apart again: the files of configMap and secret volumes become documents of their own
//! beside the pod, so that what is printed can be compiled once more. Secrets are redacted unless asked for.

mod confinement;
mod container;
mod files;
mod probe;
mod projected;
mod resources;
mod status;

pub use super::emit::Format;
pub use super::view::StatusView;
pub use crate::manifest::units::{Bytes, Cpu};

use self::resources::{requests, resources};
use super::emit::{Emit, Json, Kind, Yaml};
use crate::manifest::List;
use crate::manifest::limits;
use crate::manifest::pod::{
    Dns, DnsPolicy, FsGroupChange, GroupsPolicy, HostPathKind, Medium, Pair, Pod, RestartPolicy, RunAs, Source, Volume,
};
use crate::manifest::volume::Disk;
use alloc::boxed::Box;
use core::fmt::{self, Display, Write};

/// What stands where a secret would.
pub const REDACTED: &str = "<redacted>";

/// What to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Show secrets as they are.
    pub secrets: bool,
    /// Show the files of configMap and secret volumes, as documents of their own.
    pub files: bool,
}

/// One pod: in YAML its documents after each other, in JSON one object (a `List` where there are several).
pub fn pod(
    pod: &Pod<'_>,
    status: Option<&StatusView<'_>>,
    format: Format,
    options: Options,
    out: &mut dyn Write,
) -> fmt::Result {
    let has_files = |volume: Volume<'_>| matches!(volume.source, Source::Files { .. } | Source::Projected { .. });
    let several = options.files && pod.volumes.iter().any(has_files);
    match format {
        Format::Yaml => documents(pod, status, options, out),
        Format::Json if several => list([(*pod, status)], format, options, out),
        Format::Json => object(&mut Json::new(out), pod, status, options),
    }
}

/// Several pods in one object of kind `List`.
pub fn list<'a, 's>(
    pods: impl IntoIterator<Item = (Pod<'a>, Option<&'s StatusView<'s>>)>,
    format: Format,
    options: Options,
    out: &mut dyn Write,
) -> fmt::Result {
    let mut listing = Listing::new(format, options, out);
    listing.begin()?;
    pods.into_iter().try_for_each(|(pod, status)| listing.pod(&pod, status))?;
    listing.finish()
}

/// An object of kind `List` under way.
pub struct Listing<'w> {
    emit: Box<dyn Emit + 'w>,
    options: Options,
}

impl<'w> Listing<'w> {
    /// A list onto `out`.
    pub fn new(format: Format, options: Options, out: &'w mut dyn Write) -> Listing<'w> {
        let emit: Box<dyn Emit + 'w> = match format {
            Format::Yaml => Box::new(Yaml::new(out)),
            Format::Json => Box::new(Json::new(out)),
        };
        Listing { emit, options }
    }

    /// Before the first pod.
    pub fn begin(&mut self) -> fmt::Result {
        self.emit.open(Kind::Map)?;
        self.emit.pair("apiVersion", "v1")?;
        self.emit.begin("items", Kind::List)
    }

    /// A pod, and its files where they are to be shown.
    pub fn pod(&mut self, pod: &Pod<'_>, status: Option<&StatusView<'_>>) -> fmt::Result {
        let (emit, options) = (&mut *self.emit, self.options);
        object(emit, pod, status, options)?;
        for volume in pod.volumes.iter().filter(|_| options.files) {
            projected::documents(&volume, &mut |secret, files| {
                files::document(emit, pod, volume.name, secret, files, options)
            })?;
        }
        Ok(())
    }

    /// After the last one.
    pub fn finish(&mut self) -> fmt::Result {
        self.emit.close()?;
        self.emit.pair("kind", "List")?;
        self.emit.close()
    }
}

fn documents(pod: &Pod<'_>, status: Option<&StatusView<'_>>, options: Options, out: &mut dyn Write) -> fmt::Result {
    object(&mut Yaml::new(out), pod, status, options)?;
    if options.files {
        for volume in pod.volumes {
            projected::documents(&volume, &mut |secret, files| {
                out.write_str("---\n")?;
                files::document(&mut Yaml::new(out), pod, volume.name, secret, files, options)
            })?;
        }
    }
    Ok(())
}

/// The pod itself. Keys are in alphabetical order, as kubectl prints them.
fn object(emit: &mut dyn Emit, pod: &Pod<'_>, status: Option<&StatusView<'_>>, options: Options) -> fmt::Result {
    emit.open(Kind::Map)?;
    emit.pair("apiVersion", "v1")?;
    emit.pair("kind", "Pod")?;
    metadata(emit, pod, status)?;
    spec(emit, pod, status, options)?;
    if let Some(status) = status {
        status::status(emit, pod, status)?;
    }
    emit.close()
}

fn metadata(emit: &mut dyn Emit, pod: &Pod<'_>, status: Option<&StatusView<'_>>) -> fmt::Result {
    emit.begin("metadata", Kind::Map)?;
    pairs(emit, "annotations", pod.annotations)?;
    if let Some(status) = status {
        status::date(emit, "creationTimestamp", status, Some(status.created))?;
        if status.terminating {
            status::date(emit, "deletionTimestamp", status, status.dead_after)?;
        }
    }
    pairs(emit, "labels", pod.labels)?;
    emit.pair("name", pod.name)?;
    emit.pair("namespace", pod.namespace)?;
    if let Some(owner) = pod.owner {
        emit.begin("ownerReferences", Kind::List)?;
        emit.open(Kind::Map)?;
        emit.pair("apiVersion", owner.controller.version())?;
        emit.number("controller", &true)?;
        emit.pair("kind", owner.controller.kind())?;
        emit.pair("name", owner.name)?;
        emit.close()?;
        emit.close()?;
    }
    if let Some(status) = status {
        text(emit, "uid", status.uid)?;
    }
    emit.close()
}

fn spec(emit: &mut dyn Emit, pod: &Pod<'_>, status: Option<&StatusView<'_>>, options: Options) -> fmt::Result {
    emit.begin("spec", Kind::Map)?;
    if let Some(seconds) = pod.active_deadline_seconds {
        emit.number("activeDeadlineSeconds", &seconds)?;
    }
    containers(emit, "containers", pod, false, options)?;
    dns(emit, &pod.dns)?;
    ephemeral(emit, pod, status, options)?;
    if !pod.host_aliases.is_empty() {
        emit.begin("hostAliases", Kind::List)?;
        for alias in pod.host_aliases {
            emit.open(Kind::Map)?;
            words(emit, "hostnames", alias.value.split_ascii_whitespace())?;
            emit.pair("ip", alias.key)?;
            emit.close()?;
        }
        emit.close()?;
    }
    flag(emit, "hostIPC", pod.sharing.host_ipc)?;
    flag(emit, "hostNetwork", pod.sharing.host_network)?;
    flag(emit, "hostPID", pod.sharing.host_pid)?;
    if pod.sharing.own_users {
        emit.number("hostUsers", &false)?;
    }
    let name = Names::of(pod);
    if name.host != default_hostname(pod.name) {
        emit.pair("hostname", name.host)?;
    }
    containers(emit, "initContainers", pod, true, options)?;
    if let Some(status) = status {
        emit.pair("nodeName", status.scene.node)?;
    }
    requests(emit, "overhead", &pod.overhead)?;
    if pod.priority != 0 {
        emit.number("priority", &pod.priority)?;
    }
    if let Some(class) = priority_class(pod) {
        emit.pair("priorityClassName", class)?;
    }
    if !pod.readiness_gates.is_empty() {
        emit.begin("readinessGates", Kind::List)?;
        for gate in pod.readiness_gates {
            emit.open(Kind::Map)?;
            emit.pair("conditionType", gate)?;
            emit.close()?;
        }
        emit.close()?;
    }
    resources(emit, &pod.resources, List::EMPTY)?;
    emit.pair("restartPolicy", restart_policy(pod.restart_policy))?;
    pod_security(emit, pod)?;
    flag(emit, "setHostnameAsFQDN", name.subdomain.is_some())?;
    flag(emit, "shareProcessNamespace", pod.sharing.process_namespace)?;
    if let Some(subdomain) = name.subdomain {
        emit.pair("subdomain", subdomain)?;
    }
    emit.number("terminationGracePeriodSeconds", &pod.grace_seconds)?;
    if !pod.volumes.is_empty() {
        emit.begin("volumes", Kind::List)?;
        pod.volumes.iter().try_for_each(|v| volume(emit, pod, &v))?;
        emit.close()?;
    }
    emit.close()
}

fn pod_security(emit: &mut dyn Emit, pod: &Pod<'_>) -> fmt::Result {
    let strict = pod.groups_policy == GroupsPolicy::Strict;
    let says_who = pod.run_as != RunAs::default() || pod.fs_group.is_some() || !pod.supplemental_groups.is_empty();
    if !says_who && pod.sysctls.is_empty() && !strict {
        return Ok(());
    }
    emit.begin("securityContext", Kind::Map)?;
    if let Some(group) = pod.fs_group {
        emit.number("fsGroup", &group.id)?;
        if group.change == FsGroupChange::OnRootMismatch {
            emit.pair("fsGroupChangePolicy", "OnRootMismatch")?;
        }
    }
    if let Some(group) = pod.run_as.group {
        emit.number("runAsGroup", &group)?;
    }
    flag(emit, "runAsNonRoot", pod.run_as.non_root)?;
    if let Some(user) = pod.run_as.user {
        emit.number("runAsUser", &user)?;
    }
    if !pod.supplemental_groups.is_empty() {
        emit.begin("supplementalGroups", Kind::List)?;
        pod.supplemental_groups.iter().try_for_each(|group| emit.raw(&group))?;
        emit.close()?;
    }
    if strict {
        emit.pair("supplementalGroupsPolicy", "Strict")?;
    }
    named(emit, "sysctls", pod.sysctls)?;
    emit.close()
}

fn containers(emit: &mut dyn Emit, key: &str, pod: &Pod<'_>, init: bool, options: Options) -> fmt::Result {
    let mut chosen = pod.containers.iter().filter(|c| init == c.kind.is_init()).peekable();
    if chosen.peek().is_none() {
        return Ok(());
    }
    emit.begin(key, Kind::List)?;
    for c in chosen {
        container::container(emit, pod, &c, None, options)?;
    }
    emit.close()
}

fn ephemeral(emit: &mut dyn Emit, pod: &Pod<'_>, status: Option<&StatusView<'_>>, options: Options) -> fmt::Result {
    let all = status.map_or(&[][..], |status| status.ephemeral);
    if all.is_empty() {
        return Ok(());
    }
    emit.begin("ephemeralContainers", Kind::List)?;
    all.iter().try_for_each(|it| container::container(emit, pod, &it.container, it.target, options))?;
    emit.close()
}

/// A host name taken apart again into what a manifest says.
struct Names<'a> {
    host: &'a str,
    /// Where `setHostnameAsFQDN` has made it `HOST.SUBDOMAIN.NAMESPACE.svc.DOMAIN`.
    subdomain: Option<&'a str>,
}

impl<'a> Names<'a> {
    fn of(pod: &Pod<'a>) -> Names<'a> {
        let plain = Names { host: pod.hostname, subdomain: None };
        if pod.hostname == default_hostname(pod.name) {
            return plain;
        }
        let Some((own, _)) = pod.hostname.split_once(".svc.") else {
            return plain;
        };
        let Some(own) = own.strip_suffix(pod.namespace).and_then(|own| own.strip_suffix('.')) else {
            return plain;
        };
        match own.rsplit_once('.') {
            Some((host, subdomain)) => Names { host, subdomain: Some(subdomain) },
            None => plain,
        }
    }
}

/// The host name of a pod that names none (spec 26).
fn default_hostname(name: &str) -> &str {
    name.get(..limits::LABEL).unwrap_or(name).trim_end_matches(['-', '.'])
}

/// The class of a pod's priority.
pub fn priority_class(pod: &Pod<'_>) -> Option<&'static str> {
    match pod.priority {
        limits::CLUSTER_CRITICAL => Some("system-cluster-critical"),
        _ => pod.critical.then_some("system-node-critical"),
    }
}

/// The word of a restart policy.
pub const fn restart_policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Always => "Always",
        RestartPolicy::OnFailure => "OnFailure",
        RestartPolicy::Never => "Never",
    }
}

fn dns(emit: &mut dyn Emit, dns: &Dns<'_>) -> fmt::Result {
    if !(dns.servers.is_empty() && dns.searches.is_empty() && dns.options.is_empty()) {
        emit.begin("dnsConfig", Kind::Map)?;
        words(emit, "nameservers", dns.servers.iter())?;
        emit.begin("options", Kind::List)?;
        for option in dns.options {
            let (name, value) = option.split_once(':').map_or((option, None), |(name, value)| (name, Some(value)));
            emit.open(Kind::Map)?;
            emit.pair("name", name)?;
            value.map_or(Ok(()), |value| emit.pair("value", value))?;
            emit.close()?;
        }
        emit.close()?;
        words(emit, "searches", dns.searches.iter())?;
        emit.close()?;
    }
    if dns.policy == DnsPolicy::None { emit.pair("dnsPolicy", "None") } else { Ok(()) }
}

fn volume(emit: &mut dyn Emit, pod: &Pod<'_>, volume: &Volume<'_>) -> fmt::Result {
    emit.open(Kind::Map)?;
    match volume.source {
        Source::EmptyDir { medium, size_limit } => {
            emit.begin("emptyDir", Kind::Map)?;
            if medium != Medium::Disk {
                emit.pair("medium", medium.as_str())?;
            }
            if let Some(bytes) = size_limit {
                text(emit, "sizeLimit", Bytes(bytes))?;
            }
            emit.close()?;
            emit.pair("name", volume.name)?;
        }
        Source::HostPath { path, kind } => {
            emit.begin("hostPath", Kind::Map)?;
            emit.pair("path", path)?;
            emit.pair("type", host_path_kind(kind))?;
            emit.close()?;
            emit.pair("name", volume.name)?;
        }
        Source::Block { disk: Disk::Own { bytes }, .. } => {
            emit.begin("ephemeral", Kind::Map)?;
            emit.begin("volumeClaimTemplate", Kind::Map)?;
            emit.begin("spec", Kind::Map)?;
            emit.begin("resources", Kind::Map)?;
            emit.begin("requests", Kind::Map)?;
            text(emit, "storage", Bytes(bytes))?;
            emit.close()?;
            emit.close()?;
            emit.pair("volumeMode", "Block")?;
            emit.close()?;
            emit.close()?;
            emit.close()?;
            emit.pair("name", volume.name)?;
        }
        Source::Claim { read_only, .. } | Source::Local { read_only, .. } | Source::Block { read_only, .. } => {
            emit.pair("name", volume.name)?;
            emit.begin("persistentVolumeClaim", Kind::Map)?;
            emit.pair("claimName", volume.source.claim().unwrap_or_default())?;
            flag(emit, "readOnly", read_only)?;
            emit.close()?;
        }
        Source::Files { secret, files } => files::source(emit, pod, volume.name, secret, files)?,
        Source::Projected { files } => projected::source(emit, pod, volume.name, files)?,
        Source::Image { reference } => {
            emit.begin("image", Kind::Map)?;
            emit.pair("reference", reference)?;
            emit.close()?;
            emit.pair("name", volume.name)?;
        }
    }
    emit.close()
}

/// The word of a hostPath's type.
pub const fn host_path_kind(kind: HostPathKind) -> &'static str {
    match kind {
        HostPathKind::Any => "",
        HostPathKind::DirectoryOrCreate => "DirectoryOrCreate",
        HostPathKind::Directory => "Directory",
        HostPathKind::FileOrCreate => "FileOrCreate",
        HostPathKind::File => "File",
        HostPathKind::Socket => "Socket",
        HostPathKind::CharDevice => "CharDevice",
        HostPathKind::BlockDevice => "BlockDevice",
    }
}

/// A string that is made on the way; bounded, since all of them are short.
fn text(emit: &mut dyn Emit, key: &str, value: impl Display) -> fmt::Result {
    let mut made = heapless::String::<{ limits::SUBDOMAIN }>::new();
    write!(made, "{value}")?;
    emit.pair(key, &made)
}

/// A boolean that is only shown where it is true.
fn flag(emit: &mut dyn Emit, key: &str, value: bool) -> fmt::Result {
    if value { emit.number(key, &true) } else { Ok(()) }
}

fn pairs(emit: &mut dyn Emit, key: &str, pairs: List<'_, Pair<'_>>) -> fmt::Result {
    if pairs.is_empty() {
        return Ok(());
    }
    emit.begin(key, Kind::Map)?;
    pairs.iter().try_for_each(|pair| emit.pair(pair.key, pair.value))?;
    emit.close()
}

/// A list of maps with `name` and `value`, where there is any.
fn named(emit: &mut dyn Emit, key: &str, pairs: List<'_, Pair<'_>>) -> fmt::Result {
    if pairs.is_empty() {
        return Ok(());
    }
    emit.begin(key, Kind::List)?;
    for pair in pairs {
        emit.open(Kind::Map)?;
        emit.pair("name", pair.key)?;
        emit.pair("value", pair.value)?;
        emit.close()?;
    }
    emit.close()
}

fn words<'a>(emit: &mut dyn Emit, key: &str, words: impl IntoIterator<Item = &'a str>) -> fmt::Result {
    emit.begin(key, Kind::List)?;
    words.into_iter().try_for_each(|word| emit.text(word))?;
    emit.close()
}

#[cfg(all(test, feature = "host"))]
mod tests;
