//! The agent on real namespaces, mounts and cgroups: what a pod's life looks like from outside. Needs root.

mod node;

use node::{Node, pod};
use podling::manifest::status::{Phase, Reason};

#[test]
fn a_pod_runs_and_leaves_nothing_behind() {
    let node = Node::new();
    node.run(&pod("web", "echo hello; exec sleep 1000", "", ""), async |board| {
        board.running("web", "main").await;
        board.phase("web", Phase::Running).await;
        let (code, output) = board.shell("web", "main", "echo from $FROM; hostname").await;
        assert_eq!((code, output.as_str()), (0, "from image\nweb\n"));
    });
}

#[test]
fn spec_43_restart_policies() {
    let node = Node::new();
    let yaml = pod("always", "exit 0", "restartPolicy: Always", "")
        + &pod("onfailure", "exit 3", "restartPolicy: OnFailure", "")
        + &pod("done", "exit 0", "restartPolicy: OnFailure", "")
        + &pod("never", "exit 5", "restartPolicy: Never", "");
    node.run(&yaml, async |board| {
        board.phase("done", Phase::Succeeded).await;
        board.phase("never", Phase::Failed).await;
        let how = board.ended("never", "main").await;
        assert_eq!((how.reason, how.exit.code), (Reason::Error, 5));
        for name in ["always", "onfailure"] {
            board.until("three restarts", |_| (board.restarts(name, "main") >= 3).then_some(())).await;
        }
        assert_eq!((board.restarts("done", "main"), board.restarts("never", "main")), (0, 0));
        board.event("BackOff").await;
    });
}
