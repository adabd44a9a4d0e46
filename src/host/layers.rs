//! Layers, as tar streams, laid over one another: the tree in memory, the files' bytes in one temporary file.

use super::blobs::{Hashing, Window};
use super::tarstream::{self, Entry, show};
use super::tree::{Content, Kind, Meta, Tree};
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::prelude::v1::*;
use std::{format, vec};

/// What an image may at most be: an image is data from a stranger.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all layers, unpacked.
    pub bytes: u64,
    /// Entries of all layers.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 4 << 30, entries: 250_000 }
    }
}

/// Bytes of all extended attributes of an image.
const ATTRIBUTES: usize = 16 << 20;

/// A root file system under construction.
pub struct Rootfs {
    tree: Tree,
    spool: File,
    spooled: u64,
    /// Where the bytes of each file are, by their hash.
    contents: HashMap<[u8; 32], Content>,
    limits: Limits,
    bytes: u64,
    entries: u64,
    /// Bytes of extended attributes so far: they stay in memory.
    attributes: usize,
}

impl Rootfs {
    /// An empty one, its spool a nameless file in `directory`.
    pub fn new(directory: &Path, limits: Limits) -> Result<Rootfs> {
        let spool = tempfile::tempfile_in(directory);
        let spool = spool.with_context(|| format!("cannot create a temporary file in {}", directory.display()))?;
        Ok(Rootfs {
            tree: Tree::default(),
            spool,
            spooled: 0,
            contents: HashMap::new(),
            limits,
            bytes: 0,
            entries: 0,
            attributes: 0,
        })
    }

    /// Lays the next layer, an uncompressed tar stream, over what there is. Reads it to its end.
    pub fn apply(&mut self, layer: impl Read) -> Result<()> {
        self.tree.begin_layer();
        let allowed = self.limits.bytes - self.bytes;
        let mut layer = Metered { reader: layer, left: allowed };
        let read = tarstream::for_each(&mut layer, |entry, bytes| self.add(entry, bytes));
        // What follows the end of the archive is no file, but it is part of the layer's digest.
        let read = read.and_then(|()| Ok(io::copy(&mut layer, &mut io::sink()).map(drop)?));
        self.bytes += allowed - layer.left;
        read
    }

    /// The tree so far.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Bytes of all layers so far, unpacked.
    pub fn unpacked(&self) -> u64 {
        self.bytes
    }

    /// A reader of one file.
    pub fn open(&self, content: Content) -> Window<'_> {
        Window { file: &self.spool, offset: content.offset, length: content.length }
    }

    /// The bytes of the file at `name`, symlinks followed, if there is one of at most `limit` bytes.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some((_, Kind::File(content))) = self.tree.find(name.as_bytes()) else {
            return Ok(None);
        };
        ensure!(content.length <= limit, "/{name} of the image is larger than {limit} bytes");
        let mut bytes = vec![];
        self.open(*content).read_to_end(&mut bytes).context("cannot read the temporary file")?;
        Ok(Some(bytes))
    }

    fn add(&mut self, entry: Entry, bytes: &mut dyn Read) -> Result<()> {
        self.entries += 1;
        ensure!(
            self.entries <= self.limits.entries,
            "the image has more than {} entries (see --max-entries)",
            self.limits.entries
        );
        match whiteout(&entry.name)? {
            Whiteout::None => self.add_node(entry, bytes),
            Whiteout::Name(name) => self.tree.whiteout(&name),
            Whiteout::Opaque(directory) => self.tree.opaque(directory),
            Whiteout::Ignored => Ok(()),
        }
    }

    fn add_node(&mut self, entry: Entry, bytes: &mut dyn Read) -> Result<()> {
        let (mut xattrs, mut lost) = (vec![], None);
        for (name, value) in entry.xattrs {
            match value.filter(|value| is_portable(&name, value)) {
                Some(value) => {
                    self.attributes += name.len() + value.len();
                    xattrs.push((name, value));
                }
                None => lost = Some(name),
            }
        }
        ensure!(self.attributes <= ATTRIBUTES, "the image has more than {ATTRIBUTES} bytes of extended attributes");
        let meta = Meta { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime, xattrs, lost };
        // umoci writes the root itself as `/`. No other name may be absolute, and none of a whiteout or a link's target.
        let name = if entry.name == b"/" { b"." } else { &entry.name[..] };
        let kind = match entry.kind {
            tarstream::Kind::File(length) => Kind::File(self.spool(bytes, length)?),
            tarstream::Kind::HardLink(target) => return self.tree.link(name, &target),
            tarstream::Kind::Directory => Kind::Directory,
            tarstream::Kind::Symlink(target) => Kind::Symlink(target),
            tarstream::Kind::Char(device) => Kind::Char(device),
            tarstream::Kind::Block(device) => Kind::Block(device),
            tarstream::Kind::Fifo => Kind::Fifo,
        };
        self.tree.insert(name, meta, kind)
    }

    /// Copies a file's bytes into the spool, or finds them there: equal files are one.
    fn spool(&mut self, bytes: &mut dyn Read, length: u64) -> Result<Content> {
        let mut bytes = Hashing::new(bytes);
        let copied = io::copy(&mut bytes, &mut self.spool).context("cannot copy its bytes")?;
        ensure!(copied == length, "it says {length} bytes, and {copied} follow");
        let content = Content { offset: self.spooled, length };
        let known = *self.contents.entry(bytes.finish()?.0).or_insert(content);
        if known == content {
            self.spooled += length;
        } else {
            self.spool.seek(io::SeekFrom::Start(self.spooled)).context("cannot use the temporary file")?;
        }
        Ok(known)
    }
}

/// What an entry's name says of lower layers.
enum Whiteout<'a> {
    None,
    Name(Vec<u8>),
    Opaque(&'a [u8]),
    /// What old AUFS drivers kept beside the files.
    Ignored,
}

fn whiteout(name: &[u8]) -> Result<Whiteout<'_>> {
    let trimmed = name.strip_suffix(b"/").unwrap_or(name);
    let relative = trimmed.strip_prefix(b"./").unwrap_or(trimmed);
    let slash = trimmed.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (directory, last) = trimmed.split_at(slash);
    match last.strip_prefix(b".wh.") {
        Some(b".wh..opq") => Ok(Whiteout::Opaque(directory)),
        _ if relative.starts_with(b".wh..wh.") => Ok(Whiteout::Ignored),
        Some(hidden) if hidden.starts_with(b".wh.") => Ok(Whiteout::Ignored),
        Some(b"" | b"." | b"..") => bail!("a whiteout of nothing"),
        Some(hidden) => Ok(Whiteout::Name([directory, hidden].concat())),
        None => Ok(Whiteout::None),
    }
}

/// A reader that gives no more than was allowed.
struct Metered<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)? as u64;
        self.left = self.left.checked_sub(n).ok_or_else(|| {
            self.left = 0;
            io::Error::other("the image is larger than was allowed (see --max-size)")
        })?;
        Ok(n as usize)
    }
}

/// Whether an extended attribute goes with the image: what a program brings, but no label or list of the host that built
/// it, and nothing that overlayfs would take for its own. The bounds are Linux's.
fn is_portable(name: &str, value: &[u8]) -> bool {
    let own = name.strip_prefix("user.").is_some_and(|own| !own.is_empty() && !own.starts_with("overlay."));
    let fits = name.len() <= 255 && !name.contains('\0') && value.len() <= 64 * 1024;
    fits && (own || name == "security.capability")
}

/// What extended attributes the squashfs will not hold, for people.
pub fn losses(tree: &Tree) -> Option<String> {
    let (root, _) = tree.node(Tree::ROOT);
    let of_root = root.xattrs.first().map(|(name, _)| name);
    let lost = root.lost.as_ref().or(of_root);
    let mut first = lost.map(|name| format!("\"/\": its extended attribute {name:?} is lost"));
    let mut others = 0;
    let _ = tree.walk(|path, node| {
        if let Some(name) = &tree.node(node).0.lost {
            others += usize::from(first.is_some());
            first.get_or_insert_with(|| format!("{}: its extended attribute {name:?} is lost", show(path)));
        }
        Ok::<(), std::convert::Infallible>(())
    });
    first.map(|first| match others {
        0 => first,
        1 => format!("{first} (and that of 1 more file)"),
        _ => format!("{first} (and those of {others} more files)"),
    })
}
