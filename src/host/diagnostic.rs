//! What the compiler has to say about its sources: collected all at once, shown with file, line, column and the line itself.

use core::cell::RefCell;
use core::fmt::{self, Write};
use std::prelude::v1::*;
use std::{format, vec};

/// A place in a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The index of the file in [`Sources`].
    pub file: u16,
    /// From 1; 0 is no place at all.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Characters to underline.
    pub length: u32,
}

/// The files of one compilation.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

/// One file.
#[derive(Clone, Debug)]
pub struct Source {
    /// As messages name it.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Sources {
    /// Adds a file.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.0.push(Source { name: name.into(), text: text.into() });
    }

    /// The files with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Source)> {
        (0..).zip(&self.0)
    }

    /// `pods.yaml:7:5`.
    pub fn place(&self, at: Span) -> String {
        let name = self.0.get(usize::from(at.file)).map_or("?", |s| &s.name);
        format!("{name}:{}:{}", at.line, at.column)
    }

    /// The text of the line at `at`.
    fn line(&self, at: Span) -> Option<&str> {
        let index = usize::try_from(at.line.checked_sub(1)?).ok()?;
        self.0.get(usize::from(at.file))?.text.lines().nth(index)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is written.
    Error,
    /// It works, but perhaps not as meant.
    Warning,
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub at: Span,
    /// What, with the field path, and what to do.
    pub message: String,
    /// The line may hold the value of a secret: it is not shown.
    pub secret: bool,
}

/// All that there is to say; shared by everything that reads the sources.
#[derive(Debug, Default)]
pub struct Diagnostics(RefCell<Vec<Diagnostic>>);

impl Diagnostics {
    /// Adds one, unless exactly that has been said.
    pub fn push(&self, diagnostic: Diagnostic) {
        let mut all = self.0.borrow_mut();
        if !all.contains(&diagnostic) {
            all.push(diagnostic);
        }
    }

    /// The number of them that are as bad as `severity`.
    pub fn count(&self, severity: Severity) -> usize {
        self.0.borrow().iter().filter(|d| d.severity == severity).count()
    }

    /// All of them, in the order of the sources.
    pub fn sorted(&self) -> Vec<Diagnostic> {
        let mut all = self.0.borrow().clone();
        all.sort_by_key(|d| (d.at.file, d.at.line, d.at.column));
        all
    }

    /// All of them as text, in the order of the sources.
    pub fn render(&self, sources: &Sources) -> String {
        let mut out = String::new();
        for diagnostic in self.sorted() {
            // Writing into a String cannot fail.
            let _ = render(&mut out, sources, &diagnostic);
        }
        out
    }
}

/// Characters of a source line that are shown at most.
const WIDTH: usize = 120;

/// One diagnostic, as `file:line:column: message` and the line under it with its place marked.
fn render(out: &mut String, sources: &Sources, diagnostic: &Diagnostic) -> fmt::Result {
    let Diagnostic { severity, at, message, secret } = diagnostic;
    let label = if *severity == Severity::Warning { "warning: " } else { "" };
    if at.line == 0 {
        return writeln!(out, "{label}{message}");
    }
    writeln!(out, "{}: {label}{message}", sources.place(*at))?;
    let Some(line) = sources.line(*at).filter(|_| !secret) else {
        return Ok(());
    };
    let column = usize::try_from(at.column).unwrap_or(1).max(1) - 1;
    // A long line is shown from a little before the place.
    let skipped = if column < WIDTH - 20 { 0 } else { column - 20 };
    let shown: String = line.chars().skip(skipped).take(WIDTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let room = shown.chars().count().saturating_sub(column - skipped).max(1);
    let marks = usize::try_from(at.length).unwrap_or(1).clamp(1, room);
    let number = format!("{}", at.line);
    let margin = " ".repeat(number.len());
    writeln!(out, "{margin} |")?;
    writeln!(out, "{number} | {}", shown.trim_end())?;
    writeln!(out, "{margin} | {}{}", " ".repeat(column - skipped), "^".repeat(marks))
}

/// `text` in quotes, escaped and cut, as a message may show it.
pub fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}

/// `words` as a person would list them: `a, b or c`.
pub fn alternatives(words: &[&str]) -> String {
    let mut parts: Vec<&str> = vec![];
    for (n, word) in words.iter().enumerate() {
        if n > 0 {
            parts.push(if n + 1 == words.len() { " or " } else { ", " });
        }
        parts.push(word);
    }
    parts.concat()
}
