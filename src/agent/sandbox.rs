//! A pod's sandbox: made step by step, watched, and taken away whole, from whatever half of it there is.

use super::confine;
use super::downward::Teller;
use super::drive::Agent;
use super::fail;
use super::kept::{self, Filters, Meta};
use super::link::Link;
use super::paths::PodPaths;
use super::queue::Answer;
use super::resolv;
use super::trouble::Trouble;
use super::{start, volumes};
use crate::machine::effect::Event;
use crate::manifest::huge::HugePages;
use crate::manifest::limits;
use crate::manifest::pod::Pod;
use crate::manifest::status::{Exit, Uid};
use crate::manifest::time::Instant;
use crate::pod::wire::{Failure, Order, Setup};
use crate::sys::namespace::Namespaces;
use crate::sys::spawn::{self, Cgroup, Program};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use smol::Async;
use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::format;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::prelude::v1::*;
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

/// Bytes of a pod's /dev/shm, as container runtimes give.
const SHM_BYTES: u64 = 64 << 20;
/// How long a pod-init that was told to quit may take before it is killed.
const QUIT: Duration = Duration::from_secs(2);
/// How long killed processes may take to be gone. Then whatever they wait for is reported, and nothing waits for them (failure F22).
const GONE: Duration = Duration::from_secs(10);

/// Who waits for what a pod-init was asked for by number.
pub(super) enum Wait {
    /// A program's end; before it, its terminal.
    Program {
        /// Who is told of its end.
        ended: Answer<Result<Exit, Failure>>,
        /// Who is given its terminal, until that has come.
        terminal: Option<Answer<OwnedFd>>,
    },
    /// The input of a container.
    Input(Answer<Result<OwnedFd, Failure>>),
}

/// A pod-init, and what the agent has to do with it.
pub(super) struct Sandbox {
    /// The pod.
    pub(super) uid: Uid,
    /// The connection.
    pub(super) link: Link,
    /// The process.
    pub(super) init: OwnedFd,
    /// What it was asked for, by number.
    pub(super) waits: RefCell<Vec<(u32, Wait)>>,
    /// It is being removed: that its pod-init ends is no news.
    pub(super) leaving: Cell<bool>,
    /// It has said that the pod stands.
    pub(super) ready: Cell<bool>,
}

impl Sandbox {
    pub(super) fn new(uid: Uid, link: Link, init: OwnedFd, ready: bool) -> Rc<Sandbox> {
        let (waits, leaving, ready) = (RefCell::default(), Cell::new(false), Cell::new(ready));
        Rc::new(Sandbox { uid, link, init, waits, leaving, ready })
    }
}

/// The leaf cgroup of a pod-init. On v2 the pod's own group, having children with limits, can hold no process.
pub(super) fn init_group(uid: Uid) -> String {
    format!("{uid}/init")
}

/// The file with the number of the pod-init.
pub(super) fn init_file(own: &PodPaths) -> std::path::PathBuf {
    own.run.join("init")
}

/// Makes everything up to a running pod-init with its first order. `since`: when the pod was made, and when there was room for it. While it secludes itself, the rest of what the pod needs is made.
///
/// # Errors
/// What was in the way, and the pod-init that is to be removed with the rest where there is one already.
pub(super) fn create(
    agent: &Agent,
    uid: Uid,
    (pod, filters): (&Pod<'_>, Filters<'_>),
    since: (Instant, Instant),
) -> Result<Rc<Sandbox>, (Trouble, Option<Rc<Sandbox>>)> {
    let own = agent.paths().pod(uid);
    let (link, init) = begin(agent, uid, pod, &own).map_err(|why| (why, None))?;
    let sandbox = Sandbox::new(uid, link, init, false);
    match furnish(agent, &sandbox, (pod, filters), since, &own) {
        Ok(()) => Ok(sandbox),
        Err(why) => Err((why, Some(sandbox))),
    }
}

fn directory(path: &Path) -> Result<(), Trouble> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Trouble::at("make", path))
}

/// Makes the pod's directory and groups, and its pod-init.
fn begin(agent: &Agent, uid: Uid, pod: &Pod<'_>, own: &PodPaths) -> Result<(Link, OwnedFd), Trouble> {
    fail::point("create");
    confine::allowed(agent.config(), pod)?;
    directory(&own.run)?;
    groups(agent, uid, pod)?;
    fail::point("groups made");
    let made = spawn_init(agent, uid, pod, own)?;
    fail::point("connected");
    Ok(made)
}

/// What a pod needs beside its pod-init.
fn furnish(
    agent: &Agent,
    sandbox: &Rc<Sandbox>,
    (pod, filters): (&Pod<'_>, Filters<'_>),
    (created, accepted): (Instant, Instant),
    own: &PodPaths,
) -> Result<(), Trouble> {
    let (namespace, name) = (pod.namespace.into(), pod.name.into());
    Meta { namespace, name, created, accepted, manifest: kept::alone(pod, filters) }.write(own)?;
    fail::point("meta written");
    volumes::make(&Teller { paths: agent.paths(), node: &agent.node(), uid: sandbox.uid, pod })?;
    managed_files(agent, own, pod).map_err(Trouble::at("write", &own.etc("")))?;
    // Only now: an agent that adopts a pod which stands counts on all of that.
    setup(agent, sandbox, pod).map_err(|errno| format!("the pod-init takes no orders: {errno}"))?;
    if let Some(first) = pod.containers.get(0) {
        agent.images().prepare(agent.paths(), first.image);
    }
    Ok(())
}

/// The pod's cgroup with its limits, and the leaf for its pod-init.
fn groups(agent: &Agent, uid: Uid, pod: &Pod<'_>) -> Result<(), Trouble> {
    let cgroups = agent.cgroups();
    let mut limits = start::pod_limits(pod);
    let refused = pod
        .containers
        .iter()
        .map(|container| start::limits(&container))
        .chain([limits])
        .find_map(|l| cgroups.refuses(&l));
    if let Some(fix) = refused {
        return Err(fix.into());
    }
    if !cgroups.lacks().any(|fix| fix.contains("pids")) {
        limits.pids = limits.pids.or(Some(agent.settings().pod_pids_limit));
    }
    if limits.huge_pages != HugePages::NONE && !cgroups.bounds_huge_pages() {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            log::warn!("huge pages of pods are bounded by their volumes alone: this kernel has no hugetlb controller; it needs CONFIG_CGROUP_HUGETLB");
        });
    }
    let whole = cgroups.create(&format!("{uid}"), true, &limits)?;
    // Its pod-init, which starts its containers, is not the node's root.
    confine::first_user(agent, pod).map_or(Ok(()), |user| whole.admit(user))?;
    cgroups.create(&init_group(uid), false, &Default::default())?;
    Ok(())
}

/// Starts the pod-init and connects to it. The listener is there before the process is: whoever finds the socket refused knows
/// that no process holds it.
fn spawn_init(agent: &Agent, uid: Uid, pod: &Pod<'_>, own: &PodPaths) -> Result<(Link, OwnedFd), Trouble> {
    use crate::sys::socket;
    let _ = fs::remove_file(own.socket());
    let listener = socket::listen(&own.socket())?;
    let doors = agent.cgroups().group(&init_group(uid)).doors()?;
    let cgroup = match doors.v2 {
        true => Cgroup::Into(doors.fds[0].as_fd()),
        false => Cgroup::Join(&doors.fds),
    };
    let null = spawn::null()?;
    let name = CString::new(pod.name).unwrap_or_default();
    let sharing = pod.sharing;
    let program = Program {
        file: agent.program(),
        argv: &[c"pod-init", &name],
        env: &[],
        descriptors: &[null.as_fd(), null.as_fd(), null.as_fd(), listener.as_fd()],
        namespaces: Namespaces::MOUNT
            .and(Namespaces::PID.only_if(!sharing.host_pid))
            .and(Namespaces::IPC.only_if(!sharing.host_ipc))
            .and(Namespaces::NAMES.only_if(!sharing.host_network))
            .and(Namespaces::NETWORK.only_if(!sharing.host_network)),
        cgroup,
        users: confine::first_user(agent, pod),
    };
    let child = spawn::spawn_exec(&program).map_err(|error| confine::explain(error, program.users))?;
    fail::point("pod-init spawned");
    let _ = fs::write(init_file(own), format!("{}", child.pid.as_raw_nonzero()));
    Ok((Link::connect(&own.socket())?, child.pidfd))
}

/// The files of /etc that are the pod's.
fn managed_files(agent: &Agent, own: &PodPaths, pod: &Pod<'_>) -> io::Result<()> {
    let mut hosts = String::from("# Managed by podling.\n");
    match pod.sharing.host_network {
        true => hosts.push_str(&fs::read_to_string("/etc/hosts").unwrap_or_default()),
        false => {
            hosts.push_str("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
            hosts.push_str(&format!("127.0.0.1\t{}\n", pod.hostname));
        }
    }
    if !pod.host_aliases.is_empty() {
        hosts.push_str("\n# hostAliases\n");
    }
    for alias in pod.host_aliases {
        hosts.push_str(&format!("{}\t{}\n", alias.key, alias.value));
    }
    let hostname = if pod.sharing.host_network { agent.node().name.clone() } else { String::from(pod.hostname) };
    let resolv_conf = match agent.config().resolv_conf.as_str() {
        "" => fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        text => String::from(text),
    };
    fs::write(own.etc("hosts"), hosts)?;
    fs::write(own.etc("hostname"), format!("{hostname}\n"))?;
    fs::write(own.etc("resolv.conf"), resolv::conf(&resolv_conf, &pod.dns))?;
    for file in ["hosts", "hostname", "resolv.conf"] {
        fs::set_permissions(own.etc(file), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    }
    Ok(())
}

/// The first order to a new pod-init. It waits in the socket until the pod-init has come so far.
fn setup(agent: &Agent, sandbox: &Rc<Sandbox>, pod: &Pod<'_>) -> rustix::io::Result<()> {
    let setup = Setup {
        uid: sandbox.uid,
        hostname: pod.hostname,
        // With room for those that may be put in later (spec 37).
        containers: (pod.containers.len() + limits::EPHEMERAL).min(limits::CONTAINERS) as u8,
        share_processes: pod.sharing.process_namespace || pod.sharing.host_pid,
        host_network: pod.sharing.host_network,
        shm_bytes: SHM_BYTES,
        sysctls: pod.sysctls,
    };
    fail::point("setup");
    agent.order(sandbox, &Order::Setup(setup), Vec::new())
}

/// What there is of a sandbox to take away. Without a connection or a process it is found by its cgroup.
pub(super) struct Remains {
    /// The pod.
    pub(super) uid: Uid,
    /// The pod-init, where it is known.
    pub(super) sandbox: Option<Rc<Sandbox>>,
    /// The pod goes on with a new sandbox: its volumes and its containers' output stay.
    pub(super) keep: bool,
}

/// Takes a sandbox away: its processes, cgroups, mounts and files, in this order. What could not be done is told.
pub(super) async fn remove(agent: &Agent, remains: Remains) -> Result<(), Trouble> {
    let Remains { uid, sandbox, keep } = remains;
    let own = agent.paths().pod(uid);
    fail::point("remove");
    if let Some(sandbox) = &sandbox {
        sandbox.leaving.set(true);
        let asked = agent.order(sandbox, &Order::Quit, Vec::new()).is_ok();
        if !asked || !ended(sandbox.init.as_fd(), QUIT).await {
            let _ = spawn::signal(&sandbox.init, Signal::KILL);
        }
        fail::point("quit");
    }
    let emptied = empty_group(agent, &format!("{uid}")).await;
    if let Some(sandbox) = &sandbox {
        // Already ended, or in the kernel's hands: this only lets go of its number, where this agent is its parent.
        let _ =
            rustix::process::waitid(WaitId::PidFd(sandbox.init.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        sandbox.waits.borrow_mut().clear();
    }
    drop(sandbox);
    fail::point("group removed");
    let _ = fs::remove_file(own.socket());
    let _ = fs::remove_file(init_file(&own));
    if !keep {
        volumes::unmount(&own);
        fail::point("unmounted");
        volumes::wipe(own.data.clone()).await?;
        volumes::wipe(own.run.clone()).await?;
        fail::point("wiped");
    }
    emptied
}

/// Kills everything in a group and removes it.
pub(super) async fn empty_group(agent: &Agent, path: &str) -> Result<(), Trouble> {
    let group = agent.cgroups().group(path);
    let started = agent.now();
    loop {
        group.kill();
        match group.remove() {
            Ok(()) => return Ok(()),
            Err(error) if !error.is_busy() => return Err(error.into()),
            Err(_) => {}
        }
        let left = group.processes();
        if agent.now().since(started).0 > GONE.as_millis() as u64 {
            let first = left.first().map_or(0, |pid| pid.as_raw_nonzero().get());
            return Err(
                format!("{} processes do not die, the first is {first}: the kernel holds them", left.len()).into()
            );
        }
        match left.iter().find_map(|pid| rustix::process::pidfd_open(*pid, PidfdFlags::empty()).ok()) {
            Some(process) => drop(ended(process.as_fd(), GONE).await),
            // Between its last breath and the end of its membership a process is not listed.
            None => drop(smol::Timer::after(Duration::from_millis(1)).await),
        }
    }
}

/// Waits until a process has ended, so long.
pub(super) async fn ended(process: std::os::fd::BorrowedFd<'_>, at_most: Duration) -> bool {
    let Ok(process) = Async::new_nonblocking(process) else { return false };
    let over = async { process.readable().await.is_ok() };
    let late = async {
        smol::Timer::after(at_most).await;
        false
    };
    smol::future::or(over, late).await
}

/// The process of an adopted pod-init, if it is still in the cgroup of one.
pub(super) fn find_init(agent: &Agent, uid: Uid) -> Option<OwnedFd> {
    let text = fs::read_to_string(init_file(&agent.paths().pod(uid))).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    let init = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Looked up after it was opened: so it is this process that is in there, not a later one with its number.
    agent.cgroups().group(&init_group(uid)).processes().contains(&pid).then_some(init)
}

/// Watches a pod-init until it is gone, and tells the machine whatever it reports.
pub(super) async fn attend(agent: Agent, sandbox: Rc<Sandbox>) {
    let uid = sandbox.uid;
    let why: Trouble = loop {
        match sandbox.link.receive(agent.buffer()).await {
            Ok(Some(heard)) => {
                if let Err(why) = super::effect::hear(&agent, &sandbox, heard) {
                    break why;
                }
            }
            Ok(None) => break "the pod-init has died".into(),
            Err(errno) => break format!("the pod-init cannot be understood: {errno}").into(),
        }
    };
    if sandbox.leaving.replace(true) {
        return;
    }
    let _ = spawn::signal(&sandbox.init, Signal::KILL);
    log::warn!("pod {uid}: {why}");
    agent.keep_words(uid);
    agent.tell(uid, if sandbox.ready.get() { Event::SandboxLost } else { Event::SandboxUnmade(why.message()) });
}
