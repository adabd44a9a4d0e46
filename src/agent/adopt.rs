//! What an agent finds when it starts: pods that run are taken over, everything else is ended and removed (failure F1).
//!
//! A pod-init is known by its socket: where that refuses, no process holds the listener, and there is none. What cannot be taken
//! over (never set up, another version, another boot's) is ended at once. What the manifest in force says otherwise than the one
//! that a pod was made by, the pod takes up where it can; else it is a former pod, which ends like a deleted one.

use super::drive::{Agent, Place};
use super::effect::instance_group;
use super::ephemeral::{self, Kept};
use super::kept::{self, Meta};
use super::link::Link;
use super::paths::PodPaths;
use super::sandbox::{self, Remains, Sandbox};
use super::trouble::Trouble;
use super::{downward, fail, resize, volumes, words};
use crate::machine::change::Change;
use crate::machine::effect::Event;
use crate::manifest::limits;
use crate::manifest::pod::{Manifest, Pod};
use crate::manifest::record::{ContainerRecord, Life, PodRecord};
use crate::manifest::status::{Uid, Verdict};
use crate::manifest::time::Instant;
use crate::manifest::{check, codec};
use crate::pod::wire::{self, Hello, Report};
use std::format;
use std::fs;
use std::path::Path;
use std::prelude::v1::*;
use std::rc::Rc;
use std::time::Duration;

/// How long an agent that starts waits for a pod-init's hello. It says that at once, unless it is stopped or hangs.
const HELLO: Duration = Duration::from_secs(5);

/// A pod that was taken over.
pub(super) struct Adopted {
    pub(super) sandbox: Rc<Sandbox>,
    pub(super) created: Instant,
    pub(super) accepted: Instant,
    pub(super) record: PodRecord,
    pub(super) verdict: Option<Verdict>,
    pub(super) ephemeral: Vec<Kept>,
    pub(super) containers: heapless::Vec<ContainerRecord, { limits::CONTAINERS }>,
}

/// Takes over what runs, and removes what does not belong to it.
pub(super) async fn adopt(agent: &Agent) {
    agent.images().adopt(agent.paths());
    let (mut found, mut stray) = (Vec::new(), Vec::new());
    for uid in uids(&agent.paths().pods()) {
        let unmet = match meet(agent, uid).await {
            Ok(pod) => {
                found.push(pod);
                continue;
            }
            Err(unmet) => unmet,
        };
        if !wait_for(agent, uid, unmet) {
            stray.push(uid);
        }
    }
    // Where a name is free already and its pod still ends, the one that lives is the pod.
    found.sort_by_key(|(adopted, _)| (adopted.record.ending.is_some(), adopted.created));
    for (adopted, meta) in found {
        identify(agent, adopted, meta);
        fail::point("adopted");
    }
    for uid in stray {
        end(agent, uid).await;
    }
    clear(agent).await;
    agent.spawn(downward::attend(agent.clone()));
}

/// Takes a pod over as what the manifest in force makes of it (spec 40, 57).
fn identify(agent: &Agent, adopted: Adopted, meta: Meta) {
    let (uid, manifest) = (adopted.sandbox.uid, agent.manifest());
    let named = |pod: &Pod<'_>| (pod.namespace, pod.name) == (&meta.namespace, &meta.name);
    let wanted = manifest.pods.iter().enumerate().find(|(_, pod)| named(pod));
    if let Some((index, pod)) = wanted {
        let body = kept::alone(&pod, manifest.filters);
        let change = match (body == meta.manifest, check::manifest(&meta.manifest), check::manifest(&body)) {
            (true, ..) => Change::Same,
            (false, Ok(runs), Ok(wanted)) => Change::between(&runs, &wanted),
            (false, ..) => Change::Replaced,
        };
        if change != Change::Replaced {
            if change == Change::InPlace {
                log::info!("pod {}/{} ({uid}) takes up what the manifest says now", meta.namespace, meta.name);
                resize::resize(agent, uid, &meta.manifest, &pod, &adopted.containers);
            }
            if body != meta.manifest
                && let Err(why) = (Meta { manifest: body, ..meta }).write(&agent.paths().pod(uid))
            {
                // Then the next agent comes to the same.
                log::warn!("pod {uid}: {why}");
            }
            take_over(agent, Place::Current(index), (pod, manifest.filters), adopted);
            if change == Change::InPlace {
                downward::tell(agent, uid);
            }
            return;
        }
    }
    let place = Place::Former(wanted.map(|(index, _)| index));
    // It lives as long as the process: that of a pod which is soon gone, or that an update waits with.
    let Ok(Manifest { pods, filters, .. }) = check::manifest(meta.manifest.leak()) else { return };
    if let Some(pod) = pods.get(0) {
        log::info!("pod {}/{} ({uid}) is not in the manifest any more as it runs", pod.namespace, pod.name);
        agent.images().also_for(pod);
        take_over(agent, place, (pod, filters), adopted);
    }
}

/// Why a pod-init is not taken over.
enum Unmet {
    /// It is none of this agent's, or of no use.
    Stray(Trouble),
    /// It says nothing, yet.
    Silent(Link, Meta),
}

impl From<Trouble> for Unmet {
    fn from(why: Trouble) -> Unmet {
        Unmet::Stray(why)
    }
}

/// Connects to the pod-init behind a directory, and makes sure that it is the one.
async fn meet(agent: &Agent, uid: Uid) -> Result<(Adopted, Meta), Unmet> {
    let own = agent.paths().pod(uid);
    let meta = Meta::read(&own).ok_or_else(|| Trouble::from("nothing says what it is"))?;
    let link = Link::connect(&own.socket()).map_err(Trouble::from)?;
    let said = async { Some(hello(agent, &link).await) };
    let late = async {
        smol::Timer::after(HELLO).await;
        None
    };
    match smol::future::or(said, late).await {
        Some(hello) => Ok((known(agent, uid, link, &meta, hello?)?, meta)),
        None => Err(Unmet::Silent(link, meta)),
    }
}

/// Leaves a pod alone that is in the manifest and says nothing, until it does (spec 52); whether it is such a one.
fn wait_for(agent: &Agent, uid: Uid, unmet: Unmet) -> bool {
    let (link, meta) = match unmet {
        Unmet::Silent(link, meta) => (link, meta),
        Unmet::Stray(why) => {
            log::info!("pod {uid} is not taken over: {why}");
            return false;
        }
    };
    let named = |pod: &Pod<'_>| (pod.namespace, pod.name) == (&meta.namespace, &meta.name);
    let manifest = agent.manifest();
    let Some((index, pod)) = manifest.pods.iter().enumerate().find(|(_, pod)| named(pod)) else {
        log::info!("pod {uid} is not taken over: its pod-init says nothing, and it is not in the manifest any more");
        return false;
    };
    agent.suspend(index, pod, uid, meta.created);
    let agent = agent.clone();
    agent.clone().spawn(async move {
        let said = hello(&agent, &link).await;
        if !agent.resume(uid) {
            return;
        }
        match said.and_then(|hello| known(&agent, uid, link, &meta, hello)) {
            Ok(adopted) => identify(&agent, adopted, meta),
            Err(why) => {
                log::info!("pod {uid} is not taken over: {why}");
                end(&agent, uid).await;
            }
        }
        agent.look();
    });
    true
}

/// A pod whose pod-init has said hello.
fn known(agent: &Agent, uid: Uid, link: Link, meta: &Meta, hello: Hello) -> Result<Adopted, Trouble> {
    if hello.version != wire::VERSION {
        return Err(format!("its pod-init speaks version {}, and this agent {}", hello.version, wire::VERSION).into());
    }
    match hello.uid {
        None => return Err("it was never set up".into()),
        Some(other) if other != uid => return Err(format!("its pod-init is that of {other}").into()),
        Some(_) => {}
    }
    let init = sandbox::find_init(agent, uid).ok_or("its pod-init is not in its cgroup")?;
    let sandbox = Sandbox::new(uid, link, init, true);
    let verdict = fs::read(agent.paths().pod(uid).verdict()).ok().and_then(|bytes| postcard::from_bytes(&bytes).ok());
    let (created, accepted, record, containers) = (meta.created, meta.accepted, hello.pod, hello.containers);
    let ephemeral = ephemeral::read(&agent.paths().pod(uid));
    Ok(Adopted { sandbox, created, accepted, record, verdict, ephemeral, containers })
}

async fn hello(agent: &Agent, link: &Link) -> Result<Hello, Trouble> {
    match link.receive(agent.buffer()).await {
        Ok(Some((Report::Hello(hello), _))) => Ok(hello),
        Ok(Some(_)) => Err("its pod-init does not say hello".into()),
        Ok(None) => Err("its pod-init has just ended".into()),
        Err(error) => Err(format!("its pod-init cannot be understood: {error}").into()),
    }
}

/// Makes a pod that was found one of this agent's.
fn take_over(
    agent: &Agent,
    place: Place,
    (pod, filters): (Pod<'static>, kept::Filters<'static>),
    mut adopted: Adopted,
) {
    let sandbox = adopted.sandbox.clone();
    let uid = sandbox.uid;
    let put_in: Vec<String> = adopted
        .ephemeral
        .iter()
        .map(|kept| kept.get().map_or_else(String::new, |it| it.container.name.into()))
        .collect();
    let names = || pod.containers.iter().map(|it| it.name).chain(put_in.iter().map(String::as_str));
    for (at, (name, record)) in names().zip(&mut adopted.containers).enumerate() {
        if let Life::Ended { exit, .. } = &mut record.life {
            let group = agent.cgroups().group(&instance_group(uid, name, record.instance));
            exit.oom = group.oom_kills() > 0 && !exit.success();
            words::keep(agent.paths(), uid, &pod, at as u8, record.instance, *exit);
        }
    }
    let keep: Vec<String> = names()
        .zip(&adopted.containers)
        .filter(|(_, record)| !matches!(record.life, Life::Ended { .. }))
        .map(|(name, record)| format!("{name}.{}", record.instance))
        .collect();
    let path = format!("{uid}");
    for child in agent.cgroups().children(&path) {
        if child != "init" && !keep.contains(&child) {
            // Its instance is over: its processes are gone, or a few that its group alone knows.
            let group = agent.cgroups().group(&format!("{path}/{child}"));
            group.kill();
            let _ = group.remove();
        }
    }
    log::info!("pod {}/{} ({uid}) is taken over", pod.namespace, pod.name);
    let was_deleted = agent.paths().deleted(pod.namespace, pod.name).exists() && adopted.record.ending.is_none();
    agent.readmit(place, (pod, filters), adopted);
    agent.spawn(sandbox::attend(agent.clone(), sandbox));
    if was_deleted {
        agent.step(uid, Event::Delete { grace: None, force: false, replace: false });
    }
}

/// Ends and removes whatever there is of a pod.
async fn end(agent: &Agent, uid: Uid) {
    if let Err(why) = sandbox::remove(agent, Remains { uid, sandbox: None, keep: false }).await {
        log::warn!("pod {uid}: {why}");
    }
}

/// Removes everything that belongs to no pod: groups, files on disk, mounted images.
async fn clear(agent: &Agent) {
    let mine: Vec<Uid> = agent.pods().iter().map(|entry| entry.uid()).collect();
    for name in agent.cgroups().children("") {
        if name.parse::<Uid>().is_ok_and(|uid| !mine.contains(&uid))
            && let Err(why) = sandbox::empty_group(agent, &name).await
        {
            log::warn!("cgroup {name}: {why}");
        }
    }
    for uid in uids(&agent.paths().pods_on_disk()) {
        if !mine.contains(&uid)
            && let Err(why) = volumes::wipe(agent.paths().pod(uid).data).await
        {
            log::warn!("pod {uid}: {why}");
        }
    }
    agent.images().sweep(agent.paths());
    fail::point("cleared");
}

/// A pod is gone. Where its sandbox could not be made at last, what was to be kept for the next try goes too.
pub(super) fn clean(agent: &Agent, uid: Uid) {
    let PodPaths { run, data } = agent.paths().pod(uid);
    if run.exists() || data.exists() {
        let doer = agent.clone();
        agent.chore(async move { end(&doer, uid).await });
    }
}

/// Lets a deleted pod come back; whether it was deleted.
pub(super) fn unmark_deleted(agent: &Agent, namespace: &str, name: &str) -> bool {
    fs::remove_file(agent.paths().deleted(namespace, name)).is_ok()
}

/// Puts on record that a pod is to stay away.
pub(super) fn mark_deleted(agent: &Agent, namespace: &str, name: &str) -> Result<(), Trouble> {
    let marker = agent.paths().deleted(namespace, name);
    fs::write(&marker, manifest_mark(agent)).map_err(Trouble::at("write", &marker))
}

/// The markers of another manifest mean nothing to this one.
pub(super) fn forget_deleted(agent: &Agent) {
    let mark = manifest_mark(agent);
    for entry in fs::read_dir(agent.paths().deleted_pods()).into_iter().flatten().flatten() {
        if fs::read_to_string(entry.path()).ok().as_deref() != Some(&mark) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn manifest_mark(agent: &Agent) -> String {
    let digest = agent.manifest().pods.iter().fold(0u64, |sum, pod| sum.rotate_left(5) ^ codec::digest(&pod));
    format!("{digest:x}")
}

/// The directories that are named by a pod's UID.
pub(super) fn uids(directory: &Path) -> Vec<Uid> {
    let names = fs::read_dir(directory).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
