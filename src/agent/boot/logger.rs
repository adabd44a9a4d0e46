//! The log of init and agent: lines on the console, with the seconds since boot as the kernel's own lines have them.

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::time::{ClockId, clock_gettime};
use std::format;
use std::io::Write;

struct Console;

/// Everything that is logged from here on goes to the standard error output, which init has put on the console's line.
pub fn start() {
    // A second start changes nothing.
    let _ = log::set_logger(&Console).map(|()| log::set_max_level(LevelFilter::Info));
}

impl Log for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = clock_gettime(ClockId::Boottime);
        let mark = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            _ => "",
        };
        let line = format!("[{:5}.{:06}] podling: {mark}{}\r\n", now.tv_sec, now.tv_nsec / 1000, record.args());
        // With a carriage return, for a session may have made the line raw.
        // In one write, so that lines of two processes do not mix. Where there is no console there is nobody to tell.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}
