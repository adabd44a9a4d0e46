//! Classic BPF, written from the end to the beginning: whatever is jumped to is there already.

use std::prelude::v1::*;
use std::vec;

/// Loads a word of `struct seccomp_data`.
const LOAD: u16 = 0x20;
/// A := A & k.
const AND: u16 = 0x54;
/// Jumps by k.
const JUMP: u16 = 0x05;
/// Returns k.
const RETURN: u16 = 0x06;

/// A comparison of the accumulator with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// A == k.
    Equal = 0x15,
    /// A > k.
    Above = 0x25,
    /// A >= k.
    AtLeast = 0x35,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u16,
    then: u8,
    otherwise: u8,
    k: u32,
}

/// A place in the program: how many instructions there are from it to the end.
pub(super) type Label = usize;

/// A program, growing at its front.
#[derive(Default)]
pub(super) struct Program {
    /// The last instruction first.
    backwards: Vec<Instruction>,
    /// What is returned somewhere, with the newest place of it.
    returns: Vec<(u32, Label)>,
}

/// As far as a conditional jump goes, less the two that may be put in between.
const REACH: usize = 253;

impl Program {
    fn push(&mut self, instruction: Instruction) -> Label {
        self.backwards.push(instruction);
        self.backwards.len()
    }

    fn plain(&mut self, code: u16, k: u32) -> Label {
        self.push(Instruction { code, then: 0, otherwise: 0, k })
    }

    /// The instructions between the next one to be written and `label`.
    fn distance(&self, label: Label) -> usize {
        self.backwards.len() - label
    }

    /// A return of `value`, a near one where there is one.
    pub(super) fn returns(&mut self, value: u32) -> Label {
        if let Some(&(_, label)) = self.returns.iter().find(|(known, _)| *known == value)
            && self.distance(label) < REACH
        {
            return label;
        }
        let label = self.plain(RETURN, value);
        self.returns.retain(|(known, _)| *known != value);
        self.returns.push((value, label));
        label
    }

    /// Goes on at `next`, which need not be near.
    fn jump(&mut self, next: Label) -> Label {
        match self.distance(next) {
            0 => next,
            far => self.plain(JUMP, far as u32),
        }
    }

    /// Loads the word at `offset`, and goes on at `next`.
    pub(super) fn load(&mut self, offset: u32, next: Label) -> Label {
        self.jump(next);
        self.plain(LOAD, offset)
    }

    /// Keeps the bits under `mask`, and goes on at `next`.
    pub(super) fn and(&mut self, mask: u32, next: Label) -> Label {
        self.jump(next);
        self.plain(AND, mask)
    }

    /// Compares with `k`, and goes on at one of two places.
    pub(super) fn branch(&mut self, compare: Compare, k: u32, then: Label, otherwise: Label) -> Label {
        if then == otherwise {
            return then;
        }
        // The far one gets a jump nearby; that moves the other by one, which REACH leaves room for.
        let near = |program: &mut Program, label| match program.distance(label) {
            distance if distance > REACH => program.jump(label),
            _ => label,
        };
        let then = near(self, then);
        let otherwise = near(self, otherwise);
        let (then, otherwise) = (self.distance(then) as u8, self.distance(otherwise) as u8);
        self.push(Instruction { code: compare as u16, then, otherwise, k })
    }

    /// The bytes of the program that begins at `start`, little-endian as every CPU here is.
    pub(super) fn bytes(mut self, start: Label) -> Vec<u8> {
        self.jump(start);
        let mut bytes = vec![];
        for Instruction { code, then, otherwise, k } in self.backwards.into_iter().rev() {
            bytes.extend(code.to_le_bytes());
            bytes.extend([then, otherwise]);
            bytes.extend(k.to_le_bytes());
        }
        bytes
    }
}
