//! The agent's log on its way to the console: a bounded queue that a session empties, or standard error where there is none.

use crate::manifest::limits;
use log::{LevelFilter, Log, Metadata, Record};
use std::collections::VecDeque;
use std::format;
use std::io::Write;
use std::prelude::v1::*;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Lines that wait for a slow terminal; later ones are counted and dropped.
const LINES: usize = 64;

struct Queue {
    lines: VecDeque<String>,
    dropped: u64,
    /// The session that shows the lines.
    session: Option<Waker>,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { lines: VecDeque::new(), dropped: 0, session: None });

struct Logger;

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut line = format!("{}: {}", record.level().as_str().to_ascii_lowercase(), record.args());
        if line.len() > 2 * limits::MESSAGE {
            let cut = (0..=2 * limits::MESSAGE).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            line.truncate(cut);
        }
        let mut queue = queue();
        let Some(session) = queue.session.clone() else {
            let _ = writeln!(std::io::stderr(), "{line}");
            return;
        };
        if queue.lines.len() < LINES {
            queue.lines.push_back(line);
        } else {
            queue.dropped += 1;
        }
        drop(queue);
        session.wake();
    }

    fn flush(&self) {}
}

/// Sends the log of this process here, from `level` on. Further calls change the level only.
pub fn install(level: LevelFilter) {
    let _ = log::set_logger(&Logger);
    log::set_max_level(level);
}

/// Gives the waiting lines to a session, which is woken for the next ones.
pub(super) fn take(cx: &Context<'_>, each: &mut dyn FnMut(&str)) {
    let (lines, dropped) = {
        let mut queue = queue();
        queue.session = Some(cx.waker().clone());
        (std::mem::take(&mut queue.lines), std::mem::take(&mut queue.dropped))
    };
    lines.iter().for_each(|line| each(line));
    if dropped > 0 {
        each(&format!("warn: {dropped} lines of the log were dropped: the console was too slow for them"));
    }
}

/// A session that shows the log; after it the log goes to standard error again.
pub(super) struct Attached;

impl Drop for Attached {
    fn drop(&mut self) {
        queue().session = None;
    }
}
