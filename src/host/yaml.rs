//! YAML text to trees of nodes that know their place, as Kubernetes reads YAML: version 1.1 scalars, merge keys, no duplicate keys.

mod scalar;

pub use scalar::{Kind, meaning};

use super::arena::Arena;
use super::diagnostic::{Diagnostic, Diagnostics, Severity, Source, Span, quote};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};
use std::collections::BTreeMap;
use std::prelude::v1::*;
use std::{format, vec};

/// How deep lists and maps may nest.
pub const DEPTH: usize = 64;

/// A value and its place.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Where it begins.
    pub at: Span,
    /// What it is.
    pub value: Value<'a>,
}

/// What a node is. An alias is the node that it names.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// One word or text.
    Scalar(Scalar<'a>),
    /// A list.
    List(&'a [Node<'a>]),
    /// A map, in the order of the source.
    Map(&'a [Entry<'a>]),
}

/// A key and its value.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a str,
    /// Where the key is.
    pub at: Span,
    /// The value.
    pub value: Node<'a>,
}

/// A scalar: its text, and what that text means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scalar<'a> {
    /// As written, without quotes.
    pub text: &'a str,
    /// What it means.
    pub kind: Kind,
}

impl Node<'_> {
    /// A number for what it says (32-bit FNV-1a): the same for the same keys and values, in whatever order and layout.
    pub fn digest(&self) -> u32 {
        let fold =
            |sum: u32, bytes: &[u8]| bytes.iter().fold(sum, |sum, b| (sum ^ u32::from(*b)).wrapping_mul(16_777_619));
        let begin = |tag: u8| fold(2_166_136_261, &[tag]);
        match self.value {
            Value::Scalar(Scalar { text, kind }) => fold(begin(u8::from(kind == Kind::String)), text.as_bytes()),
            Value::List(items) => items.iter().fold(begin(2), |sum, item| fold(sum, &item.digest().to_le_bytes())),
            Value::Map(entries) => {
                entries.iter().filter(|entry| !entry.value.is_null()).fold(begin(3), |sum, entry| {
                    let one = fold(fold(begin(4), entry.key.as_bytes()), &entry.value.digest().to_le_bytes());
                    sum.wrapping_add(one)
                })
            }
        }
    }

    /// Whether it is a list or map with nothing in it.
    pub fn is_empty(&self) -> bool {
        matches!(self.value, Value::List([]) | Value::Map([]))
    }

    /// Whether it is as good as absent.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar(Scalar { kind: Kind::Null, .. }))
    }
}

/// The documents of a file that are not empty. What cannot be read is said in `diagnostics`, and reading goes on with the next document.
pub fn documents<'a>(file: u16, source: &Source, arena: &'a Arena, diagnostics: &Diagnostics) -> Vec<Node<'a>> {
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let secret = text.contains("Secret");
    let mut found = vec![];
    let mut rest = text;
    let mut lines_before = 0;
    loop {
        let mut tree = Tree {
            arena,
            diagnostics,
            file,
            lines_before,
            secret,
            stack: vec![],
            anchors: BTreeMap::new(),
            found: vec![],
            begun: 1,
        };
        let result = tree.read(rest);
        found.append(&mut tree.found);
        let Err(error) = result else { return found };
        let line = error.marker().line();
        let at = tree.span(error.marker(), 1);
        let tab = rest.lines().nth(line.saturating_sub(1)).is_some_and(|l| l.trim_start_matches(' ').starts_with('\t'));
        let hint = if tab { ": indent with spaces, YAML does not allow tabs" } else { "" };
        tree.error(at, format!("this is not YAML: {}{hint}", error.info()));
        // The rest of this document cannot be trusted; the next one can.
        let Some((skipped, next)) = next_document(rest, tree.begun) else {
            return found;
        };
        rest = next;
        lines_before += skipped;
    }
}

/// The text from the first `---` after line `line` (from 1) on, and the number of lines before it.
fn next_document(text: &str, line: usize) -> Option<(u32, &str)> {
    let mut offset = 0;
    for (n, candidate) in text.split_inclusive('\n').enumerate() {
        if n >= line.max(1) && candidate.starts_with("---") {
            return Some((u32::try_from(n).ok()?, &text[offset..]));
        }
        offset += candidate.len();
    }
    None
}

/// A list or map that is not complete yet.
struct Frame<'a> {
    at: Span,
    anchor: usize,
    kind: FrameKind<'a>,
}

enum FrameKind<'a> {
    List(Vec<Node<'a>>),
    Map { entries: Vec<Entry<'a>>, key: Option<(&'a str, Span)>, merged: Vec<Entry<'a>> },
}

/// The reading of one stream.
struct Tree<'a, 'd> {
    arena: &'a Arena,
    diagnostics: &'d Diagnostics,
    file: u16,
    lines_before: u32,
    secret: bool,
    stack: Vec<Frame<'a>>,
    /// The nodes that aliases may name; `None` while the node is not complete.
    anchors: BTreeMap<usize, Option<Node<'a>>>,
    found: Vec<Node<'a>>,
    /// The line of the text (from 1) at which the newest document begins.
    begun: usize,
}

impl<'a> Tree<'a, '_> {
    fn read(&mut self, text: &str) -> Result<(), ScanError> {
        let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event?;
            let length =
                if span.start.line() == span.end.line() { span.end.col().saturating_sub(span.start.col()) } else { 1 };
            let at = self.span(&span.start, length);
            match event {
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(_) => {
                    self.anchors.clear();
                    self.begun = span.start.line();
                }
                Event::Alias(id) => self.alias(id, at),
                Event::Scalar(text, style, anchor, tag) => {
                    let scalar = self.scalar(&text, style, tag.as_deref(), at);
                    self.complete(Node { at, value: Value::Scalar(scalar) }, anchor);
                }
                Event::SequenceStart(anchor, _) => self.open(at, anchor, FrameKind::List(vec![]))?,
                Event::MappingStart(anchor, _) => {
                    self.open(at, anchor, FrameKind::Map { entries: vec![], key: None, merged: vec![] })?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(),
            }
        }
        Ok(())
    }

    fn open(&mut self, at: Span, anchor: usize, kind: FrameKind<'a>) -> Result<(), ScanError> {
        let at = Span { length: 1, ..at };
        if self.stack.len() >= DEPTH {
            let line = usize::try_from(at.line - self.lines_before).unwrap_or(1);
            let column = usize::try_from(at.column - 1).unwrap_or(0);
            let marker = saphyr_parser::Marker::new(0, line, column);
            return Err(ScanError::new(marker, format!("lists and maps nest deeper than {DEPTH}")));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
        self.stack.push(Frame { at, anchor, kind });
        Ok(())
    }

    fn close(&mut self) {
        let Some(frame) = self.stack.pop() else {
            return;
        };
        let value = match frame.kind {
            FrameKind::List(items) => Value::List(self.arena.slice(&items)),
            FrameKind::Map { mut entries, merged, .. } => {
                for entry in merged {
                    if !entries.iter().any(|e| e.key == entry.key) {
                        entries.push(entry);
                    }
                }
                Value::Map(self.arena.slice(&entries))
            }
        };
        self.complete(Node { at: frame.at, value }, frame.anchor);
    }

    fn alias(&mut self, id: usize, at: Span) {
        match self.anchors.get(&id) {
            Some(Some(node)) => {
                let node = *node;
                self.complete(node, 0);
            }
            known => {
                let problem = if known.is_some() {
                    "this alias is inside of what it names"
                } else {
                    "this alias names nothing in its document"
                };
                self.error(at, problem.into());
                self.complete(Node { at, value: Value::Scalar(Scalar { text: "", kind: Kind::Null }) }, 0);
            }
        }
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, node: Node<'a>, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, Some(node));
        }
        match self.stack.last_mut() {
            None if node.is_null() => {}
            None => self.found.push(node),
            Some(Frame { kind: FrameKind::List(items), .. }) => items.push(node),
            Some(Frame { kind: FrameKind::Map { key, .. }, .. }) => match key.take() {
                None => self.key(node),
                Some((key, at)) => self.entry(key, at, node),
            },
        }
    }

    /// Takes `node` as the key of the next entry.
    fn key(&mut self, node: Node<'a>) {
        let text = if let Value::Scalar(scalar) = node.value {
            scalar.text
        } else {
            self.error(node.at, "a key must be one word: if this is a template, fill it in first".into());
            ""
        };
        if let Some(Frame { kind: FrameKind::Map { key, .. }, .. }) = self.stack.last_mut() {
            *key = Some((text, node.at));
        }
    }

    /// Adds an entry to the innermost map.
    fn entry(&mut self, key: &'a str, at: Span, value: Node<'a>) {
        if key == "<<" {
            return self.merge(at, value);
        }
        let Some(Frame { kind: FrameKind::Map { entries, .. }, .. }) = self.stack.last_mut() else {
            return;
        };
        match entries.iter().find(|e| e.key == key) {
            Some(first) => {
                let line = first.at.line;
                self.error(at, format!("duplicate key {}: it is set in line {line} already", quote(key)));
            }
            None => entries.push(Entry { key, at, value }),
        }
    }

    /// Takes the entries of `<<: *defaults` along, below those that the map has itself.
    fn merge(&mut self, at: Span, value: Node<'a>) {
        let maps = match &value.value {
            Value::List(items) => *items,
            _ => core::slice::from_ref(&value),
        };
        for map in maps {
            let Value::Map(more) = map.value else {
                return self.error(at, "`<<` merges maps: it takes an alias of a map, or a list of them".into());
            };
            let Some(Frame { kind: FrameKind::Map { merged, .. }, .. }) = self.stack.last_mut() else {
                return;
            };
            for entry in more {
                if !merged.iter().any(|e| e.key == entry.key) {
                    merged.push(*entry);
                }
            }
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Span) -> Scalar<'a> {
        let text = self.arena.str(text);
        let plain = style == ScalarStyle::Plain;
        let Some(tag) = tag else {
            return Scalar { text, kind: if plain { meaning(text) } else { Kind::String } };
        };
        let kind = match tag.suffix.as_str() {
            "str" if tag.is_yaml_core_schema() => Kind::String,
            "int" | "float" | "bool" | "null" if tag.is_yaml_core_schema() => meaning(text),
            _ => {
                self.error(at, format!("the tag {} has no meaning here", quote(&format!("{tag}"))));
                Kind::String
            }
        };
        Scalar { text, kind }
    }

    fn span(&self, marker: &saphyr_parser::Marker, length: usize) -> Span {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span {
            file: self.file,
            line: number(marker.line()).saturating_add(self.lines_before).max(1),
            column: number(marker.col()).saturating_add(1),
            length: number(length).max(1),
        }
    }

    fn error(&self, at: Span, message: String) {
        self.diagnostics.push(Diagnostic { severity: Severity::Error, at, message, secret: self.secret });
    }
}
