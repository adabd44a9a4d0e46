//! The bounded output ring of a container: two segment files in memory, the older one emptied when the newer one is full.
//!
//! A segment is a 16-byte head (magic, sequence) and records: a 16-byte [`Head`] and the bytes of one read from a pipe. pod-init writes
//! with [`Writer`], by splice, so that no byte of output passes through its own memory; anybody else reads with [`Reader`], also while
//! it is written. A record's bytes are there before its head, and a segment's sequence before its records; a reader that is overtaken
//! sees the sequence change and goes on with the oldest output that there still is.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{fstat, ftruncate};
use rustix::io::{Errno, Result, pread, pwrite, read};
use rustix::pipe::{SpliceFlags, splice};
use rustix::time::{ClockId, clock_gettime};

/// The most bytes of one record.
pub const RECORD: usize = 16 * 1024;

const MAGIC: [u8; 8] = *b"podlog1\n";
const HEAD: u64 = 16;

/// Which of a container's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out = 1,
    /// Standard error.
    Err = 2,
}

/// What is written before the bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    time: u64,
    instance: u32,
    length: u16,
    stream: Stream,
    lost: bool,
}

impl Head {
    fn to_bytes(self) -> [u8; HEAD as usize] {
        let mut bytes = [0; HEAD as usize];
        bytes[..8].copy_from_slice(&self.time.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.instance.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.length.to_le_bytes());
        bytes[14] = self.stream as u8;
        bytes[15] = u8::from(self.lost);
        bytes
    }

    /// `None` where none has been written yet.
    fn from_bytes(bytes: [u8; HEAD as usize]) -> Option<Head> {
        let [t0, t1, t2, t3, t4, t5, t6, t7, i0, i1, i2, i3, l0, l1, stream, lost] = bytes;
        let stream = match stream {
            1 => Stream::Out,
            2 => Stream::Err,
            _ => return None,
        };
        let time = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
        let length = u16::from_le_bytes([l0, l1]);
        Some(Head { time, instance: u32::from_le_bytes([i0, i1, i2, i3]), length, stream, lost: lost != 0 })
    }
}

/// The sequence of a segment; 0 where it is not one (yet). The first is 1.
fn sequence(segment: &OwnedFd) -> Result<u64> {
    let mut head = [0; HEAD as usize];
    let whole = pread(segment, &mut head, 0)? == head.len();
    let [m0, m1, m2, m3, m4, m5, m6, m7, s0, s1, s2, s3, s4, s5, s6, s7] = head;
    let valid = whole && [m0, m1, m2, m3, m4, m5, m6, m7] == MAGIC;
    Ok(if valid { u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]) } else { 0 })
}

/// pod-init's side.
#[derive(Debug)]
pub struct Writer {
    segments: [OwnedFd; 2],
    active: usize,
    sequence: u64,
    offset: u64,
    half: u64,
    lost: bool,
}

/// What one turn on a pipe came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Some output was taken; there may be more.
    Some,
    /// There is none now.
    Empty,
    /// Nobody holds the writing end any more.
    End,
}

impl Writer {
    /// Goes on after what is in the segments already. `half` is the most bytes of one of them.
    pub fn open(segments: [OwnedFd; 2], half: u64) -> Result<Writer> {
        let sequences = [sequence(&segments[0])?, sequence(&segments[1])?];
        let active = usize::from(sequences[1] > sequences[0]);
        let sequence = sequences[active];
        let offset = fstat(&segments[active])?.st_size as u64;
        let mut writer = Writer { segments, active, sequence, offset, half: half.max(2 * RECORD as u64), lost: false };
        if sequence == 0 {
            writer.turn()?;
        }
        Ok(writer)
    }

    /// Empties the other segment and goes on there.
    fn turn(&mut self) -> Result<()> {
        let next = 1 - self.active;
        ftruncate(&self.segments[next], 0)?;
        let mut head = [0; HEAD as usize];
        head[..8].copy_from_slice(&MAGIC);
        head[8..].copy_from_slice(&(self.sequence + 1).to_le_bytes());
        pwrite(&self.segments[next], &head, 0)?;
        (self.active, self.sequence, self.offset) = (next, self.sequence + 1, HEAD);
        Ok(())
    }

    /// Takes at most one record from a pipe. Where the segments' file system is full the output is dropped and that is noted: a
    /// container is never held up by its log.
    pub fn drain(&mut self, pipe: impl AsFd, stream: Stream, instance: u32) -> Drained {
        if self.offset + HEAD + RECORD as u64 > self.half && self.turn().is_err() {
            return self.drop_some(pipe);
        }
        let mut end = self.offset + HEAD;
        let file = &self.segments[self.active];
        let length = match splice(&pipe, None, file, Some(&mut end), RECORD, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)
        {
            Ok(0) => return Drained::End,
            Ok(length) => length,
            Err(Errno::AGAIN | Errno::INTR) => return Drained::Empty,
            // A terminal is no pipe, so its output takes the way over a buffer.
            Err(Errno::INVAL) => match copy(&pipe, file, end) {
                Ok(0) | Err(Errno::IO) => return Drained::End,
                Ok(length) => length,
                Err(Errno::AGAIN | Errno::INTR) => return Drained::Empty,
                Err(_) => {
                    self.lost = true;
                    return self.drop_some(pipe);
                }
            },
            Err(_) => return self.drop_some(pipe),
        };
        let now = clock_gettime(ClockId::Realtime);
        let time = (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64);
        let head = Head { time, instance, length: length as u16, stream, lost: self.lost };
        if pwrite(file, &head.to_bytes(), self.offset) == Ok(HEAD as usize) {
            self.lost = false;
            self.offset += HEAD + length as u64;
        } else {
            self.lost = true;
        }
        Drained::Some
    }

    /// Out of line, so that its buffer is no part of the stack that every turn touches.
    #[cold]
    #[inline(never)]
    fn drop_some(&mut self, pipe: impl AsFd) -> Drained {
        let mut nowhere = [0; 4096];
        match read(pipe, &mut nowhere) {
            Ok(0) => Drained::End,
            Ok(_) => {
                self.lost = true;
                Drained::Some
            }
            Err(_) => Drained::Empty,
        }
    }
}

/// Takes what a terminal has, at most as much as it holds for one reader. Out of line, as [`Writer::drop_some`] is; what the file
/// does not take is lost, and the record is no longer than what it did.
#[cold]
#[inline(never)]
fn copy(terminal: impl AsFd, file: &OwnedFd, at: u64) -> Result<usize> {
    let mut bytes = [0; 4096];
    let length = read(terminal, &mut bytes)?;
    pwrite(file, &bytes[..length], at)
}

/// A place in the output of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    sequence: u64,
    offset: u64,
    /// Bytes of the record there that are not wanted.
    skip: usize,
}

/// A piece of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'b> {
    /// When it was read: nanoseconds since 1970, by the wall clock as it was then.
    pub time: u64,
    /// The instance of the container that wrote it.
    pub instance: u32,
    /// Where it was written to.
    pub stream: Stream,
    /// Output before this was lost: overwritten before it was read, or dropped for want of space.
    pub lost: bool,
    /// The bytes; lines may go on in the next record of the same stream.
    pub bytes: &'b [u8],
}

/// Anybody else's side.
#[derive(Debug)]
pub struct Reader {
    segments: [OwnedFd; 2],
}

impl Reader {
    /// Reads the two segments, in either order.
    pub fn new(segments: [OwnedFd; 2]) -> Reader {
        Reader { segments }
    }

    /// The segments, to be watched for changes.
    pub fn segments(&self) -> &[OwnedFd; 2] {
        &self.segments
    }

    /// The oldest output that there is.
    pub fn oldest(&self) -> Result<Position> {
        let [a, b] = [sequence(&self.segments[0])?, sequence(&self.segments[1])?];
        let oldest = if a == 0 || (b != 0 && b < a) { b } else { a };
        Ok(Position { sequence: oldest.max(1), offset: HEAD, skip: 0 })
    }

    /// The place behind all output that there is.
    pub fn end(&self, buffer: &mut [u8; RECORD]) -> Result<Position> {
        let mut at = self.oldest()?;
        while self.next(&mut at, buffer)?.is_some() {}
        Ok(at)
    }

    /// The record at a place, which moves behind it; `None` where there is none yet.
    pub fn next<'b>(&self, at: &mut Position, buffer: &'b mut [u8; RECORD]) -> Result<Option<Record<'b>>> {
        let mut lost = false;
        let (head, skip) = loop {
            let sequences = [sequence(&self.segments[0])?, sequence(&self.segments[1])?];
            let Some(index) = sequences.iter().position(|s| *s == at.sequence) else {
                // Overwritten, or nothing written yet.
                let Some(oldest) = sequences.into_iter().filter(|s| *s > at.sequence).min() else { return Ok(None) };
                (*at, lost) = (Position { sequence: oldest, offset: HEAD, skip: 0 }, true);
                continue;
            };
            let segment = &self.segments[index];
            let Some(head) = self.head(segment, at.offset)? else {
                // The writer turns only after its last record: if it has turned, look once more before following it.
                if sequences[1 - index] != at.sequence + 1 {
                    return Ok(None);
                }
                // Unless the end is only that of the segment's emptying, which its sequence tells.
                if self.head(segment, at.offset)?.is_none() && sequence(segment)? == at.sequence {
                    *at = Position { sequence: at.sequence + 1, offset: HEAD, skip: 0 };
                }
                continue;
            };
            let length = usize::from(head.length).min(RECORD);
            let read = pread(segment, &mut buffer[..length], at.offset + HEAD)?;
            if read == length && sequence(segment)? == at.sequence {
                let skip = at.skip.min(length);
                *at = Position { sequence: at.sequence, offset: at.offset + HEAD + u64::from(head.length), skip: 0 };
                break (head, skip);
            }
        };
        let bytes = &buffer[skip..usize::from(head.length).min(RECORD)];
        Ok(Some(Record {
            time: head.time,
            instance: head.instance,
            stream: head.stream,
            lost: lost || head.lost,
            bytes,
        }))
    }

    fn head(&self, segment: &OwnedFd, offset: u64) -> Result<Option<Head>> {
        let mut bytes = [0; HEAD as usize];
        let whole = pread(segment, &mut bytes, offset)? == bytes.len();
        Ok(if whole { Head::from_bytes(bytes) } else { None })
    }

    /// The place from which on there are `lines` lines of the wanted instances.
    pub fn tail(&self, lines: u64, wanted: impl Fn(u32) -> bool, buffer: &mut [u8; RECORD]) -> Result<Position> {
        let (mut all, mut open) = (0_u64, false);
        let mut at = self.oldest()?;
        while let Some(record) = self.next(&mut at, buffer)? {
            if wanted(record.instance) {
                all += record.bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                open = record.bytes.last().is_some_and(|byte| *byte != b'\n');
            }
        }
        let mut unwanted = (all + u64::from(open)).saturating_sub(lines);
        let mut at = self.oldest()?;
        let mut before = at;
        while unwanted > 0 {
            let Some(record) = self.next(&mut at, buffer)? else { break };
            if wanted(record.instance) {
                for (n, _) in record.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
                    unwanted -= 1;
                    if unwanted == 0 {
                        // `before` may name an overwritten record by now; then reading goes on with the oldest, as everywhere.
                        return Ok(Position { skip: n + 1, ..before });
                    }
                }
            }
            before = at;
        }
        Ok(before)
    }
}
