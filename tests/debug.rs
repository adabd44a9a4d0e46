//! Ephemeral containers in pods that really run (spec 37). Needs root.

mod node;

use node::{Board, Node, pod};
use podling::agent::{self, Debug, Refusal};
use podling::manifest::status::{ContainerState, Phase};
use rustix::process::{Signal, getpid, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

const ASKED: Debug<'static> = Debug {
    namespace: "default",
    pod: "web",
    name: Some("look"),
    image: "busybox",
    target: None,
    argv: &["/bin/sh", "-c", "touch /up; exec sleep 1000"],
    stdin: false,
    tty: false,
};

/// The state of a container, whoever put it there.
fn state(board: &Board, name: &str) -> Option<ContainerState> {
    let entry = board.0.find("default", "web")?;
    Some(entry.machine().containers().get(entry.position(name)?)?.state())
}

async fn until(board: &Board, name: &str, so: fn(ContainerState) -> bool) {
    board.until(&format!("{name} is as wanted"), |_| state(board, name).filter(|it| so(*it))).await;
}

fn runs(state: ContainerState) -> bool {
    matches!(state, ContainerState::Running(_))
}

fn ended(state: ContainerState) -> bool {
    matches!(state, ContainerState::Terminated(_))
}

fn why(result: Result<String, Refusal>) -> String {
    result.expect_err("it should have been refused").to_string()
}

#[test]
fn spec_37_it_runs_as_whom_the_pod_says() {
    let node = Node::new();
    let who = "securityContext: {runAsUser: 1234, runAsGroup: 4321}";
    node.run(&pod("web", "exec sleep 1000", who, "securityContext: {runAsUser: 0}"), async |board| {
        board.running("web", "main").await;
        board.0.debug(&ASKED).unwrap();
        until(&board, "look", runs).await;
        let who = "id -u; id -g";
        assert_eq!(board.shell("web", "look", who).await.1, "1234\n4321\n", "the pod's, not the container's");
    });
}

#[test]
fn spec_37_a_container_is_put_into_a_running_pod() {
    let node = Node::new();
    node.run(&pod("web", "echo secret > /tmp/f; touch /ready; exec sleep 1000", "", ""), async |board| {
        board.ready("web").await;
        let argv = ["/bin/sh", "-c", "cat /proc/1/root/tmp/f; echo here > /tmp/mine; exec sleep 1000"];
        let asked = Debug { target: Some("main"), argv: &argv, ..ASKED };
        assert_eq!(board.0.debug(&asked).unwrap(), "look");
        until(&board, "look", runs).await;
        assert_eq!(
            board.shell("web", "look", "until test -e /tmp/mine; do sleep 0.01; done; cat /proc/1/root/tmp/f").await.1,
            "secret\n"
        );
        assert_eq!(board.shell("web", "main", "test -e /tmp/mine; echo $?").await.1, "1\n", "its files are its own");
        assert_eq!(board.0.find("default", "web").unwrap().machine().phase(), Phase::Running);
        // What is wrong is said with what there is.
        assert_eq!(why(board.0.debug(&asked)), "container look is in pod web already");
        let nowhere = why(board.0.debug(&Debug { name: None, image: "nginx", ..ASKED }));
        assert!(nowhere.contains("docker.io/library/nginx:latest is not on this board"), "{nowhere}");
        assert!(nowhere.ends_with("these are on it: docker.io/library/busybox:latest"), "{nowhere}");
        let refused = |asked: Debug<'_>| board.0.debug(&asked).expect_err("refused");
        assert_eq!(refused(Debug { pod: "nobody", name: None, ..ASKED }), Refusal::NoSuchPod);
        assert_eq!(
            refused(Debug { target: Some("nobody"), name: None, ..ASKED }),
            Refusal::NoSuchContainer("nobody".into())
        );
        assert!(why(board.0.debug(&Debug { name: Some("No"), ..ASKED })).starts_with("the name No "));
        // As many as may be; one that has ended makes room.
        let names: Vec<String> = (0..3).map(|_| board.0.debug(&Debug { name: None, ..ASKED }).unwrap()).collect();
        assert!(names.iter().all(|name| name.starts_with("debugger-")), "{names:?}");
        until(&board, &names[2], runs).await;
        let full = why(board.0.debug(&Debug { name: None, ..ASKED }));
        assert!(full.starts_with("there is no room for one more container"), "{full}");
        assert_eq!(board.0.restart("default", "web", Some("main")), Ok(()));
        // The one in its PID namespace ends with it.
        until(&board, "look", ended).await;
        board.0.debug(&Debug { name: Some("next"), ..ASKED }).unwrap();
        until(&board, "next", runs).await;
        assert_eq!(state(&board, "look"), None, "forgotten");
        // All of them end with the pod.
        let uid = board.uid("web");
        board.0.delete("default", "web", None, false).unwrap();
        board.gone(&uid).await;
    });
}

/// What tells this program that it is to be an agent that dies, and on which node.
const ROLE: &str = "PODLING_TEST_DEBUG";

fn quiet() -> String {
    pod("web", "exec sleep 100000", "", "")
}

/// Not a test: the agent that puts a container in, and is killed.
#[test]
fn agent_process() {
    let Some(root) = std::env::var_os(ROLE) else { return };
    let node = Node::at(root);
    let _ = agent::run(node.config(&quiet()), |agent| {
        let board = Board(agent.clone());
        agent.spawn(async move {
            board.running("web", "main").await;
            board.0.debug(&ASKED).unwrap();
            until(&board, "look", runs).await;
            kill_process(getpid(), Signal::KILL).unwrap();
        });
    });
}

#[test]
fn spec_37_failure_f1_a_new_agent_knows_what_was_put_in() {
    let node = Node::new();
    // Blocked from the first thread on, as podlingd does by itself: the harness runs tests in threads of their own.
    let mut command = Command::new("env");
    command.arg("--block-signal=TERM").arg(std::env::current_exe().unwrap());
    let life = command.args(["--exact", "agent_process"]).env(ROLE, &node.root).stdin(Stdio::null()).output().unwrap();
    assert_eq!(life.status.signal(), Some(9), "{}", String::from_utf8_lossy(&life.stdout));
    node.run(&quiet(), async move |board| {
        until(&board, "look", runs).await;
        assert_eq!(board.shell("web", "look", "until test -e /up; do sleep 0.01; done; echo alive").await.1, "alive\n");
        assert_eq!(board.restarts("web", "main"), 0);
        let again = why(board.0.debug(&ASKED));
        assert_eq!(again, "container look is in pod web already");
    });
}
