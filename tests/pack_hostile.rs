//! Failure F11, images: no archive, however hostile or damaged, gets further than an error, and none leaves anything behind.

mod images;

use images::bench::Bench;
use images::{Layer, Packing, Spec, layout, sha256};
use podling::host::layers::{Limits, Rootfs};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

#[test]
fn f11_hostile_archives_are_refused() {
    let long = |n: usize| "x".repeat(n);
    let deep = "d/".repeat(300);
    let cases: Vec<(&str, Layer)> = vec![
        ("`..` is in its name", Layer::new().file("../escape", b"")),
        ("`..` is in its name", Layer::new().file("a/../../escape", b"")),
        ("its name is absolute", Layer::new().file("/etc/passwd", b"")),
        ("a NUL is in its name", Layer::new().pax(&[("path", b"a\0b")]).file("a", b"")),
        ("a part of its name is longer", Layer::new().file(&long(256), b"")),
        ("its name is longer", Layer::new().file(&format!("{}/x", "y/".repeat(2100)), b"")),
        ("directories deep", Layer::new().file(&deep, b"")),
        ("hard link's target \"../x\"", Layer::new().hard_link("a", "../x")),
        ("`..` is in its name", Layer::new().hard_link("a", "/../etc/passwd")),
        ("does not exist", Layer::new().hard_link("a", "etc/passwd")),
        ("is a directory", Layer::new().dir("d").hard_link("a", "d")),
        ("is no directory", Layer::new().file("f", b"").file("f/below", b"")),
        ("leads nowhere", Layer::new().symlink("l", "/nowhere").file("l/x", b"")),
        ("symlinks are on its path", Layer::new().symlink("l", "m").symlink("m", "l").file("l/x", b"")),
        ("target of the symlink", Layer::new().symlink("l", "")),
        ("the root of an image", Layer::new().symlink(".", "/etc")),
        ("the root of an image", Layer::new().file("f", b"").hard_link("./", "f")),
        ("the root of an image", Layer::new().symlink("/", "/etc")),
        ("the root of an image", Layer::new().file("f", b"").hard_link("/", "f")),
        ("its name is absolute", Layer::new().dir("//")),
        ("its name is absolute", Layer::new().dir("/etc")),
        ("a whiteout of nothing", Layer::new().file(".wh...", b"")),
        ("a whiteout of nothing", Layer::new().file("a/.wh.", b"")),
        ("its name is absolute", Layer::new().file("/.wh..wh..opq", b"")),
        ("its name is absolute", Layer::new().file("/.wh.etc", b"")),
        ("of a kind that no image holds", Layer::new().entry(b'Z', b"z", b"", 0, (0, 0), b"")),
        ("sparse files", Layer::new().entry(b'S', b"s", b"", 0, (0, 0), b"")),
        ("sparse files", Layer::new().pax(&[("GNU.sparse.major", b"1")]).file("s", b"")),
        ("no user or group number", Layer::new().entry(b'0', b"f", b"", 0, (1 << 33, 0), b"")),
        ("PAX record uid", Layer::new().pax(&[("uid", b"-1")]).file("f", b"")),
        ("two sizes", Layer::new().pax(&[("size", b"7")]).file("f", b"12")),
        ("a PAX record is malformed", Layer::new().entry(b'x', b"p", b"", 0, (0, 0), b"99 path=x\n").file("f", b"")),
        ("follow an entry that is no file", Layer::new().entry(b'5', b"d", b"", 0, (0, 0), b"data")),
        ("ends after a header", Layer::new().pax(&[("path", b"x")])),
        ("device number", Layer::new().device(b'3', "dev", 5000, 0)),
    ];
    for (n, (wanted, layer)) in cases.into_iter().enumerate() {
        let said = Bench::new().refusal(vec![layer]);
        assert!(said.contains(wanted), "case {n}: {wanted:?} is not in {said:?}");
    }
}

#[test]
fn f11_archives_that_lie_about_sizes_are_refused() {
    // A file that says more bytes than the stream has.
    let mut cut = Layer::new().file("f", &[7; 4000]);
    cut.0.truncate(1024);
    let mut spec = Spec::new(vec![]);
    spec.layers.push((cut.0, Packing::Tar));
    let bench = Bench::new();
    let said = format!("{:#}", bench.pack(&[spec]).unwrap_err());
    assert!(said.contains("4000 bytes, and 512 follow"), "{said}");
    bench.is_empty();

    // A long name of a gigabyte is not read into memory.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::new(b'L'));
    header.set_size(1 << 30);
    let said = Bench::new().refusal(vec![Layer::new().raw(header, b"")]);
    assert!(said.contains("is too long"), "{said}");
}

#[test]
fn f11_bombs_stop_at_the_limits() {
    let limits = |bytes, entries| Limits { bytes, entries };
    let bench = Bench::new();
    layout(&bench.layout(), &[Spec::new(vec![Layer::new().file("zeros", &vec![0; 8 << 20])])]);
    let stored = fs::read_dir(bench.layout().join("blobs/sha256"))
        .unwrap()
        .flatten()
        .map(|blob| blob.metadata().unwrap().len())
        .max();
    assert!(stored.unwrap() < 64 << 10, "the layer is small as it is stored");
    let said = format!("{:#}", bench.pack_again(None, None, limits(1 << 20, 10)).unwrap_err());
    assert!(said.contains("larger than was allowed"), "{said}");
    bench.is_empty();
    bench.pack_again(None, None, limits(9 << 20, 10)).unwrap();

    let many = (0..20).fold(Layer::new(), |layer, n| layer.file(&format!("{n}"), b""));
    let bench = Bench::new();
    layout(&bench.layout(), &[Spec::new(vec![many])]);
    let said = format!("{:#}", bench.pack_again(None, None, limits(1 << 20, 19)).unwrap_err());
    assert!(said.contains("more than 19 entries"), "{said}");
}

#[test]
fn f11_every_blob_is_checked_by_size_and_digest() {
    let spec = || Spec::new(vec![Layer::new().file("f", &[1; 2000])]);
    let scratch = Bench::new();
    layout(&scratch.layout(), &[spec()]);
    let mut blobs: Vec<PathBuf> =
        fs::read_dir(scratch.layout().join("blobs/sha256")).unwrap().flatten().map(|entry| entry.path()).collect();
    blobs.sort();
    assert_eq!(blobs.len(), 3, "manifest, configuration, layer");
    for path in blobs {
        let good = fs::read(&path).unwrap();
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for (bad, wanted) in [(flipped, "is damaged"), ([&good[..], b" "].concat(), "bytes, not the")] {
            fs::write(&path, bad).unwrap();
            let said = format!("{:#}", scratch.pack_again(None, None, Limits::default()).unwrap_err());
            assert!(said.contains(wanted), "{wanted:?} is not in {said:?}");
            scratch.is_empty();
        }
        fs::remove_file(&path).unwrap();
        let said = format!("{:#}", scratch.pack_again(None, None, Limits::default()).unwrap_err());
        assert!(said.contains("cannot read"), "{said}");
        fs::write(&path, good).unwrap();
    }
    scratch.pack_again(None, None, Limits::default()).unwrap();
}

#[test]
fn the_uncompressed_digest_is_checked_too() {
    let bench = Bench::new();
    let other = sha256(b"something else");
    layout(&bench.layout(), &[Spec::new(vec![Layer::new().file("f", b"1")])]);
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.layout().join("index.json")).unwrap()).unwrap();
    let read = |digest: &serde_json::Value| -> serde_json::Value {
        let name = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        serde_json::from_slice(&fs::read(bench.layout().join("blobs/sha256").join(name)).unwrap()).unwrap()
    };
    let mut manifest = read(&index["manifests"][0]["digest"]);
    let mut config = read(&manifest["config"]["digest"]);
    config["rootfs"]["diff_ids"][0] = json!(format!("sha256:{other}"));
    manifest["config"] =
        images::blob(&bench.layout(), "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let descriptor =
        images::blob(&bench.layout(), "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    images::write_index(&bench.layout(), &[descriptor]);
    let said = format!("{:#}", bench.pack_again(Some("x"), None, Limits::default()).unwrap_err());
    assert!(said.contains("the image says") && said.contains(&other), "{said}");
}

/// F11: no mutation of a tar stream makes the reader panic, loop, or take more than its limits.
#[test]
fn f11_mutated_layers_never_panic() {
    let seed = Layer::new()
        .dir("a")
        .file("a/b", &[1; 700])
        .symlink("l", "a")
        .hard_link("h", "a/b")
        .pax(&[("path", b"long/name"), ("SCHILY.xattr.security.capability", b"\n\n")])
        .file("x", b"12345")
        .file("a/.wh.b", b"")
        .file("l/.wh..wh..opq", b"")
        .device(b'3', "dev", 1, 3)
        .entry(b'L', b"././@LongLink", b"", 0, (0, 0), b"a/very/long/name\0")
        .file("short", b"z")
        .end();
    let scratch = tempfile::tempdir().unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % bound as u64) as usize
    };
    let (mut good, rounds) = (0, 10_000);
    for _ in 0..rounds {
        let mut bytes = seed.clone();
        for _ in 0..1 + next(4) {
            let (at, other) = (next(bytes.len()), next(bytes.len()));
            match next(5) {
                0 => bytes[at] ^= 1 << next(8),
                1 => bytes[at] = [0, b'/', b'.', b'7', 0xff, b' '][next(6)],
                2 => bytes.truncate(at.max(1)),
                3 => bytes.swap(at, other),
                _ => {
                    let block = bytes[at / 512 * 512..].iter().take(512).copied().collect::<Vec<_>>();
                    let other = other / 512 * 512;
                    bytes.splice(other..other, block);
                }
            }
        }
        // Three in four get their checksums right, or few would be read beyond their first header.
        if next(4) > 0 {
            fix_checksums(&mut bytes);
        }
        let mut rootfs = Rootfs::new(scratch.path(), Limits { bytes: 1 << 20, entries: 100 }).unwrap();
        good += usize::from(rootfs.apply(&bytes[..]).is_ok());
        assert!(rootfs.unpacked() <= 1 << 20);
    }
    assert!(
        good > rounds / 20 && good < rounds,
        "{good} of {rounds} were read: the mutations are too wild or too tame"
    );
}

fn fix_checksums(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
    }
}
