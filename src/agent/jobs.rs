//! Jobs and CronJobs on the board: shows each machine how its places stand, and carries out what it orders.
//!
//! It sleeps until a listing changes or a machine's moment comes. How far a Job has come is written down in memory that a
//! reboot forgets, so that an agent that comes after counts on; after a reboot a Job begins anew, like every pod (spec 10).

use super::drive::{Agent, Entry};
use super::owners::{self, is_sibling};
use super::trouble::Trouble;
use crate::machine::backoff::Backoff;
use crate::machine::cron::CronJob;
use crate::machine::effect;
use crate::machine::failure::{self, Match};
use crate::machine::job::{Note, Order, Orders, Place, Verdict};
use crate::machine::pod::Container;
use crate::manifest::codec;
use crate::manifest::job::FailureAction;
use crate::manifest::limits;
use crate::manifest::owner::{Controller, JobRules};
use crate::manifest::pod::Pod;
use crate::manifest::status::{ContainerState, Phase, Uid};
use crate::manifest::time::{Duration, Instant};
use crate::sys::clock::{self, Alarm};
use smol::future::{or, pending};
use smol::{Async, Timer};
use std::format;
use std::fs;
use std::path::PathBuf;
use std::prelude::v1::*;
use std::vec;

/// One Job of the manifest.
struct Job {
    /// Its first pod, which knows its owner.
    pod: Pod<'static>,
    rules: JobRules<'static>,
    /// Its pods: indices in the manifest, by place.
    pods: Vec<usize>,
    /// A number for what its pods are, and when: how far it has come is for the same Job only.
    mark: u64,
    machine: CronJob,
    /// What was written down of it last.
    noted: Vec<u8>,
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
        // Its other rules may change while it runs, as in Kubernetes.
        let mark = codec::digest(&(Pod { owner: None, ..pod }, rules.schedule));
        match jobs.iter_mut().find(|job| is_sibling(&job.pod, &pod)) {
            Some(job) => {
                job.pods.push(index);
                job.mark = job.mark.rotate_left(5) ^ mark;
            }
            None => {
                let (pods, machine) = (Vec::from([index]), CronJob::default());
                jobs.push(Job { pod, rules, pods, mark, machine, noted: Vec::new() });
            }
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
        let (places, uids): (Vec<Place>, Vec<Option<Uid>>) =
            self.pods.iter().map(|index| place(agent, *index, &self.rules)).unzip();
        let backoff = Backoff::new(&agent.settings());
        let mut orders = Orders::new();
        let wall = Some(clock::wall()).filter(|seconds| *seconds >= EARLIEST);
        self.machine.step(agent.now(), wall, &self.rules, &backoff, &places, &mut orders);
        if let Err(why) = self.remember(agent) {
            log::warn!("{why}");
        }
        for order in &orders {
            match *order {
                Order::Start(at) => self.start(agent, at),
                Order::Clear(at) => end(agent, uids.get(at), Some(Duration::ZERO)),
                Order::End(at) => end(agent, uids.get(at), None),
                Order::Tell(verdict) => self.tell(agent, verdict),
                Order::Note(Note::Begun) => self.note(agent, false, "SuccessfulCreate", "Created job"),
                Order::Note(Note::Busy) => self.note(
                    agent,
                    false,
                    "JobAlreadyActive",
                    "Not starting job because prior execution is running and there is no room for one beside it",
                ),
                Order::Note(Note::Missed) => {
                    self.note(agent, true, "MissSchedule", "Missed scheduled time to start a job: it is too late");
                }
            }
        }
        if !orders.is_empty() {
            agent.look();
        }
        self.machine.poll_at(&self.rules, &backoff, &places)
    }

    fn name(&self) -> &'static str {
        self.pod.owner.map_or("", |owner| owner.name)
    }

    fn start(&self, agent: &Agent, at: usize) {
        let Some(index) = self.pods.get(at) else { return };
        if let Some(pod) = agent.manifest().pods.get(*index) {
            let text = format!("Created pod: {}", pod.name);
            owners::report(agent, &pod, ("job", self.name()), (false, "SuccessfulCreate"), &text);
            agent.accept(*index, pod);
        }
    }

    fn tell(&self, agent: &Agent, verdict: Verdict) {
        let (reason, words) = verdict.words();
        let mut text = String::from(words);
        if verdict == Verdict::PodFailurePolicy
            && let Some(final_one) = self.pods.iter().find_map(|index| final_failure(agent, *index, &self.rules))
        {
            text = final_one;
        }
        let success = verdict.is_success();
        owners::report(agent, &self.pod, ("job", self.name()), (!success, reason), &text);
        let condition = if success { "Complete" } else { "Failed" };
        self.note(agent, false, "SawCompletedJob", &format!("Saw completed job, condition: {condition}"));
    }

    /// An event of the CronJob, if it is one.
    fn note(&self, agent: &Agent, warning: bool, reason: &'static str, text: &str) {
        if self.rules.schedule.is_some() {
            owners::report(agent, &self.pod, ("cronjob", self.name()), (warning, reason), text);
        }
    }

    /// Writes down how far it has come, where that has changed.
    fn remember(&mut self, agent: &Agent) -> Result<(), Trouble> {
        /// Bytes of a machine at most: some for each place, and for each run.
        const MOST: usize = limits::PODS * 18 + limits::CRON_RUNS * 24 + 24;
        let (path, folder, mut room) = (file(agent, &self.pod), agent.paths().jobs(), vec![0; MOST]);
        let bytes =
            postcard::to_slice(&self.machine, &mut room).map_err(|error| format!("write down a Job: {error}"))?;
        if *bytes == *self.noted {
            return Ok(());
        }
        fs::create_dir_all(&folder).map_err(Trouble::at("make", &folder))?;
        // Whole or not at all, since an agent may die at any instant.
        let new = folder.join(".new");
        fs::write(&new, [&self.mark.to_le_bytes()[..], bytes].concat()).map_err(Trouble::at("write", &new))?;
        fs::rename(&new, &path).map_err(Trouble::at("rename", &new))?;
        self.noted = bytes.to_vec();
        Ok(())
    }
}

/// How the place of pod `index` stands, and who is there.
fn place(agent: &Agent, index: usize, rules: &JobRules<'static>) -> (Place, Option<Uid>) {
    let pods = agent.pods();
    let here = |entry: &&Entry| entry.place.index() == Some(index) && !entry.machine().is_hidden();
    let Some(entry) = pods.iter().find(here) else {
        let is_forsaken =
            agent.manifest().pods.get(index).is_some_and(|pod| agent.paths().deleted(pod.namespace, pod.name).exists());
        return (if is_forsaken { Place::Forsaken } else { Place::Free }, None);
    };
    let machine = entry.machine();
    let place = match machine.phase() {
        // What it was before this manifest is none of this Job's doing.
        _ if machine.is_terminating() || entry.is_former() => Place::Ending,
        Phase::Succeeded => Place::Succeeded,
        Phase::Failed => Place::Failed(judge(agent, entry, rules).map_or(FailureAction::Count, |found| found.action)),
        Phase::Pending | Phase::Running | Phase::Unknown => {
            Place::Active { restarts: machine.containers().iter().map(Container::restarts).sum() }
        }
    };
    (place, Some(entry.uid()))
}

/// What a failed pod means by `podFailurePolicy`.
fn judge(agent: &Agent, entry: &Entry, rules: &JobRules<'static>) -> Option<Match<'static>> {
    let containers = entry.manifest().containers.iter().zip(entry.machine().containers());
    let ended = containers.filter_map(|(container, machine)| match machine.state() {
        ContainerState::Terminated(how) => Some((container.name, how.exit.code)),
        ContainerState::Waiting(_) | ContainerState::Running(_) => None,
    });
    let exits: Vec<(&str, u8)> = ended.collect();
    let holds = |kind: &str| {
        let own = entry.machine().conditions().iter().find(|it| it.kind.as_str() == kind).map(|it| it.status);
        own.or_else(|| agent.gates(entry).iter().find(|gate| gate.name == kind).map(|gate| gate.holds))
    };
    failure::judge(rules.failure_policy, &exits, holds)
}

/// What is said of the pod of `index`, where it is one that fails the whole Job.
fn final_failure(agent: &Agent, index: usize, rules: &JobRules<'static>) -> Option<String> {
    let pods = agent.pods();
    let entry =
        pods.iter().find(|entry| entry.place.index() == Some(index) && entry.machine().phase() == Phase::Failed)?;
    let found = judge(agent, entry, rules).filter(|found| found.action == FailureAction::FailJob)?;
    let mut text = String::new();
    found.tell(&mut text, entry.manifest().namespace, entry.manifest().name).ok()?;
    Some(text)
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
