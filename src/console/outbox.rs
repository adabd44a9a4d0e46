//! Output on its way to a terminal or a client: bounded, so that whoever does not read holds up only what writes to it.

use super::wire::{self, Kind};
use embedded_io::{Write, WriteReady};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::prelude::v1::*;
use std::task::{Poll, Waker};

/// Bytes that may wait before a writer has to.
pub const ROOM: usize = 4 * 1024;
/// Bytes of one piece of a longer output.
const PIECE: usize = 1024;

/// How the bytes are to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For a terminal in raw mode: a line feed needs a carriage return.
    Terminal,
    /// In frames.
    Frames,
}

/// The queue. Its writers wait for room; echo and log lines do not, and are dropped when it has run over.
pub struct Outbox {
    style: Style,
    queue: RefCell<Vec<u8>>,
    /// The terminal's cursor is at the start of a line.
    fresh: Cell<bool>,
    /// The terminal is a program's.
    lent: Cell<bool>,
    writer: Cell<Option<Waker>>,
}

impl Outbox {
    /// An empty one.
    pub fn new(style: Style) -> Outbox {
        let (queue, lent, writer) = Default::default();
        Outbox { style, queue, fresh: Cell::new(true), lent, writer }
    }

    /// Writes all of `bytes`, as [`Kind::Out`] or [`Kind::Err`], as the reader makes room.
    pub async fn write(&self, kind: Kind, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            self.room().await;
            self.put(kind, piece);
        }
    }

    /// Waits for room. There is one writer at a time.
    async fn room(&self) {
        poll_fn(|cx| {
            if self.queue.borrow().len() < ROOM {
                return Poll::Ready(());
            }
            self.writer.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Adds a piece without waiting; drops it where the queue has run over by far.
    pub fn put(&self, kind: Kind, bytes: &[u8]) {
        match self.style {
            Style::Frames if self.fits(bytes) => wire::encode(kind, bytes, &mut self.queue.borrow_mut()),
            Style::Terminal if self.fits(bytes) => {
                let mut queue = self.queue.borrow_mut();
                for byte in bytes {
                    if *byte == b'\n' && !self.lent.get() {
                        queue.push(b'\r');
                    }
                    queue.push(*byte);
                }
                self.fresh.set(bytes.last().map_or(self.fresh.get(), |last| *last == b'\n'));
            }
            Style::Frames | Style::Terminal => {}
        }
    }

    /// Adds what the line editor has to say, as it is.
    pub fn echo(&self, bytes: &[u8]) {
        if self.fits(bytes) {
            self.queue.borrow_mut().extend_from_slice(bytes);
        }
    }

    fn fits(&self, bytes: &[u8]) -> bool {
        self.queue.borrow().len() + bytes.len() <= 4 * ROOM
    }

    /// The cursor is at the start of a line.
    pub fn is_fresh(&self) -> bool {
        self.fresh.get()
    }

    /// Lends the terminal to a program, whose bytes then pass as they are, until what this gives is dropped.
    pub fn lend(&self) -> Lent<'_> {
        self.hand_over(true);
        Lent(self)
    }

    /// Whether a program has the terminal.
    pub fn is_lent(&self) -> bool {
        self.lent.get()
    }

    /// Never left out, however full the queue is.
    fn hand_over(&self, lent: bool) {
        self.lent.set(lent);
        if self.style == Style::Frames {
            wire::encode(Kind::Terminal, &[u8::from(lent)], &mut self.queue.borrow_mut());
        }
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Forgets what waits: the one who interrupts a long output does not want the rest of it. Frames stay, or the rest
    /// would be misread.
    pub fn discard(&self) {
        if self.style == Style::Terminal {
            self.queue.borrow_mut().clear();
        }
    }

    /// Gives the stream as much as it takes.
    pub fn drain<S: Write + WriteReady>(&self, stream: &mut S) -> Result<(), S::Error> {
        let mut queue = self.queue.borrow_mut();
        let mut written = 0;
        while written < queue.len() && stream.write_ready()? {
            match stream.write(&queue[written..])? {
                0 => break,
                count => written += count,
            }
        }
        queue.drain(..written);
        if queue.len() < ROOM
            && let Some(writer) = self.writer.take()
        {
            writer.wake();
        }
        Ok(())
    }
}

/// A terminal that is a program's, for as long as this is there.
pub struct Lent<'a>(&'a Outbox);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.hand_over(false);
    }
}
