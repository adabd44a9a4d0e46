//! The board's first files, as Linux unpacks them: a newc cpio archive, compressed with zstd, the same for the same input.

use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::prelude::v1::*;
use std::vec;

/// The level at which half a megabyte of agent and some of modules are packed; unpacking costs the same at every level.
const LEVEL: i32 = 19;
/// The mode of a directory, without its permissions.
const DIRECTORY: u32 = 0o040_000;
/// The mode of a file.
const FILE: u32 = 0o100_000;
/// The mode of a character device.
const CHAR: u32 = 0o020_000;

/// What an initramfs is made of.
pub struct Contents<'a> {
    /// `/init`: the board's program.
    pub podlingd: &'a [u8],
    /// `/board`: the sealed board record.
    pub board: &'a [u8],
    /// `/modules/NAME`, in the order to load them.
    pub modules: &'a [(String, Vec<u8>)],
}

/// The compressed archive of `contents`.
pub fn build(contents: &Contents<'_>) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for name in ["data", "dev", "modules", "proc", "run", "sys", "tmp"] {
        archive.add(name, DIRECTORY | if name == "tmp" { 0o1777 } else { 0o755 }, (0, 0), &[])?;
    }
    // What PID 1 speaks through until it has mounted devtmpfs.
    archive.add("dev/console", CHAR | 0o600, (5, 1), &[])?;
    archive.add("init", FILE | 0o755, (0, 0), contents.podlingd)?;
    archive.add("board", FILE | 0o600, (0, 0), contents.board)?;
    for (name, bytes) in contents.modules {
        archive.add(&std::format!("modules/{name}"), FILE | 0o600, (0, 0), bytes)?;
    }
    let mut encoder = zstd::Encoder::new(vec![], LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.write_all(&archive.finish()?)?;
    encoder.finish().context("cannot compress the initramfs")
}

/// A newc archive: for each file, 13 numbers of 8 hexadecimal digits, its name, its bytes; all owned by root, in 1970.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    files: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) -> Result<()> {
        let size =
            u32::try_from(content.len()).with_context(|| std::format!("{name} is too large for an initramfs"))?;
        ensure!(!name.contains('\0'), "a NUL is in the name {name:?}");
        self.files += 1;
        let links = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        let length = name.len() as u32 + 1;
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
        let numbers = [self.files, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, length, 0];
        self.bytes.extend_from_slice(b"070701");
        for number in numbers {
            write!(self.bytes, "{number:08x}")?;
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        self.add("TRAILER!!!", 0, (0, 0), &[])?;
        Ok(self.bytes)
    }

    /// Every part begins at a multiple of four bytes.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
