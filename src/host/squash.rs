//! The tree of an image as squashfs 4.0: zstd, the same bytes for the same tree, mounted as it is by the board.
//!
//! Written here and not by a crate or a tool: images need real hard links (busybox has 400 names), equal files stored
//! once, file capabilities, and bytes that no other machine's version of a tool changes.

mod data;
mod directory;
mod metadata;

use super::layers::Rootfs;
use super::progress::Step;
use super::tarstream::Device;
use super::tree::{Kind, NodeId, Tree};
use anyhow::{Context, Result, ensure};
use data::{Data, Placed};
use directory::Entry;
use metadata::{Position, Table};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::prelude::v1::*;
use std::vec;

/// Bytes of one block of a file. 128 KiB is what a reader on the board holds, packed and unpacked, for each block it reads.
const BLOCK: usize = 128 * 1024;
/// The compression level: squashfs-tools' own choice for zstd.
const LEVEL: i32 = 15;
/// The image ends at a multiple of this, as loop devices want it.
const GRAIN: u64 = 4096;
/// "There is none", of a table.
const NO_TABLE: u64 = u64::MAX;
/// "There is none", of a fragment or extended attributes.
const NONE: u32 = u32::MAX;

/// Bytes of the superblock.
const SUPERBLOCK: usize = 96;
/// The number of zstd.
const ZSTD: u16 = 6;
/// Equal files are stored once; there is no table of extended attributes.
const FLAGS: u16 = 0x0040 | 0x0200;

/// Writes `rootfs` into the empty file `out`.
pub fn write(rootfs: &Rootfs, mut out: &File, step: &Step) -> Result<()> {
    out.write_all(&[0; SUPERBLOCK])?;
    let tree = rootfs.tree();
    let mut data = Data::new(rootfs, out, step);
    let mut numbers = Numbers::default();
    numbers.visit(tree, Tree::ROOT, &mut |kind| match kind {
        Kind::File(content) => data.add(*content),
        _ => Ok(()),
    })?;
    data.finish()?;
    let ids: Vec<u32> = std::mem::take(&mut numbers.ids).into_iter().collect();
    ensure!(
        ids.len() <= usize::from(u16::MAX),
        "its files have {} owners; squashfs can name {}",
        ids.len(),
        u16::MAX
    );

    let mut tables = Tables {
        tree,
        numbers: &numbers,
        ids: &ids,
        placed: &data.placed,
        inodes: Table::default(),
        directories: Table::default(),
        done: HashMap::new(),
    };
    let root = tables.inode(Tree::ROOT, numbers.count + 1)?;
    let Tables {
        inodes,
        directories,
        ..
    } = tables;
    let inode_table = inodes.write(out)?;
    let directory_table = directories.write(out)?;
    let mut fragments = Table::default();
    for fragment in &data.fragments {
        fragments.push(
            &[
                &fragment.start.to_le_bytes()[..],
                &fragment.length.to_le_bytes(),
                &[0; 4],
            ]
            .concat(),
        )?;
    }
    let fragment_table = fragments.write_indexed(out)?;
    let mut owners = Table::default();
    ids.iter()
        .try_for_each(|id| owners.push(&id.to_le_bytes()))?;
    let id_table = owners.write_indexed(out)?;

    let used = out.stream_position()?;
    let mut superblock = Bytes::default();
    superblock
        .u32(0x7371_7368)
        .u32(numbers.count)
        .u32(0)
        .u32(BLOCK as u32)
        .u32(data.fragments.len() as u32);
    superblock
        .u16(ZSTD)
        .u16(BLOCK.ilog2() as u16)
        .u16(FLAGS)
        .u16(ids.len() as u16)
        .u16(4)
        .u16(0);
    superblock
        .u64(u64::from(root.block) << 16 | u64::from(root.offset))
        .u64(used);
    superblock
        .u64(id_table)
        .u64(NO_TABLE)
        .u64(inode_table)
        .u64(directory_table)
        .u64(fragment_table)
        .u64(NO_TABLE);
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&superblock.0)?;
    out.set_len(used.next_multiple_of(GRAIN))
        .context("cannot write the squashfs")
}

/// `bytes` compressed; `None` where that would not make them smaller.
fn compress(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    let packed = zstd::bulk::compress(bytes, LEVEL).context("cannot compress")?;
    Ok(Some(packed).filter(|packed| packed.len() < bytes.len()))
}

/// What must be known of all nodes before the first inode is written.
#[derive(Default)]
struct Numbers {
    number: HashMap<NodeId, u32>,
    names: HashMap<NodeId, u32>,
    count: u32,
    ids: BTreeSet<u32>,
}

impl Numbers {
    fn visit(
        &mut self,
        tree: &Tree,
        id: NodeId,
        each: &mut impl FnMut(&Kind) -> Result<()>,
    ) -> Result<()> {
        *self.names.entry(id).or_default() += 1;
        if self.number.contains_key(&id) {
            return Ok(());
        }
        self.count += 1;
        self.number.insert(id, self.count);
        let (meta, kind) = tree.node(id);
        self.ids.extend([meta.uid, meta.gid]);
        each(kind)?;
        tree.children(id)
            .try_for_each(|(_, child)| self.visit(tree, child, each))
    }
}

/// The inodes and directories under construction.
struct Tables<'a> {
    tree: &'a Tree,
    numbers: &'a Numbers,
    ids: &'a [u32],
    placed: &'a HashMap<super::tree::Content, Placed>,
    inodes: Table,
    directories: Table,
    /// The inodes that are written: hard links find theirs here.
    done: HashMap<NodeId, Position>,
}

impl Tables<'_> {
    /// Writes the inode of `id`, after all that is below it.
    fn inode(&mut self, id: NodeId, parent: u32) -> Result<Position> {
        if let Some(position) = self.done.get(&id) {
            return Ok(*position);
        }
        let (meta, kind) = self.tree.node(id);
        let index = |owner: u32| {
            self.ids
                .binary_search(&owner)
                .expect("all owners were collected") as u16
        };
        let (number, names) = (self.numbers.number[&id], self.numbers.names[&id]);
        let (uid, gid) = (index(meta.uid), index(meta.gid));
        let mut body = Bytes::default();
        let form = match kind {
            Kind::Directory => self.directory(id, number, parent, &mut body)?,
            Kind::File(content) => file(&self.placed[content], content.length, names, &mut body),
            Kind::Symlink(target) => {
                body.u32(names)
                    .u32(target.len() as u32)
                    .0
                    .extend_from_slice(target);
                3
            }
            Kind::Block(device) => {
                body.u32(names).u32(encode(*device));
                4
            }
            Kind::Char(device) => {
                body.u32(names).u32(encode(*device));
                5
            }
            Kind::Fifo => {
                body.u32(names);
                6
            }
        };
        let position = self.inodes.position();
        let mut head = Bytes::default();
        head.u16(form)
            .u16(meta.mode)
            .u16(uid)
            .u16(gid)
            .u32(meta.mtime)
            .u32(number);
        self.inodes.push(&head.0)?;
        self.inodes.push(&body.0)?;
        self.done.insert(id, position);
        Ok(position)
    }

    /// Writes the directory `id`; the form and the rest of its inode.
    fn directory(&mut self, id: NodeId, number: u32, parent: u32, body: &mut Bytes) -> Result<u16> {
        let mut entries = vec![];
        let mut folders = 0;
        for (name, child) in self.tree.children(id) {
            let form = base_form(self.tree.node(child).1);
            folders += u32::from(form == 1);
            entries.push(Entry {
                name,
                form,
                number: self.numbers.number[&child],
                position: self.inode(child, number)?,
            });
        }
        let listing = directory::write(&entries, &mut self.directories)?;
        // What readers call the size counts `.` and `..`, which are not stored.
        let size = listing.length + 3;
        let links = folders + 2;
        if let (Ok(size), true) = (u16::try_from(size), listing.index.is_empty()) {
            body.u32(listing.position.block)
                .u32(links)
                .u16(size)
                .u16(listing.position.offset)
                .u32(parent);
            return Ok(1);
        }
        body.u32(links)
            .u32(size)
            .u32(listing.position.block)
            .u32(parent);
        body.u16(listing.index.len() as u16)
            .u16(listing.position.offset)
            .u32(NONE);
        listing.index.iter().for_each(|mark| mark.push(body));
        Ok(8)
    }
}

/// The rest of a file's inode, and its form: the short one, where nothing of it needs the long one.
fn file(placed: &Placed, length: u64, names: u32, body: &mut Bytes) -> u16 {
    let (fragment, offset) = placed.fragment.unwrap_or((NONE, 0));
    let form = match (u32::try_from(placed.start), u32::try_from(length)) {
        (Ok(start), Ok(length)) if names == 1 && placed.holes == 0 => {
            body.u32(start).u32(fragment).u32(offset).u32(length);
            2
        }
        _ => {
            // A file that is nothing but holes would have no blocks: readers want it one byte short of that.
            let holes = placed.holes.min(length.saturating_sub(1));
            body.u64(placed.start)
                .u64(length)
                .u64(holes)
                .u32(names)
                .u32(fragment)
                .u32(offset)
                .u32(NONE);
            9
        }
    };
    for block in &placed.blocks {
        body.u32(*block);
    }
    form
}

/// The form of an inode as directories name it: always the short one.
fn base_form(kind: &Kind) -> u16 {
    match kind {
        Kind::Directory => 1,
        Kind::File(_) => 2,
        Kind::Symlink(_) => 3,
        Kind::Block(_) => 4,
        Kind::Char(_) => 5,
        Kind::Fifo => 6,
    }
}

/// The kernel's `new_encode_dev`.
fn encode(device: Device) -> u32 {
    (device.minor & 0xff) | (device.major << 8) | ((device.minor & !0xff) << 12)
}

/// Little-endian numbers, one after the other.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u16(&mut self, number: u16) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }
}
