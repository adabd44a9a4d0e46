//! The same agent in the foreground of a workstation: `podling run`.

use super::drive::{Agent, Error, Outcome};
use std::path::PathBuf;
use std::prelude::v1::*;

/// Runs the pods of a manifest until Ctrl-C (or until all have ended, which only pods that do not restart for ever do), ends
/// them gracefully and leaves nothing behind. `watch` is called once, with the agent, before the first pod starts.
pub fn run(manifest: Vec<u8>, images: Vec<PathBuf>, watch: impl FnOnce(&Agent)) -> Result<Outcome, Error> {
    let _ = (manifest, images, watch);
    unimplemented!()
}
