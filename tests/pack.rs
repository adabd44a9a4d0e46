//! `podling pack`: layers flatten as Docker does it, the right image is found, and its record says what the board needs.

mod images;

use images::bench::{Bench, listing, names};
use images::{Layer, Packing, Spec, layout, sha256};
use podling::host::layers::Limits;
use podling::host::pack::pack;
use podling::manifest::codec::{self, Kind};
use podling::manifest::image::Image;
use serde_json::json;
use std::fs;

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
    let expected = ["/a", "/a/kept", "/b", "/b/deep", "/b/deep/new", "/b/new", "/c", "/c/inside", "/d"];
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
fn symlinks_on_the_way_stay_inside_the_image() {
    let lower =
        Layer::new().dir("usr/lib").symlink("lib", "usr/lib").symlink("up", "../../../..").symlink("abs", "/usr");
    let upper = Layer::new()
        .file("lib/one", b"1")
        .file("up/two", b"2")
        .file("abs/lib/three", b"3")
        .hard_link("four", "lib/one");
    let bench = Bench::new();
    let done = bench.pack(&[Spec::new(vec![lower, upper])]).unwrap();
    let names = names(&done.squashfs);
    for name in ["/usr/lib/one", "/two", "/usr/lib/three", "/four", "/lib -> usr/lib"] {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
}

/// umoci's `insert` writes it so, with the mode that the root is to have.
#[test]
fn an_entry_named_slash_is_the_root_itself() {
    let lower = Layer::new().file("kept", b"1");
    let upper = Layer::new().entry(b'5', b"/", b"", 0o711, (7, 8), b"").file("new", b"2");
    let bench = Bench::new();
    let done = bench.pack(&[Spec::new(vec![lower, upper])]).unwrap();
    assert_eq!(names(&done.squashfs), ["/kept", "/new"]);
    assert_eq!(listing(&done.squashfs)[""], "drwx--x--x 7/8");
}

#[test]
fn layers_are_read_as_tar_gzip_and_zstd() {
    let mut spec = Spec::new(vec![]);
    for (name, packing) in [("1", Packing::Tar), ("2", Packing::Gzip), ("3", Packing::Zstd)] {
        spec.layers.push((Layer::new().file(name, name.as_bytes()).end(), packing));
    }
    let bench = Bench::new();
    assert_eq!(names(&bench.pack(&[spec]).unwrap().squashfs), ["/1", "/2", "/3"]);
}

#[test]
fn the_platform_is_the_one_asked_for_or_the_only_one() {
    let spec = |arch: &'static str| Spec { arch, tag: None, ..Spec::new(vec![Layer::new().file(arch, b"")]) };
    let bench = Bench::new();
    let manifests: Vec<_> =
        ["arm64", "amd64"].into_iter().map(|arch| images::image(&bench.layout(), &spec(arch))).collect();
    // One with its platform in an index within the index, one that only its configuration knows.
    let mut inner = manifests[0].clone();
    inner["platform"] = json!({"architecture": "arm64", "os": "linux", "variant": "v8"});
    let mut attestation = manifests[1].clone();
    attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    let index = json!({"schemaVersion": 2, "manifests": [inner, attestation]});
    let nested = images::blob(&bench.layout(), "application/vnd.oci.image.index.v1+json", index.to_string().as_bytes());
    images::write_index(&bench.layout(), &[nested, manifests[1].clone()]);

    let said = format!("{:#}", bench.pack_again(Some("x"), None, Limits::default()).unwrap_err());
    assert!(said.contains("--arch: amd64, arm64"), "{said}");
    let said = format!("{:#}", bench.pack_again(Some("x"), Some("riscv64"), Limits::default()).unwrap_err());
    assert!(said.contains("not for riscv64, but for: amd64, arm64"), "{said}");
    for arch in ["arm64", "amd64"] {
        let done = bench.pack_again(Some("x"), Some(arch), Limits::default()).unwrap();
        assert_eq!(names(&done.squashfs), [format!("/{arch}")]);
    }
    let lone = Bench::new();
    let done = lone.pack(&[Spec { arch: "arm", tag: Some("only"), ..spec("arm") }]).unwrap();
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
    assert_eq!(done.record.file_name().unwrap(), "docker.io%2Ftest%2Fimage:1.image");
    let bytes = fs::read(&done.record).unwrap();
    let (header, body) = codec::open(&bytes, Kind::Image).unwrap();
    assert_eq!(header.class, "");
    let record: Image<'_> = podling::manifest::check::image(body).unwrap();
    assert_eq!(record.reference, "docker.io/test/image:1");
    assert_eq!((record.uid, record.gid, record.stop_signal, record.working_dir), (33, 34, 37, "/srv/www"));
    assert_eq!(record.groups.iter().collect::<Vec<_>>(), [40]);
    assert_eq!(record.env.iter().collect::<Vec<_>>(), ["A=b", "PATH=/bin"]);
    assert_eq!(record.entrypoint.iter().collect::<Vec<_>>(), ["/init", "-x"]);
    assert!(record.cmd.is_empty());
    assert_eq!(
        record.ports.iter().map(|port| (port.container, port.udp)).collect::<Vec<_>>(),
        [(53, true), (80, false)]
    );
    let squashfs = fs::read(&done.squashfs).unwrap();
    assert_eq!(record.size, squashfs.len() as u64);
    assert_eq!(done.squashfs.file_name().unwrap().to_str().unwrap(), format!("{}.squashfs", sha256(&squashfs)));
}

#[test]
fn a_user_or_signal_that_the_image_does_not_know_is_an_error() {
    for (config, wanted) in [
        (json!({"User": "nobody"}), "\"nobody\" is not in its /etc/passwd"),
        (json!({"User": "0:staff"}), "\"staff\" is not in its /etc/group"),
        (json!({"StopSignal": "SIGNAL"}), "StopSignal \"SIGNAL\" is no signal"),
        (json!({"Env": ["A=\u{0}"]}), "a NUL is in the image's Env"),
    ] {
        let bench = Bench::new();
        let spec = Spec { config, ..Spec::new(vec![Layer::new().file("f", b"")]) };
        let said = format!("{:#}", bench.pack(&[spec]).unwrap_err());
        assert!(said.contains(wanted), "{wanted:?} is not in {said:?}");
        bench.is_empty();
    }
}

#[test]
fn lost_attributes_are_told_by_path() {
    let layer = Layer::new()
        .pax(&[("SCHILY.xattr.security.capability", b"\x01\0\0\x02\n\0\0\0")])
        .file("ping", b"")
        .pax(&[("SCHILY.xattr.user.note", b"1")])
        .dir("./")
        .pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y")])
        .dir("hidden")
        .pax(&[("LIBARCHIVE.xattr.user.note", b"MQ")])
        .file("noted", b"");
    let bench = Bench::new();
    let done = bench.pack(&[Spec::new(vec![layer])]).unwrap();
    assert_eq!(done.warnings, ["\"/\": its extended attribute \"user.note\" is lost (and those of 2 more files)"]);
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    let bench = Bench::new();
    layout(
        &bench.layout(),
        &[
            Spec { tag: Some("one"), ..Spec::new(vec![Layer::new().file("1", b"")]) },
            Spec { tag: Some("two"), ..Spec::new(vec![Layer::new().file("2", b"")]) },
        ],
    );
    let said =
        |source: &str| format!("{:#}", pack(source, Some("x"), None, &bench.output(), Limits::default()).unwrap_err());
    assert!(said(&bench.source()).contains("which image? name one as oci:DIR:NAME of: one, two"));
    assert!(said(&format!("{}:three", bench.source())).contains("no image called three; there is: one, two"));
    assert!(said("oci:/nowhere/at/all").contains("there is no image at /nowhere/at/all"));
    assert!(said("docker://alpine").contains("podling pull docker://alpine"));
    assert!(said(bench.directory.path().to_str().unwrap()).contains("is no image"));
    let done = pack(&format!("{}:two", bench.source()), None, None, &bench.output(), Limits::default()).unwrap();
    assert_eq!(names(&done.squashfs), ["/2"]);
    assert_eq!(done.reference, "docker.io/library/two:latest");
}
