//! What is shown of a pod's life beyond its states: last words, deadlines, gates and admission.

use crate::fake::{Fake, NOW, arena, container, exit, pod, running, status, view};
use crate::verbs::told as ask;
use podling::console::view::{ContainerView, GateCondition, GateView};
use podling::machine::admit::Lacks;
use podling::manifest::pod::ContainerKind::App;
use podling::manifest::pod::Pod;
use podling::manifest::status::{Condition, ConditionKind, ContainerState, Phase, Reason, Verdict};

/// Spec 46: what was set, and what nobody has set yet.
#[test]
fn spec_46_readiness_gates_are_shown_and_set() {
    let condition = GateCondition { holds: true, since: NOW, reason: "Warmed", message: "it took a while" };
    let gates = [GateView { name: "Warm", condition: Some(condition) }, GateView { name: "a/b", condition: None }];
    let mut unready = status(Phase::Running, &[view(App, running())]);
    unready.gates = Box::leak(Box::new(gates));
    unready.conditions[1].status = false;
    unready.conditions[1].reason = "ReadinessGatesNotReady";
    let gated = Pod { readiness_gates: arena().list(["Warm", "a/b"]), ..pod("web", &[container("app", App)]) };
    let board = Fake::new(&[(gated, unready)]);
    let said = ask(&board, "describe pod web").out;
    let block = "Readiness Gates:\n  Type  Status\n  Warm  True\n  a/b   <none>\nConditions:\n";
    assert!(said.contains(block) && said.contains("  Warm         True    Warmed\n"), "{said}");
    let said = ask(&board, "get pods -o wide").out;
    assert!(said.contains("READINESS GATES\n") && said.ends_with("   1/2\n"), "{said}");
    let said = ask(&board, "get pod web -o yaml").out;
    assert!(said.contains("  readinessGates:\n  - conditionType: Warm\n  - conditionType: a/b\n"), "{said}");
    assert!(
        said.contains("    message: it took a while\n    reason: Warmed\n    status: \"True\"\n    type: Warm\n"),
        "{said}"
    );
    assert!(said.contains("corresponding condition of pod readiness gate \"a/b\" does not exist."), "{said}");

    let line = "set condition web a/b=False --reason NotYet --message 'still loading'";
    assert_eq!(ask(&board, line).out, "pod/web condition a/b set to False\n");
    let asked = board.asked.borrow().last().cloned().unwrap_or_default();
    assert!(asked.contains("holds: false") && asked.contains("\"still loading\""), "{asked}");
    assert!(ask(&board, "set condition nope a/b=True").err.contains("pods \"nope\" not found"));
    for (line, why) in [
        ("set web a/b=True", "expected 'set condition POD TYPE=True|False'"),
        ("set condition web a/b", "expected 'set condition POD TYPE=True|False'"),
        ("set condition web a/b=Maybe", "the status of a condition is True or False, not \"Maybe\""),
        ("set condition web a/b=True --reason 'two words'", "--reason is one word"),
        ("set condition web a/b=True more", "unexpected argument \"more\""),
    ] {
        let refused = podling::console::grammar::line(line.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(why), "{line}: {refused}");
    }
}

/// Spec 96: what it waits for, as kubectl shows it.
#[test]
fn spec_96_a_pod_without_room_is_shown_as_pending() {
    let mut waits = status(Phase::Pending, &[view(App, ContainerState::Waiting(Reason::ContainerCreating))]);
    waits.lacks = Some(Lacks { memory: true, cpu: true, ..Lacks::default() });
    let (kind, reason) = (ConditionKind::PodScheduled, "Unschedulable");
    waits.conditions = [Condition { kind, status: false, reason, since: NOW }].into_iter().collect();
    let board = Fake::new(&[(Pod { priority: 7, ..pod("web", &[container("app", App)]) }, waits)]);
    let said = ask(&board, "get pods").out;
    assert!(said.contains("web    0/1     Pending   0 "), "{said}");
    let said = ask(&board, "describe pod web").out;
    assert!(said.contains("Priority:     7\n") && !said.contains("State:"), "{said}");
    assert!(said.contains("  PodScheduled  False   Unschedulable\n"), "{said}");
    let said = ask(&board, "get pod web -o yaml").out;
    let message = "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.";
    assert!(said.contains(message) && said.contains("  priority: 7\n"), "{said}");
    assert!(!said.contains("containerStatuses"), "{said}");
}

/// Spec 51: the pod has failed as a whole.
#[test]
fn spec_51_why_a_pod_has_failed_is_shown() {
    let mut failed = status(Phase::Failed, &[view(App, ContainerState::Waiting(Reason::ContainerCreating))]);
    failed.verdict = Some(Verdict::DeadlineExceeded);
    let board =
        Fake::new(&[(Pod { active_deadline_seconds: Some(9), ..pod("web", &[container("app", App)]) }, failed)]);
    let message = Verdict::DeadlineExceeded.message(&Pod::default());
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
