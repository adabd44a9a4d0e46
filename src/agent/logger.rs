//! The log of init and agent: lines with the seconds since boot, as the kernel's own have them, for whoever shows them.
//!
//! That is the session on the serial line, once there is one: it empties a bounded queue. Before and after, it is standard error,
//! which init has put on the same line.

use crate::manifest::limits;
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::fmt::Arguments;
use std::format;
use std::io::{IsTerminal, Write};
use std::prelude::v1::*;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Lines that wait for a slow terminal; later ones are counted and dropped.
const LINES: usize = 64;
/// Bytes of such a line: what belongs to an event, around its text.
const LINE: usize = 2 * limits::MESSAGE;

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

/// One line of the log, without its end.
fn line(level: Level, what: Arguments<'_>) -> String {
    let now = clock_gettime(ClockId::Boottime);
    let mark = match level {
        Level::Error => "error: ",
        Level::Warn => "warning: ",
        _ => "",
    };
    format!("[{:5}.{:06}] podling: {mark}{what}", now.tv_sec, now.tv_nsec / 1000)
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut line = line(record.level(), *record.args());
        let mut queue = queue();
        let Some(session) = queue.session.clone() else {
            let mut stderr = std::io::stderr();
            // With a carriage return, for a session of an agent before this one may have left the line raw.
            line.push_str(if stderr.is_terminal() { "\r\n" } else { "\n" });
            // In one write, so that lines of two processes do not mix. Where there is no console there is nobody to tell.
            let _ = stderr.write_all(line.as_bytes());
            return;
        };
        if queue.lines.len() < LINES {
            line.truncate((0..=LINE).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0));
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
pub fn take(cx: &Context<'_>, each: &mut dyn FnMut(&str)) {
    let (lines, dropped) = {
        let mut queue = queue();
        queue.session = Some(cx.waker().clone());
        (std::mem::take(&mut queue.lines), std::mem::take(&mut queue.dropped))
    };
    lines.iter().for_each(|line| each(line));
    if dropped > 0 {
        let what = format_args!("{dropped} lines of the log were dropped: the console was too slow for them");
        each(&line(Level::Warn, what));
    }
}

/// A session that shows the log; after it the log goes to standard error again.
#[derive(Debug)]
pub struct Attached;

impl Drop for Attached {
    fn drop(&mut self) {
        queue().session = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_kernels_own_but_for_the_name() {
        for (level, mark) in [(Level::Info, ""), (Level::Warn, "warning: "), (Level::Error, "error: ")] {
            let line = line(level, format_args!("data: {}", "lost"));
            let (stamp, text) = line.split_once("] ").unwrap();
            assert_eq!(text, format!("podling: {mark}data: lost"));
            let (seconds, micros) = stamp.strip_prefix('[').unwrap().split_once('.').unwrap();
            assert!(seconds.len() >= 5 && seconds.trim().parse::<u64>().is_ok() && micros.len() == 6, "{line}");
        }
    }
}
