//! Block devices as volumes, on real loop devices: raw ones in containers, and file systems of local PersistentVolumes. Needs root.

mod node;

use node::{Node, pod};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A block device of this machine: a loop device over a file of 4 MiB.
struct Disk {
    directory: tempfile::TempDir,
    device: PathBuf,
}

impl Disk {
    fn new(file_system: bool) -> Disk {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("disk");
        fs::File::create(&file).unwrap().set_len(4 << 20).unwrap();
        if file_system {
            assert!(Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(&file).status().unwrap().success());
        }
        let made = Command::new("losetup").args(["--find", "--show"]).arg(&file).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let device = PathBuf::from(String::from_utf8(made.stdout).unwrap().trim());
        Disk { directory, device }
    }

    /// What is on it.
    fn content(&self) -> Vec<u8> {
        fs::read(self.directory.path().join("disk")).unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).stderr(std::process::Stdio::null()).status();
    }
}

fn claim(name: &str, mode: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\n\
         spec: {{volumeMode: {mode}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1M}}}}}}\n"
    )
}

fn local(name: &str, mode: &str, path: &Path, more: &str) -> String {
    let path = path.display();
    format!(
        "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\n\
         spec: {{volumeMode: {mode}, capacity: {{storage: 4Mi}}, claimRef: {{name: {name}}}, local: {{path: {path}{more}}}}}\n"
    )
}

fn volume(claim: &str, read_only: bool) -> String {
    format!("volumes: [{{name: v, persistentVolumeClaim: {{claimName: {claim}, readOnly: {read_only}}}}}]")
}

/// What is behind the claim `c`.
const FILE: &str = "volumes/default/c/block";
const DEVICE: &str = "volumeDevices: [{name: v, devicePath: /dev/xvda}]";

#[test]
fn spec_35_a_block_claim_is_a_device_that_outlives_its_pod() {
    let node = Node::new();
    let script =
        "test -b /dev/xvda && printf hello | dd of=/dev/xvda conv=notrunc,fsync && touch /ready; exec sleep 1000";
    let yaml = claim("c", "Block") + &pod("disk", script, &volume("c", false), DEVICE);
    node.run(&yaml, async |board| {
        board.ready("disk").await;
        assert_eq!(
            board.shell("disk", "main", "wc -c </dev/xvda").await,
            (0, "1003520\n".into()),
            "1 MB in whole sectors"
        );
        let before = board.uid("disk");
        board.0.restart("default", "disk", None).unwrap();
        board.gone(&before).await;
        board.ready("disk").await;
    });
    assert_eq!(fs::read(node.data_dir().join(FILE)).unwrap()[..5], *b"hello");
}

#[test]
fn a_block_claim_that_is_read_only_cannot_be_written() {
    let node = Node::new();
    let file = node.data_dir().join(FILE);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "hello").unwrap();
    let yaml = claim("c", "Block") + &pod("disk", "touch /ready; exec sleep 1000", &volume("c", true), DEVICE);
    node.run(&yaml, async |board| {
        board.ready("disk").await;
        assert_eq!(board.shell("disk", "main", "dd if=/dev/xvda bs=5 count=1 2>/dev/null").await, (0, "hello".into()));
        let write = "printf x | dd of=/dev/xvda conv=notrunc,fsync";
        assert_ne!(board.shell("disk", "main", write).await.0, 0, "the claim's readOnly");
    });
    assert_eq!(fs::read(&file).unwrap()[..5], *b"hello");
}

#[test]
fn an_ephemeral_block_volume_goes_with_its_pod() {
    let node = Node::new();
    let spec = "spec: {volumeMode: Block, accessModes: [ReadWriteOnce], resources: {requests: {storage: 64Ki}}}";
    let volumes = format!("volumes: [{{name: v, ephemeral: {{volumeClaimTemplate: {{{spec}}}}}}}]");
    node.run(&pod("disk", "touch /ready; exec sleep 1000", &volumes, DEVICE), async |board| {
        board.ready("disk").await;
        assert_eq!(board.shell("disk", "main", "wc -c </dev/xvda").await, (0, "65536\n".into()));
    });
}

#[test]
fn spec_35_a_device_of_the_board_is_given_as_it_is() {
    let node = Node::new();
    let disk = Disk::new(false);
    let documents = claim("c", "Block") + &local("c", "Block", &disk.device, "");
    let script = "printf raw | dd of=/dev/xvda conv=notrunc,fsync && touch /ready; exec sleep 1000";
    node.run(&(documents.clone() + &pod("disk", script, &volume("c", false), DEVICE)), async |board| {
        board.ready("disk").await;
    });
    let reader = pod("disk", "touch /ready; exec sleep 1000", &volume("c", true), DEVICE);
    Node::new().run(&(documents + &reader), async |board| {
        board.ready("disk").await;
        assert_ne!(board.shell("disk", "main", "printf x | dd of=/dev/xvda conv=notrunc,fsync").await.0, 0);
    });
    assert_eq!(disk.content()[..3], *b"raw");
}

#[test]
fn spec_35_the_file_system_of_a_local_device_is_mounted_and_given_to_the_group() {
    let node = Node::new();
    let disk = Disk::new(true);
    let documents = claim("c", "Filesystem") + &local("c", "Filesystem", &disk.device, ", fsType: ext4");
    let volumes = format!("securityContext: {{fsGroup: 4242, runAsUser: 1000}}\n{}", volume("c", false));
    let mounts = "volumeMounts: [{name: v, mountPath: /data}]";
    let script = "echo kept > /data/file && touch /tmp/done; exec sleep 1000";
    node.run(&(documents + &pod("disk", script, &volumes, mounts)), async |board| {
        board.running("disk", "main").await;
        let look = "until test -s /data/file; do sleep 0.01; done; stat -c %g /data /data/file; grep -c ' /data ext4 ' /proc/mounts";
        assert_eq!(board.shell("disk", "main", look).await, (0, "4242\n4242\n1\n".into()));
    });
}

#[test]
fn a_local_directory_is_given_to_the_group_and_anything_else_refused() {
    let node = Node::new();
    let (directory, file) = (node.root.join("local"), node.root.join("file"));
    fs::create_dir(&directory).unwrap();
    fs::write(&file, "").unwrap();
    let mounts = "volumeMounts: [{name: v, mountPath: /data}]";
    let good = claim("good", "Filesystem") + &local("good", "Filesystem", &directory, "");
    let bad = claim("bad", "Filesystem") + &local("bad", "Filesystem", &file, "");
    let volumes = format!("securityContext: {{fsGroup: 4242}}\n{}", volume("good", false));
    let yaml = good
        + &bad
        + &pod("good", "exec sleep 1000", &volumes, mounts)
        + &pod("bad", "exec sleep 1000", &volume("bad", false), mounts);
    node.run(&yaml, async |board| {
        board.running("good", "main").await;
        assert_eq!(board.shell("good", "main", "stat -c %g /data").await, (0, "4242\n".into()));
        let why = board.event("FailedCreatePodSandBox").await;
        assert!(why.contains("is neither a directory nor a block device"), "{why}");
    });
}

#[test]
fn spec_35_mount_options_are_the_mounts_and_the_file_systems() {
    let node = Node::new();
    let disk = Disk::new(true);
    let options = |options: &str| {
        local("c", "Filesystem", &disk.device, &format!("}}, mountOptions: [{options}]")).replace("]}}", "]}")
    };
    let mounts = "volumeMounts: [{name: v, mountPath: /data}]";
    let yaml = claim("c", "Filesystem")
        + &options("noatime, noexec, sync, commit=7")
        + &pod("disk", "exec sleep 1000", &volume("c", false), mounts);
    node.run(&yaml, async |board| {
        board.running("disk", "main").await;
        let (_, said) = board.shell("disk", "main", "grep ' /data ext4 ' /proc/mounts").await;
        for word in ["rw", "noatime", "noexec", "nosuid", "nodev", "sync", "commit=7"] {
            assert!(said.split([' ', ',']).any(|it| it == word), "{word}: {said}");
        }
    });
    let yaml = claim("c", "Filesystem") + &options("ro") + &pod("disk", "exec sleep 1000", &volume("c", false), mounts);
    Node::new().run(&yaml, async |board| {
        board.running("disk", "main").await;
        let (_, said) = board.shell("disk", "main", "grep ' /data ext4 ' /proc/mounts; echo x > /data/x").await;
        assert!(said.contains(" ro,") && said.contains("Read-only file system"), "{said}");
    });
    let yaml =
        claim("c", "Filesystem") + &options("nonsense") + &pod("disk", "exec sleep 1000", &volume("c", false), mounts);
    Node::new().run(&yaml, async |board| {
        let why = board.event("FailedCreatePodSandBox").await;
        assert!(why.contains(" with nonsense (") && why.contains("Invalid argument"), "{why}");
    });
}
