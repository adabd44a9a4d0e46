//! The squashfs that `podling pack` writes, read back with squashfs-tools and with the kernel's own squashfs (needs root).

mod images;

use images::bench::{Bench, facts, listing, names};
use images::{Layer, Packing, Spec, layout, tool};
use podling::host::layers::Limits;
use podling::host::pack::pack;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is mounted, as long as this lives.
struct Mount(PathBuf);

impl Mount {
    fn new(bench: &Bench, squashfs: &Path) -> Mount {
        let place = bench.directory.path().join("mount");
        fs::create_dir(&place).unwrap();
        let (from, to) = (squashfs.to_str().unwrap(), place.to_str().unwrap());
        tool("mount", &["-t", "squashfs", "-o", "loop,ro", from, to]);
        Mount(place)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        tool("umount", &[self.0.to_str().unwrap()]);
    }
}

#[test]
fn every_kind_of_file_keeps_its_owner_mode_and_target() {
    let layer = Layer::new()
        .entry(b'5', b"./", b"", 0o1755, (3, 4), b"")
        .entry(b'0', b"setuid", b"", 0o4755, (1000, 1001), b"program")
        .symlink("link", "/etc/../setuid")
        .symlink("long", &format!("//../.{}", "/name".repeat(50)))
        .hard_link("again", "link")
        .hard_link("second", "/setuid")
        .device(b'3', "char", 5, 1)
        .device(b'4', "block", 8, 17)
        .device(b'6', "fifo", 0, 0)
        .file("empty", b"")
        .entry(b'0', "ünicode\u{1f600} and a space".as_bytes(), b"", 0o400, (70_000, 4_000_000_000), b"x");
    let bench = Bench::new();
    let done = bench.pack(&[Spec::new(vec![layer])]).unwrap();
    let list = listing(&done.squashfs);
    assert_eq!(list[""], "drwxr-xr-t 3/4");
    assert_eq!(list["/setuid"], "-rwsr-xr-x 1000/1001 7");
    assert_eq!(list["/second"], "-rwsr-xr-x 1000/1001 7");
    assert_eq!(list["/link -> /etc/../setuid"], "lrwxrwxrwx 0/0 14");
    assert_eq!(list["/again -> /etc/../setuid"], "lrwxrwxrwx 0/0 14");
    let long = format!("/long -> //../.{}", "/name".repeat(50));
    assert_eq!(list[&long], "lrwxrwxrwx 0/0 256");
    assert_eq!(list["/char"], "crw------- 0/0 5,");
    assert_eq!(list["/block"], "brw------- 0/0 8,");
    assert_eq!(list["/fifo"], "prw------- 0/0 0");
    assert_eq!(list["/empty"], "-rw-r--r-- 0/0 0");
    assert_eq!(list["/ünicode\u{1f600} and a space"], "-r-------- 70000/4000000000 1");
}

/// Programs whose rights are in file capabilities keep them; the kernel itself reads them back.
#[test]
fn extended_attributes_of_programs_are_kept() {
    // CAP_NET_RAW, permitted and effective; its bytes hold NULs and a line's end.
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let layer = Layer::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.user.note", b"a\0b\n=c"),
            ("LIBARCHIVE.xattr.user.note", b"YQBiCj1j"),
        ])
        .file("ping", b"program")
        .hard_link("ping6", "ping")
        .pax(&[("SCHILY.xattr.user.empty", b"")])
        .dir("folder");
    let bench = Bench::new();
    let done = bench.pack(&[Spec::new(vec![layer])]).unwrap();
    assert!(done.warnings.is_empty(), "{:?}", done.warnings);
    let mount = Mount::new(&bench, &done.squashfs);
    for name in ["ping", "ping6"] {
        let path = mount.0.join(name);
        let said = tool("getcap", &[path.to_str().unwrap()]);
        assert!(said.contains("cap_net_raw=ep"), "{said:?}");
        assert_eq!(xattr(&path, "user.note"), b"a\0b\n=c");
    }
    assert_eq!(xattr(&mount.0.join("folder"), "user.empty"), b"");
}

fn xattr(path: &Path, name: &str) -> Vec<u8> {
    let mut value = [0; 100];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
    value[..length].to_vec()
}

/// sqfstar's own idea of the root is its caller and the current time.
#[test]
fn the_root_is_the_images_whoever_packs() {
    let bench = Bench::new();
    let layer = Layer::new().entry(b'5', b"./", b"", 0o750, (0, 0), b"");
    let ours = bench.pack(&[Spec::new(vec![layer])]).unwrap();
    assert_eq!(listing(&ours.squashfs)[""], "drwxr-x--- 0/0");
    let mount = Mount::new(&bench, &ours.squashfs);
    assert_eq!(fs::metadata(&mount.0).unwrap().mtime(), 1_700_000_000);
    drop(mount);

    let theirs = bench.directory.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    tool("chown", &["1000:1000", theirs.to_str().unwrap()]);
    tool("chmod", &["0755", bench.directory.path().to_str().unwrap()]);
    let podling = bench.directory.path().join("podling");
    fs::copy(env!("CARGO_BIN_EXE_podling"), &podling).unwrap();
    tool(
        "setpriv",
        &[
            "--reuid=1000",
            "--regid=1000",
            "--clear-groups",
            podling.to_str().unwrap(),
            "pack",
            &bench.source(),
            "-o",
            theirs.to_str().unwrap(),
        ],
    );
    let name = ours.squashfs.file_name().unwrap();
    assert!(
        fs::read(theirs.join(name)).unwrap() == fs::read(&ours.squashfs).unwrap(),
        "the same image has the same bytes"
    );
}

#[test]
fn a_squashfs_that_cannot_be_written_says_why() {
    let bench = Bench::new();
    let noise: Vec<u8> =
        (0..1_000_000_u64).map(|n| (n.wrapping_mul(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    layout(&bench.layout(), &[Spec::new(vec![Layer::new().file("noise", &noise)])]);
    let output = bench.output();
    fs::create_dir(&output).unwrap();
    let output = output.to_str().unwrap();
    let pack = |path: &str| {
        let mut podling = Command::new(env!("CARGO_BIN_EXE_podling"));
        podling.args(["pack", &bench.source(), "-o", output]);
        let done = podling.env("PATH", path).output().unwrap();
        assert!(!done.status.success());
        bench.is_empty();
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let said = pack("/nowhere");
    assert!(said.contains("apt-get install squashfs-tools"), "{said}");
    // One that goes while it is being fed is heard, and its pipe is not what is wrong.
    let script = bench.directory.path().join("sqfstar");
    let text = "#!/bin/sh\ntest \"$1\" = -version || { echo 'no more memory' >&2; exit 3; }\n";
    fs::write(&script, text).unwrap();
    tool("chmod", &["0755", script.to_str().unwrap()]);
    let said = pack(bench.directory.path().to_str().unwrap());
    let wanted = "sqfstar failed (exit status: 3): no more memory";
    assert!(said.contains(wanted), "{said}");
    // Room for the files' bytes, but not for the squashfs as well.
    tool("mount", &["-t", "tmpfs", "-o", "size=1200k", "none", output]);
    let full = Mount(bench.output());
    let said = pack(&std::env::var("PATH").unwrap());
    drop(full);
    assert!(said.contains("No space left on device"), "{said}");
}

#[test]
fn the_same_image_gives_the_same_bytes_and_is_stored_once() {
    let layer = || {
        (0..50).fold(Layer::new(), |layer, n| layer.file(&format!("f{n}"), format!("{n}").repeat(n * 500).as_bytes()))
    };
    let (one, two) = (Bench::new(), Bench::new());
    let first = one.pack(&[Spec::new(vec![layer()])]).unwrap();
    let second = two.pack(&[Spec::new(vec![layer()])]).unwrap();
    assert_eq!(first.packed, second.packed);
    assert_eq!(fs::read(&first.record).unwrap(), fs::read(&second.record).unwrap());
    let again = one.pack_again(Some("another/name"), None, Limits::default()).unwrap();
    assert_eq!(again.squashfs, first.squashfs);
    let mut left: Vec<_> =
        fs::read_dir(one.output()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left.len(), 3, "two records, one squashfs: {left:?}");
}

/// busybox has 400 names; a squashfs that packed it 400 times would take minutes.
#[test]
fn hard_links_and_equal_files_are_stored_once() {
    let noise: Vec<u8> = (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let base = Layer::new().file("f", &noise).file("small", b"small").file("equal/small", b"small");
    let layer = (0..400).fold(base, |layer, n| layer.hard_link(&format!("{n}"), "f"));
    let upper = Layer::new().file("copy", &noise);
    let bench = Bench::new();
    let done = bench.pack(&[Spec::new(vec![layer, upper])]).unwrap();
    assert!(done.packed.size < noise.len() as u64 + 64_000, "{} bytes", done.packed.size);
    assert_eq!(names(&done.squashfs).len(), 405);
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
    tool("mknod", &[root.join("null").to_str().unwrap(), "c", "1", "3"]);
    tool("mknod", &[root.join("high").to_str().unwrap(), "b", "259", "300"]);
    tool("mkfifo", &[root.join("fifo").to_str().unwrap()]);
    tool("chown", &["-R", "12:34", root.join("usr").to_str().unwrap()]);
    tool("chmod", &["6755", root.join("usr/bin/tool").to_str().unwrap()]);
    tool("umoci", &["repack", "--image", &image, &at("bundle")]);
    tool("rm", &[root.join("usr/file7").to_str().unwrap()]);
    tool("umoci", &["unpack", "--image", &image, &at("second")]);
    let root = directory.join("second/rootfs");
    fs::remove_file(root.join("usr/file7")).unwrap();
    fs::write(root.join("usr/file8"), "changed").unwrap();
    // Layers hold whole seconds.
    for changed in ["usr/file8", "usr"] {
        tool("touch", &["-d", "@1700000000", root.join(changed).to_str().unwrap()]);
    }
    tool("umoci", &["repack", "--image", &image, &at("second")]);

    let done = pack(&format!("oci:{image}"), Some("real"), None, &bench.output(), Limits::default()).unwrap();
    let mount = Mount::new(&bench, &done.squashfs);
    let (found, wanted) = (facts(&mount.0), facts(&root));
    drop(mount);
    assert!(wanted.len() > 600 && !wanted.contains_key("/usr/file7"));
    assert!(found.keys().eq(wanted.keys()), "the same names");
    for (name, facts) in wanted {
        assert!(found[&name] == facts, "{name} has changed: {:?}", &facts);
    }

    for (transport, name) in [("oci-archive", "oci.tar"), ("docker-archive", "docker.tar")] {
        let archive = format!("{transport}:{}:my/app:3", at(name));
        tool("skopeo", &["copy", &format!("oci:{image}"), &archive]);
        for source in [archive, at(name)] {
            let copy = pack(&source, None, None, &bench.output(), Limits::default()).unwrap();
            assert_eq!(copy.reference, "docker.io/my/app:3", "{source}");
            assert_eq!(copy.packed, done.packed, "{source}");
        }
        tool("gzip", &["-k", &at(name)]);
        let zipped = pack(&format!("{}.gz", at(name)), None, None, &bench.output(), Limits::default()).unwrap();
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
    let mount = Mount::new(&bench, &done.squashfs);
    let (found, links) = (facts(&mount.0), fs::metadata(mount.0.join("last")).unwrap().nlink());
    let folders = fs::metadata(mount.0.join("many")).unwrap().nlink();
    drop(mount);
    assert_eq!((links, folders), (2, 9));
    assert_eq!(found["/last"].5, files["sizes/1"]);
    for (n, (name, bytes)) in files.iter().enumerate() {
        let facts = &found[&format!("/{name}")];
        assert_eq!((facts.1, facts.2), (n as u32 % 1000, 7), "{name}");
        assert!(facts.5 == *bytes, "{name} has another content");
    }
}
