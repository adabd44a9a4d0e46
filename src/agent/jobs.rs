//! Jobs and CronJobs on the board: shows each machine how its places stand, and carries out what it orders.
//!
//! It sleeps until a listing changes or a machine's moment comes. How far a Job has come is written down in memory that a
//! reboot forgets, so that an agent that comes after counts on; after a reboot a Job begins anew, like every pod (spec 10).

use super::drive::{Agent, Entry};
use super::events::Event;
use super::owners::is_sibling;
use super::trouble::Trouble;
use crate::machine::backoff::Backoff;
use crate::machine::cron::CronJob;
use crate::machine::effect;
use crate::machine::job::{Order, Orders, Place, Verdict};
use crate::machine::pod::Container;
use crate::manifest::codec;
use crate::manifest::owner::{Controller, JobRules};
use crate::manifest::pod::Pod;
use crate::manifest::status::{Phase, Uid, message};
use crate::manifest::time::{Duration, Instant};
use crate::sys::clock::{self, Alarm};
use smol::future::{or, pending};
use smol::{Async, Timer};
use std::format;
use std::fs;
use std::path::PathBuf;
use std::prelude::v1::*;

/// One Job of the manifest.
struct Job {
    /// Its first pod, which knows its owner.
    pod: Pod<'static>,
    rules: JobRules,
    /// Its pods: indices in the manifest, by place.
    pods: Vec<usize>,
    /// A number for what its pods are: how far it has come is for the same Job only.
    mark: u64,
    machine: CronJob,
}

/// Looks after the Jobs of the manifest, if there are any.
pub(super) fn begin(agent: &Agent) {
    let jobs = jobs(agent);
    if !jobs.is_empty() {
        agent.spawn(attend(agent.clone(), jobs));
    }
}

fn jobs(agent: &Agent) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for (index, pod) in agent.manifest().pods.iter().enumerate() {
        let Some(Controller::Job(rules)) = pod.owner.map(|owner| owner.controller) else { continue };
        // Its rules may change while it runs, as in Kubernetes.
        let mark = codec::digest(&Pod { owner: None, ..pod });
        match jobs.iter_mut().find(|job| is_sibling(&job.pod, &pod)) {
            Some(job) => {
                job.pods.push(index);
                job.mark = job.mark.rotate_left(5) ^ mark;
            }
            None => jobs.push(Job { pod, rules, pods: Vec::from([index]), mark, machine: CronJob::default() }),
        }
    }
    jobs.iter_mut().for_each(|job| job.machine = recall(agent, job).unwrap_or_default());
    jobs
}

async fn attend(agent: Agent, mut jobs: Vec<Job>) {
    let alarm = if jobs.iter().any(|job| job.rules.schedule.is_some()) { alarm() } else { None };
    while !agent.is_ending() {
        let seen = agent.generation();
        let next: Option<Instant> = jobs.iter_mut().filter_map(|job| job.step(&agent)).min();
        let wall_at = jobs.iter().filter_map(|job| job.machine.wall_at(&job.rules)).min();
        let changed = async {
            agent.changed(seen).await;
        };
        let time = async {
            match next {
                None => pending().await,
                Some(at) => {
                    Timer::after(std::time::Duration::from_millis(at.since(agent.now()).0)).await;
                }
            }
        };
        let rings = async {
            match &alarm {
                Some(alarm) if alarm.get_ref().set(wall_at).is_ok() => {
                    let _ = alarm.readable().await;
                }
                _ => pending().await,
            }
        };
        or(changed, or(time, rings)).await;
    }
}

/// Without an alarm no CronJob begins; that is said.
fn alarm() -> Option<Async<Alarm>> {
    let alarm = Alarm::new().map_err(std::io::Error::from).and_then(Async::new);
    alarm.inspect_err(|why| log::warn!("watch the wall clock for CronJobs: {why}")).ok()
}

/// 2024-01-01T00:00:00Z: a clock before that has never been set.
const EARLIEST: u64 = 1_704_067_200;

impl Job {
    /// One look at all places; gives the next moment at which time alone changes something.
    fn step(&mut self, agent: &Agent) -> Option<Instant> {
        let (places, uids): (Vec<Place>, Vec<Option<Uid>>) = self.pods.iter().map(|index| place(agent, *index)).unzip();
        let (backoff, before) = (Backoff::new(&agent.settings()), self.machine);
        let mut orders = Orders::new();
        let wall = Some(clock::wall()).filter(|seconds| *seconds >= EARLIEST);
        self.machine.step(agent.now(), wall, &self.rules, &backoff, &places, &mut orders);
        if self.machine != before
            && let Err(why) = remember(agent, self)
        {
            log::warn!("{why}");
        }
        for order in &orders {
            match *order {
                Order::Start(at) => self.start(agent, at),
                Order::Clear(at) => end(agent, uids.get(at), Some(Duration::ZERO)),
                Order::End(at) => end(agent, uids.get(at), None),
                Order::Tell(verdict) => {
                    let (reason, text) = verdict.words();
                    self.report(agent, verdict != Verdict::Complete, reason, text);
                }
            }
        }
        if !orders.is_empty() {
            agent.look();
        }
        self.machine.poll_at(&self.rules, &backoff, &places)
    }

    fn start(&self, agent: &Agent, at: usize) {
        let Some(index) = self.pods.get(at) else { return };
        if let Some(pod) = agent.manifest().pods.get(*index) {
            self.report(agent, false, "SuccessfulCreate", &format!("Created pod: {}", pod.name));
            agent.accept(*index, pod);
        }
    }

    fn report(&self, agent: &Agent, warning: bool, reason: &'static str, text: &str) {
        let (now, name) = (agent.now(), self.pod.owner.map_or("", |owner| owner.name));
        agent.events_mut().add(Event {
            first: now,
            last: now,
            count: 1,
            warning,
            reason,
            namespace: self.pod.namespace.into(),
            object: format!("job/{name}").into(),
            container: "".into(),
            message: message(text),
        });
    }
}

/// How the place of pod `index` stands, and who is there.
fn place(agent: &Agent, index: usize) -> (Place, Option<Uid>) {
    let pods = agent.pods();
    let here = |entry: &&Entry| entry.place.index() == Some(index) && !entry.machine().is_hidden();
    let Some(entry) = pods.iter().find(here) else {
        let is_forsaken =
            agent.manifest().pods.get(index).is_some_and(|pod| agent.paths().deleted(pod.namespace, pod.name).exists());
        return (if is_forsaken { Place::Forsaken } else { Place::Free }, None);
    };
    let machine = entry.machine();
    let place = match machine.phase() {
        _ if machine.is_terminating() => Place::Ending,
        Phase::Succeeded => Place::Succeeded,
        Phase::Failed => Place::Failed,
        Phase::Pending | Phase::Running | Phase::Unknown => {
            Place::Active { restarts: machine.containers().iter().map(Container::restarts).sum() }
        }
    };
    (place, Some(entry.uid()))
}

/// Ends a pod. Whether another comes in its place is its Job's to say.
fn end(agent: &Agent, uid: Option<&Option<Uid>>, grace: Option<Duration>) {
    if let Some(Some(uid)) = uid {
        agent.step(*uid, effect::Event::Delete { grace, force: false, replace: false });
    }
}

fn file(agent: &Agent, pod: &Pod<'_>) -> PathBuf {
    let name = pod.owner.map_or("", |owner| owner.name);
    agent.paths().jobs().join(format!("{}_{name}", pod.namespace))
}

/// What another agent has written down of the same Job.
fn recall(agent: &Agent, job: &Job) -> Option<CronJob> {
    let bytes = fs::read(file(agent, &job.pod)).ok()?;
    postcard::from_bytes(bytes.strip_prefix(&job.mark.to_le_bytes())?).ok()
}

fn remember(agent: &Agent, Job { pod, mark, machine, .. }: &Job) -> Result<(), Trouble> {
    /// Bytes of a machine at most.
    const MOST: usize = 64;
    let (path, folder, mut room) = (file(agent, pod), agent.paths().jobs(), [0; MOST]);
    let bytes = postcard::to_slice(machine, &mut room).map_err(|error| format!("write down a Job: {error}"))?;
    fs::create_dir_all(&folder).map_err(Trouble::at("make", &folder))?;
    // Whole or not at all, since an agent may die at any instant.
    let new = folder.join(".new");
    fs::write(&new, [&mark.to_le_bytes()[..], bytes].concat()).map_err(Trouble::at("write", &new))?;
    fs::rename(&new, &path).map_err(Trouble::at("rename", &new))
}
