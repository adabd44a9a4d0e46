//! Floor 2: Linux.
pub mod cgroup;
