//! A session at a terminal, over a stream in memory.

use crate::fake::{Fake, web};
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use podling::console::outbox::ROOM;
use podling::console::session::Session;
use podling::console::stream::{Party, Turn};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

/// A serial line: what was typed and not yet read, what was printed, and how much more the reader takes (XOFF: none).
struct Line {
    typed: VecDeque<u8>,
    printed: Vec<u8>,
    room: usize,
}

impl ErrorType for Line {
    type Error = Infallible;
}
impl ReadReady for Line {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.typed.is_empty())
    }
}
impl WriteReady for Line {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.room > 0)
    }
}
impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let count = buffer.len().min(self.typed.len());
        for (to, from) in buffer.iter_mut().zip(self.typed.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }
}
impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let count = bytes.len().min(self.room);
        self.printed.extend_from_slice(&bytes[..count]);
        self.room -= count;
        Ok(count)
    }
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Desk {
    board: Rc<Fake>,
    session: Session,
    line: Line,
    wakes: Arc<Wakes>,
    waker: Waker,
}

impl Desk {
    fn new() -> Desk {
        let board = Fake::new(&[web()]);
        let wakes = Arc::new(Wakes::default());
        let mut desk = Desk {
            session: Session::new(board.clone()),
            board,
            line: Line { typed: VecDeque::new(), printed: Vec::new(), room: usize::MAX },
            waker: wakes.clone().into(),
            wakes,
        };
        desk.settle();
        desk
    }

    fn turn(&mut self) -> Turn {
        self.session.turn(&mut Context::from_waker(&self.waker), &mut self.line).unwrap()
    }

    /// Turns until there is nothing more to do without the world.
    fn settle(&mut self) {
        loop {
            let woken = self.wakes.0.load(Ordering::Relaxed);
            let before = (self.line.typed.len(), self.line.printed.len());
            let Turn::Wait { write, .. } = self.turn() else { panic!("the line has hung up") };
            let moved = before != (self.line.typed.len(), self.line.printed.len());
            let more = !self.line.typed.is_empty() || write && self.line.room > 0;
            if !moved && !more && woken == self.wakes.0.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// What is printed after some bytes have been typed.
    fn typed(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.line.typed.extend(bytes.as_ref());
        self.settle();
        self.printed()
    }

    fn printed(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.line.printed)).unwrap()
    }
}

#[test]
fn greets_prompts_and_answers() {
    let mut desk = Desk::new();
    let banner = desk.printed();
    assert!(banner.contains("\"help\" lists the verbs") && banner.ends_with("\r\nqemu# "), "{banner:?}");
    insta::assert_snapshot!(desk.typed("get pods\r").replace('\r', ""), @r"
    get pods
    NAME   READY   STATUS    RESTARTS   AGE
    web    2/2     Running   0          3m12s
    qemu#
    ");
    assert_eq!(desk.typed("gett\r"), "gett\r\nerror: unknown command \"gett\"; did you mean \"get\"?\r\nqemu# ");
    assert_eq!(desk.typed("\r \r"), "\r\nqemu#  \r\nqemu# ");
    assert_eq!(desk.typed("half\x03"), "half^C\r\nqemu# ");
    assert_eq!(desk.typed("\x04"), "");
    assert_eq!(desk.typed("logs w\t-c \t"), "logs web -c \r\npuller  server\r\nqemu# logs web -c ");
}

/// Ctrl-C ends what streams; what was typed meanwhile is not lost on the way, but a Ctrl-C takes it along.
#[test]
fn streams_are_interrupted() {
    let mut desk = Desk::new();
    desk.board.running.set(true);
    desk.printed();
    assert_eq!(desk.typed("logs web -c server -f\r"), "logs web -c server -f\r\n");
    desk.board.output.borrow_mut().push_back((false, b"tick\n".to_vec()));
    desk.board.change();
    assert_eq!(desk.typed("version\r"), "tick\r\n");
    assert_eq!(desk.typed("\x03"), "^C\r\nqemu# ");
    assert_eq!(desk.typed("logs web -c server -f\r"), "logs web -c server -f\r\n");
    assert_eq!(desk.typed("reboot\r"), "");
    desk.board.running.set(false);
    desk.board.change();
    desk.settle();
    let text = desk.printed();
    assert!(text.starts_with("qemu# reboot\r\nAll pods are being ended"), "{text:?}");
    assert_eq!(desk.board.asked.borrow().last().unwrap(), "Reboot");
}

/// Spec 77: a delete that waits for a pod that will not end can be left; the delete itself goes on.
#[test]
fn spec_77_waiting_can_be_left() {
    let mut desk = Desk::new();
    desk.printed();
    assert_eq!(desk.typed("delete pod web\r"), "delete pod web\r\npod \"web\" deleted\r\n");
    assert_eq!(desk.typed("\x03"), "^C\r\nqemu# ");
    assert_eq!(desk.board.asked.borrow().len(), 1);
}

/// The agent's log and what is being typed share the line.
#[test]
fn notices_do_not_break_the_line() {
    let mut desk = Desk::new();
    desk.printed();
    desk.typed("get po");
    desk.session.notice("warn: web: Back-off restarting failed container");
    desk.settle();
    let text = desk.printed();
    assert_eq!(
        text,
        format!("get po\r{}\rwarn: web: Back-off restarting failed container\r\nqemu# get po", " ".repeat(12))[6..]
    );
    assert!(desk.typed("ds\r").starts_with("ds\r\nNAME"));
}

/// Failure F12: held by XOFF, a session keeps no more than a bounded queue, and lets nobody wait but its own verb.
#[test]
fn f12_xoff() {
    let mut desk = Desk::new();
    desk.printed();
    desk.board.running.set(true);
    desk.line.room = 0;
    desk.typed("logs web -c server -f\r");
    for n in 0..10_000 {
        desk.board.output.borrow_mut().push_back((false, format!("{n:06} {}\n", "x".repeat(92)).into_bytes()));
    }
    desk.board.change();
    desk.settle();
    let left = desk.board.output.borrow().len();
    assert!(left > 9_900, "{left} of 10000 lines wait where they were");
    for _ in 0..10_000 {
        desk.session.notice("warn: noise");
        desk.line.typed.extend(b"abcdefgh");
        desk.settle();
    }
    desk.line.room = usize::MAX;
    desk.turn();
    let queued = desk.printed().len();
    assert!((ROOM..=4 * ROOM).contains(&queued), "{queued} bytes had been kept");
    assert_eq!(desk.typed("\x03").lines().last(), Some("qemu# "));
    desk.line.room = 0;
    desk.board.change();
    desk.settle();
    desk.line.room = usize::MAX;
    assert!(desk.typed("version\r").contains("Kernel"));
}

/// Failure F12: megabytes of noise leave a session that works.
#[test]
fn f12_noise() {
    let mut desk = Desk::new();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u8
    })
    .take(1 << 20)
    .collect();
    for part in noise.chunks(4096) {
        desk.line.typed.extend(part);
        desk.settle();
        desk.line.printed.clear();
    }
    desk.typed("\x03\x03");
    assert!(desk.typed("version\r").contains("Kernel"));
}

/// Between two keys nothing happens: no wake-up is asked for.
#[test]
fn idle_sessions_sleep() {
    let mut desk = Desk::new();
    desk.typed("get pods\r");
    let before = desk.wakes.0.load(Ordering::Relaxed);
    desk.board.change();
    assert_eq!(desk.wakes.0.load(Ordering::Relaxed), before, "nobody watches");
}
