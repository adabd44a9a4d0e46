//! The part of a volume that a `subPath` names, found without ever leaving the volume (CVE-2017-1002101, CVE-2021-25741).
//!
//! What is found is an open descriptor, and that is what is mounted: no path is looked up a second time.

use rustix::fs::{Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat, openat2};
use rustix::io::{Errno, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How often the kernel may ask to try again, since somebody renames directories in the volume meanwhile.
const RACES: usize = 64;

/// Opens `path` below the volume behind `volume`, whatever it is. Links are followed as long as they stay in the volume; directories
/// that are missing are made, with the mode of the volume itself, as kubelet does.
///
/// # Errors
/// `XDEV`: a link leads out of the volume.
pub(super) fn open(volume: BorrowedFd<'_>, path: &str) -> Result<OwnedFd> {
    match beneath(volume, path) {
        Err(Errno::NOENT) => make(volume, path),
        found => found,
    }
}

/// Opens what is there below the volume, as a place only.
pub(super) fn beneath(volume: BorrowedFd<'_>, path: &str) -> Result<OwnedFd> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RACES {
        match openat2(volume, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how) {
            Err(Errno::AGAIN) => {}
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

/// The same, one component after the other. A directory is made below one that is open, and opened without following a link.
fn make(volume: BorrowedFd<'_>, path: &str) -> Result<OwnedFd> {
    const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let mode = Mode::from_raw_mode(fstat(volume)?.st_mode);
    let mut here: Option<OwnedFd> = None;
    let mut walked = 0;
    for name in path.split('/') {
        let end = walked + name.len();
        here = Some(match beneath(volume, &path[..end]) {
            Err(Errno::NOENT) => {
                let parent = here.as_ref().map_or(volume, AsFd::as_fd);
                let made = mkdirat(parent, name, Mode::RWXU);
                let directory = openat(parent, name, DIRECTORY, Mode::empty())?;
                match made {
                    // Only now, for mkdirat heeds the umask.
                    Ok(()) => fchmod(&directory, mode)?,
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
                directory
            }
            found => found?,
        });
        walked = end + 1;
    }
    here.ok_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn volume(path: &Path) -> OwnedFd {
        openat(rustix::fs::CWD, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn spec_31_a_sub_path_is_found_or_made_inside_its_volume() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("volume"), dir.path().join("outside"));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(root.join("a/file"), "inside").unwrap();
        fs::write(outside.join("file"), "outside").unwrap();
        symlink("a", root.join("near")).unwrap();
        symlink("../../outside", root.join("a/up")).unwrap();
        symlink(&outside, root.join("far")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o2770)).unwrap();
        let volume = volume(&root);
        let inode = |path: &str| open(volume.as_fd(), path).map(|fd| fstat(fd).unwrap().st_ino);
        let at = |path: &str| Ok(fs::metadata(root.join(path)).unwrap().ino());
        assert_eq!(inode("a/b"), at("a/b"));
        assert_eq!(inode("near/file"), at("a/file"), "a link that stays inside is followed");
        for out in ["far", "far/file", "a/up/file", "a/up/new", "far/new", "magic/etc"] {
            assert_eq!(inode(out).unwrap_err(), Errno::XDEV, "{out}");
        }
        assert!(inode("dangling").is_err() && inode("a/file/x").is_err());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "nothing was made outside");
        let made = inode("near/new/deep");
        assert_eq!(made, at("a/new/deep"));
        assert_eq!(fs::metadata(root.join("a/new/deep")).unwrap().mode() & 0o7777, 0o2770, "the volume's own mode");
    }

    /// A container swaps a directory for a link to the outside, over and over.
    #[test]
    fn cve_2021_25741_a_directory_that_is_swapped_for_a_link_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("volume"), dir.path().join("outside"));
        fs::create_dir_all(root.join("real")).unwrap();
        fs::create_dir(&outside).unwrap();
        symlink(&outside, root.join("link")).unwrap();
        let over = AtomicBool::new(false);
        let (mut inside, mut refused) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let volume = volume(&root);
                while !over.load(Ordering::Relaxed) {
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(&volume, "real", &volume, "link", flags).unwrap();
                }
            });
            let volume = volume(&root);
            let device = |path: &Path| fs::metadata(path).unwrap().ino();
            // Until either has been met, however the two threads take turns.
            let mut n = 0;
            while n < 3000 || inside == 0 || refused == 0 {
                n += 1;
                match open(volume.as_fd(), &std::format!("real/new{}", n % 50)) {
                    Ok(found) => {
                        assert_ne!(fstat(&found).unwrap().st_ino, device(&outside));
                        inside += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing was made outside");
    }
}
