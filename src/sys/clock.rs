//! The one clock of the machines. Agent, pod-init and init read the same one: a pod-init's records outlive its agent.

use crate::manifest::time::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the board booted, suspension included (spec 103).
pub fn now() -> Instant {
    let now = clock_gettime(ClockId::Boottime);
    Instant((now.tv_sec as u64).saturating_mul(1000).saturating_add(now.tv_nsec as u64 / 1_000_000))
}
