//! `podling flash`: onto files, disks, and what must not be written. Needs root, for loop devices and mounts.

mod images;

use images::registry::noise;
use images::tool;
use podling::host::card::{Done, flash};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// A directory with an image of so many bytes in it.
struct Desk {
    directory: TempDir,
    image: Vec<u8>,
}

impl Desk {
    fn new(bytes: usize) -> Desk {
        let mut image = noise(bytes);
        image[510..512].copy_from_slice(&[0x55, 0xaa]);
        let desk = Desk { directory: tempfile::tempdir().unwrap(), image };
        fs::write(desk.at("image"), &desk.image).unwrap();
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn flash(&self, device: &Path) -> Result<Done, String> {
        flash(&self.at("image"), device, None).map_err(|error| format!("{error:#}"))
    }

    /// A file of so many bytes.
    fn file(&self, name: &str, bytes: usize) -> PathBuf {
        fs::write(self.at(name), vec![0xaa; bytes]).unwrap();
        self.at(name)
    }
}

/// A loop device. Dropping it lets go of it.
struct Loop(PathBuf);

impl Loop {
    fn of(file: &Path, more: &[&str]) -> Loop {
        let file = file.to_str().unwrap();
        Loop(tool("losetup", &[&["--find", "--show"], more, &[file]].concat()).trim().into())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        tool("losetup", &["--detach", self.0.to_str().unwrap()]);
    }
}

/// A mount. Dropping it unmounts it.
struct Mount(PathBuf);

impl Mount {
    fn new(at: PathBuf, arguments: &[&str]) -> Mount {
        fs::create_dir(&at).unwrap();
        tool("mount", &[arguments, &[at.to_str().unwrap()]].concat());
        Mount(at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        tool("umount", &[self.0.to_str().unwrap()]);
    }
}

#[test]
fn a_disk_gets_the_whole_image_and_keeps_what_is_behind_it() {
    let desk = Desk::new(3 * MIB + 512);
    let file = desk.file("disk", 5 * MIB);
    let device = Loop::of(&file, &[]);
    let bytes = desk.image.len() as u64;
    assert_eq!(desk.flash(&device.0).unwrap(), Done { bytes, written: bytes });
    let kept = fs::read(&device.0).unwrap();
    assert!(kept[..desk.image.len()] == desk.image && kept[desk.image.len()..].iter().all(|byte| *byte == 0xaa));
}

#[test]
fn a_second_time_only_what_differs_is_written() {
    let mut desk = Desk::new(4 * MIB);
    let device = Loop::of(&desk.file("disk", 4 * MIB), &[]);
    desk.flash(&device.0).unwrap();
    let bytes = desk.image.len() as u64;
    assert_eq!(desk.flash(&device.0).unwrap(), Done { bytes, written: 0 });
    desk.image[2 * MIB + 5] ^= 1;
    fs::write(desk.at("image"), &desk.image).unwrap();
    assert_eq!(desk.flash(&device.0).unwrap(), Done { bytes, written: MIB as u64 });
    assert!(fs::read(&device.0).unwrap() == desk.image);
}

#[test]
fn a_file_is_made_or_grown_as_it_must() {
    let desk = Desk::new(2 * MIB);
    desk.flash(&desk.at("new")).unwrap();
    assert!(fs::read(desk.at("new")).unwrap() == desk.image);
    desk.flash(&desk.file("short", 10)).unwrap();
    assert!(fs::read(desk.at("short")).unwrap() == desk.image);
}

#[test]
fn what_must_not_be_written_is_not() {
    let desk = Desk::new(2 * MIB);
    let refused = |device: &Path, words: &str| {
        let said = desk.flash(device).expect_err(words);
        assert!(said.contains(words), "{said}");
    };
    let small = Loop::of(&desk.file("small", MIB), &[]);
    refused(&small.0, "is too small: the image is 2Mi");
    let locked = Loop::of(&desk.file("locked", 3 * MIB), &["--read-only"]);
    refused(&locked.0, "write-protected");
    refused(Path::new("/dev/nowhere"), "No such file");
    refused(desk.directory.path(), "neither a disk nor a file");
    refused(Path::new("/dev/null"), "neither a disk nor a file");

    let junk = flash(&desk.file("junk", MIB), &desk.at("new"), None).unwrap_err().to_string();
    assert!(junk.contains("no partition table") && !desk.at("new").exists(), "{junk}");

    let file = desk.file("mounted", 4 * MIB);
    tool("mke2fs", &["-q", "-F", file.to_str().unwrap()]);
    let device = Loop::of(&file, &[]);
    let mount = Mount::new(desk.at("mount"), &[device.0.to_str().unwrap()]);
    refused(&device.0, &format!("is mounted on {}", mount.0.display()));
    drop(mount);
    desk.flash(&device.0).unwrap();
}

/// What stands on the card after any interruption says nothing wrong, and the next flash goes on from there.
#[test]
fn an_interrupted_flash_leaves_no_half_card() {
    let desk = Desk::new(6 * MIB);
    let room = Mount::new(desk.at("room"), &["-t", "tmpfs", "-o", "size=3m", "none"]);
    let card = room.0.join("card");
    let said = desk.flash(&card).expect_err("no room");
    assert!(said.contains("cannot write to the card at byte 3145728: No space left on device"), "{said}");
    let mut first = vec![1; MIB];
    fs::File::open(&card).unwrap().read_exact_at(&mut first, 0).unwrap();
    assert!(first.iter().all(|byte| *byte == 0), "there must be no partition table yet");
    tool("mount", &["-o", "remount,size=8m", room.0.to_str().unwrap()]);
    assert_eq!(desk.flash(&card).unwrap(), Done { bytes: 6 * MIB as u64, written: 4 * MIB as u64 });
    assert!(fs::read(&card).unwrap() == desk.image);
}
