//! What a board boots from its FAT partitions: the kernel, the board's first files, device trees, and what its firmware wants.

use super::boards::{BoardFile, PartitionKind};
use super::fat::Entry;
use super::modules::Kernel;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::prelude::v1::*;
use std::{format, fs, vec};

/// The name of the kernel among them.
const KERNEL: &str = "kernel.img";
/// The name of the initramfs.
const INITRAMFS: &str = "initramfs.zst";
/// The kernel's command line, as the firmware of a Raspberry Pi reads it.
const CMDLINE: &str = "cmdline.txt";

/// The boot files of `board`; none where it has no partition for them. `firmware` is the unpacked package of its firmware.
pub fn files(
    board: &BoardFile,
    kernel: &Kernel,
    image: &[u8],
    initramfs: &[u8],
    firmware: Option<&Path>,
) -> Result<Vec<Entry>> {
    if board.flash.partitions.iter().all(|partition| partition.kind != PartitionKind::Fat) {
        return Ok(vec![]);
    }
    let mut files: Vec<Entry> = vec![
        (KERNEL.into(), image.into()),
        (INITRAMFS.into(), initramfs.into()),
        (CMDLINE.into(), format!("{}\n", board.kernel.cmdline).into()),
    ];
    for name in &board.kernel.dtbs {
        files.push((name.clone(), kernel.device_tree(name)?));
    }
    if let Some(wanted) = &board.firmware {
        let package = &wanted.package;
        let from = firmware.with_context(|| {
            format!("the board needs its firmware: give --firmware the unpacked package {package} (`scripts/firmware` prints where)")
        })?;
        for name in &wanted.files {
            let path = from.join(&wanted.folder).join(name);
            let bytes = fs::read(&path).with_context(|| format!("cannot read {} of {package}", path.display()))?;
            files.push((name.clone(), bytes));
        }
        files.extend(wanted.texts.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes())));
    }
    // To FAT, capitals are the same letters.
    let mut names: Vec<String> = files.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    ensure!(twice.is_none(), "the boot partition would have {} twice", twice.unwrap_or_default()[0]);
    Ok(files)
}
