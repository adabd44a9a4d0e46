//! What is typed, what the terminal shows, and what comes of it.

use podling::console::complete::Completion;
use podling::console::editor::{Editor, Input, WIDTH};
use podling::manifest::limits;
use proptest::prelude::*;

/// A terminal that knows printing, CR, LF and BS, and nothing else. Combining and wide characters are left out.
#[derive(Default)]
struct Terminal {
    lines: Vec<Vec<char>>,
    column: usize,
    bells: usize,
}

impl Terminal {
    fn feed(&mut self, bytes: &[u8]) {
        if self.lines.is_empty() {
            self.lines.push(Vec::new());
        }
        for c in std::str::from_utf8(bytes).expect("the echo is UTF-8").chars() {
            let line = self.lines.last_mut().unwrap();
            match c {
                '\r' => self.column = 0,
                '\n' => self.lines.push(Vec::new()),
                '\u{8}' => self.column = self.column.checked_sub(1).expect("not left of the margin"),
                '\u{7}' => self.bells += 1,
                c if c.is_control() => panic!("{c:?} needs a cleverer terminal"),
                c => {
                    assert!(self.column < WIDTH, "never right of the margin");
                    line.resize(line.len().max(self.column + 1), ' ');
                    line[self.column] = c;
                    self.column += 1;
                }
            }
        }
    }

    fn row(&self) -> String {
        let text: String = self.lines.last().into_iter().flatten().collect();
        text.trim_end().to_owned()
    }
}

struct Desk {
    editor: Editor,
    terminal: Terminal,
    inputs: Vec<Input>,
    sent: usize,
}

impl Desk {
    fn new() -> Desk {
        let mut desk = Desk { editor: Editor::new("qemu# "), terminal: Terminal::default(), inputs: vec![], sent: 0 };
        let mut out = Vec::new();
        desk.editor.show(&mut out);
        desk.terminal.feed(&out);
        desk
    }

    fn keys(&mut self, bytes: &[u8]) -> &mut Desk {
        for byte in bytes {
            let mut out = Vec::new();
            let words = ["get", "restart", "reboot", "pods"];
            let mut complete = |line: &str| {
                let start = line.rfind(' ').map_or(0, |at| at + 1);
                let candidates =
                    words.iter().filter(|w| w.starts_with(&line[start..])).map(|w| w.to_string()).collect();
                Completion { start, candidates }
            };
            if let Some(input) = self.editor.byte(*byte, &mut complete, &mut out) {
                self.inputs.push(input);
                self.editor.show(&mut out);
            }
            self.sent += out.len();
            self.terminal.feed(&out);
        }
        self
    }

    fn story(keys: &[u8]) -> (String, usize, Vec<Input>) {
        let mut desk = Desk::new();
        desk.keys(keys);
        (desk.terminal.row(), desk.terminal.column, desk.inputs)
    }
}

fn line(text: &str) -> Input {
    Input::Line(text.into())
}

#[test]
fn stories() {
    let table: [(&[u8], &str, usize); 20] = [
        (b"get pods", "qemu# get pods", 14),
        (b"get podz\x08s", "qemu# get pods", 14),
        (b"gt\x1b[De", "qemu# get", 8),
        (b"et\x01g", "qemu# get", 7),
        (b"et\x1b[Hg\x1b[F!", "qemu# get!", 10),
        (b"et\x1b[1~g\x1b[4~!", "qemu# get!", 10),
        (b"etg\x1bOHx\x1b[3~", "qemu# xtg", 7),
        (b"get pods\x17logs", "qemu# get logs", 14),
        (b"get pods\x15top", "qemu# top", 9),
        (b"get pods\x01\x0btop", "qemu# top", 9),
        (b"get\x1b[D\x1b[D\x04", "qemu# gt", 7),
        ("größe\x08".as_bytes(), "qemu# größ", 10),
        (b"nothing\x03", "qemu#", 6),
        (b"one\rtwo\r\x1b[A\x1b[A", "qemu# one", 9),
        (b"one\rtwo\rdraft\x1b[A\x1b[B", "qemu# draft", 11),
        (b"one\rone\rtwo\r\x1b[A\x1b[A\x1b[A", "qemu# one", 9),
        (b"g\t", "qemu# get ", 10),
        (b"re\t", "qemu# re", 8),
        (b"reb\t\x1b[Dx", "qemu# rebootx", 13),
        (b"get\x1b[C\x1b[C!", "qemu# get!", 10),
    ];
    for (keys, row, column) in table {
        let (shown, at, _) = Desk::story(keys);
        assert_eq!((shown.trim_end(), at), (row.trim_end(), column), "{:?}", String::from_utf8_lossy(keys));
    }
}

#[test]
fn lines_end_with_any_enter() {
    assert_eq!(Desk::story(b"a\rb\nc\r\nd\r\0\r").2, ["a", "b", "c", "d", ""].map(line));
    assert_eq!(Desk::story(b"\x04ab\x03\r").2, [Input::End, Input::Interrupt, line("")]);
}

/// Tab lists what there is, and the line stays as it was.
#[test]
fn tab_lists_candidates() {
    let mut desk = Desk::new();
    desk.keys(b"re\t\t");
    let shown: Vec<String> = desk.terminal.lines.iter().map(|line| line.iter().collect()).collect();
    assert_eq!(shown, ["qemu# re", "restart  reboot", "qemu# re", "restart  reboot", "qemu# re"]);
    desk.keys(b"x\t");
    assert_eq!(desk.terminal.bells, 1);
}

/// At 115200 baud a line is typed with one byte of echo per key, and a key in the middle costs no more than the rest of the line.
#[test]
fn echo_is_small() {
    let mut desk = Desk::new();
    desk.keys(b"get pods --all-namespaces");
    assert_eq!(desk.sent, 25);
    desk.sent = 0;
    desk.keys(b"\x08");
    assert_eq!(desk.sent, 3);
}

#[test]
fn long_lines_scroll() {
    let text = "0123456789".repeat(20);
    let (row, column, _) = Desk::story(text.as_bytes());
    assert!(row.starts_with("qemu# ") && row.ends_with("789") && row.chars().count() < WIDTH, "{row}");
    assert!(column < WIDTH);
    let mut keys = text.clone().into_bytes();
    keys.push(1);
    assert!(Desk::story(&keys).0.starts_with("qemu# 0123456789"));
    keys.push(b'\r');
    assert_eq!(Desk::story(&keys).2, [line(&text)]);
}

#[test]
fn the_history_is_bounded() {
    let mut desk = Desk::new();
    for n in 0..limits::HISTORY + 5 {
        desk.keys(format!("line{n}\r").as_bytes());
    }
    desk.keys(&b"\x1b[A".repeat(limits::HISTORY + 20));
    assert_eq!(desk.terminal.row(), "qemu# line5");
    assert_eq!(desk.terminal.bells, 20);
}

/// Failure F12: ten megabytes without a newline ring the bell once, are dropped as one line, and the next line is fine.
#[test]
fn f12_endless_line() {
    let mut desk = Desk::new();
    desk.keys(&vec![b'x'; 10_000]);
    let before = desk.sent;
    desk.keys(&vec![b'y'; 10_000_000]);
    assert_eq!((desk.sent - before, desk.terminal.bells), (0, 1));
    desk.keys(b"\rversion\r");
    assert_eq!(desk.inputs, [Input::TooLong, line("version")]);
}

/// Failure F12: NULs, invalid UTF-8 and sequences that never end leave the line as it was.
#[test]
fn f12_noise() {
    for noise in [
        &b"\0\0\0"[..],
        b"\xff\xfe\x80",
        b"\xc3(",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\x1b[12;",
        b"\x1b",
        b"\xc2\x9b",
    ] {
        let mut keys = b"ver".to_vec();
        keys.extend_from_slice(noise);
        // A control character ends whatever has begun.
        keys.extend_from_slice(b"\x05sion\r");
        let (_, _, inputs) = Desk::story(&keys);
        let Some(Input::Line(text)) = inputs.first() else { panic!("{noise:?}: {inputs:?}") };
        assert!(text == "version" || text == "ver(sion", "{noise:?}: {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    /// Whatever is typed, the terminal shows what a fresh redraw would show, with the cursor at the same place.
    #[test]
    fn the_screen_is_never_wrong(keys in prop::collection::vec(prop_oneof![
        8 => "[ -~]{1,30}".prop_map(String::into_bytes),
        2 => "[äöüñ€]{1,3}".prop_map(String::into_bytes),
        6 => prop::sample::select(vec![&b"\x1b[D"[..], b"\x1b[C", b"\x1b[A", b"\x1b[B", b"\x01", b"\x05", b"\x08", b"\x1b[3~", b"\x17", b"\x0b", b"\t", b"\r", b"\x03"]).prop_map(<[u8]>::to_vec),
    ], 0..30)) {
        let mut desk = Desk::new();
        for key in keys {
            desk.keys(&key);
            let (row, column) = (desk.terminal.row(), desk.terminal.column);
            let (mut out, mut fresh) = (Vec::new(), Terminal::default());
            desk.editor.hide(&mut out);
            desk.terminal.feed(&out);
            prop_assert_eq!(desk.terminal.row(), "");
            out.clear();
            desk.editor.show(&mut out);
            fresh.feed(&out);
            desk.terminal.feed(&out);
            prop_assert_eq!((row, column), (fresh.row(), fresh.column));
        }
    }

    /// Failure F12: no bytes make the editor panic or send anything but what a dumb terminal can take.
    #[test]
    fn f12_any_bytes(bytes in prop::collection::vec(any::<u8>().prop_filter("clears the screen", |b| *b != 12), 0..400)) {
        let mut desk = Desk::new();
        let mut out = Vec::new();
        for byte in bytes {
            desk.editor.byte(byte, &mut |_| Completion::default(), &mut out);
        }
        prop_assert!(std::str::from_utf8(&out).is_ok());
        prop_assert!(!out.contains(&0x1b));
    }
}
