//! `podling image`: the flash and the boot files of a board, read back with other people's tools, and every input that is
//! missing or wrong named with what to do.

mod images;

use images::{Layer, Packing, Spec, layout, sha256, tool};
use podling::host::arena::Arena;
use podling::host::layers::Limits;
use podling::host::pack::pack;
use podling::manifest::board::Board;
use podling::manifest::codec::{self, Kind};
use podling::manifest::pod::{Container, Manifest, Pod};
use podling::manifest::{check, image};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const CLASS: &str = "qemu-virt-aarch64";
const MIB: u64 = 1 << 20;

/// A place for one test, with everything that `podling image` needs.
struct Bench {
    directory: TempDir,
}

impl Bench {
    /// With the images `references` packed, and named by the manifest.
    fn new(references: &[&str]) -> Bench {
        let bench = Bench { directory: tempfile::tempdir().unwrap() };
        for reference in references {
            bench.pack(reference, reference.as_bytes());
        }
        bench.write_manifest(CLASS, references);
        kernel(&bench.path("kernel"));
        fs::write(bench.path("podlingd"), elf(183, 2)).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn pack(&self, reference: &str, content: &[u8]) {
        self.pack_for("arm64", reference, content);
    }

    fn pack_for(&self, arch: &'static str, reference: &str, content: &[u8]) {
        let folder = self.path("layout");
        let _ = fs::remove_dir_all(&folder);
        let mut spec = Spec { arch, ..Spec::new(vec![]) };
        spec.layers.push((Layer::new().file("content", content).end(), Packing::Tar));
        layout(&folder, &[spec]);
        let source = format!("oci:{}", folder.display());
        pack(&source, Some(reference), None, &self.path("images"), Limits::default()).unwrap();
    }

    fn write_manifest(&self, class: &str, references: &[&str]) {
        fs::write(self.path("manifest"), manifest(class, references)).unwrap();
    }

    /// Runs the program; its output, or what it complains of.
    fn run(&self, changes: &[(&str, &Path)]) -> Result<String, String> {
        let mut options = BTreeMap::from([
            ("--board", PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/boards/qemu-virt-aarch64"))),
            ("--manifest", self.path("manifest")),
            ("--images", self.path("images")),
            ("--kernel", self.path("kernel")),
            ("--podlingd", self.path("podlingd")),
            ("-o", self.path("out/disk.img")),
        ]);
        for (option, value) in changes {
            options.insert(option, value.to_path_buf());
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_podling"));
        command.arg("image");
        for (option, value) in options {
            command.arg(option).arg(value);
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    fn refusal(&self) -> String {
        let said = self.run(&[]).expect_err("this must be refused");
        let left = fs::read_dir(self.path("out")).into_iter().flatten().count();
        assert_eq!(left, 0, "something was left behind");
        said
    }
}

/// The beginning of a program: `e_machine` as told, addresses of 32 (1) or 64 (2) bits.
fn elf(machine: u8, class: u8) -> Vec<u8> {
    let ident = [0x7f, b'E', b'L', b'F', class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    [&ident[..], &[machine, 0], &[0; 44]].concat()
}

/// A sealed manifest of one pod whose containers use `references`.
fn manifest(class: &str, references: &[&str]) -> Vec<u8> {
    let arena = Arena::default();
    let containers = references.iter().enumerate().map(|(n, reference)| Container {
        name: arena.str(&format!("c{n}")),
        image: arena.str(&image::normalise(reference).unwrap()),
        ..Container::default()
    });
    let pod = Pod { name: "web", hostname: "web", containers: arena.list(containers), ..Pod::default() };
    let manifest = Manifest { pods: arena.list([pod]), ..Manifest::default() };
    let body = postcard::to_stdvec(&manifest).unwrap();
    let header = codec::seal(Kind::Manifest, class, 1, &body).unwrap();
    [&header[..], &body].concat()
}

/// A kernel package in miniature, with what makes module loading hard: needs of needs, soft needs by alias, built-ins,
/// a compressed module, and names with both kinds of dashes.
fn kernel(directory: &Path) {
    let modules = directory.join("lib/modules/6.1.0-test");
    fs::create_dir_all(modules.join("kernel")).unwrap();
    fs::create_dir_all(directory.join("boot")).unwrap();
    fs::write(directory.join("boot/vmlinuz-6.1.0-test"), b"a kernel").unwrap();
    let dep = "kernel/ext4.ko: kernel/crc16.ko kernel/mbcache.ko kernel/jbd2.ko\nkernel/crc16.ko:\nkernel/mbcache.ko:\n\
               kernel/jbd2.ko:\nkernel/crc32c_generic.ko:\nkernel/virtio-net.ko.xz: kernel/net_failover.ko kernel/failover.ko\n\
               kernel/net_failover.ko: kernel/failover.ko\nkernel/failover.ko:\nkernel/loop.ko:\nkernel/squashfs.ko:\n\
               kernel/overlay.ko:\nkernel/virtio_blk.ko:\nkernel/unused.ko:\n";
    fs::write(modules.join("modules.dep"), dep).unwrap();
    fs::write(
        modules.join("modules.softdep"),
        "softdep ext4 pre: crypto-crc32c post: unused\nsoftdep loop pre: nowhere\n",
    )
    .unwrap();
    fs::write(modules.join("modules.alias"), "alias crypto-crc32c crc32c_generic\nalias pci:v* unused\n").unwrap();
    fs::write(modules.join("modules.builtin"), "kernel/drivers/virtio/virtio_mmio.ko\nkernel/virtio-pci.ko\n").unwrap();
    for line in dep.lines() {
        let path = modules.join(line.split(':').next().unwrap());
        let plain = path.to_str().unwrap().trim_end_matches(".xz").to_string();
        fs::write(&plain, format!("module {}", Path::new(&plain).file_name().unwrap().to_str().unwrap())).unwrap();
        if path.extension().is_some_and(|extension| extension == "xz") {
            tool("xz", &[&plain]);
        }
    }
}

#[test]
fn the_flash_holds_slots_and_images_as_the_board_file_says() {
    let bench = Bench::new(&["web:1", "localhost/puller"]);
    bench.pack("not/named", b"not on the flash");
    // The same files under another name.
    bench.pack("twin", b"web:1");
    bench.write_manifest(CLASS, &["web:1", "localhost/puller", "twin", "web:1"]);
    bench.run(&[]).unwrap();
    let path = bench.path("out/disk.img");
    let meta = fs::metadata(&path).unwrap();
    assert_eq!(meta.len(), 256 * MIB);
    assert!(meta.blocks() * 512 < 8 * MIB, "it is sparse");
    assert_eq!(meta.mode() & 0o777, 0o600, "a manifest may hold secrets");

    let disk = fs::File::open(&path).unwrap();
    let read = |offset, length| {
        let mut bytes = vec![0; length];
        disk.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    };
    let mbr = read(0, 512);
    assert_eq!(mbr[510..], [0x55, 0xaa]);
    let entry = |n: usize| {
        let entry = &mbr[446 + 16 * n..][..16];
        let number = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()) as u64 * 512;
        (entry[4], number(8), number(12))
    };
    assert_eq!(entry(0), (0xda, MIB, 2 * MIB));
    assert_eq!(entry(1), (0x83, 3 * MIB, 253 * MIB));
    assert_eq!(entry(2), (0, 0, 0));

    let wanted = fs::read(bench.path("manifest")).unwrap();
    assert_eq!(read(MIB, wanted.len()), wanted, "spec 99: slot A");
    let (header, body) = codec::open(&wanted, Kind::Manifest).unwrap();
    assert_eq!(header.class, CLASS);
    check::manifest(body).unwrap();
    assert!(read(2 * MIB, MIB as usize).iter().all(|&byte| byte == 0), "slot B is empty");

    let data = format!("{}?offset={}", path.display(), 3 * MIB);
    tool("e2fsck", &["-fn", &data]);
    let list = tool("debugfs", &["-R", "ls -p /images", &data]);
    // /inode/mode/uid/gid/name/size/
    let files: BTreeMap<&str, &str> = list
        .lines()
        .filter_map(|line| line.strip_prefix('/'))
        .map(|line| {
            let fields: Vec<&str> = line.split('/').collect();
            assert_eq!(fields[2..4], ["0", "0"], "root owns {line}");
            (fields[4], fields[1])
        })
        .collect();
    let names: Vec<&str> = files.keys().copied().filter(|name| !name.starts_with('.')).collect();
    let records = [
        "docker.io%2Flibrary%2Ftwin:latest.image",
        "docker.io%2Flibrary%2Fweb:1.image",
        "localhost%2Fpuller:latest.image",
    ];
    assert_eq!(names.iter().filter(|name| name.ends_with(".image")).copied().collect::<Vec<_>>(), records);
    let squashes: Vec<&str> = names.iter().filter(|name| name.ends_with(".squashfs")).copied().collect();
    assert_eq!(squashes.len(), 2, "equal images are one: {names:?}");
    assert_eq!(names.len(), 5);
    assert!(names.iter().all(|name| files[name] == "100644"));
    for name in names {
        let copy = bench.path("copy");
        tool("debugfs", &["-R", &format!("dump /images/{name} {}", copy.display()), &data]);
        assert_eq!(fs::read(copy).unwrap(), fs::read(bench.path("images").join(name)).unwrap(), "{name}");
    }
}

#[test]
fn the_boot_files_are_a_kernel_and_an_initramfs_with_modules_in_order() {
    let bench = Bench::new(&["web"]);
    bench.run(&[("--boot", &bench.path("boot"))]).unwrap();
    assert_eq!(fs::read(bench.path("boot/kernel")).unwrap(), b"a kernel");
    let packed = fs::read(bench.path("boot/initramfs.zst")).unwrap();
    let archive = zstd::decode_all(&packed[..]).unwrap();
    fs::write(bench.path("cpio"), &archive).unwrap();
    let script = format!(
        "mkdir {0}/root && cd {0}/root && cpio -i --quiet < {0}/cpio && cpio -itv --quiet < {0}/cpio",
        bench.directory.path().display()
    );
    let list = tool("sh", &["-c", &script]);
    let mode_of = |name: &str| {
        let line =
            list.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap_or_else(|| panic!("{name} in {list}"));
        line.split_whitespace().next().unwrap().to_string()
    };
    assert_eq!(mode_of("init"), "-rwxr-xr-x");
    assert_eq!(mode_of("dev/console"), "crw-------");
    assert_eq!(mode_of("tmp"), "drwxrwxrwt");
    for name in ["proc", "sys", "dev", "run", "data", "modules"] {
        assert_eq!(mode_of(name), "drwxr-xr-x", "{name}");
    }
    let root = bench.path("root");
    assert_eq!(fs::read(root.join("init")).unwrap(), elf(183, 2));

    let bytes = fs::read(root.join("board")).unwrap();
    let (header, body) = codec::open(&bytes, Kind::Board).unwrap();
    assert_eq!(header.class, CLASS);
    let board: Board<'_> = check::board(body).unwrap();
    assert_eq!(
        (board.console, board.slots, board.slot_bytes, board.data, board.data_fs),
        ("ttyAMA0", "/dev/vda1", MIB as u32, "/dev/vda2", "ext4")
    );
    assert_eq!(board.network.unwrap().address, [10, 0, 2, 15]);
    let modules: Vec<&str> = board.modules.iter().collect();
    let expected = [
        "00-virtio_blk.ko",
        "01-failover.ko",
        "02-net_failover.ko",
        "03-virtio_net.ko",
        "04-crc32c_generic.ko",
        "05-jbd2.ko",
        "06-mbcache.ko",
        "07-crc16.ko",
        "08-ext4.ko",
        "09-loop.ko",
        "10-squashfs.ko",
        "11-overlay.ko",
    ];
    assert_eq!(modules, expected);
    assert_eq!(fs::read(root.join("modules/03-virtio_net.ko")).unwrap(), b"module virtio-net.ko", "unpacked");
}

#[test]
fn the_same_input_gives_the_same_flash() {
    let bench = Bench::new(&["web", "db"]);
    bench.run(&[]).unwrap();
    bench.run(&[("-o", &bench.path("second/disk.img"))]).unwrap();
    for name in ["disk.img", "initramfs.zst", "kernel"] {
        let read = |folder: &str| sha256(&fs::read(bench.path(folder).join(name)).unwrap());
        assert_eq!(read("out"), read("second"), "{name}");
    }
}

#[test]
fn f29_a_manifest_for_another_board_is_refused() {
    let bench = Bench::new(&["web"]);
    bench.write_manifest("raspi-3", &["web"]);
    let said = bench.refusal();
    assert!(said.contains("for boards of the class raspi-3") && said.contains("--board qemu-virt-aarch64"), "{said}");

    let mut damaged = manifest(CLASS, &["web"]);
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(bench.path("manifest"), damaged).unwrap();
    assert!(bench.refusal().contains("checksum"));
}

#[test]
fn every_image_that_cannot_be_used_is_named_with_what_to_do() {
    let bench = Bench::new(&["good", "damaged", "renamed"]);
    bench.write_manifest(CLASS, &["good", "damaged", "renamed", "missing:2"]);
    let record = |name: &str| bench.path("images").join(format!("docker.io%2Flibrary%2F{name}:latest.image"));
    let bytes = fs::read(record("damaged")).unwrap();
    let (_, body) = codec::open(&bytes, Kind::Image).unwrap();
    let squashfs = bench.path("images").join(&*image::squashfs_name(&check::image(body).unwrap().sha256));
    let mut bytes = fs::read(&squashfs).unwrap();
    bytes[100] ^= 1;
    fs::write(squashfs, bytes).unwrap();
    fs::copy(record("good"), record("renamed")).unwrap();
    let said = bench.refusal();
    assert!(said.contains("3 of the manifest's images"), "{said}");
    for wanted in [
        "docker.io/library/damaged:latest: ",
        "is damaged",
        "is the record of docker.io/library/good:latest",
        "docker.io/library/missing:2: ",
        "podling pull docker.io/library/missing:2 --board qemu-virt-aarch64 -o ",
    ] {
        assert!(said.contains(wanted), "{wanted:?} is not in {said:?}");
    }
    assert!(!said.contains("library/good:latest:"), "{said}");
}

/// On the board they would fail at exec, as "Exec format error".
#[test]
fn what_is_built_for_another_processor_is_refused() {
    let bench = Bench::new(&["good"]);
    bench.pack_for("amd64", "foreign", b"f");
    bench.pack_for("arm", "smaller", b"s");
    bench.write_manifest(CLASS, &["good", "foreign", "smaller"]);
    let said = bench.refusal();
    assert!(said.contains("1 of the manifest's images"), "{said}");
    let wanted = "docker.io/library/foreign:latest: the image is for amd64, and the board qemu-virt-aarch64 is arm64";
    assert!(said.contains(wanted) && said.contains("--board qemu-virt-aarch64"), "{said}");

    bench.write_manifest(CLASS, &["good", "smaller"]);
    let cases = [(elf(62, 2), "(ELF machine 62, 64 bits)"), (elf(40, 1), "(ELF machine 40, 32 bits)")];
    for (program, wanted) in cases.into_iter().chain([(b"#!/bin/sh\n".to_vec(), "it is no program for Linux")]) {
        fs::write(bench.path("podlingd"), program).unwrap();
        let said = bench.refusal();
        assert!(said.contains(wanted) && said.contains("which is arm64"), "{wanted:?} is not in {said:?}");
    }
    fs::write(bench.path("podlingd"), elf(183, 2)).unwrap();
    bench.run(&[]).unwrap();
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let bench = Bench::new(&[]);
    // Noise, so that squashfs cannot make it smaller.
    let mut random = 1_u64;
    let mut noise = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 56) as u8
    };
    let large: Vec<u8> = (0..7 * MIB).map(|_| noise()).collect();
    bench.pack("large", &large);
    bench.write_manifest(CLASS, &["large"]);
    let board =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/boards/qemu-virt-aarch64/board.toml")).unwrap();
    fs::write(bench.path("board.toml"), board.replace("256Mi", "8Mi")).unwrap();
    let said = bench.run(&[("--board", &bench.path("board.toml"))]).unwrap_err();
    assert!(said.contains("do not fit") && said.contains("data"), "{said}");
    fs::write(bench.path("board.toml"), board.replace("256Mi", "24Mi")).unwrap();
    let said = bench.run(&[("--board", &bench.path("board.toml"))]).unwrap_err();
    assert!(said.contains("no power of two"), "{said}");
}

#[test]
fn a_kernel_without_a_module_or_its_index_is_refused() {
    let bench = Bench::new(&["web"]);
    let modules = bench.path("kernel/lib/modules/6.1.0-test");
    let dep = fs::read_to_string(modules.join("modules.dep")).unwrap();
    let less: String = dep
        .lines()
        .filter(|line| !line.starts_with("kernel/overlay") && !line.starts_with("kernel/loop"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(modules.join("modules.dep"), less).unwrap();
    let said = bench.refusal();
    assert!(said.contains("no module called loop, overlay"), "{said}");
    fs::remove_file(modules.join("modules.dep")).unwrap();
    assert!(bench.refusal().contains("run `depmod -b"));
    fs::remove_dir_all(bench.path("kernel/lib")).unwrap();
    assert!(bench.refusal().contains("no unpacked kernel package"));
}
