//! A board's flash as one sparse file: an MBR, the boot partitions, the slots with the first manifest, the data partition with the images.

use super::boards::{BoardFile, PartitionKind};
use super::{ext4, fat};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::prelude::v1::*;
use std::{format, vec};

/// Room before the first partition, and the grain of all.
const MIB: u64 = 1 << 20;
/// Bytes of a sector, to the MBR.
const SECTOR: u64 = 512;

/// One partition on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// What is in it.
    pub kind: PartitionKind,
    /// The first byte.
    pub offset: u64,
    /// How many.
    pub size: u64,
}

/// Where the partitions of `board` lie.
pub fn layout(board: &BoardFile) -> Result<Vec<Extent>> {
    // QEMU's SD card takes no other size, and no flash chip has another one.
    ensure!(board.flash.size.is_power_of_two(), "flash.size: {} bytes are no power of two", board.flash.size);
    let mut offset = MIB;
    let mut extents = vec![];
    for (partition, size) in board.flash.partitions.iter().zip(board.partition_sizes()?) {
        extents.push(Extent { kind: partition.kind, offset, size });
        offset += size;
    }
    Ok(extents)
}

/// The first sector of the disk.
pub fn mbr(board: &BoardFile, extents: &[Extent]) -> Result<[u8; SECTOR as usize]> {
    let mut sector = [0; SECTOR as usize];
    sector[440..444].copy_from_slice(&identity(board, "disk")[..4]);
    for (entry, extent) in sector[446..510].chunks_exact_mut(16).zip(extents) {
        let sectors = |bytes: u64| u32::try_from(bytes / SECTOR).context("flash.size: an MBR ends at 2 TiB");
        // No cylinders, heads and sectors: what reads them is older than this format's boards.
        entry[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
        entry[4] = match extent.kind {
            PartitionKind::Slots => 0xda,
            PartitionKind::Ext4 => 0x83,
            PartitionKind::Fat => 0x0c,
        };
        entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
        entry[8..12].copy_from_slice(&sectors(extent.offset)?.to_le_bytes());
        entry[12..16].copy_from_slice(&sectors(extent.size)?.to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    Ok(sector)
}

/// What goes onto the flash.
pub struct Contents<'a> {
    /// Into slot A.
    pub manifest: &'a [u8],
    /// Onto the data partition.
    pub images: &'a [ext4::Source<'a>],
    /// Onto each boot partition.
    pub boot: &'a [fat::Entry],
}

/// Lays out the empty file `disk`, which stands at `path`.
pub fn write(board: &BoardFile, disk: &File, path: &Path, contents: &Contents<'_>) -> Result<()> {
    let manifest = contents.manifest;
    let directory = super::atomic::directory_of(path);
    let name = path.file_name().and_then(|name| name.to_str()).context("the disk image has no name")?;
    let extents = layout(board)?;
    disk.set_len(board.flash.size).context("cannot size the disk image")?;
    disk.write_all_at(&mbr(board, &extents)?, 0).context("cannot write the partition table")?;
    for (extent, partition) in extents.iter().zip(&board.flash.partitions) {
        let place = ext4::Place { directory: &directory, disk: name, offset: extent.offset, size: extent.size };
        match extent.kind {
            PartitionKind::Slots => {
                ensure!(
                    manifest.len() as u64 <= board.flash.slot_bytes,
                    "the manifest has {} bytes; a slot has {}",
                    manifest.len(),
                    board.flash.slot_bytes
                );
                disk.write_all_at(manifest, extent.offset).context("cannot write the manifest into its slot")?;
            }
            PartitionKind::Ext4 => {
                ext4::make(&place, &partition.name, &uuid(board), "images", contents.images)
                    .with_context(|| format!("the partition {}", partition.name))?;
            }
            PartitionKind::Fat => {
                let [a, b, c, d, ..] = identity(board, &partition.name);
                fat::make(&place, &partition.name, u32::from_be_bytes([a, b, c, d]), contents.boot)
                    .with_context(|| format!("the partition {}", partition.name))?;
            }
        }
    }
    Ok(())
}

/// Bytes that are always the same for one class of boards, and differ between classes.
fn identity(board: &BoardFile, what: &str) -> [u8; 32] {
    Sha256::digest(format!("podling {} {what}", board.class)).into()
}

fn uuid(board: &BoardFile) -> String {
    let mut bytes = identity(board, "data");
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = super::blobs::hex(&bytes[..16]);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}
