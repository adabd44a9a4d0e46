//! Files that appear whole or not at all.

use anyhow::{Context, Result, ensure};
use std::format;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// A file under construction, in the directory where it will stand. Dropped before [`Draft::publish`], it leaves nothing.
pub struct Draft(NamedTempFile);

impl Draft {
    /// An empty file in `directory`, readable by its owner only.
    pub fn new(directory: &Path) -> Result<Draft> {
        let file = Builder::new().prefix(".podling-").tempfile_in(directory);
        file.map(Draft).with_context(|| format!("cannot create a file in {}", directory.display()))
    }

    /// A file of `bytes`, on the disk already, that will stand at `place`.
    pub fn of(place: &Path, bytes: &[u8]) -> Result<Draft> {
        let draft = Draft::new(&directory_of(place))?;
        let mut file = draft.file();
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .with_context(|| format!("cannot write {}", place.display()))?;
        Ok(draft)
    }

    /// The open file.
    pub fn file(&self) -> &File {
        self.0.as_file()
    }

    /// Where it is for now.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts it in its place, over the file that was there, once its bytes are on the disk. A device or a pipe stays what it is.
    pub fn publish(self, place: &Path, mode: u32) -> Result<()> {
        let publish = || -> Result<()> {
            ensure!(fs::metadata(place).map_or(true, |old| old.is_file()), "it is there, and no regular file");
            self.0.as_file().set_permissions(Permissions::from_mode(mode))?;
            self.0.as_file().sync_all()?;
            self.0.persist(place)?;
            Ok(())
        };
        publish().with_context(|| format!("cannot write {}", place.display()))
    }
}

/// Writes `bytes` to `place`.
pub fn write(place: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    Draft::of(place, bytes)?.publish(place, mode)
}

/// Creates `directory` and its parents where they are missing.
pub fn ensure_directory(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create the directory {}", directory.display()))
}

/// The directory that holds `place`.
pub fn directory_of(place: &Path) -> PathBuf {
    match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => ".".into(),
    }
}
