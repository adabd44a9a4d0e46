//! A pod whose containers all begin anew (`restartPolicyRules` with the action RestartAllContainers): by the exit of one of them.
//!
//! As with kubelet all that run are killed, without hooks and grace; when none is left, the containers start in their order again, init
//! containers included, and those that were over. The sandbox and the volumes stay. The container whose end it was has its back-off
//! when its turn comes. Ephemeral containers are killed as well, and do not come again.

use super::container::{Container, State};
use super::effect::{self, Effect, Effects};
use super::pod::Pod;
use super::terminate::Life;
use crate::manifest::pod::ContainerKind;
use crate::manifest::record::Stage;
use crate::manifest::status::{Message, Reason};
use crate::manifest::time::Instant;
use core::fmt::Write;

/// Whether the containers of a pod have begun anew: its condition `AllContainersRestarting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anew {
    /// They never have.
    Never,
    /// Since then they are being killed.
    Emptied {
        /// When that began.
        since: Instant,
        /// By whose end.
        by: u8,
    },
    /// They have, or the pod was ended meanwhile.
    Begun {
        /// When they were all gone.
        since: Instant,
    },
}

impl Pod {
    /// Its containers are being killed to begin anew.
    pub(super) fn is_emptied(&self) -> bool {
        matches!(self.anew, Anew::Emptied { .. })
    }

    /// Has all containers begin anew, as far as it is time for that.
    pub(super) fn begin_anew(&mut self, now: Instant, effects: &mut Effects) {
        if self.life != Life::Wanted {
            if self.is_emptied() {
                self.anew = Anew::Begun { since: now };
            }
            return;
        }
        if !self.is_emptied() {
            let Some(by) = self.containers.iter().position(Container::ends_all) else { return };
            // The work of a pod that is over does not begin anew because a sidecar ends as it should.
            if self.init_failed() || self.apps_ended() && self.containers[by].kind() != ContainerKind::App {
                return;
            }
            let code = self.containers[by].ended().map_or(0, |ended| ended.exit.code);
            let mut text = Message::new();
            let fits = write!(text, "Container {{}} exited with code {code}, triggering pod restart");
            debug_assert!(fits.is_ok());
            effect::tell(effects, "AllContainersRestarting", Some(by as u8), &text);
            self.anew = Anew::Emptied { since: now, by: by as u8 };
        }
        let Anew::Emptied { by, .. } = self.anew else { return };
        for (me, container) in (0..).zip(&mut self.containers) {
            container.kill_at_once(now, me, effects);
            container.hold();
        }
        if self.containers.iter().any(Container::is_live) {
            return;
        }
        let only_apps = !self.containers.iter().any(|container| container.kind().is_init());
        let waits = if only_apps { Reason::ContainerCreating } else { Reason::PodInitializing };
        for (me, container) in (0..).zip(&mut self.containers) {
            let (reason, due, stage) = if me == by {
                (Reason::CrashLoopBackOff, container.back_off(now, &self.backoff), Stage::Earlier)
            } else {
                container.memo.failures = 0;
                (waits, now, Stage::Anew)
            };
            container.queue_anew(due, reason);
            if container.instance > 0 && !container.is_ephemeral() {
                effect::give(effects, Effect::MarkStage { container: me, instance: container.instance, stage });
            }
        }
        self.anew = Anew::Begun { since: now };
    }
}

impl Container {
    /// It has ended in a way for which all containers of its pod are to begin anew.
    fn ends_all(&self) -> bool {
        !self.is_ephemeral() && self.ended().is_some_and(|ended| self.rules.restart.is_for_all(self.kind(), ended.exit))
    }

    /// Its time comes with that of the others.
    fn hold(&mut self) {
        if let State::BackOff { reason, due, after } = self.state {
            self.state = State::Queued { reason, due, after };
        }
    }

    /// It waits for its turn once more, and not before `due`.
    fn queue_anew(&mut self, due: Instant, reason: Reason) {
        if self.is_ephemeral() {
            return self.give_up();
        }
        let after = match self.state {
            State::Ended(ended) => Some(ended),
            State::Queued { after, .. } => after,
            _ => return,
        };
        self.state = State::Queued { reason, due, after };
    }
}
