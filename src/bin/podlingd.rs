//! `podlingd`, the board's program: PID 1, agent, pod-init and command line, chosen by how it is started.

use podling::agent::boot::{self, ethernet, facts};
use podling::agent::local::{self, Local};
use podling::agent::{self, Agent, Config, Error, Outcome, Shutdown, Source, logger};
use podling::console::attach::{Place, attach};
use podling::console::{client, socket};
use podling::pod;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

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
        [_, "run", manifest, ref images @ ..] => run_local(manifest, images),
        [_, "--socket", path, ref command @ ..] => client::client(Path::new(path), command),
        [_, ref command @ ..] => client::client(&Config::board("", "").run_dir.join(socket::NAME), command),
        [] => ExitCode::FAILURE,
    }
}

/// The agent of a board, with the console on its serial line and its local socket. `troubles` are what went wrong at boot.
fn run_agent(troubles: &[&str]) -> ExitCode {
    let facts::Node { config, console, network } =
        facts::node(troubles.iter().map(|trouble| trouble.to_string()).collect());
    let place = Place { tty: console, address: network.map(|network| network.address) };
    let begin = |watch: &dyn Fn(&Agent)| {
        agent::run(config, |agent: &Agent| {
            network.into_iter().for_each(|network| ethernet::attend(agent, network));
            watch(agent);
        })
    };
    run(begin, place)
}

/// `podlingd run MANIFEST IMAGES…`: a manifest in the foreground of any machine, with the packed images of those directories.
fn run_local(manifest: &str, images: &[&str]) -> ExitCode {
    let file = manifest.to_string();
    let read = move || std::fs::read(&file).map_err(|error| format!("read {file}: {error}"));
    let manifest = match local::handed_over().map_or_else(&read, Ok) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("podlingd: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (images, source) = (images.iter().map(PathBuf::from).collect(), Source(Arc::new(read)));
    let local = Local { manifest, source, images, program: None, claims: None };
    run(|watch| local::run(local, watch), Place::default())
}

fn run(agent: impl FnOnce(&dyn Fn(&Agent)) -> Result<Outcome, Error>, place: Place) -> ExitCode {
    logger::install(log::LevelFilter::Info);
    match agent(&|agent| attach(agent, place.clone())) {
        Ok(Outcome { shutdown: Shutdown::Again }) => {
            log::error!("{}", agent::execute_again());
            ExitCode::FAILURE
        }
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
