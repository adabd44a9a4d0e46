//! Seccomp profiles, compiled on the workstation to the classic BPF that seccomp(2) takes.
//!
//! A profile says by name what becomes of a system call; [`Profile::compile`] makes of it one filter for a board's CPU, with its
//! 32-bit programs where it runs those too. The numbers are looked up by a balanced tree, so that installing a filter and passing
//! it cost little, and a filter is as small as the gaps between what it allows.

mod bpf;
mod calls;
mod default;
mod oci;
mod tree;

pub use calls::{Abi, When, calls, number};
pub use default::runtime_default;
pub use oci::parse;

use super::boards::Arch;
use std::prelude::v1::*;

/// What becomes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Allow,
    /// It is made and logged by the kernel.
    Log,
    /// It is not made, and fails with this errno.
    Errno(u16),
    /// SIGSYS.
    Trap,
    /// The thread ends.
    KillThread,
    /// The process ends.
    KillProcess,
}

/// EPERM, on every CPU.
pub const EPERM: u16 = 1;
/// ENOSYS, on every CPU.
pub const ENOSYS: u16 = 38;

impl Action {
    /// The value that a filter returns for it (`SECCOMP_RET_*`).
    pub const fn value(self) -> u32 {
        match self {
            Action::Allow => 0x7fff_0000,
            Action::Log => 0x7ffc_0000,
            Action::Errno(errno) => 0x0005_0000 | errno as u32,
            Action::Trap => 0x0003_0000,
            Action::KillThread => 0,
            Action::KillProcess => 0x8000_0000,
        }
    }

    /// Whether the call is made.
    const fn lets_through(self) -> bool {
        matches!(self, Action::Allow | Action::Log)
    }
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// It is this.
    Equal(u64),
    /// It is not this.
    NotEqual(u64),
    /// It is at least this.
    AtLeast(u64),
    /// It is below this.
    Below(u64),
    /// Its bits under the first are the second.
    Masked(u64, u64),
}

/// A test of one of a call's six arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which, from 0.
    pub argument: u8,
    /// The test.
    pub test: Test,
}

/// What becomes of some calls, where all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The calls. What a CPU does not have it needs no rule for.
    pub names: Vec<String>,
    /// What becomes of them.
    pub action: Action,
    /// All of them must hold; without any the rule holds always.
    pub conditions: Vec<Condition>,
}

/// What becomes of every system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What becomes of a call that no rule is for.
    pub default: Action,
    /// The rules. One with conditions goes before one without; of two with conditions the first that holds counts.
    pub rules: Vec<Rule>,
    /// Whether programs for the CPU's older modes run too: 32-bit ARM on 64-bit ARM, i386 on x86_64.
    pub compat: bool,
}

impl Profile {
    /// The filter for a CPU: instructions of eight bytes each, as a `struct sock_fprog` points to.
    ///
    /// # Errors
    /// It takes more instructions than the kernel allows, or two rules say different things of one call.
    pub fn compile(&self, arch: Arch) -> Result<Vec<u8>, String> {
        tree::compile(self, Abi::of(arch, self.compat))
    }

    /// What becomes of a call that is newer than everything that the profile knows. Programs try the newer call first and fall back
    /// where it is said not to exist, but not where it is said to be forbidden.
    pub fn unknown(&self) -> Action {
        if self.default.lets_through() { self.default } else { Action::Errno(ENOSYS) }
    }
}
