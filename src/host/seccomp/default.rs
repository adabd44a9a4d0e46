//! `RuntimeDefault`: what a container may ask of the kernel where its pod says no more than that.
//!
//! It allows what Docker's and containerd's profiles allow, by the same capabilities: a program that runs there runs here.
//! `calls.txt` has the decision for each call; what hangs on arguments is here.

use super::{Action, Condition, ENOSYS, EPERM, Profile, Rule, Test, When, calls};
use std::prelude::v1::*;
use std::vec;

/// The capability SYS_ADMIN.
const SYS_ADMIN: u64 = 1 << 21;

/// The flags of clone(2) for new namespaces: mount, cgroup, names, IPC, user, process numbers, network.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// The domains that a socket may have, as ranges; the last of each is not in it. Left out are those that no kernel has any more, the
/// kernel's cryptography (38), and the way to a virtual machine's host (40), which is no pod's.
const SOCKET_DOMAINS: [(u64, u64); 8] = [(0, 12), (13, 19), (21, 23), (24, 25), (26, 34), (35, 37), (39, 40), (41, 46)];

/// What personality(2) may be asked for: Linux, and a 32-bit `uname`; with or without fixed addresses off; and what it is now.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The profile of a container with these capabilities.
pub fn runtime_default(capabilities: u64) -> Profile {
    let allowed = calls().iter().filter(|call| match call.when {
        When::Always => true,
        When::Capabilities(any) => capabilities & any != 0,
        When::Never | When::Arguments => false,
    });
    let mut names: Vec<String> = allowed.map(|call| call.name.into()).collect();
    let mut rules = vec![];
    let first = |test| Condition { argument: 0, test };
    let mut rule = |name: &str, action, conditions| {
        rules.push(Rule { names: vec![name.into()], action, conditions });
    };
    if capabilities & SYS_ADMIN != 0 {
        names.extend(["clone".into(), "clone3".into()]);
    } else {
        rule("clone", Action::Allow, vec![first(Test::Masked(NEW_NAMESPACES, 0))]);
        // Its flags are behind a pointer, where no filter can see them; without it programs fall back to clone.
        rule("clone3", Action::Errno(ENOSYS), vec![]);
    }
    for (from, to) in SOCKET_DOMAINS {
        rule("socket", Action::Allow, vec![first(Test::AtLeast(from)), first(Test::Below(to))]);
    }
    for value in PERSONALITIES {
        rule("personality", Action::Allow, vec![first(Test::Equal(value))]);
    }
    rules.push(Rule { names, action: Action::Allow, conditions: vec![] });
    Profile { default: Action::Errno(EPERM), rules, compat: true }
}
