//! `podling pack`: layers flatten as Docker does it, and no archive, however hostile, gets further than an error
//! (failure F11). The results are read back with squashfs-tools and with the kernel's own squashfs.

mod images;

use images::{Layer, Packing, Spec, layout, sha256, tool};
use podling::host::layers::{Limits, Rootfs};
use podling::host::pack::{Outcome, pack};
use podling::manifest::codec::{self, Kind};
use podling::manifest::image::Image;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A place for one test: a layout, and what becomes of it.
struct Bench {
    directory: TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn layout(&self) -> PathBuf {
        self.directory.path().join("layout")
    }

    fn output(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    fn source(&self) -> String {
        format!("oci:{}", self.layout().display())
    }

    fn pack(&self, specs: &[Spec]) -> anyhow::Result<Outcome> {
        layout(&self.layout(), specs);
        self.pack_again(None, None, Limits::default())
    }

    fn pack_again(
        &self,
        name: Option<&str>,
        arch: Option<&str>,
        limits: Limits,
    ) -> anyhow::Result<Outcome> {
        pack(&self.source(), name, arch, &self.output(), limits)
    }

    /// What packing `layers` says, and that it leaves nothing behind.
    fn refusal(&self, layers: Vec<Layer>) -> String {
        let error = self
            .pack(&[Spec::new(layers)])
            .expect_err("this image must be refused");
        self.is_empty();
        format!("{error:#}")
    }

    fn is_empty(&self) {
        let left: Vec<_> = fs::read_dir(self.output()).unwrap().flatten().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// Path → mode, owner, size and target, as unsquashfs lists them.
fn listing(squashfs: &Path) -> BTreeMap<String, String> {
    let text = tool("unsquashfs", &["-lln", squashfs.to_str().unwrap()]);
    let lines = text.lines().filter_map(|line| {
        let (facts, path) = line.split_once("squashfs-root")?;
        let facts: Vec<&str> = facts.split_whitespace().collect();
        let facts = match facts[0].as_bytes()[0] {
            // The size of a directory is squashfs's own affair.
            b'd' => format!("{} {}", facts[0], facts[1]),
            _ => format!("{} {} {}", facts[0], facts[1], facts[2]),
        };
        Some((path.to_string(), facts))
    });
    lines.collect()
}

fn names(squashfs: &Path) -> Vec<String> {
    let all = listing(squashfs).into_keys();
    all.filter(|name| !name.is_empty()).collect()
}

#[test]
fn layers_flatten_with_whiteouts_and_opaque_directories() {
    let lower = Layer::new()
        .dir("a")
        .file("a/gone", b"1")
        .file("a/kept", b"2")
        .dir("b")
        .file("b/old", b"3")
        .dir("b/deep")
        .file("b/deep/old", b"4")
        .file("c", b"a file")
        .dir("d")
        .file("d/x", b"5");
    let upper = Layer::new()
        .file("a/.wh.gone", b"")
        .file("a/.wh.never-there", b"")
        // Opaque hides lower layers only, wherever in its own layer it stands.
        .file("b/deep/new", b"6")
        .file("b/.wh..wh..opq", b"")
        .file("b/new", b"7")
        // A file gives way to a directory, a directory to a file.
        .dir("c")
        .file("c/inside", b"8")
        .file("d", b"now a file")
        .file("./.wh..wh.plnk/1.2", b"what AUFS left");
    let bench = Bench::new();
    let done = bench.pack(&[Spec::new(vec![lower, upper])]).unwrap();
    let expected = [
        "/a",
        "/a/kept",
        "/b",
        "/b/deep",
        "/b/deep/new",
        "/b/new",
        "/c",
        "/c/inside",
        "/d",
    ];
    assert_eq!(names(&done.squashfs), expected);
}

#[test]
fn a_whiteout_spares_what_its_own_layer_brings() {
    let lower = Layer::new().dir("x").file("x/old", b"1");
    let upper = Layer::new().dir("x").file("x/new", b"2").file(".wh.x", b"");
    let bench = Bench::new();
    let done = bench.pack(&[Spec::new(vec![lower, upper])]).unwrap();
    assert_eq!(names(&done.squashfs), ["/x", "/x/new"]);
}

#[test]
fn every_kind_of_file_keeps_its_owner_mode_and_target() {
    let layer = Layer::new()
        .entry(b'5', b"./", b"", 0o1755, (3, 4), b"")
        .entry(b'0', b"setuid", b"", 0o4755, (1000, 1001), b"program")
        .symlink("link", "/etc/../setuid")
        .hard_link("second", "/setuid")
        .device(b'3', "char", 5, 1)
        .device(b'4', "block", 8, 17)
        .device(b'6', "fifo", 0, 0)
        .file("empty", b"")
        .entry(
            b'0',
            "ünicode\u{1f600} and a space".as_bytes(),
            b"",
            0o400,
            (70_000, 4_000_000_000),
            b"x",
        );
    let bench = Bench::new();
    let done = bench.pack(&[Spec::new(vec![layer])]).unwrap();
    let list = listing(&done.squashfs);
    assert_eq!(list[""], "drwxr-xr-t 3/4");
    assert_eq!(list["/setuid"], "-rwsr-xr-x 1000/1001 7");
    assert_eq!(list["/second"], "-rwsr-xr-x 1000/1001 7");
    assert_eq!(list["/link -> /etc/../setuid"], "lrwxrwxrwx 0/0 14");
    assert_eq!(list["/char"], "crw------- 0/0 5,");
    assert_eq!(list["/block"], "brw------- 0/0 8,");
    assert_eq!(list["/fifo"], "prw------- 0/0 0");
    assert_eq!(list["/empty"], "-rw-r--r-- 0/0 0");
    assert_eq!(
        list["/ünicode\u{1f600} and a space"],
        "-r-------- 70000/4000000000 1"
    );
}

#[test]
fn symlinks_on_the_way_stay_inside_the_image() {
    let lower = Layer::new()
        .dir("usr/lib")
        .symlink("lib", "usr/lib")
        .symlink("up", "../../../..")
        .symlink("abs", "/usr");
    let upper = Layer::new()
        .file("lib/one", b"1")
        .file("up/two", b"2")
        .file("abs/lib/three", b"3")
        .hard_link("four", "lib/one");
    let bench = Bench::new();
    let done = bench.pack(&[Spec::new(vec![lower, upper])]).unwrap();
    let names = names(&done.squashfs);
    for name in [
        "/usr/lib/one",
        "/two",
        "/usr/lib/three",
        "/four",
        "/lib -> usr/lib",
    ] {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
}

#[test]
fn f11_hostile_archives_are_refused() {
    let long = |n: usize| "x".repeat(n);
    let deep = "d/".repeat(300);
    let cases: Vec<(&str, Layer)> = vec![
        ("`..` is in its name", Layer::new().file("../escape", b"")),
        (
            "`..` is in its name",
            Layer::new().file("a/../../escape", b""),
        ),
        (
            "its name is absolute",
            Layer::new().file("/etc/passwd", b""),
        ),
        (
            "a NUL is in its name",
            Layer::new().pax(&[("path", b"a\0b")]).file("a", b""),
        ),
        (
            "a part of its name is longer",
            Layer::new().file(&long(256), b""),
        ),
        (
            "its name is longer",
            Layer::new().file(&format!("{}/x", "y/".repeat(2100)), b""),
        ),
        ("directories deep", Layer::new().file(&deep, b"")),
        (
            "hard link's target \"../x\"",
            Layer::new().hard_link("a", "../x"),
        ),
        (
            "`..` is in its name",
            Layer::new().hard_link("a", "/../etc/passwd"),
        ),
        ("does not exist", Layer::new().hard_link("a", "etc/passwd")),
        ("is a directory", Layer::new().dir("d").hard_link("a", "d")),
        (
            "is no directory",
            Layer::new().file("f", b"").file("f/below", b""),
        ),
        (
            "leads nowhere",
            Layer::new().symlink("l", "/nowhere").file("l/x", b""),
        ),
        (
            "symlinks are on its path",
            Layer::new()
                .symlink("l", "m")
                .symlink("m", "l")
                .file("l/x", b""),
        ),
        ("target of the symlink", Layer::new().symlink("l", "")),
        ("the root of an image", Layer::new().symlink(".", "/etc")),
        (
            "the root of an image",
            Layer::new().file("f", b"").hard_link("./", "f"),
        ),
        ("a whiteout of nothing", Layer::new().file(".wh...", b"")),
        ("a whiteout of nothing", Layer::new().file("a/.wh.", b"")),
        (
            "its name is absolute",
            Layer::new().file("/.wh..wh..opq", b""),
        ),
        (
            "of a kind that no image holds",
            Layer::new().entry(b'Z', b"z", b"", 0, (0, 0), b""),
        ),
        (
            "sparse files",
            Layer::new().entry(b'S', b"s", b"", 0, (0, 0), b""),
        ),
        (
            "sparse files",
            Layer::new()
                .pax(&[("GNU.sparse.major", b"1")])
                .file("s", b""),
        ),
        (
            "no user or group number",
            Layer::new().entry(b'0', b"f", b"", 0, (1 << 33, 0), b""),
        ),
        (
            "PAX record uid",
            Layer::new().pax(&[("uid", b"-1")]).file("f", b""),
        ),
        (
            "two sizes",
            Layer::new().pax(&[("size", b"7")]).file("f", b"12"),
        ),
        (
            "a PAX record is malformed",
            Layer::new()
                .entry(b'x', b"p", b"", 0, (0, 0), b"99 path=x\n")
                .file("f", b""),
        ),
        (
            "follow an entry that is no file",
            Layer::new().entry(b'5', b"d", b"", 0, (0, 0), b"data"),
        ),
        ("ends after a header", Layer::new().pax(&[("path", b"x")])),
        ("device number", Layer::new().device(b'3', "dev", 5000, 0)),
    ];
    for (n, (wanted, layer)) in cases.into_iter().enumerate() {
        let said = Bench::new().refusal(vec![layer]);
        assert!(
            said.contains(wanted),
            "case {n}: {wanted:?} is not in {said:?}"
        );
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
    layout(
        &bench.layout(),
        &[Spec::new(vec![
            Layer::new().file("zeros", &vec![0; 8 << 20]),
        ])],
    );
    let stored = fs::read_dir(bench.layout().join("blobs/sha256"))
        .unwrap()
        .flatten()
        .map(|blob| blob.metadata().unwrap().len())
        .max();
    assert!(
        stored.unwrap() < 64 << 10,
        "the layer is small as it is stored"
    );
    let said = format!(
        "{:#}",
        bench
            .pack_again(None, None, limits(1 << 20, 10))
            .unwrap_err()
    );
    assert!(said.contains("larger than was allowed"), "{said}");
    bench.is_empty();
    bench.pack_again(None, None, limits(9 << 20, 10)).unwrap();

    let many = (0..20).fold(Layer::new(), |layer, n| layer.file(&format!("{n}"), b""));
    let bench = Bench::new();
    layout(&bench.layout(), &[Spec::new(vec![many])]);
    let said = format!(
        "{:#}",
        bench
            .pack_again(None, None, limits(1 << 20, 19))
            .unwrap_err()
    );
    assert!(said.contains("more than 19 entries"), "{said}");
}

#[test]
fn f11_every_blob_is_checked_by_size_and_digest() {
    let spec = || Spec::new(vec![Layer::new().file("f", &[1; 2000])]);
    let scratch = Bench::new();
    layout(&scratch.layout(), &[spec()]);
    let mut blobs: Vec<PathBuf> = fs::read_dir(scratch.layout().join("blobs/sha256"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    blobs.sort();
    assert_eq!(blobs.len(), 3, "manifest, configuration, layer");
    for path in blobs {
        let good = fs::read(&path).unwrap();
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for (bad, wanted) in [
            (flipped, "is damaged"),
            ([&good[..], b" "].concat(), "bytes, not the"),
        ] {
            fs::write(&path, bad).unwrap();
            let said = format!(
                "{:#}",
                scratch
                    .pack_again(None, None, Limits::default())
                    .unwrap_err()
            );
            assert!(said.contains(wanted), "{wanted:?} is not in {said:?}");
            scratch.is_empty();
        }
        fs::remove_file(&path).unwrap();
        let said = format!(
            "{:#}",
            scratch
                .pack_again(None, None, Limits::default())
                .unwrap_err()
        );
        assert!(said.contains("cannot read"), "{said}");
        fs::write(&path, good).unwrap();
    }
    scratch.pack_again(None, None, Limits::default()).unwrap();
}

#[test]
fn the_uncompressed_digest_is_checked_too() {
    let bench = Bench::new();
    let other = sha256(b"something else");
    layout(
        &bench.layout(),
        &[Spec::new(vec![Layer::new().file("f", b"1")])],
    );
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.layout().join("index.json")).unwrap()).unwrap();
    let read = |digest: &serde_json::Value| -> serde_json::Value {
        let name = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        serde_json::from_slice(&fs::read(bench.layout().join("blobs/sha256").join(name)).unwrap())
            .unwrap()
    };
    let mut manifest = read(&index["manifests"][0]["digest"]);
    let mut config = read(&manifest["config"]["digest"]);
    config["rootfs"]["diff_ids"][0] = json!(format!("sha256:{other}"));
    manifest["config"] = images::blob(
        &bench.layout(),
        "application/vnd.oci.image.config.v1+json",
        config.to_string().as_bytes(),
    );
    let descriptor = images::blob(
        &bench.layout(),
        "application/vnd.oci.image.manifest.v1+json",
        manifest.to_string().as_bytes(),
    );
    images::write_index(&bench.layout(), &[descriptor]);
    let said = format!(
        "{:#}",
        bench
            .pack_again(Some("x"), None, Limits::default())
            .unwrap_err()
    );
    assert!(
        said.contains("the image says") && said.contains(&other),
        "{said}"
    );
}

#[test]
fn layers_are_read_as_tar_gzip_and_zstd() {
    let mut spec = Spec::new(vec![]);
    for (name, packing) in [
        ("1", Packing::Tar),
        ("2", Packing::Gzip),
        ("3", Packing::Zstd),
    ] {
        spec.layers
            .push((Layer::new().file(name, name.as_bytes()).end(), packing));
    }
    let bench = Bench::new();
    assert_eq!(
        names(&bench.pack(&[spec]).unwrap().squashfs),
        ["/1", "/2", "/3"]
    );
}

#[test]
fn the_platform_is_the_one_asked_for_or_the_only_one() {
    let spec = |arch: &'static str| Spec {
        arch,
        tag: None,
        ..Spec::new(vec![Layer::new().file(arch, b"")])
    };
    let bench = Bench::new();
    let manifests: Vec<_> = ["arm64", "amd64"]
        .into_iter()
        .map(|arch| images::image(&bench.layout(), &spec(arch)))
        .collect();
    // One with its platform in an index within the index, one that only its configuration knows.
    let mut inner = manifests[0].clone();
    inner["platform"] = json!({"architecture": "arm64", "os": "linux", "variant": "v8"});
    let mut attestation = manifests[1].clone();
    attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    let index = json!({"schemaVersion": 2, "manifests": [inner, attestation]});
    let nested = images::blob(
        &bench.layout(),
        "application/vnd.oci.image.index.v1+json",
        index.to_string().as_bytes(),
    );
    images::write_index(&bench.layout(), &[nested, manifests[1].clone()]);

    let said = format!(
        "{:#}",
        bench
            .pack_again(Some("x"), None, Limits::default())
            .unwrap_err()
    );
    assert!(said.contains("--arch: amd64, arm64"), "{said}");
    let said = format!(
        "{:#}",
        bench
            .pack_again(Some("x"), Some("riscv64"), Limits::default())
            .unwrap_err()
    );
    assert!(
        said.contains("not for riscv64, but for: amd64, arm64"),
        "{said}"
    );
    for arch in ["arm64", "amd64"] {
        let done = bench
            .pack_again(Some("x"), Some(arch), Limits::default())
            .unwrap();
        assert_eq!(names(&done.squashfs), [format!("/{arch}")]);
    }
    let lone = Bench::new();
    let done = lone
        .pack(&[Spec {
            arch: "arm",
            tag: Some("only"),
            ..spec("arm")
        }])
        .unwrap();
    assert_eq!(done.reference, "docker.io/library/only:latest");
}

#[test]
fn the_record_says_what_the_board_needs() {
    let files = Layer::new()
        .file("etc/passwd", b"root:x:0:0::/:\nweb:x:33:34::/:\n")
        .file("usr/group", b"web:x:34:\nlog:x:40:web\n")
        .symlink("etc/group", "../usr/group");
    let spec = Spec {
        config: json!({
            "User": "web", "StopSignal": "SIGRTMIN+3", "WorkingDir": "srv/./www", "Env": ["A=b", "PATH=/bin"],
            "Entrypoint": ["/init", "-x"], "Cmd": null, "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Labels": null,
        }),
        ..Spec::new(vec![files])
    };
    let bench = Bench::new();
    let done = bench.pack(&[spec]).unwrap();
    assert_eq!(
        done.record.file_name().unwrap(),
        "docker.io%2Ftest%2Fimage:1.image"
    );
    let bytes = fs::read(&done.record).unwrap();
    let (header, body) = codec::open(&bytes, Kind::Image).unwrap();
    assert_eq!(header.class, "");
    let record: Image<'_> = podling::manifest::check::image(body).unwrap();
    assert_eq!(record.reference, "docker.io/test/image:1");
    assert_eq!(
        (
            record.uid,
            record.gid,
            record.stop_signal,
            record.working_dir
        ),
        (33, 34, 37, "/srv/www")
    );
    assert_eq!(record.groups.iter().collect::<Vec<_>>(), [40]);
    assert_eq!(record.env.iter().collect::<Vec<_>>(), ["A=b", "PATH=/bin"]);
    assert_eq!(
        record.entrypoint.iter().collect::<Vec<_>>(),
        ["/init", "-x"]
    );
    assert!(record.cmd.is_empty());
    assert_eq!(
        record
            .ports
            .iter()
            .map(|port| (port.container, port.udp))
            .collect::<Vec<_>>(),
        [(53, true), (80, false)]
    );
    let squashfs = fs::read(&done.squashfs).unwrap();
    assert_eq!(record.size, squashfs.len() as u64);
    assert_eq!(
        done.squashfs.file_name().unwrap().to_str().unwrap(),
        format!("{}.squashfs", sha256(&squashfs))
    );
}

#[test]
fn a_user_or_signal_that_the_image_does_not_know_is_an_error() {
    for (config, wanted) in [
        (
            json!({"User": "nobody"}),
            "\"nobody\" is not in its /etc/passwd",
        ),
        (
            json!({"User": "0:staff"}),
            "\"staff\" is not in its /etc/group",
        ),
        (
            json!({"StopSignal": "SIGNAL"}),
            "StopSignal \"SIGNAL\" is no signal",
        ),
        (json!({"Env": ["A=\u{0}"]}), "a NUL is in the image's Env"),
    ] {
        let bench = Bench::new();
        let spec = Spec {
            config,
            ..Spec::new(vec![Layer::new().file("f", b"")])
        };
        let said = format!("{:#}", bench.pack(&[spec]).unwrap_err());
        assert!(said.contains(wanted), "{wanted:?} is not in {said:?}");
        bench.is_empty();
    }
}

#[test]
fn the_same_image_gives_the_same_bytes_and_is_stored_once() {
    let layer = || {
        (0..50).fold(Layer::new(), |layer, n| {
            layer.file(&format!("f{n}"), format!("{n}").repeat(n * 500).as_bytes())
        })
    };
    let (one, two) = (Bench::new(), Bench::new());
    let first = one.pack(&[Spec::new(vec![layer()])]).unwrap();
    let second = two.pack(&[Spec::new(vec![layer()])]).unwrap();
    assert_eq!(first.packed, second.packed);
    assert_eq!(
        fs::read(&first.record).unwrap(),
        fs::read(&second.record).unwrap()
    );
    let again = one
        .pack_again(Some("another/name"), None, Limits::default())
        .unwrap();
    assert_eq!(again.squashfs, first.squashfs);
    let mut left: Vec<_> = fs::read_dir(one.output())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left.len(), 3, "two records, one squashfs: {left:?}");
}

/// busybox has 400 names; a squashfs that packed it 400 times would take minutes.
#[test]
fn hard_links_and_equal_files_are_stored_once() {
    let noise: Vec<u8> = (0..300_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let base = Layer::new()
        .file("f", &noise)
        .file("small", b"small")
        .file("equal/small", b"small");
    let layer = (0..400).fold(base, |layer, n| layer.hard_link(&format!("{n}"), "f"));
    let upper = Layer::new().file("copy", &noise);
    let bench = Bench::new();
    let done = bench.pack(&[Spec::new(vec![layer, upper])]).unwrap();
    assert!(
        done.packed.size < noise.len() as u64 + 64_000,
        "{} bytes",
        done.packed.size
    );
    assert_eq!(names(&done.squashfs).len(), 405);
}

#[test]
fn lost_file_capabilities_are_told_by_path() {
    let layer = Layer::new()
        .pax(&[("SCHILY.xattr.security.capability", b"\x01\0\0\x02\n\0\0\0")])
        .file("ping", b"")
        .pax(&[("SCHILY.xattr.user.note", b"1")])
        .file("noted", b"");
    let done = Bench::new().pack(&[Spec::new(vec![layer])]).unwrap();
    assert!(
        done.warnings[0].contains("\"/ping\": its file capability is lost"),
        "{:?}",
        done.warnings
    );
    assert!(
        done.warnings[1].contains("\"/noted\": its extended attributes"),
        "{:?}",
        done.warnings
    );
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    let bench = Bench::new();
    layout(
        &bench.layout(),
        &[
            Spec {
                tag: Some("one"),
                ..Spec::new(vec![Layer::new().file("1", b"")])
            },
            Spec {
                tag: Some("two"),
                ..Spec::new(vec![Layer::new().file("2", b"")])
            },
        ],
    );
    let said = |source: &str| {
        format!(
            "{:#}",
            pack(source, Some("x"), None, &bench.output(), Limits::default()).unwrap_err()
        )
    };
    assert!(said(&bench.source()).contains("which image? name one as oci:DIR:NAME of: one, two"));
    assert!(
        said(&format!("{}:three", bench.source()))
            .contains("no image called three; there is: one, two")
    );
    assert!(said("oci:/nowhere/at/all").contains("there is no image at /nowhere/at/all"));
    assert!(said("docker://alpine").contains("skopeo copy docker://alpine"));
    assert!(said(bench.directory.path().to_str().unwrap()).contains("is no image"));
    let done = pack(
        &format!("{}:two", bench.source()),
        None,
        None,
        &bench.output(),
        Limits::default(),
    )
    .unwrap();
    assert_eq!(names(&done.squashfs), ["/2"]);
    assert_eq!(done.reference, "docker.io/library/two:latest");
}

/// The archives that Debian's own tools write, and the file tree as the kernel shows it.
#[test]
fn images_of_real_tools_come_out_as_they_went_in() {
    let bench = Bench::new();
    let directory = bench.directory.path();
    let at = |name: &str| directory.join(name).to_str().unwrap().to_string();
    tool("umoci", &["init", "--layout", &at("layout")]);
    let image = format!("{}:base", at("layout"));
    tool("umoci", &["new", "--image", &image]);
    tool("umoci", &["unpack", "--image", &image, &at("bundle")]);
    let root = directory.join("bundle/rootfs");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::write(root.join("usr/bin/tool"), vec![42; 300_000]).unwrap();
    fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/alias")).unwrap();
    for n in 0..600 {
        fs::write(root.join(format!("usr/file{n}")), format!("{n}")).unwrap();
    }
    std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
    tool(
        "mknod",
        &[root.join("null").to_str().unwrap(), "c", "1", "3"],
    );
    tool(
        "mknod",
        &[root.join("high").to_str().unwrap(), "b", "259", "300"],
    );
    tool("mkfifo", &[root.join("fifo").to_str().unwrap()]);
    tool(
        "chown",
        &["-R", "12:34", root.join("usr").to_str().unwrap()],
    );
    tool(
        "chmod",
        &["6755", root.join("usr/bin/tool").to_str().unwrap()],
    );
    tool("umoci", &["repack", "--image", &image, &at("bundle")]);
    tool("rm", &[root.join("usr/file7").to_str().unwrap()]);
    tool("umoci", &["unpack", "--image", &image, &at("second")]);
    let root = directory.join("second/rootfs");
    fs::remove_file(root.join("usr/file7")).unwrap();
    fs::write(root.join("usr/file8"), "changed").unwrap();
    tool("umoci", &["repack", "--image", &image, &at("second")]);

    let done = pack(
        &format!("oci:{image}"),
        Some("real"),
        None,
        &bench.output(),
        Limits::default(),
    )
    .unwrap();
    let mount = directory.join("mount");
    fs::create_dir(&mount).unwrap();
    tool(
        "mount",
        &[
            "-t",
            "squashfs",
            "-o",
            "loop,ro",
            done.squashfs.to_str().unwrap(),
            mount.to_str().unwrap(),
        ],
    );
    let (found, wanted) = (facts(&mount), facts(&root));
    tool("umount", &[mount.to_str().unwrap()]);
    assert!(wanted.len() > 600 && !wanted.contains_key("/usr/file7"));
    assert_eq!(found, wanted);

    for (transport, name) in [("oci-archive", "oci.tar"), ("docker-archive", "docker.tar")] {
        let archive = format!("{transport}:{}:my/app:3", at(name));
        tool("skopeo", &["copy", &format!("oci:{image}"), &archive]);
        for source in [archive, at(name)] {
            let copy = pack(&source, None, None, &bench.output(), Limits::default()).unwrap();
            assert_eq!(copy.reference, "docker.io/my/app:3", "{source}");
            assert_eq!(copy.packed, done.packed, "{source}");
        }
        tool("gzip", &["-k", &at(name)]);
        let zipped = pack(
            &format!("{}.gz", at(name)),
            None,
            None,
            &bench.output(),
            Limits::default(),
        )
        .unwrap();
        assert_eq!(zipped.packed, done.packed);
    }
}

/// What strains the format: directories longer than 64 KiB, siblings whose inodes are far apart, files of every size
/// around a block, holes, a thousand owners.
#[test]
fn large_trees_read_back_through_the_kernel() {
    let block = 128 * 1024;
    let noise = |n: usize, length: usize| -> Vec<u8> { (0..length).map(|at| (at * at / 7 + at * n) as u8).collect() };
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for n in 0..700 {
        files.insert(format!("long/{n:0>200}"), format!("{n}").into_bytes());
    }
    for n in 0..34_000 {
        files.insert(format!("many/{}/{n}", n % 7), vec![]);
    }
    for (n, size) in [1, block - 1, block, block + 1, 3 * block, 3 * block + 5].into_iter().enumerate() {
        files.insert(format!("sizes/{size}"), noise(n, size));
    }
    files.insert("sizes/hole".into(), vec![0; 5 * block]);
    files.insert("sizes/holes".into(), [noise(1, block), vec![0; 2 * block], noise(2, 10)].concat());
    files.insert("zz".into(), b"after many".to_vec());
    let layer = files.iter().enumerate().fold(Layer::new(), |layer, (n, (name, bytes))| {
        layer.entry(b'0', name.as_bytes(), b"", 0o644, (n as u64 % 1000, 7), bytes)
    });
    let bench = Bench::new();
    let mut spec = Spec::new(vec![]);
    spec.layers.push((layer.hard_link("last", "sizes/1").end(), Packing::Tar));
    let done = bench.pack(&[spec]).unwrap();
    let mount = bench.directory.path().join("mount");
    fs::create_dir(&mount).unwrap();
    tool("mount", &["-t", "squashfs", "-o", "loop,ro", done.squashfs.to_str().unwrap(), mount.to_str().unwrap()]);
    let (found, links) = (facts(&mount), fs::metadata(mount.join("last")).unwrap().nlink());
    let folders = fs::metadata(mount.join("many")).unwrap().nlink();
    tool("umount", &[mount.to_str().unwrap()]);
    assert_eq!((links, folders), (2, 9));
    assert_eq!(found["/last"].5, files["sizes/1"]);
    for (n, (name, bytes)) in files.iter().enumerate() {
        let facts = &found[&format!("/{name}")];
        assert_eq!((facts.1, facts.2), (n as u32 % 1000, 7), "{name}");
        assert!(facts.5 == *bytes, "{name} has another content");
    }
}

/// Path → what `stat` knows of it, and its content.
fn facts(root: &Path) -> BTreeMap<String, (u32, u32, u32, u64, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let kind = meta.file_type();
            let content = match () {
                () if kind.is_symlink() => fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes(),
                () if kind.is_file() => fs::read(&path).unwrap(),
                () => vec![],
            };
            let device = if kind.is_char_device() || kind.is_block_device() {
                meta.rdev()
            } else {
                0
            };
            let name = format!("/{}", path.strip_prefix(root).unwrap().display());
            all.insert(
                name,
                (
                    meta.mode(),
                    meta.uid(),
                    meta.gid(),
                    device,
                    meta.mtime(),
                    content,
                ),
            );
            if kind.is_dir() {
                folders.push(path);
            }
        }
    }
    all
}

/// F11: no mutation of a tar stream makes the reader panic, loop, or take more than its limits.
#[test]
fn f11_mutated_layers_never_panic() {
    let seed = Layer::new()
        .dir("a")
        .file("a/b", &[1; 700])
        .symlink("l", "a")
        .hard_link("h", "a/b")
        .pax(&[
            ("path", b"long/name"),
            ("SCHILY.xattr.security.capability", b"\n\n"),
        ])
        .file("x", b"12345")
        .file("a/.wh.b", b"")
        .file("l/.wh..wh..opq", b"")
        .device(b'3', "dev", 1, 3)
        .entry(
            b'L',
            b"././@LongLink",
            b"",
            0,
            (0, 0),
            b"a/very/long/name\0",
        )
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
    let (mut good, rounds) = (0, 20_000);
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
                    let block = bytes[at / 512 * 512..]
                        .iter()
                        .take(512)
                        .copied()
                        .collect::<Vec<_>>();
                    let other = other / 512 * 512;
                    bytes.splice(other..other, block);
                }
            }
        }
        // Three in four get their checksums right, or few would be read beyond their first header.
        if next(4) > 0 {
            fix_checksums(&mut bytes);
        }
        let mut rootfs = Rootfs::new(
            scratch.path(),
            Limits {
                bytes: 1 << 20,
                entries: 100,
            },
        )
        .unwrap();
        good += usize::from(rootfs.apply(&bytes[..]).is_ok());
        assert!(rootfs.unpacked() <= 1 << 20);
    }
    assert!(
        good > rounds / 20 && good < rounds,
        "{good} of {rounds} were read: the mutations are too wild or too tame"
    );
}

fn fix_checksums(bytes: &mut [u8]) {
    for block in bytes
        .chunks_exact_mut(512)
        .filter(|block| &block[257..262] == b"ustar")
    {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
    }
}
