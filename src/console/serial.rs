//! The console tty of a board: raw, non-blocking, one session for as long as the board runs, shared with the agent's log.

use super::board::Board;
use super::session::Session;
use super::stream::converse;
use crate::agent::logger;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::termios::{ControlModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use smol::{Async, Timer};
use std::io;
use std::path::Path;
use std::prelude::v1::*;
use std::rc::Rc;
use std::time::Duration;

/// How long a line that hung up, or could not be opened, is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// Serves the tty for ever. A line that hangs up (its adapter was pulled) is opened again.
pub async fn serve(board: Rc<dyn Board>, tty: &Path) {
    loop {
        match prepare(tty) {
            Ok(fd) => {
                if let Err(error) = talk(board.clone(), &fd).await {
                    log::warn!("console {}: {error}; it is opened again", tty.display());
                }
            }
            Err(error) => log::warn!("open console {}: {error}; is it the name of the board's tty?", tty.display()),
        }
        Timer::after(PAUSE).await;
    }
}

/// One session, until the line hangs up.
pub async fn talk(board: Rc<dyn Board>, fd: &Async<OwnedFd>) -> io::Result<()> {
    let mut session = Session::new(board);
    let _until_the_end = logger::Attached;
    converse(fd, &mut session, |session, cx| {
        // A program's screen stays its own; the lines wait, as many as the log keeps.
        if !session.is_lent() {
            logger::take(cx, &mut |line| session.notice(line));
        }
    })
    .await
}

/// Opens a tty for a session.
pub fn prepare(tty: &Path) -> io::Result<Async<OwnedFd>> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = open(tty, flags, Mode::empty())?;
    let mut settings = tcgetattr(&fd)?;
    make_raw(&mut settings);
    tcsetattr(&fd, OptionalActions::Now, &settings)?;
    Async::new(fd)
}

/// Bytes as they are, but XON and XOFF hold the output, and modem lines say nothing.
fn make_raw(settings: &mut Termios) {
    use rustix::termios::InputModes;
    settings.make_raw();
    settings.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    settings.input_modes |= InputModes::IXON | InputModes::IGNBRK;
}
