//! The flattened file tree of an image, in memory: what layers do to it, with nothing that could leave it.
//!
//! Paths are resolved as in a chroot: a symlink on the way is followed inside the tree, and `..` stops at its root.

use super::tarstream::{Device, show};
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, VecDeque};
use std::prelude::v1::*;
use std::vec;

/// Bytes of one name.
const NAME: usize = 255;
/// Bytes of one path, or of a symlink's target.
const PATH: usize = 4095;
/// Directories within directories.
const DEPTH: usize = 256;
/// Symlinks followed on the way to one entry, as in Linux.
const HOPS: usize = 40;

/// One node of a tree. Hard links are names of the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(usize);

/// Who owns a node, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, with set-user-ID, set-group-ID and sticky.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Extended attributes, by name.
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// The name of an extended attribute that is not among them, if there was one.
    pub lost: Option<String>,
}

impl Meta {
    /// A directory that no layer describes.
    const IMPLIED: Meta = Meta { mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: vec![], lost: None };
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file, whose bytes are in the spool.
    File(Content),
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// A character device.
    Char(Device),
    /// A block device.
    Block(Device),
    /// A named pipe.
    Fifo,
}

/// Where the bytes of a file are in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    /// The first one.
    pub offset: u64,
    /// How many.
    pub length: u64,
}

struct Node {
    meta: Meta,
    kind: Kind,
    /// Of a directory; hard links are two children with one node.
    children: BTreeMap<Vec<u8>, Child>,
}

#[derive(Clone, Copy)]
struct Child {
    node: usize,
    /// The layer that put it here: a whiteout hides only what lower layers hold.
    layer: u32,
}

/// The tree.
pub struct Tree {
    nodes: Vec<Node>,
    layer: u32,
}

const ROOT: usize = 0;

/// How [`Tree::resolve`] treats a directory that is not there.
#[derive(PartialEq)]
enum Missing {
    Create,
    Stop,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree { nodes: vec![Node { meta: Meta::IMPLIED, kind: Kind::Directory, children: BTreeMap::new() }], layer: 0 }
    }
}

impl Tree {
    /// What follows belongs to the next layer.
    pub fn begin_layer(&mut self) {
        self.layer += 1;
    }

    /// Puts a node at `name`, over what was there; a directory over a directory keeps its content.
    pub fn insert(&mut self, name: &[u8], meta: Meta, kind: Kind) -> Result<()> {
        if let Kind::Symlink(target) = &kind {
            ensure!(
                !target.is_empty() && target.len() <= PATH && !target.contains(&0),
                "the target of the symlink is no path"
            );
        }
        let path = split(name)?;
        let Some((last, parents)) = path.split_last() else {
            ensure!(kind == Kind::Directory, "the root of an image must be a directory");
            self.nodes[ROOT].meta = meta;
            return Ok(());
        };
        let parent = self.resolve(parents, Missing::Create)?.context("its directory does not exist")?;
        let old = self.nodes[parent].children.get(*last).copied();
        let node = match old {
            Some(old) if kind == Kind::Directory && self.nodes[old.node].kind == Kind::Directory => {
                self.nodes[old.node].meta = meta;
                old.node
            }
            _ => {
                self.nodes.push(Node { meta, kind, children: BTreeMap::new() });
                self.nodes.len() - 1
            }
        };
        self.nodes[parent].children.insert(last.to_vec(), Child { node, layer: self.layer });
        Ok(())
    }

    /// Makes `name` a further name of the file `target`.
    pub fn link(&mut self, name: &[u8], target: &[u8]) -> Result<()> {
        // A target is written from the root of the image, by some tools with its slash.
        let relative = target.strip_prefix(b"/").unwrap_or(target);
        let of = || std::format!("the hard link's target {}", show(target));
        let path = split(relative).with_context(of)?;
        let (last, parents) = path.split_last().with_context(of)?;
        let directory = self.resolve(parents, Missing::Stop).with_context(of)?;
        let node = directory.and_then(|directory| self.nodes[directory].children.get(*last)).map(|child| child.node);
        let node = node.with_context(|| std::format!("{} does not exist", of()))?;
        ensure!(self.nodes[node].kind != Kind::Directory, "{} is a directory", of());
        let path = split(name)?;
        let (last, parents) = path.split_last().context("the root of an image must be a directory")?;
        let parent = self.resolve(parents, Missing::Create)?.context("its directory does not exist")?;
        self.nodes[parent].children.insert(last.to_vec(), Child { node, layer: self.layer });
        Ok(())
    }

    /// Hides what lower layers hold at `name`.
    pub fn whiteout(&mut self, name: &[u8]) -> Result<()> {
        let path = split(name)?;
        let (last, parents) = path.split_last().context("a whiteout of the root")?;
        let Some(parent) = self.resolve(parents, Missing::Stop)? else {
            return Ok(());
        };
        let Some(child) = self.nodes[parent].children.get(*last).copied() else {
            return Ok(());
        };
        if !self.prune(child) {
            self.nodes[parent].children.remove(*last);
        }
        Ok(())
    }

    /// Hides all that lower layers hold below the directory `name`.
    pub fn opaque(&mut self, name: &[u8]) -> Result<()> {
        let directory = self.resolve(&split(name)?, Missing::Stop)?;
        if let Some(directory) = directory {
            self.prune_below(directory);
        }
        Ok(())
    }

    /// The node at `name`, symlinks followed, if there is one.
    pub fn find(&self, name: &[u8]) -> Option<(&Meta, &Kind)> {
        let walk = self.follow(&split(name).ok()?).ok()?;
        let node = &self.nodes[walk.at()];
        walk.rest.is_empty().then_some((&node.meta, &node.kind))
    }

    /// The root.
    pub const ROOT: NodeId = NodeId(ROOT);

    /// What `id` is.
    pub fn node(&self, id: NodeId) -> (&Meta, &Kind) {
        (&self.nodes[id.0].meta, &self.nodes[id.0].kind)
    }

    /// What is in the directory `id`, by the bytes of the names.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = (&[u8], NodeId)> {
        self.nodes[id.0].children.iter().map(|(name, child)| (&name[..], NodeId(child.node)))
    }

    /// Calls `each` with every name but the root's: parents first, siblings by the bytes of their names.
    pub fn walk<E>(&self, mut each: impl FnMut(&[u8], NodeId) -> Result<(), E>) -> Result<(), E> {
        self.walk_below(ROOT, &mut vec![], &mut each)
    }

    fn walk_below<E>(
        &self,
        node: usize,
        path: &mut Vec<u8>,
        each: &mut impl FnMut(&[u8], NodeId) -> Result<(), E>,
    ) -> Result<(), E> {
        for (name, child) in &self.nodes[node].children {
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(name);
            each(path, NodeId(child.node))?;
            self.walk_below(child.node, path, each)?;
            path.truncate(length);
        }
        Ok(())
    }

    /// Removes what lower layers hold at and below `child`; says whether anything is left.
    fn prune(&mut self, child: Child) -> bool {
        if self.nodes[child.node].kind == Kind::Directory {
            self.prune_below(child.node);
        }
        child.layer == self.layer || !self.nodes[child.node].children.is_empty()
    }

    fn prune_below(&mut self, directory: usize) {
        let mut children = std::mem::take(&mut self.nodes[directory].children);
        children.retain(|_, child| self.prune(*child));
        self.nodes[directory].children = children;
    }

    /// The directory `path`; `None` where it is not there.
    fn resolve(&mut self, path: &[&[u8]], missing: Missing) -> Result<Option<usize>> {
        let walk = self.follow(path)?;
        let mut at = walk.at();
        ensure!(self.nodes[at].kind == Kind::Directory, "a part of its path is no directory");
        if walk.rest.is_empty() {
            return Ok(Some(at));
        }
        if missing == Missing::Stop {
            return Ok(None);
        }
        // Only what the entry's own name says is created: a symlink that leads nowhere makes no directories.
        ensure!(walk.linked == 0, "a symlink on its path leads nowhere");
        ensure!(walk.trail.len() + walk.rest.len() <= DEPTH, "it is more than {DEPTH} directories deep");
        for name in walk.rest {
            self.nodes.push(Node { meta: Meta::IMPLIED, kind: Kind::Directory, children: BTreeMap::new() });
            let node = self.nodes.len() - 1;
            self.nodes[at].children.insert(name, Child { node, layer: self.layer });
            at = node;
        }
        Ok(Some(at))
    }

    /// Goes along `path` as far as there are nodes.
    fn follow(&self, path: &[&[u8]]) -> Result<Walk> {
        let rest = path.iter().map(|part| part.to_vec()).collect();
        let mut walk = Walk { trail: vec![ROOT], rest, linked: 0 };
        let mut hops = 0;
        while let Some(name) = walk.rest.front() {
            let node = &self.nodes[walk.at()];
            ensure!(node.kind == Kind::Directory, "a part of its path is no directory");
            if name == b".." {
                walk.trail.truncate((walk.trail.len() - 1).max(1));
            } else {
                let Some(child) = node.children.get(name) else {
                    return Ok(walk);
                };
                if let Kind::Symlink(target) = &self.nodes[child.node].kind {
                    hops += 1;
                    ensure!(hops <= HOPS, "more than {HOPS} symlinks are on its path");
                    walk.expand(target);
                    continue;
                }
                walk.trail.push(child.node);
            }
            walk.step();
        }
        Ok(walk)
    }
}

/// A way through the tree.
struct Walk {
    /// The nodes from the root to here.
    trail: Vec<usize>,
    /// The names yet to be followed.
    rest: VecDeque<Vec<u8>>,
    /// How many of them come from symlinks.
    linked: usize,
}

impl Walk {
    fn at(&self) -> usize {
        self.trail.last().copied().unwrap_or(ROOT)
    }

    fn step(&mut self) {
        self.rest.pop_front();
        self.linked = self.linked.saturating_sub(1);
    }

    /// Takes the symlink that is next for what it points to.
    fn expand(&mut self, target: &[u8]) {
        self.step();
        if target.starts_with(b"/") {
            self.trail.truncate(1);
        }
        for name in names(target).rev() {
            self.rest.push_front(name.to_vec());
            self.linked += 1;
        }
    }
}

/// The names of which a path is made.
fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".")
}

/// The names of an entry's path; none for the root.
pub fn split(path: &[u8]) -> Result<Vec<&[u8]>> {
    ensure!(!path.starts_with(b"/"), "its name is absolute");
    ensure!(path.len() <= PATH, "its name is longer than {PATH} bytes");
    ensure!(!path.contains(&0), "a NUL is in its name");
    let parts: Vec<&[u8]> = names(path).collect();
    ensure!(parts.iter().all(|part| *part != b".."), "`..` is in its name");
    ensure!(parts.iter().all(|part| part.len() <= NAME), "a part of its name is longer than {NAME} bytes");
    ensure!(parts.len() <= DEPTH, "it is more than {DEPTH} directories deep");
    Ok(parts)
}
