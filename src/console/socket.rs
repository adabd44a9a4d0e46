//! The local socket: the same verbs for `podlingd get pods` on the board. Only root and the agent's own user are served.

use super::board::Board;
use super::grammar::{self, Command};
use super::outbox::{Outbox, Style};
use super::stream::{Party, Turn, converse};
use super::terminal::Terminal;
use super::verbs::{self, INTERRUPTED, Io, StdinQueue};
use super::wire::{self, Kind};
use crate::manifest::limits;
use embedded_io::{Read, ReadReady, Write, WriteReady};
use rustix::fd::OwnedFd;
use rustix::fs::Mode;
use rustix::net::sockopt::socket_peercred;
use smol::Async;
use std::cell::Cell;
use std::format;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::pin::Pin;
use std::prelude::v1::*;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The socket's name in the agent's run directory.
pub const NAME: &str = "console.sock";

/// Binds the socket, for its owner only. What an agent that died has left in its place is removed.
pub fn bind(path: &Path) -> io::Result<Async<UnixListener>> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    // Nobody else may connect in the moment between bind and chmod either.
    let mask = rustix::process::umask(Mode::XUSR | Mode::RWXG | Mode::RWXO);
    let bound = UnixListener::bind(path);
    rustix::process::umask(mask);
    Async::new(bound?)
}

/// Serves the socket for ever; `spawn` starts a task on the agent's thread.
pub async fn serve(
    board: Rc<dyn Board>,
    listener: Async<UnixListener>,
    spawn: impl Fn(Pin<Box<dyn Future<Output = ()>>>),
) {
    let sessions = Rc::new(Cell::new(0));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("console socket: accept: {error}");
                // Out of descriptors (failure F15): the caller is still in the queue, and asking again at once would spin.
                smol::Timer::after(std::time::Duration::from_secs(1)).await;
                continue;
            }
        };
        let Ok(stream) = stream.into_inner().map(OwnedFd::from) else { continue };
        let refusal = refuse(&stream, sessions.get());
        let place = Place::take(&sessions);
        let board = board.clone();
        spawn(Box::pin(async move {
            let _place = place;
            let mut connection = Connection::new(board);
            if let Some(text) = refusal {
                connection.refuse(&text);
            }
            // A client that goes away in mid-command ends only that command.
            if let Ok(stream) = Async::new(stream) {
                let _ = converse(&stream, &mut connection, |_, _| {}).await;
            }
        }));
    }
}

/// Why a caller is not served.
fn refuse(stream: &OwnedFd, sessions: usize) -> Option<String> {
    let peer = match socket_peercred(stream) {
        Ok(peer) => peer.uid,
        Err(errno) => return Some(format!("error: who is calling is not known: {errno}")),
    };
    let own = rustix::process::geteuid();
    if !peer.is_root() && peer != own {
        return Some(format!(
            "error: user {} may not use the console: only root and user {} may",
            peer.as_raw(),
            own.as_raw()
        ));
    }
    let full = sessions >= limits::SESSIONS;
    full.then(|| format!("error: there are {} sessions already: end one first", limits::SESSIONS))
}

/// One of the counted sessions.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(sessions: &Rc<Cell<usize>>) -> Place {
        sessions.set(sessions.get() + 1);
        Place(sessions.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// How far a conversation is.
enum State {
    /// The command has not come yet.
    Waiting,
    /// The command is being carried out.
    Working(Pin<Box<dyn Future<Output = u8>>>),
    /// The exit code is on its way; then it is over.
    Ending,
}

/// One client: a command, and what comes of it.
pub struct Connection {
    board: Rc<dyn Board>,
    outbox: Rc<Outbox>,
    stdin: Rc<StdinQueue>,
    /// The client's terminal, where it has said that it is one.
    terminal: Option<Rc<Terminal>>,
    /// Less than a frame, and what came with its end.
    inbox: Vec<u8>,
    /// Some standard input has been asked for.
    asked: bool,
    state: State,
}

impl Connection {
    /// A client of whom nothing has been heard.
    pub fn new(board: Rc<dyn Board>) -> Connection {
        let outbox = Rc::new(Outbox::new(Style::Frames));
        let (stdin, inbox) = Default::default();
        Connection { board, outbox, stdin, terminal: None, inbox, asked: false, state: State::Waiting }
    }

    /// Says why nothing is done for this client, and ends.
    pub fn refuse(&mut self, text: &str) {
        self.outbox.put(Kind::Err, format!("{text}\n").as_bytes());
        self.end(1);
    }

    fn end(&mut self, code: u8) {
        self.outbox.put(Kind::Exit, &[code]);
        self.state = State::Ending;
    }

    /// Takes the frames that have come whole.
    fn frames(&mut self) {
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = inbox.as_slice();
        loop {
            match wire::decode(rest) {
                Ok(None) => break,
                Ok(Some((kind, body, length))) => {
                    self.frame(kind, body);
                    rest = &rest[length..];
                }
                Err(error) => {
                    self.refuse(&format!("error: {error}"));
                    return;
                }
            }
            if matches!(self.state, State::Ending) {
                return;
            }
        }
        self.inbox = rest.to_vec();
    }

    fn frame(&mut self, kind: Kind, body: &[u8]) {
        match (kind, &self.state) {
            (Kind::Argv, State::Waiting) => self.start(body),
            (Kind::Stdin, State::Working(_)) if self.asked && !body.is_empty() => {
                self.asked = false;
                self.stdin.put(body);
            }
            (Kind::Eof, State::Working(_)) if self.asked => self.stdin.end(),
            (Kind::Size, State::Waiting | State::Working(_)) => self.resize(body),
            (Kind::Interrupt, State::Working(_)) => self.end(INTERRUPTED),
            (kind, _) => self.refuse(&format!("error: {}", wire::Error::Order(kind))),
        }
    }

    /// The size of its terminal, first or anew. Where it was none, a size is of no use any more.
    fn resize(&mut self, body: &[u8]) {
        let Some(size) = wire::decode_size(body) else { return };
        match (&self.terminal, &self.state) {
            (Some(terminal), _) => terminal.resize(size),
            (None, State::Waiting) => self.terminal = Some(Rc::new(Terminal::new(size))),
            (None, _) => {}
        }
    }

    fn start(&mut self, body: &[u8]) {
        let words = match wire::decode_argv(body) {
            Ok(words) => words,
            Err(error) => return self.refuse(&format!("error: {error}")),
        };
        match grammar::parse(&words) {
            Ok(command) => self.work(command),
            Err(error) => self.refuse(&format!("{error}")),
        }
    }

    fn work(&mut self, command: Command) {
        let board = self.board.clone();
        let (stdin, terminal) = (Some(self.stdin.clone()), self.terminal.clone());
        let io = Io { outbox: self.outbox.clone(), width: None, stdin, terminal };
        self.state = State::Working(Box::pin(async move { verbs::run(&*board, command, &io).await }));
    }

    /// Lets the command go on.
    fn advance(&mut self, cx: &mut Context<'_>) {
        let State::Working(job) = &mut self.state else { return };
        if let Poll::Ready(code) = job.as_mut().poll(cx) {
            self.end(code);
        } else if self.stdin.ask() {
            self.asked = true;
            self.outbox.put(Kind::More, &[]);
        }
    }
}

impl Party for Connection {
    fn turn<S: Read + ReadReady + Write + WriteReady>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Result<Turn, S::Error> {
        let ended = matches!(self.state, State::Ending);
        if !ended && stream.read_ready()? {
            let mut bytes = [0; 1024];
            match stream.read(&mut bytes)? {
                0 => return Ok(Turn::Over),
                count => self.inbox.extend_from_slice(&bytes[..count]),
            }
            self.frames();
        }
        self.advance(cx);
        self.outbox.drain(stream)?;
        let ended = matches!(self.state, State::Ending);
        if ended && self.outbox.is_empty() {
            return Ok(Turn::Over);
        }
        Ok(Turn::Wait { read: !ended, write: !self.outbox.is_empty() })
    }
}
