//! Tables as kubectl prints them: columns as wide as they must be, three spaces apart, no rules.

use alloc::string::String;
use alloc::vec::Vec;

/// A table under construction. The last column is never padded.
#[derive(Debug, Default)]
pub struct Table {
    columns: usize,
    /// Blanks before the first column.
    indent: usize,
    /// Blanks between two columns.
    gap: usize,
    widths: Vec<usize>,
    cells: Vec<String>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str]) -> Table {
        Table::laid_out(headings, 0, 3)
    }

    /// A table inside of `kubectl describe`: set in, and its columns two spaces apart.
    pub fn indented(headings: &[&str]) -> Table {
        Table::laid_out(headings, 2, 2)
    }

    fn laid_out(headings: &[&str], indent: usize, gap: usize) -> Table {
        let mut table = Table { columns: headings.len(), indent, gap, widths: Vec::new(), cells: Vec::new() };
        table.widths.resize(headings.len(), 0);
        table.row(headings.iter().map(|heading| String::from(*heading)));
        table
    }

    /// The same columns without a heading, at least as wide as they were: a table that goes on later (`-w`).
    pub fn continued(&self) -> Table {
        Table { widths: self.widths.clone(), cells: Vec::new(), ..*self }
    }

    /// A row; missing cells are empty, further ones are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells = cells.into_iter();
        for width in &mut self.widths {
            let cell = cells.next().unwrap_or_default();
            *width = (*width).max(cell.chars().count());
            self.cells.push(cell);
        }
    }

    /// The whole table, a line per row.
    pub fn print(&self, out: &mut String) {
        for row in self.cells.chunks(self.columns.max(1)) {
            let start = out.len();
            out.extend(core::iter::repeat_n(' ', self.indent));
            for (cell, width) in row.iter().zip(&self.widths) {
                out.push_str(cell);
                let padding = width + self.gap - cell.chars().count();
                out.extend(core::iter::repeat_n(' ', padding));
            }
            let end = out[start..].trim_end().len() + start;
            out.truncate(end);
            out.push('\n');
        }
    }

    /// The table with the cells of its last column cut, so that no line is wider than `width` where that can be had.
    pub fn print_within(&mut self, width: usize, out: &mut String) {
        let Some((_, others)) = self.widths.split_last() else {
            return;
        };
        let room = width.saturating_sub(others.iter().map(|w| w + self.gap).sum());
        for row in self.cells.chunks_mut(self.columns.max(1)) {
            if let Some(last) = row.last_mut() {
                cut(last, room.max(20));
            }
        }
        self.print(out);
    }
}

/// Cuts a text to so many characters, the last of which then tells that there was more.
fn cut(text: &mut String, characters: usize) {
    if text.chars().count() <= characters {
        return;
    }
    let keep = text.char_indices().nth(characters.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
    text.truncate(keep);
    text.push('~');
}
