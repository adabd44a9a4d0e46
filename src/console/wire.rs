//! The frames of the local socket: a kind, a length of two bytes (big endian), and so many bytes.
//!
//! The client sends [`Kind::Argv`] once and first. The server sends output and, once and last, [`Kind::Exit`]. A frame of an
//! unknown kind ends the connection; so versions can be told apart later by a kind of their own.

use crate::manifest::limits;
use crate::manifest::terminal::Size;
use alloc::vec::Vec;

/// Bytes of a frame's head.
pub const HEAD: usize = 3;
/// The most bytes that a frame carries.
pub const BODY: usize = 4096;
/// The most bytes of a command line in frames.
pub const ARGV: usize = limits::LINE;

const _: () = assert!(ARGV <= BODY && BODY <= u16::MAX as usize);

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Client: the words of the command, each ended by a NUL.
    Argv = 1,
    /// Client: some standard input.
    Stdin = 2,
    /// Client: the end of standard input.
    Eof = 3,
    /// Client: Ctrl-C.
    Interrupt = 4,
    /// Client: it is a terminal of so many lines and columns, two bytes each (big endian). Before [`Kind::Argv`] where it is one at
    /// all, and with every change.
    Size = 5,
    /// Server: some standard output.
    Out = 17,
    /// Server: some standard error.
    Err = 18,
    /// Server: the exit code, one byte.
    Exit = 19,
    /// Server: there is room for one more [`Kind::Stdin`] or [`Kind::Eof`], which never come unasked; so nothing that
    /// follows them has to wait behind them.
    More = 20,
    /// Server: from now on the client's terminal is a program's (1), or its own again (0). While it is a program's, every key is.
    Terminal = 21,
}

impl Kind {
    const ALL: [Kind; 10] = [
        Kind::Argv,
        Kind::Stdin,
        Kind::Eof,
        Kind::Interrupt,
        Kind::Size,
        Kind::Out,
        Kind::Err,
        Kind::Exit,
        Kind::More,
        Kind::Terminal,
    ];

    const fn body(self) -> core::ops::RangeInclusive<usize> {
        match self {
            Kind::Argv | Kind::Stdin | Kind::Out | Kind::Err => 0..=BODY,
            Kind::Eof | Kind::Interrupt | Kind::More => 0..=0,
            Kind::Size => 4..=4,
            Kind::Exit | Kind::Terminal => 1..=1,
        }
    }
}

/// What is wrong with a frame. There is no going on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A kind that this version does not know.
    Kind(u8),
    /// A length that the kind does not have.
    Length(Kind, usize),
    /// A frame that does not belong here.
    Order(Kind),
    /// The command is not words of UTF-8, each ended by a NUL.
    Argv,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Error::Kind(kind) => {
                write!(f, "a frame of the unknown kind {kind}: do client and agent have the same version?")
            }
            Error::Length(kind, length) => write!(f, "a frame {kind:?} of {length} bytes"),
            Error::Order(kind) => write!(f, "an unexpected frame {kind:?}"),
            Error::Argv => f.write_str("a command line that is not UTF-8 text or longer than 4096 bytes"),
        }
    }
}

impl core::error::Error for Error {}

/// A frame: its kind, its body, and the bytes that both take on the wire.
pub type Frame<'a> = (Kind, &'a [u8], usize);

/// The first frame in `bytes`; `None` where more must come first.
pub fn decode(bytes: &[u8]) -> Result<Option<Frame<'_>>, Error> {
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else {
        return match bytes.first() {
            Some(kind) => kind_of(*kind).map(|_| None),
            None => Ok(None),
        };
    };
    let kind = kind_of(head[0])?;
    let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
    if !kind.body().contains(&length) {
        return Err(Error::Length(kind, length));
    }
    Ok(rest.get(..length).map(|body| (kind, body, HEAD + length)))
}

fn kind_of(byte: u8) -> Result<Kind, Error> {
    Kind::ALL.into_iter().find(|kind| *kind as u8 == byte).ok_or(Error::Kind(byte))
}

/// Appends `bytes` as frames of one kind: as many as it takes, and at least one.
pub fn encode(kind: Kind, bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    loop {
        let (body, more) = rest.split_at(rest.len().min(BODY));
        // A body is never longer than BODY, which fits.
        let length = body.len() as u16;
        out.push(kind as u8);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(body);
        rest = more;
        if rest.is_empty() {
            return;
        }
    }
}

/// The frame of a command line; `None` where it is too long, or has a NUL in it.
pub fn encode_argv(words: &[&str], out: &mut Vec<u8>) -> Option<()> {
    let mut body = Vec::new();
    for word in words {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    let whole = body.len() <= ARGV && !words.iter().any(|word| word.contains('\0'));
    whole.then(|| encode(Kind::Argv, &body, out))
}

/// The body of a [`Kind::Size`].
pub fn encode_size(size: Size) -> [u8; 4] {
    let ([a, b], [c, d]) = (size.rows.to_be_bytes(), size.columns.to_be_bytes());
    [a, b, c, d]
}

/// The size in such a body; `None` where it is none.
pub fn decode_size(body: &[u8]) -> Option<Size> {
    let [a, b, c, d] = body.try_into().ok()?;
    Some(Size { rows: u16::from_be_bytes([a, b]), columns: u16::from_be_bytes([c, d]) })
}

/// The words of such a frame.
pub fn decode_argv(body: &[u8]) -> Result<Vec<&str>, Error> {
    let text = core::str::from_utf8(body).map_err(|_| Error::Argv)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let words = text.strip_suffix('\0').ok_or(Error::Argv)?;
    Ok(words.split('\0').collect())
}
