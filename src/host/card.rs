//! `podling flash`: a board's disk image onto a card, only where it differs, and read back.
//!
//! The first block, with the partition table, is emptied before anything else is written and comes last: a card that was left half
//! written says nothing wrong, and the same command goes on with it.

use super::progress::Step;
use super::{disks, units};
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{Advice, fadvise};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::{format, println, vec};

/// What is compared and written at a time, in bytes.
const BLOCK: usize = 1 << 20;

/// The arguments of `podling flash`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `podling image` wrote
    image: PathBuf,
    /// The card: a block device, or a file [default: list the cards of this machine]
    device: Option<PathBuf>,
    /// Write to the disk of this name although it is built in, as in `--fixed sda`
    #[arg(long, value_name = "NAME")]
    fixed: Option<String>,
}

/// What was done.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    /// Bytes of the image.
    pub bytes: u64,
    /// Of these, the ones that were not there yet.
    pub written: u64,
}

impl Args {
    /// Does it.
    pub fn run(self) -> Result<()> {
        let Some(device) = self.device else { bail!("{}", choice()) };
        let done = flash(&self.image, &device, self.fixed.as_deref())
            .with_context(|| format!("cannot flash {} onto {}", self.image.display(), device.display()))?;
        println!(
            "{}: {} written of {}, the rest was there; all of it read back and right",
            device.display(),
            units::from_bytes(done.written),
            units::from_bytes(done.bytes)
        );
        Ok(())
    }
}

fn choice() -> String {
    let cards = disks::cards();
    if cards.is_empty() {
        return "no card is in this machine; put one in, or name a device or a file to write to".into();
    }
    let lines: Vec<String> = cards.iter().map(|card| format!("  {card}")).collect();
    format!("onto which one? name it after the image:\n{}", lines.join("\n"))
}

/// Writes `image` onto `device`, and reads it back.
pub fn flash(image: &Path, device: &Path, fixed: Option<&str>) -> Result<Done> {
    let source = File::open(image)?;
    let bytes = source.metadata()?.len();
    let mut sector = [0; 512];
    let whole = source.metadata()?.is_file() && source.read_exact_at(&mut sector, 0).is_ok();
    ensure!(
        whole && sector[510..] == [0x55, 0xaa],
        "the image has no partition table: `podling image` makes one that has"
    );
    let card = open(device, bytes, fixed)?;
    let written = write(&source, &card, bytes)?;
    // What is read back comes from the card, not from memory.
    card.sync_all().context("cannot bring all of it onto the card")?;
    fadvise(&card, 0, None, Advice::DontNeed)?;
    verify(&source, &card, bytes)?;
    Ok(Done { bytes, written })
}

/// The card, which nobody else uses, and which has room.
fn open(device: &Path, bytes: u64, fixed: Option<&str>) -> Result<File> {
    let kind = match std::fs::metadata(device) {
        Ok(metadata) => Some(metadata.file_type()),
        Err(error) if error.kind() == ErrorKind::NotFound && !device.starts_with("/dev") => None,
        Err(error) => return Err(error.into()),
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    if kind.is_some_and(|kind| kind.is_block_device()) {
        let disk = disks::of(device)?;
        disk.ensure_free(fixed)?;
        ensure!(disk.size >= bytes, "{disk} is too small: the image is {}", units::from_bytes(bytes));
        // The kernel says so as well where somebody uses it, or begins to just now.
        options.custom_flags(rustix::fs::OFlags::EXCL.bits() as i32);
    } else {
        ensure!(kind.is_none_or(|kind| kind.is_file()), "it is neither a disk nor a file");
        options.create(true);
    }
    let card = options.open(device).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => anyhow::Error::from(error).context("run it with sudo"),
        ErrorKind::ResourceBusy => anyhow::Error::from(error).context("somebody uses it"),
        _ => error.into(),
    })?;
    if card.metadata()?.is_file() && card.metadata()?.len() < bytes {
        card.set_len(bytes)?;
    }
    Ok(card)
}

/// How many bytes were written.
fn write(source: &File, card: &File, bytes: u64) -> Result<u64> {
    let step = Step::new("writing what differs", bytes);
    let [mut wanted, mut there] = [vec![0; BLOCK], vec![0; BLOCK]];
    let first = BLOCK.min(bytes as usize);
    let mut written = 0;
    for (at, length) in blocks(bytes) {
        let (wanted, there) = (&mut wanted[..length], &mut there[..length]);
        read(source, wanted, at)?;
        // A card that cannot be read here may still be written.
        if card.read_exact_at(there, at).is_err() || wanted != there {
            if written == 0 {
                put(card, &vec![0; first], 0)?;
                card.sync_data()?;
            }
            written += length as u64;
            if at > 0 {
                put(card, wanted, at)?;
            }
        }
        step.advance(length as u64);
    }
    if written > 0 {
        card.sync_data()?;
        read(source, &mut wanted[..first], 0)?;
        put(card, &wanted[..first], 0)?;
    }
    Ok(written)
}

fn verify(source: &File, card: &File, bytes: u64) -> Result<()> {
    let step = Step::new("reading it back", bytes);
    let [mut wanted, mut there] = [vec![0; BLOCK], vec![0; BLOCK]];
    for (at, length) in blocks(bytes) {
        read(source, &mut wanted[..length], at)?;
        card.read_exact_at(&mut there[..length], at).with_context(|| format!("cannot read the card back at {at}"))?;
        let differs = wanted[..length].iter().zip(&there[..length]).position(|(wanted, there)| wanted != there);
        if let Some(byte) = differs {
            bail!(
                "the card does not keep what is written to it: at byte {} it says something else (worn out, or smaller than it says)",
                at + byte as u64
            );
        }
        step.advance(length as u64);
    }
    Ok(())
}

fn blocks(bytes: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..bytes).step_by(BLOCK).map(move |at| (at, (bytes - at).min(BLOCK as u64) as usize))
}

fn read(source: &File, into: &mut [u8], at: u64) -> Result<()> {
    source.read_exact_at(into, at).context("cannot read the image")
}

fn put(card: &File, bytes: &[u8], at: u64) -> Result<()> {
    card.write_all_at(bytes, at).with_context(|| format!("cannot write to the card at byte {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_forgets_is_found_out() {
        let [wanted, kept] = [vec![7; 3 * BLOCK / 2], vec![7; 3 * BLOCK / 2]];
        let file = |bytes: &[u8]| {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(bytes, 0).unwrap();
            file
        };
        let (source, card) = (file(&wanted), file(&kept));
        let bytes = wanted.len() as u64;
        verify(&source, &card, bytes).unwrap();
        card.write_all_at(b"x", bytes - 1).unwrap();
        let said = verify(&source, &card, bytes).unwrap_err().to_string();
        assert!(said.contains(&format!("at byte {} ", bytes - 1)), "{said}");
        card.set_len(bytes - 1).unwrap();
        assert!(verify(&source, &card, bytes).is_err());
    }
}
