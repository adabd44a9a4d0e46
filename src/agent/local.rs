//! The same agent in the foreground of a workstation: `podling run`.

use super::config::Config;
use super::drive::{Agent, Error, Outcome};
use std::format;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::prelude::v1::*;

/// What a local run is made of.
#[derive(Clone, Debug)]
pub struct Local {
    /// The manifest, as `podling build` writes one, for any class of board.
    pub manifest: Vec<u8>,
    /// Where packed images are looked for.
    pub images: Vec<PathBuf>,
    /// The file that is executed as pod-init where it is not this program itself.
    pub program: Option<PathBuf>,
    /// Where claims are kept; without it they go with the run.
    pub claims: Option<PathBuf>,
}

/// Runs the pods of a manifest until Ctrl-C or SIGTERM, ends them gracefully and leaves nothing behind: no mount, cgroup, loop
/// device or directory. `watch` is called once, with the agent, before the first pod starts.
pub fn run(local: Local, watch: impl FnOnce(&Agent)) -> Result<Outcome, Error> {
    let pid = rustix::process::getpid().as_raw_nonzero();
    let root = PathBuf::from(format!("/run/podling-run.{pid}"));
    let failed =
        |verb: &str, error: std::io::Error| Error::Failed(format!("{verb} {}: {error}", root.display()).into());
    let data = local.claims.unwrap_or_else(|| root.join("data"));
    for directory in [&root, &data] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|e| failed("make", e))?;
    }
    let mut config = Config::board(rustix::system::uname().nodename().to_str().unwrap_or("localhost"), "");
    config.run_dir = root.join("run");
    config.data_dir = data;
    config.image_dirs = local.images;
    config.cgroup = format!("podling-run.{pid}");
    config.class = None;
    config.manifest = Some(local.manifest);
    config.program = local.program;
    config.power = false;
    config.protect = false;
    // Whether the board allows it the compiler has asked; here it is up to who is root already.
    config.allow_privileged = true;
    // What a workstation is short of is seldom its pods' doing.
    config.evict = false;
    let outcome = super::drive::run(config, watch);
    fs::remove_dir_all(&root).map_err(|e| failed("remove", e))?;
    outcome
}
