//! The ending of a pod (spec 66–82): how long it may take, and who ends when.
//!
//! Everything but the sidecars is stopped at once; the sidecars follow one by one, the last one first, once nothing else is
//! left; at expiry whatever is left is killed. The same order ends the sidecars of a pod whose work is done.

use super::container::{Container, Manner};
use super::effect::Effects;
use crate::manifest::pod::ContainerKind;
use crate::manifest::record::Ending;
use crate::manifest::time::{Duration, Instant};

/// What the node gives even a forced pod (spec 81), and any other that would get nothing.
pub(super) const SMALL_GRACE: Duration = Duration::from_secs(2);

/// Who ends a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody deletes it.
    Deletion,
    /// The node shuts down.
    Shutdown,
}

/// Whether a pod is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It is.
    Wanted,
    /// It is being ended, and nothing revokes that.
    Ending {
        /// By whom.
        cause: Cause,
        /// When that began.
        since: Instant,
        /// When its grace period is over (spec 67).
        dead_after: Instant,
        /// What its pod-init remembers of it.
        order: Ending,
    },
}

impl Life {
    /// The ending `order` from now on. One that is under way may be hastened and changed in what follows it, never slowed.
    pub(super) fn end(&mut self, now: Instant, cause: Cause, order: Ending) {
        let order = Ending { grace_ms: granted(&order).0, ..order };
        let dead_after = now.after(granted(&order));
        *self = match *self {
            Life::Wanted => Life::Ending { cause, since: now, dead_after, order },
            Life::Ending { cause: first, since, dead_after: before, order: old } => Life::Ending {
                cause: if cause == Cause::Shutdown { cause } else { first },
                since,
                dead_after: dead_after.min(before),
                order: Ending { grace_ms: order.grace_ms.min(old.grace_ms), force: order.force || old.force, replace: order.replace },
            },
        };
    }

    /// The ending's order, while there is one.
    pub(super) fn order(&self) -> Option<Ending> {
        match *self {
            Life::Wanted => None,
            Life::Ending { order, .. } => Some(order),
        }
    }

    /// When its grace period is over.
    pub(super) fn dead_after(&self) -> Option<Instant> {
        match *self {
            Life::Wanted => None,
            Life::Ending { dead_after, .. } => Some(dead_after),
        }
    }

    /// How its containers are stopped.
    pub(super) fn manner(&self) -> Manner {
        if self.order().is_some_and(|order| order.force) { Manner::ByForce } else { Manner::Gently }
    }
}

/// The grace period that an order really gives.
pub(super) fn granted(order: &Ending) -> Duration {
    if order.force { SMALL_GRACE } else { Duration(order.grace_ms).max(SMALL_GRACE) }
}

/// Bring the containers of a pod that is over a step nearer to their end. Says whether none is left.
pub(super) fn wind_down(containers: &mut [Container], until: Instant, manner: Manner, effects: &mut Effects) -> bool {
    let mut main_left = false;
    for (me, container) in (0..).zip(containers.iter_mut()) {
        container.give_up();
        if container.kind() != ContainerKind::Sidecar {
            container.stop(until, manner, me, effects);
            main_left |= container.is_live();
        }
    }
    if main_left {
        return false;
    }
    match (0..).zip(containers.iter_mut()).filter(|(_, container)| container.is_live()).last() {
        Some((me, sidecar)) => {
            sidecar.stop(until, manner, me, effects);
            false
        }
        None => true,
    }
}
