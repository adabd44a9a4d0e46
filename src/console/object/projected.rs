//! downwardAPI and projected volumes, taken apart again into their sources.

use super::files;
use crate::console::emit::{Emit, Kind};
use crate::manifest::List;
use crate::manifest::codec;
use crate::manifest::fact::Fact;
use crate::manifest::pod::{Content, File, Pod, Projection, Source, Volume};
use alloc::vec::Vec;
use core::fmt;

type Projections<'a> = List<'a, Projection<'a>>;

/// Calls `show` for each document that the files of a volume are to be shown as: whether it is a Secret, and the files.
pub(super) fn documents(
    volume: &Volume<'_>,
    show: &mut dyn FnMut(bool, List<'_, File<'_>>) -> fmt::Result,
) -> fmt::Result {
    match volume.source {
        Source::Files { secret, files } => show(secret, files),
        Source::Projected { files } => [false, true].into_iter().try_for_each(|secret| {
            let bytes = of(files, secret);
            if bytes.is_empty() { Ok(()) } else { show(secret, List::from_bytes(&bytes)) }
        }),
        _ => Ok(()),
    }
}

/// The files that came from ConfigMaps, or from Secrets.
fn of(files: Projections<'_>, secret: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for file in files {
        let data = match file.content {
            Content::Plain(data) if !secret => data,
            Content::Secret(data) if secret => data,
            _ => continue,
        };
        let file = File { path: file.path, mode: file.mode, data };
        codec::write(&file, &mut |piece| {
            bytes.extend_from_slice(piece);
            true
        });
    }
    bytes
}

/// The volume's source.
pub(super) fn source(emit: &mut dyn Emit, pod: &Pod<'_>, volume: &str, files: Projections<'_>) -> fmt::Result {
    emit.pair("name", volume)?;
    emit.begin("projected", Kind::Map)?;
    emit.begin("sources", Kind::List)?;
    for (secret, field) in [(false, "configMap"), (true, "secret")] {
        let bytes = of(files, secret);
        if !bytes.is_empty() {
            emit.open(Kind::Map)?;
            emit.begin(field, Kind::Map)?;
            files::items(emit, List::from_bytes(&bytes))?;
            emit.pair("name", &files::name(pod, volume))?;
            emit.close()?;
            emit.close()?;
        }
    }
    let is_fact = |file: &Projection<'_>| matches!(file.content, Content::Fact(_));
    if files.iter().any(|file| is_fact(&file)) {
        emit.open(Kind::Map)?;
        emit.begin("downwardAPI", Kind::Map)?;
        emit.begin("items", Kind::List)?;
        for file in files.iter().filter(is_fact) {
            let Content::Fact(told) = file.content else { continue };
            emit.open(Kind::Map)?;
            if told.field().is_some() {
                fact(emit, pod, told)?;
            }
            emit.number("mode", &file.mode)?;
            emit.pair("path", file.path)?;
            if told.field().is_none() {
                fact(emit, pod, told)?;
            }
            emit.close()?;
        }
        emit.close()?;
        emit.close()?;
        emit.close()?;
    }
    emit.close()?;
    emit.close()
}

/// `fieldRef`, `resourceFieldRef` or `fileKeyRef`.
pub(super) fn fact(emit: &mut dyn Emit, pod: &Pod<'_>, fact: Fact<'_>) -> fmt::Result {
    if let Some((field, key)) = fact.field() {
        emit.begin("fieldRef", Kind::Map)?;
        match key {
            None => emit.pair("fieldPath", field)?,
            Some(key) => emit.pair("fieldPath", &alloc::format!("{field}['{key}']"))?,
        }
        return emit.close();
    }
    if let Fact::File(of) = fact {
        emit.begin("fileKeyRef", Kind::Map)?;
        emit.pair("key", of.key)?;
        super::flag(emit, "optional", of.optional)?;
        emit.pair("path", of.path)?;
        emit.pair("volumeName", pod.volumes.get(of.volume.into()).map_or("", |volume| volume.name))?;
        return emit.close();
    }
    let Fact::Resource(resource) = fact else { return Ok(()) };
    emit.begin("resourceFieldRef", Kind::Map)?;
    emit.pair("containerName", pod.containers.get(resource.container.into()).map_or("", |it| it.name))?;
    match u32::try_from(resource.divisor) {
        Ok(milli) if resource.of.is_cpu() => super::text(emit, "divisor", super::Cpu(milli))?,
        // The round ones of Kubernetes are told by their factor of ten.
        _ => super::text(emit, "divisor", Divisor(resource.divisor))?,
    }
    emit.pair("resource", resource.of.as_str())?;
    emit.close()
}

/// A divisor of bytes, as Kubernetes writes the round ones.
struct Divisor(u64);

impl fmt::Display for Divisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TENS: [(u64, &str); 4] =
            [(1_000, "1k"), (1_000_000, "1M"), (1_000_000_000, "1G"), (1_000_000_000_000, "1T")];
        match TENS.into_iter().find(|(value, _)| *value == self.0) {
            Some((_, word)) => f.write_str(word),
            None => super::Bytes(self.0).fmt(f),
        }
    }
}
