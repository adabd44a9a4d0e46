//! Tab: what may stand at the end of a line that is being typed.

use super::catalog::{EVENTS, Flag, FlagId, OUTPUTS, PODS, Slot, VERBS, Verb};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The names that there are on this board.
pub trait Names {
    /// Calls `each` with every namespace; one may come more than once.
    fn namespaces(&self, each: &mut dyn FnMut(&str));
    /// Calls `each` with every pod of a namespace.
    fn pods(&self, namespace: &str, each: &mut dyn FnMut(&str));
    /// Calls `each` with every container of a pod.
    fn containers(&self, namespace: &str, pod: &str, each: &mut dyn FnMut(&str));
}

/// What may come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Where in the line the word begins that the candidates would replace.
    pub start: usize,
    /// Whole words, sorted.
    pub candidates: Vec<String>,
}

/// The candidates for the last word of `line`, which ends at the cursor. None inside quotes or after `--`.
pub fn complete(line: &str, names: &dyn Names) -> Completion {
    let start = line.rfind(' ').map_or(0, |at| at + 1);
    let word = &line[start..];
    let before: Vec<&str> = line[..start].split_ascii_whitespace().collect();
    let mut completion = Completion { start, candidates: Vec::new() };
    if line.contains(['"', '\'', '\\']) || before.contains(&"--") {
        return completion;
    }
    let mut offer = |text: &str| {
        if text.starts_with(word) {
            completion.candidates.push(text.to_owned());
        }
    };
    match before.split_first() {
        None => VERBS.iter().for_each(|verb| offer(verb.name)),
        Some((verb, before)) => {
            if let Some(verb) = Verb::find(verb) {
                Place { verb, before, names }.offer(word, &mut offer);
            }
        }
    }
    completion.candidates.sort_unstable();
    completion.candidates.dedup();
    completion
}

/// A word's place: its verb, and the words between the two.
struct Place<'a> {
    verb: &'static Verb,
    before: &'a [&'a str],
    names: &'a dyn Names,
}

impl Place<'_> {
    fn offer(&self, word: &str, offer: &mut dyn FnMut(&str)) {
        if let Some(slot) = self.before.last().and_then(|last| self.flag(last)).and_then(|flag| flag.value) {
            return self.fill(slot, offer);
        }
        if let Some((flag, _)) = word.split_once('=') {
            let slot = self.flag(flag).map_or(Slot::Free, |found| found.value.unwrap_or(Slot::Switch));
            return self.fill(slot, &mut |value| offer(&format!("{flag}={value}")));
        }
        if word.starts_with('-') {
            return self.verb.flags().for_each(|flag| offer(&format!("--{}", flag.long)));
        }
        let operands = self.operands();
        let slot = match self.verb.operands.get(operands.len()) {
            Some(slot) => *slot,
            None if self.verb.operands.last() == Some(&Slot::PodNames) => Slot::PodNames,
            None => return,
        };
        match (slot, operands.first()) {
            (Slot::PodNames, Some(first)) if EVENTS.contains(first) => {}
            _ => self.fill(slot, offer),
        }
    }

    fn fill(&self, slot: Slot, offer: &mut dyn FnMut(&str)) {
        match slot {
            Slot::Resource => [PODS[0], EVENTS[0]].into_iter().for_each(offer),
            Slot::Pods => offer(PODS[0]),
            Slot::PodName | Slot::PodNames => self.names.pods(self.namespace(), offer),
            Slot::Container => {
                let operands = self.operands();
                if let Some(pod) = operands.first() {
                    let pod = pod.split_once('/').map_or(*pod, |(_, name)| name);
                    self.names.containers(self.namespace(), pod, offer);
                }
            }
            Slot::Condition => offer("condition"),
            Slot::Verb => VERBS.iter().for_each(|verb| offer(verb.name)),
            Slot::Namespace => self.names.namespaces(offer),
            Slot::Output => OUTPUTS.iter().for_each(|output| offer(output)),
            Slot::Switch => ["true", "false"].into_iter().for_each(offer),
            Slot::Free => {}
        }
    }

    /// The flag that a word is, if it is one by itself.
    fn flag(&self, word: &str) -> Option<&'static Flag> {
        let is = |flag: &&Flag| match word.strip_prefix("--") {
            Some(long) => flag.long == long,
            None => flag.short.is_some_and(|short| word.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4]))),
        };
        self.verb.flags().find(is)
    }

    /// The words before that are neither flags nor their values.
    fn operands(&self) -> Vec<&str> {
        let takes_next = |word: &&str| self.flag(word).is_some_and(|flag| flag.value.is_some());
        let previous = core::iter::once("").chain(self.before.iter().copied());
        let words = self.before.iter().zip(previous);
        words.filter(|(word, last)| !word.starts_with('-') && !takes_next(last)).map(|(word, _)| *word).collect()
    }

    fn namespace(&self) -> &str {
        let is_namespace = |word: &str| self.flag(word).is_some_and(|flag| flag.id == FlagId::Namespace);
        let place = self.before.iter().position(|word| is_namespace(word));
        let inline = self.before.iter().find_map(|word| word.strip_prefix("--namespace=").or(word.strip_prefix("-n=")));
        let apart = place.and_then(|at| self.before.get(at + 1)).copied();
        apart.or(inline).unwrap_or("default")
    }
}
