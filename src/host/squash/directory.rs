//! The names in a directory of a squashfs, and the index that finds one of many without reading all before it.

use super::Bytes;
use super::metadata::{BLOCK, Position, Table};
use anyhow::Result;
use std::prelude::v1::*;
use std::vec;

/// Entries that share one header.
const RUN: usize = 256;
/// Entries of the index: the number of them has 16 bits.
const INDEX: usize = u16::MAX as usize;

/// One name in a directory.
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    /// The form of its inode, the short one.
    pub(super) form: u16,
    /// The number of its inode.
    pub(super) number: u32,
    /// The place of its inode.
    pub(super) position: Position,
}

/// A directory that was written.
pub(super) struct Listing<'a> {
    pub(super) position: Position,
    /// Bytes of all names and headers.
    pub(super) length: u32,
    pub(super) index: Vec<Mark<'a>>,
}

/// A run that begins in another block of the table than the one marked before it.
pub(super) struct Mark<'a> {
    /// Its first byte within the directory.
    start: u32,
    /// The block of the table that it begins in.
    block: u32,
    name: &'a [u8],
}

/// Writes a directory: runs of names whose inodes are in one block and have numbers close to one another.
pub(super) fn write<'a>(mut entries: &[Entry<'a>], table: &mut Table) -> Result<Listing<'a>> {
    let mut listing = Listing {
        position: table.position(),
        length: 0,
        index: vec![],
    };
    let mut block = listing.position.block;
    while let Some(first) = entries.first() {
        let (run, rest) = entries.split_at(run_length(entries));
        let position = table.position();
        if position.block != block && listing.index.len() < INDEX {
            block = position.block;
            listing.index.push(Mark {
                start: listing.length,
                block,
                name: first.name,
            });
        }
        let mut bytes = Bytes::default();
        bytes
            .u32(run.len() as u32 - 1)
            .u32(first.position.block)
            .u32(first.number);
        for entry in run {
            let distance = entry.number.wrapping_sub(first.number) as u16;
            bytes
                .u16(entry.position.offset)
                .u16(distance)
                .u16(entry.form)
                .u16(entry.name.len() as u16 - 1);
            bytes.0.extend_from_slice(entry.name);
        }
        listing.length += bytes.0.len() as u32;
        table.push(&bytes.0)?;
        entries = rest;
    }
    Ok(listing)
}

/// How many of `entries`, at least one, go under one header; no more than a block, or the index would have nothing to point to.
fn run_length(entries: &[Entry<'_>]) -> usize {
    let first = &entries[0];
    let mut bytes = 0;
    let fits = |entry: &&Entry<'_>| {
        bytes += entry.name.len() + 8;
        let distance = i64::from(entry.number) - i64::from(first.number);
        entry.position.block == first.position.block
            && i16::try_from(distance).is_ok()
            && bytes <= BLOCK
    };
    entries.iter().take(RUN).take_while(fits).count()
}

impl Mark<'_> {
    /// Adds its bytes to the inode of its directory.
    pub(super) fn push(&self, inode: &mut Bytes) {
        inode
            .u32(self.start)
            .u32(self.block)
            .u32(self.name.len() as u32 - 1);
        inode.0.extend_from_slice(self.name);
    }
}
