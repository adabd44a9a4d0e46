//! `podlingd init`: process 1 of the board's own image. A list of steps, each with a name; then a keeper of one agent.
//!
//! Process 1 is tiny, for the kernel panics when it ends: it reaps orphans, starts the agent again when it dies, and in the end
//! reboots or switches off. A step that fails is one line on the console and a trouble that the agent shows; the boot goes on
//! as far as it makes sense.

use super::logger;
use crate::manifest::board::Board;
use std::format;
use std::process::ExitCode;
use std::string::String;
use std::time::Instant;
use std::vec::Vec;

pub mod ethernet;
pub mod facts;
mod finish;
mod init;
mod keeper;
mod steps;

/// One step of the boot.
#[derive(Debug)]
pub struct Step {
    /// What the log calls it.
    pub name: &'static str,
    /// Does it. Says what it did, or why it could not.
    run: fn(&mut Boot) -> Result<String, String>,
}

/// The boot, in order. Each step stands on those before it, and does what it can where they have failed.
pub const STEPS: &[Step] = &[
    Step { name: "root", run: steps::root },
    Step { name: "file systems", run: steps::file_systems },
    Step { name: "board", run: steps::board },
    Step { name: "console", run: steps::console },
    Step { name: "settings", run: steps::settings },
    Step { name: "huge pages", run: steps::huge_pages },
    Step { name: "modules", run: steps::modules },
    Step { name: "cgroups", run: steps::cgroups },
    Step { name: "host name", run: steps::host_name },
    Step { name: "slots", run: steps::slots },
    Step { name: "data", run: steps::data },
    Step { name: "propagation", run: steps::propagation },
    Step { name: "network", run: steps::network },
];

/// What is known so far.
#[derive(Debug, Default)]
struct Boot {
    board: Option<Board<'static>>,
    troubles: Vec<String>,
}

impl Boot {
    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            let start = Instant::now();
            let result = (step.run)(self);
            let took = start.elapsed().as_millis();
            match result {
                Ok(said) => log::info!("{}: {said} ({took} ms)", step.name),
                Err(error) => {
                    log::error!("{}: {error} ({took} ms)", step.name);
                    self.troubles.push(format!("{}: {error}", step.name));
                }
            }
        }
    }
}

/// The whole life of process 1: it returns only where it is not process 1.
pub fn main() -> ExitCode {
    logger::install(log::LevelFilter::Info);
    if !rustix::process::getpid().is_init() {
        log::error!("`podlingd init` boots a board, as its process 1; to see a running node: podlingd get pods");
        return ExitCode::from(2);
    }
    log::info!("podling {} boots", env!("CARGO_PKG_VERSION"));
    let mut boot = Boot::default();
    boot.run(STEPS);
    let (power, children) = init::keep(&boot.troubles);
    finish::finish(power, children.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn a_step_that_fails_becomes_a_trouble_and_the_next_one_runs() {
        let steps = [
            Step { name: "one", run: |_| Err("no such thing".into()) },
            Step { name: "two", run: |boot| Ok(format!("{} so far", boot.troubles.len())) },
            Step { name: "three", run: |_| Err("neither".into()) },
        ];
        let mut boot = Boot::default();
        boot.run(&steps);
        assert_eq!(boot.troubles, vec!["one: no such thing", "three: neither"]);
    }

    /// What a step stands on comes before it.
    #[test]
    fn the_steps_are_in_order_and_have_names_of_their_own() {
        let at = |name| STEPS.iter().position(|step| step.name == name).unwrap();
        for (first, then) in [
            ("root", "file systems"),
            ("file systems", "board"),
            ("board", "console"),
            ("board", "modules"),
            ("board", "huge pages"),
            ("modules", "cgroups"),
            ("modules", "slots"),
            ("modules", "data"),
            ("data", "propagation"),
            ("data", "network"),
        ] {
            assert!(at(first) < at(then), "{first} before {then}");
        }
        assert!(STEPS.iter().enumerate().all(|(n, step)| at(step.name) == n));
    }
}
