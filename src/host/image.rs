//! `podling image`.

/// The arguments of `podling image`.
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Does it.
    pub fn run(self) -> anyhow::Result<()> {
        anyhow::bail!("not built yet")
    }
}
