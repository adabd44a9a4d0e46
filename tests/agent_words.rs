//! The last words of containers (`terminationMessagePath`), as the node conformance cases of Kubernetes tell them. Needs root.

mod node;

use node::{Board, Node, pod};
use podling::manifest::limits;
use podling::manifest::status::Phase;

/// `state.terminated.message` and `lastState.terminated.message` of the one container of a pod.
fn words(board: &Board, name: &str) -> [String; 2] {
    let entry = board.0.find("default", name).expect("the pod");
    board.0.last_words(&entry, 0)
}

async fn said(board: &Board, name: &str, phase: Phase) -> String {
    board.phase(name, phase).await;
    let [said, before] = words(board, name);
    assert_eq!(before, "", "{name} has ended once");
    said
}

const NEVER: &str = "restartPolicy: Never";
const LOGS: &str = "terminationMessagePolicy: FallbackToLogsOnError";

#[test]
fn spec_44_the_message_is_the_file_by_any_user_at_any_path() {
    let node = Node::new();
    let elsewhere = "terminationMessagePath: /dev/words\nsecurityContext: {runAsUser: 1000}";
    let yaml = pod("file", "printf DONE > /dev/termination-log", NEVER, "")
        + &pod("user", "printf DONE > /dev/words", NEVER, elsewhere)
        + &pod("fixed", "printf DONE > /dev/termination-log", NEVER, "securityContext: {readOnlyRootFilesystem: true}")
        + &pod("silent", "echo to the log; exit 1", NEVER, "");
    node.run(&yaml, async |board| {
        for name in ["file", "user", "fixed"] {
            assert_eq!(said(&board, name, Phase::Succeeded).await, "DONE", "{name}");
        }
        assert_eq!(said(&board, "silent", Phase::Failed).await, "", "policy File");
    });
}

#[test]
fn spec_44_the_log_stands_in_only_for_a_failure_without_words() {
    let node = Node::new();
    let long = "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done; exit 1";
    let wide = "head -c 9000 /dev/zero | tr '\\0' x; exit 1";
    let yaml = pod("failed", "echo DONE >&2; exit 1", NEVER, LOGS)
        + &pod("well", "echo DONE", NEVER, LOGS)
        + &pod("both", "echo no; printf OK > /dev/termination-log; exit 1", NEVER, LOGS)
        + &pod("long", long, NEVER, LOGS)
        + &pod("wide", wide, NEVER, LOGS);
    node.run(&yaml, async |board| {
        assert_eq!(said(&board, "failed", Phase::Failed).await, "DONE\n");
        assert_eq!(said(&board, "well", Phase::Succeeded).await, "");
        assert_eq!(said(&board, "both", Phase::Failed).await, "OK");
        let long = said(&board, "long", Phase::Failed).await;
        assert!(long.starts_with("line 120\n") && long.ends_with("line 199\n"), "{long}");
        assert_eq!(long.lines().count() as u64, limits::LOG_LINES);
        assert_eq!(said(&board, "wide", Phase::Failed).await, "x".repeat(limits::LOG_WORDS));
    });
}

#[test]
fn spec_44_the_end_of_a_long_message_is_kept_and_takes_no_more_than_that() {
    let node = Node::new();
    let script = "head -c 100000 /dev/zero | tr '\\0' x > /dev/termination-log; printf end >> /dev/termination-log";
    node.run(&pod("long", script, NEVER, ""), async |board| {
        let said = said(&board, "long", Phase::Succeeded).await;
        assert_eq!(said.len(), limits::LAST_WORDS);
        assert!(said.ends_with("xend"));
    });
}

/// Each instance has a file of its own; the words of the one that ended go to lastState, and with them those before are forgotten.
#[test]
fn spec_44_the_words_of_the_instance_before_are_in_last_state() {
    let node = Node::new();
    let script = "cat /dev/termination-log; n=$(cat /kept/n || echo 0); n=$((n+1)); echo $n > /kept/n; \
                  printf $n > /dev/termination-log; [ $n -lt 3 ] || exec sleep 1000; exit 1";
    let volume = "volumes: [{name: kept, emptyDir: {}}]";
    node.run(&pod("again", script, volume, "volumeMounts: [{name: kept, mountPath: /kept}]"), async |board| {
        board.until("the third", |_| (board.restarts("again", "main") == 2).then_some(())).await;
        board.running("again", "main").await;
        assert_eq!(words(&board, "again"), ["".to_owned(), "2".to_owned()]);
        assert_eq!(board.shell("again", "main", "rm /dev/termination-log").await.0, 1, "it cannot be taken away");
    });
}
