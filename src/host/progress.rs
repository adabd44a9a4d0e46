//! How a long step shows that it is alive: a bar on a terminal, one plain line elsewhere.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Read, Result};

/// One long step.
pub struct Step(ProgressBar);

impl Step {
    /// A step over `bytes` bytes, called `what`.
    pub fn new(what: &str, bytes: u64) -> Step {
        if !std::io::stderr().is_terminal() {
            std::eprintln!("{what}");
            return Step(ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden()));
        }
        let style = "{msg:32} [{bar:28}] {bytes:>10} / {total_bytes} {eta:>4}";
        let style = ProgressStyle::with_template(style).expect("the template above is well-formed");
        Step(
            ProgressBar::new(bytes)
                .with_style(style.progress_chars("=> "))
                .with_message(std::string::String::from(what)),
        )
    }

    /// `bytes` in all are done.
    pub fn reach(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    /// `bytes` more are done.
    pub fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// `reader`, whose bytes count as this step's work.
    pub fn reading<R: Read>(&self, reader: R) -> Reading<'_, R> {
        Reading { step: self, reader }
    }
}

/// Several steps at a time, below one another.
#[derive(Default)]
pub struct Steps(MultiProgress);

impl Steps {
    /// One more, as [`Step::new`].
    pub fn step(&self, what: &str, bytes: u64) -> Step {
        let step = Step::new(what, bytes);
        if !step.0.is_hidden() {
            self.0.add(step.0.clone());
        }
        step
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// A reader that moves a [`Step`] on.
pub struct Reading<'a, R> {
    step: &'a Step,
    reader: R,
}

impl<R: Read> Read for Reading<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let n = self.reader.read(buffer)?;
        self.step.advance(n as u64);
        Ok(n)
    }
}
