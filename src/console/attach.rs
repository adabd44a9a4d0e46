//! Hangs the console on an agent: the local socket, and the serial line where the node has one.

use super::bind::Bound;
use super::{serial, socket};
use crate::agent::Agent;
use std::path::PathBuf;
use std::rc::Rc;

/// What the console is told of its node.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The tty of the serial line.
    pub tty: Option<PathBuf>,
    /// The address of the node.
    pub address: Option<[u8; 4]>,
}

/// Hangs the console on. Without one of its two ways in, the node still runs.
pub fn attach(agent: &Agent, place: Place) {
    let board = Rc::new(Bound::new(agent.clone(), place.address));
    let path = agent.run_dir().join(socket::NAME);
    match socket::bind(&path) {
        Ok(listener) => {
            let (board, spawner) = (board.clone(), agent.clone());
            agent.spawn(async move { socket::serve(board, listener, |task| spawner.spawn(task)).await });
        }
        Err(error) => log::warn!("no console at {}: {error}", path.display()),
    }
    if let Some(tty) = place.tty {
        agent.spawn(async move { serial::serve(board, &tty).await });
    }
}
