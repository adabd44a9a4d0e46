//! What the verbs ask of the board they run on: the agent, or a test's pretence of one.

use super::clock::Clock;
use super::view::StatusView;
use crate::agent::events::Event;
use crate::agent::{Debug, Facts, Gate, Refusal, Shutdown, Streams, Usage};
use crate::manifest::pod::{Container, Pod};
use crate::manifest::status::{Exit, Message, Uid};
use crate::manifest::time::{Duration, Instant};
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::prelude::v1::*;

/// Something that is awaited on the agent's one thread.
pub type Waiting<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What an attach is handed.
pub type Input = Result<OwnedFd, Message>;

/// A program in a container.
pub struct Program {
    /// Its terminal, where it gets one and has been started at all.
    pub terminal: Waiting<'static, Option<OwnedFd>>,
    /// Its end, or why it was not started; dropping this kills it.
    pub ended: Waiting<'static, Result<Exit, Message>>,
}

/// A board. Nothing here blocks.
pub trait Board {
    /// What there is to know of the node.
    fn facts(&self) -> Facts;
    /// This moment.
    fn now(&self) -> Instant;
    /// The wall clock.
    fn clock(&self) -> Clock;
    /// Visits all pods that are listed, in the order of the manifest.
    fn pods(&self, visit: &mut dyn FnMut(&Seen<'_>));
    /// Whether anything of that pod is left, listed or not.
    fn is_there(&self, uid: Uid) -> bool;
    /// Visits the events, oldest first.
    fn events(&self, visit: &mut dyn FnMut(&Event));
    /// Ends a pod (spec 66–82).
    fn delete(&self, namespace: &str, pod: &str, grace: Option<Duration>, force: bool) -> Result<Uid, Refusal>;
    /// Replaces a pod, or restarts one of its containers.
    fn restart(&self, namespace: &str, pod: &str, container: Option<&str>) -> Result<(), Refusal>;
    /// Sets one of a pod's readiness gates (spec 46).
    fn set_gate(&self, namespace: &str, pod: &str, gate: Gate) -> Result<(), Refusal>;
    /// The output of a container's newest instance, or of the one before.
    fn logs(&self, request: &LogRequest<'_>) -> Result<Box<dyn Log>, Refusal>;
    /// Runs a program in a container.
    fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        argv: &[&str],
        streams: Streams,
    ) -> Result<Program, Refusal>;
    /// Puts a container into a running pod (spec 37); gives its name.
    fn debug(&self, asked: &Debug<'_>) -> Result<String, Refusal>;
    /// The input of a running container: its pipe, or its terminal. `Err`: why it has none.
    fn attach(&self, namespace: &str, pod: &str, container: &str) -> Result<Waiting<'static, Input>, Refusal>;
    /// Ends all pods, and then the node or the agent.
    fn shutdown(&self, how: Shutdown) -> Result<(), Refusal>;
    /// How often something that a listing shows has changed.
    fn generation(&self) -> u64;
    /// Waits until that is no longer `seen`.
    fn changed(&self, seen: u64) -> Waiting<'_, u64>;
}

/// A pod at one moment.
pub struct Seen<'a> {
    /// What the manifest says of it.
    pub pod: &'a Pod<'a>,
    /// How it is doing.
    pub status: StatusView<'a>,
    /// What it uses.
    pub usage: &'a dyn Fn() -> Usage,
}

impl<'a> Seen<'a> {
    /// All containers, in the order of [`StatusView::containers`]: the manifest's, then the ephemeral ones.
    pub fn containers(&self) -> impl Iterator<Item = Container<'a>> + use<'a> {
        self.pod.containers.iter().chain(self.status.ephemeral.iter().map(|it| it.container))
    }
}

/// Whose output, and from where on.
#[derive(Clone, Copy, Debug)]
pub struct LogRequest<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod.
    pub pod: &'a str,
    /// Its container.
    pub container: &'a str,
    /// Of the instance before the newest.
    pub previous: bool,
    /// Only so many lines from the end.
    pub tail: Option<u64>,
}

/// The output of one instance, read once from front to end.
pub trait Log {
    /// The next piece; `None` where there is none now.
    fn next(&mut self) -> Result<Option<LogPiece<'_>>, String>;
    /// Waits until there may be more; `false` where the instance is over and there will be none.
    fn more(&mut self) -> Waiting<'_, bool>;
}

/// A piece of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPiece<'a> {
    /// When it was written: nanoseconds since 1970, by the wall clock as it was then.
    pub time: u64,
    /// It was written to standard error.
    pub error: bool,
    /// Output before this has been lost.
    pub lost: bool,
    /// The bytes; a line may go on in the next piece of the same stream.
    pub bytes: &'a [u8],
}
