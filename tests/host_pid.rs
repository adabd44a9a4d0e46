//! `hostPID`: containers among the node's processes, which still end with their pod. Needs root.

mod node;

use node::{Board, Node, pod};
use std::fs;
use std::path::Path;

/// In a manifest `$$` is one `$`.
const SCRIPT: &str = "echo $$$$ > /tmp/pid; touch /ready; exec sleep 100000";

/// What a script in the container says, without the end of its line.
async fn said(board: &Board, script: &str) -> String {
    let (code, said) = board.shell("web", "main", script).await;
    assert_eq!(code, 0, "{script}: {said}");
    said.trim_end().into()
}

/// The pod-init of the one pod.
fn pod_init(board: &Board, node: &Path) -> String {
    fs::read_to_string(node.join("pods").join(board.uid("web")).join("init")).expect("the number of the pod-init")
}

/// Whether a process is there, and not only waits for somebody to ask how it ended: that is up to the node's first process.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with(['Z', 'X']))
}

fn parent(pid: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("its parent");
    line.trim().into()
}

/// Spec 27: a container sees the node's processes under their own numbers; what it leaves behind stays its pod's, and ends with it.
#[test]
fn spec_27_38_host_pid_shows_the_node_and_ends_with_the_pod() {
    let node = Node::new();
    let run = node.run_dir();
    node.run(&pod("web", SCRIPT, "hostPID: true", ""), async move |board| {
        board.ready("web").await;
        let own = said(&board, "cat /tmp/pid").await;
        assert!(is_alive(&own), "{own} is no number of the node's");
        let test = std::process::id();
        assert_eq!(
            said(&board, &format!("test -d /proc/{test} && cat /proc/{test}/comm")).await,
            fs::read_to_string("/proc/self/comm").unwrap().trim_end()
        );
        // The end of an exec is told only when the shell is gone, and its child has been handed on.
        let orphan = said(&board, "sleep 100001 > /dev/null 2>&1 & echo $!").await;
        assert_eq!(parent(&orphan), pod_init(&board, &run));
        board.0.delete("default", "web", None, false).unwrap();
        board.until("gone", |agent| agent.pods().is_empty().then_some(())).await;
        for pid in [own, orphan] {
            assert!(!is_alive(&pid), "{pid} has outlived its pod");
        }
    });
}

/// Failure F3: where no namespace ends with its first process, the agent ends what a pod-init that was killed has left, before it
/// starts anything anew.
#[test]
fn failure_f3_host_pid_a_killed_pod_init_leaves_nothing() {
    let node = Node::new();
    let run = node.run_dir();
    node.run(&pod("web", SCRIPT, "hostPID: true", ""), async move |board| {
        board.ready("web").await;
        let own = said(&board, "cat /tmp/pid").await;
        let init = pod_init(&board, &run).parse().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(init).unwrap(), rustix::process::Signal::KILL)
            .unwrap();
        while board.running("web", "main").await < 2 {
            board.0.changed(board.0.generation()).await;
        }
        assert!(!is_alive(&own), "{own} has outlived its sandbox");
        board.ready("web").await;
        assert_ne!(said(&board, "cat /tmp/pid").await, own);
    });
}
