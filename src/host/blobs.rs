//! Where an image's parts come from: a directory, or a tar archive read in place; each part checked by its digest.

use super::registry::Registry;
use super::tarstream::{self, Kind};
use anyhow::{Context, Result, bail, ensure};
use oci_spec::image::Descriptor;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::{format, vec};

/// Files in one archive.
const MEMBERS: usize = 100_000;
/// Links from one member of an archive to the next.
const LINKS: usize = 8;

/// An image's parts, by name.
pub enum Store {
    /// A directory in the OCI image layout.
    Directory(PathBuf),
    /// An archive, with the place of each of its files.
    Archive {
        /// The archive itself, uncompressed.
        file: File,
        /// Its files.
        members: BTreeMap<Vec<u8>, Member>,
    },
    /// A registry, with what was fetched from it so far.
    Registry(Box<Registry>),
}

/// One file of an archive.
#[derive(Clone)]
pub enum Member {
    /// Its place.
    File {
        /// The first byte.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// Another member has its bytes.
    Link(Vec<u8>),
}

impl Store {
    /// Opens the directory or archive at `path`; a compressed archive is unpacked into `scratch`, up to `limit` bytes.
    pub fn open(path: &Path, scratch: &Path, limit: u64) -> Result<Store> {
        if path.is_dir() {
            return Ok(Store::Directory(path.into()));
        }
        let shown = || format!("cannot read {}", path.display());
        let mut file = File::open(path).with_context(shown)?;
        if compression(&head(&mut file).with_context(shown)?)? != Compression::None {
            file.rewind().with_context(shown)?;
            let mut plain = tempfile::tempfile_in(scratch).context("cannot create a temporary file")?;
            let copied = io::copy(&mut decompress(&file)?.take(limit + 1), &mut plain).with_context(shown)?;
            ensure!(copied <= limit, "{} is larger than {limit} bytes when unpacked (see --max-size)", path.display());
            file = plain;
        }
        file.rewind().with_context(shown)?;
        let members = index(&file).with_context(|| format!("{} is no archive of an image", path.display()))?;
        Ok(Store::Archive { file, members })
    }

    /// Whether there is a part called `name`.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Store::Directory(directory) => directory.join(name).is_file(),
            Store::Registry(registry) => registry.place(name).is_file(),
            Store::Archive { members, .. } => members.contains_key(name.as_bytes()),
        }
    }

    /// Has these parts at hand, which are somewhere else with a registry only.
    pub fn obtain(&self, parts: &[Descriptor]) -> Result<()> {
        match self {
            Store::Registry(registry) => registry.obtain(parts),
            Store::Directory(_) | Store::Archive { .. } => Ok(()),
        }
    }

    /// The bytes of the part called `name`, and their number.
    pub fn reader(&self, name: &str) -> Result<(Box<dyn Read + '_>, u64)> {
        match self {
            Store::Directory(directory) => whole(&directory.join(name)),
            Store::Registry(registry) => whole(&registry.place(name)),
            Store::Archive { file, members } => {
                let mut at = name.as_bytes();
                for _ in 0..LINKS {
                    match members.get(at) {
                        Some(Member::File { offset, length }) => {
                            return Ok((Box::new(Window { file, offset: *offset, length: *length }), *length));
                        }
                        Some(Member::Link(target)) => at = target,
                        None => break,
                    }
                }
                bail!("{} is not in the archive", tarstream::show(name.as_bytes()))
            }
        }
    }

    /// The whole part called `name`, of at most `limit` bytes, not checked.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let (reader, length) = self.reader(name)?;
        ensure!(length <= limit, "{name} has {length} bytes; at most {limit} are read");
        let mut bytes = vec![];
        reader.take(limit).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
        Ok(bytes)
    }
}

fn whole(path: &Path) -> Result<(Box<dyn Read + 'static>, u64)> {
    let open = || File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (length, file) = open().with_context(|| format!("cannot read {}", path.display()))?;
    Ok((Box::new(file), length))
}

/// The places of the files in the archive `file`.
fn index(file: &File) -> Result<BTreeMap<Vec<u8>, Member>> {
    let mut members = BTreeMap::new();
    tarstream::for_each(io::BufReader::with_capacity(1 << 20, file), |entry, _| {
        ensure!(members.len() < MEMBERS, "it has more than {MEMBERS} files");
        let name = entry.name.strip_prefix(b"./").unwrap_or(&entry.name).to_vec();
        let member = match entry.kind {
            Kind::File(length) => Member::File { offset: entry.position, length },
            Kind::HardLink(target) => Member::Link(target),
            Kind::Symlink(target) => Member::Link(beside(&name, &target)),
            _ => return Ok(()),
        };
        members.insert(name, member);
        Ok(())
    })?;
    Ok(members)
}

/// What the symlink `name` → `target` means, by its text alone: it can name members of the archive and nothing else.
fn beside(name: &[u8], target: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = name.split(|&byte| byte == b'/').collect();
    parts.pop();
    for part in target.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// Some bytes of a file, read without a descriptor or a position of their own.
pub struct Window<'a> {
    /// The file.
    pub file: &'a File,
    /// The first byte.
    pub offset: u64,
    /// How many.
    pub length: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = self.length.min(buffer.len() as u64) as usize;
        let n = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        if n == 0 && wanted > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short"));
        }
        self.offset += n as u64;
        self.length -= n as u64;
        Ok(n)
    }
}

#[derive(PartialEq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

fn compression(head: &[u8]) -> Result<Compression> {
    match head {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', ..] | [b'B', b'Z', b'h', ..] => {
            bail!("it is compressed with xz or bzip2: only gzip and zstd are read")
        }
        _ => Ok(Compression::None),
    }
}

fn head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = vec![];
    reader.take(4).read_to_end(&mut head)?;
    Ok(head)
}

/// `reader`'s bytes, decompressed where they begin like gzip or zstd.
pub fn decompress<'a>(mut reader: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    let head = head(&mut reader)?;
    let compression = compression(&head)?;
    let whole = Cursor::new(head).chain(reader);
    Ok(match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 17, whole))),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(whole)?),
    })
}

/// A reader that hashes and counts what it gives.
pub struct Hashing<R> {
    reader: R,
    hash: Sha256,
    length: u64,
}

impl<R: Read> Hashing<R> {
    /// Over `reader`.
    pub fn new(reader: R) -> Self {
        Hashing { reader, hash: Sha256::new(), length: 0 }
    }

    /// Reads what is left; the hash and number of all bytes.
    pub fn finish(mut self) -> io::Result<([u8; 32], u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.hash.finalize().into(), self.length))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.length += n as u64;
        Ok(n)
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
