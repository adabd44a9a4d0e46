//! `fsGroup`: gives a volume to the pod's group, with the bits that kubelet gives. No link is followed, and what is right is left alone.

use super::blocks;
use super::drive::Agent;
use super::effect;
use super::sandbox::Sandbox;
use super::trouble::Trouble;
use crate::machine::effect::Event;
use crate::manifest::limits;
use crate::manifest::pod::{FsGroup, FsGroupChange, Pod, Source, Volume};
use crate::manifest::status::Uid;
use crate::sys;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, chmodat, chownat, fstat, openat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::format;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::rc::Rc;

/// What the group is to do in a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
}

const SETGID: u32 = 0o2000;

impl Access {
    fn bits(self, directory: bool) -> u32 {
        let bits = match self {
            Access::Read => 0o440,
            Access::Write => 0o660,
        };
        if directory { bits | 0o110 | SETGID } else { bits }
    }
}

/// A walk over all files of a volume. The root is changed last: where it is right, so is all else (`OnRootMismatch`).
pub(super) struct Walk {
    root: PathBuf,
    group: u32,
    access: Access,
    way: Vec<Dir>,
}

impl Walk {
    /// Begins; `None` where there is nothing to do.
    pub(super) fn new(root: &Path, group: FsGroup, access: Access) -> Result<Option<Walk>, Trouble> {
        let fail = |errno: Errno| Trouble::at("give to the pod's group", root)(errno.into());
        let open =
            openat(CWD, root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
        let is = fstat(&open).map_err(fail)?;
        let bits = access.bits(true);
        if group.change == FsGroupChange::OnRootMismatch && is.st_gid == group.id && is.st_mode & bits == bits {
            return Ok(None);
        }
        let way = Vec::from([Dir::new(open).map_err(fail)?]);
        Ok(Some(Walk { root: root.into(), group: group.id, access, way }))
    }

    /// The whole of it at once.
    pub(super) fn all(root: &Path, group: FsGroup, access: Access) -> Result<(), Trouble> {
        if let Some(mut walk) = Walk::new(root, group, access)? {
            while walk.step()? {}
        }
        Ok(())
    }

    /// Changes one file; whether there is more.
    pub(super) fn step(&mut self) -> Result<bool, Trouble> {
        self.walk().map_err(|errno| {
            let why = match errno {
                Errno::NAMETOOLONG => format!("directories are nested deeper than {}", limits::VOLUME_DEPTH),
                errno => sys::error::text(errno.raw_os_error()),
            };
            format!("give {} to the pod's group: {why}", self.root.display()).into()
        })
    }

    fn walk(&mut self) -> rustix::io::Result<bool> {
        let Some(here) = self.way.last_mut() else { return Ok(false) };
        let Some(entry) = here.next() else {
            let done = self.way.pop();
            if let (Some(root), true) = (done, self.way.is_empty()) {
                let root = openat(root.fd()?, c".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                self.change(root.as_fd())?;
            }
            return Ok(!self.way.is_empty());
        };
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            return Ok(true);
        }
        let file = match openat(here.fd()?, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            // Somebody who shares the claim has removed it.
            Err(Errno::NOENT) => return Ok(true),
            opened => opened?,
        };
        if self.change(file.as_fd())? == FileType::Directory {
            if self.way.len() == limits::VOLUME_DEPTH {
                return Err(Errno::NAMETOOLONG);
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            self.way.push(Dir::new(openat(&file, c".", flags, Mode::empty())?)?);
        }
        Ok(true)
    }

    /// Group and bits of one file, by its descriptor: a link is changed itself, and has no bits.
    fn change(&self, file: BorrowedFd<'_>) -> rustix::io::Result<FileType> {
        let is = fstat(file)?;
        let kind = FileType::from_raw_mode(is.st_mode);
        let moved = is.st_gid != self.group;
        if moved {
            chownat(file, c"", None, Some(Gid::from_raw(self.group)), AtFlags::EMPTY_PATH)?;
        }
        let wanted = is.st_mode & 0o7777 | self.access.bits(kind == FileType::Directory);
        // A change of the group takes set-id bits away from programs.
        if kind != FileType::Symlink && (wanted != is.st_mode & 0o7777 || moved && wanted & 0o6000 != 0) {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            chmodat(CWD, path, Mode::from_raw_mode(wanted), AtFlags::empty())?;
        }
        Ok(kind)
    }
}

/// Tells a pod's machine that its sandbox stands, once its claims belong to its group. They may hold many files: others have their
/// turn meanwhile.
pub(super) fn settle(agent: &Agent, uid: Uid, pod: &Pod<'static>, sandbox: &Rc<Sandbox>) {
    let claims = claims(agent, uid, pod);
    let (Some(group), false) = (pod.fs_group, claims.is_empty()) else {
        return agent.tell(uid, Event::SandboxReady);
    };
    let (agent, sandbox, pod) = (agent.clone(), sandbox.clone(), *pod);
    agent.clone().spawn(async move {
        let changed = async {
            for claim in claims {
                let Some(mut walk) = Walk::new(&claim, group, Access::Write)? else { continue };
                let mut steps = 0u32;
                while walk.step()? {
                    steps += 1;
                    if steps.is_multiple_of(64) {
                        smol::future::yield_now().await;
                    }
                }
            }
            Ok::<(), Trouble>(())
        };
        match changed.await.map_err(|why| format!("pod {}: {why}", pod.name).into()) {
            Ok(()) if !sandbox.leaving.get() => agent.tell(uid, Event::SandboxReady),
            Ok(()) => effect::unmake(&agent, uid, Some(sandbox), "the pod-init has died".into()),
            Err(why) => effect::unmake(&agent, uid, Some(sandbox), why),
        }
    });
}

/// The claims that a pod may write.
fn claims(agent: &Agent, uid: Uid, pod: &Pod<'_>) -> Vec<PathBuf> {
    let path = |volume: &Volume<'_>| match volume.source {
        Source::Claim { name, read_only: false } => Some(agent.paths().claim(pod.namespace, name)),
        Source::Local { path, read_only: false, .. } => Some(blocks::local(&agent.paths().pod(uid), volume.name, path)),
        _ => None,
    };
    pod.volumes.iter().filter_map(|volume| path(&volume)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    const GROUP: FsGroup = FsGroup { id: 4242, change: FsGroupChange::Always };

    #[test]
    fn spec_31_a_volume_is_given_to_the_group_as_kubelet_does() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("volume"), dir.path().join("outside"));
        fs::create_dir_all(root.join("a/b")).unwrap();
        for (file, mode) in [(outside.clone(), 0o600), (root.join("a/file"), 0o604), (root.join("a/b/suid"), 0o4755)] {
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink(&outside, root.join("link")).unwrap();
        symlink(dir.path(), root.join("a/up")).unwrap();
        let of = |path: &Path| {
            let it = fs::symlink_metadata(path).unwrap();
            (it.gid(), it.mode() & 0o7777)
        };
        Walk::all(&root, GROUP, Access::Write).unwrap();
        assert_eq!(of(&root), (4242, 0o2775));
        assert_eq!(of(&root.join("a/b")), (4242, 0o2775));
        assert_eq!(of(&root.join("a/file")), (4242, 0o664));
        assert_eq!(of(&root.join("a/b/suid")), (4242, 0o4775));
        assert_eq!(of(&root.join("link")).0, 4242, "the link itself");
        assert_eq!(of(&outside), (0, 0o600), "what it leads to is not touched");
        assert_eq!(fs::metadata(dir.path()).unwrap().gid(), 0);

        fs::set_permissions(root.join("a/file"), fs::Permissions::from_mode(0o600)).unwrap();
        Walk::all(&root, FsGroup { change: FsGroupChange::OnRootMismatch, ..GROUP }, Access::Write).unwrap();
        assert_eq!(of(&root.join("a/file")).1, 0o600, "the root is right: nothing is looked at");
        Walk::all(&root, FsGroup { id: 7, change: FsGroupChange::OnRootMismatch }, Access::Read).unwrap();
        assert_eq!(of(&root.join("a/file")), (7, 0o640));
    }

    #[test]
    fn a_tree_that_is_too_deep_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let deep: PathBuf = std::iter::repeat_n("d", limits::VOLUME_DEPTH + 1).collect();
        fs::create_dir_all(dir.path().join(deep)).unwrap();
        let own = FsGroup { id: rustix::process::getegid().as_raw(), ..GROUP };
        let why = format!("{}", Walk::all(dir.path(), own, Access::Write).unwrap_err());
        assert!(why.ends_with("directories are nested deeper than 128"), "{why}");
    }
}
