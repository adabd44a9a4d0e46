//! One stream of calls, written as YAML or as JSON: the two forms in which kubectl shows an object.
//!
//! Nothing is built in memory; the writers keep one small frame per level of nesting.

use core::fmt::{self, Display, Write};
use heapless::Vec;

/// The deepest nesting; a Kubernetes pod needs about ten levels.
const DEPTH: usize = 24;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Block style, lists not indented, as kubectl.
    Yaml,
    /// Four spaces, as kubectl.
    Json,
}

/// What holds other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Values by key.
    Map,
    /// Values in order.
    List,
}

/// A writer of one document. In a map every value follows its key.
pub trait Emit {
    /// Begins a map or a list.
    fn open(&mut self, kind: Kind) -> fmt::Result;
    /// Ends the innermost one.
    fn close(&mut self) -> fmt::Result;
    /// The key of the next value.
    fn key(&mut self, key: &str) -> fmt::Result;
    /// A string.
    fn text(&mut self, text: &str) -> fmt::Result;
    /// Something that stands as it is in both forms: a number, a boolean, a quoted string without escapes.
    fn raw(&mut self, value: &dyn Display) -> fmt::Result;

    /// A key and its string.
    fn pair(&mut self, key: &str, text: &str) -> fmt::Result {
        self.key(key)?;
        self.text(text)
    }

    /// A key and its number or boolean.
    fn number(&mut self, key: &str, value: &dyn Display) -> fmt::Result {
        self.key(key)?;
        self.raw(value)
    }

    /// A key, and the map or list that belongs to it.
    fn begin(&mut self, key: &str, kind: Kind) -> fmt::Result {
        self.key(key)?;
        self.open(kind)
    }
}

/// A level of nesting.
struct Frame {
    kind: Kind,
    empty: bool,
    indent: usize,
}

/// Where the YAML writer's cursor stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cursor {
    /// At the start of a line.
    Line,
    /// After `key:`.
    Key,
    /// After `-`.
    Dash,
}

/// Writes YAML.
pub struct Yaml<'w> {
    out: &'w mut dyn Write,
    frames: Vec<Frame, DEPTH>,
    cursor: Cursor,
}

impl<'w> Yaml<'w> {
    /// A document onto `out`.
    pub fn new(out: &'w mut dyn Write) -> Yaml<'w> {
        Yaml { out, frames: Vec::new(), cursor: Cursor::Line }
    }

    /// Goes to where the next key or dash belongs.
    fn place(&mut self) -> fmt::Result {
        let Some(frame) = self.frames.last_mut() else {
            return Ok(());
        };
        frame.empty = false;
        match self.cursor {
            Cursor::Dash => return self.out.write_str(" "),
            Cursor::Key => self.out.write_str("\n")?,
            Cursor::Line => {}
        }
        indent(self.out, frame.indent)
    }

    /// Before any value: in a list, its dash.
    fn value(&mut self) -> fmt::Result {
        if self.frames.last().is_some_and(|f| f.kind == Kind::List) {
            self.place()?;
            self.out.write_str("-")?;
            self.cursor = Cursor::Dash;
        }
        Ok(())
    }

    /// The space between `key:` or `-` and what stands on the same line.
    fn gap(&mut self) -> fmt::Result {
        match self.cursor {
            Cursor::Line => Ok(()),
            Cursor::Key | Cursor::Dash => self.out.write_str(" "),
        }
    }

    fn line_end(&mut self) -> fmt::Result {
        self.cursor = Cursor::Line;
        self.out.write_str("\n")
    }
}

impl Emit for Yaml<'_> {
    fn open(&mut self, kind: Kind) -> fmt::Result {
        self.value()?;
        let indent = match (self.frames.last(), kind) {
            (None, _) => 0,
            (Some(Frame { kind: Kind::Map, indent, .. }), Kind::List) => *indent,
            (Some(Frame { indent, .. }), _) => indent + 2,
        };
        let frame = Frame { kind, empty: true, indent };
        self.frames.push(frame).map_err(|_| fmt::Error)
    }

    fn close(&mut self) -> fmt::Result {
        let frame = self.frames.pop().ok_or(fmt::Error)?;
        if !frame.empty {
            return Ok(());
        }
        self.gap()?;
        self.out.write_str(match frame.kind {
            Kind::Map => "{}",
            Kind::List => "[]",
        })?;
        self.line_end()
    }

    fn key(&mut self, key: &str) -> fmt::Result {
        self.place()?;
        if is_plain(key) {
            self.out.write_str(key)?;
        } else {
            quote(self.out, key, Format::Yaml)?;
        }
        self.cursor = Cursor::Key;
        self.out.write_str(":")
    }

    fn text(&mut self, text: &str) -> fmt::Result {
        self.value()?;
        self.gap()?;
        if is_plain(text) {
            self.out.write_str(text)?;
        } else if is_block(text) {
            let level = self.frames.last().map_or(0, |f| f.indent) + 2;
            return self.block(text, level);
        } else {
            quote(self.out, text, Format::Yaml)?;
        }
        self.line_end()
    }

    fn raw(&mut self, value: &dyn Display) -> fmt::Result {
        self.value()?;
        self.gap()?;
        write!(self.out, "{value}")?;
        self.line_end()
    }
}

impl Yaml<'_> {
    /// A literal block scalar: the lines as they are.
    fn block(&mut self, text: &str, level: usize) -> fmt::Result {
        let body = text.strip_suffix('\n');
        self.out.write_str(if body.is_some() { "|" } else { "|-" })?;
        for line in body.unwrap_or(text).split('\n') {
            self.out.write_str("\n")?;
            if !line.is_empty() {
                indent(self.out, level)?;
                self.out.write_str(line)?;
            }
        }
        self.line_end()
    }
}

/// Writes JSON.
pub struct Json<'w> {
    out: &'w mut dyn Write,
    frames: Vec<Frame, DEPTH>,
    after_key: bool,
}

impl<'w> Json<'w> {
    /// A document onto `out`.
    pub fn new(out: &'w mut dyn Write) -> Json<'w> {
        Json { out, frames: Vec::new(), after_key: false }
    }

    /// Goes to where the next key or value belongs.
    fn place(&mut self) -> fmt::Result {
        if core::mem::take(&mut self.after_key) {
            return Ok(());
        }
        let Some(frame) = self.frames.last_mut() else {
            return Ok(());
        };
        let first = core::mem::replace(&mut frame.empty, false);
        self.out.write_str(if first { "\n" } else { ",\n" })?;
        indent(self.out, frame.indent)
    }

    /// The document ends its last line.
    fn finish(&mut self) -> fmt::Result {
        if self.frames.is_empty() { self.out.write_str("\n") } else { Ok(()) }
    }
}

impl Emit for Json<'_> {
    fn open(&mut self, kind: Kind) -> fmt::Result {
        self.place()?;
        let indent = 4 * (self.frames.len() + 1);
        let frame = Frame { kind, empty: true, indent };
        self.frames.push(frame).map_err(|_| fmt::Error)?;
        self.out.write_str(match kind {
            Kind::Map => "{",
            Kind::List => "[",
        })
    }

    fn close(&mut self) -> fmt::Result {
        let frame = self.frames.pop().ok_or(fmt::Error)?;
        if !frame.empty {
            self.out.write_str("\n")?;
            indent(self.out, frame.indent - 4)?;
        }
        self.out.write_str(match frame.kind {
            Kind::Map => "}",
            Kind::List => "]",
        })?;
        self.finish()
    }

    fn key(&mut self, key: &str) -> fmt::Result {
        self.place()?;
        quote(self.out, key, Format::Json)?;
        self.after_key = true;
        self.out.write_str(": ")
    }

    fn text(&mut self, text: &str) -> fmt::Result {
        self.place()?;
        quote(self.out, text, Format::Json)?;
        self.finish()
    }

    fn raw(&mut self, value: &dyn Display) -> fmt::Result {
        self.place()?;
        write!(self.out, "{value}")?;
        self.finish()
    }
}

fn indent(out: &mut dyn Write, spaces: usize) -> fmt::Result {
    write!(out, "{:spaces$}", "")
}

/// Whether YAML reads the bare text back as this very string, in version 1.1 as in 1.2.
fn is_plain(text: &str) -> bool {
    let printable = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    let breaks = text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']);
    starts_plainly(text.as_bytes()) && printable && !breaks && !is_number_like(text.as_bytes()) && !is_word(text)
}

/// Whether the first characters mean nothing in YAML: a dash or a `<` only before a letter.
fn starts_plainly(bytes: &[u8]) -> bool {
    match bytes {
        [b'-', b'-', third, ..] => third.is_ascii_alphabetic(),
        [b'-' | b'<', second, ..] => second.is_ascii_alphabetic(),
        [b'.', second, ..] => b"./_".contains(second),
        [first, ..] => first.is_ascii_alphanumeric() || b"/_$".contains(first),
        [] => false,
    }
}

/// Numbers, dates and times in all their notations; rather too many than too few.
fn is_number_like(bytes: &[u8]) -> bool {
    let only = |set: &[u8]| bytes.iter().all(|b| b.is_ascii_digit() || set.contains(b));
    let dots = bytes.iter().filter(|b| **b == b'.').count();
    match bytes {
        [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..] => true,
        // A date; and hours, minutes, seconds, which YAML 1.1 takes for a number to the base of 60.
        [a, b, c, d, b'-', ..] if [a, b, c, d].iter().all(|b| b.is_ascii_digit()) => true,
        [first, ..] if first.is_ascii_digit() => dots <= 1 && (only(b"_:.") || only(b"_.eE+-")),
        [b'.', ..] => only(b"_.eE+-"),
        _ => false,
    }
}

/// The words that some YAML takes for a boolean or for nothing.
fn is_word(text: &str) -> bool {
    ["y", "n", "yes", "no", "true", "false", "on", "off", "null"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a literal block can hold the text: several lines, nothing that a block would lose or misread.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    text.contains('\n')
        && !body.is_empty()
        && !body.starts_with([' ', '\t', '\n'])
        && !body.ends_with('\n')
        && body.split('\n').all(|line| !line.ends_with([' ', '\t']))
        && body.chars().all(|c| c == '\n' || c == '\t' || is_printable(c))
}

/// Printable in YAML without an escape, line breaks not counted.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// A double-quoted string.
fn quote(out: &mut dyn Write, text: &str, format: Format) -> fmt::Result {
    out.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if is_printable(c) => out.write_char(c)?,
            // Both forms know \u; JSON, unlike YAML, takes the rest of Unicode as it is.
            c if (c as u32) <= 0xffff => write!(out, "\\u{:04x}", c as u32)?,
            c if format == Format::Json => out.write_char(c)?,
            c => write!(out, "\\U{:08x}", c as u32)?,
        }
    }
    out.write_str("\"")
}

/// Bytes in base64, with quotes.
pub struct Base64<'a>(pub &'a [u8]);

impl Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        f.write_str("\"")?;
        for chunk in self.0.chunks(3) {
            let bytes = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
            let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
            for digit in 0..4 {
                let value = bits >> (18 - 6 * digit) & 63;
                f.write_char(if digit <= chunk.len() { char::from(DIGITS[value as usize]) } else { '=' })?;
            }
        }
        f.write_str("\"")
    }
}
