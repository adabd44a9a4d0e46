//! The reader between YAML and meaning: objects by their table of fields, values by their type, every mistake collected.

use super::diagnostic::{Diagnostic, Diagnostics, Severity, Span, alternatives, quote};
use super::schema::{Support, Table};
use super::suggest::nearest;
use super::yaml::{Entry, Kind, Node, Value};
use crate::manifest::limits;
use core::ops::RangeInclusive;
use std::format;
use std::prelude::v1::*;

/// A value somewhere in a document: what it is, where it is, and its path for people.
#[derive(Clone)]
pub struct Place<'a> {
    diagnostics: &'a Diagnostics,
    node: Node<'a>,
    path: String,
    /// Its text must never be shown.
    secret: bool,
}

impl<'a> Place<'a> {
    /// The root of a document.
    pub fn root(diagnostics: &'a Diagnostics, node: Node<'a>) -> Self {
        Place { diagnostics, node, path: String::new(), secret: false }
    }

    /// The same, its text to be kept from messages.
    pub fn hidden(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The same value under another path.
    pub fn renamed(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Where it is.
    pub fn at(&self) -> Span {
        self.node.at
    }

    /// `spec.containers[0].image`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Says that something is wrong with this value.
    pub fn error(&self, problem: impl AsRef<str>) {
        self.say(Severity::Error, self.node.at, &self.path, problem.as_ref());
    }

    /// Says that this value may not do what was meant.
    pub fn warning(&self, problem: impl AsRef<str>) {
        self.say(Severity::Warning, self.node.at, &self.path, problem.as_ref());
    }

    fn say(&self, severity: Severity, at: Span, path: &str, problem: &str) {
        let message = if path.is_empty() { problem.into() } else { format!("{path}: {problem}") };
        self.push(severity, at, message);
    }

    fn push(&self, severity: Severity, at: Span, message: String) {
        self.diagnostics.push(Diagnostic { severity, at, message, secret: self.secret });
    }

    /// A number for what it says, whatever the order of its keys, its comments and its layout.
    pub fn digest(&self) -> u32 {
        self.node.digest()
    }

    /// The text in quotes, or no text where it is a secret's.
    pub fn quoted(&self, text: &str) -> String {
        if self.secret { "this value".into() } else { quote(text) }
    }

    /// What it is, in a message.
    fn found(&self) -> String {
        match self.node.value {
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
            Value::Scalar(scalar) => match scalar.kind {
                Kind::Null => "nothing".into(),
                Kind::String => "a string".into(),
                _ if self.secret => "a number or a boolean".into(),
                Kind::Bool(_) => format!("the boolean {}", scalar.text),
                Kind::Int(_) | Kind::Float => format!("the number {}", scalar.text),
            },
        }
    }

    fn expected(&self, what: &str) {
        self.error(format!("expected {what}, found {}", self.found()));
    }

    /// A string.
    pub fn text(&self) -> Option<&'a str> {
        let Value::Scalar(scalar) = self.node.value else {
            self.expected("a string");
            return None;
        };
        if scalar.kind != Kind::String {
            let help = if self.secret || scalar.kind == Kind::Null {
                String::new()
            } else {
                format!(": write {}", quote(scalar.text))
            };
            self.error(format!("expected a string, found {}{help}", self.found()));
            return None;
        }
        self.bounded(scalar.text)
    }

    /// A string, with Kubernetes' usual trap of unquoted numbers explained.
    pub fn env_value(&self) -> Option<&'a str> {
        match self.node.value {
            Value::Scalar(scalar) if matches!(scalar.kind, Kind::Bool(_) | Kind::Int(_) | Kind::Float) => {
                self.error(format!("env values are strings: write {}", quote(scalar.text)));
                None
            }
            _ => self.text(),
        }
    }

    /// The text of any scalar: for quantities, which may be written as numbers.
    pub fn word(&self) -> Option<&'a str> {
        match self.node.value {
            Value::Scalar(scalar) => self.bounded(scalar.text),
            _ => {
                self.expected("a quantity");
                None
            }
        }
    }

    fn bounded(&self, text: &'a str) -> Option<&'a str> {
        if text.len() > limits::STRING {
            self.error(format!("a text of {} bytes: at most {} are possible", text.len(), limits::STRING));
            return None;
        }
        if text.contains('\0') {
            self.error("a text must not contain a NUL");
            return None;
        }
        Some(text)
    }

    /// A string that is one of `words`.
    pub fn one_of(&self, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text()?;
        let found = words.iter().find(|w| **w == text);
        if found.is_none() {
            let hint = did_you_mean(nearest(text, words.iter().copied()));
            let named: Vec<&str> = words.iter().copied().filter(|w| !w.is_empty()).collect();
            self.error(format!(
                "{} is not a value for this: {} is possible{hint}",
                self.quoted(text),
                alternatives(&named)
            ));
        }
        found.copied()
    }

    /// The same of a field for which Kubernetes takes an empty string as nothing said, as charts render what nobody has set.
    pub fn choice(&self, words: &[&'static str]) -> Option<&'static str> {
        if self.text()?.is_empty() { None } else { self.one_of(words) }
    }

    /// A whole number within `range`.
    pub fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let number = match self.node.value {
            Value::Scalar(scalar) => match scalar.kind {
                Kind::Int(number) => Some(number),
                Kind::String if !self.secret && matches!(super::yaml::meaning(scalar.text), Kind::Int(_)) => {
                    self.error(format!("expected a number, found a string: write {} without quotes", scalar.text));
                    return None;
                }
                _ => None,
            },
            _ => None,
        };
        let Some(number) = number else {
            self.expected("a whole number");
            return None;
        };
        if !range.contains(&number) {
            self.error(format!("{number} is not possible here: from {} to {}", range.start(), range.end()));
            return None;
        }
        Some(number)
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.node.value {
            Value::Scalar(scalar) if let Kind::Bool(value) = scalar.kind => Some(value),
            _ => {
                self.expected("true or false");
                None
            }
        }
    }

    /// The elements of a list with at most `most` of them.
    pub fn list(&self, most: usize) -> Vec<Place<'a>> {
        let Value::List(items) = self.node.value else {
            self.expected("a list");
            return Vec::new();
        };
        let place =
            |(n, node): (usize, &Node<'a>)| Place { node: *node, path: format!("{}[{n}]", self.path), ..self.clone() };
        if let Some(first) = items.get(most) {
            place((most, first)).error(format!("at most {most} are possible, and there are {}", items.len()));
        }
        items.iter().take(most).enumerate().map(place).collect()
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// Whether it is a map.
    pub fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// The strings of a list.
    pub fn texts(&self, most: usize) -> Vec<&'a str> {
        self.list(most).iter().filter_map(Place::text).collect()
    }

    /// The entries of a map with free keys; those without a value are left out.
    pub fn map(&self, most: usize) -> Vec<(&'a str, Place<'a>)> {
        let Value::Map(entries) = self.node.value else {
            self.expected("a map");
            return Vec::new();
        };
        if let Some(first) = entries.get(most) {
            self.say(
                Severity::Error,
                first.at,
                &self.path,
                &format!("at most {most} are possible, and there are {}", entries.len()),
            );
        }
        entries.iter().take(most).filter(|e| !e.value.is_null()).map(|e| (e.key, self.child(e))).collect()
    }

    fn child(&self, entry: &Entry<'a>) -> Place<'a> {
        let simple = entry.key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let path = match (self.path.is_empty(), simple) {
            (true, _) => entry.key.into(),
            (false, true) => format!("{}.{}", self.path, entry.key),
            (false, false) => format!("{}[{}]", self.path, quote(entry.key)),
        };
        Place { node: entry.value, path, ..self.clone() }
    }

    /// The object of the type `table`, its field names and what the table can decide checked.
    pub fn object(&self, table: &'static Table) -> Option<Object<'a>> {
        let Value::Map(entries) = self.node.value else {
            self.expected("a map");
            return None;
        };
        let object = Object { place: self.clone(), table, entries };
        for entry in entries {
            object.check(entry);
        }
        Some(object)
    }
}

/// What is said of a field that Kubernetes has and a board cannot honour.
const NOT_YET: &str = "not supported on the board yet";

/// A map whose keys are the fields of a Kubernetes type.
#[derive(Clone)]
pub struct Object<'a> {
    /// The map itself.
    pub place: Place<'a>,
    table: &'static Table,
    entries: &'a [Entry<'a>],
}

impl<'a> Object<'a> {
    /// Decides a field by its table.
    fn check(&self, entry: &Entry<'a>) {
        let child = self.place.child(entry);
        let Some(field) = self.table.field(entry.key) else {
            if (self.table.elsewhere)(entry.key) {
                return;
            }
            let owner = if self.place.path.is_empty() { self.table.name } else { &self.place.path };
            let hint = did_you_mean(nearest(entry.key, self.table.fields.iter().map(|f| f.name)));
            let message = format!("unknown field {} in {owner}{hint}", quote(entry.key));
            return self.place.push(Severity::Error, entry.at, message);
        };
        let on_key = |severity, problem: &str| self.place.say(severity, entry.at, &child.path, problem);
        match field.support {
            _ if entry.value.is_null() => {}
            // Charts are full of these; nothing is asked for.
            Support::NotYet | Support::Cluster if entry.value.is_empty() => {}
            Support::Read => {}
            Support::NotYet => match super::explain::reason(self.table.name, entry.key) {
                Some(reason) => on_key(Severity::Error, &format!("not supported on the board: {reason}")),
                None => on_key(Severity::Error, NOT_YET),
            },
            Support::Cluster => on_key(Severity::Warning, "means nothing on a single board, ignored"),
            Support::Only(values) => match entry.value.value {
                Value::Scalar(scalar) if values.contains(&scalar.text) => {}
                // As Go has it, an empty string is what nobody has set.
                Value::Scalar(scalar) if scalar.text.is_empty() && !values.contains(&"false") => {}
                Value::Scalar(_) => {
                    child.error(format!("not supported on the board yet: only {} is", alternatives(values)))
                }
                _ => child.expected(&alternatives(values)),
            },
        }
    }

    /// The value of a field, if it is there and not null.
    pub fn get(&self, name: &'static str) -> Option<Place<'a>> {
        debug_assert!(
            self.table.field(name).is_some_and(|f| f.support == Support::Read),
            "{} of {}",
            name,
            self.table.name
        );
        self.entries.iter().find(|e| e.key == name && !e.value.is_null()).map(|e| self.place.child(e))
    }

    /// The value of a field that must be there.
    pub fn require(&self, name: &'static str) -> Option<Place<'a>> {
        let found = self.get(name);
        if found.is_none() {
            let at = self.entries.iter().find(|e| e.key == name).map_or(self.place.at(), |e| e.at);
            let path = if self.place.path.is_empty() { name.into() } else { format!("{}.{name}", self.place.path) };
            self.place.say(Severity::Error, at, &path, "is required");
        }
        found
    }

    /// Whether there is a field that was refused: then nothing more need be said about what is missing.
    pub fn has_refused(&self) -> bool {
        let read = |e: &Entry<'_>| self.table.field(e.key).is_some_and(|f| f.support == Support::Read);
        self.entries.iter().any(|e| !read(e) && !e.value.is_null())
    }

    /// A boolean field.
    pub fn flag(&self, name: &'static str) -> Option<bool> {
        self.get(name)?.boolean()
    }
}

/// `; did you mean "command"?`, or nothing.
pub fn did_you_mean(word: Option<&str>) -> String {
    word.map_or(String::new(), |w| format!("; did you mean {}?", quote(w)))
}
