//! A FAT file system inside a disk image, by mtools: no root, no loop device, the same for the same input.

use super::ext4::Place;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::path::Path;
use std::prelude::v1::*;
use std::process::Command;
use std::time::{Duration, SystemTime};
use std::{format, vec};

/// Bytes of a sector.
const SECTOR: u64 = 512;
/// The time of every file, in seconds: FAT knows none before 1980.
const TIME: Duration = Duration::from_secs(315_532_800);

/// One file of the root directory: its name, and what is in it.
pub type Entry = (String, Vec<u8>);

/// Makes a FAT32 called `label`, of the serial number `serial`, with those files.
pub fn make(place: &Place<'_>, label: &str, serial: u32, files: &[Entry]) -> Result<()> {
    let bytes: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    ensure!(bytes <= place.size, "{bytes} bytes of files do not fit: it has {} bytes", place.size);
    let stage = tempfile::Builder::new().prefix(".podling-").tempdir_in(place.directory)?;
    let mut staged = vec![];
    for (name, bytes) in files {
        let path = stage.path().join(name);
        lay_aside(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        staged.push(
            path.into_os_string()
                .into_string()
                .ok()
                .with_context(|| format!("mcopy cannot be told the path of {name}"))?,
        );
    }
    staged.sort();
    let image = format!("{}@@{}", place.disk, place.offset);
    let [sectors, before, serial] =
        [(place.size / SECTOR).to_string(), (place.offset / SECTOR).to_string(), format!("{serial:08x}")];
    // Heads and sectors of a track are numbers that nobody asks for any more, but must be there.
    let geometry = ["-F", "-h", "64", "-s", "32", "-T", &sectors, "-H", &before, "-N", &serial];
    run(place.directory, "mformat", &[&["-i", &image, "-v", &label.to_uppercase()], &geometry[..], &["::"]].concat())?;
    let staged: Vec<&str> = staged.iter().map(String::as_str).collect();
    run(place.directory, "mcopy", &[&["-i", &image, "-m", "-Q"], &staged[..], &["::"]].concat())
}

fn lay_aside(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs::write(path, bytes)?;
    File::open(path)?.set_modified(SystemTime::UNIX_EPOCH + TIME)
}

/// Runs one of the tools where the image is.
fn run(directory: &Path, tool: &str, arguments: &[&str]) -> Result<()> {
    // No mtoolsrc of the user has a say; local time would be in the files.
    let mut command = Command::new(tool);
    command.args(arguments).current_dir(directory).env("LC_ALL", "C").env("TZ", "UTC").env("MTOOLSRC", "/dev/null");
    let output = command.output().with_context(|| format!("cannot run {tool} (Debian's package mtools)"))?;
    ensure!(output.status.success(), "{tool} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
