//! The one semantic check, for workstation and board: after it, everything in a body can be used without a second look.
//!
//! Each list is walked strictly: every element in its one encoding, its count within [`limits`], its end at the end of the
//! bytes. Then names, paths, numbers and references are checked against each other. Nothing is allocated.

use super::board::Board;
use super::image::Image;
use super::pod::Manifest;
use super::{List, codec, limits};
use core::cell::Cell;
use core::fmt;
use core::ops::RangeInclusive;
use rule::Rule;
use serde::{Deserialize, Serialize};

mod owner;
mod pod;
mod probe;
pub mod rule;
mod security;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Error<'a> {
    /// Namespace and name of the pod that it is about.
    pub pod: Option<(&'a str, &'a str)>,
    /// The way to the field.
    pub path: Path,
    /// What is wrong with it.
    pub problem: Problem<'a>,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Problem<'a> {
    /// It does not decode.
    Encoding(codec::Error),
    /// A text breaks a rule.
    Text {
        /// The text.
        text: &'a str,
        /// What is wrong with it, to be said after it.
        says: &'static str,
    },
    /// A number is out of its range.
    Number {
        /// The number.
        number: u64,
        /// What is the matter, to be said after it.
        says: &'static str,
    },
    /// Something is the matter with the field as a whole.
    Field(&'static str),
    /// A list has more elements than the board has room for.
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// A text has more bytes than the board has room for.
    TooLong {
        /// Its bytes.
        found: usize,
        /// The bound.
        limit: usize,
    },
}

/// The way to a field, from the outside in.
pub type Path = heapless::Vec<Step, 8>;

/// One step of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A field of a structure, in Kubernetes' spelling.
    Field(&'static str),
    /// An element of a list.
    Element(u16),
}

/// That something has been found wrong: what, is told where [`At`] leads. So the way out of the check costs no more than a bit.
struct Failed;
/// What a part of the check comes to.
type Checked<T = ()> = Result<T, Failed>;

/// The manifest in `body`, checked.
#[allow(clippy::result_large_err, reason = "made once, where everything ends, and floor 0 has no heap to box it in")]
pub fn manifest(body: &[u8]) -> Result<Manifest<'_>, Error<'_>> {
    checked(body, |at, manifest| pod::manifest(at, manifest))
}

/// The image record in `body`, checked.
#[allow(clippy::result_large_err, reason = "as above")]
pub fn image(body: &[u8]) -> Result<Image<'_>, Error<'_>> {
    checked(body, of_image)
}

/// The board in `body`, checked.
#[allow(clippy::result_large_err, reason = "as above")]
pub fn board(body: &[u8]) -> Result<Board<'_>, Error<'_>> {
    checked(body, of_board)
}

#[allow(clippy::result_large_err, reason = "as above")]
fn checked<'a, T: Deserialize<'a> + Serialize>(
    body: &'a [u8],
    check: impl FnOnce(&At<'_, 'a>, &T) -> Checked,
) -> Result<T, Error<'a>> {
    let told = Cell::new(None);
    let root = At { up: None, step: None, told: &told };
    let body = codec::decode(body).map_err(|error| root.fail(Problem::Encoding(error)));
    let checked = body.and_then(|body| check(&root, &body).map(|()| body));
    checked.map_err(|Failed| told.take().expect("who fails has told why"))
}

fn of_image<'a>(at: &At<'_, 'a>, image: &Image<'a>) -> Checked {
    let field = |name| at.field(name);
    field("reference").text(image.reference, rule::IMAGE)?;
    field("platform").text(image.platform, rule::PLATFORM)?;
    field("size").number(image.size, 1..=limits::BYTES, "bytes are not the size of a squashfs file")?;
    field("Entrypoint").strings(image.entrypoint)?;
    field("Cmd").strings(image.cmd)?;
    field("Env").list(image.env, limits::ENV, |at, entry| {
        at.length(entry, limits::STRING)?;
        at.text(entry, rule::ENV_ENTRY)
    })?;
    field("WorkingDir").text(image.working_dir, rule::ABSOLUTE_PATH)?;
    field("User").id(image.uid)?;
    field("group").id(image.gid)?;
    field("groups").list(image.groups, limits::GROUPS, |at, group| at.id(group))?;
    field("StopSignal").number(image.stop_signal.into(), 1..=64, "is not the number of a signal (1 to 64)")?;
    field("ExposedPorts").list(image.ports, limits::PORTS, |at, port| at.port(port.container))?;
    Ok(())
}

fn of_board<'a>(at: &At<'_, 'a>, board: &Board<'a>) -> Checked {
    let field = |name| at.field(name);
    field("class").text(board.class, rule::CLASS)?;
    field("hostname").text(board.hostname, rule::HOST_NAME)?;
    field("console").text(board.console, rule::KERNEL_NAME)?;
    field("modules").list(board.modules, limits::MODULES, |at, module| at.text(module, rule::RELATIVE_PATH))?;
    field("slots").text(board.slots, rule::DEVICE)?;
    if board.slot_bytes == 0 || !board.slot_bytes.is_multiple_of(4096) {
        let says = "is not the size of a slot: a multiple of 4096, so that a write of one slot never touches the other";
        return Err(field("slot_bytes").fail(Problem::Number { number: board.slot_bytes.into(), says }));
    }
    field("data").text(board.data, rule::DEVICE)?;
    if board.data == board.slots {
        return Err(field("data").fail(Problem::Text { text: board.data, says: "is the device of the slots as well" }));
    }
    field("data_fs").text(board.data_fs, rule::KERNEL_NAME)?;
    for (size, _) in board.huge_pages.iter() {
        let bytes = board.huge_pages.bytes(size);
        field("hugepages").number(bytes, 0..=limits::BYTES, "bytes of huge pages are too many")?;
    }
    if let Some(network) = board.network {
        let at = field("network");
        at.field("interface").text(network.interface, rule::KERNEL_NAME)?;
        at.field("prefix").number(network.prefix.into(), 1..=32, "is not the length of a prefix (1 to 32)")?;
        if matches!(network.address[0], 0 | 127 | 224..) {
            return Err(at.field("address").fail(Problem::Field("is not the address of one host")));
        }
    }
    Ok(())
}

/// Where the check is: a chain on the stack, from a field to what it is in.
#[derive(Clone, Copy)]
struct At<'p, 'a> {
    up: Option<&'p At<'p, 'a>>,
    step: Option<Step>,
    told: &'p Cell<Option<Error<'a>>>,
}

impl<'a> At<'_, 'a> {
    fn field(&self, name: &'static str) -> At<'_, 'a> {
        At { up: Some(self), step: Some(Step::Field(name)), told: self.told }
    }

    fn element(&self, index: usize) -> At<'_, 'a> {
        At { up: Some(self), step: Some(Step::Element(index.try_into().unwrap_or(u16::MAX))), told: self.told }
    }

    /// The same, where a pod is checked, whose fields have their ways from the pod on; `name` is its namespace and name.
    fn of_pod(&self, name: (&'a str, &'a str), check: impl FnOnce(&At<'_, 'a>) -> Checked) -> Checked {
        check(&At { up: None, step: None, told: self.told }).inspect_err(|Failed| {
            self.told.set(self.told.take().map(|error| Error { pod: Some(name), ..error }));
        })
    }

    /// The index of the element that this is.
    fn index(&self) -> usize {
        match self.step {
            Some(Step::Element(index)) => index.into(),
            _ => 0,
        }
    }

    fn fail(&self, problem: Problem<'a>) -> Failed {
        let mut path = Path::new();
        let mut at = Some(self);
        while let Some(here) = at {
            // A way longer than a Path has room for loses its outer end; there is none.
            let _ = here.step.map(|step| path.push(step));
            at = here.up;
        }
        path.reverse();
        self.told.set(Some(Error { pod: None, path, problem }));
        Failed
    }

    fn text(&self, text: &'a str, rule: Rule) -> Checked {
        if (rule.holds)(text) { Ok(()) } else { Err(self.fail(Problem::Text { text, says: rule.says })) }
    }

    /// Any text that can be handed to the kernel.
    fn string(&self, text: &'a str) -> Checked {
        self.length(text, limits::STRING)?;
        if text.contains('\0') { Err(self.fail(Problem::Text { text, says: "holds a NUL byte" })) } else { Ok(()) }
    }

    fn length(&self, text: &'a str, limit: usize) -> Checked {
        if text.len() <= limit { Ok(()) } else { Err(self.fail(Problem::TooLong { found: text.len(), limit })) }
    }

    fn number(&self, number: u64, range: RangeInclusive<u64>, says: &'static str) -> Checked {
        if range.contains(&number) { Ok(()) } else { Err(self.fail(Problem::Number { number, says })) }
    }

    fn id(&self, id: u32) -> Checked {
        self.number(id.into(), 0..=limits::ID.into(), "is not a user or group number (0 to 2147483647)")
    }

    fn port(&self, port: u16) -> Checked {
        self.number(port.into(), 1..=65_535, "is not a port (1 to 65535)")
    }

    fn strings(&self, words: List<'a, &'a str>) -> Checked {
        self.list(words, limits::ARGS, |at, word| at.string(word))?;
        Ok(())
    }

    /// Walks a list strictly, and counts it.
    fn list<T: Deserialize<'a> + Serialize>(
        &self,
        list: List<'a, T>,
        limit: usize,
        mut each: impl FnMut(&At<'_, 'a>, T) -> Checked,
    ) -> Checked<usize> {
        let mut rest = list.as_bytes();
        let mut count = 0;
        while !rest.is_empty() {
            if count == limit {
                return Err(self.fail(Problem::TooMany { limit }));
            }
            let at = self.element(count);
            let (element, behind) = codec::take(rest).map_err(|error| at.fail(Problem::Encoding(error)))?;
            each(&at, element)?;
            rest = behind;
            count += 1;
        }
        Ok(count)
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((namespace, name)) = self.pod {
            write!(f, "pod {}/{}: ", Shown(namespace), Shown(name))?;
        }
        for (n, step) in self.path.iter().enumerate() {
            match step {
                Step::Field(name) if n == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Element(index) => write!(f, "[{index}]")?,
            }
        }
        if !self.path.is_empty() {
            f.write_str(": ")?;
        }
        match self.problem {
            Problem::Encoding(error) => error.fmt(f),
            Problem::Text { text, says } => write!(f, "\"{}\" {says}", Shown(text)),
            Problem::Number { number, says } => write!(f, "{number} {says}"),
            Problem::Field(says) => f.write_str(says),
            Problem::TooMany { limit } => write!(f, "more than {limit} elements, and there is room for no more"),
            Problem::TooLong { found, limit } => {
                write!(f, "{found} bytes, and there is room for {limit}")
            }
        }
    }
}

impl core::error::Error for Error<'_> {}

/// A text from outside in a message: cut, and without what moves a terminal's cursor.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(64) {
            f.write_char(if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })?;
        }
        f.write_str(if chars.next().is_some() { "…" } else { "" })
    }
}
