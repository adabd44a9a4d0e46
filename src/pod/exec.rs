//! Programs executed inside a running container: the `exec` verb and the hooks.

use super::child;
use super::init::Facts;
use super::launch::{Launch, Progress};
use super::poll::Poller;
use super::slot::{Slot, cgroup};
use super::steps::{Broken, On};
use super::streams::Stdio;
use super::wire::{Exec, Failure, Report, Start, Step};
use crate::manifest::status::Exit;
use crate::sys::namespace;
use crate::sys::namespace::Namespaces;
use crate::sys::socket::Descriptors;
use crate::sys::spawn::{Cgroup, Child};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Uid, fchown};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, chdir, kill_process, kill_process_group};
use std::vec::Vec;

/// One such program.
#[derive(Debug)]
pub struct Execution {
    /// The caller's name for it.
    pub id: u32,
    /// The process, until it has been seen to execute and after.
    pub launch: Launch,
}

impl Execution {
    /// Starts a program in a container; also gives its terminal, where it gets one, to be handed on.
    pub fn new(
        facts: &Facts,
        exec: &Exec<'_>,
        slot: &Slot,
        descriptors: &mut Descriptors,
    ) -> Result<(Execution, Option<OwnedFd>), Failure> {
        let refused = |errno: Errno, subject: &str| Failure::new(Step::Order, errno.raw_os_error(), subject);
        let (Some(main), Some(start)) = (slot.main_process(), slot.start_order()) else {
            return Err(refused(Errno::SRCH, "(the container does not run)"));
        };
        let streams = if exec.terminal.is_some() { 0 } else { 3 };
        if descriptors.len() != streams + usize::from(exec.cgroups) {
            return Err(refused(Errno::BADF, "(the descriptors beside it)"));
        }
        let all: Vec<OwnedFd> = core::mem::take(descriptors).into_iter().collect();
        let (files, cgroups) = all.split_at(streams);
        let pty = exec.terminal.map(|size| slot.terminal(size)).transpose();
        let pty = pty.map_err(|errno| refused(errno, "(a terminal of the container)"))?;
        let stdio = match (&pty, files) {
            (Some(pty), _) => Stdio::Terminal(pty.slave.as_fd()),
            (None, [stdin, stdout, stderr]) => Stdio::Files([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]),
            (None, _) => return Err(refused(Errno::BADF, "(standard input)")),
        };
        let entering =
            Entering { start: &start, main, cgroup: cgroup(exec.cgroup_v2, cgroups), proc: facts.proc.as_fd() };
        let into = (!facts.share_processes).then_some(&main.pidfd);
        let launch = facts.born_into(into, || {
            Launch::new(&facts.single, Namespaces::default(), entering.cgroup, |teller| match entering.enter(stdio) {
                Ok(()) => child::execute(exec.argv, start.env, teller),
                Err(failure) => failure,
            })
        })?;
        Ok((Execution { id: exec.id, launch }, pty.map(|pty| pty.master)))
    }

    /// Its pipe is readable: once it has nothing more to tell it is no longer waited for.
    pub fn progress(&mut self, poller: &Poller) {
        if self.launch.progress() != Progress::Underway {
            poller.remove(&self.launch);
        }
    }

    /// Whether this is its number.
    pub fn is_process(&self, pid: Pid) -> bool {
        self.launch.child.pid == pid
    }

    /// Kills it, and what it has left in its session's first process group.
    pub fn kill(&self) {
        let _ = kill_process_group(self.launch.child.pid, Signal::KILL);
        let _ = kill_process(self.launch.child.pid, Signal::KILL);
    }

    /// It has ended: what is to be reported.
    pub fn ended(self, exit: Exit) -> Report {
        Report::ExecEnded { id: self.id, result: self.launch.ended(exit) }
    }
}

/// A new process on its way into a container.
struct Entering<'a> {
    start: &'a Start<'a>,
    main: &'a Child,
    cgroup: Cgroup<'a>,
    proc: BorrowedFd<'a>,
}

impl Entering<'_> {
    fn enter(&self, stdio: Stdio<'_>) -> Result<(), Failure> {
        let at = |step| move |broken: Broken| Failure::new(step, broken.errno, &broken.subject);
        self.cgroup.join().on("cgroup.procs").map_err(at(Step::Cgroup))?;
        namespace::enter_container(self.main.pidfd.as_fd()).on("mount").map_err(at(Step::Namespace))?;
        // The root is the container's now, so whatever links there are lead nowhere else.
        chdir(self.start.cwd).on(self.start.cwd).map_err(at(Step::WorkingDirectory))?;
        if let Stdio::Terminal(slave) = stdio {
            fchown(slave, Some(Uid::from_raw(self.start.uid)), None).on("terminal").map_err(at(Step::Credentials))?;
        }
        child::confine(self.start, self.proc, stdio).map_err(at(Step::Credentials))
    }
}
