//! `delete`, `restart`, `reboot`, `poweroff`.

use super::{Done, Failure, Io, not_found, refused};
use crate::agent::{Gate, Refusal, Shutdown};
use crate::console::board::Board;
use crate::console::grammar::{Delete, SetCondition, Target};
use crate::manifest::status::Uid;
use std::format;
use std::prelude::v1::*;

const FORCE_WARNING: &str = "Warning: Immediate deletion does not wait for confirmation that the running resource has been \
                             terminated. The resource may continue to run on the board indefinitely.\n";

/// Spec 78–82: what has been accepted is said at once; then, unless told otherwise, its end is waited for (spec 77).
pub(super) async fn delete(board: &dyn Board, delete: &Delete, io: &Io) -> Done {
    if delete.force {
        io.err(FORCE_WARNING).await;
    }
    let mut code = 0;
    let mut ending = Vec::new();
    for name in &delete.names {
        match board.delete(&delete.namespace, name, delete.grace, delete.force) {
            Ok(uid) => {
                ending.push(uid);
                let force = if delete.force { "force " } else { "" };
                io.out(&format!("pod \"{name}\" {force}deleted\n")).await;
            }
            Err(refusal) => {
                code = 1;
                let Failure(text) = match refusal {
                    Refusal::NoSuchPod => not_found(name),
                    other => Failure(format!("error: pod \"{name}\": {other}")),
                };
                io.err(&format!("{text}\n")).await;
            }
        }
    }
    if delete.wait {
        gone(board, ending).await;
    }
    Ok(code)
}

async fn gone(board: &dyn Board, mut ending: Vec<Uid>) {
    let mut generation = board.generation();
    loop {
        ending.retain(|uid| board.is_there(*uid));
        if ending.is_empty() {
            return;
        }
        generation = board.changed(generation).await;
    }
}

pub(super) async fn restart(board: &dyn Board, target: &Target, io: &Io) -> Done {
    board
        .restart(&target.namespace, &target.pod, target.container.as_deref())
        .map_err(|refusal| refused(refusal, target))?;
    let text = match &target.container {
        Some(container) => format!("container \"{container}\" of pod \"{}\" restarted\n", target.pod),
        None => format!("pod \"{}\" restarted\n", target.pod),
    };
    io.out(&text).await;
    Ok(0)
}

/// Spec 46.
pub(super) async fn set_condition(board: &dyn Board, set: &SetCondition, io: &Io) -> Done {
    let SetCondition { target, name, holds, reason, message } = set;
    let (name, reason, message) = (name.clone(), reason.clone(), message.clone());
    let text = format!("pod/{} condition {name} set to {}\n", target.pod, if *holds { "True" } else { "False" });
    let gate = Gate { name, holds: *holds, since: board.now(), reason, message };
    board.set_gate(&target.namespace, &target.pod, gate).map_err(|refusal| refused(refusal, target))?;
    io.out(&text).await;
    Ok(0)
}

pub(super) async fn shutdown(board: &dyn Board, how: Shutdown, io: &Io) -> Done {
    board.shutdown(how).map_err(|refusal| Failure(format!("error: {refusal}")))?;
    let then = match how {
        Shutdown::Reboot => "the board will restart",
        Shutdown::PowerOff => "the board will switch itself off",
        Shutdown::Exit | Shutdown::Again => "the agent will end",
    };
    io.out(&format!("All pods are being ended; then {then}.\n")).await;
    Ok(0)
}
