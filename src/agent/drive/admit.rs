//! Who is here: pods are taken in as there is room for them, higher priorities first (spec 96), and let go of when they are gone.

use super::{Agent, Entry};
use crate::agent::kept::Filters;
use crate::agent::{adopt, begin, gates, owners, scales};
use crate::machine;
use crate::machine::admit::{Amount, Lacks};
use crate::machine::effect::{Effects, Event};
use crate::machine::pod::{ContainerRules, Rules};
use crate::manifest::limits;
use crate::manifest::pod::Pod;
use crate::manifest::status::Uid;
use crate::manifest::time::{Duration, Instant};
use core::cmp::Reverse;
use std::prelude::v1::*;

/// Where a pod stands in the manifest in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) enum Place {
    /// It is pod number so of it.
    Current(usize),
    /// It runs as a manifest before this one had it. Where this one has another pod of its name, that one waits for its end.
    Former(Option<usize>),
}

impl Place {
    /// The pod of the manifest that bears its name.
    pub(in crate::agent) fn index(self) -> Option<usize> {
        match self {
            Place::Current(index) => Some(index),
            Place::Former(index) => index,
        }
    }

    /// Its place in listings.
    fn rank(self) -> usize {
        self.index().unwrap_or(usize::MAX)
    }
}

impl Agent {
    /// Takes a new pod in. One for which there is no room is here as well, and waits.
    pub(in crate::agent) fn accept(&self, index: usize, pod: Pod<'static>) {
        let (rules, lacks) = (Rules::new(&pod, self.settings()), self.lacks(&pod));
        let mut effects = self.0.effects.borrow_mut();
        let machine = Box::new(match lacks {
            None => machine::pod::Pod::new(self.now(), rules, &mut effects),
            Some(lacks) => machine::pod::Pod::held(self.now(), rules, lacks, &mut effects),
        });
        let (place, filters) = (Place::Current(index), self.manifest().filters);
        self.add(
            Entry { place, pod, filters, uid: begin::new_uid(), machine, sandbox: None, ephemeral: Vec::new() },
            &mut effects,
        );
    }

    /// Takes in a pod that an agent before this one has made: it has been promised its room.
    pub(in crate::agent) fn readmit(
        &self,
        place: Place,
        (pod, filters): (Pod<'static>, Filters<'static>),
        found: adopt::Adopted,
    ) {
        let mut effects = self.0.effects.borrow_mut();
        let (mut rules, created) = (Rules::new(&pod, self.settings()), found.created);
        let waited = found.accepted.since(created);
        rules.active_deadline = rules.active_deadline.map(|span| Duration(span.0.saturating_add(waited.0)));
        let own = self.paths().pod(found.sandbox.uid);
        let put_in = found.ephemeral.iter().map(|_| ContainerRules::ephemeral());
        rules.containers.extend(put_in.take(limits::CONTAINERS - rules.containers.len()));
        gates::held(&own, &pod).for_each(|gate| rules.gates.set(gate, true));
        let adopt = machine::pod::Pod::adopt;
        let machine =
            Box::new(adopt(self.now(), created, rules, (found.record, found.verdict), &found.containers, &mut effects));
        self.add(
            Entry {
                place,
                pod,
                filters,
                uid: found.sandbox.uid,
                machine,
                sandbox: Some(found.sandbox),
                ephemeral: found.ephemeral,
            },
            &mut effects,
        );
    }

    /// Takes in a pod that was found and does not answer (spec 52).
    pub(in crate::agent) fn suspend(&self, index: usize, pod: Pod<'static>, uid: Uid, created: Instant) {
        let mut effects = self.0.effects.borrow_mut();
        let machine = machine::pod::Pod::silent(created, Rules::new(&pod, self.settings()), &mut effects);
        let (place, filters, machine) = (Place::Current(index), self.manifest().filters, Box::new(machine));
        self.add(Entry { place, pod, filters, uid, machine, sandbox: None, ephemeral: Vec::new() }, &mut effects);
    }

    /// Forgets a pod that did not answer, since something is known of it now; whether it is still to be known.
    pub(in crate::agent) fn resume(&self, uid: Uid) -> bool {
        let is_it = |entry: &Entry| entry.uid == uid && entry.machine.is_silent();
        let before = self.pods().len();
        self.0.entries.borrow_mut().retain(|entry| !is_it(entry));
        self.pods().len() < before
    }

    fn add(&self, entry: Entry, effects: &mut Effects) {
        let mut entries = self.0.entries.borrow_mut();
        let at = entries.partition_point(|other| other.place.rank() <= entry.place.rank());
        entries.insert(at, entry);
        self.carry_out(&mut entries[at], effects);
    }

    /// Lets go of the pods that are gone, and takes in those that should be here and are not (spec 10, 63, 64, 96). Gives when to look
    /// again where time alone makes a difference.
    pub(super) fn reconcile(&self) -> Option<Instant> {
        let is_gone = |entry: &&Entry| entry.machine.is_gone();
        let gone: Vec<(Uid, Pod<'_>)> =
            self.pods().iter().filter(is_gone).map(|entry| (entry.uid, entry.pod)).collect();
        for (uid, pod) in gone {
            self.0.entries.borrow_mut().retain(|entry| entry.uid != uid);
            self.images().not_for(self.paths(), &pod);
            self.has_changed();
            adopt::clean(self, uid);
        }
        if self.is_ending() {
            return None;
        }
        let mut turn = owners::update(self);
        self.admit_waiting();
        let is_missing = |(index, pod): &(usize, Pod<'static>)| {
            let here =
                self.pods().iter().any(|entry| entry.place.index() == Some(*index) && !entry.machine.is_hidden());
            !here && !self.paths().deleted(pod.namespace, pod.name).exists() && turn.may_come(self, *index, pod)
        };
        let mut missing: Vec<(usize, Pod<'static>)> =
            self.manifest().pods.iter().enumerate().filter(is_missing).collect();
        missing.sort_by_key(|(_, pod)| Reverse(pod.priority));
        scales::tell(self, &missing);
        for (index, pod) in missing {
            owners::tell_created(self, &pod);
            self.accept(index, pod);
        }
        turn.at
    }

    /// Has pods begin that wait for room where there is some now.
    fn admit_waiting(&self) {
        let waiting = |entry: &Entry| Some((entry.uid, entry.pod, entry.machine.lacks()?));
        let mut waiting: Vec<(Uid, Pod<'static>, Lacks)> = self.pods().iter().filter_map(waiting).collect();
        waiting.sort_by_key(|(_, pod, _)| Reverse(pod.priority));
        for (uid, pod, before) in waiting {
            match self.lacks(&pod) {
                None => self.step(uid, Event::Admit),
                Some(lacks) if lacks != before => self.step(uid, Event::Hold(lacks)),
                Some(_) => {}
            }
        }
    }

    /// What the node has not enough of for one more pod like this.
    fn lacks(&self, pod: &Pod<'_>) -> Option<Lacks> {
        let room = self.node().room;
        // Its room is a pod's own until nothing of it runs any more, also where its name is free already.
        let holds = |entry: &&Entry| entry.machine.lacks().is_none() && !entry.machine.phase().is_terminal();
        let promised = self.pods().iter().filter(holds).fold(Amount::default(), |sum, e| sum.and(Amount::of(&e.pod)));
        let pressure = self.node().pressures.iter().copied().find(|it| it.keeps_out(pod.qos(), pod.critical));
        match pressure {
            None => room.lacks(promised, Amount::of(pod)),
            pressure => Some(Lacks { pressure, ..Lacks::default() }),
        }
    }
}
