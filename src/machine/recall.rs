//! What a pod-init remembers of a container, made into the container again, and the other way round.

use super::backoff::Backoff;
use super::container::{Container, ContainerRules, NOT_EXECUTED, State, terminated};
use super::probe::Probes;
use crate::manifest::record::{ContainerRecord, Life, Stage};
use crate::manifest::status::{Exit, Reason, Terminated};
use crate::manifest::time::{Duration, Instant};

impl Container {
    /// A container as its pod-init remembers it. One that has ended is left for [`Container::settle`] to decide about.
    pub(super) fn adopt(
        rules: ContainerRules,
        reason: Reason,
        record: &ContainerRecord,
        backoff: &Backoff,
    ) -> Container {
        let mut container = Container::new(rules, reason);
        container.instance = record.instance;
        container.memo = record.memo;
        if container.is_outdated() {
            // What went wrong with another image says nothing about this one.
            container.memo.failures = 0;
        }
        match record.life {
            Life::None if record.instance == 0 => {}
            Life::None => container.state = State::Starting,
            Life::Running { started } => {
                container.state = State::Running { started };
                container.probes = Probes::begin(&rules, started, record.stage);
            }
            Life::Ended { started, finished, exit } if record.stage == Stage::Anew => {
                let after = (started.is_some() || exit == NOT_EXECUTED).then(|| terminated(exit, started, finished));
                container.memo.failures = 0;
                container.state = State::Queued { reason, due: finished, after };
            }
            Life::Ended { started, finished, exit } if record.stage == Stage::Earlier => {
                let after = (started.is_some() || exit == NOT_EXECUTED).then(|| terminated(exit, started, finished));
                let failures = container.memo.failures;
                let (reason, wait) = match after {
                    None => (Reason::CreateContainerError, backoff.after_refusal(failures)),
                    Some(_) if !rules.restart.follows(rules.kind, exit) => (reason, Duration(0)),
                    Some(_) => (Reason::CrashLoopBackOff, backoff.after_end(failures)),
                };
                container.state = State::Queued { reason, due: finished.after(wait), after };
            }
            Life::Ended { started: None, finished, .. } if container.is_outdated() => {
                container.state = State::BackOff { reason: Reason::ContainerCreating, due: finished, after: None };
            }
            Life::Ended { started: None, finished, exit } if exit.code != NOT_EXECUTED.code => {
                container.refuse(finished, Reason::CreateContainerError, backoff);
            }
            Life::Ended { started, finished, exit } if record.stage == Stage::Renewed => {
                container.restart_after(terminated(exit, started, finished), finished);
            }
            Life::Ended { started, finished, exit } => {
                container.state = State::Ended(terminated(exit, started, finished))
            }
        }
        container
    }

    /// What a pod-init that has not begun it is to remember of it for [`Container::adopt`]; `None` where it never was begun.
    pub(super) fn record(&self, now: Instant) -> Option<ContainerRecord> {
        let life = |ended: Terminated| {
            // Where it did not begin, that would say that it is tried again.
            let started = ended.started.or((ended.exit.code != NOT_EXECUTED.code).then_some(ended.finished));
            Life::Ended { started, finished: ended.finished, exit: ended.exit }
        };
        let (life, stage) = match self.state {
            _ if self.instance == 0 => return None,
            State::Ended(ended) => (life(ended), Stage::New),
            State::Queued { after: Some(ended), .. } => (life(ended), Stage::Earlier),
            _ => (Life::Ended { started: None, finished: now, exit: Exit::UNKNOWN }, Stage::Earlier),
        };
        Some(ContainerRecord { instance: self.instance, memo: self.memo, life, stage })
    }
}
