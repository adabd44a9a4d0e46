//! configMap and secret volumes: files that were compiled in, shown as the documents that they can be compiled from again.

use super::{Options, REDACTED};
use crate::console::emit::{Base64, Emit, Kind};
use crate::manifest::List;
use crate::manifest::limits;
use crate::manifest::pod::{File, Pod};
use core::fmt::{self, Write};
use heapless::String;

type Files<'a> = List<'a, File<'a>>;
type Name = String<{ limits::SUBDOMAIN }>;

/// The document's name: `POD.VOLUME`. A volume's name has no dot, so no two volumes of a namespace share one.
pub(super) fn name(pod: &Pod<'_>, volume: &str) -> Name {
    let room = limits::SUBDOMAIN.saturating_sub(volume.len() + 1);
    let head = pod.name.get(..room).unwrap_or(pod.name).trim_end_matches(['-', '.']);
    let mut name = Name::new();
    let _ = write!(name, "{head}.{volume}");
    name
}

/// How the files are called in the document: by their paths where all of these are legal keys, else by numbers.
struct Keys {
    by_path: bool,
}

impl Keys {
    fn of(files: Files<'_>) -> Keys {
        let legal = |path: &str| {
            let byte = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            path.len() <= limits::SUBDOMAIN && path.bytes().all(byte)
        };
        Keys { by_path: files.iter().all(|file| legal(file.path)) }
    }

    fn key(&self, index: usize, file: &File<'_>) -> Name {
        let mut key = Name::new();
        let _ = match self.by_path {
            true => key.write_str(file.path),
            false => write!(key, "file-{index}"),
        };
        key
    }
}

/// The volume: which document, which of its keys go where, with which permissions.
pub(super) fn source(emit: &mut dyn Emit, pod: &Pod<'_>, volume: &str, secret: bool, files: Files<'_>) -> fmt::Result {
    let keys = Keys::of(files);
    let mode = files.iter().next().map_or(0o644, |file| file.mode);
    let items = !keys.by_path || files.iter().any(|file| file.mode != mode);
    if secret {
        emit.pair("name", volume)?;
    }
    emit.begin(if secret { "secret" } else { "configMap" }, Kind::Map)?;
    emit.number("defaultMode", &mode)?;
    if items {
        self::items(emit, files)?;
    }
    emit.pair(if secret { "secretName" } else { "name" }, &name(pod, volume))?;
    emit.close()?;
    if secret { Ok(()) } else { emit.pair("name", volume) }
}

/// Each file with its key and mode.
pub(super) fn items(emit: &mut dyn Emit, files: Files<'_>) -> fmt::Result {
    let keys = Keys::of(files);
    emit.begin("items", Kind::List)?;
    for (index, file) in files.iter().enumerate() {
        emit.open(Kind::Map)?;
        emit.pair("key", &keys.key(index, &file))?;
        emit.number("mode", &file.mode)?;
        emit.pair("path", file.path)?;
        emit.close()?;
    }
    emit.close()
}

/// The document.
pub(super) fn document(
    emit: &mut dyn Emit,
    pod: &Pod<'_>,
    volume: &str,
    secret: bool,
    files: Files<'_>,
    options: Options,
) -> fmt::Result {
    emit.open(Kind::Map)?;
    emit.pair("apiVersion", "v1")?;
    if !secret {
        section(emit, "binaryData", files, |file| core::str::from_utf8(file.data).is_err(), base64)?;
        section(emit, "data", files, |file| core::str::from_utf8(file.data).is_ok(), plain)?;
    } else if options.secrets {
        section(emit, "data", files, |_| true, base64)?;
    }
    emit.pair("kind", if secret { "Secret" } else { "ConfigMap" })?;
    emit.begin("metadata", Kind::Map)?;
    emit.pair("name", &name(pod, volume))?;
    emit.pair("namespace", pod.namespace)?;
    emit.close()?;
    if secret {
        if !options.secrets {
            section(emit, "stringData", files, |_| true, |emit, _| emit.text(REDACTED))?;
        }
        emit.pair("type", "Opaque")?;
    }
    emit.close()
}

fn section(
    emit: &mut dyn Emit,
    title: &str,
    files: Files<'_>,
    chosen: impl Fn(&File<'_>) -> bool,
    value: impl Fn(&mut dyn Emit, &File<'_>) -> fmt::Result,
) -> fmt::Result {
    if !files.iter().any(|file| chosen(&file)) {
        return Ok(());
    }
    let keys = Keys::of(files);
    emit.begin(title, Kind::Map)?;
    for (index, file) in files.iter().enumerate().filter(|(_, file)| chosen(file)) {
        emit.key(&keys.key(index, &file))?;
        value(emit, &file)?;
    }
    emit.close()
}

fn base64(emit: &mut dyn Emit, file: &File<'_>) -> fmt::Result {
    emit.raw(&Base64(file.data))
}

fn plain(emit: &mut dyn Emit, file: &File<'_>) -> fmt::Result {
    emit.text(core::str::from_utf8(file.data).unwrap_or_default())
}
