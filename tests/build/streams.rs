//! `stdin`, `stdinOnce`, `tty` and `hostPID` in YAML: what a pod shares with whoever attaches, and with the board.

use super::{compile, pod};
use podling::console::object::{self, Format, Options};
use podling::manifest::check;
use podling::manifest::terminal::Stdin;

/// Spec 27: hostPID is honoured, says what it gives away, and goes with neither of two others.
#[test]
fn spec_27_host_pid() {
    let alone = compile(&pod("hostPID: true", ""));
    assert_eq!(alone.warnings, 1, "{}", alone.said);
    assert!(alone.said.contains("see every process of the board"), "{}", alone.said);
    let body = alone.body();
    assert!(check::manifest(&body).unwrap().pods.get(0).unwrap().sharing.host_pid);
    compile(&pod("hostPID: true, shareProcessNamespace: true", "")).refused("cannot be had together with");
    let users = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {hostPID: true, hostUsers: false, containers: [{name: a, image: b}]}\n";
    compile(users).refused("forbidden when hostUsers is false");
}

#[test]
fn stdin_and_tty_mean_what_they_say_and_come_back_as_written() {
    for (yaml, stdin, tty) in [
        ("", Stdin::None, false),
        ("stdin: false, stdinOnce: false, tty: false", Stdin::None, false),
        ("stdin: true", Stdin::Kept, false),
        ("stdin: true, stdinOnce: true", Stdin::Once, false),
        ("stdin: true, tty: true", Stdin::Kept, true),
        ("tty: true", Stdin::None, true),
    ] {
        let body = compile(&pod("", yaml)).body();
        let manifest = check::manifest(&body).unwrap();
        let pod = manifest.pods.get(0).unwrap();
        let container = pod.containers.get(0).unwrap();
        assert_eq!((container.stdin, container.tty), (stdin, tty), "{yaml}");
        let mut shown = String::new();
        object::pod(&pod, None, Format::Yaml, Options::default(), &mut shown).unwrap();
        let again = compile(&shown).body();
        assert_eq!(again, body, "{shown}");
    }
    let alone = compile(&pod("", "stdinOnce: true"));
    assert_eq!((alone.errors, alone.warnings), (0, 1), "{}", alone.said);
    assert!(alone.said.contains("has an effect only with stdin: true"), "{}", alone.said);
}
