//! Floor 2: Linux, one file per kernel area. The only `unsafe` of the program is in `raw` and `spawn`.

pub mod cgroup;
pub mod clock;
pub mod device;
pub mod error;
pub mod huge;
pub mod kernel;
pub mod module;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod pressure;
pub mod raw;
pub mod reap;
pub mod socket;
pub mod spawn;
pub mod tty;

pub use error::Error;
