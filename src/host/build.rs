//! `podling build`: Kubernetes YAML to a board's manifest.

use super::atomic;
use super::boards::{self, BoardFile};
use super::diagnostic::{Diagnostics, Severity, Sources};
use super::lower::{self, Compiled};
use crate::manifest::codec::{self, Kind};
use anyhow::{Context, bail, ensure};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{eprint, format, io, println};

/// The arguments of `podling build`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kubernetes YAML: pods, controllers, and what they name; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The board: a name, or the path of its board.toml
    #[arg(long, value_name = "BOARD")]
    board: String,
    /// Where to write the manifest
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Of two manifests on a board the one with the higher sequence wins [default: seconds since 1970]
    #[arg(long, value_name = "N")]
    sequence: Option<u64>,
}

impl Args {
    /// Does it.
    pub fn run(self) -> anyhow::Result<()> {
        let board = boards::load(&self.board)?;
        let (compiled, warnings) = compile(&self.files, &board).context("nothing was written")?;
        let sequence = self.sequence.unwrap_or_else(now);
        let header = codec::seal(Kind::Manifest, &board.class, sequence, &compiled.body)
            .map_err(|e| anyhow::anyhow!("cannot make a manifest of this: {e}"))?;
        // For its owner alone: there may be secrets in it.
        atomic::write(&self.output, 0o600, &[&header[..], &compiled.body].concat())?;
        println!(
            "{}: {}, {}, {} bytes for {}, sequence {sequence}{}",
            self.output.display(),
            count(compiled.pods, "pod"),
            count(compiled.containers, "container"),
            header.len() + compiled.body.len(),
            board.class,
            if warnings > 0 { format!(", {}", count(warnings, "warning")) } else { String::new() },
        );
        Ok(())
    }
}

/// Compiles `files` for `board`, says on standard error what there is to say, and tells the number of warnings.
pub fn compile(files: &[PathBuf], board: &BoardFile) -> anyhow::Result<(Compiled, usize)> {
    let sources = read(files)?;
    let diagnostics = Diagnostics::default();
    let compiled = lower::compile(&sources, board, &diagnostics);
    eprint!("{}", diagnostics.render(&sources));
    match compiled {
        Some(compiled) => Ok((compiled, diagnostics.count(Severity::Warning))),
        None => bail!("{} in {}", count(diagnostics.count(Severity::Error), "error"), names(files)),
    }
}

/// What errors call a file.
fn name(file: &Path) -> String {
    if file == Path::new("-") { "<stdin>".into() } else { file.display().to_string() }
}

/// `web.yaml, db.yaml`.
fn names(files: &[PathBuf]) -> String {
    files.iter().map(|file| name(file)).collect::<Vec<_>>().join(", ")
}

/// `1 pod`, `2 pods`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Bytes that one source may have: far more than any manifest can hold.
const SOURCE: u64 = 16 << 20;

/// Reads all sources.
fn read(files: &[PathBuf]) -> anyhow::Result<Sources> {
    ensure!(files.len() <= usize::from(u16::MAX), "too many files");
    let mut sources = Sources::default();
    for path in files {
        let name = name(path);
        let input: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).with_context(|| format!("cannot open {name}"))?)
        };
        let mut bytes = Vec::new();
        input.take(SOURCE + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
        ensure!(bytes.len() as u64 <= SOURCE, "{name} is larger than {} MiB: is it YAML?", SOURCE >> 20);
        let text = String::from_utf8(bytes).map_err(|e| {
            let valid = e.utf8_error().valid_up_to();
            let line = 1 + e.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count();
            anyhow::anyhow!("{name}:{line}: this is not UTF-8 text")
        })?;
        sources.add(name, text);
    }
    Ok(sources)
}
