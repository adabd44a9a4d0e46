//! Floor 3: pod-init, PID 1 of a pod: holds its namespaces, starts, reaps and journals its containers, drains their output.
//!
//! It is `podlingd` re-executed: single-threaded, non-dumpable, without the host's root, ordered about over one socket only.

pub mod wire;
