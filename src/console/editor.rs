//! The line editor: bytes in, echo and finished lines out. Pure, bounded, and content with the dumbest terminal.

use super::complete::Completion;
use super::keys::{Decoder, Key};
use super::screen::Screen;
use crate::manifest::limits;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

/// The columns of the terminal. A serial line does not say how many it has.
pub const WIDTH: usize = 80;
/// The most candidates that Tab lists.
const LISTED: usize = 64;

/// What a byte has brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A line.
    Line(String),
    /// A line that was longer than [`limits::LINE`], and has been dropped.
    TooLong,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D on an empty line.
    End,
}

/// A line that is being typed, and those before it.
#[derive(Debug)]
pub struct Editor {
    decoder: Decoder,
    screen: Screen,
    line: String,
    /// In bytes, at the border of a character.
    cursor: usize,
    /// More was typed than fits.
    overflow: bool,
    history: VecDeque<String>,
    /// How many lines back in the history, 0 being the line itself.
    recalled: usize,
    /// The line itself, while another is recalled.
    draft: String,
}

impl Editor {
    /// An editor with nothing typed. The prompt is not shown yet.
    pub fn new(prompt: &str) -> Editor {
        Editor {
            decoder: Decoder::default(),
            screen: Screen::new(prompt, WIDTH),
            line: String::new(),
            cursor: 0,
            overflow: false,
            history: VecDeque::new(),
            recalled: 0,
            draft: String::new(),
        }
    }

    /// Takes a byte, and appends to `out` what the terminal is to be sent. `complete` is asked for what Tab may offer
    /// after the text before the cursor.
    pub fn byte(&mut self, byte: u8, complete: &mut dyn FnMut(&str) -> Completion, out: &mut Vec<u8>) -> Option<Input> {
        let key = self.decoder.byte(byte)?;
        match key {
            Key::Enter => return Some(self.enter(out)),
            Key::Control('c') => {
                self.show(out);
                self.screen.leave_with(b"^C", out);
                self.clear();
                return Some(Input::Interrupt);
            }
            Key::Control('d') if self.line.is_empty() => return Some(Input::End),
            Key::Char(c) => {
                // Noise without end is not worth a look at the screen.
                if !self.insert(c.encode_utf8(&mut [0; 4]), out) {
                    return None;
                }
            }
            Key::Tab => {
                let completion = complete(&self.line[..self.cursor]);
                self.complete(completion, out);
            }
            Key::Control('l') => {
                out.extend_from_slice(b"\x1b[H\x1b[2J");
                self.screen.forget();
            }
            key => self.edit(key, out),
        }
        self.show(out);
        None
    }

    /// Shows the prompt and what has been typed.
    pub fn show(&mut self, out: &mut Vec<u8>) {
        self.screen.show(&self.line, self.cursor, out);
    }

    /// Takes both off the terminal, for something else to be printed; [`Editor::show`] brings them back.
    pub fn hide(&mut self, out: &mut Vec<u8>) {
        self.screen.hide(out);
    }

    fn clear(&mut self) {
        self.line.clear();
        self.draft.clear();
        (self.cursor, self.recalled, self.overflow) = (0, 0, false);
    }

    fn enter(&mut self, out: &mut Vec<u8>) -> Input {
        self.show(out);
        self.screen.leave(out);
        let line = core::mem::take(&mut self.line);
        let overflow = self.overflow;
        self.clear();
        if overflow {
            return Input::TooLong;
        }
        if !line.trim().is_empty() && self.history.back() != Some(&line) {
            if self.history.len() == limits::HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(line.clone());
        }
        Input::Line(line)
    }

    /// Whether there was room.
    fn insert(&mut self, text: &str, out: &mut Vec<u8>) -> bool {
        if self.line.len() + text.len() > limits::LINE {
            if !core::mem::replace(&mut self.overflow, true) {
                out.push(0x07);
            }
            return false;
        }
        self.line.insert_str(self.cursor, text);
        self.cursor += text.len();
        true
    }

    fn edit(&mut self, key: Key, out: &mut Vec<u8>) {
        match key {
            Key::Backspace => {
                let from = self.previous();
                self.remove(from, self.cursor);
            }
            Key::Delete | Key::Control('d') => self.remove(self.cursor, self.next()),
            Key::Left | Key::Control('b') => self.cursor = self.previous(),
            Key::Right | Key::Control('f') => self.cursor = self.next(),
            Key::Home | Key::Control('a') => self.cursor = 0,
            Key::End | Key::Control('e') => self.cursor = self.line.len(),
            Key::Control('u') => self.remove(0, self.cursor),
            Key::Control('k') => self.remove(self.cursor, self.line.len()),
            Key::Control('w') => {
                let before = self.line[..self.cursor].trim_end_matches(' ');
                let from = before.rfind(' ').map_or(0, |at| at + 1);
                self.remove(from, self.cursor);
            }
            Key::Up | Key::Control('p') => self.recall(self.recalled + 1, out),
            Key::Down | Key::Control('n') if self.recalled > 0 => self.recall(self.recalled - 1, out),
            _ => {}
        }
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.line.replace_range(from..to, "");
        self.cursor = from;
        if from < to {
            self.overflow = false;
        }
    }

    fn previous(&self) -> usize {
        self.line[..self.cursor].char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn next(&self) -> usize {
        self.line[self.cursor..].chars().next().map_or(self.cursor, |c| self.cursor + c.len_utf8())
    }

    fn recall(&mut self, back: usize, out: &mut Vec<u8>) {
        if back > self.history.len() {
            return out.push(0x07);
        }
        if self.recalled == 0 {
            self.draft = core::mem::take(&mut self.line);
        }
        self.line = match back {
            0 => core::mem::take(&mut self.draft),
            back => self.history[self.history.len() - back].clone(),
        };
        self.recalled = back;
        self.cursor = self.line.len();
        self.overflow = false;
    }

    /// Adds what all candidates have in common; where that is nothing, lists them.
    fn complete(&mut self, completion: Completion, out: &mut Vec<u8>) {
        let Some(word) = self.line.get(completion.start..self.cursor) else {
            return;
        };
        let Some((first, rest)) = completion.candidates.split_first() else {
            return out.push(0x07);
        };
        let common = rest.iter().fold(first.as_str(), |common, candidate| shared(common, candidate));
        let Some(more) = common.strip_prefix(word) else {
            return;
        };
        let space = if rest.is_empty() && !common.ends_with('=') { " " } else { "" };
        if more.is_empty() && !rest.is_empty() {
            self.screen.leave(out);
            list(&completion.candidates, out);
            return;
        }
        for text in [more, space] {
            self.insert(text, out);
        }
    }
}

/// What two words begin with.
fn shared<'a>(one: &'a str, other: &str) -> &'a str {
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    &one[..same.map(|(c, _)| c.len_utf8()).sum()]
}

/// Words in as many columns as fit.
fn list(words: &[String], out: &mut Vec<u8>) {
    let listed = &words[..words.len().min(LISTED)];
    let cell = listed.iter().map(|word| word.chars().count()).max().unwrap_or(0) + 2;
    let per_line = (WIDTH / cell).max(1);
    for line in listed.chunks(per_line) {
        for (n, word) in line.iter().enumerate() {
            out.extend_from_slice(word.as_bytes());
            let padding = if n + 1 == line.len() { 0 } else { cell - word.chars().count() };
            out.extend(core::iter::repeat_n(b' ', padding));
        }
        out.extend_from_slice(b"\r\n");
    }
    if words.len() > LISTED {
        out.extend_from_slice(b"...\r\n");
    }
}
