//! The output of containers: one ring of two segments in tmpfs for each container, written by its pod-init, read by anybody.

use super::paths::{Paths, PodPaths};
use crate::manifest::status::Uid;
use crate::pod::output;
use crate::sys::{Error, error::Attempt};
use rustix::fs::{Mode, OFlags};
use std::format;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::prelude::v1::*;

/// The output of one instance of a container.
#[derive(Debug)]
pub struct Reader {
    /// The ring, with the output of all instances that there still is.
    pub ring: output::Reader,
    /// The instance that is wanted.
    pub instance: u32,
}

/// Opens a container's segments to be read.
pub(super) fn open(paths: &Paths, uid: Uid, container: &str, instance: u32) -> Result<Reader, Error> {
    let ring = output::Reader::new(segments(paths, uid, container, OFlags::RDONLY)?);
    Ok(Reader { ring, instance })
}

/// Opens a container's segments for its pod-init, making them for the first instance.
pub(super) fn create(paths: &Paths, uid: Uid, container: &str) -> Result<[OwnedFd; 2], Error> {
    let logs = paths.pod(uid).logs();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&logs);
    made.map_err(|e| rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO))
        .attempt("make", &logs.to_string_lossy())?;
    segments(paths, uid, container, OFlags::RDWR | OFlags::CREATE)
}

/// Forgets the output of a container.
pub(super) fn remove(own: &PodPaths, container: &str) {
    for n in 0..2 {
        let _ = std::fs::remove_file(own.logs().join(format!("{container}.{n}")));
    }
}

fn segments(paths: &Paths, uid: Uid, container: &str, flags: OFlags) -> Result<[OwnedFd; 2], Error> {
    let open = |n: u8| {
        let path = paths.pod(uid).logs().join(format!("{container}.{n}"));
        rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
            .attempt("open", &path.to_string_lossy())
    };
    Ok([open(0)?, open(1)?])
}
