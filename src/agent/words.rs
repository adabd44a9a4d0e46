//! The last words of containers (`terminationMessagePath`): files in the pod's own memory, so that neither machines nor agent hold them.
//!
//! ```text
//! NAME.INSTANCE  what that instance writes to: in its container alone, and bounded with the pod's other managed files
//! NAME.ended     the last words of the newest instance that has ended
//! NAME.before    those of the one before it
//! ```

use super::drive::Agent;
use super::mounts;
use super::paths::{Paths, PodPaths};
use super::trouble::Trouble;
use super::{fail, logs};
use crate::manifest::limits;
use crate::manifest::pod::{Container, MessagePolicy, Pod};
use crate::manifest::status::{Exit, Uid};
use crate::pod::output::RECORD;
use crate::pod::wire::MountPoint;
use std::boxed::Box;
use std::format;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::prelude::v1::*;

/// Whose words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Those of the newest instance that has ended.
    Newest,
    /// Those of the one before it.
    Before,
}

/// Makes an instance's file, and opens it for its container; where the container mounts a volume there, that is the place.
pub(super) fn place<'a>(
    paths: &Paths,
    uid: Uid,
    container: &Container<'a>,
    instance: u32,
) -> Result<Option<(MountPoint<'a>, OwnedFd)>, Trouble> {
    let path = container.message_path;
    if container.mounts.iter().any(|mount| mount.path == path) {
        return Ok(None);
    }
    let own = paths.pod(uid);
    let file = current(&own, container, instance);
    let made = fs::create_dir_all(own.words())
        .and_then(|()| fs::write(&file, ""))
        // Whatever user the container has.
        .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o666)));
    made.map_err(Trouble::at("make", &file))?;
    let mount = mounts::copy(&file, false)?;
    Ok(Some((MountPoint { path, directory: false, read_only: false }, mount)))
}

/// An instance has ended: its last words take the place of those before. Once done this does nothing more, so that it is safe to be
/// asked for again by the next agent.
pub(super) fn keep(paths: &Paths, uid: Uid, pod: &Pod<'_>, index: u8, instance: u32, exit: Exit) {
    let (own, Some(container)) = (paths.pod(uid), pod.containers.get(index.into())) else { return };
    let file = current(&own, &container, instance);
    let most = limits::LAST_WORDS.min(limits::POD_LAST_WORDS / pod.containers.len().max(1));
    let said = match tail(&file, most) {
        Ok(said) => said,
        // Done already, or the place is a volume's.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => format!("Error on reading termination log {}: {error}", container.message_path).into_bytes(),
    };
    let falls_back = container.message_policy == MessagePolicy::FallbackToLogsOnError && !exit.success();
    let said = if falls_back && said.is_empty() { log_tail(paths, uid, &container, instance, most) } else { said };
    let ended = ended(&own, &container, Whose::Newest);
    let _ = fs::rename(&ended, self::ended(&own, &container, Whose::Before));
    let kept = fs::remove_file(&file).and_then(|()| fs::write(&ended, said));
    fail::point("words kept");
    if let Err(error) = kept {
        log::warn!("keep the last words of {}: {error}", container.name);
    }
}

impl Agent {
    /// [`keep`] for all containers of a pod whose pod-init has died: nobody saw how they ended.
    pub(super) fn keep_words(&self, uid: Uid) {
        let pods = self.pods();
        let Some(entry) = pods.iter().find(|entry| entry.uid() == uid) else { return };
        for (index, container) in (0..).zip(entry.machine().containers()) {
            keep(self.paths(), uid, entry.manifest(), index, container.instance(), Exit::UNKNOWN);
        }
    }
}

/// An instance that never was has nothing to say.
pub(super) fn forget(paths: &Paths, uid: Uid, container: &Container<'_>, instance: u32) {
    let _ = fs::remove_file(current(&paths.pod(uid), container, instance));
}

/// The last words of a container, as text; empty where there are none.
pub(super) fn read(paths: &Paths, uid: Uid, container: &Container<'_>, whose: Whose) -> String {
    let file = ended(&paths.pod(uid), container, whose);
    tail(&file, limits::LAST_WORDS).map_or_else(|_| String::new(), |said| String::from_utf8_lossy(&said).into_owned())
}

fn current(own: &PodPaths, container: &Container<'_>, instance: u32) -> PathBuf {
    own.words().join(format!("{}.{instance}", container.name))
}

fn ended(own: &PodPaths, container: &Container<'_>, whose: Whose) -> PathBuf {
    let when = match whose {
        Whose::Newest => "ended",
        Whose::Before => "before",
    };
    own.words().join(format!("{}.{when}", container.name))
}

/// The last bytes of a file, at most so many.
fn tail(file: &PathBuf, most: usize) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most as u64)))?;
    let mut said = Vec::new();
    file.take(most as u64).read_to_end(&mut said)?;
    Ok(said)
}

/// The last bytes of the last lines of an instance's output.
fn log_tail(paths: &Paths, uid: Uid, container: &Container<'_>, instance: u32, most: usize) -> Vec<u8> {
    let most = most.min(limits::LOG_WORDS);
    let mut said = Vec::new();
    let Ok(reader) = logs::open(paths, uid, container.name, instance) else { return said };
    let mut buffer = Box::new([0; RECORD]);
    let Ok(mut at) = reader.ring.tail(limits::LOG_LINES, |other| other == instance, &mut buffer) else { return said };
    while let Ok(Some(record)) = reader.ring.next(&mut at, &mut buffer) {
        if record.instance == instance {
            said.extend_from_slice(record.bytes);
            said.drain(..said.len().saturating_sub(most));
        }
    }
    said
}
