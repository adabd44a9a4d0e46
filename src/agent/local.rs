//! The same agent in the foreground of a workstation: `podling run`.

use super::config::Config;
use super::drive::{Agent, Error, Outcome, Shutdown};
use super::reload::Source;
use std::format;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::prelude::v1::*;
use std::sync::Arc;

/// What a local run is made of.
#[derive(Clone, Debug)]
pub struct Local {
    /// The manifest, as `podling build` writes one, for any class of board.
    pub manifest: Vec<u8>,
    /// Where a newer one comes from.
    pub source: Source,
    /// Where packed images are looked for.
    pub images: Vec<PathBuf>,
    /// The file that is executed as pod-init where it is not this program itself.
    pub program: Option<PathBuf>,
    /// Where claims are kept; without it they go with the run.
    pub claims: Option<PathBuf>,
}

fn root() -> PathBuf {
    PathBuf::from(format!("/run/podling-run.{}", rustix::process::getpid().as_raw_nonzero()))
}

/// A manifest that was read again, before it is taken up.
const NEXT: &str = "next";
/// The same for the program that is executed to take it up: what it comes from may have changed once more by then.
const AGAIN: &str = "again";

/// The manifest that this process has executed itself anew for, if it has.
pub fn handed_over() -> Option<Vec<u8>> {
    let file = root().join(AGAIN);
    let manifest = fs::read(&file).ok()?;
    fs::remove_file(&file).ok().map(|()| manifest)
}

/// Runs the pods of a manifest until Ctrl-C or SIGTERM, ends them gracefully and leaves nothing behind: no mount, cgroup, loop
/// device or directory. With [`Shutdown::Again`] it leaves all of them to the program that is to be executed next. `watch` is called once, with the agent, before the first pod starts.
pub fn run(local: Local, watch: impl FnOnce(&Agent)) -> Result<Outcome, Error> {
    let root = root();
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
    config.cgroup = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    config.class = None;
    config.manifest = Some(local.manifest);
    let (Source(read), next) = (local.source, root.join(NEXT));
    config.source = Some(Source(Arc::new(move || {
        let manifest = read()?;
        fs::write(&next, &manifest).map_err(|e| format!("write {}: {e}", next.display()))?;
        Ok(manifest)
    })));
    config.program = local.program;
    config.power = false;
    config.protect = false;
    // Whether the board allows it the compiler has asked; here it is up to who is root already.
    config.allow_privileged = true;
    // What a workstation is short of is seldom its pods' doing.
    config.evict = false;
    let outcome = super::drive::run(config, watch);
    if outcome == Ok(Outcome { shutdown: Shutdown::Again }) {
        fs::rename(root.join(NEXT), root.join(AGAIN)).map_err(|e| failed("hand over in", e))?;
        return outcome;
    }
    fs::remove_dir_all(&root).map_err(|e| failed("remove", e))?;
    outcome
}
