//! Bytes of a terminal to keys: UTF-8, control characters, escape sequences; whatever else comes is dropped.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the key of its name")]
pub enum Key {
    Char(char),
    Enter,
    Tab,
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    /// A control character without a place above: `Control('c')`.
    Control(char),
}

/// Where the decoder is in a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After a carriage return: a line feed then belongs to it.
    Return,
    /// After ESC.
    Escape,
    /// After ESC O.
    Single,
    /// After ESC [ : its first number so far.
    Control(u16),
    /// In a UTF-8 sequence: so many more bytes, the value so far, the least value that is not overlong.
    Utf8 { more: u8, value: u32, least: u32 },
}

/// Tells keys from bytes. Its state is a few bytes, whatever comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder {
    state: State,
}

impl Decoder {
    /// Takes a byte; gives the key that it completes.
    pub fn byte(&mut self, byte: u8) -> Option<Key> {
        match core::mem::take(&mut self.state) {
            State::Return if byte == b'\n' => None,
            State::Ground | State::Return => self.ground(byte),
            // A control character ends an unfinished sequence, and counts.
            _ if byte < 0x20 || byte == 0x7f => self.ground(byte),
            State::Escape => {
                self.state = match byte {
                    b'[' => State::Control(0),
                    b'O' => State::Single,
                    _ => State::Ground,
                };
                None
            }
            State::Single => arrow(byte),
            State::Control(number) => self.control(number, byte),
            State::Utf8 { more, value, least } => self.utf8(more, value, least, byte),
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'\r' => {
                self.state = State::Return;
                Some(Key::Enter)
            }
            b'\n' => Some(Key::Enter),
            b'\t' => Some(Key::Tab),
            0x08 | 0x7f => Some(Key::Backspace),
            0x1b => {
                self.state = State::Escape;
                None
            }
            1..=26 => Some(Key::Control(char::from(byte - 1 + b'a'))),
            0x20..=0x7e => Some(Key::Char(char::from(byte))),
            0xc2..=0xdf => self.begin(1, byte & 0x1f, 0x80),
            0xe0..=0xef => self.begin(2, byte & 0x0f, 0x800),
            0xf0..=0xf4 => self.begin(3, byte & 0x07, 0x1_0000),
            _ => None,
        }
    }

    fn begin(&mut self, more: u8, bits: u8, least: u32) -> Option<Key> {
        self.state = State::Utf8 { more, value: bits.into(), least };
        None
    }

    fn utf8(&mut self, more: u8, value: u32, least: u32, byte: u8) -> Option<Key> {
        if byte & 0xc0 != 0x80 {
            return self.ground(byte);
        }
        let value = value << 6 | u32::from(byte & 0x3f);
        if more > 1 {
            self.state = State::Utf8 { more: more - 1, value, least };
            return None;
        }
        // U+0080–U+009F would be control characters.
        char::from_u32(value).filter(|c| value >= least && !c.is_control()).map(Key::Char)
    }

    fn control(&mut self, number: u16, byte: u8) -> Option<Key> {
        match byte {
            b'0'..=b'9' => {
                let number = number.saturating_mul(10).saturating_add(u16::from(byte - b'0'));
                self.state = State::Control(number);
                None
            }
            // Further parameters: modifiers of a key that is meant all the same.
            b':'..=b'?' | 0x20..=0x2f => {
                self.state = State::Control(number);
                None
            }
            b'~' => match number {
                1 | 7 => Some(Key::Home),
                4 | 8 => Some(Key::End),
                3 => Some(Key::Delete),
                _ => None,
            },
            _ => arrow(byte),
        }
    }
}

fn arrow(byte: u8) -> Option<Key> {
    match byte {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'C' => Some(Key::Right),
        b'D' => Some(Key::Left),
        b'H' => Some(Key::Home),
        b'F' => Some(Key::End),
        _ => None,
    }
}
