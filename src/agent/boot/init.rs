//! The loop of process 1: reaps whatever ends, keeps one agent, hears three signals.

use super::keeper::{Act, Event, Keeper, Power};
use crate::agent::{EXIT_POWER_OFF, EXIT_REBOOT};
use crate::sys::clock::now;
use crate::sys::namespace::Namespaces;
use crate::sys::reap::ChildWatch;
use crate::sys::spawn::{Cgroup, Child, Program, signal, spawn_exec};
use crate::sys::{Error, raw};
use core::ffi::CStr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::Signal;
use std::ffi::CString;
use std::string::String;
use std::vec::Vec;

/// Ended processes to collect in one go, so that a flood of them does not keep the loop from the rest (failure F16).
const REAPED_AT_ONCE: usize = 256;

/// What an agent finds in its environment.
const ENVIRONMENT: [&CStr; 1] = [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];

/// Keeps an agent until the board is to go down. With the watch over what is left then.
pub(super) fn keep(troubles: &[String]) -> (Power, Option<ChildWatch>) {
    let run = |mut init: Init| init.run().map(|power| (power, Some(init.children)));
    Init::new(troubles).and_then(run).unwrap_or_else(|error| {
        // Nothing that is left could mend it; a board that starts again may.
        log::error!("{error}; rebooting in 10 s");
        std::thread::sleep(core::time::Duration::from_secs(10));
        (Power::Reboot, None)
    })
}

struct Init {
    children: ChildWatch,
    requests: [(OwnedFd, Power); 3],
    argv: Vec<CString>,
    keeper: Keeper,
    agent: Option<Child>,
}

impl Init {
    fn new(troubles: &[String]) -> Result<Init, Error> {
        let children = ChildWatch::new().map_err(|errno| Error::new("watch for", "ended children", errno))?;
        let hear = |number, power| {
            let fd = raw::signal_fd(number).map_err(|errno| Error::new("listen for", "signals", errno))?;
            Ok((fd, power))
        };
        // SIGINT is the kernel's word for Ctrl-Alt-Del; the others are as in busybox's init.
        let requests =
            [hear(libc::SIGINT, Power::Reboot)?, hear(libc::SIGTERM, Power::Reboot)?, hear(libc::SIGUSR2, Power::Off)?];
        let words = ["podlingd", "agent"].into_iter().chain(troubles.iter().map(String::as_str));
        let argv = words.filter_map(|word| CString::new(word).ok()).collect();
        Ok(Init { children, requests, argv, keeper: Keeper::new(now()), agent: None })
    }

    fn run(&mut self) -> Result<Power, Error> {
        let mut events = Vec::from([Event::Wake]);
        loop {
            for event in events.drain(..) {
                if let Some(power) = self.step(event) {
                    return Ok(power);
                }
            }
            self.wait()?;
            self.collect(&mut events);
            events.push(Event::Wake);
        }
    }

    /// Has the keeper decide, and does what it says, until there is nothing left to do.
    fn step(&mut self, event: Event) -> Option<Power> {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            match self.keeper.step(now(), event) {
                Act::None => {}
                Act::Start => match self.start() {
                    Ok(child) => self.agent = Some(child),
                    Err(error) => {
                        log::error!("{error}");
                        next = Some(Event::NotStarted);
                    }
                },
                Act::End => {
                    log::info!("asked to go down: the pods end first");
                    if let Some(agent) = &self.agent {
                        let _ = signal(&agent.pidfd, Signal::TERM);
                    }
                }
                Act::Down(power) => return Some(power),
            }
        }
        None
    }

    fn start(&self) -> Result<Child, Error> {
        // By descriptor: the file is the one that runs here, whatever is at its path now.
        let file = openat(CWD, c"/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let file = file.map_err(|errno| Error::new("open", "/proc/self/exe", errno))?;
        let argv: Vec<&CStr> = self.argv.iter().map(CString::as_c_str).collect();
        spawn_exec(&Program {
            file: file.as_fd(),
            argv: &argv,
            env: &ENVIRONMENT,
            descriptors: &[rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()],
            namespaces: Namespaces::default(),
            cgroup: Cgroup::Inherit,
            users: None,
        })
    }

    /// Sleeps until something happens.
    fn wait(&self) -> Result<(), Error> {
        let timeout = self.keeper.poll_at().map(|at| {
            let left = at.since(now());
            Timespec { tv_sec: left.as_secs() as _, tv_nsec: (left.0 % 1000 * 1_000_000) as _ }
        });
        let [a, b, c] = &self.requests;
        let mut fds = [self.children.as_fd(), a.0.as_fd(), b.0.as_fd(), c.0.as_fd()]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(Error::new("wait for", "anything to happen", errno)),
        }
    }

    fn collect(&mut self, events: &mut Vec<Event>) {
        let agent = self.agent.as_ref().map(|agent| agent.pid);
        let mut ended = None;
        while self.children.reap(REAPED_AT_ONCE, |pid, exit| {
            if Some(pid) == agent {
                ended = Some(exit.code);
            }
        }) {}
        if let Some(code) = ended {
            self.agent = None;
            match code {
                EXIT_REBOOT | EXIT_POWER_OFF => log::info!("the agent has ended all pods and itself"),
                _ => log::warn!("the agent has ended with code {code}"),
            }
            events.push(Event::Ended(code));
        }
        for (fd, power) in &self.requests {
            if rustix::io::read(fd, &mut [0; 128]).is_ok() {
                events.push(Event::Asked(*power));
            }
        }
    }
}
