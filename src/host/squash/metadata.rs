//! The tables of a squashfs: streams of bytes in compressed blocks of 8 KiB, and the positions in them.

use super::compress;
use anyhow::Result;
use std::fs::File;
use std::io::{Seek, Write};
use std::prelude::v1::*;

/// Bytes of one block of a table, unpacked.
pub(super) const BLOCK: usize = 8192;
/// In the length of a block: it is stored as it is.
const PLAIN: u16 = 0x8000;

/// Where something is in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The first byte of its block, packed.
    pub(super) block: u32,
    /// Its first byte in that block, unpacked.
    pub(super) offset: u16,
}

/// A table under construction.
#[derive(Default)]
pub(super) struct Table {
    packed: Vec<u8>,
    open: Vec<u8>,
    /// The first byte of each finished block.
    starts: Vec<u64>,
}

impl Table {
    /// Where the next byte will be.
    pub(super) fn position(&self) -> Position {
        Position {
            block: self.packed.len() as u32,
            offset: self.open.len() as u16,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.open.extend_from_slice(bytes);
        while self.open.len() >= BLOCK {
            let rest = self.open.split_off(BLOCK);
            self.close()?;
            self.open = rest;
        }
        Ok(())
    }

    /// Writes the whole table; the place of its first block.
    pub(super) fn write(mut self, mut out: &File) -> Result<u64> {
        self.close()?;
        let start = out.stream_position()?;
        out.write_all(&self.packed)?;
        Ok(start)
    }

    /// Writes the whole table and the list of its blocks; the place of that list, which is how such a table is found.
    pub(super) fn write_indexed(mut self, mut out: &File) -> Result<u64> {
        self.close()?;
        let starts = std::mem::take(&mut self.starts);
        let start = self.write(out)?;
        let list = out.stream_position()?;
        let places: Vec<u8> = starts
            .iter()
            .flat_map(|block| (start + block).to_le_bytes())
            .collect();
        out.write_all(&places)?;
        Ok(list)
    }

    fn close(&mut self) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        self.starts.push(self.packed.len() as u64);
        let open = std::mem::take(&mut self.open);
        let (length, bytes) = match compress(&open)? {
            Some(packed) => (packed.len() as u16, packed),
            None => (open.len() as u16 | PLAIN, open),
        };
        self.packed.extend_from_slice(&length.to_le_bytes());
        self.packed.extend_from_slice(&bytes);
        Ok(())
    }
}
