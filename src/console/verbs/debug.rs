//! `debug`: one more container in a running pod (spec 37), and whoever put it there attached to it.

use super::attach::{follow, look};
use super::{Done, Io, refused};
use crate::agent;
use crate::console::board::Board;
use crate::console::grammar::{Attach, Debug, Target};
use std::format;
use std::prelude::v1::*;

pub(super) async fn debug(board: &dyn Board, debug: &Debug, io: &Io) -> Done {
    let Debug { target, image, of, argv, stdin, tty } = debug;
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let (name, of, stdin, tty) = (target.container.as_deref(), of.as_deref(), *stdin, *tty);
    let Target { namespace, pod, .. } = target;
    let asked = agent::Debug { namespace, pod, name, image, target: of, argv: &argv, stdin, tty };
    let made = board.debug(&asked).map_err(|refusal| refused(refusal, target))?;
    if let Some(of) = of {
        io.err(&format!("Targeting container \"{of}\".\n")).await;
    }
    if name.is_none() {
        io.err(&format!("Defaulting debug container name to {made}.\n")).await;
    }
    if !stdin {
        return Ok(0);
    }
    // It runs, or is over, before there is anything to follow.
    let mut seen = board.generation();
    while look(board, target, &made, |it| it.waits) == Some(true) {
        seen = board.changed(seen).await;
    }
    if let Some(why) = failure(board, target, &made) {
        return Err(super::Failure(format!("error: container {made}: {why}")));
    }
    let target = Target { container: Some(made.clone()), ..target.clone() };
    follow(board, &Attach { target, stdin, tty }, &made, None, io).await
}

/// Why it was never started, where that is so.
fn failure(board: &dyn Board, target: &Target, container: &str) -> Option<String> {
    use crate::console::grammar::Scope;
    use crate::manifest::status::ContainerState::Terminated;
    let mut found = None;
    let scope = Scope::Namespace(target.namespace.clone());
    super::each(board, &scope, std::slice::from_ref(&target.pod), &mut |seen| {
        let both = seen.containers().zip(&seen.status.containers);
        found = both.filter(|(it, _)| it.name == container).find_map(|(_, view)| match view.state {
            Terminated(end) if end.started.is_none() => Some(view.message.into()),
            _ => None,
        });
    });
    found
}
