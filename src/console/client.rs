//! `podlingd get pods` on the board: hands the command line to the agent and its output to the caller.

use super::catalog;
use super::grammar::{self, Command};
use super::raw::{self, Raw};
use super::wire::{self, Kind};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::AsFd;
use rustix::io::{Errno, read};
use std::format;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::prelude::v1::*;
use std::process::ExitCode;

/// Has the agent that listens on the socket at `path` carry out the words of a command line.
pub fn client(path: &Path, words: &[&str]) -> ExitCode {
    match grammar::parse(words) {
        Err(error) => fail(&format!("{error}")),
        Ok(Command::Help(verb)) => {
            let mut text = String::new();
            match verb {
                Some(verb) => verb.describe(&mut text),
                None => catalog::overview(&mut text),
            }
            print(Kind::Out, text.as_bytes()).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(stream) => ask(stream, words).unwrap_or_else(|error| fail(&format!("error: {error}"))),
            Err(error) => fail(&unreachable(path, &error)),
        },
    }
}

fn fail(text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::FAILURE
}

fn unreachable(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("error: no agent listens at {path} ({error}): is it running?")
        }
        io::ErrorKind::PermissionDenied => format!("error: connect to {path}: {error}: only root may use the console"),
        _ => format!("error: connect to {path}: {error}"),
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn ask(mut stream: UnixStream, words: &[&str]) -> io::Result<ExitCode> {
    let mut frames = Vec::new();
    tell_size(&mut frames);
    wire::encode_argv(words, &mut frames).ok_or_else(|| invalid(format!("{}", wire::Error::Argv)))?;
    send(&mut stream, &frames)?;
    let mut inbox: Vec<u8> = Vec::new();
    let mut wanted = false;
    // Dropped on every way out of here.
    let mut terminal: Option<Raw> = None;
    loop {
        let taken = match wire::decode(&inbox).map_err(|error| invalid(format!("{error}")))? {
            Some((Kind::Exit, body, _)) => return Ok(ExitCode::from(body.first().copied().unwrap_or(1))),
            Some((kind @ (Kind::Out | Kind::Err), body, length)) => {
                print(kind, body)?;
                length
            }
            Some((Kind::More, _, length)) => {
                wanted = true;
                length
            }
            Some((Kind::Terminal, body, length)) => {
                terminal = if body == [1] { Some(Raw::enter()?) } else { None };
                length
            }
            Some((kind, ..)) => return Err(invalid(format!("{}", wire::Error::Order(kind)))),
            None => {
                match wait(&stream, wanted, terminal.as_ref())? {
                    News::Agent => fill(&mut stream, &mut inbox)?,
                    News::Stdin => {
                        feed(&mut stream)?;
                        wanted = false;
                    }
                    News::Signal => {
                        if let Some(signal) = terminal.as_ref().and_then(Raw::ended_by) {
                            return Ok(ExitCode::from(128 + signal as u8));
                        }
                        if terminal.as_ref().is_some_and(Raw::is_resized) {
                            let mut frame = Vec::new();
                            tell_size(&mut frame);
                            send(&mut stream, &frame)?;
                        }
                    }
                }
                0
            }
        };
        inbox.drain(..taken);
    }
}

/// The frame that says how large the terminal is, where standard input is one.
fn tell_size(frames: &mut Vec<u8>) {
    if let Some(size) = raw::size() {
        wire::encode(Kind::Size, &wire::encode_size(size), frames);
    }
}

/// What has come.
enum News {
    Agent,
    Stdin,
    Signal,
}

/// Waits for the agent, for standard input where some is wanted, and for signals where they are watched.
fn wait(stream: &UnixStream, wanted: bool, terminal: Option<&Raw>) -> io::Result<News> {
    let stdin = io::stdin();
    let of = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
    // A signal goes first: whoever floods the terminal does not keep it from being given back.
    let mut fds: Vec<PollFd<'_>> = terminal.into_iter().flat_map(Raw::watched).map(of).collect();
    let signals = fds.len();
    fds.push(of(stream.as_fd()));
    fds.extend(wanted.then(|| of(stdin.as_fd())));
    loop {
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
            Ok(_) => {}
        }
        return Ok(match fds.iter().position(|fd| !fd.revents().is_empty()) {
            Some(at) if at < signals => News::Signal,
            Some(at) if at == signals => News::Agent,
            _ => News::Stdin,
        });
    }
}

/// Passes one piece of standard input on, or its end.
fn feed(stream: &mut UnixStream) -> io::Result<()> {
    let mut bytes = [0; wire::BODY];
    // Not through std's buffer, which poll would not see.
    let count = read(io::stdin(), &mut bytes)?;
    let mut frame = Vec::new();
    let kind = if count == 0 { Kind::Eof } else { Kind::Stdin };
    wire::encode(kind, &bytes[..count], &mut frame);
    send(stream, &frame)
}

/// Sends frames. An agent that does not listen any more has said why before: that is still to be read.
fn send(stream: &mut UnixStream, frames: &[u8]) -> io::Result<()> {
    match stream.write_all(frames) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn fill(stream: &mut UnixStream, inbox: &mut Vec<u8>) -> io::Result<()> {
    let mut bytes = [0; wire::BODY];
    match stream.read(&mut bytes)? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the agent has gone away before the command was done")),
        count => {
            inbox.extend_from_slice(&bytes[..count]);
            Ok(())
        }
    }
}

fn print(kind: Kind, bytes: &[u8]) -> io::Result<()> {
    if kind == Kind::Err {
        return io::stderr().write_all(bytes);
    }
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
