//! Variables out of files of a pod's own volumes (`fileKeyRef`), read when a container is about to start.

use super::downward::Teller;
use super::images::Refused;
use super::subpath;
use crate::machine::envfile::{self, Malformed};
use crate::manifest::fact::FileKey;
use crate::manifest::limits;
use crate::manifest::pod::{Medium, Source};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::format;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::prelude::v1::*;

/// The value of a variable; `None` where it may be missing, and is.
///
/// # Errors
/// It is missing, or the file is not one of variables.
pub(super) fn value(teller: &Teller<'_>, asked: FileKey<'_>) -> Result<Option<String>, Refused> {
    let FileKey { volume, path, key, optional } = asked;
    let name = teller.pod.volumes.get(volume.into()).map_or("", |volume| volume.name);
    let file = format!("file {path} of volume {name}");
    let refuse = |why: String| Refused::config(&format!("{file}: {why}"));
    let text = match read(teller, volume, path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && optional => return Ok(None),
        Err(error) => return Err(refuse(format!("{error}"))),
    };
    match envfile::find(&text, key) {
        Ok(Some(value)) if value.contains('\0') => Err(refuse(format!("the value of {key} holds a NUL"))),
        Ok(Some(value)) => Ok(Some(value.into())),
        Ok(None) if optional => Ok(None),
        Ok(None) => Err(refuse(format!("environment variable key {key} not found"))),
        Err(Malformed { line }) => Err(refuse(format!("line {line} is not of the form NAME='value'"))),
    }
}

/// The text of a file, which a container has made: it may be anything, and anywhere.
fn read(teller: &Teller<'_>, volume: u8, path: &str) -> io::Result<String> {
    let own = teller.paths.pod(teller.uid);
    let place = match teller.pod.volumes.get(volume.into()) {
        Some(it) if it.source.is_empty_dir() => match it.source {
            Source::EmptyDir { medium: Medium::Disk, .. } => own.disk_volume(it.name),
            _ => own.memory_volume(it.name),
        },
        _ => return Err(Errno::NODEV.into()),
    };
    let root = rustix::fs::open(&place, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // Looked at before it is opened: to open a device or a pipe could do something.
    let found = subpath::beneath(root.as_fd(), path)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is not a file"));
    }
    let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    let mut text = String::new();
    file.take(limits::ENV_FILE as u64 + 1).read_to_string(&mut text)?;
    if text.len() > limits::ENV_FILE {
        return Err(io::Error::other("it has more than 64 KiB"));
    }
    Ok(text)
}
