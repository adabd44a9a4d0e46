//! The disks of this machine: which of them are cards, and which are in use, as sysfs and /proc tell it.

use super::units;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::{fmt, format, fs, vec};

/// A whole disk.
#[derive(Debug)]
pub struct Disk {
    /// `sdb`, `mmcblk0`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// What it says that it is.
    model: String,
    kind: Kind,
    /// Why it cannot be written, if so.
    used: Option<String>,
}

/// What a disk is to this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Something that is put in and taken out again: a card, a stick, what hangs on USB.
    Removable,
    /// A file behind a loop device.
    Loop,
    /// Built in.
    Fixed,
}

impl Disk {
    /// The disk `name` in the sysfs below `sys`, with the mounts, swaps and so on below `proc`.
    fn read(sys: &Path, proc: &Path, name: &str) -> Result<Disk> {
        let at = sys.join("block").join(name);
        let text = |file: &str| fs::read_to_string(at.join(file)).map(|text| text.trim().to_owned());
        let sectors: u64 = text("size").with_context(|| format!("there is no disk {name}"))?.parse()?;
        let device = fs::canonicalize(&at).unwrap_or_default();
        let usb = device.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"));
        let card = text("device/type").is_ok_and(|kind| kind == "SD");
        let kind = match () {
            () if name.starts_with("loop") => Kind::Loop,
            () if usb || card || text("removable").is_ok_and(|flag| flag == "1") => Kind::Removable,
            () => Kind::Fixed,
        };
        let model = [text("device/vendor"), text("device/model").or_else(|_| text("device/name"))];
        let model = model.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let used = match text("ro").is_ok_and(|flag| flag == "1") {
            true => Some("it is write-protected".into()),
            false => used(&at, proc, name)?,
        };
        Ok(Disk { name: name.into(), size: sectors * 512, model, kind, used })
    }

    /// Whether it may be written: it is nobody's, and a card unless it was named as `fixed`.
    pub fn ensure_free(&self, fixed: Option<&str>) -> Result<()> {
        if let Some(used) = &self.used {
            bail!("{used}");
        }
        if self.kind == Kind::Fixed && fixed != Some(&self.name) {
            bail!("{self} is no removable disk: if it is the right one, say so with --fixed {}", self.name);
        }
        Ok(())
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/dev/{} ({}", self.name, units::from_bytes(self.size))?;
        if !self.model.is_empty() {
            write!(f, ", {}", self.model)?;
        }
        f.write_str(")")
    }
}

/// Who uses the disk or one of its partitions.
fn used(at: &Path, proc: &Path, name: &str) -> Result<Option<String>> {
    let mut parts = vec![(name.to_owned(), at.to_owned())];
    for entry in fs::read_dir(at)?.flatten().filter(|entry| entry.path().join("partition").exists()) {
        parts.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    let mounts = fs::read_to_string(proc.join("self/mountinfo"))?;
    let swaps = fs::read_to_string(proc.join("swaps")).unwrap_or_default();
    for (name, at) in parts {
        let numbers = fs::read_to_string(at.join("dev")).unwrap_or_default();
        let on = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            (words.nth(2)? == numbers.trim()).then(|| words.nth(1)).flatten()
        });
        if let Some(on) = on {
            return Ok(Some(format!("/dev/{name} is mounted on {on}: `umount /dev/{name}` first")));
        }
        if swaps.lines().any(|line| line.split_whitespace().next() == Some(&format!("/dev/{name}"))) {
            return Ok(Some(format!("/dev/{name} is swap space in use: `swapoff /dev/{name}` first")));
        }
        let holder = fs::read_dir(at.join("holders")).into_iter().flatten().flatten().next();
        if let Some(holder) = holder {
            return Ok(Some(format!("/dev/{name} is part of {}", Path::new(&holder.file_name()).display())));
        }
    }
    Ok(None)
}

/// The disk that the block device `path` is. Errors: it is a partition of one.
pub fn of(path: &Path) -> Result<Disk> {
    let real = fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))?;
    let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let class = Path::new("/sys/class/block").join(&name);
    if class.join("partition").exists() {
        let whole = fs::canonicalize(&class)?;
        let whole = whole.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        bail!("{} is a partition; the whole disk is /dev/{whole}", path.display());
    }
    Disk::read(Path::new("/sys"), Path::new("/proc"), &name)
}

/// The cards of this machine that may be written.
pub fn cards() -> Vec<Disk> {
    list(Path::new("/sys"), Path::new("/proc"))
}

fn list(sys: &Path, proc: &Path) -> Vec<Disk> {
    let entries = fs::read_dir(sys.join("block")).into_iter().flatten().flatten();
    let names: BTreeSet<PathBuf> = entries.map(|entry| entry.file_name().into()).collect();
    names
        .iter()
        .filter_map(|name| Disk::read(sys, proc, &name.to_string_lossy()).ok())
        .filter(|disk| disk.kind == Kind::Removable && disk.used.is_none() && disk.size > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Name, where it hangs, its files.
    type Made<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

    /// A machine with those disks.
    fn machine(disks: &[Made<'_>], mounts: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/block")).unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        fs::write(root.path().join("proc/self/mountinfo"), mounts).unwrap();
        for (name, hangs, files) in disks {
            let device = root.path().join("sys/devices").join(hangs).join(name);
            for (file, text) in *files {
                fs::create_dir_all(device.join(file).parent().unwrap()).unwrap();
                fs::write(device.join(file), text).unwrap();
            }
            symlink(&device, root.path().join("sys/block").join(name)).unwrap();
        }
        root
    }

    fn disk(root: &tempfile::TempDir, name: &str) -> Disk {
        Disk::read(&root.path().join("sys"), &root.path().join("proc"), name).unwrap()
    }

    #[test]
    fn a_card_is_what_is_put_in_and_taken_out() {
        let root = machine(
            &[
                ("sda", "pci/ata1", &[("size", "2048\n"), ("removable", "0\n"), ("dev", "8:0\n")]),
                ("sdb", "pci/usb2/2-1", &[("size", "4096\n"), ("removable", "0\n"), ("dev", "8:16\n")]),
                (
                    "mmcblk0",
                    "mmc",
                    &[("size", "8192\n"), ("device/type", "SD\n"), ("device/name", "SC16G\n"), ("dev", "179:0\n")],
                ),
                (
                    "mmcblk1",
                    "mmc",
                    &[("size", "8192\n"), ("device/type", "MMC\n"), ("removable", "0\n"), ("dev", "179:8\n")],
                ),
                ("sr0", "pci/ata2", &[("size", "0\n"), ("removable", "1\n"), ("dev", "11:0\n")]),
                ("sdc", "pci/usb2/2-2", &[("size", "4096\n"), ("ro", "1\n"), ("dev", "8:32\n")]),
            ],
            "",
        );
        let found = list(&root.path().join("sys"), &root.path().join("proc"));
        let shown: Vec<String> = found.iter().map(Disk::to_string).collect();
        assert_eq!(shown, ["/dev/mmcblk0 (4Mi, SC16G)", "/dev/sdb (2Mi)"]);
        let fixed = disk(&root, "sda");
        let said = fixed.ensure_free(None).unwrap_err().to_string();
        assert!(said.contains("--fixed sda"), "{said}");
        assert!(fixed.ensure_free(Some("sdb")).is_err() && fixed.ensure_free(Some("sda")).is_ok());
        assert!(disk(&root, "sdc").ensure_free(None).unwrap_err().to_string().contains("write-protected"));
    }

    #[test]
    fn a_disk_that_somebody_uses_is_not_written_whatever_it_is_called() {
        let part = |numbers| {
            [
                ("size", "4096\n"),
                ("removable", "1\n"),
                ("dev", "8:0\n"),
                ("sda1/partition", "1\n"),
                ("sda1/dev", numbers),
            ]
        };
        let mounts = "21 1 8:1 / /media/card rw - vfat /dev/sda1 rw\n";
        let root = machine(&[("sda", "pci", &part("8:1\n"))], mounts);
        let said = disk(&root, "sda").ensure_free(Some("sda")).unwrap_err().to_string();
        assert_eq!(said, "/dev/sda1 is mounted on /media/card: `umount /dev/sda1` first");
        let root = machine(&[("sda", "pci", &part("8:2\n"))], mounts);
        disk(&root, "sda").ensure_free(None).unwrap();
        fs::write(root.path().join("proc/swaps"), "Filename Type\n/dev/sda1 partition\n").unwrap();
        assert!(disk(&root, "sda").ensure_free(None).unwrap_err().to_string().contains("swapoff"));
        fs::remove_file(root.path().join("proc/swaps")).unwrap();
        fs::create_dir_all(root.path().join("sys/block/sda/sda1/holders/dm-0")).unwrap();
        assert!(disk(&root, "sda").ensure_free(None).unwrap_err().to_string().contains("part of dm-0"));
    }
}
