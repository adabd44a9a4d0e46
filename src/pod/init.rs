//! pod-init itself: its own confinement, and one loop over orders, ended children and output. No timers, no polling.

use super::exec::Execution;
use super::launch::Launch;
use super::poll::{Poller, Source};
use super::rootfs;
use super::slot::{Pod, Slot};
use super::steps::{Broken, On, take};
use super::sysctl;
use super::wire::{self, Exec, Failure, Hello, LISTENER_FD, Order, Report, Setup, Start, Step, VERSION};
use crate::manifest::limits;
use crate::manifest::record::PodRecord;
use crate::manifest::status::{Exit, Uid};
use crate::sys::clock::now;
use crate::sys::reap::ChildWatch;
use crate::sys::socket::{self, Descriptors, Received};
use crate::sys::spawn::SingleThreaded;
use crate::sys::{mount, namespace, raw};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::mount::MountAttrFlags;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, getpid, pidfd_open, set_child_subreaper, set_dumpable_behavior,
};
use std::boxed::Box;
use std::time::Duration;
use std::vec;
use std::vec::Vec;

/// What is true of the pod from its set-up on.
#[derive(Debug)]
pub struct Facts {
    /// This process has one thread.
    pub single: SingleThreaded,
    /// This process, as a namespace to come back to.
    pub own: OwnedFd,
    /// The pod's own /proc, mounted nowhere.
    pub proc: OwnedFd,
    /// The containers share this process' PID namespace.
    pub share_processes: bool,
    /// The pod has users of its own.
    pub own_users: bool,
}

impl Facts {
    /// Makes a process in the PID namespace of another, where there is one to be born into.
    pub fn born_into(
        &self,
        process: Option<&OwnedFd>,
        make: impl FnOnce() -> Result<Launch, Failure>,
    ) -> Result<Launch, Failure> {
        let Some(process) = process else { return make() };
        let failed = |errno: rustix::io::Errno| Failure::new(Step::Namespace, errno.raw_os_error(), "pid");
        namespace::children_into(process.as_fd()).map_err(failed)?;
        let made = make();
        // A pod-init whose children were born into a container would be no pod-init any more: better it ends, and the pod with it.
        namespace::children_into(self.own.as_fd()).expect("the way back into the pod's own PID namespace");
        made
    }
}

/// Ended children taken at once, so that orphans in masses (failure F16) hold up neither orders nor output.
const REAP_AT_ONCE: usize = 64;

/// How long the mounts of an ended instance stay where nothing else is to be done: long enough for the order that starts the next one.
const RETIREMENT: Duration = Duration::from_millis(2);

/// Bytes of the largest report: a hello with all containers.
const REPORT: usize = 2048;

/// Runs pod-init. It never returns; when it ends, the kernel ends all that is in the pod.
#[inline(never)]
pub fn main() -> ! {
    // Whatever cannot be told over the socket is told by the exit code, which the agent shows with the pod.
    let code = match PodInit::new() {
        Ok(mut pod) => pod.serve(),
        Err(errno) => errno.raw_os_error(),
    };
    raw::exit_now(code)
}

/// What one step of the pod's own set-up does.
type Act = fn(&mut bool) -> Result<(), Broken>;

/// Leaves the host's file systems for a small root of its own.
const SECLUDE: &[(Step, Act)] = &[
    // Out of a chroot, which pivot_root would leave the host's root around: there would be what is executed in a container later.
    (Step::Namespace, |_| namespace::to_own_root().on("/")),
    (Step::Namespace, |_| mount::make_private().on("/")),
    (Step::Root, |own_users| {
        let root =
            mount::new_mount(c"tmpfs", &[(c"size", c"64k"), (c"mode", c"711")], MountAttrFlags::empty()).on("tmpfs")?;
        *own_users = !rootfs::furnish(root.as_fd())?;
        // Any place will do for the moment between being mounted and being the root.
        mount::attach_at(&root, c"/proc").on("/proc")?;
        if *own_users {
            rootfs::borrow(root.as_fd())?;
        }
        mount::pivot(root.as_fd()).on("/")
    }),
    (Step::Root, |_| rootfs::seal()),
];

/// The same, with the order in hand.
type ActOnSetup = fn(&mut Setup<'_>) -> Result<(), Broken>;

/// Makes the pod stand, once.
const SET_UP: &[(Step, ActOnSetup)] = &[
    (Step::SystemMounts, |setup| {
        let options = [(c"size", &*rootfs::size(setup.shm_bytes)), (c"mode", c"1777")];
        let shm = mount::new_mount(c"tmpfs", &options, mount::PLAIN).on("/dev/shm")?;
        mount::attach_at(&shm, c"/shm").on("/dev/shm")
    }),
    (Step::Names, |setup| match setup.host_network {
        true => Ok(()),
        false => rustix::system::sethostname(setup.hostname.as_bytes()).on(setup.hostname),
    }),
    (Step::Names, |setup| match setup.host_network {
        true => Ok(()),
        false => namespace::loopback_up().on("lo"),
    }),
    (Step::Names, |setup| setup.sysctls.iter().try_for_each(|sysctl| sysctl::set(sysctl.key, sysctl.value))),
];

/// The whole state of a pod-init.
struct PodInit {
    poller: Poller,
    children: ChildWatch,
    listener: OwnedFd,
    connection: Option<OwnedFd>,
    facts: Facts,
    secluded: Result<(), Failure>,
    uid: Option<Uid>,
    pod: PodRecord,
    /// As many as the pod has containers, made at set-up.
    slots: Box<[Slot]>,
    /// The mounts of ended instances, to be let go of once there is nothing better to do.
    retired: heapless::Vec<OwnedFd, { limits::CONTAINERS }>,
    /// At most [`limits::EXECUTIONS`].
    executions: Vec<Execution>,
    more_children: bool,
    over: Option<i32>,
}

impl PodInit {
    fn new() -> rustix::io::Result<PodInit> {
        // Whoever shares the PID namespace cannot look into this process, whatever it holds.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        if !getpid().is_init() {
            // In the node's PID namespace (`hostPID`): what the containers leave behind is still this pod's.
            set_child_subreaper(Some(getpid()))?;
        }
        let single = SingleThreaded::prove().map_err(|error| error.errno)?;
        let children = ChildWatch::new()?;
        let listener = raw::inherited_fd(LISTENER_FD)?;
        let proc = mount::new_mount(c"proc", &[], mount::PLAIN)?;
        let own = pidfd_open(getpid(), PidfdFlags::empty())?;
        let poller = Poller::new()?;
        poller.add(&children, Source::Children);
        poller.add(&listener, Source::Listener);
        let mut own_users = false;
        let secluded = take(SECLUDE, &mut own_users);
        Ok(PodInit {
            poller,
            children,
            listener,
            connection: None,
            facts: Facts { single, own, proc, share_processes: false, own_users },
            secluded,
            uid: None,
            pod: PodRecord::default(),
            slots: Box::default(),
            retired: heapless::Vec::new(),
            executions: Vec::new(),
            more_children: false,
            over: None,
        })
    }

    /// The loop. Each turn does a bounded piece of work for each source that is ready.
    fn serve(&mut self) -> i32 {
        // Fresh from the kernel: only the pages that packets have really filled take memory.
        let mut packet = vec![0; limits::POD_MESSAGE];
        loop {
            let ready = self.poller.wait(self.patience());
            if ready.is_empty() && !self.more_children {
                self.retired.clear();
            }
            for source in ready {
                match source {
                    Source::Children => self.more_children = true,
                    Source::Listener => self.accept(),
                    Source::Connection => self.receive(&mut packet),
                    Source::Launch(index) => self.progress(index),
                    Source::Output(index, stream) => {
                        if let Some(slot) = self.slots.get_mut(index) {
                            slot.drain(stream, &self.poller);
                        }
                    }
                    Source::Execution(id) => {
                        if let Some(execution) = self.executions.iter_mut().find(|execution| execution.id == id) {
                            execution.progress(&self.poller);
                        }
                    }
                }
            }
            // Last, so that what a process has told before its end is known before it.
            if self.more_children {
                self.reap();
            }
            if let Some(code) = self.over {
                return code;
            }
        }
    }

    /// How long to wait for the next thing to do.
    fn patience(&self) -> Option<Duration> {
        match (self.more_children, self.retired.is_empty()) {
            (true, _) => Some(Duration::ZERO),
            (false, false) => Some(RETIREMENT),
            (false, true) => None,
        }
    }

    fn progress(&mut self, index: usize) {
        let report = self.slots.get_mut(index).and_then(|slot| slot.progress(index as u8, &self.poller, now()));
        report.into_iter().for_each(|report| self.report(&report));
    }

    /// Collects children: main processes, executed programs, and orphans, of which nobody wants to know.
    fn reap(&mut self) {
        let mut ended: heapless::Vec<(Pid, Exit), REAP_AT_ONCE> = heapless::Vec::new();
        self.more_children = self.children.reap(REAP_AT_ONCE, |pid, exit| {
            let _ = ended.push((pid, exit));
        });
        for (pid, exit) in ended {
            if let Some(index) = self.slots.iter().position(|slot| slot.is_process(pid)) {
                let reports = self.slots[index].ended(index as u8, exit, &self.poller, now());
                reports.iter().flatten().for_each(|report| self.report(report));
                let retired = self.slots[index].mounts.take().map(|mounts| self.retired.push(mounts));
                // Where there are too many already, this one goes at once.
                drop(retired);
            } else if let Some(index) = self.executions.iter().position(|execution| execution.is_process(pid)) {
                let execution = self.executions.swap_remove(index);
                self.poller.remove(&execution.launch);
                self.report(&execution.ended(exit));
            }
        }
    }

    /// A new connection: a new agent, since only one lives. What the old one has had executed is of no use any more.
    fn accept(&mut self) {
        let Ok(Some(connection)) = socket::accept(&self.listener) else { return };
        self.disconnect();
        self.poller.add(&connection, Source::Connection);
        self.connection = Some(connection);
        let containers = self.slots.iter().map(|slot| slot.record).collect();
        self.report(&Report::Hello(Hello { version: VERSION, uid: self.uid, pod: self.pod, containers }));
    }

    fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.poller.remove(&connection);
            for execution in self.executions.drain(..) {
                self.poller.remove(&execution.launch);
                execution.kill();
            }
        }
    }

    /// Tells the agent. One that does not keep up is disconnected: a new hello tells it all that still matters.
    fn report(&mut self, report: &Report) {
        self.hand(report, &[]);
    }

    /// The same, with descriptors beside it.
    fn hand(&mut self, report: &Report, descriptors: &[BorrowedFd<'_>]) {
        let mut buffer = [0; REPORT];
        let Some(connection) = &self.connection else { return };
        let sent = wire::encode(report, &mut buffer).map(|packet| socket::send(connection, packet, descriptors));
        if sent != Some(Ok(())) {
            self.disconnect();
        }
    }

    /// Takes one order. What is too large or makes no sense ends the connection (failure F11), and nothing else.
    fn receive(&mut self, buffer: &mut [u8]) {
        let Some(connection) = &self.connection else { return };
        let mut descriptors = Descriptors::new();
        let packet = match socket::receive(connection, buffer, &mut descriptors) {
            Ok(Received::Packet(length)) => &buffer[..length],
            Ok(Received::Nothing) => return,
            Ok(Received::Closed | Received::TooLarge) | Err(_) => return self.disconnect(),
        };
        match wire::decode_order(packet) {
            Some(order) => self.obey(order, packet, &mut descriptors),
            None => self.disconnect(),
        }
    }

    fn obey(&mut self, order: Order<'_>, packet: &[u8], descriptors: &mut Descriptors) {
        match order {
            Order::Setup(setup) => self.set_up(setup),
            Order::Start(start) => {
                if let Err(failure) = self.start(&start, packet, descriptors) {
                    self.report(&Report::StartFailed { container: start.container, instance: start.instance, failure });
                }
            }
            Order::Signal { container, instance, signal } => {
                if let Some(slot) = self.slots.get(usize::from(container)) {
                    slot.signal(instance, signal);
                }
            }
            Order::Exec(exec) => {
                if let Err(failure) = self.execute(&exec, descriptors) {
                    self.report(&Report::ExecEnded { id: exec.id, result: Err(failure) });
                }
            }
            Order::ExecKill { id } => {
                self.executions.iter().filter(|execution| execution.id == id).for_each(Execution::kill)
            }
            Order::MarkStage { container, instance, stage } => {
                let slot = self.slots.get_mut(usize::from(container)).filter(|slot| slot.record.instance == instance);
                slot.into_iter().for_each(|slot| slot.record.stage = stage);
            }
            Order::Attach { id, container, instance } => {
                let opened = match self.slots.get_mut(usize::from(container)) {
                    Some(slot) => slot.attach(instance),
                    None => Err(Failure::new(Step::Order, libc::ENOENT, "(no such container)")),
                };
                match opened {
                    Ok(end) => self.hand(&Report::Opened { id }, &[end.as_fd()]),
                    Err(failure) => self.report(&Report::ExecEnded { id, result: Err(failure) }),
                }
            }
            Order::MarkEnding(ending) => self.pod.ending = Some(ending),
            // With the end of a PID namespace's first process the kernel kills all others, and waits for them.
            Order::Quit => self.over = Some(0),
        }
    }

    fn set_up(&mut self, mut setup: Setup<'_>) {
        let done = match (&self.secluded, self.uid) {
            (_, Some(_)) => Err(Failure::new(Step::Order, libc::EALREADY, "(the pod stands already)")),
            (Err(failure), None) => Err(failure.clone()),
            (Ok(()), None) => take(SET_UP, &mut setup),
        };
        match done {
            Ok(()) => {
                self.uid = Some(setup.uid);
                self.facts.share_processes = setup.share_processes;
                self.slots = (0..setup.containers).map(|_| Slot::new()).collect();
                self.report(&Report::SetupDone);
            }
            Err(failure) => {
                self.report(&Report::SetupFailed(failure));
                // A pod that stands is not ended by a doubled order.
                self.over = if self.uid.is_none() { Some(1) } else { None };
            }
        }
    }

    fn start(&mut self, start: &Start<'_>, packet: &[u8], descriptors: &mut Descriptors) -> Result<(), Failure> {
        let target = self.target(start)?;
        let slot = self
            .slots
            .get_mut(usize::from(start.container))
            .ok_or_else(|| Failure::new(Step::Order, libc::ENOENT, "(no such container)"))?;
        if slot.is_busy() {
            return Err(Failure::new(Step::Order, libc::EBUSY, "(an instance is still there)"));
        }
        let pod = Pod { facts: &self.facts, poller: &self.poller, target: target.as_ref() };
        slot.start(&pod, start, packet, descriptors, now())
    }

    /// The process whose PID namespace a container is to be born into, where it is not to have its own.
    fn target(&self, start: &Start<'_>) -> Result<Option<OwnedFd>, Failure> {
        let Some(target) = start.target.filter(|_| !self.facts.share_processes) else { return Ok(None) };
        let main = self.slots.get(usize::from(target)).and_then(Slot::main_process);
        let pidfd = main.and_then(|main| main.pidfd.try_clone().ok());
        let failed = || Failure::new(Step::Namespace, libc::ESRCH, "pid (of the target container)");
        pidfd.map(Some).ok_or_else(failed)
    }

    fn execute(&mut self, exec: &Exec<'_>, descriptors: &mut Descriptors) -> Result<(), Failure> {
        let slot = self
            .slots
            .get(usize::from(exec.container))
            .ok_or_else(|| Failure::new(Step::Order, libc::ENOENT, "(no such container)"))?;
        if self.executions.len() == limits::EXECUTIONS
            || self.executions.iter().any(|execution| execution.id == exec.id)
        {
            return Err(Failure::new(Step::Order, libc::EAGAIN, "(too many programs are being executed)"));
        }
        let (execution, terminal) = Execution::new(&self.facts, exec, slot, descriptors)?;
        self.poller.add(&execution.launch, Source::Execution(execution.id));
        self.executions.push(execution);
        if let Some(terminal) = terminal {
            self.hand(&Report::Opened { id: exec.id }, &[terminal.as_fd()]);
        }
        Ok(())
    }
}
