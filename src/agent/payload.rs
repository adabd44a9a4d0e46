//! The files of a configMap, secret or projected volume, in the form that kubelet gives them: whoever reads sees all of a version or
//! all of the next, never a part of both.
//!
//! ```text
//! VOLUME/..v3/KEY      the files of the version in force
//! VOLUME/..data        a link to it: replacing this link is the one step that puts a new version in force
//! VOLUME/KEY           a link to ..data/KEY, or ..data/FOLDER where the file's path has folders
//! ```

use super::trouble::Trouble;
use std::borrow::Cow;
use std::format;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::prelude::v1::*;

/// A file of a volume.
pub(super) struct File<'a> {
    /// Below the volume.
    pub(super) path: &'a str,
    /// Permission bits.
    pub(super) mode: u16,
    /// Content.
    pub(super) data: Cow<'a, [u8]>,
}

/// The link to the version in force.
const DATA: &str = "..data";
/// The same, before it is put in place.
const NEXT: &str = "..data_tmp";

/// Makes `root` show these files; where it does already, nothing is written. `finish` is given a new version before it is in force.
pub(super) fn write(
    root: &Path,
    files: &[File<'_>],
    finish: impl Fn(&Path) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let now = fs::read_link(root.join(DATA)).ok();
    let same = |file: &File<'_>| fs::read(root.join(DATA).join(file.path)).is_ok_and(|is| *is == *file.data);
    if now.is_some() && files.iter().all(same) && count(&root.join(DATA)) == files.len() {
        return Ok(());
    }
    let version =
        now.as_ref().and_then(|name| name.to_str()?.strip_prefix("..v")?.parse::<u64>().ok()).unwrap_or(0) + 1;
    let name = format!("..v{version}");
    let place = root.join(&name);
    // What an agent that died has left of it.
    remove(&place).map_err(Trouble::at("remove", &place))?;
    directory(&place).map_err(Trouble::at("make", &place))?;
    for file in files {
        let path = place.join(file.path);
        put(&path, file).map_err(Trouble::at("write", &path))?;
    }
    finish(&place)?;
    let next = root.join(NEXT);
    let _ = fs::remove_file(&next);
    symlink(&name, &next)
        .and_then(|()| fs::rename(&next, root.join(DATA)))
        .map_err(Trouble::at("put in force", &place))?;
    for file in files {
        let top = file.path.split('/').next().unwrap_or_default();
        match symlink(format!("{DATA}/{top}"), root.join(top)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Trouble::at("link", &root.join(top))(error));
            }
            _ => {}
        }
    }
    let Some(old) = now else { return Ok(()) };
    // Links to what is in no version any more.
    for entry in fs::read_dir(root).map_err(Trouble::at("read", root))?.flatten() {
        if fs::symlink_metadata(entry.path()).is_ok_and(|it| it.is_symlink()) && !entry.path().exists() {
            let _ = fs::remove_file(entry.path());
        }
    }
    remove(&root.join(old)).map_err(Trouble::at("remove a version before", &place))
}

/// How many files there are below a folder.
fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.file_type().is_ok_and(|kind| kind.is_dir()) { count(&entry.path()) } else { 1 }).sum()
}

fn directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn put(path: &Path, file: &File<'_>) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        directory(parent)?;
    }
    let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    to.write_all(&file.data)?;
    to.set_permissions(fs::Permissions::from_mode(file.mode.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn file<'a>(path: &'a str, data: &'a str) -> File<'a> {
        File { path, mode: 0o440, data: data.as_bytes().into() }
    }

    #[test]
    fn spec_31_a_new_version_comes_into_force_in_one_step() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let one = [file("key", "1"), file("a/b/c", "1")];
        write(root, &one, |_| Ok(())).unwrap();
        let target = |name: &str| fs::read_link(root.join(name)).unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            (target("key"), target("a"), target("..data")),
            ("..data/key".into(), "..data/a".into(), "..v1".into())
        );
        assert_eq!(fs::metadata(root.join("a/b/c")).unwrap().mode() & 0o7777, 0o440);
        write(root, &one, |_| Err("nothing has changed".into())).unwrap();
        // Who has the old one open reads the old one.
        let old = fs::read_dir(root.join("..data/")).unwrap();
        let two = [file("key", "2"), file("a/b/c", "2")];
        write(root, &two, |place| {
            assert_eq!(fs::read_to_string(root.join("key")).unwrap(), "1", "not before it is finished");
            assert_eq!(fs::read_to_string(place.join("key")).unwrap(), "2");
            Ok(())
        })
        .unwrap();
        drop(old);
        assert_eq!(
            fs::read_to_string(root.join("key")).unwrap() + &fs::read_to_string(root.join("a/b/c")).unwrap(),
            "22"
        );
        write(root, &two[..1], |_| Ok(())).unwrap();
        assert!(!root.join("a").exists(), "what is gone is gone");
        let mut names: Vec<String> =
            fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["..data", "..v3", "key"]);
    }

    #[test]
    fn what_a_dead_agent_left_is_no_hindrance() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("..v1/key")).unwrap();
        symlink("..v1", dir.path().join("..data_tmp")).unwrap();
        write(dir.path(), &[file("key", "1")], |_| Ok(())).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("key")).unwrap(), "1");
    }
}
