//! What is shown of a pod's life beyond its states: last words, deadlines, gates and admission.

use crate::fake::{Fake, container, exit, pod, status, view};
use crate::verbs::told as ask;
use podling::console::view::ContainerView;
use podling::manifest::pod::ContainerKind::App;
use podling::manifest::pod::Pod;
use podling::manifest::status::{ContainerState, Phase, Reason, Verdict};

/// Spec 51: the pod has failed as a whole.
#[test]
fn spec_51_why_a_pod_has_failed_is_shown() {
    let mut failed = status(Phase::Failed, &[view(App, ContainerState::Waiting(Reason::ContainerCreating))]);
    failed.verdict = Some(Verdict::DeadlineExceeded);
    let board =
        Fake::new(&[(Pod { active_deadline_seconds: Some(9), ..pod("web", &[container("app", App)]) }, failed)]);
    let message = Verdict::DeadlineExceeded.message();
    let said = ask(&board, "describe pod web").out;
    let lines = format!("Status:       Failed\nReason:       DeadlineExceeded\nMessage:      {message}\n");
    assert!(said.contains(&lines), "{said}");
    let said = ask(&board, "get pod web -o yaml").out;
    assert!(said.contains("spec:\n  activeDeadlineSeconds: 9\n"), "{said}");
    assert!(said.contains(&format!("  message: {message}\n  phase: Failed\n")), "{said}");
    assert!(said.contains("  reason: DeadlineExceeded\n"), "{said}");
}

/// Spec 44: a container may write what it likes, but not move the terminal's cursor.
#[test]
fn spec_44_last_words_are_shown_and_do_no_harm() {
    let view = ContainerView {
        last: Some(exit(1)),
        words: "out of\n\x1b[2Jpaper\n",
        last_words: "no ink",
        ..view(App, ContainerState::Terminated(exit(3)))
    };
    let board = Fake::new(&[(pod("web", &[container("app", App)]), status(Phase::Failed, &[view]))]);
    let said = ask(&board, "describe pod web").out;
    assert!(said.contains("      Message:      out of\n                    \u{fffd}[2Jpaper\n"), "{said}");
    assert!(said.contains("      Message:      no ink\n"), "{said}");
    let said = ask(&board, "get pod web -o yaml").out;
    assert!(said.contains("        message: no ink\n"), "{said}");
    assert!(said.contains("[2Jpaper") && !said.contains('\u{1b}'), "{said}");
}
