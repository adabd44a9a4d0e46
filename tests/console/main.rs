//! The console: words to commands, keys to lines, pods to columns, and all of it over streams and sockets.

mod editor;
mod fake;
mod grammar;
mod life;
mod object;
mod probes;
mod remote;
mod serial;
mod session;
mod status;
mod terminal;
mod verbs;
