//! One run of a probe: what the machine asks for, within its timeout.

use super::connect::Place;
use super::drive::{Agent, Entry};
use super::effect::{self, Streams};
use super::trouble::Trouble;
use super::verbs::Exec;
use super::{grpc, http};
use crate::machine::effect::Event;
use crate::machine::probe::Outcome;
use crate::manifest::List;
use crate::manifest::probe::{Action, Probe, ProbeKind};
use crate::manifest::status::{Exit, message};
use crate::sys::spawn;
use rustix::pipe::{PipeFlags, pipe_with};
use smol::Async;
use std::format;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::prelude::v1::*;
use std::time::Duration;

/// Bytes that are kept of what a program says: more than an event has room for.
const OUTPUT: usize = 1024;

/// Runs a probe of a container once, and tells how it ended.
pub(super) fn run(agent: &Agent, entry: &Entry, container: u8, instance: u32, kind: ProbeKind) {
    let uid = entry.uid();
    let told = agent.clone();
    let end = move |outcome| told.tell(uid, Event::ProbeEnded { container, instance, kind, outcome });
    let pod = *entry.manifest();
    let probe = pod.containers.get(container.into()).and_then(|it| it.probes.iter().find(|probe| probe.kind == kind));
    let Some(Probe { timing, action, .. }) = probe else {
        return end(Outcome::Unknown(message("there is no such probe")));
    };
    let seconds = timing.timeout_seconds;
    let within = move |late: String, done: core::pin::Pin<Box<dyn Future<Output = Outcome>>>| {
        let late = async move {
            smol::Timer::after(Duration::from_secs(seconds.into())).await;
            Outcome::Failure(message(&late))
        };
        async move { end(smol::future::or(done, late).await) }
    };
    match action {
        Action::Exec(argv) => {
            let late = format!("command timed out: \"{}\" timed out after {seconds}s", line(argv));
            match begin(agent, entry, container, argv) {
                Ok((exec, output)) => agent.spawn(within(late, Box::pin(execute(exec, output)))),
                Err(why) => agent.spawn(within(late, Box::pin(async move { Outcome::Unknown(why.message()) }))),
            }
        }
        Action::HttpGet(get) => {
            let place = Place::of(entry, get.host, get.port);
            let late = format!(
                "Get \"http://{}{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                place.address, get.path
            );
            agent.spawn(within(late, Box::pin(async move { judge(http::get(&place, &get).await) })));
        }
        Action::TcpSocket { host, port } => {
            let place = Place::of(entry, host, port);
            let late = format!("dial tcp {}: i/o timeout", place.address);
            agent.spawn(within(late, Box::pin(async move { verdict(place.connect().await.map(drop)) })));
        }
        Action::Grpc { port, service } => {
            let place = Place::of(entry, "", port);
            let late = format!("timeout: health rpc did not complete within {seconds}s");
            agent.spawn(within(late, Box::pin(async move { verdict(grpc::check(&place, service).await) })));
        }
    }
}

fn verdict(result: Result<(), String>) -> Outcome {
    match result {
        Ok(()) => Outcome::Success,
        Err(why) => Outcome::Failure(message(&why)),
    }
}

/// A status of 200 to 399 is success; so is a redirect that leads elsewhere and is not followed, which is told.
fn judge(answer: Result<http::Answer, String>) -> Outcome {
    match answer.map(|answer| answer.status) {
        Ok(300..400) => Outcome::Warning(message("Probe terminated redirects")),
        Ok(200..300) => Outcome::Success,
        Ok(status) => Outcome::Failure(message(&format!("HTTP probe failed with statuscode: {status}"))),
        Err(why) => Outcome::Failure(message(&why)),
    }
}

/// A command in one line.
fn line(argv: List<'_, &str>) -> String {
    argv.iter().collect::<Vec<_>>().join(" ")
}

/// Starts the program of a probe; its output comes through the pipe.
fn begin(agent: &Agent, entry: &Entry, container: u8, argv: List<'_, &str>) -> Result<(Exec, Async<OwnedFd>), Trouble> {
    let errno = |errno: rustix::io::Errno| format!("make a pipe: {errno}");
    let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).map_err(errno)?;
    let both = rustix::io::fcntl_dupfd_cloexec(&writing, 3).map_err(errno)?;
    let reading = Async::new(reading).map_err(|error| format!("watch a pipe: {error}"))?;
    let begun = effect::exec(agent, entry, container, argv, Streams::Files([spawn::null()?, writing, both]))?;
    Ok((Exec::new(agent, entry.uid(), begun), reading))
}

/// Waits for a program's end. Given up, it is killed.
async fn execute(exec: Exec, output: Async<OwnedFd>) -> Outcome {
    let mut said = Vec::new();
    let ended = {
        let over = async { Some(exec.ended().await) };
        let listening = async {
            listen(&output, &mut said).await;
            core::future::pending().await
        };
        smol::future::or(over, listening).await
    };
    match ended {
        Some(Ok(Exit { code: 0, signal: 0, .. })) => Outcome::Success,
        Some(Err(why)) => Outcome::Unknown(why),
        Some(Ok(exit)) => {
            // What it has written before its end is in the pipe.
            take(output.get_ref(), &mut said);
            let text = String::from_utf8_lossy(&said);
            Outcome::Failure(match text.trim_end() {
                "" => message(&format!("exit code {}", exit.code)),
                text => message(text),
            })
        }
        None => Outcome::Unknown(message("the container has ended")),
    }
}

/// Takes what a program says for as long as it does, so that it never waits for a reader.
async fn listen(output: &Async<OwnedFd>, said: &mut Vec<u8>) {
    while output.readable().await.is_ok() {
        if !take(output.get_ref(), said) {
            return;
        }
    }
}

/// Takes what is there; whether there may be more later.
fn take(output: &OwnedFd, said: &mut Vec<u8>) -> bool {
    let mut part = [0; 512];
    loop {
        match rustix::io::read(output, &mut part) {
            Ok(0) => return false,
            Ok(read) => {
                let room = OUTPUT.saturating_sub(said.len());
                said.extend_from_slice(&part[..read.min(room)]);
            }
            Err(errno) => return errno == rustix::io::Errno::AGAIN,
        }
    }
}
