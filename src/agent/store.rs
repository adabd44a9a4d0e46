//! The two manifest slots on flash: the newest valid one is read, the other one is written, and a power cut harms neither.
//!
//! A slot holds a manifest file from its first byte; what follows the file is left over from older ones. The order of a write
//! is the whole safety: body, sync, header, sync. Until the header is there the slot holds an old header over a foreign body,
//! which its checksum tells, and the other slot is not touched. A slot whose write failed is not trusted again before a later
//! write of it has gone through: after a failed sync a read may show what never reached the flash.

use crate::machine::slot::{self, Next, Slot};
use crate::manifest::codec::{self, HEADER, Kind};
use crate::manifest::{check, limits};
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::string::String;
use std::vec::Vec;
use std::{fmt, format, io, vec};

/// Where the slots are: a block device or a plain file.
pub trait Flash {
    /// Fills `buffer` from `offset`.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all of `data` at `offset`.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Returns when everything written so far would survive a power cut.
    fn sync(&self) -> io::Result<()>;
}

impl Flash for File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        // Pages that could not be written are kept by the kernel as if they had been: ask the flash, not the cache.
        let _ = fadvise(self, offset, None, Advice::DontNeed);
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_all_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

/// The slots of one board.
#[derive(Debug)]
pub struct Store<F> {
    flash: F,
    slot_bytes: u32,
    class: String,
    dirty: [bool; 2],
}

/// What is on flash.
#[derive(Debug)]
pub struct Loaded {
    /// The newest valid manifest; `None` where there is none.
    pub manifest: Option<Stored>,
    /// What is wrong with each slot, A and B.
    pub faults: [Option<Error>; 2],
}

/// A manifest that came from flash: frame, class and body have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where it was.
    pub slot: Slot,
    /// Its number.
    pub sequence: u64,
    /// The whole file.
    bytes: Vec<u8>,
}

impl Stored {
    /// The whole file, header and body.
    pub fn file(&self) -> &[u8] {
        &self.bytes
    }

    /// The body alone: what [`crate::manifest::pod::Manifest`] is read from.
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER..]
    }
}

/// What is wrong with a slot, or with a manifest that is to go into one.
#[derive(Debug)]
pub enum Error {
    /// Nothing was ever written there.
    Empty,
    /// A write of it failed; it is not trusted before the next write.
    Dirty,
    /// The flash failed.
    Io {
        /// `read`, `write` or `sync`.
        action: &'static str,
        /// Of what.
        slot: Slot,
        /// How.
        source: io::Error,
    },
    /// Not a manifest, or a damaged one.
    Frame(codec::Error),
    /// A manifest for another class of boards (failure F29).
    Class {
        /// The class it is for.
        found: String,
        /// The class of this board.
        board: String,
    },
    /// Its body does not pass the check; in words.
    Body(String),
    /// More bytes than a slot has.
    TooBig {
        /// Bytes of the manifest.
        found: usize,
        /// Bytes of a slot.
        slot: u32,
    },
    /// It is signed, so its number stands, and that is not newer than what is on flash.
    Stale {
        /// Its number.
        found: u64,
        /// The number on flash.
        newest: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Empty => f.write_str("nothing was ever written there"),
            Error::Dirty => f.write_str("a write of it failed, so it is not trusted; write a manifest again"),
            Error::Io { action, slot, source } => {
                write!(
                    f,
                    "cannot {action} slot {slot:?}: {source}; if this comes again the flash is failing, replace it"
                )
            }
            Error::Frame(error) => error.fmt(f),
            Error::Class { found, board } => {
                write!(
                    f,
                    "the manifest is for boards of class {found}, and this board is {board}: build it with --board {board}"
                )
            }
            Error::Body(message) => f.write_str(message),
            Error::TooBig { found, slot } => {
                write!(
                    f,
                    "a manifest of {found} bytes does not fit a slot of {slot}: leave something out, or lay out larger slots"
                )
            }
            Error::Stale { found, newest } => {
                write!(
                    f,
                    "the signed manifest has sequence {found}, which is not newer than the {newest} on flash: sign it anew with a higher one"
                )
            }
        }
    }
}

impl std::error::Error for Error {}

impl<F: Flash> Store<F> {
    /// The slots on `flash`, each of `slot_bytes`, of a board of this class.
    pub fn new(flash: F, slot_bytes: u32, class: &str) -> Store<F> {
        Store { flash, slot_bytes, class: class.into(), dirty: [false; 2] }
    }

    /// The newest valid manifest, and what is wrong with the slots that hold none.
    pub fn load(&self) -> Loaded {
        // One after the other, so that no more than one manifest beside the newest is ever in memory.
        let (mut manifest, mut faults) = (None::<Stored>, [None, None]);
        for slot in Slot::BOTH {
            match self.read(slot) {
                Ok(stored) => {
                    let before = manifest.as_ref().map(|a| a.sequence);
                    if slot::newest([before, Some(stored.sequence)]) == Some(Slot::B) {
                        manifest = Some(stored);
                    }
                }
                Err(error) => faults[slot.index()] = Some(error),
            }
        }
        Loaded { manifest, faults }
    }

    /// Puts a manifest file into the slot that does not hold the newest one. When this returns `Ok` it is the newest, and stays
    /// so whatever happens to the power; where it returns an error the one before still counts.
    ///
    /// An unsigned manifest gets the next sequence number; a signed one must bring a newer one along.
    pub fn write(&mut self, file: &[u8]) -> Result<Next, Error> {
        let (header, body) = self.check(file)?;
        let sequences = Slot::BOTH.map(|slot| self.read(slot).ok().map(|stored| stored.sequence));
        let mut next = slot::next(sequences);
        let head = if header.is_signed() {
            if let Some(newest) = slot::newest(sequences).and_then(|slot| sequences[slot.index()])
                && !slot::is_newer(header.sequence, newest)
            {
                return Err(Error::Stale { found: header.sequence, newest });
            }
            next.sequence = header.sequence;
            file[..HEADER].try_into().unwrap_or([0; HEADER])
        } else {
            codec::seal(Kind::Manifest, header.class, next.sequence, body).map_err(Error::Frame)?
        };
        self.put(next.slot, &head, body)?;
        Ok(next)
    }

    fn put(&mut self, slot: Slot, header: &[u8; HEADER], body: &[u8]) -> Result<(), Error> {
        let failed = |action| move |source| Error::Io { action, slot, source };
        let offset = self.offset(slot);
        self.dirty[slot.index()] = true;
        self.flash.write_at(offset + HEADER as u64, body).map_err(failed("write"))?;
        self.flash.sync().map_err(failed("sync"))?;
        self.flash.write_at(offset, header).map_err(failed("write"))?;
        self.flash.sync().map_err(failed("sync"))?;
        self.dirty[slot.index()] = false;
        Ok(())
    }

    /// The manifest in a slot, if it is one for this board.
    fn read(&self, slot: Slot) -> Result<Stored, Error> {
        if self.dirty[slot.index()] {
            return Err(Error::Dirty);
        }
        let failed = |source| Error::Io { action: "read", slot, source };
        let mut head = [0; HEADER];
        self.flash.read_at(self.offset(slot), &mut head).map_err(failed)?;
        if head.iter().all(|byte| *byte == 0) || head.iter().all(|byte| *byte == 0xff) {
            return Err(Error::Empty);
        }
        let header = codec::header(&head, Kind::Manifest).map_err(Error::Frame)?;
        let (sequence, length) = (header.sequence, HEADER + header.body_len);
        self.check_size(length)?;
        let mut bytes = vec![0; length];
        self.flash.read_at(self.offset(slot), &mut bytes).map_err(failed)?;
        self.check(&bytes)?;
        Ok(Stored { slot, sequence, bytes })
    }

    /// Everything about a manifest file that does not depend on where it is.
    fn check<'a>(&self, file: &'a [u8]) -> Result<(codec::Header<'a>, &'a [u8]), Error> {
        let (header, body) = codec::open(file, Kind::Manifest).map_err(Error::Frame)?;
        self.check_size(file.len())?;
        if header.class != self.class {
            return Err(Error::Class { found: header.class.into(), board: self.class.clone() });
        }
        check::manifest(body).map_err(|error| Error::Body(format!("{error}")))?;
        Ok((header, body))
    }

    fn check_size(&self, found: usize) -> Result<(), Error> {
        let room = usize::try_from(self.slot_bytes).unwrap_or(usize::MAX).min(limits::MANIFEST);
        if found <= room { Ok(()) } else { Err(Error::TooBig { found, slot: self.slot_bytes }) }
    }

    fn offset(&self, slot: Slot) -> u64 {
        slot.index() as u64 * u64::from(self.slot_bytes)
    }
}

#[cfg(test)]
mod tests;
