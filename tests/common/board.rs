//! An emulated board from YAML: its flash laid out as people do it, its console asked and answered.
#![allow(dead_code, reason = "each test file uses its part")]

use super::qemu::{Guest, Hardware, Machine, directory, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{fs, thread};

pub const PROMPT: &str = "virt# ";
/// Emulated, and maybe beside another guest: long, for what takes a second on a board.
pub const BOOT: Duration = Duration::from_secs(180);
pub const ANSWER: Duration = Duration::from_secs(60);
pub const SOON: Duration = Duration::from_secs(120);

/// What every board has in common; made once.
struct Parts {
    podlingd: PathBuf,
    kernel: PathBuf,
    images: PathBuf,
}

pub fn clone() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn podling() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podling"));
    command.current_dir(clone());
    command
}

/// The board's program as cargo builds it by itself. `scripts/test` gives the one that is flashed, in PODLING_BOARD_PROGRAM.
fn build() -> PathBuf {
    run(Command::new(env!("CARGO")).args(["board", "--locked", "--target-dir", "target"]).current_dir(clone()));
    clone().join("target/aarch64-unknown-linux-musl/release/podlingd")
}

fn parts() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| {
        let images = directory().join("images");
        let layout = run(&mut Command::new(clone().join("scripts/images")));
        for image in ["localhost/busybox:demo", "localhost/nginx:demo"] {
            run(podling().args(["pack", &format!("oci:{layout}:{image}"), "-o"]).arg(&images));
        }
        Parts {
            podlingd: std::env::var_os("PODLING_BOARD_PROGRAM").map_or_else(build, PathBuf::from),
            kernel: run(&mut Command::new(clone().join("scripts/kernel"))).into(),
            images,
        }
    })
}

/// A board whose flash holds the pods of `yaml`. `adapt` changes the board's file.
pub fn board(name: &'static str, yaml: &str, adapt: impl Fn(String) -> String) -> Machine {
    let dir = directory().join(name);
    fs::create_dir_all(&dir).unwrap();
    let original = fs::read_to_string(clone().join("boards/qemu-virt-aarch64/board.toml")).unwrap();
    let board = dir.join("board.toml");
    fs::write(&board, adapt(original.clone())).unwrap();
    let disk = lay_out(name, &board, yaml, &[]);
    let cmdline = original.lines().find_map(|line| line.strip_prefix("cmdline = \"")?.strip_suffix('"'));
    Machine {
        name,
        hardware: Hardware::Virt,
        prompt: PROMPT,
        kernel: dir.join("kernel"),
        initramfs: dir.join("initramfs.zst"),
        cmdline: cmdline.expect("the board's file has a command line").into(),
        memory_mib: 128,
        disk: Some(disk),
        port: None,
        reboots: false,
        extra: vec![],
    }
}

/// The flash of that board with the pods of `yaml`; its boot files in target/qemu/NAME as well.
pub fn lay_out(name: &str, board: &Path, yaml: &str, more: &[&str]) -> PathBuf {
    let parts = parts();
    let dir = directory().join(name);
    fs::create_dir_all(&dir).unwrap();
    let (pods, manifest, disk) = (dir.join("pods.yaml"), dir.join("manifest"), directory().join(format!("{name}.img")));
    fs::write(&pods, yaml).unwrap();
    run(podling().arg("build").arg(&pods).arg("--board").arg(board).arg("-o").arg(&manifest));
    let [board, manifest, images, kernel, podlingd, flash, boot] =
        [board, &manifest, &parts.images, &parts.kernel, &parts.podlingd, &disk, &dir]
            .map(|path| path.to_str().unwrap());
    run(podling()
        .args(["image", "--board", board, "--manifest", manifest, "--images", images, "--kernel", kernel])
        .args(["--podlingd", podlingd, "-o", flash, "--boot", boot])
        .args(more));
    disk
}

pub fn as_it_is(board: String) -> String {
    board
}

/// A pod of one container of busybox. As a process 1 that does not ask for it hears no TERM, its grace is short.
pub fn pod(name: &str, spec: &str, container: &str, script: &str) -> String {
    let grace = match spec.contains("terminationGracePeriodSeconds") {
        true => "",
        false => "terminationGracePeriodSeconds: 1\n",
    };
    let indented =
        |text: &str, by: usize| -> String { text.lines().map(|line| format!("{:by$}{line}\n", "")).collect() };
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  hostNetwork: true\n{}  containers:\n    - name: main\n      image: localhost/busybox:demo\n{}      command: [\"/bin/sh\", \"-c\"]\n      args:\n        - |\n{}",
        indented(&format!("{grace}{spec}"), 2),
        indented(container, 6),
        indented(script, 10)
    )
}

impl Guest {
    /// Types a command; gives its answer.
    pub fn ask(&mut self, command: &str) -> String {
        self.command(command, self.prompt, ANSWER)
    }

    /// Asks again and again until the answer is as wanted.
    pub fn ask_until(&mut self, command: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + SOON;
        loop {
            let answer = self.ask(command);
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < end, "\"{command}\" did not become what it should within {SOON:?}:\n{answer}");
            // Not a race: the guest needs its processor for what is waited for.
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until a pod's line says all of `words`.
    pub fn pod_is(&mut self, name: &str, words: &[&str]) -> String {
        self.ask_until("get pods", |answer| {
            answer.lines().any(|line| {
                line.split_whitespace().next() == Some(name) && words.iter().all(|word| line.contains(word))
            })
        })
    }

    pub fn booted(machine: &Machine) -> Guest {
        let mut guest = machine.start();
        guest.expect(machine.prompt, BOOT);
        guest
    }

    /// That of all warnings of the node exactly one is of `subject`, among the events as well.
    pub fn warns_once(&mut self, subject: &str) {
        let version = self.ask("version");
        let warnings: Vec<_> = version.lines().filter(|line| line.starts_with("Warning")).collect();
        assert!(warnings.len() == 1 && warnings[0].contains(subject), "{version}");
        let events = self.ask("events");
        assert!(events.contains("NodeDegraded"), "{events}");
    }

    pub fn power_off(mut self) {
        self.send_line("poweroff");
        let status = self.wait_off(SOON);
        assert!(status.success(), "QEMU ended with {status}");
    }
}
