//! What is said of wrong files: each file of `tests/yaml` against what is recorded in `tests/snapshots`.

use super::{compile, fixture, pod};
use std::fs;

/// Everything that is said of a file.
fn said(name: &str) -> String {
    let outcome = compile(&fs::read_to_string(fixture(name)).unwrap());
    assert_eq!(outcome.compiled.is_none(), outcome.errors > 0);
    outcome.said
}

macro_rules! recorded {
    ($($test:ident: $file:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
                insta::assert_snapshot!(concat!("yaml-", $file), said(concat!($file, ".yaml")));
            });
        })*
    };
}

recorded! {
    typos_get_a_suggestion: "typos",
    wrong_types_say_what_was_expected: "types",
    broken_documents_do_not_hide_the_next: "syntax",
    what_the_board_cannot_do_yet_is_refused: "unsupported",
    cluster_fields_are_accepted_with_a_warning: "cluster",
    references_must_lead_somewhere: "references",
    spec_7_names_are_checked: "names",
    spec_93_quantities_are_checked: "resources",
    spec_43_restart_rules_are_checked: "restart",
    security_is_checked: "security",
    spec_42_probes_and_hooks_are_checked_as_the_api_server_does: "probes",
    failure_f28_a_port_of_the_board_is_taken_once: "ports",
}

#[test]
fn secrets_are_never_printed() {
    let said = said("secrets.yaml");
    for value in ["hunter2", "1234", "aHVudGVy"] {
        assert!(!said.contains(value), "{said}");
    }
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("yaml-secrets", said);
    });
}

#[test]
fn spec_87_privileged_is_refused_where_the_board_forbids_it() {
    let outcome = compile(&pod("", "securityContext: {privileged: true}"));
    outcome.refused("The Pod \"web\" is invalid: spec.containers[0].securityContext.privileged: forbidden\n");
}

#[test]
fn the_place_is_shown_as_rustc_does() {
    let outcome = compile(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  hostNetwork: true\n  containers:\n  - name: app\n    image: busybox\n    comand: [sleep]\n",
    );
    assert_eq!(
        outcome.said,
        "pods.yaml:10:5: unknown field \"comand\" in spec.containers[0]; did you mean \"command\"?\n   |\n10 |     comand: [sleep]\n   |     ^^^^^^\n"
    );
}

#[test]
fn no_pod_is_an_error_and_empty_documents_are_not() {
    for empty in ["", "---\n---\n", "# nothing\n", "\u{feff}---\n"] {
        compile(empty).refused("there is no pod in these files");
    }
    let text = format!("---\n---\n# empty\n---\n{}---\n", pod("", ""));
    assert_eq!(compile(&text).errors, 0);
}

/// Every bound of `manifest::limits` that YAML can break.
#[test]
fn limits_are_reported_where_they_are_passed() {
    let many = |n: usize, item: &dyn Fn(usize) -> String| (0..n).map(item).collect::<Vec<_>>().join(", ");
    let container = |n| format!("{{name: c{n}, image: busybox}}");
    let cases = [
        (
            pod(&format!("initContainers: [{}]", many(16, &container)), ""),
            "at most 16 containers are possible in a pod, and there are 17",
        ),
        (
            pod(&format!("volumes: [{}]", many(33, &|n| format!("{{name: v{n}, emptyDir: {{}}}}"))), ""),
            "spec.volumes[32]: at most 32",
        ),
        (pod("", &format!("env: [{}]", many(257, &|n| format!("{{name: V{n}, value: x}}")))), "env[256]: at most 256"),
        (pod("", &format!("args: [{}]", many(129, &|_| "x".into()))), "args[128]: at most 128"),
        (
            pod("", &format!("ports: [{}]", many(33, &|n| format!("{{containerPort: {}}}", n + 1)))),
            "ports[32]: at most 32",
        ),
        (
            pod(&format!("securityContext: {{supplementalGroups: [{}]}}", many(33, &|n| n.to_string())), ""),
            "at most 32",
        ),
        (pod("", &format!("args: [{}]", "x".repeat(200_000))), "a text of 200000 bytes: at most 131072"),
        (pod("", &format!("workingDir: /{}", "x".repeat(2000))), "is longer than a path may be"),
        (pod("", "args: [\"a\\0b\"]"), "must not contain a NUL"),
        (pod("terminationGracePeriodSeconds: 86401", ""), "86401 is not possible here: from 0 to 86400"),
    ];
    for (text, part) in cases {
        compile(&text).refused(part);
    }
    let pods: Vec<String> = (0..65).map(|n| pod("", "").replace("name: web", &format!("name: w{n}"))).collect();
    compile(&pods.join("---\n")).refused("a manifest holds at most 64 pods, and there are 65");
}

#[test]
fn a_manifest_that_no_board_takes_is_refused() {
    let word = "x".repeat(100_000);
    let words: Vec<&str> = vec![&word; 12];
    compile(&pod("", &format!("args: [{}]", words.join(", ")))).refused("a board takes at most 1Mi");
}

/// Variables that double each time would need 2^60 bytes.
#[test]
fn expansion_is_bounded() {
    let mut env = vec!["{name: V0, value: xxxxxxxxxxxxxxxx}".to_owned()];
    env.extend((1..60).map(|n| format!("{{name: V{n}, value: \"$(V{})$(V{})\"}}", n - 1, n - 1)));
    let outcome = compile(&pod("", &format!("env: [{}]", env.join(", "))));
    assert!(outcome.said.contains("with its variables this is longer than"), "{}", outcome.said);
}

/// Aliases of aliases would make 10^9 nodes if they were copied.
#[test]
fn aliases_are_not_copied() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..9 {
        let list = vec![format!("*a{}", n - 1); 10].join(", ");
        text += &format!("a{n}: &a{n} [{list}]\n");
    }
    text += "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {hostNetwork: true, containers: *a8}\n";
    assert!(compile(&text).errors > 0);
}

#[test]
fn depth_is_bounded() {
    let outcome = compile(&format!("{}{}", "[".repeat(100), "]".repeat(100)));
    outcome.refused("lists and maps nest deeper than 64");
    assert!(compile(&"[".repeat(1_000_000)).errors > 0);
    assert!(compile(&"- ".repeat(10_000)).errors > 0);
}
