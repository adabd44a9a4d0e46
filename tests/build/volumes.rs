//! What volumes and mounts mean, and which are refused with what reason.

use super::{compile, compile_for, pod};
use podling::host::boards::BoardFile;
use podling::manifest::check;
use podling::manifest::pod::{Mount, Pod, Propagation};

/// Calls `look` with the first pod of `text`.
#[track_caller]
pub fn first<T>(text: &str, look: impl FnOnce(Pod<'_>) -> T) -> T {
    let body = compile(text).body();
    look(check::manifest(&body).unwrap().pods.get(0).unwrap())
}

/// A pod with an emptyDir `v` and these mounts.
fn mounted(mounts: &str) -> String {
    let container = format!(
        "env: [{{name: A, value: x}}, {{name: UP, value: a/../b}}], volumeMounts: [{{name: v, mountPath: /v, {mounts}}}]"
    );
    pod("volumes: [{name: v, emptyDir: {}}]", &container)
}

#[track_caller]
fn mount(mounts: &str, look: impl FnOnce(Mount<'_>)) {
    first(&mounted(mounts), |pod| look(pod.containers.get(0).unwrap().mounts.get(0).unwrap()));
}

#[test]
fn spec_31_sub_paths_are_checked_and_expanded() {
    for (given, meant) in [
        ("subPath: a/./b//c/", "a/b/c"),
        ("subPath: .", ""),
        ("subPath: ''", ""),
        ("subPathExpr: $(A)/y", "x/y"),
        ("subPathExpr: $$(A)", "$(A)"),
        ("subPath: $(A)", "$(A)"),
        ("subPath: ..a", "..a"),
    ] {
        mount(given, |mount| assert_eq!(mount.sub_path, meant, "{given}"));
    }
    for (given, says) in [
        ("subPath: /a", "\"/a\" is not a path below the volume"),
        ("subPath: a/../b", "must not contain .."),
        ("subPathExpr: $(UP)", "must not contain .."),
        ("subPathExpr: $(B)", "this container has no variable \"B\""),
        ("subPath: a, subPathExpr: b", "subPath or subPathExpr, not both"),
    ] {
        compile(&mounted(given)).refused(says);
    }
}

#[test]
fn spec_31_mount_options_fit_each_other() {
    mount("readOnly: true, recursiveReadOnly: IfPossible", |mount| {
        assert!(mount.read_only && mount.recursive_read_only);
    });
    mount("readOnly: true, recursiveReadOnly: Disabled", |mount| assert!(!mount.recursive_read_only));
    mount("mountPropagation: HostToContainer", |mount| assert_eq!(mount.propagation, Propagation::HostToContainer));
    for (given, says) in [
        ("recursiveReadOnly: Enabled", "recursiveReadOnly: needs readOnly: true"),
        ("readOnly: true, recursiveReadOnly: Enabled, mountPropagation: HostToContainer", "cannot be had together"),
        ("mountPropagation: Bidirectional", "Bidirectional is possible only in a privileged container"),
        ("mountPropagation: Both", "\"Both\" is not a value for this"),
    ] {
        compile(&mounted(given)).refused(says);
    }
    let board = BoardFile { allow_privileged: true, ..super::board() };
    let privileged = mounted("mountPropagation: Bidirectional")
        .replace("volumeMounts", "securityContext: {privileged: true}, volumeMounts");
    assert!(!compile_for(&privileged, &board).said.contains("Bidirectional is possible"));
}
