//! A pod's volumes (spec 31–35): made before its first container, found again by name, removed with the pod where they are its own.

use super::blocks;
use super::downward::Teller;
use super::images::{Images, Record, Refused};
use super::mounts::{self, Tmpfs};
use super::ownership::{Access, Walk};
use super::paths::PodPaths;
use super::payload;
use super::subpath;
use super::trouble::Trouble;
use crate::manifest::huge::PageSize;
use crate::manifest::limits;
use crate::manifest::pod::{
    Content, File, FsGroup, FsGroupChange, HostPathKind, Medium, Mount, Pod, Propagation, Source, Volume,
};
use crate::sys::mount::{NOEXEC, RDONLY};
use crate::sys::{self, error::Attempt};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use std::borrow::Cow;
use std::format;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::prelude::v1::*;

/// Makes all volumes of a pod that are not there yet, and the place of its managed files.
pub(super) fn make(teller: &Teller<'_>) -> Result<(), Trouble> {
    let Teller { paths, uid, pod, .. } = *teller;
    let own = paths.pod(uid);
    // Containers write to them: a tmpfs of their own, so that they fill nobody else's.
    in_memory(&own.etc(""), Tmpfs { size: Some(limits::MANAGED_FILES), mode: 0o755, secret: false, devices: false })?;
    for volume in pod.volumes {
        let made = match volume.source {
            Source::EmptyDir { medium: Medium::Memory, size_limit } => {
                let path = own.memory_volume(volume.name);
                // What is written to it counts as the memory of who writes: more than the pod may have cannot be in it.
                let size = size_limit.into_iter().chain(pod.resources.memory_limit).min();
                in_memory(&path, Tmpfs { size, mode: 0o777, secret: false, devices: false })
                    .and_then(|_| give(&path, pod, Access::Write))
            }
            Source::EmptyDir { medium: Medium::HugePages(size), size_limit } => {
                huge_pages(&own.memory_volume(volume.name), pod, size, size_limit)
            }
            Source::EmptyDir { medium: Medium::Disk, .. } => {
                let path = own.disk_volume(volume.name);
                open_directory(&path).and_then(|()| give(&path, pod, Access::Write))
            }
            Source::HostPath { path, kind } => host_path(Path::new(path), kind),
            Source::Claim { name, .. } => directory(&paths.claim(pod.namespace, name), 0o755),
            Source::Files { .. } | Source::Projected { .. } => write_files(teller, &volume),
            // Mounted with the first container that asks for it.
            Source::Image { .. } => Ok(()),
            Source::Block { disk, read_only } => blocks::make(paths, &own, pod, volume.name, (disk, read_only)),
            Source::Local { path, fs_type, read_only, options, .. } => {
                blocks::make_local(&own, volume.name, Path::new(path), (fs_type, read_only, options))
            }
        };
        super::fail::point("volume made");
        made.map_err(|why| format!("pod {}: volume {}: {why}", pod.name, volume.name))?;
    }
    Ok(())
}

/// One volume, ready to be handed to a container.
pub(super) struct Opened {
    /// Its detached mount.
    pub(super) mount: OwnedFd,
    /// It is a directory.
    pub(super) directory: bool,
}

/// Opens a volume for one mount of one container: the part that it asks for, with the propagation and protection that it asks for.
pub(super) fn open(
    teller: &Teller<'_>,
    images: &mut Images,
    volume: &Volume<'_>,
    mount: &Mount<'_>,
) -> Result<Opened, Refused> {
    let Teller { paths, uid, pod, .. } = *teller;
    let own = paths.pod(uid);
    let at = |why: Trouble| Refused::new(format!("pod {}: volume {}: {why}", pod.name, volume.name).into());
    let (path, attributes) = match volume.source {
        Source::EmptyDir { medium: Medium::Disk, .. } => (own.disk_volume(volume.name), MountAttrFlags::empty()),
        Source::EmptyDir { .. } => (own.memory_volume(volume.name), MountAttrFlags::empty()),
        Source::HostPath { path, .. } => (PathBuf::from(path), MountAttrFlags::empty()),
        Source::Claim { name, read_only: false } => (paths.claim(pod.namespace, name), MountAttrFlags::empty()),
        Source::Claim { name, read_only: true } => (paths.claim(pod.namespace, name), RDONLY),
        Source::Local { path, read_only, .. } => {
            let attributes = if read_only { RDONLY } else { MountAttrFlags::empty() };
            (blocks::local(&own, volume.name, path), attributes)
        }
        Source::Block { .. } => (blocks::node(&own.memory_volume(volume.name)), MountAttrFlags::empty()),
        Source::Files { .. } | Source::Projected { .. } => (own.memory_volume(volume.name), RDONLY),
        Source::Image { reference } => {
            let record = Record::read(paths, reference)?;
            (images.path(paths, &record, &teller.node.machine)?, RDONLY | NOEXEC)
        }
    };
    let root = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| at(Trouble::at("open", &path)(errno.into())))?;
    let place = part(root, mount.sub_path)
        .map_err(|why| Refused::config(&format!("pod {}: volume {}: {why}", pod.name, volume.name)))?;
    // What is mounted on the node is part of a hostPath; and what may be mounted later shows below what is mounted now.
    let whole = matches!(volume.source, Source::HostPath { .. } | Source::Local { .. })
        || mount.propagation != Propagation::None;
    let opened = attributed(&place, mount, whole, attributes).map_err(|error| at(error.into()))?;
    if mount.propagation != Propagation::None && !mounts::is_shared(&place) {
        let word = mount.propagation.as_str();
        return Err(at(format!(
            "mountPropagation: {word} is not possible: {} is on a mount that is not shared; run 'mount --make-rshared /' on the node",
            path.display()
        )
        .into()));
    }
    let kind = rustix::fs::fstat(&place).map_err(|errno| at(format!("look at {}: {errno}", path.display()).into()))?;
    Ok(Opened { mount: opened, directory: FileType::from_raw_mode(kind.st_mode) == FileType::Directory })
}

/// The part of a volume that a `subPath` names.
fn part(volume: OwnedFd, sub_path: &str) -> Result<OwnedFd, String> {
    if sub_path.is_empty() {
        return Ok(volume);
    }
    subpath::open(volume.as_fd(), sub_path).map_err(|errno| {
        let why = match errno {
            Errno::XDEV => String::from("it leads out of the volume"),
            Errno::LOOP => String::from("a link is in the way"),
            errno => sys::error::text(errno.raw_os_error()),
        };
        format!("failed to prepare subPath {sub_path}: {why}")
    })
}

/// A detached mount of `place`, as `mount` asks for it.
fn attributed(
    place: &OwnedFd,
    mount: &Mount<'_>,
    whole: bool,
    mut attributes: MountAttrFlags,
) -> Result<OwnedFd, sys::Error> {
    let made = sys::mount::clone_tree(place, "", whole)?;
    let how = match mount.propagation {
        Propagation::None => sys::mount::Propagation::Private,
        Propagation::HostToContainer => sys::mount::Propagation::Slave,
        Propagation::Bidirectional => sys::mount::Propagation::Shared,
    };
    sys::mount::propagate(&made, how, whole).attempt("set the propagation of", mount.path)?;
    attributes.set(RDONLY, mount.read_only || attributes.contains(RDONLY));
    if !attributes.is_empty() {
        sys::mount::restrict(&made, attributes, mount.recursive_read_only).attempt("protect", mount.path)?;
    }
    Ok(made)
}

/// Takes away all mounts of a pod's volumes. What lies on disk is removed by [`wipe`].
pub(super) fn unmount(own: &PodPaths) {
    blocks::release(own);
    // A container with mountPropagation: Bidirectional may have left mounts in a volume on disk.
    for at in [&own.run, &own.data].into_iter().flat_map(|directory| mounts::below(directory)) {
        if let Err(error) = mounts::detach(&at) {
            log::warn!("volume: {error}");
        }
    }
}

/// Takes away what a pod that has failed has in its volumes.
pub(super) async fn release(own: &PodPaths) -> Result<(), Trouble> {
    let in_memory = own.memory_volume("");
    for at in [&in_memory, &own.data].into_iter().flat_map(|directory| mounts::below(directory)) {
        mounts::detach(&at)?;
    }
    wipe(in_memory).await?;
    wipe(own.data.clone()).await
}

/// Removes a tree of files, giving way to others as it goes: it may be large. What is not there needs no removal.
pub(super) async fn wipe(root: PathBuf) -> Result<(), Trouble> {
    let mut directories = Vec::from([root.clone()]);
    let mut steps = 0u32;
    while let Some(directory) = directories.last().cloned() {
        let deeper = directories.len();
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(Trouble::at("read", &directory))?,
        };
        for entry in entries {
            let entry = entry.map_err(Trouble::at("read", &directory))?;
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(path);
            } else {
                fs::remove_file(&path).map_err(Trouble::at("remove", &path))?;
            }
            steps += 1;
            if steps.is_multiple_of(64) {
                smol::future::yield_now().await;
            }
        }
        if directories.len() == deeper {
            fs::remove_dir(&directory).map_err(Trouble::at("remove", &directory))?;
            directories.pop();
        }
    }
    Ok(())
}

fn directory(path: &Path, mode: u32) -> Result<(), Trouble> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(Trouble::at("make", path))
}

/// Gives a volume that is the pod's own to its fsGroup, if it is not so yet.
fn give(path: &Path, pod: &Pod<'_>, access: Access) -> Result<(), Trouble> {
    let Some(group) = pod.fs_group else { return Ok(()) };
    Walk::all(path, FsGroup { change: FsGroupChange::OnRootMismatch, ..group }, access)
}

/// A directory that everybody may write, whatever the umask: an emptyDir, as kubelet makes one.
fn open_directory(path: &Path) -> Result<(), Trouble> {
    if path.exists() {
        return Ok(());
    }
    directory(path, 0o755)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).map_err(Trouble::at("change the mode of", path))
}

/// A tmpfs; says whether it is new.
pub(super) fn in_memory(path: &Path, what: Tmpfs) -> Result<bool, Trouble> {
    // What is not even there is no mount, which is quicker seen than all mounts are read.
    if path.exists() && mounts::is_mounted(path) {
        return Ok(false);
    }
    directory(path, 0o755)?;
    mounts::tmpfs(path, what)?;
    Ok(true)
}

/// A hugetlbfs in which no more has room than the pod may have of such pages.
fn huge_pages(path: &Path, pod: &Pod<'_>, page: PageSize, limit: Option<u64>) -> Result<(), Trouble> {
    if !(path.exists() && mounts::is_mounted(path)) {
        directory(path, 0o755)?;
        // A part of a page would be none.
        let limit = limit.map(|limit| limit.max(page.bytes()));
        let size = limit.into_iter().chain([pod.resources.huge_pages.bytes(page)]).min().unwrap_or_default();
        mounts::huge(path, page.bytes(), size)?;
    }
    give(path, pod, Access::Write)
}

/// A tmpfs with files of the manifest and of the board in it.
fn write_files(teller: &Teller<'_>, volume: &Volume<'_>) -> Result<(), Trouble> {
    let root = teller.paths.pod(teller.uid).memory_volume(volume.name);
    let secret = match volume.source {
        Source::Files { secret, .. } => secret,
        Source::Projected { files } => files.iter().any(|file| matches!(file.content, Content::Secret(_))),
        _ => false,
    };
    in_memory(&root, Tmpfs { size: None, mode: 0o777, secret, devices: false })?;
    fill(teller, volume, &root)
}

/// Writes the files of a volume, or those that have changed.
fn fill(teller: &Teller<'_>, volume: &Volume<'_>, root: &Path) -> Result<(), Trouble> {
    let files: Vec<payload::File<'_>> = match volume.source {
        Source::Files { files, .. } => {
            let plain = |File { path, mode, data }| payload::File { path, mode, data: Cow::Borrowed(data) };
            files.iter().map(plain).collect()
        }
        Source::Projected { files } => {
            let data = |content| match content {
                Content::Plain(data) | Content::Secret(data) => Cow::Borrowed(data),
                Content::Fact(fact) => teller.tell(fact).into_bytes().into(),
            };
            files
                .iter()
                .map(|file| payload::File { path: file.path, mode: file.mode, data: data(file.content) })
                .collect()
        }
        _ => return Ok(()),
    };
    let group = teller.pod.fs_group.map(|group| FsGroup { change: FsGroupChange::Always, ..group });
    let give = |path: &Path| group.map_or(Ok(()), |group| Walk::all(path, group, Access::Read));
    payload::write(root, &files, give)?;
    give(root)
}

/// Writes what has changed in the volumes of a pod that are made of files.
pub(super) fn refresh(teller: &Teller<'_>) -> Result<(), Trouble> {
    let own = teller.paths.pod(teller.uid);
    let is_of_files = |volume: &Volume<'_>| matches!(volume.source, Source::Files { .. } | Source::Projected { .. });
    for volume in teller.pod.volumes.iter().filter(is_of_files) {
        let root = own.memory_volume(volume.name);
        if root.exists() {
            fill(teller, &volume, &root)?;
        }
    }
    Ok(())
}

/// Checks a hostPath as kubelet does, and makes it where it says OrCreate.
fn host_path(path: &Path, kind: HostPathKind) -> Result<(), Trouble> {
    use HostPathKind::*;
    let found = match fs::metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Trouble::at("look at", path)(error)),
        Err(_) => {
            return match kind {
                Any | DirectoryOrCreate => directory(path, 0o755),
                FileOrCreate => {
                    let mut open = fs::OpenOptions::new();
                    open.write(true)
                        .create(true)
                        .truncate(false)
                        .mode(0o644)
                        .open(path)
                        .map(drop)
                        .map_err(Trouble::at("make", path))
                }
                _ => Err(format!("hostPath type check failed: {} does not exist", path.display()).into()),
            };
        }
    };
    let (right, word) = match kind {
        Any => (true, ""),
        DirectoryOrCreate | Directory => (found.is_dir(), "directory"),
        FileOrCreate | File => (found.is_file(), "file"),
        Socket => (found.is_socket(), "socket file"),
        CharDevice => (found.is_char_device(), "character device"),
        BlockDevice => (found.is_block_device(), "block device"),
    };
    match right {
        true => Ok(()),
        false => Err(format!("hostPath type check failed: {} is not a {word}", path.display()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn spec_31_host_paths_are_checked_as_kubelet_does() {
        let dir = tempfile::tempdir().unwrap();
        let (file, new) = (dir.path().join("file"), dir.path().join("new"));
        fs::write(&file, "").unwrap();
        let check = |path: &Path, kind| host_path(path, kind);
        assert_eq!(check(dir.path(), HostPathKind::Directory), Ok(()));
        assert_eq!(check(&file, HostPathKind::File), Ok(()));
        assert!(check(&file, HostPathKind::Directory).unwrap_err().to_string().ends_with("is not a directory"));
        assert!(check(&new, HostPathKind::Socket).unwrap_err().to_string().ends_with("does not exist"));
        assert_eq!(check(Path::new("/dev/null"), HostPathKind::CharDevice), Ok(()));
        assert!(check(Path::new("/dev/null"), HostPathKind::BlockDevice).is_err());
        assert_eq!(check(&new, HostPathKind::DirectoryOrCreate), Ok(()));
        assert!(new.is_dir());
        assert_eq!(check(&dir.path().join("made"), HostPathKind::FileOrCreate), Ok(()));
        assert!(dir.path().join("made").is_file());
    }

    #[test]
    fn spec_34_a_tree_is_wiped_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, kept) = (dir.path().join("root"), dir.path().join("kept"));
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::write(&kept, "kept").unwrap();
        std::os::unix::fs::symlink(&kept, root.join("a/link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), root.join("a/b/up")).unwrap();
        for n in 0..200 {
            fs::write(root.join("a/b").join(format!("{n}")), "x").unwrap();
        }
        smol::block_on(wipe(root.clone())).unwrap();
        assert!(!root.exists());
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
        smol::block_on(wipe(root)).unwrap();
    }
}
