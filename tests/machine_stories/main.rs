//! The pod machine, told as stories in simulated time: what is asked for, when, and what people see meanwhile.

mod ending;
mod life;
mod probes;
mod story;
