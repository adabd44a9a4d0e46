//! The loop: waits for whatever comes first, lets the machines decide, has the effects carried out.

use super::config::{Config, Facts};
use super::ephemeral::Kept;
use super::events::Events;
use super::images::Images;
use super::kept::Filters;
use super::paths::Paths;
use super::queue::Queue;
use super::sandbox::Sandbox;
use super::scales::Scales;
use super::{adopt, begin, claims, effect, evict, fail, jobs};
use crate::machine::effect::{Effects, Event};
use crate::machine::shutdown::{Left, Next, Wave};
use crate::machine::{self, shutdown};
use crate::manifest::pod::{Manifest, Node, Pod};
use crate::manifest::status::Uid;
use crate::manifest::time::{Duration, Instant};
use crate::pod::wire::Order;
use crate::sys::cgroup::Hierarchy;
use crate::sys::clock;
use smol::{LocalExecutor, Timer};
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::fmt;
use std::future::Future;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::prelude::v1::*;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

mod admit;

pub(super) use admit::Place;

/// What to do when all pods have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Only end: the agent was told to (SIGTERM as a service, Ctrl-C on a workstation).
    Exit,
    /// Restart the node.
    Reboot,
    /// Switch it off.
    PowerOff,
    /// Nothing ends but the agent: its program is executed again ([`super::execute_again`]), and adopts the pods.
    Again,
}

/// How an agent's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What is to be done now.
    pub shutdown: Shutdown,
}

impl Outcome {
    /// The exit code of the process: 0, [`super::EXIT_REBOOT`] or [`super::EXIT_POWER_OFF`].
    pub fn exit_code(self) -> u8 {
        match self.shutdown {
            Shutdown::Exit | Shutdown::Again => 0,
            Shutdown::Reboot => super::EXIT_REBOOT,
            Shutdown::PowerOff => super::EXIT_POWER_OFF,
        }
    }
}

/// Why an agent could not start, or go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// Another one runs (failure F4).
    Running {
        /// Its process, where it says so.
        pid: Option<u32>,
    },
    /// The world would not.
    Failed(Box<str>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Running { pid: Some(pid) } => {
                write!(f, "another agent runs already, as process {pid}: only one may")
            }
            Error::Running { pid: None } => f.write_str("another agent runs already: only one may"),
            Error::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

/// A running agent. A handle: clones are the same agent, all on its one thread.
#[derive(Clone)]
pub struct Agent(Rc<Inner>);

/// What [`begin`] has made ready.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) facts: Facts,
    /// The file of the manifest, as it was handed in.
    pub(super) file: &'static [u8],
    pub(super) manifest: Manifest<'static>,
    pub(super) cgroups: Hierarchy,
    pub(super) program: OwnedFd,
    /// Held for as long as the agent lives.
    pub(super) _lock: begin::Lock,
}

struct Inner {
    paths: Paths,
    parts: Parts,
    facts: RefCell<Facts>,
    /// That of [`run`], which its tasks must not keep.
    executor: Weak<LocalExecutor<'static>>,
    images: RefCell<Images>,
    events: RefCell<Events>,
    entries: RefCell<Vec<Entry>>,
    scales: RefCell<Scales>,
    /// What a machine asks for in one step: borrowed for that step. Not on the stack, of which it would touch every page.
    effects: RefCell<Box<Effects>>,
    /// One packet to or from a pod-init: borrowed for one system call.
    buffer: RefCell<Vec<u8>>,
    news: Queue<News>,
    execs: Cell<u32>,
    chores: Cell<u32>,
    generation: Cell<u64>,
    watchers: RefCell<Vec<Waker>>,
    ending: Cell<Option<Shutdown>>,
}

/// What wakes the loop, beside time.
#[allow(clippy::large_enum_variant, reason = "the small one is rare, and the queue is short")]
enum News {
    /// Something happened to a pod.
    Pod(Uid, Event),
    /// Look again: a verb has changed what is wanted.
    Look,
}

/// One pod on this node.
pub struct Entry {
    pub(super) place: Place,
    pod: Pod<'static>,
    /// The filters that its containers name by their index.
    pub(super) filters: Filters<'static>,
    uid: Uid,
    pub(super) machine: Box<machine::pod::Pod>,
    pub(super) sandbox: Option<Rc<Sandbox>>,
    pub(super) ephemeral: Vec<Kept>,
}

impl Entry {
    /// What the manifest says of it.
    pub fn manifest(&self) -> &Pod<'static> {
        &self.pod
    }
    /// How it is doing.
    pub fn machine(&self) -> &machine::pod::Pod {
        &self.machine
    }
    /// Its identity.
    pub fn uid(&self) -> Uid {
        self.uid
    }
    /// Whether it runs as a manifest before the one in force had it.
    pub(super) fn is_former(&self) -> bool {
        matches!(self.place, Place::Former(_))
    }
    /// When it was accepted.
    pub fn created(&self) -> Instant {
        self.machine.created()
    }
}

/// What the verbs see.
impl Agent {
    /// The events of this boot. Do not hold on to it across an `await`; the same goes for everything else that is a [`Ref`].
    pub fn events(&self) -> Ref<'_, Events> {
        self.0.events.borrow()
    }

    /// The node.
    pub fn node(&self) -> Ref<'_, Facts> {
        self.0.facts.borrow()
    }

    /// All pods, in manifest order, replacements after what they replace. Some may be hidden ([`Entry::machine`] says so).
    pub fn pods(&self) -> Ref<'_, [Entry]> {
        Ref::map(self.0.entries.borrow(), Vec::as_slice)
    }

    /// Runs a task on the agent's thread until it ends or the agent does.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        // Behind a pointer, so that what a task is to the executor is made once and not for each kind: 12 KiB of program.
        let task: Pin<Box<dyn Future<Output = ()>>> = Box::pin(task);
        if let Some(executor) = self.0.executor.upgrade() {
            executor.spawn(task).detach();
        }
    }

    /// How often something that a listing shows has changed so far.
    pub fn generation(&self) -> u64 {
        self.0.generation.get()
    }

    /// Waits until [`Agent::generation`] is no longer `seen`, and gives what it is now.
    pub async fn changed(&self, seen: u64) -> u64 {
        core::future::poll_fn(|context| {
            if self.generation() != seen {
                return Poll::Ready(self.generation());
            }
            let mut watchers = self.0.watchers.borrow_mut();
            if !watchers.iter().any(|other| other.will_wake(context.waker())) {
                watchers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Milliseconds since the board booted: what every [`Instant`] of the agent counts in.
    pub fn now(&self) -> Instant {
        clock::now()
    }
}

/// What the other rooms of this floor use.
impl Agent {
    pub(super) fn new(parts: Parts, executor: Weak<LocalExecutor<'static>>) -> Agent {
        Agent(Rc::new(Inner {
            paths: Paths::new(&parts.config),
            facts: RefCell::new(parts.facts.clone()),
            executor,
            images: RefCell::new(Images::new(parts.manifest)),
            events: RefCell::default(),
            entries: RefCell::default(),
            scales: RefCell::default(),
            effects: RefCell::default(),
            buffer: RefCell::new(std::vec![0; crate::manifest::limits::POD_MESSAGE]),
            news: Queue::default(),
            // An agent before this one may have programs running: theirs are not to be taken for this one's.
            execs: Cell::new(clock::now().0 as u32),
            chores: Cell::new(0),
            generation: Cell::new(0),
            watchers: RefCell::default(),
            ending: Cell::new(None),
            parts,
        }))
    }

    /// Where it keeps what a reboot may forget, and where its console's socket belongs.
    pub fn run_dir(&self) -> &std::path::Path {
        &self.0.parts.config.run_dir
    }

    pub(super) fn paths(&self) -> &Paths {
        &self.0.paths
    }

    pub(super) fn config(&self) -> &Config {
        &self.0.parts.config
    }

    pub(super) fn settings(&self) -> Node {
        self.0.parts.manifest.node
    }

    pub(super) fn manifest(&self) -> Manifest<'static> {
        self.0.parts.manifest
    }

    pub(super) fn manifest_file(&self) -> &'static [u8] {
        self.0.parts.file
    }

    pub(super) fn cgroups(&self) -> &Hierarchy {
        &self.0.parts.cgroups
    }

    pub(super) fn program(&self) -> BorrowedFd<'_> {
        self.0.parts.program.as_fd()
    }

    pub(super) fn images(&self) -> RefMut<'_, Images> {
        self.0.images.borrow_mut()
    }

    pub(super) fn events_mut(&self) -> RefMut<'_, Events> {
        self.0.events.borrow_mut()
    }

    pub(super) fn facts_mut(&self) -> RefMut<'_, Facts> {
        self.0.facts.borrow_mut()
    }

    pub(super) fn scales(&self) -> RefMut<'_, Scales> {
        self.0.scales.borrow_mut()
    }

    pub(super) fn buffer(&self) -> &RefCell<Vec<u8>> {
        &self.0.buffer
    }

    pub(super) fn next_exec(&self) -> u32 {
        let id = self.0.execs.get().wrapping_add(1);
        self.0.execs.set(id);
        id
    }

    /// What the manifest says of the pod with this identity.
    pub(super) fn manifest_of(&self, uid: Uid) -> Option<Pod<'static>> {
        self.0.entries.borrow().iter().find(|entry| entry.uid == uid).map(|entry| entry.pod)
    }

    /// Looks into the pod with this identity, or changes it.
    pub(super) fn with_entry<T>(&self, uid: Uid, act: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.0.entries.borrow_mut().iter_mut().find(|entry| entry.uid == uid).map(act)
    }

    /// Has the loop tell a machine something.
    pub(super) fn tell(&self, uid: Uid, event: Event) {
        self.0.news.push(News::Pod(uid, event));
    }

    /// Has the loop look at what is wanted.
    pub(super) fn look(&self) {
        self.0.news.push(News::Look);
    }

    /// Ends all pods, and then the agent. The first order stands, but powering off is never forgotten; and one that has the pods
    /// live on gives way to every other.
    pub(super) fn end(&self, how: Shutdown) {
        let gives_way = |before| match before {
            Shutdown::Again => true,
            Shutdown::Exit => how != Shutdown::Again,
            Shutdown::Reboot | Shutdown::PowerOff => false,
        };
        if self.0.ending.get().is_none_or(gives_way) {
            self.0.ending.set(Some(how));
        }
        self.look();
    }

    pub(super) fn is_ending(&self) -> bool {
        self.0.ending.get().is_some()
    }

    /// Sends an order to a pod-init.
    pub(super) fn order(&self, sandbox: &Rc<Sandbox>, order: &Order<'_>, fds: Vec<OwnedFd>) -> rustix::io::Result<()> {
        let was_behind = sandbox.link.is_behind();
        sandbox.link.send(order, fds, &mut self.0.buffer.borrow_mut())?;
        if !was_behind && sandbox.link.is_behind() {
            let sandbox = sandbox.clone();
            self.spawn(async move {
                // Where it fails the pod-init is gone, and whoever attends it sees that too.
                let _ = sandbox.link.flush().await;
            });
        }
        Ok(())
    }

    /// Runs a task that the agent does not end without.
    pub(super) fn chore(&self, task: impl Future<Output = ()> + 'static) {
        self.0.chores.set(self.0.chores.get() + 1);
        let agent = self.clone();
        self.spawn(async move {
            task.await;
            agent.0.chores.set(agent.0.chores.get() - 1);
            agent.look();
        });
    }

    /// Tells whoever shows listings and events that there is something new.
    pub(super) fn has_changed(&self) {
        self.0.generation.set(self.0.generation.get() + 1);
        self.0.watchers.take().into_iter().for_each(Waker::wake);
    }
}

/// Machines and their effects.
impl Agent {
    /// Lets a pod's machine take a step, and carries out what it asks for.
    pub(super) fn step(&self, uid: Uid, event: Event) {
        let mut entries = self.0.entries.borrow_mut();
        let Some(entry) = entries.iter_mut().find(|entry| entry.uid == uid) else { return };
        let mut effects = self.0.effects.borrow_mut();
        entry.machine.step(self.now(), event, &mut effects);
        self.carry_out(entry, &mut effects);
    }

    fn carry_out(&self, entry: &mut Entry, effects: &mut Effects) {
        effects.drain(..).for_each(|effect| effect::carry(self, entry, effect));
        self.has_changed();
    }

    /// Wakes every machine whose time has come; gives the next such moment.
    fn let_time_pass(&self) -> Option<Instant> {
        loop {
            let now = self.now();
            let due = |entry: &&Entry| entry.machine.poll_at().is_some_and(|at| at <= now);
            let Some(uid) = self.pods().iter().find(due).map(Entry::uid) else { break };
            self.step(uid, Event::Wake);
        }
        self.pods().iter().filter_map(|entry| entry.machine.poll_at()).min()
    }

    /// Goes on with a shutdown, if there is one; whether it is done.
    fn shut_down(&self, shutdown: &mut shutdown::Shutdown) -> bool {
        loop {
            let count = |critical: bool| self.pods().iter().filter(|entry| entry.pod.critical == critical).count();
            match shutdown.step(self.now(), Left { regular: count(false), critical: count(true) }) {
                Next::Wait => return false,
                Next::Done => return self.0.chores.get() == 0 || !self.pods().is_empty(),
                Next::End(wave, at_most) => {
                    let of_wave = |entry: &&Entry| entry.pod.critical == (wave == Wave::Critical);
                    let uids: Vec<Uid> = self.pods().iter().filter(of_wave).map(Entry::uid).collect();
                    uids.into_iter().for_each(|uid| self.step(uid, Event::Shutdown { at_most }));
                    self.reconcile();
                }
            }
        }
    }

    /// The loop.
    async fn drive(&self) -> Outcome {
        let mut ending: Option<shutdown::Shutdown> = None;
        loop {
            while let Some(news) = self.0.news.pop() {
                self.heed(news);
            }
            let mut next = [self.let_time_pass(), self.reconcile()].into_iter().flatten().min();
            if let Some(how) = self.0.ending.get() {
                if how == Shutdown::Again {
                    return Outcome { shutdown: how };
                }
                let budget = Duration::from_secs(self.settings().shutdown_grace_seconds.into());
                let shutdown = ending.get_or_insert_with(|| shutdown::Shutdown::new(self.now(), budget));
                if self.shut_down(shutdown) {
                    return Outcome { shutdown: how };
                }
                next = [self.let_time_pass(), shutdown.poll_at()].into_iter().flatten().min();
            }
            fail::point("loop");
            if self.0.news.is_empty() {
                self.wait(next).await;
            }
        }
    }

    fn heed(&self, news: News) {
        match news {
            News::Pod(uid, event) => self.step(uid, event),
            News::Look => {}
        }
    }

    /// Sleeps until there is news, or until that moment.
    async fn wait(&self, until: Option<Instant>) {
        let news = self.0.news.filled();
        match until {
            None => news.await,
            Some(at) => {
                let span = std::time::Duration::from_millis(at.since(self.now()).0);
                let time = async {
                    Timer::after(span).await;
                };
                smol::future::or(news, time).await;
            }
        }
    }
}

/// The whole life of an agent: adopts what runs, runs what should, and returns when it has been told to end and all pods have.
/// `attach` is called once, after adoption and before anything is started; it hangs the console on with [`Agent::spawn`].
pub fn run(config: Config, attach: impl FnOnce(&Agent)) -> Result<Outcome, Error> {
    let signals = begin::Signals::new()?;
    let parts = begin::prepare(config)?;
    let executor = Rc::new(LocalExecutor::new());
    let agent = Agent::new(parts, Rc::downgrade(&executor));
    smol::block_on(executor.run(async {
        begin::tell_troubles(&agent);
        adopt::forget_deleted(&agent);
        // On the heap, which is given back, since all of a future's room on the stack stays for as long as it runs.
        Box::pin(adopt::adopt(&agent)).await;
        evict::begin(&agent);
        attach(&agent);
        jobs::begin(&agent);
        claims::begin(&agent);
        agent.spawn(signals.attend(agent.clone()));
        let outcome = agent.drive().await;
        if outcome.shutdown != Shutdown::Again {
            agent.images().leave(agent.paths());
            agent.cgroups().leave();
        }
        Ok(outcome)
    }))
}
