//! A pod whose first process is stopped when an agent starts: nobody knows how it is, and nobody ends it for that. Needs root.

mod node;

use node::{Board, Node, pod};
use podling::manifest::status::Phase;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// What tells this program that it is to be the first of two agents, and on which node.
const ROLE: &str = "PODLING_TEST_UNKNOWN_AGENT";

fn yaml() -> String {
    pod("quiet", "exec sleep 100000", "terminationGracePeriodSeconds: 0", "")
}

/// Not a test: the agent that is killed.
#[test]
fn agent_process() {
    let Some(root) = std::env::var_os(ROLE) else { return };
    let node = Node::at(root);
    node.run(&yaml(), async |board| {
        board.running("quiet", "main").await;
        println!("\nruns {}", board.uid("quiet"));
        std::future::pending::<()>().await;
    });
}

/// A node on which the pod runs, its first process stopped, and no agent: that process, and the pod's UID.
fn stopped(node: &Node) -> (Pid, String) {
    let mut first = Command::new(std::env::current_exe().unwrap());
    let first = first.args(["agent_process", "--exact", "--nocapture"]).env(ROLE, &node.root).stdout(Stdio::piped());
    let mut first = first.spawn().unwrap();
    let lines = BufReader::new(first.stdout.take().unwrap()).lines().map_while(Result::ok);
    let uid = lines.into_iter().find_map(|line| line.strip_prefix("runs ").map(String::from)).expect("the pod runs");
    first.kill().unwrap();
    first.wait().unwrap();
    let file = node.run_dir().join("pods").join(&uid).join("init");
    let pid: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let pid = Pid::from_raw(pid).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    (pid, uid)
}

async fn is_unknown(board: &Board, uid: &str) {
    board.phase("quiet", Phase::Unknown).await;
    assert_eq!(board.uid("quiet"), uid);
    let text = board.event("SandboxNotResponding").await;
    assert!(text.starts_with("The pod's first process does not answer"), "{text}");
}

#[test]
fn spec_52_a_pod_that_does_not_answer_is_unknown_until_it_does() {
    let node = Node::new();
    let (init, uid) = stopped(&node);
    node.run(&yaml(), async move |board| {
        is_unknown(&board, &uid).await;
        kill_process(init, Signal::CONT).unwrap();
        board.phase("quiet", Phase::Running).await;
        assert_eq!((board.uid("quiet"), board.restarts("quiet", "main")), (uid, 0));
        assert_eq!(board.shell("quiet", "main", "echo here").await, (0, "here\n".into()));
    });
}

#[test]
fn spec_52_such_a_pod_can_be_deleted() {
    let node = Node::new();
    let (_, uid) = stopped(&node);
    node.run(&yaml(), async move |board| {
        is_unknown(&board, &uid).await;
        board.0.delete("default", "quiet", None, false).unwrap();
        board.gone(&uid).await;
    });
}

#[test]
fn spec_52_one_that_ends_unheard_is_made_anew() {
    let node = Node::new();
    let (init, uid) = stopped(&node);
    node.run(&yaml(), async move |board| {
        is_unknown(&board, &uid).await;
        kill_process(init, Signal::KILL).unwrap();
        board.phase("quiet", Phase::Running).await;
        assert_ne!(board.uid("quiet"), uid);
    });
}
