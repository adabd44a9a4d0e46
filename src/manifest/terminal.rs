//! Standard input and terminals: what a container is given of them, and how large a terminal is.

use serde::{Deserialize, Serialize};

/// `stdin` and `stdinOnce` of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdin {
    /// There is none: it reads the end of it at once.
    #[default]
    None,
    /// `stdin`: it is kept open for whoever attaches, for as long as the container runs.
    Kept,
    /// `stdin` and `stdinOnce`: it ends with the first attach. On a terminal it is the same as [`Stdin::Kept`], as elsewhere.
    Once,
}

/// How large a terminal is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

impl Default for Size {
    /// 24 lines of 80: what a terminal has that does not say.
    fn default() -> Size {
        Size { rows: 24, columns: 80 }
    }
}
