//! What an agent makes of a pod as a whole: deadlines, gates, admission. Needs root.

mod node;

use node::{Node, pod};
use podling::agent;
use podling::manifest::status::{Phase, Reason, Verdict};
use std::fs;

/// Back-off, exit code and policy together, as a job retries what can be retried.
#[test]
fn spec_43_a_container_restarts_by_its_exit_code_in_a_pod_of_never() {
    let node = Node::new();
    let script = "n=$(cat /kept/n || echo 0); n=$((n+1)); echo $n > /kept/n; [ $n -ge 3 ] || exit 42; exit 1";
    let inside = "restartPolicy: Never\n\
                  restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]\n\
                  volumeMounts: [{name: kept, mountPath: /kept}]";
    node.run(&pod("job", script, "volumes: [{name: kept, emptyDir: {}}]", inside), async |board| {
        board.phase("job", Phase::Failed).await;
        assert_eq!((board.restarts("job", "main"), board.ended("job", "main").await.exit.code), (2, 1));
    });
}

#[test]
fn spec_51_a_pod_that_takes_too_long_fails_and_stays() {
    let node = Node::new();
    let script = "trap 'exit 3' TERM; while true; do sleep 0.05; done";
    let run_dir = node.run_dir();
    node.run(&pod("late", script, "activeDeadlineSeconds: 1", ""), async move |board| {
        board.running("late", "main").await;
        let uid = board.uid("late");
        board.phase("late", Phase::Failed).await;
        assert_eq!(board.event("DeadlineExceeded").await, Verdict::DeadlineExceeded.message());
        let stays = |entry: &agent::Entry| (entry.machine().verdict(), entry.machine().is_terminating());
        let seen = board.0.find("default", "late").map(|entry| stays(&entry));
        assert_eq!(seen, Some((Some(Verdict::DeadlineExceeded), false)));
        let how = board.ended("late", "main").await;
        assert_eq!((how.reason, how.exit.code), (Reason::Error, 3), "it was asked to end");
        // What the next agent would read.
        let record = fs::read_to_string(run_dir.join("pods").join(&uid).join("verdict")).unwrap();
        assert_eq!(Verdict::find(&record), Some(Verdict::DeadlineExceeded));
    });
}
