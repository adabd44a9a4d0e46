//! A place to pack an image in, and ways to look at what became of it.

use super::{Layer, Spec, layout, tool};
use podling::host::layers::Limits;
use podling::host::pack::{Outcome, pack};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A place for one test: a layout, and what becomes of it.
pub struct Bench {
    pub directory: TempDir,
}

impl Bench {
    pub fn new() -> Bench {
        Bench { directory: tempfile::tempdir().unwrap() }
    }

    pub fn layout(&self) -> PathBuf {
        self.directory.path().join("layout")
    }

    pub fn output(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    pub fn source(&self) -> String {
        format!("oci:{}", self.layout().display())
    }

    pub fn pack(&self, specs: &[Spec]) -> anyhow::Result<Outcome> {
        layout(&self.layout(), specs);
        self.pack_again(None, None, Limits::default())
    }

    pub fn pack_again(&self, name: Option<&str>, arch: Option<&str>, limits: Limits) -> anyhow::Result<Outcome> {
        pack(&self.source(), name, arch, &self.output(), limits)
    }

    /// What packing `layers` says, and that it leaves nothing behind.
    pub fn refusal(&self, layers: Vec<Layer>) -> String {
        let error = self.pack(&[Spec::new(layers)]).expect_err("this image must be refused");
        self.is_empty();
        format!("{error:#}")
    }

    pub fn is_empty(&self) {
        let left: Vec<_> = fs::read_dir(self.output()).unwrap().flatten().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// Path → mode, owner, size and target, as unsquashfs lists them.
pub fn listing(squashfs: &Path) -> BTreeMap<String, String> {
    let text = tool("unsquashfs", &["-lln", squashfs.to_str().unwrap()]);
    let lines = text.lines().filter_map(|line| {
        let (facts, path) = line.split_once("squashfs-root")?;
        let facts: Vec<&str> = facts.split_whitespace().collect();
        let facts = match facts[0].as_bytes()[0] {
            // The size of a directory is squashfs's own affair.
            b'd' => format!("{} {}", facts[0], facts[1]),
            _ => format!("{} {} {}", facts[0], facts[1], facts[2]),
        };
        Some((path.to_string(), facts))
    });
    lines.collect()
}

pub fn names(squashfs: &Path) -> Vec<String> {
    let all = listing(squashfs).into_keys();
    all.filter(|name| !name.is_empty()).collect()
}

/// Mode, owner, group, device, time and content of a file.
pub type Facts = (u32, u32, u32, u64, i64, Vec<u8>);

/// Path → what `stat` knows of it, and its content.
pub fn facts(root: &Path) -> BTreeMap<String, Facts> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let kind = meta.file_type();
            let content = match () {
                () if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                () if kind.is_file() => fs::read(&path).unwrap(),
                () => vec![],
            };
            let device = if kind.is_char_device() || kind.is_block_device() { meta.rdev() } else { 0 };
            let name = format!("/{}", path.strip_prefix(root).unwrap().display());
            all.insert(name, (meta.mode(), meta.uid(), meta.gid(), device, meta.mtime(), content));
            if kind.is_dir() {
                folders.push(path);
            }
        }
    }
    all
}
