//! A line, or the words of a command line, to a [`Command`]: the words, flags and errors of kubectl.
//!
//! Pure, bounded by [`limits::LINE`], and without a panic on any bytes.

mod given;

use super::catalog::{EVENTS, FlagId, OUTPUTS, VERBS, Verb, VerbId, nearest};
use crate::manifest::limits;
use crate::manifest::time::Duration;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use given::Given;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `get pods`.
    GetPods(GetPods),
    /// `get events`, `events`.
    Events {
        /// Of which pods.
        scope: Scope,
        /// `-w`.
        watch: bool,
    },
    /// `describe pod`.
    Describe {
        /// Where.
        scope: Scope,
        /// Which; all where there is none.
        names: Vec<String>,
    },
    /// `logs`.
    Logs(Logs),
    /// `exec`.
    Exec(Exec),
    /// `attach`.
    Attach(Attach),
    /// `debug`.
    Debug(Debug),
    /// `delete pod`.
    Delete(Delete),
    /// `restart`.
    Restart(Target),
    /// `set condition`.
    SetCondition(SetCondition),
    /// `top pods`.
    Top {
        /// Where.
        scope: Scope,
        /// Which; all where there is none.
        names: Vec<String>,
    },
    /// `version`.
    Version,
    /// `help`, `VERB --help`.
    Help(Option<&'static Verb>),
    /// `reboot`.
    Reboot,
    /// `poweroff`.
    PowerOff,
}

impl PartialEq for Verb {
    fn eq(&self, other: &Verb) -> bool {
        self.id == other.id
    }
}

/// The pods that a verb looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of one namespace.
    Namespace(String),
    /// `-A`.
    All,
}

/// A pod, and perhaps one of its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `-n`, else `default`.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// `-c`.
    pub container: Option<String>,
}

/// `get pods`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetPods {
    /// Where.
    pub scope: Scope,
    /// Which; all where there is none.
    pub names: Vec<String>,
    /// `-o`.
    pub output: Output,
    /// `-w`.
    pub watch: bool,
}

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Columns.
    Table,
    /// More columns.
    Wide,
    /// The object as YAML.
    Yaml,
    /// The object as JSON.
    Json,
    /// `pod/NAME`.
    Name,
}

/// `logs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// Whose.
    pub target: Target,
    /// `-f`.
    pub follow: bool,
    /// `-p`.
    pub previous: bool,
    /// `--tail`: so many lines from the end.
    pub tail: Option<u64>,
    /// `--timestamps`.
    pub timestamps: bool,
}

/// `exec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// Where.
    pub target: Target,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// `-i`.
    pub stdin: bool,
    /// `-t`.
    pub tty: bool,
}

/// `attach`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// To what.
    pub target: Target,
    /// `-i`.
    pub stdin: bool,
    /// `-t`.
    pub tty: bool,
}

/// `debug` (spec 37).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debug {
    /// The pod; as its container, `-c`: the name of the new one.
    pub target: Target,
    /// `--image`.
    pub image: String,
    /// `--target`: the container whose processes it sees.
    pub of: Option<String>,
    /// Its program and arguments; the image's where there are none.
    pub argv: Vec<String>,
    /// `-i`.
    pub stdin: bool,
    /// `-t`.
    pub tty: bool,
}

/// `delete pod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// `-n`, else `default`.
    pub namespace: String,
    /// Which.
    pub names: Vec<String>,
    /// `--grace-period` (spec 78).
    pub grace: Option<Duration>,
    /// `--force` (spec 79).
    pub force: bool,
    /// Wait until it is gone.
    pub wait: bool,
}

/// `set condition` (spec 46).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCondition {
    /// The pod.
    pub target: Target,
    /// The type of the condition.
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
    /// `--reason`.
    pub reason: String,
    /// `--message`.
    pub message: String,
}

/// What is wrong with a line, in kubectl's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.0)
    }
}

impl core::error::Error for Error {}

fn error<T>(text: impl Into<String>) -> Result<T, Error> {
    Err(Error(text.into()))
}

/// The command of a line; `None` where it is empty.
pub fn line(line: &[u8]) -> Result<Option<Command>, Error> {
    if line.len() > limits::LINE {
        return error(format!("the line is longer than {} bytes", limits::LINE));
    }
    let Ok(text) = core::str::from_utf8(line) else {
        return error("the line is not UTF-8 text");
    };
    let words = split(text)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.is_empty() { Ok(None) } else { parse(&words).map(Some) }
}

/// The words of a line, as a shell would take them: blanks part words; quotes and backslashes keep them together.
fn split(text: &str) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => match (quote, chars.next()) {
                (_, None) => return error("nothing follows the last backslash"),
                (Some(_), Some(next)) if next != '"' && next != '\\' => {
                    word.get_or_insert_default().extend(['\\', next])
                }
                (_, Some(next)) => word.get_or_insert_default().push(next),
            },
            (None, c) if c.is_ascii_whitespace() || c.is_ascii_control() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    match quote {
        Some(open) => error(format!("a quote {open} is not closed")),
        None => {
            words.extend(word);
            Ok(words)
        }
    }
}

/// The command of some words, which may also come from `argv`.
pub fn parse(words: &[&str]) -> Result<Command, Error> {
    let (name, rest) = match words {
        [] | ["--help" | "-h", ..] => return Ok(Command::Help(None)),
        [name, rest @ ..] => (*name, rest),
    };
    let Some(verb) = Verb::find(name) else {
        return match nearest(name, VERBS.iter().map(|verb| verb.name)) {
            Some(close) => error(format!("unknown command \"{name}\"; did you mean \"{close}\"?")),
            None => error(format!("unknown command \"{name}\"; \"help\" lists what there is")),
        };
    };
    let given = Given::read(verb, rest)?;
    if given.is_on(FlagId::Help)? {
        return Ok(Command::Help(Some(verb)));
    }
    match verb.id {
        VerbId::Get => get(&given),
        VerbId::Events => {
            given.no_operands(0)?;
            Ok(Command::Events { scope: given.scope()?, watch: given.is_on(FlagId::Watch)? })
        }
        VerbId::Describe => {
            let (scope, names) = (given.scope()?, given.pods()?);
            Ok(Command::Describe { scope, names })
        }
        VerbId::Logs => logs(&given),
        VerbId::Exec => exec(&given),
        VerbId::Attach => attach(&given),
        VerbId::Debug => debug(&given),
        VerbId::Delete => delete(&given),
        VerbId::Restart => restart(&given),
        VerbId::Set => set(&given),
        VerbId::Top => top(&given),
        VerbId::Version => given.no_operands(0).map(|()| Command::Version),
        VerbId::Reboot => given.no_operands(0).map(|()| Command::Reboot),
        VerbId::PowerOff => given.no_operands(0).map(|()| Command::PowerOff),
        VerbId::Help => help(&given),
    }
}

fn get(given: &Given<'_>) -> Result<Command, Error> {
    let Some(resource) = given.operands.first() else {
        return error("You must specify the type of resource to get: pods or events.");
    };
    if EVENTS.contains(resource) {
        given.no_operands(1)?;
        if given.value(FlagId::Output).is_some() {
            return error("events have only one form: leave out -o");
        }
        return Ok(Command::Events { scope: given.scope()?, watch: given.is_on(FlagId::Watch)? });
    }
    let output = match given.value(FlagId::Output) {
        None => Output::Table,
        Some("wide") => Output::Wide,
        Some("yaml") => Output::Yaml,
        Some("json") => Output::Json,
        Some("name") => Output::Name,
        Some(other) => {
            let allowed = OUTPUTS.join(",");
            return error(format!(
                "unable to match a printer suitable for the output format \"{other}\", allowed formats are: {allowed}"
            ));
        }
    };
    let (scope, names, watch) = (given.scope()?, given.pods()?, given.is_on(FlagId::Watch)?);
    if watch && matches!(output, Output::Yaml | Output::Json) {
        return error("-w goes with columns and names: leave out -o yaml or json");
    }
    if scope == Scope::All && !names.is_empty() {
        return error("a resource cannot be retrieved by name across all namespaces");
    }
    Ok(Command::GetPods(GetPods { scope, names, output, watch }))
}

fn logs(given: &Given<'_>) -> Result<Command, Error> {
    let mut target = given.target("logs [-f] [-p] POD [-c CONTAINER]")?;
    match (given.operands.get(1), &target.container) {
        (Some(_), Some(_)) => {
            return error("only one of -c or an inline [CONTAINER] arg is allowed");
        }
        (Some(container), None) => target.container = Some((*container).to_owned()),
        (None, _) => {}
    }
    given.no_operands(2)?;
    let tail = match given.integer(FlagId::Tail)? {
        Some(n) if n < -1 => return error("TailLines must be greater than or equal to -1"),
        Some(n) => u64::try_from(n).ok(),
        None => None,
    };
    let (follow, previous) = (given.is_on(FlagId::Follow)?, given.is_on(FlagId::Previous)?);
    if follow && previous {
        return error("only one of follow (-f) or previous (-p) is allowed");
    }
    let timestamps = given.is_on(FlagId::Timestamps)?;
    Ok(Command::Logs(Logs { target, follow, previous, tail, timestamps }))
}

fn exec(given: &Given<'_>) -> Result<Command, Error> {
    let target = given.target("exec POD [-c CONTAINER] -- COMMAND [ARGUMENT...]")?;
    if given.operands.len() > 1 {
        return error("exec [POD] [COMMAND] is not supported. Use exec [POD] -- [COMMAND] instead");
    }
    match given.tail {
        None | Some([]) => error("you must specify at least one command for the container"),
        Some(words) if words.len() > limits::ARGS => {
            error(format!("more than {} words for the container", limits::ARGS))
        }
        Some(words) => {
            let argv = words.iter().map(|word| (*word).to_owned()).collect();
            Ok(Command::Exec(Exec { target, argv, stdin: given.is_on(FlagId::Stdin)?, tty: given.is_on(FlagId::Tty)? }))
        }
    }
}

fn attach(given: &Given<'_>) -> Result<Command, Error> {
    let target = given.target("attach POD [-c CONTAINER] [-i] [-t]")?;
    given.no_operands(1)?;
    Ok(Command::Attach(Attach { target, stdin: given.is_on(FlagId::Stdin)?, tty: given.is_on(FlagId::Tty)? }))
}

fn debug(given: &Given<'_>) -> Result<Command, Error> {
    let mut target = given.target("debug POD --image=IMAGE [-it] [-- COMMAND...]")?;
    given.no_operands(1)?;
    target.container = given.value(FlagId::Name).map(ToOwned::to_owned);
    let Some(image) = given.value(FlagId::Image).filter(|image| !image.is_empty()) else {
        return error("you must specify --image");
    };
    let (stdin, tty) = (given.is_on(FlagId::Stdin)?, given.is_on(FlagId::Tty)?);
    if tty && !stdin {
        return error("-i/--stdin is required for containers with -t/--tty=true");
    }
    let argv: Vec<String> = given.tail.unwrap_or_default().iter().map(|word| (*word).to_owned()).collect();
    if argv.len() > limits::ARGS {
        return error(format!("more than {} words for the container", limits::ARGS));
    }
    let of = given.value(FlagId::Target).map(ToOwned::to_owned);
    Ok(Command::Debug(Debug { target, image: image.to_owned(), of, argv, stdin, tty }))
}

fn delete(given: &Given<'_>) -> Result<Command, Error> {
    let names = given.pods()?;
    if names.is_empty() {
        return error("resource(s) were provided, but no name was specified");
    }
    let (force, now) = (given.is_on(FlagId::Force)?, given.is_on(FlagId::Now)?);
    let seconds = match (given.integer(FlagId::GracePeriod)?, now) {
        (Some(_), true) => return error("--now and --grace-period cannot be specified together"),
        (None, true) => Some(1),
        // kubectl: a negative period is ignored, and --force by itself means 0.
        (given, false) => given.and_then(|n| u64::try_from(n).ok()).or(force.then_some(0)),
    };
    match seconds {
        Some(1..) if force => error("--force and --grace-period greater than 0 cannot be specified together"),
        Some(0) if !force => error("--grace-period=0 ends a pod at once and must be specified together with --force"),
        Some(n) if n > u64::from(limits::GRACE_SECONDS) => {
            error(format!("--grace-period must not be greater than {} seconds", limits::GRACE_SECONDS))
        }
        _ => Ok(Command::Delete(Delete {
            namespace: given.namespace(),
            names,
            grace: seconds.map(Duration::from_secs),
            force,
            wait: given.value(FlagId::Wait).is_none() && !force || given.is_on(FlagId::Wait)?,
        })),
    }
}

fn restart(given: &Given<'_>) -> Result<Command, Error> {
    let target = given.target("restart POD [-c CONTAINER]")?;
    given.no_operands(1)?;
    Ok(Command::Restart(target))
}

fn set(given: &Given<'_>) -> Result<Command, Error> {
    const USAGE: &str = "set condition POD TYPE=True|False";
    if given.operands.first() != Some(&"condition") {
        return error(format!("expected '{USAGE}'"));
    }
    given.no_operands(3)?;
    let target = given.target_at(1, USAGE)?;
    let Some((name, status)) = given.operands.get(2).and_then(|word| word.split_once('=')) else {
        return error(format!("expected '{USAGE}'"));
    };
    let holds = match status {
        "True" | "true" => true,
        "False" | "false" => false,
        other => return error(format!("the status of a condition is True or False, not \"{other}\"")),
    };
    let (reason, message) =
        (given.value(FlagId::Reason).unwrap_or_default(), given.value(FlagId::Message).unwrap_or_default());
    if !reason.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_,:".contains(&byte)) {
        return error("--reason is one word of letters and digits, as in ProbeFailed");
    }
    if message.contains(char::is_control) || message.len() > limits::MESSAGE {
        return error(format!("--message is one line of at most {} bytes", limits::MESSAGE));
    }
    let (name, reason, message) = (name.to_owned(), reason.to_owned(), message.to_owned());
    Ok(Command::SetCondition(SetCondition { target, name, holds, reason, message }))
}

fn top(given: &Given<'_>) -> Result<Command, Error> {
    let names = if given.operands.is_empty() { Vec::new() } else { given.pods()? };
    Ok(Command::Top { scope: given.scope()?, names })
}

fn help(given: &Given<'_>) -> Result<Command, Error> {
    given.no_operands(1)?;
    match given.operands.first() {
        None => Ok(Command::Help(None)),
        Some(name) => match Verb::find(name) {
            Some(verb) => Ok(Command::Help(Some(verb))),
            None => error(format!("unknown command \"{name}\"; \"help\" lists what there is")),
        },
    }
}
