//! The very card of a Raspberry Pi in an emulated one: boot files, slots and data as `podling image` has laid them out.

#[path = "common/board.rs"]
mod board;
#[path = "common/qemu.rs"]
mod qemu;

use board::{SOON, clone, lay_out, pod};
use qemu::{Guest, Hardware, Machine, directory, run};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

/// The first partition is at 1 MiB.
const BOOT_A: u64 = 1 << 20;

fn card(name: &str, board: &str, yaml: &str) -> std::path::PathBuf {
    let firmware = run(&mut Command::new(clone().join("scripts/firmware")));
    let board = clone().join("boards").join(board);
    lay_out(name, &board, yaml, &["--firmware", firmware.trim()])
}

/// Takes a file off the boot partition at `offset`.
fn take(disk: &Path, offset: u64, name: &str, to: &Path) {
    let image = format!("{}@@{offset}", disk.display());
    run(Command::new("mcopy").args(["-n", "-o", "-i", &image, &format!("::{name}")]).arg(to));
}

#[test]
fn the_card_of_a_raspberry_pi_3_boots_and_runs_its_pods() {
    let yaml =
        pod("hello", "", "resources: {limits: {memory: 32Mi}}", "echo hello from $(uname -m); exec sleep 100000")
            .replace("  hostNetwork: true\n", "");
    let disk = card("rpi3", "rpi3", &yaml);
    let files = directory().join("rpi3");
    let dtb = "bcm2837-rpi-3-b.dtb";
    for name in ["kernel.img", "initramfs.zst", "cmdline.txt", dtb] {
        take(&disk, BOOT_A, name, &files);
    }
    let machine = Machine {
        name: "rpi3",
        hardware: Hardware::Raspi3b { dtb: files.join(dtb) },
        prompt: "rpi3# ",
        kernel: files.join("kernel.img"),
        initramfs: files.join("initramfs.zst"),
        cmdline: fs::read_to_string(files.join("cmdline.txt")).unwrap().trim().into(),
        memory_mib: 1024,
        disk: Some(disk),
        port: None,
        reboots: false,
        extra: vec![],
    };
    let mut guest = Guest::booted(&machine);
    guest.pod_is("hello", &["1/1", "Running"]);
    guest.ask_until("logs hello", |said| said.contains("hello from aarch64"));
    let version = guest.ask("version");
    assert!(version.contains("Board:     rpi3") && !version.contains("Warning"), "{version}");
    guest.send_line("poweroff");
    // A Raspberry Pi has no switch of its own; it stops.
    guest.expect("System halted", SOON);
}

/// What each firmware wants is there, on both boot partitions, in file systems that are in order; what it is called is what the
/// configuration says.
#[test]
fn the_boot_partitions_of_each_raspberry_pi_hold_what_its_firmware_wants() {
    let wanted: [(&str, &[&str]); 3] = [
        ("rpi3", &["bootcode.bin", "start.elf", "fixup.dat", "bcm2837-rpi-3-b-plus.dtb"]),
        ("rpi-zero2w", &["bootcode.bin", "start.elf", "fixup.dat", "bcm2837-rpi-zero-2-w.dtb"]),
        ("rpi4", &["start4.elf", "fixup4.dat", "bcm2711-rpi-4-b.dtb"]),
    ];
    let yaml = pod("hello", "", "", "exec sleep 100000");
    for (board, files) in wanted {
        let name = format!("files-{board}");
        let disk = card(&name, board, &yaml);
        let out = directory().join(&name);
        let read = |offset: u64, size: u64| {
            let mut bytes = vec![0; size as usize];
            fs::File::open(&disk).unwrap().read_exact_at(&mut bytes, offset).unwrap();
            bytes
        };
        for entry in read(446, 32).chunks_exact(16) {
            let number = |at: usize| 512 * u64::from(u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()));
            let (offset, size) = (number(8), number(12));
            assert_eq!(entry[4], 0x0c, "{board}: FAT32 with LBA");
            for file in
                files.iter().chain(&["kernel.img", "initramfs.zst", "cmdline.txt", "config.txt", "autoboot.txt"])
            {
                take(&disk, offset, file, &out);
                assert!(fs::metadata(out.join(file)).unwrap().len() > 0, "{board}: {file}");
            }
            let config = fs::read_to_string(out.join("config.txt")).unwrap();
            assert!(config.contains("kernel=kernel.img\ninitramfs initramfs.zst\n"), "{config}");
            let cmdline = fs::read_to_string(out.join("cmdline.txt")).unwrap();
            assert!(cmdline.contains("cgroup_enable=memory") && cmdline.lines().count() == 1, "{cmdline}");
            let fat = out.join("fat");
            fs::write(&fat, read(offset, size)).unwrap();
            run(Command::new("/sbin/fsck.fat").arg("-n").arg(&fat));
        }
    }
}
