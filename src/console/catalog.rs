//! The verbs and their flags as data: what the parser accepts, `help` prints and Tab completes.

use alloc::string::String;
use core::fmt::Write;

/// What the console can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the verb of its name")]
pub enum VerbId {
    Get,
    Describe,
    Logs,
    Events,
    Exec,
    Attach,
    Debug,
    Delete,
    Restart,
    Set,
    Top,
    Version,
    Help,
    Reboot,
    PowerOff,
}

/// A flag of some verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the flag of its name")]
pub enum FlagId {
    Namespace,
    AllNamespaces,
    Output,
    Watch,
    Container,
    Follow,
    Previous,
    Tail,
    Timestamps,
    GracePeriod,
    Force,
    Wait,
    Now,
    Stdin,
    Tty,
    Image,
    Target,
    Name,
    Reason,
    Message,
    Help,
}

/// What stands in a place of the line: what Tab offers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `pods` or `events`.
    Resource,
    /// `pods` only.
    Pods,
    /// A pod's name, any number of them.
    PodNames,
    /// One pod's name.
    PodName,
    /// A container of the pod named before.
    Container,
    /// `condition`.
    Condition,
    /// A verb.
    Verb,
    /// A namespace.
    Namespace,
    /// An output format.
    Output,
    /// `true` or `false`.
    Switch,
    /// Something that cannot be guessed.
    Free,
}

/// One verb.
#[derive(Debug)]
pub struct Verb {
    /// Which.
    pub id: VerbId,
    /// Its word.
    pub name: &'static str,
    /// What follows it.
    pub usage: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// Its operands in order; the last may repeat where it is [`Slot::PodNames`].
    pub operands: &'static [Slot],
    /// Its flags.
    pub flags: &'static [FlagId],
}

/// One flag.
#[derive(Debug)]
pub struct Flag {
    /// Which.
    pub id: FlagId,
    /// `--long`.
    pub long: &'static str,
    /// `-s`.
    pub short: Option<char>,
    /// What its value is; `None` where it may go without one.
    pub value: Option<Slot>,
    /// What it does.
    pub help: &'static str,
}

use FlagId as F;

/// All verbs, in the order of `help`.
pub const VERBS: &[Verb] = &[
    Verb {
        id: VerbId::Get,
        name: "get",
        usage: "(pods|events) [NAME...] [-n NS | -A] [-o wide|yaml|json|name] [-w]",
        help: "List pods or events",
        operands: &[Slot::Resource, Slot::PodNames],
        flags: &[F::Namespace, F::AllNamespaces, F::Output, F::Watch],
    },
    Verb {
        id: VerbId::Describe,
        name: "describe",
        usage: "pod [NAME...] [-n NS]",
        help: "Show all that is known of a pod",
        operands: &[Slot::Pods, Slot::PodNames],
        flags: &[F::Namespace, F::AllNamespaces],
    },
    Verb {
        id: VerbId::Logs,
        name: "logs",
        usage: "POD [-c CONTAINER] [-f] [-p] [--tail N] [--timestamps]",
        help: "Print the output of a container",
        operands: &[Slot::PodName, Slot::Container],
        flags: &[F::Namespace, F::Container, F::Follow, F::Previous, F::Tail, F::Timestamps],
    },
    Verb {
        id: VerbId::Events,
        name: "events",
        usage: "[-n NS | -A] [-w]",
        help: "List what has happened",
        operands: &[],
        flags: &[F::Namespace, F::AllNamespaces, F::Watch],
    },
    Verb {
        id: VerbId::Exec,
        name: "exec",
        usage: "POD [-c CONTAINER] [-i] [-t] -- COMMAND [ARGUMENT...]",
        help: "Run a program in a container",
        operands: &[Slot::PodName],
        flags: &[F::Namespace, F::Container, F::Stdin, F::Tty],
    },
    Verb {
        id: VerbId::Attach,
        name: "attach",
        usage: "POD [-c CONTAINER] [-i] [-t]",
        help: "Follow a container, and type into it; Ctrl-P Ctrl-Q leaves it",
        operands: &[Slot::PodName],
        flags: &[F::Namespace, F::Container, F::Stdin, F::Tty],
    },
    Verb {
        id: VerbId::Debug,
        name: "debug",
        usage: "POD --image=IMAGE [-c NAME] [--target=CONTAINER] [-it] [-- COMMAND...]",
        help: "Put a container of one of the board's images into a running pod",
        operands: &[Slot::PodName],
        flags: &[F::Namespace, F::Image, F::Name, F::Target, F::Stdin, F::Tty],
    },
    Verb {
        id: VerbId::Delete,
        name: "delete",
        usage: "pod NAME... [--grace-period=SECONDS] [--force] [--now] [--wait=false]",
        help: "End pods, until the next boot or manifest",
        operands: &[Slot::Pods, Slot::PodNames],
        flags: &[F::Namespace, F::GracePeriod, F::Force, F::Now, F::Wait],
    },
    Verb {
        id: VerbId::Restart,
        name: "restart",
        usage: "POD [-c CONTAINER]",
        help: "Replace a pod, or restart one of its containers",
        operands: &[Slot::PodName],
        flags: &[F::Namespace, F::Container],
    },
    Verb {
        id: VerbId::Set,
        name: "set",
        usage: "condition POD TYPE=True|False [--reason WORD] [--message TEXT]",
        help: "Set a condition that is one of a pod's readiness gates",
        operands: &[Slot::Condition, Slot::PodName, Slot::Free],
        flags: &[F::Namespace, F::Reason, F::Message],
    },
    Verb {
        id: VerbId::Top,
        name: "top",
        usage: "[pods] [NAME...] [-n NS | -A]",
        help: "Show what pods use of processor and memory",
        operands: &[Slot::Pods, Slot::PodNames],
        flags: &[F::Namespace, F::AllNamespaces],
    },
    Verb {
        id: VerbId::Version,
        name: "version",
        usage: "",
        help: "Show the versions of program, kernel and manifest",
        operands: &[],
        flags: &[],
    },
    Verb {
        id: VerbId::Help,
        name: "help",
        usage: "[VERB]",
        help: "Show the verbs, or how to use one",
        operands: &[Slot::Verb],
        flags: &[],
    },
    Verb {
        id: VerbId::Reboot,
        name: "reboot",
        usage: "",
        help: "End all pods and restart the board",
        operands: &[],
        flags: &[],
    },
    Verb {
        id: VerbId::PowerOff,
        name: "poweroff",
        usage: "",
        help: "End all pods and switch the board off",
        operands: &[],
        flags: &[],
    },
];

const fn flag(id: FlagId, long: &'static str, short: Option<char>, value: Option<Slot>, help: &'static str) -> Flag {
    Flag { id, long, short, value, help }
}

/// All flags.
pub const FLAGS: &[Flag] = &[
    flag(F::Namespace, "namespace", Some('n'), Some(Slot::Namespace), "the namespace, else \"default\""),
    flag(F::AllNamespaces, "all-namespaces", Some('A'), None, "all namespaces"),
    flag(F::Output, "output", Some('o'), Some(Slot::Output), "wide, yaml, json or name"),
    flag(F::Watch, "watch", Some('w'), None, "go on with every change, until Ctrl-C"),
    flag(F::Container, "container", Some('c'), Some(Slot::Container), "the container, else the first"),
    flag(F::Follow, "follow", Some('f'), None, "go on with new output, until Ctrl-C"),
    flag(F::Previous, "previous", Some('p'), None, "the instance before the newest"),
    flag(F::Tail, "tail", None, Some(Slot::Free), "only the last lines, so many; -1 is all"),
    flag(F::Timestamps, "timestamps", None, None, "when each line was written"),
    flag(F::GracePeriod, "grace-period", None, Some(Slot::Free), "seconds to end in; 0 needs --force"),
    flag(F::Force, "force", None, None, "take the pod off the list at once"),
    flag(F::Now, "now", None, None, "the same as --grace-period=1"),
    flag(F::Wait, "wait", None, None, "wait until it is gone (true)"),
    flag(F::Stdin, "stdin", Some('i'), None, "pass standard input on"),
    flag(F::Tty, "tty", Some('t'), None, "on a terminal; Ctrl-P Ctrl-Q leaves it"),
    flag(F::Image, "image", None, Some(Slot::Free), "the image, one of the board's"),
    flag(F::Target, "target", None, Some(Slot::Container), "the container whose processes it sees"),
    flag(F::Name, "container", Some('c'), Some(Slot::Free), "its name, else debugger-*"),
    flag(F::Reason, "reason", None, Some(Slot::Free), "why, in one word"),
    flag(F::Message, "message", None, Some(Slot::Free), "why, in a sentence"),
    flag(F::Help, "help", Some('h'), None, "how to use this verb"),
];

/// The resource words, each with what it stands for.
pub const PODS: &[&str] = &["pods", "pod", "po"];
/// The words for events.
pub const EVENTS: &[&str] = &["events", "event", "ev"];
/// The formats of `-o`.
pub const OUTPUTS: &[&str] = &["json", "name", "wide", "yaml"];

impl Verb {
    /// The verb of that word.
    pub fn find(name: &str) -> Option<&'static Verb> {
        VERBS.iter().find(|verb| verb.name == name)
    }

    /// Its flags, and `--help`, which all have.
    pub fn flags(&self) -> impl Iterator<Item = &'static Flag> {
        let has = |flag: &&Flag| flag.id == F::Help || self.flags.contains(&flag.id);
        FLAGS.iter().filter(has)
    }

    /// What `help VERB` prints.
    pub fn describe(&self, out: &mut String) {
        let space = if self.usage.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{}.\n\nUsage:\n  {}{space}{}", self.help, self.name, self.usage);
        if self.flags.is_empty() {
            return;
        }
        out.push_str("\nOptions:\n");
        for flag in self.flags().filter(|flag| flag.id != F::Help) {
            let _ = match flag.short {
                Some(short) => write!(out, "  -{short}, "),
                None => write!(out, "      "),
            };
            let _ = writeln!(out, "--{:<16} {}", flag.long, flag.help);
        }
    }
}

/// What `help` prints.
pub fn overview(out: &mut String) {
    for verb in VERBS {
        let _ = writeln!(out, "  {:<10} {}", verb.name, verb.help);
    }
    out.push_str("\n\"help VERB\" tells more. Tab completes, Ctrl-C interrupts, arrows recall lines.\n");
}

/// The word of `words` that `typed` was probably meant to be.
pub fn nearest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = |word: &&str| distance(typed, word);
    let best = words.into_iter().min_by_key(close)?;
    (distance(typed, best) <= 1 + best.len() / 4).then_some(best)
}

/// How many letters to add, drop or change to make one word of the other; words longer than any verb are far from all.
fn distance(typed: &str, word: &str) -> usize {
    const LONGEST: usize = 24;
    let (a, b) = (typed.as_bytes(), word.as_bytes());
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    let mut row: [usize; LONGEST + 1] = core::array::from_fn(|n| n);
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
