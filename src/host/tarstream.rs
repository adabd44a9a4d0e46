//! A tar stream as a hostile party may have written it, entry by entry, in bounded memory.
//!
//! The headers are the `tar` crate's; the extensions (long names, PAX records) are read here, because they must be
//! capped, and because a PAX value may hold any byte.

use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::io::Read;
use std::prelude::v1::*;
use std::{format, vec};

/// The longest extension of one entry: names, PAX records.
const EXTENSION: u64 = 1024 * 1024;

/// What one entry says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as written.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with set-user-ID, set-group-ID and sticky.
    pub mode: u16,
    /// The numeric owner.
    pub uid: u32,
    /// The numeric group.
    pub gid: u32,
    /// Seconds since 1970, cut to what squashfs can say.
    pub mtime: u32,
    /// Its extended attributes; `None` for a value in the form that only libarchive writes.
    pub xattrs: BTreeMap<String, Option<Vec<u8>>>,
    /// Where its bytes begin in the stream.
    pub position: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file of so many bytes.
    File(u64),
    /// A directory.
    Directory,
    /// A further name of the entry so named.
    HardLink(Vec<u8>),
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// A character device.
    Char(Device),
    /// A block device.
    Block(Device),
    /// A named pipe.
    Fifo,
}

/// A device number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// The driver.
    pub major: u32,
    /// The device of that driver.
    pub minor: u32,
}

/// What the headers before an entry say of it.
#[derive(Default)]
struct Extension {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<u32>,
    xattrs: BTreeMap<String, Option<Vec<u8>>>,
}

/// Calls `each` for every entry of `stream`, with a reader of its bytes.
pub fn for_each(stream: impl Read, mut each: impl FnMut(Entry, &mut dyn Read) -> Result<()>) -> Result<()> {
    let mut archive = tar::Archive::new(stream);
    let mut extension = Extension::default();
    let mut dangling = false;
    for (n, raw) in archive.entries()?.raw(true).enumerate() {
        let mut raw = raw.with_context(|| format!("entry {} is not tar", n + 1))?;
        let header = raw.header().clone();
        dangling = true;
        match header.entry_type().as_byte() {
            b'L' => extension.name = Some(c_string(read_extension(&mut raw)?)),
            b'K' => extension.link = Some(c_string(read_extension(&mut raw)?)),
            b'x' => extension.read_pax(&read_extension(&mut raw)?)?,
            // What is said of all entries to come is, in practice, a comment; Docker ignores it too.
            b'g' => drop(read_extension(&mut raw)?),
            kind => {
                let (size, position) = (raw.size(), raw.raw_file_position());
                let name = std::mem::take(&mut extension.name).unwrap_or_else(|| header.path_bytes().into_owned());
                let context = || format!("entry {} ({})", n + 1, show(&name));
                let entry = std::mem::take(&mut extension).entry(&header, kind, name.clone(), size, position);
                each(entry.with_context(context)?, &mut raw).with_context(context)?;
                dangling = false;
            }
        }
    }
    ensure!(!dangling, "the archive ends after a header that announces an entry");
    Ok(())
}

impl Extension {
    fn read_pax(&mut self, mut records: &[u8]) -> Result<()> {
        while let Some((key, value)) = next_pax_record(&mut records)? {
            let text = || std::str::from_utf8(value).ok().with_context(|| format!("PAX record {key} is not text"));
            match key {
                "path" => self.name = Some(value.to_vec()),
                "linkpath" => self.link = Some(value.to_vec()),
                "size" => self.size = Some(text()?.parse().context("PAX record size")?),
                "uid" => self.uid = Some(text()?.parse().context("PAX record uid")?),
                "gid" => self.gid = Some(text()?.parse().context("PAX record gid")?),
                "mtime" => self.mtime = Some(seconds(text()?)?),
                _ if key.starts_with("GNU.sparse.") => {
                    bail!("sparse files are not supported: build the image without them")
                }
                _ => {
                    if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                        self.xattrs.insert(name.into(), Some(value.to_vec()));
                    } else if let Some(name) = key.strip_prefix("LIBARCHIVE.xattr.") {
                        self.xattrs.entry(name.into()).or_default();
                    }
                }
            }
        }
        Ok(())
    }

    fn entry(self, header: &tar::Header, kind: u8, name: Vec<u8>, size: u64, position: u64) -> Result<Entry> {
        ensure!(
            self.size.is_none_or(|said| said == size),
            "it gives two sizes, {size} and {} bytes",
            self.size.unwrap_or(0)
        );
        let link =
            || self.link.clone().or_else(|| header.link_name_bytes().map(|name| name.into_owned())).unwrap_or_default();
        let kind = match kind {
            // A file whose name ends with a slash is how the oldest tar wrote a directory.
            b'0' | b'\0' | b'7' if name.ends_with(b"/") => Kind::Directory,
            b'0' | b'\0' | b'7' => Kind::File(size),
            b'1' => Kind::HardLink(link()),
            b'2' => Kind::Symlink(link()),
            b'3' => Kind::Char(device(header)?),
            b'4' => Kind::Block(device(header)?),
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'S' => bail!("sparse files are not supported: build the image without them"),
            other => bail!("it is of a kind that no image holds ({:?})", char::from(other)),
        };
        ensure!(size == 0 || matches!(kind, Kind::File(_)), "{size} bytes follow an entry that is no file");
        let id = |id: u64| {
            u32::try_from(id).ok().filter(|&id| id != u32::MAX).context("its owner is no user or group number")
        };
        Ok(Entry {
            name,
            kind,
            mode: (header.mode().context("its mode")? & 0o7777) as u16,
            uid: id(self.uid.map_or_else(|| header.uid().context("its owner"), |uid| Ok(uid.into()))?)?,
            gid: id(self.gid.map_or_else(|| header.gid().context("its group"), |gid| Ok(gid.into()))?)?,
            mtime: match self.mtime {
                Some(mtime) => mtime,
                None => clamp(header.mtime().context("its time")? as i64),
            },
            xattrs: self.xattrs,
            position,
        })
    }
}

/// Cuts `LENGTH KEY=VALUE\n` off the front of `records`.
fn next_pax_record<'a>(records: &mut &'a [u8]) -> Result<Option<(&'a str, &'a [u8])>> {
    if records.is_empty() {
        return Ok(None);
    }
    let record = || {
        let space = records.iter().take(8).position(|&byte| byte == b' ')?;
        let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
        let body = records.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = body.iter().position(|&byte| byte == b'=')?;
        Some((length, std::str::from_utf8(&body[..equals]).ok()?, &body[equals + 1..]))
    };
    let (length, key, value) = record().context("a PAX record is malformed")?;
    *records = &records[length..];
    Ok(Some((key, value)))
}

fn read_extension(raw: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>> {
    let size = raw.size();
    ensure!(size <= EXTENSION, "a name or attribute of {size} bytes is too long (at most {EXTENSION})");
    let mut bytes = vec![];
    raw.read_to_end(&mut bytes).context("cannot read a long name")?;
    ensure!(bytes.len() as u64 == size, "the archive ends within a long name");
    Ok(bytes)
}

fn c_string(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

fn device(header: &tar::Header) -> Result<Device> {
    let number = |part: std::io::Result<Option<u32>>| part.ok().flatten().context("its device number");
    let device = Device { major: number(header.device_major())?, minor: number(header.device_minor())? };
    ensure!(
        device.major < 1 << 12 && device.minor < 1 << 20,
        "its device number {}:{} is too large",
        device.major,
        device.minor
    );
    Ok(device)
}

/// `1700000000.25` → whole seconds.
fn seconds(text: &str) -> Result<u32> {
    let whole = text.split('.').next().unwrap_or(text);
    Ok(clamp(whole.parse().context("PAX record mtime")?))
}

fn clamp(seconds: i64) -> u32 {
    seconds.clamp(0, u32::MAX.into()) as u32
}

/// `bytes` as people may see them on a terminal.
pub fn show(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
    format!("{text:?}")
}
