//! Floor 3: pod-init, PID 1 of a pod: holds its namespaces, starts, reaps and journals its containers, drains their output.
//!
//! It is `podlingd` re-executed: single-threaded, non-dumpable, without the host's root, ordered about over one socket only.

#![allow(
    clippy::result_large_err,
    clippy::large_enum_variant,
    reason = "a failure is told once, whole and without the heap"
)]

pub mod child;
pub mod exec;
pub mod init;
pub mod launch;
mod nodes;
pub mod output;
pub mod poll;
pub mod rootfs;
pub mod slot;
pub mod steps;
pub mod streams;
mod sysctl;
pub mod wire;
