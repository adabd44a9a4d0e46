//! The first steps of an agent: the lock, the manifest, the node, its cgroups; and the clock and chance that it goes by.

use super::config::{Config, Facts};
use super::drive::{Agent, Error, Parts, Shutdown};
use super::paths::Paths;
use crate::machine::admit::{self, Amount};
use crate::manifest::check;
use crate::manifest::codec::{self, Kind};
use crate::manifest::eviction::Threshold;
use crate::manifest::pod::{Manifest, Node};
use crate::manifest::status::{Uid, message};
use crate::sys::cgroup::{Hierarchy, Limits};
use crate::sys::kernel::Kernel;
use crate::sys::pressure;
use crate::sys::{huge, mount, raw};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use smol::Async;
use std::format;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::prelude::v1::*;
use std::time::Duration;

/// The oom_score_adj of an agent: whoever is ended for want of memory, it is not the one who could do something about it (F13).
const OOM_SCORE_ADJ: &str = "-999";

/// A new identity (spec 4).
pub(super) fn new_uid() -> Uid {
    let mut bytes = [0; 16];
    // The kernel gives so few bytes at once, or none before its pool is ready: then it waits for that.
    while rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) != Ok(bytes.len()) {}
    Uid::from_random(bytes)
}

fn failed(what: String) -> Error {
    Error::Failed(what.into())
}

/// The signals that an agent hears: those that end it, and the one that has it read its manifest again.
pub(super) struct Signals {
    ends: Vec<Async<OwnedFd>>,
    reload: Async<OwnedFd>,
}

impl Signals {
    /// To be made before any thread is: all inherit what is blocked.
    pub(super) fn new() -> Result<Signals, Error> {
        let blocked = raw::mask_signals(true)
            .and_then(|()| [libc::SIGTERM, libc::SIGINT, libc::SIGHUP].into_iter().map(raw::signal_fd).collect());
        let fds: Vec<OwnedFd> = blocked.map_err(|errno| failed(format!("watch for signals: {errno}")))?;
        let watched: Result<Vec<_>, _> = fds.into_iter().map(Async::new).collect();
        let mut ends = watched.map_err(|e| failed(format!("watch for signals: {e}")))?;
        let reload = ends.pop().ok_or_else(|| failed("watch for signals".into()))?;
        Ok(Signals { ends, reload })
    }

    /// Does what they ask for, until the first that ends the agent.
    pub(super) async fn attend(self, agent: Agent) {
        let waits: Vec<_> = self.ends.iter().map(|signal| Box::pin(signal.readable())).collect();
        let end = async {
            let _ = first(waits).await;
            log::info!("told to end by a signal");
            agent.end(Shutdown::Exit);
        };
        let reload = async {
            while self.reload.readable().await.is_ok() {
                // Several are one.
                while rustix::io::read(&self.reload, &mut [0; 128]).is_ok() {}
                agent.reload_by_signal();
            }
        };
        smol::future::or(end, reload).await;
    }
}

/// The first of some futures to be ready.
async fn first<T>(mut futures: Vec<core::pin::Pin<Box<impl Future<Output = T>>>>) -> T {
    core::future::poll_fn(move |context| {
        let ready = futures.iter_mut().find_map(|future| match future.as_mut().poll(context) {
            core::task::Poll::Ready(value) => Some(value),
            core::task::Poll::Pending => None,
        });
        ready.map_or(core::task::Poll::Pending, core::task::Poll::Ready)
    })
    .await
}

/// Everything that must stand before there can be an agent. What else is wrong with the node is told, and no reason to have none.
pub(super) fn prepare(mut config: Config) -> Result<Parts, Error> {
    let paths = Paths::new(&config);
    for directory in [paths.run(), &paths.pods(), &paths.mounted_images(), &paths.deleted_pods()] {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|e| failed(format!("make {}: {e}", directory.display())))?;
    }
    let lock = lock(&paths.lock())?;
    let mut troubles = config.troubles.clone();
    let kernel = Kernel::probe().map_err(|e| failed(format!("{e}")))?;
    troubles.extend(kernel.missing());
    let cgroups = Hierarchy::detect(&config.cgroup).map_err(|e| failed(format!("{e}")))?;
    troubles.extend(cgroups.lacks().map(String::from));
    if config.protect
        && let Err(error) = fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ)
    {
        log::warn!("protect the agent from the want of memory: {error}");
    }
    // It stays where it is for as long as the process lives: everything reads it in place.
    let file: &'static [u8] = config.manifest.take().unwrap_or_default().leak();
    let (mut manifest, sequence) = match check_file(file, config.class.as_deref()) {
        _ if file.is_empty() => (Manifest::default(), None),
        Ok((manifest, sequence)) => (manifest, Some(sequence)),
        Err(why) => {
            troubles.push(why);
            (Manifest::default(), None)
        }
    };
    if !config.evict {
        // The node is not for its pods alone.
        manifest.node.eviction.thresholds = [Some(Threshold::Amount(0)); 4];
    }
    let mut facts = facts(&config, &manifest.node, &cgroups, sequence, &troubles);
    if config.evict
        && let Err(error) = bound(&cgroups, &facts)
    {
        facts.troubles.push(message(&format!("all pods together can take the whole memory: {error}")));
    }
    let program = program(config.program.as_deref()).map_err(|e| failed(format!("{e}")))?;
    Ok(Parts { config, facts, file, manifest, cgroups, program, _lock: lock })
}

/// That there is only one agent (failure F4), for as long as it lives.
pub(super) struct Lock(OwnedFd);

impl Drop for Lock {
    fn drop(&mut self) {
        // A process that was just forked, and has not executed its program yet, has the same lock.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Only one agent lives: the lock goes with the process that holds it.
fn lock(path: &Path) -> Result<Lock, Error> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|e| failed(format!("open {}: {e}", path.display())))?;
    // A child of an agent that was killed between fork and exec holds its lock for a moment longer.
    for _ in 0..200 {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let told = format!("{:<10}\n", rustix::process::getpid().as_raw_nonzero());
                let _ = rustix::io::pwrite(&file, told.as_bytes(), 0);
                return Ok(Lock(file));
            }
            Err(Errno::WOULDBLOCK) => {}
            Err(errno) => return Err(failed(format!("lock {}: {errno}", path.display()))),
        }
        let holder = fs::read_to_string(path).ok().and_then(|text| Pid::from_raw(text.trim().parse().ok()?));
        match holder {
            Some(pid) if rustix::process::test_kill_process(pid) == Err(Errno::SRCH) => {
                std::thread::sleep(Duration::from_millis(10))
            }
            holder => return Err(Error::Running { pid: holder.map(|pid| pid.as_raw_nonzero().get() as u32) }),
        }
    }
    Err(Error::Running { pid: None })
}

/// Checks the file of a manifest for boards of that class, or of any; with its sequence number.
pub(super) fn check_file<'a>(bytes: &'a [u8], class: Option<&str>) -> Result<(Manifest<'a>, u64), String> {
    let (header, body) = codec::open(bytes, Kind::Manifest).map_err(|e| format!("manifest: {e}"))?;
    if let Some(class) = class.filter(|class| *class != header.class) {
        return Err(format!(
            "manifest: it is for boards of class {}, and this is a {class}: build it for this board",
            header.class
        ));
    }
    let manifest = check::manifest(body).map_err(|e| format!("manifest: {e}"))?;
    Ok((manifest, header.sequence))
}

/// Sets the bound of what all pods together can have, so that who takes too much ends in their midst and does not cost the node; and
/// below it the border from where they are slowed down until one is evicted.
fn bound(cgroups: &Hierarchy, facts: &Facts) -> Result<(), crate::sys::cgroup::Error> {
    let (most, border) = (facts.pods_memory, facts.room.memory);
    let memory_high = Some(border).filter(|border| *border < most);
    cgroups.group("").relimit(&Limits { memory: Some(most), memory_high, ..Limits::default() })
}

fn facts(config: &Config, settings: &Node, cgroups: &Hierarchy, sequence: Option<u64>, troubles: &[String]) -> Facts {
    let (names, system) = (rustix::system::uname(), rustix::system::sysinfo());
    #[allow(clippy::unnecessary_cast, reason = "32 bits wide on 32-bit processors")]
    let memory = (system.totalram as u64).saturating_mul(u64::from(system.mem_unit));
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let disk = pressure::disk(&config.data_dir)[0].map_or(0, |level| level.capacity);
    let huge_pages = huge::there();
    Facts {
        name: config.node.clone(),
        kernel: names.release().to_string_lossy().into_owned(),
        machine: names.machine().to_string_lossy().into_owned(),
        cpus,
        memory,
        disk,
        room: Amount::of_node(settings, memory, cpus, disk, huge_pages),
        pods_memory: admit::bound(settings, memory, huge_pages),
        oom_kills: 0,
        huge_pages,
        class: config.class.clone().unwrap_or_default(),
        sequence,
        cgroups: cgroups.kind().as_str(),
        power: config.power,
        pressures: Vec::new(),
        troubles: troubles.iter().map(|text| message(text)).collect(),
    }
}

/// The program that is executed as pod-init, in a mount of its own that cannot be written through.
fn program(path: Option<&Path>) -> Result<OwnedFd, crate::sys::Error> {
    match path {
        None => crate::sys::spawn::own_program(),
        Some(path) => {
            let name = path.to_string_lossy();
            let program = mount::clone_tree(CWD, &name, false)?;
            mount::read_only(&program, false)
                .map_err(|errno| crate::sys::Error::new("make read-only", &*name, errno))?;
            Ok(program)
        }
    }
}

/// What is wrong with the node, as its events.
pub(super) fn tell_troubles(agent: &Agent) {
    let node = agent.node();
    for trouble in &node.troubles {
        agent.events_mut().add_node(agent.now(), &node.name, true, "NodeDegraded", trouble);
    }
}
