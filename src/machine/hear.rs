//! What a pod makes of what happens to it: each event changes states, and what follows from these is [`Pod`]'s own next step.

use super::admit;
use super::container::Container;
use super::effect::{self, Effect, Effects, Event};
use super::pod::{Pod, Sandbox};
use super::terminate::{self, Cause};
use crate::manifest::record::Ending;
use crate::manifest::time::Instant;

impl Pod {
    pub(super) fn hear(&mut self, now: Instant, event: Event, effects: &mut Effects) {
        match event {
            Event::Wake => {}
            Event::Admit => {
                if let Sandbox::Held { .. } = self.sandbox {
                    self.deadline = self.deadline.map(|at| at.after(now.since(self.accepted)));
                    (self.accepted, self.sandbox) = (now, Sandbox::Creating { failures: 0 });
                    effect::tell(effects, "Scheduled", None, "Accepted by this node");
                    effect::give(effects, Effect::CreateSandbox);
                }
            }
            Event::Hold(now_lacks) => {
                if let Sandbox::Held { lacks } = &mut self.sandbox {
                    *lacks = now_lacks;
                    admit::tell(now_lacks, effects);
                }
            }
            Event::SandboxReady => {
                if let Sandbox::Creating { failures } = self.sandbox {
                    self.sandbox = Sandbox::Ready { failures, since: now };
                    let known = (0..).zip(&self.containers).filter_map(|(me, it)| Some((me, it.record(now)?)));
                    for (container, record) in known {
                        effect::give(effects, Effect::Recall { container, record });
                    }
                }
            }
            Event::SandboxFailed(message) => {
                if let Sandbox::Creating { failures } = self.sandbox {
                    let failures = failures.saturating_add(1);
                    self.sandbox = Sandbox::Retry { failures, due: now.after(self.backoff.after_refusal(failures)) };
                    effect::warn(effects, "FailedCreatePodSandBox", None, &message);
                }
            }
            Event::SandboxUnmade(message) => {
                if let Sandbox::Ready { failures, .. } = self.sandbox {
                    effect::warn(effects, "FailedCreatePodSandBox", None, &message);
                    self.containers.iter_mut().for_each(|container| container.unmade(now));
                    self.remove_sandbox(failures.saturating_add(1), effects);
                }
            }
            Event::SandboxLost => {
                if let Sandbox::Ready { failures, since } = self.sandbox {
                    let failures = self.backoff.counted(failures.saturating_add(1), now.since(since));
                    self.lose_sandbox(now, failures, effects);
                }
            }
            Event::SandboxRemoved => {
                if let Sandbox::Removing { failures } = self.sandbox {
                    let due = now.after(self.backoff.after_end(failures));
                    self.sandbox = Sandbox::Retry { failures, due };
                }
            }
            Event::Started { container, instance } => {
                self.with_container(container, |it| it.started(now, instance, container, effects));
            }
            Event::StartFailed { container, instance, reason, message } => {
                let backoff = self.backoff;
                self.with_container(container, |it| {
                    it.start_failed(now, (instance, reason, message), &backoff, container, effects)
                });
            }
            Event::Exited { container, instance, exit } => {
                self.with_container(container, |it| it.exited(now, instance, exit))
            }
            Event::PreStopEnded { container, instance, failure } => {
                self.with_container(container, |it| it.pre_stop_ended(instance, failure, container, effects));
            }
            Event::PostStartEnded { container, instance, failure } => self.with_container(container, |it| {
                it.post_start_ended(now, (instance, failure), container, effects);
            }),
            Event::ProbeEnded { container, instance, kind, outcome } => self.with_container(container, |it| {
                it.probe_ended(now, (instance, kind, outcome), container, effects);
            }),
            Event::Delete { grace, force, replace } => {
                let grace = grace.unwrap_or(self.grace);
                self.end(now, Cause::Deletion, Ending { grace_ms: grace.0, force, replace }, effects);
            }
            Event::Shutdown { at_most } => {
                let grace = self.grace.min(at_most);
                self.end(now, Cause::Shutdown, Ending { grace_ms: grace.0, force: false, replace: false }, effects);
            }
            Event::Evict(why) => self.evict(now, why, effects),
            Event::Debug { container } => self.put_in(container),
            Event::Gate { gate, holds } => self.gates.set(gate, holds),
            Event::Restart { container } => {
                let until = now.after(self.own_grace());
                if !self.is_over() {
                    self.with_container(container, |it| it.restart(now, until, container, effects));
                }
            }
        }
    }

    fn with_container(&mut self, container: u8, act: impl FnOnce(&mut Container)) {
        self.containers.get_mut(usize::from(container)).map(act);
    }

    /// The pod-init died, and every container with it; what is left of the sandbox goes too (failure F3).
    fn lose_sandbox(&mut self, now: Instant, failures: u16, effects: &mut Effects) {
        effect::warn(effects, "SandboxChanged", None, "The pod's first process died, and all containers with it");
        self.containers.iter_mut().for_each(|container| container.lost(now));
        self.settle(now, effects);
        if !self.is_over() {
            self.containers.iter_mut().for_each(Container::requeue);
        }
        self.remove_sandbox(failures, effects);
    }

    pub(super) fn remove_sandbox(&mut self, failures: u16, effects: &mut Effects) {
        self.sandbox = Sandbox::Removing { failures };
        effect::give(effects, Effect::RemoveSandbox);
    }

    /// The pod is to end, or to end sooner (spec 67, 78).
    fn end(&mut self, now: Instant, cause: Cause, order: Ending, effects: &mut Effects) {
        let before = self.life.order();
        self.life.end(now, cause, order);
        if let (Sandbox::Ready { .. }, Some(order)) =
            (self.sandbox, self.life.order().filter(|order| Some(*order) != before))
        {
            effect::give(effects, Effect::MarkEnding(order));
        }
        let (by, manner) = (now.after(terminate::granted(&order)), self.life.manner());
        for (me, container) in (0..).zip(&mut self.containers) {
            container.hasten(by, manner, me, effects);
        }
    }
}
