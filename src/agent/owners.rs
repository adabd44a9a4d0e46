//! What is left of controllers on the board: whose turn it is among the pods of one owner, how they make way for newer ones, and
//! their events.

use super::drive::{Agent, Entry};
use super::events::Event;
use crate::machine::effect;
use crate::machine::rollout::{Old, Rollout, Stand};
use crate::manifest::limits;
use crate::manifest::owner::{Controller, Start};
use crate::manifest::pod::Pod;
use crate::manifest::status::{ConditionKind, Uid, message};
use crate::manifest::time::{Duration, Instant};
use std::format;
use std::prelude::v1::*;

/// What one look at the updates that are under way has brought.
#[derive(Default)]
pub(super) struct Turn {
    /// The pods of the manifest that are to wait, by their index.
    waiting: Vec<usize>,
    /// When to look again, though nothing happens until then.
    pub(super) at: Option<Instant>,
}

impl Turn {
    fn wake(&mut self, at: Option<Instant>) {
        self.at = self.at.into_iter().chain(at).min();
    }

    /// Whether pod `index` of the manifest, which is not here, may be made now. `OrderedReady`: once those before it are available
    /// (spec 65), without those that somebody has deleted.
    pub(super) fn may_come(&mut self, agent: &Agent, index: usize, pod: &Pod<'_>) -> bool {
        match pod.owner.map(|owner| owner.controller) {
            _ if self.waiting.contains(&index) => false,
            Some(Controller::StatefulSet(Start::OrderedReady, update)) => {
                let ready = Duration::from_secs(update.min_ready_seconds.into());
                let pods = agent.manifest().pods;
                let mut before = pods.iter().enumerate().take(index).filter(|(_, other)| is_sibling(pod, other));
                before.all(|(at, other)| match stand_of(agent, at, &other, |_| true) {
                    Stand::Forsaken => true,
                    Stand::Ready(since) if since.after(ready) <= agent.now() => true,
                    Stand::Ready(since) => {
                        self.wake(Some(since.after(ready)));
                        false
                    }
                    Stand::Absent | Stand::Coming { .. } | Stand::Ending => false,
                })
            }
            // A Job's pods come when their time has ([`super::jobs`]).
            Some(Controller::Job(_)) => false,
            _ => true,
        }
    }
}

/// Looks at all former pods: those that no strategy waits with are ended, and so are those whose time has come (spec 64).
pub(super) fn update(agent: &Agent) -> Turn {
    let mut turn = Turn::default();
    let former = |entry: &&Entry| entry.is_former() && !entry.machine().is_gone();
    let former: Vec<(Uid, Pod<'static>)> =
        agent.pods().iter().filter(former).map(|entry| (entry.uid(), *entry.manifest())).collect();
    for (at, (uid, pod)) in former.iter().enumerate() {
        let members = members(agent, pod);
        match members.first() {
            None => end(agent, *uid),
            // Each controller once.
            Some(_) if former[..at].iter().any(|(_, other)| is_sibling(other, pod)) => {}
            Some((_, first)) => roll(agent, first, &members, &mut turn),
        }
    }
    turn
}

/// The pods of the manifest that have the same controller as one that runs, with their indices.
fn members(agent: &Agent, pod: &Pod<'_>) -> Vec<(usize, Pod<'static>)> {
    agent.manifest().pods.iter().enumerate().filter(|(_, other)| is_sibling(pod, other)).collect()
}

/// One look at one controller.
fn roll(agent: &Agent, first: &Pod<'static>, members: &[(usize, Pod<'static>)], turn: &mut Turn) {
    let Some(owner) = first.owner else { return };
    let new: heapless::Vec<Stand, { limits::PODS }> = members
        .iter()
        .map(|(index, pod)| stand_of(agent, *index, pod, |entry| !entry.is_former()))
        .take(limits::PODS)
        .collect();
    let place_of = |index| members.iter().position(|(other, _)| Some(*other) == index);
    let (mut old, mut uids) = (heapless::Vec::<Old, { limits::PODS }>::new(), Vec::new());
    for entry in agent.pods().iter().filter(|entry| entry.is_former() && !entry.machine().is_hidden()) {
        let pod = entry.manifest();
        if !is_sibling(pod, first) {
            continue;
        }
        let place = place_of(entry.place.index());
        // No more in the manifest, though it may be of the same template: there are fewer of them now.
        let same = pod.owner.map(|owner| owner.name) == Some(owner.name) && controller(pod).is_some_and(is_deployment);
        let is_numbered = matches!(owner.controller, Controller::StatefulSet(..));
        let number = pod.name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let surplus = place.is_none() && (same || is_numbered);
        if old.push(Old { stand: stand(entry), place, surplus, number }).is_ok() {
            uids.push(entry.uid());
        }
    }
    let rollout = Rollout { controller: owner.controller, new: &new, old: &old };
    let (now, orders) = (agent.now(), rollout.step(agent.now()));
    for (at, uid) in uids.iter().enumerate().filter(|(at, _)| orders.end & 1 << at != 0) {
        if let Some(Old { stand, .. }) = old.get(at)
            && *stand != Stand::Ending
        {
            end(agent, *uid);
        }
    }
    let waits = |(at, _): &(usize, &(usize, Pod<'static>))| orders.come & 1 << at == 0;
    turn.waiting.extend(members.iter().enumerate().filter(waits).map(|(_, (index, _))| *index));
    turn.wake(rollout.poll_at(now));
}

/// By an event, so that the loop sees what follows.
fn end(agent: &Agent, uid: Uid) {
    let is_alive = |entry: &Entry| entry.uid() == uid && !entry.machine().is_terminating();
    if agent.pods().iter().any(is_alive) {
        agent.tell(uid, effect::Event::Delete { grace: None, force: false, replace: false });
    }
}

/// How pod `index` of the manifest stands, or the one of its name that another manifest had, where that counts.
fn stand_of(agent: &Agent, index: usize, pod: &Pod<'_>, counts: impl Fn(&Entry) -> bool) -> Stand {
    let pods = agent.pods();
    let here = |entry: &&Entry| entry.place.index() == Some(index) && !entry.machine().is_hidden() && counts(entry);
    match pods.iter().find(here) {
        Some(entry) => stand(entry),
        None if agent.paths().deleted(pod.namespace, pod.name).exists() => Stand::Forsaken,
        None => Stand::Absent,
    }
}

fn stand(entry: &Entry) -> Stand {
    let machine = entry.machine();
    let ready = machine.conditions().iter().find(|it| it.kind == ConditionKind::Ready && it.status).map(|it| it.since);
    match ready {
        _ if machine.is_terminating() => Stand::Ending,
        Some(since) => Stand::Ready(since),
        None => Stand::Coming { held: machine.lacks().is_some() },
    }
}

/// Has the owner of a pod that is made now say so; a Job does so itself ([`super::jobs`]).
pub(super) fn tell_created(agent: &Agent, pod: &Pod<'_>) {
    let Some(owner) = pod.owner else { return };
    let (name, owned) = (pod.name, owner.name);
    let text = match owner.controller {
        Controller::Job(_) => return,
        Controller::StatefulSet(..) => format!("create Pod {name} in StatefulSet {owned} successful"),
        _ => format!("Created pod: {name}"),
    };
    let kind = owner.controller.kind().to_ascii_lowercase();
    report(agent, pod, (&kind, owned), (false, "SuccessfulCreate"), &text);
}

/// An event of something in the namespace of `pod`: its kind and name, whether it is a warning, and the reason.
pub(super) fn report(
    agent: &Agent,
    pod: &Pod<'_>,
    (kind, name): (&str, &str),
    (warning, reason): (bool, &'static str),
    text: &str,
) {
    let about = (pod.namespace, &*format!("{kind}/{name}"), "");
    let event = Event::new(agent.now(), (warning, reason), about, message(text));
    agent.events_mut().add(event);
}

/// Whether both are pods of one controller: of one Deployment also where its template, and with it the ReplicaSet, is another.
pub(super) fn is_sibling(one: &Pod<'_>, other: &Pod<'_>) -> bool {
    let (Some(mine), Some(its)) = (controller(one), controller(other)) else { return false };
    one.namespace == other.namespace && mine == its
}

fn is_deployment((kind, _): (&str, &str)) -> bool {
    kind == "Deployment"
}

/// Of a Deployment's pod: its namespace, the Deployment and the ReplicaSet.
pub(super) fn replica_set<'a>(pod: &Pod<'a>) -> Option<(&'a str, &'a str, &'a str)> {
    let (_, deployment) = controller(pod).filter(|it| is_deployment(*it))?;
    Some((pod.namespace, deployment, pod.owner?.name))
}

/// The kind and name of the controller that people have declared.
fn controller<'a>(pod: &Pod<'a>) -> Option<(&'static str, &'a str)> {
    let owner = pod.owner?;
    let kind = owner.controller.kind();
    let hash = pod.labels.iter().find(|label| label.key == "pod-template-hash").filter(|_| kind == "ReplicaSet");
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash.value)?.strip_suffix('-'));
    Some(deployment.map_or((kind, owner.name), |name| ("Deployment", name)))
}
