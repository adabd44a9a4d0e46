//! Floor 5: the verbs, on any byte stream: the serial line, the local socket, and later SSH.
//!
//! The pure half (`grammar`, `wire`, `emit`, `table`, `view`, `object`, `editor`) does no I/O and serves the workstation too.

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
