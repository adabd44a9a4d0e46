//! The pod machine, told as stories in simulated time: what is asked for, when, and what people see meanwhile.

mod admit;
mod deadline;
mod ending;
mod ephemeral;
mod evict;
mod gates;
mod life;
mod probes;
mod renew;
mod restart;
mod rollout;
mod storage;
mod story;
