//! The tree of an image as squashfs: zstd, reproducible to the byte, mounted as it is by the board.
//!
//! What squashfs through `backhand` does not hold: extended attributes (warned about by `pack`), the root's time, and
//! hard links, whose names become files with shared blocks.

use super::layers::Rootfs;
use super::progress::Step;
use super::tarstream::{Device, show};
use super::tree::{Kind, Meta};
use anyhow::{Context, Result};
use backhand::compression::{CompressionOptions, Compressor, Zstd};
use backhand::{FilesystemCompressor, FilesystemWriter, NodeHeader};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// One compressed unit. 128 KiB is what a reader on the board holds, packed and unpacked, for each block it reads.
const BLOCK: u32 = 128 * 1024;
/// The compression level: squashfs-tools' own choice for zstd.
const LEVEL: u32 = 15;

/// Writes `rootfs` into the empty file `out`.
pub fn write(rootfs: &Rootfs, out: &File, step: &Step) -> Result<()> {
    let mut compressor = FilesystemCompressor::new(Compressor::Zstd, None)?;
    compressor.options(CompressionOptions::Zstd(Zstd {
        compression_level: LEVEL,
    }))?;
    let mut image = FilesystemWriter::default();
    image.set_compressor(compressor);
    image.set_block_size(BLOCK);
    image.set_time(0);

    let root = rootfs.tree().root();
    image.set_root_mode(root.mode);
    image.set_root_uid(root.uid);
    image.set_root_gid(root.gid);
    // The root exists already, so this adds no node: it enters the root's owner into the table of ids.
    let _ = image.push_dir("/", header(root));

    rootfs.tree().walk(|path, meta, kind| {
        let place = Path::new(OsStr::from_bytes(path));
        let header = header(meta);
        let pushed = match kind {
            Kind::Directory => image.push_dir(place, header),
            Kind::File(content) => {
                image.push_file(step.reading(rootfs.open(*content)), place, header)
            }
            Kind::Symlink(target) => {
                image.push_symlink(PathBuf::from(OsStr::from_bytes(target)), place, header)
            }
            Kind::Char(device) => image.push_char_device(encode(*device), place, header),
            Kind::Block(device) => image.push_block_device(encode(*device), place, header),
            Kind::Fifo => image.push_fifo(place, header),
        };
        pushed.with_context(|| std::format!("cannot put {} into the squashfs", show(path)))
    })?;
    let (_, length) = image.write(out).context("cannot write the squashfs")?;
    // A file that turns out to be a duplicate is written, then written over: what is left of it ends here.
    out.set_len(length)
        .context("cannot cut the squashfs to its length")
}

fn header(meta: &Meta) -> NodeHeader {
    NodeHeader::new(meta.mode, meta.uid, meta.gid, meta.mtime)
}

/// The kernel's `new_encode_dev`.
fn encode(device: Device) -> u32 {
    (device.minor & 0xff) | (device.major << 8) | ((device.minor & !0xff) << 12)
}
