//! `podlingd`, the board's program: PID 1, agent, pod-init and command line, chosen by how it is started.

use podling::agent::boot::{self, facts, logger};
use podling::{agent, pod};
use std::process::ExitCode;

fn main() -> ExitCode {
    // What is not UTF-8 is no word of ours; it is shown as it can be.
    let args: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["pod-init", ..] | [_, "pod-init", ..] => pod::init::main(),
        [_, "init", ..] => boot::main(),
        // The kernel starts /init, with whatever words of its command line it did not know.
        _ if rustix::process::getpid().is_init() => boot::main(),
        [_, "agent", ref troubles @ ..] => run_agent(troubles),
        _ => ExitCode::FAILURE,
    }
}

/// The agent of a board. `troubles` are what went wrong when it booted.
fn run_agent(troubles: &[&str]) -> ExitCode {
    logger::start();
    let (config, _tty) = facts::agent(troubles.iter().map(|trouble| trouble.to_string()).collect());
    match agent::run(config, |_| {}) {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
