//! Floor 1: every decision. No I/O, no clock, no allocation: `step(now, event, effects)` and `poll_at()`.

pub use crate::manifest::time;

pub mod admit;
mod anew;
pub mod backoff;
pub mod change;
pub mod container;
pub mod cron;
pub mod effect;
pub mod envfile;
mod ephemeral;
pub mod evict;
pub mod failure;
pub mod gates;
mod hear;
pub mod job;
pub mod pod;
pub mod probe;
mod recall;
pub mod restart;
pub mod retention;
pub mod rollout;
pub mod shutdown;
mod silent;
pub mod slot;
mod status;
pub mod storage;
mod terminate;
mod verdict;
mod zone;
