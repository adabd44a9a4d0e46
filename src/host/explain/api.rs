//! The words of the API: types, their fields, and what each is, from a text that is part of the program.

use std::prelude::v1::*;
use std::sync::LazyLock;

/// A type.
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    pub(super) fields: Vec<Field>,
}

/// A field of a type.
pub(super) struct Field {
    pub(super) name: &'static str,
    /// As kubectl writes it: `[]Container`.
    pub(super) kind: &'static str,
    pub(super) required: bool,
    pub(super) default: Option<&'static str>,
    pub(super) text: &'static str,
    /// Why a board refuses it, where it does.
    pub(super) reason: Option<&'static str>,
}

impl Type {
    /// The field called `name`.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

impl Field {
    /// The name of its type, or of its elements'.
    pub(super) fn type_name(&self) -> &'static str {
        self.kind.trim_start_matches("[]")
    }
}

static API: LazyLock<Vec<Type>> = LazyLock::new(|| read(include_str!("api.txt")));

/// All types, in the order of the text.
pub(super) fn all() -> &'static [Type] {
    &API
}

/// The type called `name`.
pub(super) fn find(name: &str) -> Option<&'static Type> {
    API.iter().find(|t| t.name == name)
}

/// Reads the text; its form is told in its head.
fn read(text: &'static str) -> Vec<Type> {
    let mut types: Vec<Type> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (head, text) = line.split_once(": ").expect("a line of api.txt has a colon");
        if let Some(name) = head.strip_prefix("= ") {
            types.push(Type { name, text, fields: Vec::new() });
            continue;
        }
        let mut words = head.split(' ');
        let (name, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (text, reason) = text.split_once(" ~ ").map_or((text, None), |(text, reason)| (text, Some(reason)));
        let required = kind.ends_with('!');
        let kind = kind.trim_end_matches('!');
        let default = words.next().and_then(|word| word.strip_prefix('='));
        let owner = types.last_mut().expect("api.txt begins with a type");
        owner.fields.push(Field { name, kind, required, default, text, reason });
    }
    types
}
