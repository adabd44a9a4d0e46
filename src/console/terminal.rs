//! The terminal that somebody types at while a program in a container has it: its size, and the keys that leave the program.

use crate::manifest::terminal::Size;
use std::cell::Cell;
use std::future::poll_fn;
use std::prelude::v1::*;
use std::task::{Poll, Waker};

/// What is known of it.
#[derive(Default)]
pub struct Terminal {
    size: Cell<Size>,
    /// The size is another than the one that was told last.
    changed: Cell<bool>,
    watcher: Cell<Option<Waker>>,
}

impl Terminal {
    /// A terminal of that size.
    pub fn new(size: Size) -> Terminal {
        Terminal { size: Cell::new(size), ..Terminal::default() }
    }

    /// How large it is.
    pub fn size(&self) -> Size {
        self.size.get()
    }

    /// It has another size now.
    pub fn resize(&self, size: Size) {
        self.changed.set(self.changed.get() || self.size.replace(size) != size);
        if let Some(watcher) = self.watcher.take() {
            watcher.wake();
        }
    }

    /// Waits until it has another size, which it gives.
    pub async fn resized(&self) -> Size {
        poll_fn(|cx| {
            if self.changed.take() {
                return Poll::Ready(self.size.get());
            }
            self.watcher.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

const CTRL_P: u8 = 16;
const CTRL_Q: u8 = 17;

/// Ctrl-P and Ctrl-Q one after the other leave a program, as elsewhere; all else is its.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys {
    /// A Ctrl-P has come, and what follows it has not.
    held: bool,
}

impl Keys {
    /// What of the typed bytes is the program's, and whether what follows is not any more.
    pub fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len() + 1);
        for byte in typed {
            match (self.held, *byte) {
                (true, CTRL_Q) => return (passed, true),
                (true, CTRL_P) => passed.push(CTRL_P),
                (false, CTRL_P) => self.held = true,
                (held, byte) => {
                    passed.extend(held.then_some(CTRL_P));
                    passed.push(byte);
                    self.held = false;
                }
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_leave_are_found_and_nothing_else_is_lost() {
        let type_in = |pieces: &[&[u8]]| {
            let mut keys = Keys::default();
            let mut all = Vec::new();
            for piece in pieces {
                let (passed, left) = keys.pass(piece);
                all.extend(passed);
                if left {
                    return (all, true);
                }
            }
            (all, false)
        };
        assert_eq!(type_in(&[b"ab\x10\x11cd"]), (b"ab".to_vec(), true));
        assert_eq!(type_in(&[b"ab\x10", b"\x11cd"]), (b"ab".to_vec(), true), "in two pieces");
        assert_eq!(type_in(&[b"a\x10b\x11\x10\x10", b"c"]), (b"a\x10b\x11\x10\x10c".to_vec(), false));
        assert_eq!(type_in(&[b"\x10\x10\x11x"]), (b"\x10".to_vec(), true), "the last Ctrl-P counts");
    }

    #[test]
    fn a_new_size_is_told_once() {
        let terminal = Terminal::new(Size::default());
        let next = || smol::block_on(smol::future::poll_once(terminal.resized()));
        assert_eq!(next(), None);
        terminal.resize(Size::default());
        assert_eq!(next(), None, "it is the same");
        let large = Size { rows: 50, columns: 200 };
        terminal.resize(large);
        assert_eq!((next(), next()), (Some(large), None));
    }
}
