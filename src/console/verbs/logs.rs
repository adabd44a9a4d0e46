//! `logs`: the output of one instance of a container.

use super::{Done, Failure, Io, container_of, refused};
use crate::agent::Refusal;
use crate::console::board::{Board, Log, LogPiece, LogRequest, Seen};
use crate::console::clock::Date;
use crate::console::grammar::{Logs, Scope, Target};
use crate::console::wire::Kind;
use crate::manifest::status::ContainerState;
use std::format;
use std::prelude::v1::*;

pub(super) async fn logs(board: &dyn Board, logs: &Logs, io: &Io) -> Done {
    let target = &logs.target;
    let container = container_of(board, target, io).await?;
    let request = LogRequest {
        namespace: &target.namespace,
        pod: &target.pod,
        container: &container,
        previous: logs.previous,
        tail: logs.tail,
    };
    let mut log = open(board, target, &request)?;
    let mut printer = Printer { timestamps: logs.timestamps, midline: [false; 2] };
    loop {
        let read = log.next().map_err(|why| Failure(format!("error: {why}")))?;
        let text = read.map(|piece| printer.print(&piece));
        match text {
            Some(bytes) => io.outbox.write(Kind::Out, &bytes).await,
            None if !logs.follow || !log.more().await => return Ok(0),
            None => {}
        }
    }
}

/// The output of a container; `Err` says why there is none.
pub(super) fn open(board: &dyn Board, target: &Target, request: &LogRequest<'_>) -> Result<Box<dyn Log>, Failure> {
    board.logs(request).map_err(|refusal| match refusal {
        Refusal::NotRunning(_) => waiting(board, target, request.container),
        other => refused(other, target),
    })
}

/// Passes output on as it comes, each stream as what it is, until the container is over.
pub(super) async fn relay(log: &mut dyn Log, io: &Io) -> Result<(), Failure> {
    loop {
        let read = log.next().map_err(|why| Failure(format!("error: {why}")))?;
        let piece = read.map(|piece| (if piece.error { Kind::Err } else { Kind::Out }, piece.bytes.to_vec()));
        match piece {
            Some((kind, bytes)) => io.outbox.write(kind, &bytes).await,
            None if !log.more().await => return Ok(()),
            None => {}
        }
    }
}

/// Why there is no output yet.
fn waiting(board: &dyn Board, target: &Target, container: &str) -> Failure {
    let mut reason = "ContainerCreating";
    let scope = Scope::Namespace(target.namespace.clone());
    super::each(board, &scope, std::slice::from_ref(&target.pod), &mut |seen: &Seen<'_>| {
        let index = seen.containers().position(|c| c.name == container);
        if let Some(ContainerState::Waiting(why)) = index.and_then(|n| seen.status.containers.get(n)).map(|c| c.state) {
            reason = why.as_str();
        }
    });
    let pod = &target.pod;
    Failure(format!(
        "Error from server (BadRequest): container \"{container}\" in pod \"{pod}\" is waiting to start: {reason}"
    ))
}

/// Puts pieces together again into lines.
struct Printer {
    timestamps: bool,
    /// Per stream: the last piece did not end its line.
    midline: [bool; 2],
}

impl Printer {
    fn print(&mut self, piece: &LogPiece<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.bytes.len() + 64);
        let midline = &mut self.midline[usize::from(piece.error)];
        if piece.lost {
            out.extend_from_slice(b"[some output was lost]\n");
            *midline = false;
        }
        for line in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.timestamps && !*midline {
                out.extend_from_slice(stamp(piece.time).as_bytes());
            }
            out.extend_from_slice(line);
            *midline = !line.ends_with(b"\n");
        }
        out
    }
}

/// `2026-11-20T13:02:45.123456789Z `, as kubectl; the board's clock may not have been set then.
fn stamp(nanoseconds: u64) -> String {
    let date = format!("{}", Date::from_unix(nanoseconds / 1_000_000_000));
    format!("{}.{:09}Z ", date.trim_end_matches('Z'), nanoseconds % 1_000_000_000)
}
