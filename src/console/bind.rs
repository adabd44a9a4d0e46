//! The agent as the console's [`Board`].

use super::board::{Board, Input, Log, LogPiece, LogRequest, Program, Seen, Waiting};
use super::clock::Clock;
use super::view::{GateCondition, GateView, Scene, StatusView};
use crate::agent::events::Event;
use crate::agent::{Agent, Debug, Facts, Gate, Refusal, Shutdown, Streams, logs};
use crate::manifest::ephemeral::Ephemeral;
use crate::manifest::status::{ContainerState, Uid};
use crate::manifest::time::{Duration, Instant};
use crate::pod::output::{Position, RECORD, Stream};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::inotify;
use rustix::io::{Errno, read};
use rustix::time::{ClockId, clock_gettime};
use smol::Async;
use smol::future::or;
use std::boxed::Box;
use std::format;
use std::io;
use std::prelude::v1::*;

/// A handle on the agent, with what only the roof knows of the node.
#[derive(Clone)]
pub struct Bound {
    agent: Agent,
    /// The address of the node, which is also that of pods on its network.
    node_ip: Option<[u8; 4]>,
}

impl Bound {
    /// The board of this agent.
    pub fn new(agent: Agent, node_ip: Option<[u8; 4]>) -> Bound {
        Bound { agent, node_ip }
    }
}

impl Board for Bound {
    fn facts(&self) -> Facts {
        self.agent.node().clone()
    }

    fn now(&self) -> Instant {
        self.agent.now()
    }

    fn clock(&self) -> Clock {
        let wall = clock_gettime(ClockId::Realtime);
        let seconds = u64::try_from(wall.tv_sec).unwrap_or(0);
        let milliseconds = u64::try_from(wall.tv_nsec).unwrap_or(0) / 1_000_000;
        Clock::new(self.now(), seconds.saturating_mul(1000).saturating_add(milliseconds))
    }

    fn pods(&self, visit: &mut dyn FnMut(&Seen<'_>)) {
        let node = self.agent.node();
        let scene = Scene { node: &node.name, node_ip: self.node_ip, now: self.now(), clock: self.clock() };
        for entry in self.agent.pods().iter().filter(|entry| !entry.machine().is_hidden()) {
            let pod = entry.manifest();
            let ip = self.node_ip.filter(|_| pod.sharing.host_network);
            let containers = 0..entry.machine().containers().len();
            let words: Vec<[String; 2]> = containers.map(|index| self.agent.last_words(entry, index)).collect();
            let set = self.agent.gates(entry);
            let gates: Vec<GateView<'_>> = pod.readiness_gates.iter().map(|name| gate(name, &set)).collect();
            let ephemeral: Vec<Ephemeral<'_>> = entry.ephemeral().collect();
            let mut status = StatusView::of(entry.machine(), entry.uid(), ip, scene);
            (status.gates, status.ephemeral) = (&gates, &ephemeral);
            for (view, [words, last_words]) in status.containers.iter_mut().zip(&words) {
                (view.words, view.last_words) = (words, last_words);
            }
            visit(&Seen { pod, status, usage: &|| self.agent.pod_usage(entry) });
        }
    }

    fn is_there(&self, uid: Uid) -> bool {
        self.agent.pods().iter().any(|entry| entry.uid() == uid)
    }

    fn events(&self, visit: &mut dyn FnMut(&Event)) {
        self.agent.events().iter().for_each(visit);
    }

    fn delete(&self, namespace: &str, pod: &str, grace: Option<Duration>, force: bool) -> Result<Uid, Refusal> {
        self.agent.delete(namespace, pod, grace, force)
    }

    fn restart(&self, namespace: &str, pod: &str, container: Option<&str>) -> Result<(), Refusal> {
        self.agent.restart(namespace, pod, container)
    }

    fn set_gate(&self, namespace: &str, pod: &str, gate: Gate) -> Result<(), Refusal> {
        self.agent.set_gate(namespace, pod, gate)
    }

    fn logs(&self, request: &LogRequest<'_>) -> Result<Box<dyn Log>, Refusal> {
        let uid = self.agent.find(request.namespace, request.pod).ok_or(Refusal::NoSuchPod)?.uid();
        let reader = self.agent.logs(request.namespace, request.pod, request.container, request.previous)?;
        let tail = Tail::new(self.agent.clone(), uid, request, reader);
        tail.map(|tail| Box::new(tail) as Box<dyn Log>)
            .map_err(|errno| Refusal::Failed(unreadable(errno).as_str().into()))
    }

    fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        argv: &[&str],
        streams: Streams,
    ) -> Result<Program, Refusal> {
        let mut program = self.agent.exec(namespace, pod, container, argv, streams)?;
        Ok(Program { terminal: Box::pin(program.terminal()), ended: Box::pin(program.ended()) })
    }

    fn debug(&self, asked: &Debug<'_>) -> Result<String, Refusal> {
        self.agent.debug(asked)
    }

    fn attach(&self, namespace: &str, pod: &str, container: &str) -> Result<Waiting<'static, Input>, Refusal> {
        Ok(Box::pin(self.agent.attach(namespace, pod, container)?))
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Refusal> {
        self.agent.shutdown(how)
    }

    fn generation(&self) -> u64 {
        self.agent.generation()
    }

    fn changed(&self, seen: u64) -> Waiting<'_, u64> {
        Box::pin(self.agent.changed(seen))
    }
}

fn gate<'a>(name: &'a str, set: &'a [Gate]) -> GateView<'a> {
    let found = set.iter().find(|gate| gate.name == name);
    let condition = |gate: &'a Gate| {
        let Gate { holds, since, reason, message, .. } = gate;
        GateCondition { holds: *holds, since: *since, reason, message }
    };
    GateView { name, condition: found.map(condition) }
}

fn unreadable(errno: Errno) -> String {
    format!("read the output: {errno}")
}

/// The output of one instance, from some place on.
struct Tail {
    agent: Agent,
    uid: Uid,
    container: String,
    reader: logs::Reader,
    at: Position,
    buffer: Box<[u8; RECORD]>,
    piece: Vec<u8>,
    watch: Option<Async<OwnedFd>>,
    /// The instance was over before the last look: what has not come by then never will.
    over: bool,
}

impl Tail {
    fn new(agent: Agent, uid: Uid, request: &LogRequest<'_>, reader: logs::Reader) -> Result<Tail, Errno> {
        let mut buffer = Box::new([0; RECORD]);
        let at = match request.tail {
            Some(lines) => reader.ring.tail(lines, |instance| instance == reader.instance, &mut buffer)?,
            None => reader.ring.oldest()?,
        };
        let container = request.container.into();
        Ok(Tail { agent, uid, container, reader, at, buffer, piece: Vec::new(), watch: None, over: false })
    }

    /// Whether this very instance still runs.
    fn runs(&self) -> bool {
        let pods = self.agent.pods();
        let Some(entry) = pods.iter().find(|entry| entry.uid() == self.uid) else { return false };
        let index = entry.position(&self.container);
        let container = index.and_then(|index| entry.machine().containers().get(index));
        container
            .is_some_and(|it| it.instance() == self.reader.instance && matches!(it.state(), ContainerState::Running(_)))
    }

    /// A descriptor that becomes readable when output is written.
    fn watch(&self) -> io::Result<Async<OwnedFd>> {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        for segment in self.reader.ring.segments() {
            let path = format!("/proc/self/fd/{}", segment.as_raw_fd());
            inotify::add_watch(&watch, path, inotify::WatchFlags::MODIFY)?;
        }
        Async::new(watch)
    }

    async fn wait(&mut self) -> io::Result<bool> {
        if self.watch.is_none() {
            // What was written before the watch stood has to be looked for once more.
            self.watch = Some(self.watch()?);
            return Ok(true);
        }
        if self.over {
            return Ok(false);
        }
        let generation = self.agent.generation();
        if !self.runs() {
            self.over = true;
            return Ok(true);
        }
        let Some(watch) = &self.watch else { return Ok(false) };
        let written = async {
            let mut events = [0; 1024];
            watch.read_with(|fd| Ok(read(fd, &mut events)?)).await.map(|_| true)
        };
        or(written, async {
            self.agent.changed(generation).await;
            Ok(true)
        })
        .await
    }
}

impl Log for Tail {
    fn next(&mut self) -> Result<Option<LogPiece<'_>>, String> {
        loop {
            let record = self.reader.ring.next(&mut self.at, &mut self.buffer).map_err(unreadable)?;
            let Some(record) = record else { return Ok(None) };
            if record.instance == self.reader.instance {
                self.piece.clear();
                self.piece.extend_from_slice(record.bytes);
                let (time, error, lost) = (record.time, record.stream == Stream::Err, record.lost);
                return Ok(Some(LogPiece { time, error, lost, bytes: &self.piece }));
            }
        }
    }

    fn more(&mut self) -> Waiting<'_, bool> {
        // Without a watch, following ends with what there is; the reason is in the log.
        Box::pin(async {
            self.wait().await.unwrap_or_else(|error| {
                log::warn!("follow the output of {}: {error}", self.container);
                false
            })
        })
    }
}
