//! What a pod is, kept with it for the agent that adopts it: when it was made, and all that its manifest said of it.
//!
//! An agent with another manifest thereby knows what it has before it ([`crate::machine::change`]), and can look after a pod that
//! its own manifest does not have any more. The file is five lines and a manifest:
//!
//! ```text
//! podling pod 2
//! NAMESPACE
//! NAME
//! when it was made
//! when there was room for it
//! ```

use super::paths::PodPaths;
use super::start::Bytes;
use super::trouble::Trouble;
use crate::manifest::codec::{self, Kind};
use crate::manifest::pod::{Confinement, Container, Manifest, Pod};
use crate::manifest::time::Instant;
use crate::manifest::{List, check};
use std::format;
use std::fs;
use std::prelude::v1::*;

/// The first line: what it is, and in which version.
const META: &str = "podling pod 2";
/// The lines.
const LINES: usize = 5;
/// The class in the header of a manifest that is for no board.
const CLASS: &str = "pod";

/// The seccomp filters of a manifest.
pub(super) type Filters<'a> = List<'a, &'a [u8]>;

/// What a pod is, for the agent that adopts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// When it was made.
    pub(super) created: Instant,
    /// When there was room for it.
    pub(super) accepted: Instant,
    /// The body of [`alone`].
    pub(super) manifest: Vec<u8>,
}

impl Meta {
    /// Reads that of a pod; `None` where there is none that this program understands.
    pub(super) fn read(own: &PodPaths) -> Option<Meta> {
        let file = fs::read(own.meta()).ok()?;
        let mut parts = file.splitn(LINES + 1, |byte| *byte == b'\n');
        let mut line = || core::str::from_utf8(parts.next()?).ok();
        (line()? == META).then_some(())?;
        let (namespace, name) = (line()?.into(), line()?.into());
        let (created, accepted) = (Instant(line()?.parse().ok()?), Instant(line()?.parse().ok()?));
        let (_, body) = codec::open(parts.next()?, Kind::Manifest).ok()?;
        check::manifest(body).ok()?;
        Some(Meta { namespace, name, created, accepted, manifest: body.into() })
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, own: &PodPaths) -> Result<(), Trouble> {
        let Meta { namespace, name, created, accepted, manifest } = self;
        let lines = format!("{META}\n{namespace}\n{name}\n{}\n{}\n", created.0, accepted.0);
        let head = codec::seal(Kind::Manifest, CLASS, 0, manifest).map_err(|e| format!("keep pod {name}: {e}"))?;
        let whole = own.run.join("meta.new");
        fs::write(&whole, [lines.as_bytes(), &head, manifest].concat())
            .and_then(|()| fs::rename(&whole, own.meta()))
            .map_err(Trouble::at("write", &own.meta()))
    }
}

/// A manifest of one pod, with the filters that it needs, numbered as it names them first: so two that say the same are the same.
pub(super) fn alone(pod: &Pod<'_>, filters: Filters<'_>) -> Vec<u8> {
    let (mut used, mut containers, mut own, mut pods) =
        (Vec::new(), Bytes::default(), Bytes::default(), Bytes::default());
    for container in pod.containers {
        let mut seccomp = container.confinement.seccomp;
        if let Some(filter) = seccomp.filter_mut() {
            let at = used.iter().position(|other| other == filter).unwrap_or(used.len());
            if at == used.len() {
                used.push(*filter);
                filters.get((*filter).into()).iter().for_each(|filter| own.push(filter));
            }
            *filter = at as u8;
        }
        containers.push(&Container { confinement: Confinement { seccomp, ..container.confinement }, ..container });
    }
    pods.push(&Pod { containers: containers.list(), ..*pod });
    let mut manifest = Bytes::default();
    manifest.push(&Manifest { pods: pods.list(), filters: own.list(), ..Manifest::default() });
    manifest.into_vec()
}
