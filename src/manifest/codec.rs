//! The frame around every binary file: magic, version, board class, sequence, length, checksums, room for a signature.
//!
//! A file is a header of [`HEADER`] bytes and the body, with nothing behind it. All numbers are little-endian:
//!
//! | bytes  | what                                                                      |
//! |--------|---------------------------------------------------------------------------|
//! | 0–7    | magic, one for each [`Kind`]                                              |
//! | 8–9    | version of header and body, [`VERSION`]                                   |
//! | 10–11  | zero                                                                      |
//! | 12–15  | bytes of the body                                                         |
//! | 16–23  | sequence: of two manifests in the slots of one board the newer one wins   |
//! | 24–55  | board class in ASCII, zero padded; empty in an image record               |
//! | 56–59  | CRC32C of the body                                                        |
//! | 60–63  | CRC32C of the 124 other bytes of the header                               |
//! | 64–127 | signature over bytes 0–59 and the body (ed25519); zero where it is unsigned |
//!
//! Magic, version and the header's checksum stay in their places for ever, so that each program can name what it is too old for.
//!
//! Versions: 1, the first; 2, an image record says its platform, a container its probes and
//! postStart hook.

use super::limits;
use core::fmt;
use crc::{CRC_32_ISCSI, Crc};
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

/// The version of header and bodies. Raised with every change of a type that is encoded, and said in the list above.
pub const VERSION: u16 = 2;

/// Bytes of the header.
pub const HEADER: usize = 128;

const CLASS: core::ops::Range<usize> = 24..24 + limits::BOARD_CLASS;
const SIGNED: core::ops::Range<usize> = 0..60;
const SIGNATURE: core::ops::Range<usize> = 64..HEADER;

/// One table of 1 KiB: five times as fast as none, and 1 MiB takes a slow board a few milliseconds.
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`super::pod::Manifest`]: the pods of a board.
    Manifest,
    /// [`super::image::Image`]: the record of an image.
    Image,
    /// [`super::board::Board`]: the facts of a board.
    Board,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Manifest, Kind::Image, Kind::Board];

    const fn magic(self) -> &'static [u8; 8] {
        match self {
            Kind::Manifest => b"podlingM",
            Kind::Image => b"podlingI",
            Kind::Board => b"podlingB",
        }
    }

    /// The most bytes that a file of this kind may have, header included.
    pub const fn limit(self) -> usize {
        match self {
            Kind::Manifest => limits::MANIFEST,
            Kind::Image => limits::IMAGE_RECORD,
            Kind::Board => limits::BOARD,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Manifest => "podling manifest",
            Kind::Image => "podling image record",
            Kind::Board => "podling board record",
        })
    }
}

/// A header that has been checked: its own checksum, version and bounds hold. The body is still to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// What the file is.
    pub kind: Kind,
    /// The format's version.
    pub version: u16,
    /// Which of two manifests is the newer one.
    pub sequence: u64,
    /// The class of boards that it is for; empty in an image record.
    pub class: &'a str,
    /// Bytes of the body.
    pub body_len: usize,
    /// CRC32C of the body.
    pub body_crc: u32,
    /// All zero where it is unsigned.
    pub signature: &'a [u8; 64],
}

impl Header<'_> {
    /// Whether there is a signature. Whether it is a good one is not known here.
    pub fn is_signed(&self) -> bool {
        self.signature.iter().any(|byte| *byte != 0)
    }

    /// Whether `body` is, byte for byte, the one that this header was made for.
    pub fn check_body(&self, body: &[u8]) -> Result<(), Error> {
        if body.len() != self.body_len {
            return Err(Error::Length { expected: HEADER + self.body_len, found: HEADER + body.len() });
        }
        if CRC.checksum(body) != self.body_crc {
            return Err(Error::BodyChecksum);
        }
        Ok(())
    }
}

/// Why bytes are not a file of the kind that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Shorter than a header.
    TooShort {
        /// Bytes there are.
        found: usize,
    },
    /// Not one of podling's files.
    Foreign {
        /// What was asked for.
        wanted: Kind,
    },
    /// One of podling's files, but another one.
    Kind {
        /// What was asked for.
        wanted: Kind,
        /// What it is.
        found: Kind,
    },
    /// The header's checksum does not match.
    HeaderChecksum,
    /// Written by a program that is newer (or one that never was).
    Version {
        /// Its version.
        found: u16,
    },
    /// The header's checksum matches, but a field of it cannot be so.
    Header(&'static str),
    /// More bytes than a file of this kind may have.
    TooLong {
        /// Bytes it has.
        found: usize,
        /// Bytes it may have.
        limit: usize,
    },
    /// Cut off, or something follows it.
    Length {
        /// Bytes the header speaks of.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The body's checksum does not match.
    BodyChecksum,
    /// The body does not decode.
    Malformed,
    /// Something follows the encoded value.
    Trailing,
    /// Decodes, but is not the one encoding of its value.
    NotCanonical,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let damaged = "it was damaged on the way or on flash; write it again";
        let miswritten = "the program that wrote it is at fault; build it again with this version of podling";
        match self {
            Error::TooShort { found } => {
                write!(f, "{found} bytes are less than a header of {HEADER}: the file is cut off; write it again")
            }
            Error::Foreign { wanted } => {
                write!(f, "not a {wanted}: it does not begin with one's magic; is this the right file?")
            }
            Error::Kind { wanted, found } => write!(f, "this is a {found}, not a {wanted}; is this the right file?"),
            Error::HeaderChecksum => write!(f, "the header's checksum does not match: {damaged}"),
            Error::Version { found } if *found > VERSION => {
                write!(
                    f,
                    "format version {found} is newer than this program, which reads {VERSION}: update podling, or build it with an older one"
                )
            }
            Error::Version { found: found @ 1.. } => {
                write!(
                    f,
                    "format version {found} is older than this program, which reads {VERSION}: build or pack it again with this version of podling"
                )
            }
            Error::Version { found } => {
                write!(f, "format version {found} was never in use; this program reads {VERSION}: {miswritten}")
            }
            Error::Header(what) => write!(f, "the header's {what}: {miswritten}"),
            Error::TooLong { found, limit } => {
                write!(f, "{found} bytes are more than the limit of {limit}: leave something out")
            }
            Error::Length { expected, found } if found < expected => {
                write!(f, "{found} bytes where the header speaks of {expected}: the file is cut off; write it again")
            }
            Error::Length { expected, found } => {
                write!(f, "{} bytes follow the {expected} that the header speaks of: write it again", found - expected)
            }
            Error::BodyChecksum => write!(f, "the body's checksum does not match: {damaged}"),
            Error::Malformed => write!(f, "the encoding is broken: {miswritten}"),
            Error::Trailing => write!(f, "bytes follow the encoded value: {miswritten}"),
            Error::NotCanonical => write!(f, "the encoding is not the shortest one: {miswritten}"),
        }
    }
}

impl core::error::Error for Error {}

/// The unsigned header for `body`. An image record is for no class: it is empty.
pub fn seal(kind: Kind, class: &str, sequence: u64, body: &[u8]) -> Result<[u8; HEADER], Error> {
    check_class(kind, class)?;
    let found = HEADER.saturating_add(body.len());
    if found > kind.limit() {
        return Err(Error::TooLong { found, limit: kind.limit() });
    }
    let mut header = [0; HEADER];
    header[0..8].copy_from_slice(kind.magic());
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(body.len() as u32).to_le_bytes());
    header[16..24].copy_from_slice(&sequence.to_le_bytes());
    header[CLASS][..class.len()].copy_from_slice(class.as_bytes());
    header[56..60].copy_from_slice(&CRC.checksum(body).to_le_bytes());
    let checksum = header_checksum(&header);
    header[60..64].copy_from_slice(&checksum.to_le_bytes());
    Ok(header)
}

/// The header and the body of a whole file: both checksums hold and nothing follows.
pub fn open(bytes: &[u8], kind: Kind) -> Result<(Header<'_>, &[u8]), Error> {
    let Some((head, body)) = bytes.split_first_chunk() else {
        return Err(Error::TooShort { found: bytes.len() });
    };
    let header = header(head, kind)?;
    header.check_body(body)?;
    Ok((header, body))
}

/// The header alone, for a reader that does not yet know how much to read.
pub fn header(bytes: &[u8; HEADER], kind: Kind) -> Result<Header<'_>, Error> {
    if bytes[0..8] != *kind.magic() {
        let other = Kind::ALL.into_iter().find(|other| bytes[0..8] == *other.magic());
        return Err(other.map_or(Error::Foreign { wanted: kind }, |found| Error::Kind { wanted: kind, found }));
    }
    if u32_at(bytes, 60) != header_checksum(bytes) {
        return Err(Error::HeaderChecksum);
    }
    let version = u16_at(bytes, 8);
    if version != VERSION {
        return Err(Error::Version { found: version });
    }
    if u16_at(bytes, 10) != 0 {
        return Err(Error::Header("reserved bytes are not zero"));
    }
    let body_len = u32_at(bytes, 12) as usize;
    let found = HEADER.saturating_add(body_len);
    if found > kind.limit() {
        return Err(Error::TooLong { found, limit: kind.limit() });
    }
    let padded = &bytes[CLASS];
    let (class, padding) = padded.split_at(padded.iter().position(|byte| *byte == 0).unwrap_or(padded.len()));
    let class = core::str::from_utf8(class).map_err(|_| Error::Header("board class is not ASCII"))?;
    check_class(kind, class)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(Error::Header("board class is not zero padded"));
    }
    Ok(Header {
        kind,
        version,
        sequence: u64::from(u32_at(bytes, 16)) | u64::from(u32_at(bytes, 20)) << 32,
        class,
        body_len,
        body_crc: u32_at(bytes, 56),
        signature: bytes[SIGNATURE].try_into().unwrap_or(&[0; 64]),
    })
}

/// The one value in `body`, in its one encoding.
///
/// Lists in it are still unread: [`super::check`] walks them.
pub fn decode<'a, T: Deserialize<'a> + Serialize>(body: &'a [u8]) -> Result<T, Error> {
    match take(body)? {
        (value, []) => Ok(value),
        _ => Err(Error::Trailing),
    }
}

/// The first value in `bytes`, in its one encoding of at least one byte, and the bytes behind it.
pub fn take<'a, T: Deserialize<'a> + Serialize>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), Error> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes).map_err(|_| Error::Malformed)?;
    let taken = &bytes[..bytes.len() - rest.len()];
    if taken.is_empty() {
        return Err(Error::NotCanonical);
    }
    postcard::serialize_with_flavor(&value, Compare { expected: taken }).map_err(|_| Error::NotCanonical)?;
    Ok((value, rest))
}

/// A sink that stores nothing: it fails at the first byte that differs from what was read.
struct Compare<'a> {
    expected: &'a [u8],
}

impl Flavor for Compare<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.expected = self.expected.strip_prefix(data).ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn finalize(self) -> postcard::Result<()> {
        if self.expected.is_empty() { Ok(()) } else { Err(postcard::Error::SerializeBufferFull) }
    }
}

/// A number for what a value says (FNV-1a): two that say the same have the same one, two that do not hardly ever.
pub fn digest<T: Serialize>(value: &T) -> u64 {
    postcard::serialize_with_flavor(value, Fnv(0xcbf2_9ce4_8422_2325)).unwrap_or_default()
}

struct Fnv(u64);

impl Flavor for Fnv {
    type Output = u64;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<u64> {
        Ok(self.0)
    }
}

/// A class is typed on command lines and names a directory below `boards/`.
pub(super) fn is_class(class: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    (1..=limits::BOARD_CLASS).contains(&class.len()) && class.bytes().all(legal)
}

/// Manifests and board records name a class; an image is for all boards.
fn check_class(kind: Kind, class: &str) -> Result<(), Error> {
    match kind {
        Kind::Image if !class.is_empty() => Err(Error::Header("board class is not empty, as it is in an image record")),
        Kind::Manifest | Kind::Board if !is_class(class) => {
            Err(Error::Header("board class is not a name of 1 to 32 of a-z, 0-9, '-', '_' and '.'"))
        }
        _ => Ok(()),
    }
}

fn header_checksum(header: &[u8; HEADER]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&header[SIGNED]);
    digest.update(&header[SIGNATURE]);
    digest.finalize()
}

fn u16_at(bytes: &[u8; HEADER], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8; HEADER], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

#[cfg(test)]
mod tests;
