//! What the board must know of an image: the record beside each squashfs, and how images are named and found.

use super::{List, limits};
use core::fmt::Write;
use heapless::String;
use serde::{Deserialize, Serialize};

/// The record of one packed image: `images/NAME.image` beside `images/SHA256.squashfs`.
///
/// Its file is [`crate::manifest::codec`]'s frame around these postcard bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image<'a> {
    /// The normalised reference.
    pub reference: &'a str,
    /// SHA-256 of the squashfs file; in lower-case hexadecimal it is the file's name.
    pub sha256: [u8; 32],
    /// Bytes of the squashfs file.
    pub size: u64,
    /// `Entrypoint`.
    #[serde(borrow)]
    pub entrypoint: List<'a, &'a str>,
    /// `Cmd`.
    #[serde(borrow)]
    pub cmd: List<'a, &'a str>,
    /// `Env`, each `NAME=value`.
    #[serde(borrow)]
    pub env: List<'a, &'a str>,
    /// `WorkingDir`; `/` where the image says none.
    pub working_dir: &'a str,
    /// `User`, resolved in the image's own /etc/passwd.
    pub uid: u32,
    /// Its group, resolved likewise.
    pub gid: u32,
    /// Its further groups in the image's /etc/group, where `User` names no group.
    #[serde(borrow)]
    pub groups: List<'a, u32>,
    /// `StopSignal` as a number of the board's architecture; 15 where the image says none.
    pub stop_signal: u8,
    /// `ExposedPorts`.
    #[serde(borrow)]
    pub ports: List<'a, super::pod::Port>,
}

/// A reference in full: `nginx` → `docker.io/library/nginx:latest`, `ghcr.io/a/b` → `ghcr.io/a/b:latest`.
///
/// `None` where the result does not fit [`limits::IMAGE`] or holds bytes that no reference may hold.
pub fn normalise(reference: &str) -> Option<String<{ limits::IMAGE }>> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+".contains(&byte);
    if reference.is_empty() || !reference.bytes().all(legal) || reference.split('/').any(str::is_empty) {
        return None;
    }
    let (first, more) = reference.split_once('/').unwrap_or(("", reference));
    let has_registry = first.contains(['.', ':']) || first == "localhost";
    let mut full = String::new();
    if !has_registry {
        full.push_str("docker.io/").ok()?;
        if first.is_empty() {
            full.push_str("library/").ok()?;
        }
    }
    full.push_str(reference).ok()?;
    let name = more.rsplit('/').next().unwrap_or(more);
    if !name.contains([':', '@']) {
        full.push_str(":latest").ok()?;
    }
    Some(full)
}

/// The name of the record's file: the normalised reference with `/` as `%2F`, and `.image`.
pub fn record_name(reference: &str) -> Option<String<255>> {
    let mut name = String::new();
    for (n, part) in reference.split('/').enumerate() {
        if n > 0 {
            name.push_str("%2F").ok()?;
        }
        name.push_str(part).ok()?;
    }
    name.push_str(".image").ok()?;
    Some(name)
}

/// The name of the squashfs file.
pub fn squashfs_name(sha256: &[u8; 32]) -> String<80> {
    let mut name = String::new();
    for byte in sha256 {
        let _ = write!(name, "{byte:02x}");
    }
    let _ = name.push_str(".squashfs");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_normalised_as_docker_does() {
        let full = |r| normalise(r).unwrap();
        assert_eq!(full("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(full("nginx:1.25"), "docker.io/library/nginx:1.25");
        assert_eq!(full("me/app"), "docker.io/me/app:latest");
        assert_eq!(full("localhost/app"), "localhost/app:latest");
        assert_eq!(full("host:5000/app"), "host:5000/app:latest");
        assert_eq!(full("ghcr.io/a/b@sha256:00"), "ghcr.io/a/b@sha256:00");
        for bad in ["", "a//b", "/a", "a b", "a\0", "ä"] {
            assert_eq!(normalise(bad), None, "{bad:?}");
        }
        assert_eq!(record_name("docker.io/me/app:1").unwrap(), "docker.io%2Fme%2Fapp:1.image");
    }
}
