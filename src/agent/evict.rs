//! Eviction (spec 97): looks at what the node has left when there is reason to, and has the pods go that the machine chooses.
//!
//! The kernel tells of stalls for memory, and ends containers for want of it. A disk it does not tell of: that is looked at now and then, while some pod could write to it.
//! A pod that was evicted keeps its logs; its volumes go, for they may be what there was too much of.

use super::drive::{Agent, Entry};
use super::{volumes, walk};
use crate::machine::effect::Event;
use crate::machine::evict::{self, Candidate, Evict, Level, Levels, Order, Orders, Pressure, Watch};
use crate::machine::storage::{self, Ruler};
use crate::manifest::eviction::{Evicted, Excess, Signal};
use crate::manifest::owner::Controller;
use crate::manifest::pod::{Medium, Pod, Source};
use crate::manifest::status::{Uid, Verdict};
use crate::manifest::time::Duration;
use crate::sys::pressure::{self, Stalls};
use smol::future::{or, pending};
use smol::{Async, Timer};
use std::format;
use std::prelude::v1::*;

/// Begins, before the first pod is admitted, with one look at everything.
pub(super) fn begin(agent: &Agent) {
    if !agent.config().evict && !agent.manifest().pods.iter().any(|pod| storage::is_limited(&pod)) {
        return;
    }
    let machine = Evict::new(agent.settings().eviction);
    let stalls = if machine.heeds(Signal::MemoryAvailable) { stalls() } else { None };
    let mut keeper = Keeper { machine, ruler: Ruler::default(), stalls, oom_kills: 0 };
    let reclaim = keeper.look(agent);
    let agent = agent.clone();
    agent.clone().spawn(async move { keeper.attend(&agent, reclaim).await });
}

/// Where the kernel does not tell, memory is looked at now and then.
fn stalls() -> Option<Async<Stalls>> {
    let stalls = Stalls::listen().map_err(|error| format!("{error}"));
    let stalls = stalls.and_then(|it| Async::new_nonblocking(it).map_err(|error| format!("{error}")));
    stalls.inspect_err(|error| log::info!("the kernel does not tell of stalls for memory: {error}")).ok()
}

/// Of what there is too little, the border, and what there is.
type Low = (Signal, u64, u64);

struct Keeper {
    machine: Evict,
    ruler: Ruler,
    stalls: Option<Async<Stalls>>,
    /// So many are known.
    oom_kills: u32,
}

impl Keeper {
    async fn attend(&mut self, agent: &Agent, mut low: Option<Low>) {
        while !agent.is_ending() {
            if let Some(low) = low.take() {
                self.reclaim(agent, low).await;
            }
            let seen = agent.generation();
            // Asked first: what it had is given back only after nothing of it runs any more.
            let is_gone = self.machine.victim().is_some_and(|uid| is_over(agent, uid));
            release(agent).await;
            if is_gone {
                self.machine.gone(agent.now());
            }
            if self.machine.pressures().next().is_none() {
                replace(agent);
            }
            let measure_at = (!limited(agent).is_empty()).then(|| self.ruler.poll_at());
            if measure_at.is_some_and(|at| at <= agent.now()) {
                self.measure(agent).await;
                continue;
            }
            let next = self.machine.poll_at(&self.watches(agent));
            let oom_kills = agent.node().oom_kills;
            // Files in memory outlive who has written them: then the kernel ends one after another, and only an eviction helps.
            let told = core::mem::replace(&mut self.oom_kills, oom_kills) != oom_kills
                || self.stalls.as_ref().is_some_and(|stalls| stalls.get_ref().are_told());
            if told || next.is_some_and(|at| at <= agent.now()) {
                low = self.look(agent);
                continue;
            }
            let next = next.into_iter().chain(measure_at).min();
            let changed = async {
                agent.changed(seen).await;
                false
            };
            let stalled = async {
                match &self.stalls {
                    Some(stalls) => stalls.readable().await.is_ok(),
                    None => pending().await,
                }
            };
            let time = async {
                match next {
                    None => pending().await,
                    Some(at) => {
                        Timer::after(std::time::Duration::from_millis(at.since(agent.now()).0)).await;
                        false
                    }
                }
            };
            if or(stalled, or(time, changed)).await {
                low = self.look(agent);
            }
        }
    }

    /// How each signal's changes are noticed now.
    fn watches(&self, agent: &Agent) -> [Watch; 4] {
        let pods = agent.pods();
        let live = || pods.iter().filter(|entry| entry.machine().may_fail());
        let asked = |is: bool| if is { Watch::Asked } else { Watch::Still };
        let told = self.stalls.is_some();
        Signal::ALL.map(|signal| match signal {
            _ if !self.machine.heeds(signal) => Watch::Still,
            Signal::MemoryAvailable if told => Watch::Told,
            Signal::MemoryAvailable | Signal::PidAvailable => asked(live().next().is_some()),
            Signal::NodefsAvailable | Signal::NodefsInodesFree => asked(live().any(|it| writes(it.manifest()))),
        })
    }

    /// Looks, tells of what has changed, and gives what is to be reclaimed.
    fn look(&mut self, agent: &Agent) -> Option<Low> {
        let [bytes, files] = pressure::disk(agent.paths().data());
        let levels: Levels = [memory(agent), bytes, files, pressure::processes()];
        let mut orders = Orders::new();
        self.machine.look(agent.now(), levels, &mut orders);
        let mut low = None;
        for order in orders {
            match order {
                Order::Begins(pressure) => self.turn(agent, pressure, true),
                Order::Ends(pressure) => self.turn(agent, pressure, false),
                Order::Reclaim { signal, threshold, available } => low = Some((signal, threshold, available)),
            }
        }
        low
    }

    /// The node comes under pressure, or out of it.
    fn turn(&self, agent: &Agent, pressure: Pressure, begins: bool) {
        let (comes, goes) = pressure.reasons();
        let reason = if begins { comes } else { goes };
        let name = {
            let mut facts = agent.facts_mut();
            facts.pressures = self.machine.pressures().collect();
            facts.name.clone()
        };
        let text = format!("Node {name} status is now: {reason}");
        agent.events_mut().add_node(agent.now(), &name, begins, reason, &text);
        agent.has_changed();
        // Whoever waits may come in now.
        agent.look();
    }

    /// Has those pods go that have more on disk than they may.
    async fn measure(&mut self, agent: &Agent) {
        if !self.ruler.look(agent.now(), pressure::disk(agent.paths().data())) {
            return;
        }
        for (uid, pod) in limited(agent) {
            let own = agent.paths().pod(uid);
            let mut sizes = Vec::new();
            for volume in pod.volumes {
                let on_disk = matches!(volume.source, Source::EmptyDir { medium: Medium::Disk, .. });
                sizes.push(if on_disk { walk::size(own.disk_volume(volume.name)).await.bytes } else { 0 });
            }
            if let Some(why) = storage::exceeded(&pod, &sizes) {
                agent.tell(uid, Event::Evict(why));
            }
        }
    }

    /// Evicts the pod that is the first to go.
    async fn reclaim(&mut self, agent: &Agent, (signal, threshold, available): Low) {
        let name = agent.node().name.clone();
        let text = format!("Attempting to reclaim {}", signal.resource());
        let mut found = Vec::new();
        for (uid, pod) in evictable(agent, signal) {
            let (usage, request) = match signal {
                Signal::MemoryAvailable => (working_set(agent, &format!("{uid}")), pod.resources.memory_request),
                Signal::NodefsAvailable => {
                    (walk::size(agent.paths().pod(uid).data).await.bytes, storage::request(&pod))
                }
                Signal::NodefsInodesFree => (walk::size(agent.paths().pod(uid).data).await.files, 0),
                Signal::PidAvailable => (agent.cgroups().group(&format!("{uid}")).usage().pids.unwrap_or_default(), 0),
            };
            found.push((uid, Candidate { critical: pod.critical, priority: pod.priority, usage, request }));
        }
        let candidates: Vec<Candidate> = found.iter().map(|(_, candidate)| *candidate).collect();
        let Some((uid, _)) = evict::first(signal, &candidates).and_then(|at| found.get(at)) else { return };
        agent.events_mut().add_node(agent.now(), &name, true, "EvictionThresholdMet", &text);
        let most = if signal == Signal::MemoryAvailable { most(agent, *uid) } else { None };
        agent.tell(*uid, Event::Evict(Evicted::NodeLow { signal, threshold, available, most }));
        self.machine.evicting(agent.now(), *uid);
    }
}

/// What there is left of memory: of the node's, or of what its pods can have together, whichever is less.
fn memory(agent: &Agent) -> Option<Level> {
    let node = pressure::memory()?;
    let held = agent.cgroups().group("").held().unwrap_or_default();
    Some(Level { available: node.available.min(agent.node().pods_memory.saturating_sub(held)), ..node })
}

/// The pods whose end would help.
fn evictable(agent: &Agent, signal: Signal) -> Vec<(Uid, Pod<'static>)> {
    let helps = |pod: &Pod<'_>| Pressure::of(signal) != Pressure::Disk || writes(pod);
    let may_go = |entry: &&Entry| entry.machine().may_fail() && entry.sandbox.is_some() && helps(entry.manifest());
    agent.pods().iter().filter(may_go).map(|entry| (entry.uid(), *entry.manifest())).collect()
}

/// The pods whose files on disk are bounded.
fn limited(agent: &Agent) -> Vec<(Uid, Pod<'static>)> {
    let is = |entry: &&Entry| entry.machine().may_fail() && storage::is_limited(entry.manifest());
    agent.pods().iter().filter(is).map(|entry| (entry.uid(), *entry.manifest())).collect()
}

/// Whether a pod can write to the file system of volumes. Its containers' own files and their output are in memory.
fn writes(pod: &Pod<'_>) -> bool {
    pod.volumes.iter().any(|volume| {
        matches!(
            volume.source,
            Source::EmptyDir { medium: Medium::Disk, .. }
                | Source::HostPath { .. }
                | Source::Claim { read_only: false, .. }
        )
    })
}

fn working_set(agent: &Agent, group: &str) -> u64 {
    agent.cgroups().group(group).working_set().unwrap_or_default()
}

/// The container that is furthest above its request for memory.
fn most(agent: &Agent, uid: Uid) -> Option<Excess> {
    let pods = agent.pods();
    let entry = pods.iter().find(|entry| entry.uid() == uid)?;
    let excess = |(index, container): (usize, crate::manifest::pod::Container<'_>)| {
        let group = super::effect::current_group(entry, index as u8)?;
        let (usage, request) = (working_set(agent, &group), container.resources.memory_request);
        (usage > request).then_some(Excess { container: index as u8, usage, request })
    };
    entry.manifest().containers.iter().enumerate().filter_map(excess).max_by_key(|it| it.usage - it.request)
}

/// Whether nothing of a pod runs any more.
fn is_over(agent: &Agent, uid: Uid) -> bool {
    agent.pods().iter().find(|entry| entry.uid() == uid).is_none_or(|it| it.machine().phase().is_terminal())
}

fn is_evicted(entry: &Entry) -> bool {
    matches!(entry.machine().verdict(), Some(Verdict::Evicted(_))) && !entry.machine().is_terminating()
}

/// Takes the volumes of evicted pods away.
async fn release(agent: &Agent) {
    let evicted: Vec<Uid> = agent.pods().iter().filter(|it| is_evicted(it)).map(Entry::uid).collect();
    for own in evicted.into_iter().map(|uid| agent.paths().pod(uid)) {
        if (own.data.exists() || own.memory_volume("").exists())
            && let Err(why) = volumes::release(&own).await
        {
            log::warn!("volumes of an evicted pod: {why}");
        }
    }
}

/// The pods that were evicted and have an owner get a successor, as their controllers would make one. A Job counts its own.
fn replace(agent: &Agent) {
    let owned = |pod: &Pod<'_>| pod.owner.is_some_and(|owner| !matches!(owner.controller, Controller::Job(_)));
    let of_owners = |entry: &&Entry| is_evicted(entry) && owned(entry.manifest());
    let uids: Vec<Uid> = agent.pods().iter().filter(of_owners).map(Entry::uid).collect();
    for uid in uids {
        agent.tell(uid, Event::Delete { grace: Some(Duration::ZERO), force: false, replace: true });
    }
}
