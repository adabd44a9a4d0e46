//! The output of containers: two ring segments per instance in tmpfs, kept for the newest instance and the one before.

use std::path::PathBuf;
use std::prelude::v1::*;

/// Where the output of one instance is, and how to read it on.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The two segments of the ring.
    pub segments: [PathBuf; 2],
}
