//! A profile as a program: the CPU checked, the number found by a balanced tree, then the arguments.

use super::bpf::{Compare, Label, Program};
use super::{Abi, Action, Condition, Profile, Test, calls};
use crate::manifest::limits;
use std::collections::BTreeMap;
use std::format;
use std::prelude::v1::*;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Numbers from here on are 32-bit ARM's own, far from all others.
const PRIVATE: u32 = 0xf_0000;

/// What is said of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said<'p> {
    /// Tried in order.
    rules: Vec<(&'p [Condition], Action)>,
    /// Where none of them holds.
    always: Option<Action>,
}

/// The filter of `profile` for programs of these kinds.
pub(super) fn compile(profile: &Profile, abis: &[Abi]) -> Result<Vec<u8>, String> {
    let mut program = Program::default();
    let mut next = program.returns(Action::KillProcess.value());
    for abi in abis.iter().rev() {
        let ranges = ranges(profile, *abi)?;
        let tree = tree(&mut program, profile, &ranges);
        let numbered = program.load(NUMBER, tree);
        next = program.branch(Compare::Equal, abi.audit(), numbered, next);
    }
    let start = program.load(ARCH, next);
    let bytes = program.bytes(start);
    if bytes.len() > limits::FILTER_BYTES {
        let most = limits::FILTER_BYTES / 8;
        return Err(format!("this takes {} instructions, and the kernel takes at most {most}", bytes.len() / 8));
    }
    Ok(bytes)
}

/// The numbers in ranges that are treated alike: the first of each, and what is said of it.
fn ranges<'p>(profile: &'p Profile, abi: Abi) -> Result<Vec<(u32, Said<'p>)>, String> {
    let mut said: BTreeMap<u32, Said<'p>> = BTreeMap::new();
    for rule in &profile.rules {
        for name in &rule.names {
            let Ok(Some(number)) = calls::number(name, abi) else { continue };
            let call = said.entry(number).or_default();
            if !rule.conditions.is_empty() {
                call.rules.push((&rule.conditions, rule.action));
            } else if call.always.is_some_and(|action| action != rule.action) {
                return Err(format!("there are two rules for {name} that say different things"));
            } else {
                call.always = Some(rule.action);
            }
        }
    }
    let plain = |action| Said { rules: Vec::new(), always: Some(action) };
    let known = said.keys().copied().filter(|number| *number < PRIVATE).max().map_or(0, |newest| newest + 1);
    let mut ranges: Vec<(u32, Said<'p>)> = Vec::new();
    let mut push = |first, said: Said<'p>| match ranges.last() {
        Some((_, last)) if *last == said => {}
        _ => ranges.push((first, said)),
    };
    for number in 0..known {
        push(number, said.remove(&number).unwrap_or_else(|| plain(profile.default)));
    }
    push(known, plain(profile.unknown()));
    for (number, call) in said {
        push(number, call);
        push(number + 1, plain(profile.unknown()));
    }
    Ok(ranges)
}

/// The way from a number to what becomes of the call. The number is in the accumulator.
fn tree(program: &mut Program, profile: &Profile, ranges: &[(u32, Said<'_>)]) -> Label {
    if let [(_, said)] = ranges {
        return verdict(program, profile, said);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let above = tree(program, profile, high);
    let below = tree(program, profile, low);
    program.branch(Compare::AtLeast, high[0].0, above, below)
}

fn verdict(program: &mut Program, profile: &Profile, said: &Said<'_>) -> Label {
    let mut next = program.returns(said.always.unwrap_or(profile.default).value());
    for (conditions, action) in said.rules.iter().rev() {
        let mut holds = program.returns(action.value());
        for condition in conditions.iter().rev() {
            holds = test(program, condition, holds, next);
        }
        next = holds;
    }
    next
}

/// A test of an argument of 64 bits in two halves; of a 32-bit program the upper one is zero.
fn test(program: &mut Program, condition: &Condition, yes: Label, no: Label) -> Label {
    let low = ARGUMENTS + 8 * u32::from(condition.argument);
    let high = low + 4;
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    match condition.test {
        Test::Equal(value) => {
            let (upper, lower) = halves(value);
            let rest = program.branch(Compare::Equal, lower, yes, no);
            let rest = program.load(low, rest);
            let first = program.branch(Compare::Equal, upper, rest, no);
            program.load(high, first)
        }
        Test::Masked(mask, value) => {
            let ((mask_upper, mask_lower), (upper, lower)) = (halves(mask), halves(value));
            let rest = program.branch(Compare::Equal, lower, yes, no);
            let rest = program.and(mask_lower, rest);
            let rest = program.load(low, rest);
            let first = program.branch(Compare::Equal, upper, rest, no);
            let first = program.and(mask_upper, first);
            program.load(high, first)
        }
        Test::AtLeast(value) => {
            let (upper, lower) = halves(value);
            let rest = program.branch(Compare::AtLeast, lower, yes, no);
            let rest = program.load(low, rest);
            let same = program.branch(Compare::Equal, upper, rest, no);
            let first = program.branch(Compare::Above, upper, yes, same);
            program.load(high, first)
        }
        Test::NotEqual(value) => test(program, &Condition { test: Test::Equal(value), ..*condition }, no, yes),
        Test::Below(value) => test(program, &Condition { test: Test::AtLeast(value), ..*condition }, no, yes),
    }
}
