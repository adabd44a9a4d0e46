//! Small OCI images made to measure: layers entry by entry, layouts with chosen digests, platforms and names.
#![allow(dead_code, reason = "each test file uses the part that it needs")]

pub mod bench;
pub mod registry;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// A layer under construction, as a tar stream.
#[derive(Clone, Default)]
pub struct Layer(pub Vec<u8>);

impl Layer {
    pub fn new() -> Layer {
        Layer::default()
    }

    /// Any entry, its name and target byte for byte; names over 100 bytes go into a PAX record.
    pub fn entry(mut self, kind: u8, name: &[u8], link: &[u8], mode: u32, owner: (u64, u64), bytes: &[u8]) -> Layer {
        if name.len() > 100 {
            self = self.pax(&[("path", name)]);
        }
        if link.len() > 100 {
            self = self.pax(&[("linkpath", link)]);
        }
        let mut header = tar::Header::new_ustar();
        let short = &name[..name.len().min(100)];
        header.as_old_mut().name[..short.len()].copy_from_slice(short);
        let short = &link[..link.len().min(100)];
        header.as_old_mut().linkname[..short.len()].copy_from_slice(short);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(mode);
        header.set_uid(owner.0);
        header.set_gid(owner.1);
        header.set_mtime(1_700_000_000);
        header.set_size(bytes.len() as u64);
        self.raw(header, bytes)
    }

    pub fn raw(mut self, mut header: tar::Header, bytes: &[u8]) -> Layer {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, bytes: &[u8]) -> Layer {
        self.entry(b'0', name.as_bytes(), b"", 0o644, (0, 0), bytes)
    }

    pub fn dir(self, name: &str) -> Layer {
        self.entry(b'5', name.as_bytes(), b"", 0o755, (0, 0), b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Layer {
        self.entry(b'2', name.as_bytes(), target.as_bytes(), 0o777, (0, 0), b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Layer {
        self.entry(b'1', name.as_bytes(), target.as_bytes(), 0o644, (0, 0), b"")
    }

    pub fn device(self, kind: u8, name: &str, major: u32, minor: u32) -> Layer {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        header.set_mtime(1_700_000_000);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.raw(header, b"")
    }

    /// PAX records for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Layer {
        let mut bytes = vec![];
        for (key, value) in records {
            let body = key.len() + value.len() + 3;
            let mut length = body;
            while length != body + length.to_string().len() {
                length = body + length.to_string().len();
            }
            bytes.extend_from_slice(format!("{length} {key}=").as_bytes());
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        self.entry(b'x', b"pax", b"", 0o644, (0, 0), &bytes)
    }

    /// The stream with its end marked.
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// One image of a layout.
pub struct Spec {
    pub tag: Option<&'static str>,
    pub arch: &'static str,
    pub config: Value,
    pub layers: Vec<(Vec<u8>, Packing)>,
}

/// How a layer is stored.
#[derive(Clone, Copy)]
pub enum Packing {
    Tar,
    Gzip,
    Zstd,
}

impl Spec {
    pub fn new(layers: Vec<Layer>) -> Spec {
        let layers = layers.into_iter().map(|layer| (layer.end(), Packing::Gzip)).collect();
        Spec { tag: Some("test/image:1"), arch: "arm64", config: json!({}), layers }
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes `bytes` as a blob; its descriptor.
pub fn blob(layout: &Path, media: &str, bytes: &[u8]) -> Value {
    let folder = layout.join("blobs/sha256");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(sha256(bytes)), bytes).unwrap();
    json!({"mediaType": media, "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()})
}

/// The manifest of `spec`, written with all its blobs; its descriptor.
pub fn image(layout: &Path, spec: &Spec) -> Value {
    let mut layers = vec![];
    let mut diff_ids = vec![];
    for (plain, packing) in &spec.layers {
        diff_ids.push(format!("sha256:{}", sha256(plain)));
        let (end, stored) = match packing {
            Packing::Tar => ("tar", plain.clone()),
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(vec![], Default::default());
                encoder.write_all(plain).unwrap();
                ("tar+gzip", encoder.finish().unwrap())
            }
            Packing::Zstd => ("tar+zstd", zstd::encode_all(&plain[..], 3).unwrap()),
        };
        layers.push(blob(layout, &format!("application/vnd.oci.image.layer.v1.{end}"), &stored));
    }
    let config = json!({
        "architecture": spec.arch, "os": "linux", "config": spec.config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = blob(layout, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    let mut descriptor = blob(layout, "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    if let Some(tag) = spec.tag {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    }
    descriptor
}

/// A whole layout.
pub fn layout(directory: &Path, specs: &[Spec]) {
    let manifests: Vec<Value> = specs.iter().map(|spec| image(directory, spec)).collect();
    write_index(directory, &manifests);
}

pub fn write_index(directory: &Path, manifests: &[Value]) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    fs::write(directory.join("index.json"), index.to_string()).unwrap();
}

/// Runs a tool that the project's set-up installs; its standard output.
pub fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; scripts/setup installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
