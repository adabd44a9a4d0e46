//! A `Localhost` profile: the JSON of the OCI runtime specification, `linux.seccomp`, read strictly.

use super::{Action, Condition, EPERM, Profile, Rule, Test, number};
use crate::host::seccomp::Abi;
use serde::Deserialize;
use std::format;
use std::prelude::v1::*;
use std::vec;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    syscalls: Vec<Syscall>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Syscall {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Vec<Argument>,
    /// For people.
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// The profile in `text`.
///
/// # Errors
/// What is wrong, and where in it.
pub fn parse(text: &str) -> Result<Profile, String> {
    let file: File = serde_json::from_str(text).map_err(|e| format!("{e}"))?;
    let compat = ["SCMP_ARCH_ARM", "SCMP_ARCH_X86"].iter().any(|arch| file.architectures.iter().any(|a| a == arch));
    if let Some(flag) = file.flags.iter().find(|f| !["SECCOMP_FILTER_FLAG_TSYNC", SPEC_ALLOW].contains(&f.as_str())) {
        return Err(format!("flags: {flag} is not possible here; {SPEC_ALLOW} is set anyway"));
    }
    let default = action(&file.default_action, file.default_errno_ret)?;
    let mut rules = vec![];
    for (n, call) in file.syscalls.into_iter().enumerate() {
        let at = |what: String| format!("syscalls[{n}]: {what}");
        let action = action(&call.action, call.errno_ret).map_err(at)?;
        let conditions: Vec<Condition> = call.args.iter().map(condition).collect::<Result<_, _>>().map_err(at)?;
        // What is let through may be newer than what reads it, and is then unknown to the kernel's callers too. A refusal that would
        // be lost is another matter.
        let unknown = call.names.iter().find(|name| number(name, Abi::X86_64).is_err());
        if let Some(name) = unknown.filter(|_| default.lets_through() && !action.lets_through()) {
            return Err(at(format!("{name} is not a system call that is known here, so it would not be refused")));
        }
        let repeated = (1..conditions.len())
            .any(|n| conditions[..n].iter().any(|earlier| earlier.argument == conditions[n].argument));
        // By the specification's own runtimes, several tests of one argument are alternatives.
        let groups = if repeated { conditions.iter().map(|one| vec![*one]).collect() } else { vec![conditions] };
        rules.extend(groups.into_iter().map(|conditions| Rule { names: call.names.clone(), action, conditions }));
    }
    Ok(Profile { default, rules, compat })
}

/// Set for every filter: without it old kernels slow down what is filtered.
const SPEC_ALLOW: &str = "SECCOMP_FILTER_FLAG_SPEC_ALLOW";

fn action(name: &str, errno: Option<u16>) -> Result<Action, String> {
    /// The kernel's own bound on error numbers.
    const ERRNO: u16 = 4095;
    let errno = errno.unwrap_or(EPERM);
    if errno > ERRNO {
        return Err(format!("{errno} is not an error number: at most {ERRNO}"));
    }
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ERRNO" => Action::Errno(errno),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRACE" | "SCMP_ACT_NOTIFY" => {
            return Err(format!("{name} needs a program outside the container that listens, and a board has none"));
        }
        _ => return Err(format!("{name} is not an action: SCMP_ACT_ALLOW, SCMP_ACT_ERRNO and their like are")),
    })
}

fn condition(argument: &Argument) -> Result<Condition, String> {
    if argument.index > 5 {
        return Err(format!("args: a system call has the arguments 0 to 5, not {}", argument.index));
    }
    let value = argument.value;
    // "At most" and "above" of the largest number have no successor to compare with: always and never, as a mask of no bits says.
    let successor = |some: fn(u64) -> Test, none| value.checked_add(1).map_or(none, some);
    let test = match &*argument.op {
        "SCMP_CMP_EQ" => Test::Equal(value),
        "SCMP_CMP_NE" => Test::NotEqual(value),
        "SCMP_CMP_GE" => Test::AtLeast(value),
        "SCMP_CMP_LT" => Test::Below(value),
        "SCMP_CMP_GT" => successor(Test::AtLeast, Test::Masked(0, 1)),
        "SCMP_CMP_LE" => successor(Test::Below, Test::Masked(0, 0)),
        "SCMP_CMP_MASKED_EQ" => Test::Masked(value, argument.value_two),
        op => {
            return Err(format!("args: {op} is not a comparison: SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ and their like are"));
        }
    };
    Ok(Condition { argument: argument.index, test })
}
