//! `podlingd`, the board's program: PID 1, agent, pod-init and command line, chosen by how it is started.

use podling::agent::boot::{self, facts};
use podling::agent::{self, Agent, Config};
use podling::console::bind::Bound;
use podling::console::{client, logger, serial, socket};
use podling::pod;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

fn main() -> ExitCode {
    // What is not UTF-8 is no word of ours; it is shown as it can be.
    let args: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["pod-init", ..] | [_, "pod-init", ..] => pod::init::main(),
        [_, "init", ..] => boot::main(),
        // The kernel starts /init with whatever words of its command line it did not know.
        _ if rustix::process::getpid().is_init() => boot::main(),
        [_, "agent", ref troubles @ ..] => run_agent(troubles),
        [_, ref command @ ..] => client::client(&Config::board("", "").run_dir.join(socket::NAME), command),
        [] => ExitCode::FAILURE,
    }
}

/// The agent of a board, with the console on its serial line and its local socket. `troubles` are what went wrong at boot.
fn run_agent(troubles: &[&str]) -> ExitCode {
    logger::install(log::LevelFilter::Info);
    let facts::Node { config, console, address } = facts::node(troubles.iter().map(|trouble| trouble.to_string()).collect());
    let path = config.run_dir.join(socket::NAME);
    match agent::run(config, |agent| attach(agent, &path, console, address)) {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Hangs the console on. Without one of its two ways in, the board still runs.
fn attach(agent: &Agent, path: &Path, console: Option<PathBuf>, address: Option<[u8; 4]>) {
    let board = Rc::new(Bound::new(agent.clone(), address));
    match socket::bind(path) {
        Ok(listener) => {
            let (board, spawner) = (board.clone(), agent.clone());
            agent.spawn(async move { socket::serve(board, listener, |task| spawner.spawn(task)).await });
        }
        Err(error) => log::warn!("no console at {}: {error}", path.display()),
    }
    if let Some(tty) = console {
        agent.spawn(async move { serial::serve(board, &tty).await });
    }
}
