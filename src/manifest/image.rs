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
    /// What its programs run on, as OCI says it: `amd64`, `arm64`, `arm/v7`.
    pub platform: &'a str,
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

/// What a machine that uname(2) calls `machine` is as an image's platform: `aarch64` → `arm64`, `armv7l` → `arm/v7`.
pub fn platform_of_machine(machine: &str) -> &str {
    match machine {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        // The second is a 64-bit processor, seen from a 32-bit program.
        "armv7l" | "armv8l" => "arm/v7",
        "armv6l" => "arm/v6",
        "i386" | "i486" | "i586" | "i686" => "386",
        other => other,
    }
}

/// Whether a machine of the platform `node` runs programs for `platform`: those of its own architecture up to its variant, and
/// as containerd has it the 32-bit ones of the same maker.
pub fn runs(node: &str, platform: &str) -> bool {
    let parts = |platform| str::split_once(platform, '/').unwrap_or((platform, ""));
    let version = |variant: &str| variant.strip_prefix('v').and_then(|number| number.parse::<u8>().ok());
    match (parts(node), parts(platform)) {
        (("arm64", _), ("arm", _)) | (("amd64", _), ("386", _)) => true,
        // Where a variant is not said, nobody knows better than the programs themselves.
        (("arm", has), ("arm", needs)) => version(needs).zip(version(has)).is_none_or(|(needs, has)| needs <= has),
        ((has, _), (needs, _)) => has == needs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_runs_on_its_own_architecture_and_on_what_includes_it() {
        let machines = ["aarch64", "x86_64", "armv7l", "armv6l", "riscv64"];
        let on = |platform| machines.map(|machine| runs(platform_of_machine(machine), platform));
        assert_eq!(on("arm64"), [true, false, false, false, false]);
        assert_eq!(on("amd64"), [false, true, false, false, false]);
        assert_eq!(on("amd64/v3"), [false, true, false, false, false]);
        assert_eq!(on("386"), [false, true, false, false, false]);
        assert_eq!(on("arm/v7"), [true, false, true, false, false]);
        assert_eq!(on("arm/v6"), [true, false, true, true, false]);
        assert_eq!(on("arm"), [true, false, true, true, false]);
        assert_eq!(on("riscv64"), [false, false, false, false, true]);
    }

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
