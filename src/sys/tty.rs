//! Terminals: instances of devpts, pseudo terminals in them, and how large a terminal is.

use super::mount::{self, NOEXEC, NOSUID};
use crate::manifest::terminal::Size;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Result;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

/// A new instance of devpts, not mounted anywhere yet. Its terminals belong to the group 5, `tty` in every image.
pub fn instance() -> Result<OwnedFd> {
    let options = [(c"ptmxmode", c"0666"), (c"mode", c"0620"), (c"gid", c"5")];
    mount::new_mount(c"devpts", &options, NOSUID | NOEXEC)
}

/// A pseudo terminal. Neither side becomes the caller's controlling terminal.
#[derive(Debug)]
pub struct Pty {
    /// The side of whoever types and reads, non-blocking.
    pub master: OwnedFd,
    /// The program's side.
    pub slave: OwnedFd,
}

/// A new terminal of that instance.
pub fn open(instance: BorrowedFd<'_>, size: Size) -> Result<Pty> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let master = openat(instance, "ptmx", flags, Mode::empty())?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    resize(&master, size)?;
    Ok(Pty { master, slave })
}

/// Gives a terminal, seen from either side, its size; its programs are told by SIGWINCH where it is another than before.
pub fn resize(terminal: impl AsFd, size: Size) -> Result<()> {
    let Size { rows, columns } = size;
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
}

/// How large it is; `None` where it is no terminal, or does not say.
pub fn size(terminal: impl AsFd) -> Option<Size> {
    let size = tcgetwinsize(terminal).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some(Size { rows: size.ws_row, columns: size.ws_col })
}
