//! Floor 4: the brain's hands. One thread, one local executor: carries out what the machines decide, and tells them what happened.
//!
//! [`run`] is the whole life of an agent. Whoever starts it (the roof) hangs the console on its [`Agent`] handle.

mod adopt;
mod begin;
mod blocks;
pub mod boot;
mod claims;
pub mod config;
mod confine;
mod connect;
mod downward;
pub mod drive;
mod effect;
mod envfile;
mod ephemeral;
pub mod events;
mod evict;
mod fail;
pub mod gates;
mod grpc;
mod hooks;
mod http;
mod images;
mod jobs;
mod kept;
mod link;
pub mod local;
pub mod logger;
pub mod logs;
mod mounts;
mod owners;
mod ownership;
pub mod paths;
mod payload;
mod probes;
mod queue;
mod reload;
mod resize;
mod resolv;
mod sandbox;
mod scales;
mod start;
pub mod store;
mod subpath;
mod tls;
mod trouble;
pub mod verbs;
mod volumes;
mod walk;
mod words;

pub use config::{Config, Facts};
pub use drive::{Agent, Entry, Error, Outcome, Shutdown, run};
pub use effect::Streams;
pub use ephemeral::Debug;
pub use gates::Gate;
pub use reload::{Reload, Source, execute_again};
pub use verbs::{Exec, Refusal, Usage};

/// The agent's exit code when pods were ended and the board is to restart.
pub const EXIT_REBOOT: u8 = 100;
/// The agent's exit code when pods were ended and the board is to be switched off.
pub const EXIT_POWER_OFF: u8 = 101;
