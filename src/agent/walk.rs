//! What a tree of files takes of its file system.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::prelude::v1::*;

/// What there is in a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Bytes, in whole blocks, as the file system gives them.
    pub(super) bytes: u64,
    /// Files and directories.
    pub(super) files: u64,
}

/// Walks a tree, giving way to others as it goes. What vanishes meanwhile is not there; a file with several names counts once.
pub(super) async fn size(root: PathBuf) -> Size {
    let (mut size, mut seen) = (Size::default(), HashSet::new());
    let mut directories = Vec::from([root]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                directories.push(entry.path());
            } else if found.nlink() > 1 && !seen.insert(found.ino()) {
                continue;
            }
            size.bytes += found.blocks() * 512;
            size.files += 1;
            if size.files.is_multiple_of(64) {
                smol::future::yield_now().await;
            }
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_counted_as_du_counts_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/file"), [1; 100_000]).unwrap();
        fs::hard_link(dir.path().join("a/file"), dir.path().join("a/b/again")).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("a/b/root")).unwrap();
        let size = smol::block_on(size(dir.path().into()));
        assert_eq!(size.files, 4);
        assert!((100_000..200_000).contains(&size.bytes), "{size:?}");
        assert_eq!(smol::block_on(super::size(dir.path().join("nowhere"))), Size::default());
    }
}
