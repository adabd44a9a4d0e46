//! The bytes of files in a squashfs: blocks of their own, or, of a small file, a place in a block that it shares.

use super::{BLOCK, compress};
use crate::host::layers::Rootfs;
use crate::host::progress::Step;
use crate::host::tree::Content;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::prelude::v1::*;
use std::{thread, vec};

/// In the length of a block: it is stored as it is.
const PLAIN: u32 = 1 << 24;
/// Blocks that wait for each processor; they are compressed together and written in order.
const BATCH: usize = 8;

/// Where the bytes of one file are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Placed {
    /// The first byte of the first block.
    pub(super) start: u64,
    /// The lengths of its blocks, as inodes say them.
    pub(super) blocks: Vec<u32>,
    /// Bytes in blocks of zeros, which are not stored.
    pub(super) holes: u64,
    /// The shared block, and the place in it.
    pub(super) fragment: Option<(u32, u32)>,
}

/// A shared block.
pub(super) struct Fragment {
    pub(super) start: u64,
    pub(super) length: u32,
}

/// Whose block it is.
enum Owner {
    File(Content),
    Shared,
}

/// Writes files, the same content once.
pub(super) struct Data<'a> {
    rootfs: &'a Rootfs,
    out: &'a File,
    step: &'a Step,
    processors: usize,
    waiting: Vec<(Owner, Vec<u8>)>,
    shared: Vec<u8>,
    /// Shared blocks so far, those that wait included.
    shared_count: u32,
    pub(super) fragments: Vec<Fragment>,
    pub(super) placed: HashMap<Content, Placed>,
}

impl<'a> Data<'a> {
    pub(super) fn new(rootfs: &'a Rootfs, out: &'a File, step: &'a Step) -> Self {
        let processors = thread::available_parallelism().map_or(1, |count| count.get());
        Data {
            rootfs,
            out,
            step,
            processors,
            waiting: vec![],
            shared: vec![],
            shared_count: 0,
            fragments: vec![],
            placed: HashMap::new(),
        }
    }

    /// Adds one file.
    pub(super) fn add(&mut self, content: Content) -> Result<()> {
        if self.placed.contains_key(&content) {
            return Ok(());
        }
        let mut reader = self.step.reading(self.rootfs.open(content));
        let mut place = Placed::default();
        if content.length > 0 && content.length < BLOCK as u64 {
            if self.shared.len() + content.length as usize > BLOCK {
                self.close_shared()?;
            }
            place.fragment = Some((self.shared_count, self.shared.len() as u32));
            reader
                .read_to_end(&mut self.shared)
                .context("cannot read the temporary file")?;
            self.placed.insert(content, place);
            return Ok(());
        }
        self.placed.insert(content, place);
        let mut left = content.length;
        while left > 0 {
            let mut block = vec![0; left.min(BLOCK as u64) as usize];
            reader
                .read_exact(&mut block)
                .context("cannot read the temporary file")?;
            left -= block.len() as u64;
            self.queue(Owner::File(content), block)?;
        }
        Ok(())
    }

    /// Writes all that still waits.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.close_shared()?;
        self.flush()
    }

    fn close_shared(&mut self) -> Result<()> {
        if self.shared.is_empty() {
            return Ok(());
        }
        self.shared_count += 1;
        let block = std::mem::take(&mut self.shared);
        self.queue(Owner::Shared, block)
    }

    fn queue(&mut self, owner: Owner, block: Vec<u8>) -> Result<()> {
        self.waiting.push((owner, block));
        if self.waiting.len() < BATCH * self.processors {
            Ok(())
        } else {
            self.flush()
        }
    }

    fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let share = waiting.len().div_ceil(self.processors).max(1);
        let packed = thread::scope(|scope| {
            let pack = |(_, block): &(Owner, Vec<u8>)| {
                if is_hole(block) {
                    Ok(None)
                } else {
                    compress(block)
                }
            };
            let workers: Vec<_> = waiting
                .chunks(share)
                .map(|part| scope.spawn(move || part.iter().map(pack).collect::<Vec<_>>()))
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().expect("compression does not panic"))
                .collect::<Vec<_>>()
        });
        for ((owner, block), packed) in waiting.into_iter().zip(packed) {
            self.write(owner, &block, packed?)?;
        }
        Ok(())
    }

    fn write(&mut self, owner: Owner, block: &[u8], packed: Option<Vec<u8>>) -> Result<()> {
        let mut out = self.out;
        let start = out.stream_position()?;
        let (length, bytes) = match &packed {
            Some(packed) => (packed.len() as u32, &packed[..]),
            None => (block.len() as u32 | PLAIN, block),
        };
        match owner {
            Owner::Shared => self.fragments.push(Fragment { start, length }),
            Owner::File(content) => {
                let place = self.placed.entry(content).or_default();
                if place.blocks.is_empty() {
                    place.start = start;
                }
                if is_hole(block) {
                    place.blocks.push(0);
                    place.holes += block.len() as u64;
                    return Ok(());
                }
                place.blocks.push(length);
            }
        }
        out.write_all(bytes).context("cannot write the squashfs")
    }
}

fn is_hole(block: &[u8]) -> bool {
    block.iter().all(|&byte| byte == 0)
}
