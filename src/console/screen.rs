//! One line on a terminal that knows nothing but printing, backspace and line feed; rewrites only what has changed.

use alloc::string::String;
use alloc::vec::Vec;

/// The prompt and the visible part of a line, as the terminal shows them now.
#[derive(Debug)]
pub struct Screen {
    width: usize,
    prompt: String,
    /// What stands behind the prompt; `None` where even the prompt is not shown.
    shown: Option<Vec<char>>,
    /// How many of these are before the cursor.
    cursor: usize,
    /// How many bytes of the line are scrolled out to the left.
    scrolled: usize,
}

impl Screen {
    /// A terminal of `width` columns. The prompt never takes more than half of it.
    pub fn new(prompt: &str, width: usize) -> Screen {
        let prompt = prompt.chars().take(width / 2).collect();
        Screen { width, prompt, shown: None, cursor: 0, scrolled: 0 }
    }

    /// Shows the line with its cursor, `at` bytes into it. The work goes by the window's width, not by the line's length.
    pub fn show(&mut self, line: &str, at: usize, out: &mut Vec<u8>) {
        self.scroll(line, at);
        let window: Vec<char> = fitting(line[self.scrolled..].chars(), self.room()).collect();
        let target = line[self.scrolled..at].chars().count();
        let old = match self.shown.take() {
            Some(old) => old,
            None => {
                print(out, self.prompt.chars());
                self.cursor = 0;
                Vec::new()
            }
        };
        let same = old.iter().zip(&window).take_while(|(a, b)| a == b).count();
        if same < old.len() || same < window.len() {
            self.go(&old, same, out);
            print(out, window[same..].iter().copied());
            let left_over = columns(&old).saturating_sub(columns(&window));
            print(out, core::iter::repeat_n(' ', left_over));
            back(out, left_over);
            self.cursor = window.len();
        }
        self.go(&window, target, out);
        self.shown = Some(window);
    }

    /// Blanks the line and the prompt, so that something else can be printed at the start of the line.
    pub fn hide(&mut self, out: &mut Vec<u8>) {
        if let Some(shown) = self.shown.take() {
            let width = self.prompt.chars().count() + columns(&shown);
            out.push(b'\r');
            print(out, core::iter::repeat_n(' ', width));
            out.push(b'\r');
        }
    }

    /// The terminal has been cleared: nothing is shown any more.
    pub fn forget(&mut self) {
        self.shown = None;
    }

    /// Leaves the line as it stands, and goes to the next one.
    pub fn leave(&mut self, out: &mut Vec<u8>) {
        self.leave_with(b"", out);
    }

    /// The same, with a mark at the end of the line, over its last characters where there is no room.
    pub fn leave_with(&mut self, mark: &[u8], out: &mut Vec<u8>) {
        if let Some(shown) = self.shown.take() {
            let end = shown.len();
            self.go(&shown, end, out);
            let used = self.prompt.chars().count() + columns(&shown);
            back(out, (used + mark.len() + 1).saturating_sub(self.width));
        }
        self.scrolled = 0;
        out.extend_from_slice(mark);
        out.extend_from_slice(b"\r\n");
    }

    /// Columns for the line: the last one stays free, since terminals differ in what comes after it.
    fn room(&self) -> usize {
        self.width.saturating_sub(self.prompt.chars().count() + 1).max(4)
    }

    /// Where the cursor would leave the window, has half of the window before it.
    fn scroll(&mut self, line: &str, at: usize) {
        let room = self.room();
        let fits = |before: &str| {
            let width = before.chars().try_fold(0, |width, c| Some(width + width_of(c)).filter(|width| *width < room));
            width.is_some()
        };
        let inside = line.get(self.scrolled..at).is_some_and(fits);
        if !inside {
            let before = line[..at].chars().rev();
            let half: usize = fitting(before, room / 2).map(char::len_utf8).sum();
            self.scrolled = at - half;
        }
    }

    /// Moves the cursor: left by backspaces, right by printing once more what is there.
    fn go(&mut self, shown: &[char], to: usize, out: &mut Vec<u8>) {
        if to < self.cursor {
            back(out, columns(&shown[to..self.cursor]));
        } else {
            print(out, shown[self.cursor..to].iter().copied());
        }
        self.cursor = to;
    }
}

fn fitting(line: impl Iterator<Item = char>, room: usize) -> impl Iterator<Item = char> {
    line.scan(0, |used, c| {
        *used += width_of(c);
        Some((c, *used))
    })
    .take_while(move |(_, used)| *used <= room)
    .map(|(c, _)| c)
}

fn print(out: &mut Vec<u8>, text: impl Iterator<Item = char>) {
    for c in text {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

fn back(out: &mut Vec<u8>, columns: usize) {
    out.extend(core::iter::repeat_n(0x08, columns));
}

fn columns(text: &[char]) -> usize {
    text.iter().copied().map(width_of).sum()
}

/// The columns of a character: two for those of East Asia and pictures, none for what combines with the one before.
fn width_of(c: char) -> usize {
    match c as u32 {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1_f300..=0x1_faff | 0x2_0000..=0x3_fffd => 2,
        _ => 1,
    }
}
