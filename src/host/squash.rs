//! The tree of an image as squashfs, mounted as it is by the board: a tar stream into `sqfstar`, of squashfs-tools.

use super::layers::Rootfs;
use super::progress::Step;
use super::tarstream::Device;
use super::tree::{Content, Kind, Meta, NodeId, Tree};
use anyhow::{Context, Error, Result, bail};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::prelude::v1::*;
use std::process::{Command, Stdio};
use std::{format, vec};

/// zstd at its usual level, 15: sqfstar 4.5.1 refuses to be told one. Blocks of what a reader on the board can hold, packed
/// and unpacked, for each that it reads. A message that sqfstar would only have printed fails it.
const FORM: &str = "-quiet -no-progress -exit-on-error -force -comp zstd -b 131072";
/// The end of what sqfstar says that is shown.
const SAID: usize = 2000;

/// Writes `rootfs` to `out`, over the empty file there.
pub fn write(rootfs: &Rootfs, out: &Path) -> Result<()> {
    let names = names(rootfs.tree());
    let mut said = tempfile::tempfile().context("cannot create a temporary file")?;
    let mut child = sqfstar(rootfs.tree(), &names)?
        .arg(out)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(said.try_clone().context("cannot use a temporary file")?)
        .spawn()
        .context("cannot start sqfstar")?;
    let pipe = child.stdin.take().expect("its standard input is a pipe");
    let fed = feed(rootfs, &names, pipe);
    let status = child.wait().context("cannot wait for sqfstar")?;
    match fed {
        // It has gone, and says why.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        fed => fed.context("cannot feed the image to sqfstar")?,
    }
    if !status.success() {
        bail!("sqfstar failed ({status}): {}", read(&mut said));
    }
    Ok(())
}

/// The end of what a program wrote into `said`.
fn read(said: &mut File) -> String {
    let mut bytes = vec![];
    let _ = said.rewind().and_then(|()| said.read_to_end(&mut bytes));
    let end = &bytes[bytes.len().saturating_sub(SAID)..];
    String::from_utf8_lossy(end).trim().into()
}

/// `sqfstar` with all its arguments but the last.
///
/// Version 4.5.1 heeds `-root-mode`, but gives the root its caller for an owner, and the current time. So it is called as
/// the owner, in a user namespace where one is to be had (later versions heed `-root-uid`), and SOURCE_DATE_EPOCH, to
/// which it cuts later times, is the time of the newest file: the same image gives the same bytes, unless that is in the
/// future.
fn sqfstar(tree: &Tree, names: &[Name]) -> Result<Command> {
    if let Err(error) = Command::new("sqfstar").arg("-version").output() {
        bail!(match error.kind() {
            ErrorKind::NotFound => Error::msg("sqfstar is not installed (apt-get install squashfs-tools)"),
            _ => Error::new(error).context("cannot start sqfstar"),
        });
    }
    let (root, _) = tree.node(Tree::ROOT);
    let (uid, gid) = (root.uid, root.gid);
    let caller = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut command = if caller != (uid, gid) && has_namespaces() {
        let mut mapped = Command::new("unshare");
        mapped.args(["--user", &format!("--map-user={uid}"), &format!("--map-group={gid}"), "sqfstar"]);
        mapped
    } else {
        Command::new("sqfstar")
    };
    let times = names.iter().map(|name| tree.node(name.node).0.mtime);
    let newest = times.fold(root.mtime, u32::max);
    command.env("SOURCE_DATE_EPOCH", format!("{newest}"));
    command.args(FORM.split(' '));
    command.arg("-root-mode").arg(format!("{:o}", root.mode));
    command.arg("-root-uid").arg(format!("{uid}"));
    command.arg("-root-gid").arg(format!("{gid}"));
    Ok(command)
}

/// Whether this user may have a user namespace.
fn has_namespaces() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--user", "--map-user=1", "--map-group=1", "true"]);
    let done = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

/// One name of a node.
struct Name {
    path: Vec<u8>,
    node: NodeId,
    /// Which of the names the node had first, if not this one.
    first: Option<usize>,
}

/// All names but the root's, in the order of [`Tree::walk`].
fn names(tree: &Tree) -> Vec<Name> {
    let mut names = vec![];
    let mut seen = HashMap::new();
    let _ = tree.walk(|path, node| {
        let first = *seen.entry(node).or_insert(names.len());
        names.push(Name {
            path: path.strip_prefix(b"/").unwrap_or(path).into(),
            node,
            first: (first < names.len()).then_some(first),
        });
        Ok::<(), std::convert::Infallible>(())
    });
    names
}

/// Writes everything as a tar stream into `pipe`.
fn feed(rootfs: &Rootfs, names: &[Name], pipe: impl Write) -> io::Result<()> {
    let lengths = names.iter().map(|name| content(rootfs.tree(), name).length);
    let step = Step::new("writing squashfs", lengths.sum());
    let mut archive = tar::Builder::new(BufWriter::new(pipe));
    for name in names {
        let first = name.first.map(|first| &names[first].path[..]);
        let (mut header, pax) = describe(rootfs.tree(), name, first)?;
        let pax = pax.iter().map(|(key, value)| (&key[..], *value));
        if let (None, Kind::Symlink(target)) = (first, rootfs.tree().node(name.node).1) {
            archive.append(&long_link(target), &target[..])?;
        }
        archive.append_pax_extensions(pax)?;
        let content = content(rootfs.tree(), name);
        header.set_size(content.length);
        header.set_cksum();
        archive.append(&header, step.reading(rootfs.open(content)))?;
    }
    archive.into_inner()?.flush()
}

/// The bytes that follow a name: a file's, once.
fn content(tree: &Tree, name: &Name) -> Content {
    match tree.node(name.node).1 {
        Kind::File(content) if name.first.is_none() => *content,
        _ => Content { offset: 0, length: 0 },
    }
}

/// PAX records, which hold names of any length, and attributes.
type Pax<'a> = Vec<(String, &'a [u8])>;

/// The header of one name, without size and checksum, and what goes before it.
fn describe<'a>(tree: &'a Tree, name: &'a Name, first: Option<&'a [u8]>) -> io::Result<(tar::Header, Pax<'a>)> {
    let (meta, kind) = tree.node(name.node);
    let mut header = header(meta);
    let mut pax: Pax<'a> = vec![("path".into(), &name.path)];
    let mut device = |device: &Device| {
        header.set_device_major(device.major)?;
        header.set_device_minor(device.minor)
    };
    let entry_type = match (first, kind) {
        (Some(first), _) => {
            pax.push(("linkpath".into(), first));
            tar::EntryType::Link
        }
        (None, Kind::Directory) => tar::EntryType::Directory,
        (None, Kind::File(_)) => tar::EntryType::Regular,
        (None, Kind::Symlink(_)) => tar::EntryType::Symlink,
        (None, Kind::Block(number)) => {
            device(number)?;
            tar::EntryType::Block
        }
        (None, Kind::Char(number)) => {
            device(number)?;
            tar::EntryType::Char
        }
        (None, Kind::Fifo) => tar::EntryType::Fifo,
    };
    header.set_entry_type(entry_type);
    if first.is_none() {
        let attributes = meta.xattrs.iter();
        pax.extend(attributes.map(|(key, value)| (format!("SCHILY.xattr.{key}"), &value[..])));
    }
    Ok((header, pax))
}

/// Who owns it, and how.
fn header(meta: &Meta) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_mode(meta.mode.into());
    header.set_uid(meta.uid.into());
    header.set_gid(meta.gid.into());
    header.set_mtime(meta.mtime.into());
    header
}

/// What GNU tar writes before a symlink: of a target in a PAX record, sqfstar takes the leading slash.
fn long_link(target: &[u8]) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongLink);
    header.set_size(target.len() as u64);
    header.set_cksum();
    header
}
