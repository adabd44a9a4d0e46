//! Floor 1: every decision. No I/O, no clock, no allocation: `step(now, event, effects)` and `poll_at()`.

pub use crate::manifest::time;

pub mod backoff;
pub mod container;
pub mod effect;
pub mod pod;
pub mod probe;
pub mod shutdown;
pub mod slot;
mod status;
mod terminate;
