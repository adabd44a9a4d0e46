//! podling: Kubernetes pods on small boards, from flash, supervised by one small static program.
//!
//! The folders are the floors, and imports go down only (`tests/floors.rs` fails on an upward `use`):
//!
//! | floor | module     | what it is                                              | may it touch the world?       |
//! |-------|------------|---------------------------------------------------------|-------------------------------|
//! | 0     | `manifest` | the data that crosses borders                           | no: `no_std`, no `alloc`      |
//! | 1     | `machine`  | every decision: `step(now, event)`                      | no: `no_std`, no `alloc`      |
//! | 2     | `sys`      | Linux, one file per kernel area; the only `unsafe`      | yes                           |
//! | 3     | `pod`      | pod-init: PID 1 of a pod                                | yes                           |
//! | 4     | `agent`    | the brain's hands: stores, mounts, sockets              | yes                           |
//! | 5     | `console`  | the verbs, on any byte stream                           | yes (its grammar is pure)     |
//! | 5     | `host`     | the workstation, on floors 0, 1 and the pure console    | yes                           |
//!
//! The roofs, `src/bin/*.rs`, are the only places that know two floors that must not know each other.
#![no_std]
#![deny(unsafe_code, missing_docs, unreachable_pub)]
#![warn(clippy::undocumented_unsafe_blocks)]

#[cfg(any(feature = "agent", feature = "host"))]
extern crate alloc;
#[cfg(any(feature = "agent", feature = "host"))]
extern crate std;

pub mod machine;
pub mod manifest;

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(any(feature = "agent", feature = "host"))]
pub mod console;
#[cfg(feature = "host")]
pub mod host;
#[cfg(feature = "agent")]
pub mod pod;
#[cfg(feature = "agent")]
pub mod sys;
