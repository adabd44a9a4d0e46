//! The program itself: exit codes, what it writes and what it does not.

use super::{fixture, pod};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const BOARDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/boards");

/// Runs `podling` in `folder`.
fn podling(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_podling"))
        .args(args)
        .current_dir(folder)
        .env("PODLING_BOARDS", BOARDS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may end without reading it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn build(folder: &Path, input: &str) -> Output {
    podling(folder, &["build", "-", "--board", "qemu-virt-aarch64", "-o", "out", "--sequence", "7"], input)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_manifest_is_written_and_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let output = build(folder.path(), &pod("", ""));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let bytes = fs::metadata(folder.path().join("out")).unwrap().len();
    assert_eq!(
        text(&output.stdout),
        format!("out: 1 pod, 1 container, {bytes} bytes for qemu-virt-aarch64, sequence 7\n")
    );
    let shown = podling(folder.path(), &["inspect", "out"], "");
    let shown = text(&shown.stdout);
    assert!(
        shown.starts_with("# podling manifest, format version 2, for qemu-virt-aarch64\n# sequence 7, "),
        "{shown}"
    );
    assert!(shown.contains("not signed\n"));
}

#[test]
fn the_sequence_rises_with_time() {
    let folder = tempfile::tempdir().unwrap();
    let output = podling(folder.path(), &["build", "-", "--board", "qemu-virt-aarch64", "-o", "out"], &pod("", ""));
    let sequence: u64 = text(&output.stdout).trim().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(sequence > 1_700_000_000);
}

#[test]
fn an_error_leaves_the_old_manifest_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("out"), "the old one").unwrap();
    let output = build(folder.path(), &pod("", "comand: [x]"));
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.starts_with("<stdin>:4:"), "{said}");
    assert!(said.ends_with("podling: nothing was written: 1 error in <stdin>\n"), "{said}");
    assert_eq!(fs::read_to_string(folder.path().join("out")).unwrap(), "the old one");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
}

/// Root's `-o /dev/null` must not leave the machine without it.
#[test]
fn a_device_is_not_replaced_by_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let socket = std::os::unix::net::UnixListener::bind(folder.path().join("out")).unwrap();
    let output = build(folder.path(), &pod("", ""));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "podling: cannot write out: it is there, and no regular file\n");
    assert!(!fs::metadata(folder.path().join("out")).unwrap().is_file());
    drop(socket);
}

#[test]
fn errors_of_all_files_are_shown_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (typos, types) = (fixture("typos.yaml"), fixture("types.yaml"));
    let args = ["build", typos.to_str().unwrap(), types.to_str().unwrap(), "--board", "qemu-virt-aarch64", "-o", "out"];
    let output = podling(folder.path(), &args, "");
    let said = text(&output.stderr);
    assert!(said.contains("typos.yaml:") && said.contains("types.yaml:"), "{said}");
}

#[test]
fn an_unknown_board_names_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    let output = podling(folder.path(), &["build", "-", "--board", "qemu-virt-aarch46", "-o", "out"], "");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("unknown board `qemu-virt-aarch46`; did you mean `qemu-virt-aarch64`? (known: "), "{said}");
}

#[test]
fn files_that_are_no_text_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.yaml"), b"a: b\nc: \xff\n").unwrap();
    for (file, part) in
        [("bad.yaml", "bad.yaml:2: this is not UTF-8 text"), ("none.yaml", "cannot open none.yaml: No such file")]
    {
        let output = podling(folder.path(), &["build", file, "--board", "qemu-virt-aarch64", "-o", "out"], "");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(part), "{said}");
    }
}

#[test]
fn inspect_says_what_is_wrong_with_a_file() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), &pod("", ""));
    let good = fs::read(folder.path().join("out")).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let cases = [
        (vec![], "0 bytes"),
        (vec![b'x'; 300], "neither a manifest nor"),
        (flipped, "checksum"),
        (good[..good.len() - 1].to_vec(), "cut off"),
    ];
    for (bytes, part) in cases {
        fs::write(folder.path().join("bad"), bytes).unwrap();
        let output = podling(folder.path(), &["inspect", "bad"], "");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.starts_with("podling: bad: ") && said.contains(part), "{said}");
    }
}
