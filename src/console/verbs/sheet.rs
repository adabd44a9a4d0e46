//! Indented names and values as `kubectl describe` sets them: neighbouring lines that have a value share its column.

use std::prelude::v1::*;

/// A sheet under construction.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// What stands left, and the value, where there is one.
    lines: Vec<(String, Option<String>)>,
}

impl Sheet {
    fn left(level: usize, name: &str) -> String {
        let mut left = "  ".repeat(level);
        if !name.is_empty() {
            left.push_str(name);
            left.push(':');
        }
        left
    }

    /// A name with its value.
    pub(super) fn line(&mut self, level: usize, name: &str, value: &str) {
        self.lines.push((Sheet::left(level, name), Some(value.into())));
    }

    /// A name, and several values below each other; `<none>` where there is none.
    pub(super) fn lines(&mut self, level: usize, name: &str, values: impl IntoIterator<Item = String>) {
        let mut values = values.into_iter();
        self.line(level, name, &values.next().unwrap_or_else(|| "<none>".into()));
        values.for_each(|value| self.lines.push((String::new(), Some(value))));
    }

    /// A name with something below it.
    pub(super) fn head(&mut self, level: usize, name: &str) {
        self.lines.push((Sheet::left(level, name), None));
    }

    /// A line as it is.
    pub(super) fn plain(&mut self, level: usize, text: &str) {
        self.lines.push((Sheet::left(level, "") + text, None));
    }

    /// All of it.
    pub(super) fn print(&self) -> String {
        let mut out = String::new();
        for block in self.lines.chunk_by(|(_, a), (_, b)| a.is_some() && b.is_some()) {
            let width = block.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0) + 2;
            for (left, value) in block {
                out.push_str(left);
                if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                    out.extend(std::iter::repeat_n(' ', width - left.chars().count()));
                    out.push_str(value);
                }
                out.push('\n');
            }
        }
        out
    }
}
