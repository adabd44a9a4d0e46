//! `podling`, the workstation's program: a roof over `host`.

use clap::{Parser, Subcommand};
use podling::host;

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
    /// Show what is in a manifest
    Inspect(host::inspect::Args),
    /// Pack an OCI image as squashfs
    Pack(host::pack::Args),
    /// Lay out a board's flash
    Image(host::image::Args),
}

fn main() -> std::process::ExitCode {
    let result = match Cli::parse().verb {
        Verb::Build(args) => args.run(),
        Verb::Inspect(args) => args.run(),
        Verb::Pack(args) => args.run(),
        Verb::Image(args) => args.run(),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("podling: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
