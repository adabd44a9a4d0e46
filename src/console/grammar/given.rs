//! The operands and flags that a line gives to its verb.

use super::{Error, Scope, Target, error};
use crate::console::catalog::{FLAGS, Flag, FlagId, PODS, Verb, nearest};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub(super) struct Given<'a> {
    pub(super) operands: Vec<&'a str>,
    /// What stands after `--`.
    pub(super) tail: Option<&'a [&'a str]>,
    /// The flags with their values; the last of its kind counts.
    flags: Vec<(FlagId, &'a str)>,
}

impl<'a> Given<'a> {
    pub(super) fn read(verb: &'static Verb, words: &'a [&'a str]) -> Result<Given<'a>, Error> {
        let mut given = Given { operands: Vec::new(), tail: None, flags: Vec::new() };
        let mut rest = words;
        while let Some((&word, more)) = rest.split_first() {
            rest = more;
            if word == "--" {
                given.tail = Some(rest);
                break;
            } else if let Some(long) = word.strip_prefix("--") {
                given.long(verb, long, &mut rest)?;
            } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
                given.short(verb, short, &mut rest)?;
            } else {
                given.operands.push(word);
            }
        }
        Ok(given)
    }

    /// `--name`, `--name=value`, `--name value`.
    fn long(&mut self, verb: &'static Verb, word: &'a str, rest: &mut &'a [&'a str]) -> Result<(), Error> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let Some(flag) = verb.flags().find(|flag| flag.long == name) else {
            return unknown(verb, name);
        };
        let value = match (flag.value, value) {
            (_, Some(value)) => value,
            (None, None) => "true",
            (Some(_), None) => match next(rest) {
                Some(value) => value,
                None => return error(format!("flag needs an argument: --{name}")),
            },
        };
        self.flags.push((flag.id, value));
        Ok(())
    }

    /// `-f`, `-fp`, `-n value`, `-nvalue`, `-n=value`.
    fn short(&mut self, verb: &'static Verb, word: &'a str, rest: &mut &'a [&'a str]) -> Result<(), Error> {
        let mut letters = word.chars();
        while let Some(letter) = letters.next() {
            let Some(flag) = verb.flags().find(|flag| flag.short == Some(letter)) else {
                return error(format!("unknown shorthand flag: '{letter}' in -{word}; see \"help {}\"", verb.name));
            };
            let attached = letters.as_str();
            let value = match (flag.value, attached.strip_prefix('=')) {
                (_, Some(value)) => value,
                (None, None) => {
                    self.flags.push((flag.id, "true"));
                    continue;
                }
                (Some(_), None) if !attached.is_empty() => attached,
                (Some(_), None) => match next(rest) {
                    Some(value) => value,
                    None => return error(format!("flag needs an argument: '{letter}' in -{word}")),
                },
            };
            self.flags.push((flag.id, value));
            break;
        }
        Ok(())
    }

    pub(super) fn value(&self, id: FlagId) -> Option<&'a str> {
        self.flags.iter().rev().find(|(flag, _)| *flag == id).map(|(_, value)| *value)
    }

    /// Whether a switch is on; off where it is not given.
    pub(super) fn is_on(&self, id: FlagId) -> Result<bool, Error> {
        match self.value(id) {
            None | Some("false" | "0" | "f" | "F" | "False" | "FALSE") => Ok(false),
            Some("true" | "1" | "t" | "T" | "True" | "TRUE") => Ok(true),
            Some(other) => invalid(id, other, "true or false"),
        }
    }

    pub(super) fn integer(&self, id: FlagId) -> Result<Option<i64>, Error> {
        match self.value(id).map(|text| (text, text.parse())) {
            None => Ok(None),
            Some((_, Ok(number))) => Ok(Some(number)),
            Some((text, Err(_))) => invalid(id, text, "a whole number"),
        }
    }

    pub(super) fn namespace(&self) -> String {
        self.value(FlagId::Namespace).unwrap_or("default").to_owned()
    }

    pub(super) fn scope(&self) -> Result<Scope, Error> {
        if self.is_on(FlagId::AllNamespaces)? { Ok(Scope::All) } else { Ok(Scope::Namespace(self.namespace())) }
    }

    /// The pods of `pods NAME...` or `pod/NAME...`.
    pub(super) fn pods(&self) -> Result<Vec<String>, Error> {
        let Some((first, rest)) = self.operands.split_first() else {
            return error("You must specify the type of resource, which is pods.");
        };
        let in_form = |word: &&str| word.contains('/');
        if self.operands.iter().all(in_form) {
            return self.operands.iter().map(|word| pod_name(word)).collect();
        }
        is_pods(first.split_once('/').map_or(*first, |(kind, _)| kind))?;
        if self.operands.iter().any(in_form) {
            return error(
                "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form",
            );
        }
        Ok(rest.iter().map(|name| (*name).to_owned()).collect())
    }

    /// The pod of `NAME` or `pod/NAME`, with its namespace and container.
    pub(super) fn target(&self, usage: &str) -> Result<Target, Error> {
        self.target_at(0, usage)
    }

    /// The same where the pod is not the first operand.
    pub(super) fn target_at(&self, at: usize, usage: &str) -> Result<Target, Error> {
        let Some(word) = self.operands.get(at) else {
            return error(format!("expected '{usage}'.\nPOD or TYPE/NAME is a required argument"));
        };
        let pod = if word.contains('/') { pod_name(word)? } else { (*word).to_owned() };
        let container = self.value(FlagId::Container).map(ToOwned::to_owned);
        Ok(Target { namespace: self.namespace(), pod, container })
    }

    /// Refuses operands from the one at `from` on.
    pub(super) fn no_operands(&self, from: usize) -> Result<(), Error> {
        match self.operands.get(from) {
            Some(word) => error(format!("unexpected argument \"{word}\"")),
            None => Ok(()),
        }
    }
}

fn next<'a>(rest: &mut &'a [&'a str]) -> Option<&'a str> {
    let (first, more) = rest.split_first()?;
    *rest = more;
    Some(first)
}

fn pod_name(word: &str) -> Result<String, Error> {
    let (kind, name) = word.split_once('/').unwrap_or(("", word));
    is_pods(kind)?;
    if name.is_empty() || name.contains('/') {
        return error("arguments in resource/name form must have a single resource and name");
    }
    Ok(name.to_owned())
}

fn is_pods(kind: &str) -> Result<(), Error> {
    if PODS.contains(&kind) {
        return Ok(());
    }
    match nearest(kind, ["pods", "pod", "events"]) {
        Some(close) => error(format!("the server doesn't have a resource type \"{kind}\"; did you mean \"{close}\"?")),
        None => error(format!("the server doesn't have a resource type \"{kind}\"")),
    }
}

fn unknown<T>(verb: &Verb, name: &str) -> Result<T, Error> {
    match nearest(name, verb.flags().map(|flag| flag.long)) {
        Some(close) => error(format!("unknown flag: --{name}; did you mean --{close}?")),
        None => error(format!("unknown flag: --{name}; see \"help {}\"", verb.name)),
    }
}

fn invalid<T>(id: FlagId, value: &str, wanted: &str) -> Result<T, Error> {
    let name = FLAGS.iter().find(|flag: &&Flag| flag.id == id).map_or("", |flag| flag.long);
    error(format!("invalid argument \"{value}\" for \"--{name}\" flag: expected {wanted}"))
}
