//! One container as pod-init knows it: its record, its main process, its output, and the order that started it.

use super::child::{self, Making};
use super::init::Facts;
use super::launch::{Launch, Progress};
use super::output::{Drained, Stream, Writer};
use super::poll::{Poller, Source};
use super::streams::{self, Input};
use super::wire::{self, Failure, Order, Report, Start, Step, View};
use crate::manifest::limits;
use crate::manifest::record::{ContainerRecord, Life, Stage};
use crate::manifest::status::Exit;
use crate::manifest::terminal::Size;
use crate::manifest::time::Instant;
use crate::sys::namespace::{self, Namespaces};
use crate::sys::socket::Descriptors;
use crate::sys::spawn::{Cgroup, Child};
use crate::sys::tty::{self, Pty};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use std::boxed::Box;
use std::vec::Vec;

/// How an instance that never started is recorded: with Kubernetes' code where its program could not be executed, else as unknown.
fn never_started(failure: &Failure) -> Exit {
    match failure.step {
        Step::Exec => Exit { code: 128, signal: 0, oom: false },
        _ => Exit::UNKNOWN,
    }
}

/// What a start needs of its pod.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a> {
    /// What is true of it.
    pub facts: &'a Facts,
    /// What waits for the new process.
    pub poller: &'a Poller,
    /// The process into whose PID namespace it is to be born, where it is not to have its own.
    pub target: Option<&'a OwnedFd>,
}

/// How far the newest instance has come.
#[derive(Debug, Default)]
enum State {
    /// There is no process.
    #[default]
    Idle,
    /// On its way to exec.
    Starting(Launch),
    /// Its program runs.
    Running(Child),
}

/// A container.
#[derive(Debug)]
pub struct Slot {
    /// What an agent is told of it.
    pub record: ContainerRecord,
    state: State,
    /// The mount namespace of the newest instance, until its end has been told. While it is held here the kernel does not take the
    /// mounts apart, which would hold up the process' end, and whoever waits for it.
    pub mounts: Option<OwnedFd>,
    /// The packet of its newest start, for what executes inside it later.
    start: Box<[u8]>,
    /// The reading ends of its output, while somebody may write. A terminal is the first of them.
    output: [Option<OwnedFd>; 2],
    /// What is left of its input to be handed out.
    input: Input,
    /// The devpts of the newest instance.
    terminals: Option<OwnedFd>,
    writer: Option<Writer>,
}

/// The descriptors of a start order, told apart.
struct Given {
    image: OwnedFd,
    segments: [OwnedFd; 2],
    cgroups: Vec<OwnedFd>,
    mounts: Vec<OwnedFd>,
    devices: Option<OwnedFd>,
}

impl Given {
    fn new(start: &Start<'_>, descriptors: &mut Descriptors) -> Option<Given> {
        let cgroups = usize::from(start.cgroups);
        let privileged = start.view == View::Privileged;
        if descriptors.len() != 3 + cgroups + start.mounts.len() + usize::from(privileged)
            || (start.cgroup_v2 && cgroups != 1)
        {
            return None;
        }
        let mut all = core::mem::take(descriptors).into_iter();
        let (image, segments) = (all.next()?, [all.next()?, all.next()?]);
        let devices = if privileged { all.next_back() } else { None };
        Some(Given { image, segments, cgroups: all.by_ref().take(cgroups).collect(), mounts: all.collect(), devices })
    }
}

/// How a process gets into the cgroups of an order.
pub fn cgroup(v2: bool, descriptors: &[OwnedFd]) -> Cgroup<'_> {
    match descriptors {
        [directory] if v2 => Cgroup::Into(directory.as_fd()),
        files => Cgroup::Join(files),
    }
}

/// Its outputs, by index.
const STREAMS: [Stream; 2] = [Stream::Out, Stream::Err];

impl Slot {
    /// A container that was never started.
    pub fn new() -> Slot {
        Slot {
            record: ContainerRecord::NEW,
            state: State::Idle,
            mounts: None,
            start: Box::default(),
            output: [None, None],
            input: Input::None,
            terminals: None,
            writer: None,
        }
    }

    /// The newest start order.
    pub fn start_order(&self) -> Option<Start<'_>> {
        match wire::decode_order(&self.start)? {
            Order::Start(start) => Some(start),
            _ => None,
        }
    }

    /// The main process, once its program runs.
    pub fn main_process(&self) -> Option<&Child> {
        match &self.state {
            State::Running(child) => Some(child),
            _ => None,
        }
    }

    /// Whether a process of it is still known.
    pub fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Starts an instance. On failure nothing is left of the attempt, and the record says so.
    pub fn start(
        &mut self,
        pod: &Pod<'_>,
        start: &Start<'_>,
        packet: &[u8],
        descriptors: &mut Descriptors,
        now: Instant,
    ) -> Result<(), Failure> {
        self.record =
            ContainerRecord { instance: start.instance, memo: start.memo, life: Life::None, stage: Stage::New };
        self.close_output(pod.poller);
        let launched = self.launch(pod, start, packet, descriptors);
        if let State::Starting(launch) = &self.state {
            let container = usize::from(start.container);
            pod.poller.add(launch, Source::Launch(container));
            for (stream, output) in self.output.iter().enumerate() {
                output.iter().for_each(|output| pod.poller.add(output, Source::Output(container, stream)));
            }
        }
        if let Err(failure) = &launched {
            self.record.life = Life::Ended { started: None, finished: now, exit: never_started(failure) };
        }
        launched
    }

    fn launch(
        &mut self,
        pod: &Pod<'_>,
        start: &Start<'_>,
        packet: &[u8],
        descriptors: &mut Descriptors,
    ) -> Result<(), Failure> {
        let facts = pod.facts;
        let refused = |errno: Errno, subject: &str| Failure::new(Step::Order, errno.raw_os_error(), subject);
        let given =
            Given::new(start, descriptors).ok_or_else(|| refused(Errno::BADF, "(the descriptors beside it)"))?;
        self.writer = Some(
            Writer::open(given.segments, limits::LOG_RING / 2).map_err(|errno| refused(errno, "(the output ring)"))?,
        );
        let terminals = tty::instance().map_err(|errno| refused(errno, "(devpts)"))?;
        let (theirs, ours) =
            streams::make(start, terminals.as_fd()).map_err(|errno| refused(errno, "(standard streams)"))?;
        let cgroup = cgroup(start.cgroup_v2, &given.cgroups);
        let namespaces = Namespaces::MOUNT.and(Namespaces::PID.only_if(!facts.share_processes && pod.target.is_none()));
        let launch = facts.born_into(pod.target, || {
            Launch::new(&facts.single, namespaces, cgroup, |teller| {
                let making = Making {
                    start,
                    image: &given.image,
                    mounts: &given.mounts,
                    cgroup,
                    proc: facts.proc.as_fd(),
                    own_users: facts.own_users,
                    devices: given.devices.as_ref().map(AsFd::as_fd),
                    streams: &theirs,
                    terminals: terminals.as_fd(),
                    root: None,
                    null: None,
                    directory: None,
                };
                child::run(making, teller)
            })
        })?;
        self.mounts = namespace::mounts_of(facts.proc.as_fd(), launch.child.pid).ok();
        self.start = packet.into();
        (self.output, self.input, self.terminals) = (ours.output, ours.input, Some(terminals));
        self.state = State::Starting(launch);
        Ok(())
    }

    /// The start's pipe is readable: what is to be reported.
    pub fn progress(&mut self, container: u8, poller: &Poller, now: Instant) -> Option<Report> {
        let State::Starting(launch) = &mut self.state else { return None };
        let progress = launch.progress();
        if progress != Progress::Underway {
            poller.remove(&*launch);
        }
        (progress == Progress::Executed).then(|| self.started(container, now))
    }

    fn started(&mut self, container: u8, now: Instant) -> Report {
        if let State::Starting(launch) = core::mem::take(&mut self.state) {
            self.state = State::Running(launch.child);
        }
        self.record.life = Life::Running { started: now };
        Report::Started { container, instance: self.record.instance }
    }

    /// Whether this is the number of its main process.
    pub fn is_process(&self, pid: Pid) -> bool {
        match &self.state {
            State::Idle => false,
            State::Starting(launch) => launch.child.pid == pid,
            State::Running(child) => child.pid == pid,
        }
    }

    /// Its main process has ended: what is to be reported, in order.
    pub fn ended(&mut self, container: u8, exit: Exit, poller: &Poller, now: Instant) -> [Option<Report>; 2] {
        let instance = self.record.instance;
        // A terminal that is held open here would never come to its end.
        self.input = Input::None;
        self.drain_rest(poller);
        let mut reports = [None, None];
        let mut begun = match self.record.life {
            Life::Running { started } => Some(started),
            _ => None,
        };
        if let State::Starting(launch) = core::mem::take(&mut self.state) {
            poller.remove(&launch);
            if let Err(failure) = launch.ended(exit) {
                self.close_output(poller);
                self.record.life = Life::Ended { started: None, finished: now, exit: never_started(&failure) };
                return [Some(Report::StartFailed { container, instance, failure }), None];
            }
            // It was over before its start had been seen.
            reports[0] = Some(Report::Started { container, instance });
            begun = Some(now);
        }
        self.record.life = Life::Ended { started: begun, finished: now, exit };
        reports[1] = Some(Report::Exited { container, instance, exit });
        reports
    }

    /// One turn on one output.
    pub fn drain(&mut self, stream: usize, poller: &Poller) -> Drained {
        let (Some(Some(pipe)), Some(writer), Some(name)) =
            (self.output.get(stream), self.writer.as_mut(), STREAMS.get(stream))
        else {
            return Drained::End;
        };
        let drained = writer.drain(pipe, *name, self.record.instance);
        if drained == Drained::End {
            poller.remove(pipe);
            self.output[stream] = None;
        }
        drained
    }

    /// What a pipe can hold at the most, in turns: so an ended container's last words are in its log before its end is told.
    fn drain_rest(&mut self, poller: &Poller) {
        const PIPE: usize = 64 * 1024;
        for stream in 0..STREAMS.len() {
            for _ in 0..=PIPE / super::output::RECORD {
                if self.drain(stream, poller) != Drained::Some {
                    break;
                }
            }
        }
    }

    fn close_output(&mut self, poller: &Poller) {
        for pipe in self.output.iter_mut().filter_map(Option::take) {
            poller.remove(&pipe);
        }
    }

    /// A new terminal in the container.
    pub fn terminal(&self, size: Size) -> rustix::io::Result<Pty> {
        tty::open(self.terminals.as_ref().ok_or(Errno::NOENT)?.as_fd(), size)
    }

    /// What of its input the one who attaches now is handed.
    pub fn attach(&mut self, instance: u32) -> Result<OwnedFd, Failure> {
        let refused = |subject: &str| Failure::new(Step::Attach, 0, subject);
        if self.record.instance != instance || !matches!(self.state, State::Running(_)) {
            return Err(refused("the container (it does not run)"));
        }
        let copy =
            |end: &OwnedFd| end.try_clone().map_err(|_| refused("the container (there are too many open files)"));
        match (core::mem::take(&mut self.input), &self.output[0]) {
            (Input::Once(end), _) => Ok(end),
            (Input::Kept(end), _) => {
                let copied = copy(&end);
                self.input = Input::Kept(end);
                copied
            }
            (Input::Terminal(held), Some(master)) => {
                let copied = copy(master);
                self.input = Input::Terminal(held);
                copied
            }
            (Input::Terminal(_) | Input::None, _) => {
                Err(refused("standard input (there is none, or stdinOnce has closed it after the first attach)"))
            }
        }
    }

    /// Sends a signal to the main process of that instance; for another it is too late.
    pub fn signal(&self, instance: u32, signal: u8) {
        let child = match &self.state {
            State::Starting(launch) => &launch.child,
            State::Running(child) => child,
            State::Idle => return,
        };
        if let (true, Some(signal)) = (self.record.instance == instance, Signal::from_named_raw(i32::from(signal))) {
            // Not reaped yet, so the number is still its own.
            let _ = kill_process(child.pid, signal);
        }
    }
}

impl Default for Slot {
    fn default() -> Slot {
        Slot::new()
    }
}
