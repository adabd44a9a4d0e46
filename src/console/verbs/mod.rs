//! Carries a [`Command`] out on a [`Board`], in kubectl's words. Every verb can be dropped at any moment: that is Ctrl-C.

mod attach;
mod change;
mod debug;
mod describe;
mod exec;
mod get;
mod logs;
mod sheet;

use super::board::{Board, Seen};
use super::catalog;
use super::grammar::{Command, Scope, Target};
use super::outbox::Outbox;
use super::terminal::Terminal;
use super::wire::Kind;
use crate::agent::{Refusal, Shutdown};
use exec::Stdin;
use std::format;
use std::prelude::v1::*;
use std::rc::Rc;

pub use exec::Stdin as StdinQueue;

/// The exit code of a verb that was interrupted.
pub const INTERRUPTED: u8 = 130;

/// Where a verb's words go.
#[derive(Clone)]
pub struct Io {
    /// Output and errors.
    pub outbox: Rc<Outbox>,
    /// The columns of the terminal, where it is one that must not be overrun.
    pub width: Option<usize>,
    /// What may be passed on to a program in a container.
    pub stdin: Option<Rc<Stdin>>,
    /// The terminal that the caller types at, where it is one.
    pub terminal: Option<Rc<Terminal>>,
}

impl Io {
    /// Standard output.
    pub async fn out(&self, text: &str) {
        self.outbox.write(Kind::Out, text.as_bytes()).await;
    }

    /// Standard error.
    pub async fn err(&self, text: &str) {
        self.outbox.write(Kind::Err, text.as_bytes()).await;
    }
}

/// A verb that went wrong: what kubectl would say.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure(String);

type Done = Result<u8, Failure>;

/// Does it; gives the exit code.
pub async fn run(board: &dyn Board, command: Command, io: &Io) -> u8 {
    match carry_out(board, command, io).await {
        Ok(code) => code,
        Err(Failure(text)) => {
            io.err(&format!("{text}\n")).await;
            1
        }
    }
}

async fn carry_out(board: &dyn Board, command: Command, io: &Io) -> Done {
    match command {
        Command::GetPods(get) => get::pods(board, &get, io).await,
        Command::Events { scope, watch } => get::events(board, &scope, watch, io).await,
        Command::Top { scope, names } => get::top(board, &scope, &names, io).await,
        Command::Describe { scope, names } => describe::pods(board, &scope, &names, io).await,
        Command::Logs(logs) => logs::logs(board, &logs, io).await,
        Command::Exec(exec) => exec::exec(board, &exec, io).await,
        Command::Debug(debug) => debug::debug(board, &debug, io).await,
        Command::Attach(attach) => attach::attach(board, &attach, io).await,
        Command::Delete(delete) => change::delete(board, &delete, io).await,
        Command::Restart(target) => change::restart(board, &target, io).await,
        Command::SetCondition(set) => change::set_condition(board, &set, io).await,
        Command::Reboot => change::shutdown(board, Shutdown::Reboot, io).await,
        Command::PowerOff => change::shutdown(board, Shutdown::PowerOff, io).await,
        Command::Version => version(board, io).await,
        Command::Help(verb) => {
            let mut text = String::new();
            match verb {
                Some(verb) => verb.describe(&mut text),
                None => catalog::overview(&mut text),
            }
            io.out(&text).await;
            Ok(0)
        }
    }
}

async fn version(board: &dyn Board, io: &Io) -> Done {
    let facts = board.facts();
    let mut sheet = sheet::Sheet::default();
    sheet.line(0, "podling", env!("CARGO_PKG_VERSION"));
    sheet.line(0, "Node", &facts.name);
    if !facts.class.is_empty() {
        sheet.line(0, "Board", &facts.class);
    }
    sheet.line(0, "Kernel", &format!("{} {}", facts.kernel, facts.machine));
    let sequence = facts.sequence.map_or_else(|| String::from("none"), |n| format!("sequence {n}"));
    sheet.line(0, "Manifest", &sequence);
    sheet.line(0, "Cgroups", facts.cgroups);
    if !facts.pressures.is_empty() {
        sheet.lines(0, "Conditions", facts.pressures.iter().map(|pressure| pressure.as_str().into()));
    }
    io.out(&sheet.print()).await;
    for trouble in &facts.troubles {
        io.err(&format!("Warning: {trouble}\n")).await;
    }
    Ok(0)
}

fn in_scope(scope: &Scope, namespace: &str) -> bool {
    match scope {
        Scope::All => true,
        Scope::Namespace(wanted) => wanted == namespace,
    }
}

fn not_found(pod: &str) -> Failure {
    Failure(format!("Error from server (NotFound): pods \"{pod}\" not found"))
}

/// Calls `visit` with the chosen pods: all in scope, or those of these names, in the order of the board. The names that are
/// not there come back.
fn each(board: &dyn Board, scope: &Scope, names: &[String], visit: &mut dyn FnMut(&Seen<'_>)) -> Vec<String> {
    let mut missing: Vec<String> = names.to_vec();
    board.pods(&mut |seen| {
        if in_scope(scope, seen.pod.namespace) && (names.is_empty() || names.iter().any(|name| name == seen.pod.name)) {
            missing.retain(|name| name != seen.pod.name);
            visit(seen);
        }
    });
    missing
}

/// Says which names are not there; the exit code then is 1.
async fn tell_missing(missing: &[String], io: &Io) -> u8 {
    for name in missing {
        io.err(&format!("{}\n", not_found(name).0)).await;
    }
    u8::from(!missing.is_empty())
}

/// The caller's terminal for a program that is to be typed into; says so where it has none.
async fn terminal_for(io: &Io) -> Option<Rc<Terminal>> {
    if io.terminal.is_none() {
        io.err("Unable to use a TTY - input is not a terminal or the right kind of file\n").await;
    }
    io.terminal.clone()
}

/// The container that is meant: the one that was named, else the first app container. Says so where there was a choice.
async fn container_of(board: &dyn Board, target: &Target, io: &Io) -> Result<String, Failure> {
    use crate::manifest::pod::ContainerKind::App;
    let mut found = None;
    let scope = Scope::Namespace(target.namespace.clone());
    each(board, &scope, std::slice::from_ref(&target.pod), &mut |seen| {
        let of = |app: bool| seen.containers().filter(move |c| (c.kind == App) == app);
        let apps = of(true).map(|c| String::from(c.name));
        let others = of(false).map(|c| format!("{} ({})", c.name, if c.kind.is_init() { "init" } else { "ephem" }));
        let known = |name: &String| seen.containers().any(|c| c.name == name);
        found = Some((apps.chain(others).collect::<Vec<_>>(), target.container.as_ref().is_none_or(known)));
    });
    let (all, known) = found.ok_or_else(|| not_found(&target.pod))?;
    match (&target.container, all.first()) {
        (Some(name), _) if known => Ok(name.clone()),
        (Some(name), _) => Err(Failure(format!("error: container {name} is not valid for pod {}", target.pod))),
        (None, None) => Err(Failure(format!("error: pod {} has no container", target.pod))),
        (None, Some(first)) => {
            if all.len() > 1 {
                io.err(&format!("Defaulted container \"{first}\" out of: {}\n", all.join(", "))).await;
            }
            Ok(first.clone())
        }
    }
}

/// What the agent would not do, as kubectl would say it.
fn refused(refusal: Refusal, target: &Target) -> Failure {
    let pod = &target.pod;
    Failure(match refusal {
        Refusal::NoSuchPod => return not_found(pod),
        Refusal::NoSuchContainer(name) => format!("error: container {name} is not valid for pod {pod}"),
        Refusal::NoPrevious(name) => {
            format!(
                "Error from server (BadRequest): previous terminated container \"{name}\" in pod \"{pod}\" not found"
            )
        }
        Refusal::NotRunning(name) => {
            format!("Error from server (BadRequest): container \"{name}\" in pod \"{pod}\" is not running")
        }
        other => format!("error: {other}"),
    })
}
