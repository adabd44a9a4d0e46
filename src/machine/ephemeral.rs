//! Ephemeral containers (spec 37): put into a running pod by hand, started once, and of no account for the pod's own life.
//!
//! They stand behind the pod's own containers and end with them: [`super::terminate`] stops them as it stops app containers.

use super::container::{Container, ContainerRules};
use super::effect::Effects;
use super::pod::{Pod, Sandbox};
use super::restart::Restart;
use crate::manifest::limits;
use crate::manifest::pod::{ContainerKind, RestartPolicy};
use crate::manifest::status::Reason;
use crate::manifest::time::Instant;

impl ContainerRules {
    /// No restarts, no probes, no hooks.
    pub fn ephemeral() -> ContainerRules {
        ContainerRules {
            kind: ContainerKind::Ephemeral,
            pre_stop: false,
            restart: Restart::by(RestartPolicy::Never),
            post_start: false,
            probes: [None; limits::PROBES],
            edition: 0,
        }
    }
}

impl Container {
    /// Whether it was put into the pod by hand.
    pub(super) fn is_ephemeral(&self) -> bool {
        self.kind() == ContainerKind::Ephemeral
    }
}

impl Pod {
    /// The index for one more, behind all others or in the place of the one that ended first; `None` where the pod is over, has no
    /// sandbox, or has as many as it may.
    pub fn room(&self) -> Option<u8> {
        if self.is_over() || !matches!(self.sandbox, Sandbox::Ready { .. }) {
            return None;
        }
        let ephemeral = || (0..).zip(&self.containers).filter(|(_, it)| it.is_ephemeral());
        if ephemeral().count() < limits::EPHEMERAL && !self.containers.is_full() {
            return Some(self.containers.len() as u8);
        }
        ephemeral().filter_map(|(me, it)| Some((it.ended()?.finished, me))).min().map(|(_, me)| me)
    }

    /// [`super::effect::Event::Debug`]. One that takes the place of another goes on with its numbers, as its groups and output do.
    pub(super) fn put_in(&mut self, container: u8) {
        if self.room() != Some(container) {
            return;
        }
        let mut new = Container::new(ContainerRules::ephemeral(), Reason::ContainerCreating);
        match self.containers.get_mut(usize::from(container)) {
            Some(before) => {
                new.instance = before.instance;
                *before = new;
            }
            // There is room, which is what was asked above.
            None => drop(self.containers.push(new)),
        }
    }

    /// Whatever the others wait for, somebody wants to see it.
    pub(super) fn start_ephemeral(&mut self, now: Instant, effects: &mut Effects) {
        for (me, container) in (0..).zip(&mut self.containers).filter(|(_, it)| it.is_ephemeral()) {
            container.start_if_due(now, me, effects);
        }
    }
}
