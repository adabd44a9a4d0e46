//! `podling inspect`: what is in a manifest, an image record or a board record, as YAML.

use crate::console::object::{self, Bytes, Format, Options};
use crate::manifest::codec::{self, Header, Kind};
use crate::manifest::eviction::{Signal, Threshold};
use crate::manifest::image::{Image, squashfs_name};
use crate::manifest::owner::{ClaimOwner, ClaimRetention};
use crate::manifest::pod::{Manifest, Node};
use crate::manifest::{List, board, check, limits};
use anyhow::{Context, anyhow, ensure};
use core::fmt::{self, Display, Write as _};
use core::net::Ipv4Addr;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::{format, io};

/// The arguments of `podling inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A manifest, an image record or a board record
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show the values of Secrets
    #[arg(long)]
    show_secrets: bool,
}

impl Args {
    /// Does it.
    pub fn run(self) -> anyhow::Result<()> {
        let text =
            inspect(&read(&self.file)?, self.show_secrets).with_context(|| format!("{}", self.file.display()))?;
        match io::stdout().write_all(text.as_bytes()) {
            // `podling inspect … | head`
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.context("cannot write to standard output"),
        }
    }
}

/// The bytes of the file at `path`, if there are not too many.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let mut bytes = Vec::new();
    let most = limits::MANIFEST.max(limits::IMAGE_RECORD).max(limits::BOARD);
    file.take(most as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    ensure!(bytes.len() <= most, "{name} is larger than a manifest or record can be; is this the right file?");
    Ok(bytes)
}

/// A whole file of any kind as text: its header in comments, its body in YAML.
pub fn inspect(bytes: &[u8], secrets: bool) -> anyhow::Result<String> {
    // The error of the wrong kind tells the right one.
    let (header, body) = match codec::open(bytes, Kind::Manifest) {
        Err(codec::Error::Kind { found, .. }) => codec::open(bytes, found),
        opened => opened,
    }
    .map_err(|error| match error {
        codec::Error::Foreign { .. } => {
            anyhow!("neither a manifest nor an image or board record of podling's")
        }
        error => anyhow!("{error}"),
    })?;
    let mut out = String::new();
    self::header(&mut out, &header)?;
    let wrong = |error: check::Error<'_>| anyhow!("the body is wrong: {error}");
    match header.kind {
        Kind::Manifest => manifest(&mut out, &check::manifest(body).map_err(wrong)?, secrets)?,
        Kind::Image => image(&mut out, &check::image(body).map_err(wrong)?)?,
        Kind::Board => board(&mut out, &check::board(body).map_err(wrong)?)?,
    }
    Ok(out)
}

fn header(out: &mut String, header: &Header<'_>) -> fmt::Result {
    let class = if header.class.is_empty() { "any board" } else { header.class };
    writeln!(out, "# {}, format version {}, for {class}", header.kind, header.version)?;
    let signed = if header.is_signed() { "signed (the signature is not checked here)" } else { "not signed" };
    writeln!(
        out,
        "# sequence {}, {} bytes, checksums right (CRC32C {:08x}), {signed}",
        header.sequence,
        codec::HEADER + header.body_len,
        header.body_crc,
    )
}

fn manifest(out: &mut String, manifest: &Manifest<'_>, secrets: bool) -> fmt::Result {
    let Node {
        backoff_base_ms,
        backoff_cap_ms,
        backoff_reset_ms,
        pod_pids_limit,
        shutdown_grace_seconds,
        eviction,
        memory_reserve,
    } = manifest.node;
    writeln!(
        out,
        "# node: back-off from {} s to {} s, forgotten after {} s; {pod_pids_limit} processes a pod; {shutdown_grace_seconds} s to shut down",
        seconds(backoff_base_ms),
        seconds(backoff_cap_ms),
        seconds(backoff_reset_ms),
    )?;
    write!(out, "# eviction: ")?;
    for (signal, threshold) in Signal::ALL.into_iter().zip(eviction.thresholds) {
        match threshold {
            None => write!(out, "{} by the board's size, ", signal.as_str())?,
            Some(Threshold::Amount(amount)) => write!(out, "{}<{}, ", signal.as_str(), Bytes(amount))?,
            Some(Threshold::Share(parts)) => write!(out, "{}<{}%, ", signal.as_str(), f32::from(parts) / 100.0)?,
        }
    }
    writeln!(out, "for {} s", eviction.transition_seconds)?;
    for ClaimOwner { namespace, name, retention } in manifest.claim_owners {
        let ClaimRetention { when_deleted, when_scaled } = retention;
        if retention != ClaimRetention::default() {
            let (deleted, scaled) = (when_deleted.as_str(), when_scaled.as_str());
            writeln!(out, "# claims of StatefulSet {namespace}/{name}: whenDeleted: {deleted}, whenScaled: {scaled}")?;
        }
    }
    match memory_reserve {
        None => writeln!(out, "# system reserved: memory by the board's size")?,
        Some(bytes) => writeln!(out, "# system reserved: memory {}", Bytes(bytes))?,
    }
    for pod in manifest.pods {
        out.push_str("---\n");
        object::pod(&pod, None, Format::Yaml, Options { secrets, files: true }, out)?;
    }
    Ok(())
}

/// Milliseconds as seconds, with a fraction only where there is one.
fn seconds(ms: u32) -> String {
    if ms.is_multiple_of(1000) { format!("{}", ms / 1000) } else { format!("{}.{:03}", ms / 1000, ms % 1000) }
}

fn image(out: &mut String, image: &Image<'_>) -> fmt::Result {
    pair(out, "reference", &quoted(image.reference))?;
    pair(out, "file", &squashfs_name(&image.sha256))?;
    pair(out, "size", &image.size)?;
    list(out, "entrypoint", image.entrypoint.iter().map(quoted))?;
    list(out, "cmd", image.cmd.iter().map(quoted))?;
    list(out, "env", image.env.iter().map(quoted))?;
    pair(out, "workingDir", &quoted(image.working_dir))?;
    pair(out, "uid", &image.uid)?;
    pair(out, "gid", &image.gid)?;
    list(out, "groups", image.groups.iter())?;
    pair(out, "stopSignal", &image.stop_signal)?;
    list(out, "ports", image.ports.iter().map(|p| format!("{}/{}", p.container, if p.udp { "UDP" } else { "TCP" })))
}

fn board(out: &mut String, board: &board::Board<'_>) -> fmt::Result {
    pair(out, "class", &quoted(board.class))?;
    pair(out, "hostname", &quoted(board.hostname))?;
    pair(out, "console", &quoted(board.console))?;
    pair(out, "slots", &quoted(board.slots))?;
    pair(out, "slotBytes", &board.slot_bytes)?;
    pair(out, "data", &quoted(board.data))?;
    pair(out, "dataFilesystem", &quoted(board.data_fs))?;
    pair(out, "allowPrivileged", &board.allow_privileged)?;
    for (size, pages) in board.huge_pages.iter() {
        pair(out, size.resource(), &pages)?;
    }
    if let Some(network) = &board.network {
        out.push_str("network:\n");
        pair(out, "  interface", &quoted(network.interface))?;
        pair(out, "  address", &format_args!("{}/{}", Ipv4Addr::from(network.address), network.prefix))?;
        for (key, address) in [("  gateway", network.gateway), ("  dns", network.dns)] {
            if let Some(address) = address {
                pair(out, key, &Ipv4Addr::from(address))?;
            }
        }
    }
    modules(out, board.modules)
}

fn modules(out: &mut String, modules: List<'_, &str>) -> fmt::Result {
    list(out, "modules", modules.iter().map(quoted))
}

/// A text in quotes, as JSON and so YAML have them.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn pair(out: &mut String, key: &str, value: &dyn Display) -> fmt::Result {
    writeln!(out, "{key}: {value}")
}

fn list(out: &mut String, key: &str, items: impl Iterator<Item = impl Display>) -> fmt::Result {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return writeln!(out, "{key}: []");
    }
    writeln!(out, "{key}:")?;
    for item in items {
        writeln!(out, "- {item}")?;
    }
    Ok(())
}
