//! `podling explain`: what it says of a field, and that its table of support is what the compiler does.

use podling::host::explain::{self, explain};
use std::path::PathBuf;

/// `PODLING_BLESS=1 cargo test --test build` writes the table anew.
#[test]
fn the_table_of_support_in_the_repository_is_what_the_code_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/support.md");
    let now = explain::support();
    if std::env::var_os("PODLING_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let then = std::fs::read_to_string(&path).unwrap();
    let differs = now.lines().zip(then.lines()).find(|(now, then)| now != then);
    assert!(now == then, "tests/golden/support.md is not what the code says (PODLING_BLESS=1 writes it): {differs:?}");
}

#[test]
fn every_field_that_the_compiler_knows_is_explained_and_the_other_way_round() {
    let gaps = explain::gaps();
    assert!(gaps.is_empty(), "{}", gaps.join("\n"));
}

/// The fields of core/v1 that matter most for a pod are all there, whatever becomes of them.
#[test]
fn no_field_of_a_probe_is_missing() {
    let text = explain("pod.spec.containers.livenessProbe").unwrap();
    for field in ["exec", "failureThreshold", "grpc", "httpGet", "initialDelaySeconds", "periodSeconds", "tcpSocket"] {
        assert!(text.contains(&format!("\n  {field}\t<")), "{field}:\n{text}");
    }
    assert!(text.starts_with("KIND:       Pod\nVERSION:    v1\n\nFIELD: livenessProbe <Probe>\nSTATE: "), "{text}");
    assert!(text.contains("\nDESCRIPTION:\n    Asks again and again"), "{text}");
}

#[test]
fn a_field_is_explained_with_type_default_and_state() {
    assert_eq!(
        explain("pods.spec.terminationGracePeriodSeconds").unwrap(),
        "KIND:       Pod\nVERSION:    v1\n\nFIELD: terminationGracePeriodSeconds <integer>\nDEFAULT: 30\nSTATE: honoured\n\n\
         DESCRIPTION:\n    Seconds from the polite request to end to the end by force.\n"
    );
    let state = |path: &str| {
        let text = explain(path).unwrap();
        text.lines().find_map(|line| line.strip_prefix("STATE: ")).unwrap().to_owned()
    };
    assert_eq!(state("po.spec.tolerations"), "accepted with a warning: it means nothing on a single board");
    assert_eq!(state("pod.spec.volumes[0].nfs"), "refused: mount it on the board and use hostPath");
    let label = "pod.spec.securityContext.seLinuxOptions";
    assert_eq!(state(label), "refused: no board's kernel enforces SELinux");
    let version = "pod.spec.containers.env.valueFrom.fieldRef.apiVersion";
    assert_eq!(state(version), "honoured: v1; any other value is refused");
    // What only a cluster's fields hold is as they are; what only refused ones hold is refused.
    assert_eq!(state("pod.spec.ephemeralContainers.image"), "refused: podling cannot do it yet");
}

#[test]
fn lines_are_no_wider_than_a_terminal() {
    for path in ["pod.spec", "pod.spec.containers", "pod.spec.volumes"] {
        let text = explain(path).unwrap();
        let long = text.lines().find(|line| line.chars().count() > 80 && line.trim().contains(' '));
        assert_eq!(long, None);
    }
}

#[test]
fn a_wrong_path_says_what_was_probably_meant() {
    let said = |path: &str| format!("{:#}", explain(path).unwrap_err());
    assert_eq!(said("pod.spec.container"), "spec has no field \"container\"; did you mean \"containers\"?");
    assert!(said("podd.spec").ends_with("; did you mean \"Pod\"?"), "{}", said("podd.spec"));
    assert!(said("pod.metadata.name.first").contains("name has no fields"), "{}", said("pod.metadata.name.first"));
}
