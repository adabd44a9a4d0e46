//! The check of a manifest's pods.

use super::{At, Checked, Problem, owner, probe, rule, security};
use crate::manifest::eviction::{Signal, Threshold};
use crate::manifest::fact::{Fact, MARK, Piece, pieces};
use crate::manifest::pod::*;
use crate::manifest::{List, limits};
use serde::Deserialize;

pub(super) fn manifest<'a>(at: &At<'_, 'a>, manifest: &Manifest<'a>) -> Checked {
    let filters = security::filters(&at.field("filters"), manifest.filters)?;
    node(&at.field("node"), &manifest.node)?;
    at.field("pods").list(manifest.pods, limits::PODS, |place, one| {
        let twin = |other: &Pod<'_>| (other.namespace, other.name) == (one.namespace, one.name);
        place.of_pod((one.namespace, one.name), |at| match before(place, manifest.pods, twin) {
            true => Err(at.fail(Problem::Field("there is another pod of that namespace and name"))),
            false => pod(at, &one, filters),
        })
    })?;
    at.field("claim_owners").list(manifest.claim_owners, limits::CLAIM_OWNERS, |at, one| {
        at.field("namespace").text(one.namespace, rule::LABEL)?;
        at.field("name").text(one.name, rule::SUBDOMAIN)
    })?;
    Ok(())
}

fn node(at: &At<'_, '_>, node: &Node) -> Checked {
    const MORE: &str = "is more than any node has";
    let says = "is not a delay of 1 ms to one day that is at least the one before it (base, cap)";
    let day = u64::from(limits::GRACE_SECONDS) * 1000;
    at.field("backoff_base_ms").number(node.backoff_base_ms.into(), 1..=day, says)?;
    at.field("backoff_cap_ms").number(node.backoff_cap_ms.into(), node.backoff_base_ms.into()..=day, says)?;
    at.field("backoff_reset_ms").number(node.backoff_reset_ms.into(), 1..=day, says)?;
    pids(&at.field("pod_pids_limit"), node.pod_pids_limit)?;
    grace(&at.field("shutdown_grace_seconds"), node.shutdown_grace_seconds)?;
    at.field("memory_reserve").number(node.memory_reserve.unwrap_or(0), 0..=limits::BYTES, MORE)?;
    let at = at.field("eviction");
    for (signal, threshold) in Signal::ALL.into_iter().zip(node.eviction.thresholds) {
        let (number, most) = match threshold {
            None => continue,
            Some(Threshold::Amount(amount)) => (amount, limits::BYTES),
            Some(Threshold::Share(parts)) => (parts.into(), Threshold::WHOLE.into()),
        };
        at.field(signal.as_str()).number(number, 0..=most, MORE)?;
    }
    grace(&at.field("transition_seconds"), node.eviction.transition_seconds)
}

fn pod<'a>(at: &At<'_, 'a>, pod: &Pod<'a>, filters: usize) -> Checked {
    let field = |name| at.field(name);
    field("metadata.namespace").text(pod.namespace, rule::LABEL)?;
    field("metadata.name").text(pod.name, rule::SUBDOMAIN)?;
    pairs(&field("metadata.labels"), pod.labels)?;
    pairs(&field("metadata.annotations"), pod.annotations)?;
    field("hostname").text(pod.hostname, rule::HOST_NAME)?;
    grace(&field("terminationGracePeriodSeconds"), pod.grace_seconds)?;
    if pod.sharing.own_users && (pod.sharing.host_pid || pod.sharing.host_ipc || pod.sharing.host_network) {
        let says = "cannot be false together with hostNetwork, hostPID or hostIPC; leave one out";
        return Err(field("hostUsers").fail(Problem::Field(says)));
    }
    if pod.sharing.host_pid && pod.sharing.process_namespace {
        return Err(
            field("shareProcessNamespace").fail(Problem::Field("cannot be had together with hostPID; leave one out"))
        );
    }
    field("supplementalGroups").list(pod.supplemental_groups, limits::GROUPS, |at, group| at.id(group))?;
    pod.fs_group.map_or(Ok(()), |group| field("fsGroup").id(group.id))?;
    pod.run_as.user.map_or(Ok(()), |user| field("runAsUser").id(user))?;
    pod.run_as.group.map_or(Ok(()), |group| field("runAsGroup").id(group))?;
    field("hostAliases").list(pod.host_aliases, limits::PAIRS, |at, alias| {
        at.field("ip").text(alias.key, rule::ADDRESS)?;
        at.length(alias.value, limits::PATH)?;
        at.field("hostnames").text(alias.value, rule::HOST_NAMES)
    })?;
    dns(&field("dnsConfig"), &pod.dns)?;
    field("readinessGates").list(pod.readiness_gates, limits::READINESS_GATES, |at, one| {
        let at = at.field("conditionType");
        at.text(one, rule::QUALIFIED_NAME)
    })?;
    if let Some(seconds) = pod.active_deadline_seconds {
        let says = "is not a number of seconds from 1 to 2147483647";
        field("activeDeadlineSeconds").number(seconds.into(), 1..=limits::DEADLINE_SECONDS.into(), says)?;
    }
    resources(&field("resources"), &pod.resources)?;
    resources(&field("overhead"), &pod.overhead)?;
    pod.pids_limit.map_or(Ok(()), |limit| pids(&field("pids_limit"), limit))?;
    security::sysctls(&field("securityContext.sysctls"), pod)?;
    let volumes = field("volumes").list(pod.volumes, limits::VOLUMES, |at, one| {
        unique(&at.field("name"), one.name, before(at, pod.volumes, |other| other.name == one.name))?;
        volume(at, &one)
    })?;
    let mut apps = 0;
    field("containers").list(pod.containers, limits::CONTAINERS, |at, one| {
        unique(&at.field("name"), one.name, before(at, pod.containers, |other| other.name == one.name))?;
        match one.kind {
            ContainerKind::App => apps += 1,
            ContainerKind::Init | ContainerKind::Sidecar if apps == 0 => {}
            ContainerKind::Ephemeral => {
                return Err(
                    at.fail(Problem::Field("an ephemeral container is put into a running pod, never declared with it"))
                );
            }
            _ => {
                return Err(at.fail(Problem::Field("an init container or sidecar comes after an app container")));
            }
        }
        security::confinement(&at.field("securityContext"), &one, filters)?;
        container(at, &one, volumes)
    })?;
    if let Some(of) = pod.owner {
        owner::owner(&field("metadata.ownerReferences"), &of)?;
    }
    if apps == 0 {
        return Err(field("containers").fail(Problem::Field("there is none: a pod has at least one app container")));
    }
    Ok(())
}

fn container<'a>(at: &At<'_, 'a>, container: &Container<'a>, volumes: usize) -> Checked {
    at.field("name").text(container.name, rule::LABEL)?;
    at.field("image").text(container.image, rule::IMAGE)?;
    let facts = at.field("facts").list(container.facts, limits::FACTS, |at, one| match one {
        Fact::File(it) => {
            let says = "is not the index of one of the pod's volumes";
            at.field("volumeName").number(it.volume.into(), 0..=(volumes as u64).saturating_sub(1), says)?;
            at.field("path").text(it.path, rule::RELATIVE_PATH)?;
            at.field("key").text(it.key, rule::ENV_NAME)
        }
        other => fact(at, other),
    })?;
    container.command.map_or(Ok(()), |words| program(&at.field("command"), words, facts))?;
    container.args.map_or(Ok(()), |words| texts(&at.field("args"), words, facts))?;
    container.working_dir.map_or(Ok(()), |path| at.field("workingDir").text(path, rule::ABSOLUTE_PATH))?;
    at.field("env").list(container.env, limits::ENV, |at, variable| {
        at.field("name").length(variable.key, limits::STRING)?;
        at.field("name").text(variable.key, rule::ENV_NAME)?;
        text(&at.field("value"), variable.value, facts)
    })?;
    at.field("ports")
        .list(container.ports, limits::PORTS, |at, port| at.field("containerPort").port(port.container))?;
    at.field("volumeMounts").list(container.mounts, limits::MOUNTS, |at, mount| {
        if usize::from(mount.volume) >= volumes {
            let says = "is not the index of one of the pod's volumes";
            return Err(at.field("name").fail(Problem::Number { number: mount.volume.into(), says }));
        }
        if !mount.sub_path.is_empty() {
            // What it is with its facts put in shows on the board alone.
            let plain = if mount.sub_path.contains(MARK) { "plain" } else { mount.sub_path };
            at.field("subPath").text(plain, rule::RELATIVE_PATH)?;
            at.field("subPath").length(mount.sub_path, limits::PATH)?;
            text(&at.field("subPath"), mount.sub_path, facts)?;
        }
        if mount.recursive_read_only && !mount.read_only {
            return Err(at.field("recursiveReadOnly").fail(Problem::Field("needs readOnly: true")));
        }
        let at_path = at.field("mountPath");
        at_path.text(mount.path, rule::MOUNT_PATH)?;
        unique(&at_path, mount.path, before(at, container.mounts, |other| other.path == mount.path))
    })?;
    resources(&at.field("resources"), &container.resources)?;
    security(&at.field("securityContext"), &container.security)?;
    container.stop_signal.map_or(Ok(()), |signal| {
        let says = "is not the number of a signal (1 to 64)";
        at.field("lifecycle.stopSignal").number(signal.number.into(), 1..=64, says)
    })?;
    at.field("restartPolicyRules").list(container.restart_rules, limits::RESTART_RULES, |at, one| {
        at.field("exitCodes.values").list(one.codes, limits::EXIT_CODES, |_, _| Ok(()))?;
        Ok(())
    })?;
    at.field("terminationMessagePath").text(container.message_path, rule::MOUNT_PATH)?;
    probe::hook(&at.field("lifecycle.preStop"), container.pre_stop)?;
    probe::hook(&at.field("lifecycle.postStart"), container.post_start)?;
    probe::probes(&at.field("probes"), container)
}

/// A text in which references to so many facts may be.
fn text<'a>(at: &At<'_, 'a>, text: &'a str, facts: usize) -> Checked {
    at.length(text, limits::STRING)?;
    let broken = |piece| matches!(piece, Piece::Fact(index) if usize::from(index) >= facts);
    if pieces(text).any(broken) { Err(at.fail(Problem::Text { text, says: "holds a NUL byte" })) } else { Ok(()) }
}

fn texts<'a>(at: &At<'_, 'a>, words: List<'a, &'a str>, facts: usize) -> Checked {
    at.list(words, limits::ARGS, |at, word| text(at, word, facts))?;
    Ok(())
}

/// The same, the first one being a program.
fn program<'a>(at: &At<'_, 'a>, words: List<'a, &'a str>, facts: usize) -> Checked {
    texts(at, words, facts)?;
    named(at, words)
}

fn fact<'a>(at: &At<'_, 'a>, fact: Fact<'a>) -> Checked {
    match fact {
        Fact::Label(key) | Fact::Annotation(key) => at.string(key),
        Fact::Resource(resource) => {
            let most = limits::CONTAINERS as u64 - 1;
            at.number(resource.container.into(), 0..=most, "is not the index of a container")?;
            at.number(resource.divisor, 1..=u64::MAX, "is not a divisor")
        }
        Fact::File(_) => Err(at.fail(Problem::Field("is possible for a variable only"))),
        _ => Ok(()),
    }
}

/// What goes into a file of lines, word by word.
fn dns<'a>(at: &At<'_, 'a>, dns: &Dns<'a>) -> Checked {
    at.field("nameservers").list(dns.servers, limits::DNS_SERVERS, |at, server| at.text(server, rule::ADDRESS))?;
    at.field("searches").list(dns.searches, limits::DNS_WORDS, |at, domain| at.text(domain, rule::DNS_WORD))?;
    at.field("options").list(dns.options, limits::DNS_WORDS, |at, option| at.text(option, rule::DNS_WORD))?;
    Ok(())
}

/// Words of which the first one is a program.
pub(super) fn command<'a>(at: &At<'_, 'a>, words: List<'a, &'a str>) -> Checked {
    at.strings(words)?;
    named(at, words)
}

fn named<'a>(at: &At<'_, 'a>, words: List<'a, &'a str>) -> Checked {
    match words.get(0) {
        None | Some("") => Err(at.fail(Problem::Field("names no program; leave it out to run the image's own"))),
        Some(_) => Ok(()),
    }
}

fn volume<'a>(at: &At<'_, 'a>, volume: &Volume<'a>) -> Checked {
    at.field("name").text(volume.name, rule::LABEL)?;
    match volume.source {
        Source::EmptyDir { size_limit: None, .. } => Ok(()),
        Source::EmptyDir { size_limit: Some(limit), .. } => at.field("emptyDir.sizeLimit").number(
            limit,
            1..=limits::BYTES,
            "is not a size of at least one byte; leave it out for no limit",
        ),
        Source::Image { reference } => at.field("image.reference").text(reference, rule::IMAGE),
        Source::HostPath { path, .. } => at.field("hostPath.path").text(path, rule::ABSOLUTE_PATH),
        Source::Claim { name, .. } => at.field("persistentVolumeClaim.claimName").text(name, rule::SUBDOMAIN),
        Source::Local { claim, path, fs_type, options, .. } => {
            at.field("mountOptions").list(options, limits::MOUNT_OPTIONS, |at, one| {
                at.length(one, limits::PATH)?;
                at.text(one, rule::MOUNT_OPTION)
            })?;
            at.field("persistentVolumeClaim.claimName").text(claim, rule::SUBDOMAIN)?;
            at.field("local.path").text(path, rule::ABSOLUTE_PATH)?;
            if fs_type.is_empty() { Ok(()) } else { at.field("local.fsType").text(fs_type, rule::KERNEL_NAME) }
        }
        Source::Block { disk, .. } => {
            volume
                .source
                .claim()
                .map_or(Ok(()), |claim| at.field("persistentVolumeClaim.claimName").text(claim, rule::SUBDOMAIN))?;
            match disk {
                Disk::Device { path, .. } => at.field("local.path").text(path, rule::ABSOLUTE_PATH),
                Disk::Claim { bytes, .. } | Disk::Own { bytes } => {
                    at.field("storage").number(bytes, 1..=limits::BYTES, "bytes are not the size of a block device")
                }
            }
        }
        Source::Files { files, .. } => {
            at.field("files").list(files, limits::FILES, |at, one| {
                path(at, one.path, one.mode, |taken| before(at, files, |other| taken(other.path)))
            })?;
            Ok(())
        }
        Source::Projected { files } => {
            at.field("files").list(files, limits::FILES, |at, one| {
                if let Content::Fact(told) = one.content {
                    fact(at, told)?;
                }
                path(at, one.path, one.mode, |taken| before(at, files, |other| taken(other.path)))
            })?;
            Ok(())
        }
    }
}

/// The place of a file in its volume; `any` tells whether one of those before it is what it is asked for.
fn path<'a>(at: &At<'_, 'a>, path: &'a str, mode: u16, any: impl Fn(&dyn Fn(&str) -> bool) -> bool) -> Checked {
    at.field("path").text(path, rule::RELATIVE_PATH)?;
    let below = |path: &str, directory: &str| {
        path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    unique(&at.field("path"), path, any(&|other| below(other, path) || below(path, other)))?;
    at.field("mode").number(mode.into(), 0..=0o777, "is not a file mode: permission bits only, 0 to 511 (octal 0777)")
}

fn pairs<'a>(at: &At<'_, 'a>, pairs: List<'a, Pair<'a>>) -> Checked {
    at.list(pairs, limits::PAIRS, |at, pair| {
        at.string(pair.key)?;
        at.string(pair.value)?;
        if pair.key.is_empty() { Err(at.fail(Problem::Field("has an empty key"))) } else { Ok(()) }
    })?;
    Ok(())
}

/// Requests and limits (spec 93).
fn resources(at: &At<'_, '_>, resources: &Resources) -> Checked {
    let cpu = u64::from(limits::CPU_MILLI);
    let (cpu_says, memory_says) = ("thousandths of a processor are too many", "bytes are too many");
    let limit_says = "is zero, less than the request, or too large for a limit";
    let request = u64::from(resources.cpu_request_milli);
    at.field("requests.cpu").number(request, 0..=cpu, cpu_says)?;
    if let Some(limit) = resources.cpu_limit_milli {
        at.field("limits.cpu").number(limit.into(), request.max(1)..=cpu, limit_says)?;
    }
    let request = resources.memory_request;
    at.field("requests.memory").number(request, 0..=limits::BYTES, memory_says)?;
    if let Some(limit) = resources.memory_limit {
        at.field("limits.memory").number(limit, request.max(1)..=limits::BYTES, limit_says)?;
    }
    let request = resources.storage_request;
    at.field("requests.ephemeral-storage").number(request, 0..=limits::BYTES, memory_says)?;
    if let Some(limit) = resources.storage_limit {
        at.field("limits.ephemeral-storage").number(limit, request.max(1)..=limits::BYTES, limit_says)?;
    }
    for (size, _) in resources.huge_pages.iter() {
        at.field(size.limit()).number(resources.huge_pages.bytes(size), 0..=limits::BYTES, memory_says)?;
    }
    Ok(())
}

fn security(at: &At<'_, '_>, security: &Security) -> Checked {
    security.run_as_user.map_or(Ok(()), |id| at.field("runAsUser").id(id))?;
    security.run_as_group.map_or(Ok(()), |id| at.field("runAsGroup").id(id))?;
    let all = (1 << Security::CAPABILITIES.len()) - 1;
    at.field("capabilities").number(security.capabilities, 0..=all, "has bits that are not capabilities")
}

pub(super) fn grace(at: &At<'_, '_>, seconds: u32) -> Checked {
    at.number(seconds.into(), 0..=limits::GRACE_SECONDS.into(), "seconds are more than one day")
}

fn pids(at: &At<'_, '_>, limit: u32) -> Checked {
    at.number(limit.into(), 1..=limits::PIDS.into(), "is not a number of processes (1 to 4194304)")
}

/// Whether an element of `list` before the one at `at` is `like` it. Those have been walked strictly already.
fn before<'a, T: Deserialize<'a>>(at: &At<'_, 'a>, list: List<'a, T>, like: impl Fn(&T) -> bool) -> bool {
    list.iter().take(at.index()).any(|other| like(&other))
}

fn unique<'a>(at: &At<'_, 'a>, text: &'a str, taken: bool) -> Checked {
    if taken { Err(at.fail(Problem::Text { text, says: "is there twice" })) } else { Ok(()) }
}
