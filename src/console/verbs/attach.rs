//! `attach`: the output of a running container as it comes, and what is typed as its input.

use super::exec::{pass_in, typed};
use super::logs;
use super::{Done, Failure, Io, container_of, each, refused, terminal_for};
use crate::agent::Refusal;
use crate::console::board::{Board, LogRequest, Seen};
use crate::console::grammar::{Attach, Scope, Target};
use crate::console::terminal::Terminal;
use crate::manifest::status::ContainerState;
use crate::manifest::terminal::Stdin;
use rustix::fd::OwnedFd;
use smol::Async;
use smol::future::or;
use std::format;
use std::future::pending;
use std::prelude::v1::*;
use std::rc::Rc;

pub(super) async fn attach(board: &dyn Board, attach: &Attach, io: &Io) -> Done {
    let container = container_of(board, &attach.target, io).await?;
    if look(board, &attach.target, &container, |it| it.runs) != Some(true) {
        return Err(refused(Refusal::NotRunning(container), &attach.target));
    }
    follow(board, attach, &container, Some(0), io).await
}

/// Follows a container, from so many lines before the end of its output on or from its beginning, with its input as it is asked for, until it ends or is left.
pub(super) async fn follow(board: &dyn Board, attach: &Attach, container: &str, tail: Option<u64>, io: &Io) -> Done {
    let target = &attach.target;
    let Looked { stdin, tty, runs, .. } = look(board, target, container, |it| it).unwrap_or_default();
    if attach.tty && !tty {
        io.err(&format!("error: Unable to use a TTY - container {container} did not allocate one\n")).await;
    }
    if attach.stdin && stdin == Stdin::None {
        io.err(&format!("error: Unable to use standard input - container {container} has none (stdin: true)\n")).await;
    }
    // Before anything is typed, so that nothing is missed of what it leads to.
    let Target { namespace, pod, .. } = target;
    let mut log = logs::open(board, target, &LogRequest { namespace, pod, container, previous: false, tail })?;
    let typing = runs && attach.stdin && stdin != Stdin::None;
    let input = if typing { Some(input(board, target, container).await?) } else { None };
    let terminal = if typing && tty { terminal_for(io).await } else { None };
    if terminal.is_some() {
        io.err("If you don't see a command prompt, try pressing enter.\n").await;
    }
    let lent = terminal.as_ref().map(|_| io.outbox.lend());
    let leave = async {
        give(io, input, terminal).await;
        Ok(true)
    };
    let listen = async { logs::relay(&mut *log, io).await.map(|()| false) };
    let left = or(leave, listen).await;
    drop(lent);
    match left? {
        true => Ok(0),
        false => Ok(look(board, target, container, |it| it.code).unwrap_or_default()),
    }
}

/// What there is to know of a container.
#[derive(Clone, Copy, Default)]
pub(super) struct Looked {
    /// Its standard input.
    stdin: Stdin,
    /// It has a terminal.
    tty: bool,
    /// It runs.
    pub(super) runs: bool,
    /// It is yet to run.
    pub(super) waits: bool,
    /// The exit code of its newest end; 0 where there was none.
    code: u8,
}

/// Looks at a container; `None` where there is no such any more.
pub(super) fn look<T>(board: &dyn Board, target: &Target, container: &str, what: fn(Looked) -> T) -> Option<T> {
    let mut found = None;
    let scope = Scope::Namespace(target.namespace.clone());
    each(board, &scope, std::slice::from_ref(&target.pod), &mut |seen: &Seen<'_>| {
        let Some((index, it)) = seen.containers().enumerate().find(|(_, it)| it.name == container) else {
            return;
        };
        let Some(view) = seen.status.containers.get(index) else { return };
        let code = match (view.state, view.last) {
            (ContainerState::Terminated(end), _) | (_, Some(end)) => end.exit.code,
            _ => 0,
        };
        let runs = matches!(view.state, ContainerState::Running(_));
        let waits = matches!(view.state, ContainerState::Waiting(_));
        found = Some(what(Looked { stdin: it.stdin, tty: it.tty, runs, waits, code }));
    });
    found
}

async fn input(board: &dyn Board, target: &Target, container: &str) -> Result<Async<OwnedFd>, Failure> {
    let asked = board.attach(&target.namespace, &target.pod, container).map_err(|refusal| refused(refusal, target))?;
    let input = asked.await.map_err(|why| Failure(format!("error: {why}")))?;
    Async::new(input).map_err(|error| Failure(format!("error: attach: prepare the input: {error}")))
}

/// Passes input on. Comes back only where the keys were typed that leave.
async fn give(io: &Io, input: Option<Async<OwnedFd>>, terminal: Option<Rc<Terminal>>) {
    match (input, terminal) {
        (Some(fd), Some(terminal)) => {
            let _ = crate::sys::tty::resize(&fd, terminal.size());
            typed(io, &fd, &terminal).await
        }
        (Some(fd), None) => {
            if let Some(queue) = &io.stdin {
                let _ = pass_in(queue, &fd, None).await;
            }
            // Where it was handed out once only, the container now reads the end of it.
            drop(fd);
            pending().await
        }
        (None, _) => pending().await,
    }
}
