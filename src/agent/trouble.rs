//! What goes wrong on this floor: words that name the attempt, its subject and the kernel's answer, on their way to an event.

use crate::manifest::status::{Message, message};
use crate::sys;
use std::fmt;
use std::format;
use std::io;
use std::path::Path;
use std::prelude::v1::*;

/// Something that could not be done, in words.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Trouble(Box<str>);

impl Trouble {
    /// The error of attempting `verb` on `path`.
    pub(super) fn at(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Trouble {
        let what = format!("{verb} {}", path.display());
        move |error| Trouble(format!("{what}: {error}").into())
    }

    /// As an event or a reason carries it.
    pub(super) fn message(&self) -> Message {
        message(&self.0)
    }
}

impl From<String> for Trouble {
    fn from(words: String) -> Trouble {
        Trouble(words.into())
    }
}

impl From<&str> for Trouble {
    fn from(words: &str) -> Trouble {
        Trouble(words.into())
    }
}

impl From<sys::Error> for Trouble {
    fn from(error: sys::Error) -> Trouble {
        format!("{error}").into()
    }
}

impl From<sys::cgroup::Error> for Trouble {
    fn from(error: sys::cgroup::Error) -> Trouble {
        format!("{error}").into()
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
