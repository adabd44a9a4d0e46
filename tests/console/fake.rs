//! A board that is only told what to say, and remembers what it was asked.

use podling::agent::events::Event;
use podling::agent::{Debug, Facts, Gate, Refusal, Shutdown, Streams, Usage};
use podling::console::board::{Board, Input, Log, LogPiece, LogRequest, Program, Seen, Waiting};
use podling::console::clock::Clock;
use podling::console::view::{ContainerView, Scene, StatusView};
use podling::host::arena::Arena;
use podling::manifest::pod::*;
use podling::manifest::status::*;
use podling::manifest::time::{Duration, Instant};
use podling::sys::tty;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// For `env`: whoever runs these tests in the background may have signals ignored, and a shell cannot trap what it finds so.
pub const DEFAULT_SIGNALS: &str = "--default-signal=INT,QUIT,HUP";

/// 2026-11-20T13:00:00Z at an hour after boot.
pub const NOW: Instant = Instant(3_600_000);
pub const SYNCED: u64 = 1_795_179_600_000;

pub fn arena() -> &'static Arena {
    Box::leak(Box::default())
}

pub fn container(name: &'static str, kind: ContainerKind) -> Container<'static> {
    Container { name, kind, image: "docker.io/library/nginx:latest", ..Container::default() }
}

pub fn pod(name: &'static str, containers: &[Container<'static>]) -> Pod<'static> {
    Pod { name, hostname: name, containers: arena().list(containers.iter().copied()), ..Pod::default() }
}

pub fn exit(code: u8) -> Terminated {
    let reason = if code == 0 { Reason::Completed } else { Reason::Error };
    let exit = Exit { code, signal: 0, oom: false };
    Terminated { reason, exit, started: Some(Instant(NOW.0 - 30_000)), finished: Instant(NOW.0 - 12_000) }
}

pub fn running() -> ContainerState {
    ContainerState::Running(Instant(NOW.0 - 60_000))
}

pub fn view(kind: ContainerKind, state: ContainerState) -> ContainerView<'static> {
    let ready = matches!(state, ContainerState::Running(_));
    ContainerView {
        kind,
        state,
        message: "",
        last: None,
        restarts: 0,
        ready,
        words: "",
        last_words: "",
        started: ready,
    }
}

/// The status of a pod with these containers; its conditions are what its containers make them.
pub fn status(phase: Phase, containers: &[ContainerView<'static>]) -> StatusView<'static> {
    let inits_done = containers.iter().all(|c| match (c.kind, c.state) {
        (ContainerKind::Init, ContainerState::Terminated(end)) => end.exit.success(),
        (ContainerKind::Init, _) => false,
        (ContainerKind::Sidecar, state) => matches!(state, ContainerState::Running(_)),
        (ContainerKind::App | ContainerKind::Ephemeral, _) => true,
    });
    let ready = containers.iter().all(|c| c.ready || c.kind == ContainerKind::Init);
    let condition = |kind, status| Condition {
        kind,
        status,
        reason: if status { "" } else { "ContainersNotReady" },
        since: Instant(NOW.0 - 60_000),
    };
    StatusView {
        scene: Scene { node: "qemu", node_ip: Some([10, 0, 2, 15]), now: NOW, clock: Clock::new(NOW, SYNCED) },
        uid: Uid::from_random([7; 16]),
        ip: Some([10, 0, 2, 15]),
        created: Instant(NOW.0 - 192_000),
        terminating: false,
        dead_after: None,
        phase,
        conditions: [condition(ConditionKind::Initialized, inits_done), condition(ConditionKind::Ready, ready)]
            .into_iter()
            .collect(),
        containers: containers.iter().copied().collect(),
        verdict: None,
        gates: &[],
        lacks: None,
        ephemeral: &[],
    }
}

/// The pod `web` of the sample: a server and a puller, both running.
pub fn web() -> (Pod<'static>, StatusView<'static>) {
    let containers = [container("server", ContainerKind::App), container("puller", ContainerKind::App)];
    let views = [view(ContainerKind::App, running()), view(ContainerKind::App, running())];
    (pod("web", &containers), status(Phase::Running, &views))
}

pub fn event(reason: &'static str, message_text: &str) -> Event {
    Event {
        first: Instant(NOW.0 - 300_000),
        last: Instant(NOW.0 - 192_000),
        count: 1,
        warning: false,
        reason,
        namespace: "default".into(),
        object: "web".into(),
        container: "server".into(),
        message: message(message_text),
    }
}

/// Pieces of output, each with whether it was written to standard error.
pub type Output = Rc<RefCell<VecDeque<(bool, Vec<u8>)>>>;

#[derive(Default)]
pub struct Fake {
    pub pods: RefCell<Vec<(Pod<'static>, StatusView<'static>)>>,
    pub events: RefCell<Vec<Event>>,
    /// What was asked for, in words.
    pub asked: RefCell<Vec<String>>,
    /// What of deleted pods is still there.
    pub remains: RefCell<Vec<Uid>>,
    pub output: Output,
    /// What an attach is handed.
    pub input: RefCell<Option<OwnedFd>>,
    /// The container goes on running, and may write more.
    pub running: Rc<Cell<bool>>,
    generation: Rc<Cell<u64>>,
    wakers: Rc<RefCell<Vec<Waker>>>,
}

impl Fake {
    pub fn new(pods: &[(Pod<'static>, StatusView<'static>)]) -> Rc<Fake> {
        Rc::new(Fake { pods: RefCell::new(pods.to_vec()), ..Fake::default() })
    }

    pub fn change(&self) {
        self.generation.set(self.generation.get() + 1);
        self.wakers.take().into_iter().for_each(Waker::wake);
    }

    fn find(&self, namespace: &str, name: &str) -> Result<Uid, Refusal> {
        let pods = self.pods.borrow();
        let found = pods.iter().find(|(pod, _)| pod.namespace == namespace && pod.name == name);
        found.map(|(_, status)| status.uid).ok_or(Refusal::NoSuchPod)
    }
}

impl Board for Fake {
    fn facts(&self) -> Facts {
        Facts {
            name: "qemu".into(),
            kernel: "6.1.0".into(),
            machine: "aarch64".into(),
            class: "qemu-virt-aarch64".into(),
            sequence: Some(3),
            cgroups: "v2",
            ..Facts::default()
        }
    }

    fn now(&self) -> Instant {
        NOW
    }

    fn clock(&self) -> Clock {
        Clock::new(NOW, SYNCED)
    }

    fn pods(&self, visit: &mut dyn FnMut(&Seen<'_>)) {
        let usage = || Usage { memory: Some(12 << 20), cpu_us: Some(0), pids: Some(3) };
        for (pod, status) in &*self.pods.borrow() {
            visit(&Seen { pod, status: status.clone(), usage: &usage });
        }
    }

    fn is_there(&self, uid: Uid) -> bool {
        self.remains.borrow().contains(&uid) || self.pods.borrow().iter().any(|(_, status)| status.uid == uid)
    }

    fn events(&self, visit: &mut dyn FnMut(&Event)) {
        self.events.borrow().iter().for_each(visit);
    }

    fn delete(&self, namespace: &str, pod: &str, grace: Option<Duration>, force: bool) -> Result<Uid, Refusal> {
        let uid = self.find(namespace, pod)?;
        self.asked.borrow_mut().push(format!("delete {pod} {grace:?} {force}"));
        self.pods.borrow_mut().retain(|(_, status)| status.uid != uid);
        self.remains.borrow_mut().push(uid);
        Ok(uid)
    }

    fn restart(&self, namespace: &str, pod: &str, container: Option<&str>) -> Result<(), Refusal> {
        self.find(namespace, pod)?;
        self.asked.borrow_mut().push(format!("restart {pod} {container:?}"));
        Ok(())
    }

    fn set_gate(&self, namespace: &str, pod: &str, gate: Gate) -> Result<(), Refusal> {
        self.find(namespace, pod)?;
        self.asked.borrow_mut().push(format!("{gate:?}"));
        Ok(())
    }

    fn logs(&self, request: &LogRequest<'_>) -> Result<Box<dyn Log>, Refusal> {
        self.find(request.namespace, request.pod)?;
        self.asked.borrow_mut().push(format!("logs {} {} {:?}", request.container, request.previous, request.tail));
        match request.previous {
            true => Err(Refusal::NoPrevious(request.container.into())),
            false => Ok(Box::new(FakeLog {
                output: self.output.clone(),
                piece: Vec::new(),
                running: self.running.clone(),
                generation: self.generation.clone(),
                wakers: self.wakers.clone(),
            })),
        }
    }

    fn exec(&self, _: &str, pod: &str, container: &str, argv: &[&str], streams: Streams) -> Result<Program, Refusal> {
        self.asked.borrow_mut().push(format!("exec {pod} {container} {argv:?}"));
        // The "container" is this machine.
        let failed = |error: &dyn std::fmt::Display| Refusal::Failed(error.to_string().into());
        let (mut words, mut terminal) = (argv.to_vec(), None);
        let [stdin, stdout, stderr] = match streams {
            Streams::Files(files) => files,
            Streams::Terminal(size) => {
                let instance = tty::instance().map_err(|errno| failed(&errno))?;
                let pty = tty::open(instance.as_fd(), size).map_err(|errno| failed(&errno))?;
                terminal = Some(pty.master);
                words.splice(0..0, ["env", DEFAULT_SIGNALS, "setsid", "--ctty", "--wait"]);
                let copy = || pty.slave.try_clone().map_err(|error| failed(&error));
                [copy()?, copy()?, copy()?]
            }
        };
        let mut command = smol::process::Command::new(words[0]);
        command.args(&words[1..]).stdin(stdin).stdout(stdout).stderr(stderr).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| Refusal::Failed(error.to_string().into()))?;
        drop(command);
        let ended = Box::pin(async move {
            let status = child.status().await.map_err(|error| message(&error.to_string()))?;
            Ok(Exit { code: status.code().unwrap_or(137) as u8, signal: 0, oom: false })
        });
        Ok(Program { terminal: Box::pin(async { terminal }), ended })
    }

    fn debug(&self, asked: &Debug<'_>) -> Result<String, Refusal> {
        self.find(asked.namespace, asked.pod)?;
        self.asked.borrow_mut().push(format!("{asked:?}"));
        Ok(asked.name.unwrap_or("debugger-x7k2p").into())
    }

    fn attach(&self, _: &str, pod: &str, container: &str) -> Result<Waiting<'static, Input>, Refusal> {
        self.asked.borrow_mut().push(format!("attach {pod} {container}"));
        let input = self.input.borrow_mut().take().ok_or_else(|| message("there is none"));
        Ok(Box::pin(async { input }))
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Refusal> {
        self.asked.borrow_mut().push(format!("{how:?}"));
        Ok(())
    }

    fn generation(&self) -> u64 {
        self.generation.get()
    }

    fn changed(&self, seen: u64) -> Waiting<'_, u64> {
        wait(self.generation.clone(), self.wakers.clone(), seen)
    }
}

fn wait(generation: Rc<Cell<u64>>, wakers: Rc<RefCell<Vec<Waker>>>, seen: u64) -> Waiting<'static, u64> {
    Box::pin(std::future::poll_fn(move |cx| {
        if generation.get() != seen {
            return Poll::Ready(generation.get());
        }
        wakers.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }))
}

struct FakeLog {
    output: Output,
    piece: Vec<u8>,
    running: Rc<Cell<bool>>,
    generation: Rc<Cell<u64>>,
    wakers: Rc<RefCell<Vec<Waker>>>,
}

impl Log for FakeLog {
    fn next(&mut self) -> Result<Option<LogPiece<'_>>, String> {
        let Some((error, bytes)) = self.output.borrow_mut().pop_front() else { return Ok(None) };
        self.piece = bytes;
        Ok(Some(LogPiece { time: 1_795_179_600_000_000_042, error, lost: false, bytes: &self.piece }))
    }

    fn more(&mut self) -> Waiting<'_, bool> {
        if !self.running.get() {
            return Box::pin(async { false });
        }
        let changed = wait(self.generation.clone(), self.wakers.clone(), self.generation.get());
        Box::pin(async move {
            changed.await;
            true
        })
    }
}
