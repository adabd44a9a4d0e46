//! `podling`, the workstation's program: a roof over `host`, and over the agent for trying pods without a board.

use clap::{Parser, Subcommand};
use podling::host;
use std::process::ExitCode;

/// Compile Kubernetes pods for small boards, pack their images, and lay out a board's flash.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Compile pod YAML into a board's manifest
    Build(host::build::Args),
    /// Tell what a field of Kubernetes is, and what a board does with it
    Explain(host::explain::Args),
    /// Show what is in a manifest
    Inspect(host::inspect::Args),
    /// Pack an OCI image as squashfs
    Pack(host::pack::Args),
    /// Fetch images from registries, and pack them
    Pull(host::pull::Args),
    /// List the boards that there are
    Boards,
    /// Lay out a board's flash
    Image(host::image::Args),
    /// Write a flash onto a card, and read it back
    Flash(host::card::Args),
    /// Run pods here, in the foreground, without a board (Linux, root)
    #[cfg(feature = "agent")]
    Run(local::Run),
    /// A command of the board's console, for the agent of `podling run`
    #[cfg(feature = "agent")]
    Console(local::Console),
}

fn main() -> ExitCode {
    #[cfg(feature = "agent")]
    local::become_pod_init();
    let result = match Cli::parse().verb {
        Verb::Build(args) => args.run(),
        Verb::Explain(args) => args.run(),
        Verb::Inspect(args) => args.run(),
        Verb::Pack(args) => args.run(),
        Verb::Pull(args) => args.run(),
        Verb::Boards => host::boards::list(),
        Verb::Image(args) => args.run(),
        Verb::Flash(args) => args.run(),
        #[cfg(feature = "agent")]
        Verb::Run(args) => args.run(),
        #[cfg(feature = "agent")]
        Verb::Console(args) => return args.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("{error:#}");
            eprintln!("podling: {error}");
            // The programs that are called, mke2fs for one, have only words to say so.
            if error.contains("No space left on device") {
                eprintln!("make room on that file system, or write to another one");
            }
            ExitCode::FAILURE
        }
    }
}

/// Pods without a board.
#[cfg(feature = "agent")]
mod local {
    use anyhow::Context;
    use podling::agent::local::{self, Local};
    use podling::agent::{Outcome, Shutdown, Source, execute_again, logger};
    use podling::console::attach::{Place, attach};
    use podling::console::{client, socket};
    use podling::host::{boards, build};
    use podling::manifest::codec::{self, Kind};
    use std::path::PathBuf;
    use std::process::ExitCode;
    use std::sync::Arc;

    /// pod-init is this same program, executed again under that name.
    pub(super) fn become_pod_init() {
        if std::env::args_os().next().is_some_and(|name| name == "pod-init") {
            podling::pod::init::main()
        }
    }

    #[derive(Debug, clap::Args)]
    pub(super) struct Run {
        /// Files of Kubernetes YAML; `-` is standard input
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Directories with packed images (`podling pull … -o DIR`, `podling pack … -o DIR`)
        #[arg(long, default_value = "images")]
        images: Vec<PathBuf>,
        /// The board whose settings to compile for
        #[arg(long, default_value = "qemu-virt-aarch64")]
        board: String,
        /// Keep persistent volume claims here; without it they go with the run
        #[arg(long)]
        claims: Option<PathBuf>,
    }

    impl Run {
        pub(super) fn run(self) -> anyhow::Result<()> {
            anyhow::ensure!(rustix::process::geteuid().is_root(), "namespaces and mounts need root: run it with sudo");
            if let Some(missing) = self.images.iter().find(|images| !images.is_dir()) {
                let (missing, arch) = (missing.display(), boards::Arch::host().map_or("amd64", boards::Arch::oci));
                anyhow::bail!(
                    "there is no directory {missing}: `podling pull IMAGE --arch {arch} -o {missing}` makes it"
                );
            }
            let (files, board) = (self.files, self.board);
            let manifest = match local::handed_over() {
                Some(manifest) => manifest,
                None => compile(&files, &board)?,
            };
            logger::install(log::LevelFilter::Info);
            let source = Source(Arc::new(move || {
                if files.iter().any(|file| file.as_os_str() == "-") {
                    return Err("standard input cannot be read twice: name files".into());
                }
                compile(&files, &board).map_err(|error| format!("{error:#}"))
            }));
            let local = Local { manifest, source, images: self.images, program: None, claims: self.claims };
            let outcome = local::run(local, |agent| {
                attach(agent, Place::default());
                let socket = agent.run_dir().join(socket::NAME);
                log::info!(
                    "Ctrl-C ends the pods; 'kill -HUP {}' takes up what the files say by then; ask about them with: podling \
                     console --socket {} get pods",
                    std::process::id(),
                    socket.display()
                );
            });
            match outcome.with_context(|| "run the pods here")? {
                Outcome { shutdown: Shutdown::Again } => anyhow::bail!(execute_again()),
                Outcome { .. } => Ok(()),
            }
        }
    }

    /// The manifest of these files, for this machine.
    fn compile(files: &[PathBuf], board: &str) -> anyhow::Result<Vec<u8>> {
        let mut board = boards::load(board)?;
        // What depends on the processor, seccomp filters, is for the one that it runs on.
        board.arch = boards::Arch::host().unwrap_or(board.arch);
        let (compiled, _) = build::compile(files, &board)?;
        let mut manifest = codec::seal(Kind::Manifest, &board.class, 1, &compiled.body)?.to_vec();
        manifest.extend_from_slice(&compiled.body);
        Ok(manifest)
    }

    #[derive(Debug, clap::Args)]
    pub(super) struct Console {
        /// The socket that `podling run` named
        #[arg(long)]
        socket: PathBuf,
        /// The command, as on a board: `get pods`, `logs web -f`, `help` …
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    }

    impl Console {
        pub(super) fn run(self) -> ExitCode {
            let words: Vec<&str> = self.command.iter().map(String::as_str).collect();
            client::client(&self.socket, &words)
        }
    }
}
