//! Carries out what a machine asks for, and tells it what its pod-init reports.

use super::confine;
use super::drive::{Agent, Entry};
use super::ephemeral;
use super::events;
use super::fail;
use super::hooks::{self, Which};
use super::images::{Record, Refused};
use super::ownership;
use super::probes;
use super::queue::{Question, question};
use super::sandbox::{self, Remains, Sandbox, Wait};
use super::start::{self, Bytes};
use super::trouble::Trouble;
use super::words;
use crate::machine::effect::{Effect, Event};
use crate::manifest::pod::Pod;
use crate::manifest::record::Memo;
use crate::manifest::status::{Exit, Message, Reason, Uid, message};
use crate::manifest::terminal::Size;
use crate::pod::wire::{Exec, Failure, Order, Report, Step};
use crate::sys::cgroup::Limits;
use crate::sys::socket::Descriptors;
use rustix::io::Errno;
use rustix::process::Signal;
use std::format;
use std::os::fd::OwnedFd;
use std::prelude::v1::*;
use std::rc::Rc;

/// The group of one instance: fresh for each, since what once was killed as a whole kills whoever enters later.
pub(super) fn instance_group(uid: Uid, container: &str, instance: u32) -> String {
    format!("{uid}/{container}.{instance}")
}

/// Carries out one effect for a pod. What it brings about comes back as an event.
pub(super) fn carry(agent: &Agent, entry: &mut Entry, effect: Effect) {
    let (uid, pod) = (entry.uid(), *entry.manifest());
    match effect {
        Effect::CreateSandbox => {
            match sandbox::create(agent, uid, (&pod, entry.filters), (entry.created(), entry.machine().accepted())) {
                Ok(made) => {
                    entry.sandbox = Some(made.clone());
                    agent.spawn(sandbox::attend(agent.clone(), made.clone()));
                    // Orders wait in the socket until the pod-init has come so far.
                    ownership::settle(agent, uid, &pod, &made);
                }
                Err((why, sandbox)) => unmake(agent, uid, sandbox, why),
            }
        }
        Effect::Start { container, instance, memo } => {
            if let Err(Refused { reason, why }) = start_container(agent, entry, container, instance, memo) {
                agent.tell(uid, Event::StartFailed { container, instance, reason, message: why.message() });
            }
        }
        Effect::PreStop { container, instance } => hooks::run(agent, entry, container, instance, Which::PreStop),
        Effect::PostStart { container, instance } => hooks::run(agent, entry, container, instance, Which::PostStart),
        Effect::Probe { container, instance, kind } => probes::run(agent, entry, container, instance, kind),
        Effect::MarkStage { container, instance, stage } => {
            note(agent, entry, &Order::MarkStage { container, instance, stage })
        }
        Effect::Recall { container, record } => note(agent, entry, &Order::Recall { container, record }),
        Effect::Stop { container } => {
            let signal = stop_signal(agent, entry, container);
            send_signal(agent, entry, container, signal);
        }
        Effect::Kill { container } => {
            fail::point("kill");
            send_signal(agent, entry, container, Signal::KILL.as_raw() as u8);
            if let Some(path) = current_group(entry, container) {
                agent.cgroups().group(&path).kill();
            }
        }
        Effect::MarkEnding(ending) => {
            note(agent, entry, &Order::MarkEnding(ending));
            fail::point("ending marked");
        }
        Effect::Condemn(verdict) => {
            // Where the pod has no directory yet there is nothing to adopt either.
            let bytes: Bytes = [verdict].iter().collect();
            let _ = std::fs::write(agent.paths().pod(uid).verdict(), bytes.into_vec());
            fail::point("condemned");
            agent.report(&pod, verdict.is_warning(), verdict.as_str(), None, verdict.message(&pod));
        }
        Effect::RemoveSandbox => {
            ephemeral::forget(&agent.paths().pod(uid));
            let remains = Remains { uid, sandbox: entry.sandbox.take(), keep: !entry.machine().is_terminating() };
            let (agent, name) = (agent.clone(), pod);
            agent.clone().spawn(async move {
                if let Err(why) = sandbox::remove(&agent, remains).await {
                    agent.report(&name, true, "FailedKillPod", None, why.message());
                }
                agent.tell(uid, Event::SandboxRemoved);
            });
        }
        Effect::Report(report) => {
            let about = report.container.and_then(|index| entry.container(index.into()));
            agent.report(&pod, report.warning, report.reason, about.map(|it| it.name), report.message)
        }
    }
}

/// Takes away what there is of a sandbox that could not be made, and tells why.
pub(super) fn unmake(agent: &Agent, uid: Uid, sandbox: Option<Rc<Sandbox>>, why: Trouble) {
    let agent = agent.clone();
    agent.clone().spawn(async move {
        if let Err(more) = sandbox::remove(&agent, Remains { uid, sandbox, keep: true }).await {
            log::warn!("pod {uid}: {more}");
        }
        agent.tell(uid, Event::SandboxFailed(why.message()));
    });
}

impl Agent {
    /// Adds an event about a pod. What is told of a container, as `Started container`, is completed with its name.
    pub(super) fn report(
        &self,
        pod: &Pod<'_>,
        warning: bool,
        reason: &'static str,
        container: Option<&str>,
        text: Message,
    ) {
        let container = container.unwrap_or_default();
        let is_complete = warning || container.is_empty();
        let message = match is_complete {
            true => text,
            false if text.contains("{}") => message(&text.replace("{}", container)),
            false => message(&format!("{text} {container}")),
        };
        let about = (pod.namespace, pod.name, container);
        self.events_mut().add(events::Event::new(self.now(), (warning, reason), about, message));
    }
}

/// Has the pod-init remember something. One that takes no orders any more is gone, and whoever attends it sees that too.
fn note(agent: &Agent, entry: &Entry, order: &Order<'_>) {
    if let Some(sandbox) = &entry.sandbox {
        let _ = agent.order(sandbox, order, Vec::new());
    }
}

/// The group of the newest instance of a container.
pub(super) fn current_group(entry: &Entry, container: u8) -> Option<String> {
    let instance = entry.machine().containers().get(usize::from(container))?.instance();
    let name = entry.container(container.into())?.name;
    Some(instance_group(entry.uid(), name, instance))
}

fn send_signal(agent: &Agent, entry: &Entry, container: u8, signal: u8) {
    let Some(instance) = entry.machine().containers().get(usize::from(container)).map(|it| it.instance()) else {
        return;
    };
    if let Some(sandbox) = &entry.sandbox {
        let _ = agent.order(sandbox, &Order::Signal { container, instance, signal }, Vec::new());
    }
    fail::point("signal sent");
}

/// `lifecycle.stopSignal`, else the image's STOPSIGNAL, as its record says now; TERM where there is no record any more.
fn stop_signal(agent: &Agent, entry: &Entry, container: u8) -> u8 {
    let container = entry.container(container.into());
    if let Some(signal) = container.and_then(|container| container.stop_signal) {
        return signal.number;
    }
    let image = container.map(|container| container.image).unwrap_or_default();
    let signal = Record::read(agent.paths(), image).and_then(|record| record.image().map(|image| image.stop_signal));
    signal.unwrap_or(Signal::TERM.as_raw() as u8)
}

fn start_container(agent: &Agent, entry: &Entry, index: u8, instance: u32, memo: Memo) -> Result<(), Refused> {
    let (uid, pod) = (entry.uid(), entry.manifest());
    let (Some(sandbox), Some(container)) = (&entry.sandbox, entry.container(index.into())) else {
        return Err(Refused::new("the pod has no sandbox".into()));
    };
    fail::point("start");
    let path = instance_group(uid, container.name, instance);
    let limits = Limits { huge_pages: start::huge_pages(pod, &container), ..start::limits(&container) };
    let made = agent.cgroups().create(&path, false, &limits);
    let user = confine::first_user(agent, pod);
    let admitted = made.and_then(|group| user.map_or(Ok(()), |user| group.admit(user)).and_then(|()| group.doors()));
    let doors = admitted.map_err(|e| Refused::new(e.into()))?;
    fail::point("instance group made");
    let put_in = entry.ephemeral().find(|it| it.container.name == container.name);
    let target = put_in.and_then(|it| entry.position(it.target?)).map(|at| at as u8);
    let which = start::Which { uid, pod, container, target, index, instance, memo };
    let ordered =
        start::order(agent.paths(), &mut agent.images(), &agent.node(), which, (doors, entry.filters), |order, fds| {
            agent.order(sandbox, order, fds).map_err(|e| Refused::new(deaf(e)))
        });
    if ordered.is_err() {
        let _ = agent.cgroups().group(&path).remove();
        words::forget(agent.paths(), uid, &container, instance);
    }
    fail::point("start ordered");
    ordered
}

/// The pod-init takes no orders.
fn deaf(errno: Errno) -> Trouble {
    format!("the pod-init takes no orders: {errno}").into()
}

/// Where the end of an exec is told.
pub(super) type Ended = Question<Result<Exit, Failure>>;

/// What a program in a container is given as its standard streams.
#[derive(Debug)]
pub enum Streams {
    /// Standard input, output and error.
    Files([OwnedFd; 3]),
    /// A terminal of the container's, of that size.
    Terminal(Size),
}

/// A program that was ordered.
pub(super) struct Begun {
    /// Its number.
    pub(super) id: u32,
    /// Where its end is told.
    pub(super) ended: Ended,
    /// Where its terminal comes.
    pub(super) terminal: Question<OwnedFd>,
}

/// Starts a program in a running container.
pub(super) fn exec(
    agent: &Agent,
    entry: &Entry,
    container: u8,
    argv: crate::manifest::List<'_, &str>,
    streams: Streams,
) -> Result<Begun, Trouble> {
    let (Some(sandbox), Some(path)) = (&entry.sandbox, current_group(entry, container)) else {
        return Err("the pod has no sandbox".into());
    };
    let doors = agent.cgroups().group(&path).doors()?;
    let id = agent.next_exec();
    let (mut fds, terminal) = match streams {
        Streams::Files(files) => (Vec::from(files), None),
        Streams::Terminal(size) => (Vec::new(), Some(size)),
    };
    let order = Exec { id, container, argv, cgroups: doors.fds.len() as u8, cgroup_v2: doors.v2, terminal };
    fds.extend(doors.fds);
    let ((tell, ended), (open, opened)) = (question(), question());
    agent.order(sandbox, &Order::Exec(order), fds).map_err(deaf)?;
    sandbox.waits.borrow_mut().push((id, Wait::Program { ended: tell, terminal: terminal.map(|_| open) }));
    Ok(Begun { id, ended, terminal: opened })
}

/// Asks for the input of the newest instance of a container: its pipe, or its terminal.
pub(super) fn attach(
    agent: &Agent,
    entry: &Entry,
    container: u8,
) -> Result<Question<Result<OwnedFd, Failure>>, Trouble> {
    let instance = entry.machine().containers().get(usize::from(container)).map_or(0, |it| it.instance());
    let Some(sandbox) = &entry.sandbox else { return Err("the pod has no sandbox".into()) };
    let id = agent.next_exec();
    let (tell, told) = question();
    agent.order(sandbox, &Order::Attach { id, container, instance }, Vec::new()).map_err(deaf)?;
    sandbox.waits.borrow_mut().push((id, Wait::Input(tell)));
    Ok(told)
}

/// Somebody waits for an answer of this number: `answer` is told what it waits for, and gives back what it still does.
fn answer(sandbox: &Sandbox, id: u32, answer: impl FnOnce(Wait) -> Option<Wait>) {
    let mut waits = sandbox.waits.borrow_mut();
    if let Some(at) = waits.iter().position(|(other, _)| *other == id) {
        let (_, wait) = waits.swap_remove(at);
        waits.extend(answer(wait).map(|wait| (id, wait)));
    }
}

/// What a pod-init reports, with what came beside it. `Err`: it is of no use any more, and why.
pub(super) fn hear(
    agent: &Agent,
    sandbox: &Rc<Sandbox>,
    (report, mut beside): (Report, Descriptors),
) -> Result<(), Trouble> {
    let uid = sandbox.uid;
    match report {
        Report::Hello(_) => {}
        Report::SetupDone => sandbox.ready.set(true),
        Report::SetupFailed(failure) => return Err(format!("{failure}").into()),
        Report::Started { container, instance } => agent.tell(uid, Event::Started { container, instance }),
        Report::StartFailed { container, instance, failure } => {
            let reason =
                if failure.step == Step::Exec { Reason::RunContainerError } else { Reason::CreateContainerError };
            let pod = agent.manifest_of(uid).unwrap_or_default();
            match (reason, pod.containers.get(container.into())) {
                (Reason::RunContainerError, _) => {
                    words::keep(agent.paths(), uid, &pod, container, instance, Exit::UNKNOWN)
                }
                (_, Some(container)) => words::forget(agent.paths(), uid, &container, instance),
                (_, None) => {}
            }
            let message = message(&format!("{failure}"));
            settle(agent, uid, container, instance, move |_| Event::StartFailed {
                container,
                instance,
                reason,
                message,
            });
        }
        Report::Exited { container, instance, exit } => {
            fail::point("exited");
            words::keep(agent.paths(), uid, &agent.manifest_of(uid).unwrap_or_default(), container, instance, exit);
            settle(agent, uid, container, instance, move |oom| {
                let oom = oom && !exit.success();
                Event::Exited { container, instance, exit: Exit { oom, ..exit } }
            });
        }
        Report::ExecEnded { id, result } => answer(sandbox, id, |wait| {
            match (wait, result) {
                (Wait::Program { ended, .. }, result) => ended.give(result),
                (Wait::Input(told), Err(failure)) => told.give(Err(failure)),
                (Wait::Input(_), Ok(_)) => {}
            }
            None
        }),
        Report::Opened { id } => answer(sandbox, id, |wait| match (wait, beside.pop()) {
            (Wait::Program { ended, terminal: Some(open) }, Some(terminal)) => {
                open.give(terminal);
                Some(Wait::Program { ended, terminal: None })
            }
            (Wait::Input(told), Some(input)) => {
                told.give(Ok(input));
                None
            }
            (wait, _) => Some(wait),
        }),
    }
    Ok(())
}

/// An instance is over: reads whether memory was the reason, removes its group with everything that may be left in it, and only
/// then tells the machine, so that no two instances ever run.
fn settle(agent: &Agent, uid: Uid, container: u8, instance: u32, event: impl FnOnce(bool) -> Event + 'static) {
    let group = |entry: &mut Entry| Some(instance_group(uid, entry.container(container.into())?.name, instance));
    let Some(path) = agent.with_entry(uid, group).flatten() else { return };
    let group = agent.cgroups().group(&path);
    let oom = group.oom_kills() > 0;
    if oom {
        agent.facts_mut().oom_kills += 1;
    }
    let event = event(oom);
    match group.remove() {
        Ok(()) => agent.tell(uid, event),
        Err(_) => {
            let agent = agent.clone();
            agent.clone().spawn(async move {
                if let Err(why) = sandbox::empty_group(&agent, &path).await {
                    log::warn!("{path}: {why}");
                }
                agent.tell(uid, event);
            });
        }
    }
}
