//! Readiness gates as people set them (spec 46): a small file of the pod, so that they outlive the agent. The machine knows which hold.

use super::drive::{Agent, Entry};
use super::paths::PodPaths;
use super::trouble::Trouble;
use super::verbs::Refusal;
use crate::machine::effect::Event;
use crate::manifest::pod::Pod;
use crate::manifest::time::Instant;
use std::format;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::prelude::v1::*;

/// A condition that was set from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// `type`.
    pub name: String,
    /// `status: "True"`, else `"False"`.
    pub holds: bool,
    /// `lastTransitionTime`.
    pub since: Instant,
    /// `reason`: one word, or empty.
    pub reason: String,
    /// `message`: one line, or empty.
    pub message: String,
}

impl Gate {
    fn line(&self) -> String {
        let Gate { name, holds, since, reason, message } = self;
        format!("{name}\t{holds}\t{}\t{reason}\t{message}\n", since.0)
    }

    fn of(line: &str) -> Option<Gate> {
        let mut fields = line.splitn(5, '\t').map(String::from);
        let (name, holds) = (fields.next()?, fields.next()?.parse().ok()?);
        let since = Instant(fields.next()?.parse().ok()?);
        Some(Gate { name, holds, since, reason: fields.next()?, message: fields.next()? })
    }
}

/// What was set of a pod's gates, each once.
pub(super) fn read(own: &PodPaths) -> Vec<Gate> {
    fs::read_to_string(own.gates()).unwrap_or_default().lines().filter_map(Gate::of).collect()
}

fn write(own: &PodPaths, gates: &[Gate]) -> Result<(), Trouble> {
    // A pod that has no sandbox yet may have no directory either.
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&own.run);
    made.map_err(Trouble::at("make", &own.run))?;
    let (whole, text) = (own.run.join("gates.new"), gates.iter().map(Gate::line).collect::<String>());
    let written = fs::write(&whole, text).and_then(|()| fs::rename(&whole, own.gates()));
    written.map_err(Trouble::at("write", &own.gates()))
}

/// Which gates of a pod hold, by their index in its manifest.
pub(super) fn held<'a>(own: &PodPaths, pod: &Pod<'a>) -> impl Iterator<Item = u8> + use<'a> {
    let set = if pod.readiness_gates.is_empty() { Vec::new() } else { read(own) };
    let holds = move |name: &str| set.iter().any(|gate| gate.holds && gate.name == name);
    (0..).zip(pod.readiness_gates).filter(move |(_, name)| holds(name)).map(|(gate, _)| gate)
}

impl Agent {
    /// What was set of a pod's readiness gates, in no order.
    pub fn gates(&self, entry: &Entry) -> Vec<Gate> {
        if entry.manifest().readiness_gates.is_empty() { Vec::new() } else { read(&self.paths().pod(entry.uid())) }
    }

    /// Sets one of a pod's readiness gates. It holds from then on, also for the next agent, until the pod is replaced; `gate.since` is
    /// taken over only where its status changes.
    ///
    /// # Errors
    /// There is no such pod, or the pod has no such gate.
    pub fn set_gate(&self, namespace: &str, name: &str, mut gate: Gate) -> Result<(), Refusal> {
        let (uid, index) = {
            let entry = self.find(namespace, name).ok_or(Refusal::NoSuchPod)?;
            let index = entry.manifest().readiness_gates.iter().position(|it| it == gate.name);
            (entry.uid(), index.ok_or_else(|| Refusal::NoSuchGate(gate.name.clone()))?)
        };
        let own = self.paths().pod(uid);
        let mut gates = read(&own);
        match gates.iter_mut().find(|it| it.name == gate.name) {
            Some(before) => {
                gate.since = if before.holds == gate.holds { before.since } else { gate.since };
                before.clone_from(&gate);
            }
            None => gates.push(gate.clone()),
        }
        write(&own, &gates).map_err(|why| Refusal::Failed(format!("{why}").into()))?;
        self.step(uid, Event::Gate { gate: index as u8, holds: gate.holds });
        Ok(())
    }
}
