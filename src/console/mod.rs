//! Floor 5: the verbs, on any byte stream: the serial line, the local socket, and later SSH.
//!
//! The pure half does no I/O and serves the workstation too. The other half carries the verbs out on the agent.

pub mod catalog;
pub mod clock;
pub mod complete;
pub mod editor;
pub mod emit;
pub mod grammar;
pub mod keys;
pub mod object;
pub mod screen;
pub mod table;
pub mod view;
pub mod wire;

#[cfg(feature = "agent")]
pub mod attach;
#[cfg(feature = "agent")]
pub mod bind;
#[cfg(feature = "agent")]
pub mod board;
#[cfg(feature = "agent")]
pub mod client;
#[cfg(feature = "agent")]
pub mod outbox;
#[cfg(feature = "agent")]
mod raw;
#[cfg(feature = "agent")]
pub mod serial;
#[cfg(feature = "agent")]
pub mod session;
#[cfg(feature = "agent")]
pub mod socket;
#[cfg(feature = "agent")]
pub mod stream;
#[cfg(feature = "agent")]
pub mod terminal;
#[cfg(feature = "agent")]
pub mod verbs;
