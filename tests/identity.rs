//! What a pod is on its node (spec sections A, F and I): its identity, its one node, its life without any controller. Needs root.

mod node;

use node::{Node, pod};
use podling::agent::Refusal;
use podling::manifest::status::Phase;
use podling::manifest::time::Duration;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const IDLE: &str = "exec sleep 1000";

#[test]
fn spec_4_5_6_a_pod_has_a_uuid_of_its_own_and_its_replacement_another() {
    let node = Node::new();
    node.run(&(pod("web", IDLE, "", "") + &pod("db", IDLE, "", "")), async |board| {
        board.running("web", "main").await;
        let (first, other) = (board.uid("web"), board.uid("db"));
        assert_ne!(first, other);
        let parts: Vec<&str> = first.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "a v4 UUID: {first}");
        board.0.restart("default", "web", None).unwrap();
        board.gone(&first).await;
        board.running("web", "main").await;
        assert_ne!(board.uid("web"), first, "the same name, another pod");
    });
}

#[test]
fn spec_1_15_16_one_container_is_a_pod_and_so_are_an_application_and_its_helper() {
    let node = Node::new();
    let volumes = "volumes: [{name: share, emptyDir: {}}]";
    let mount = "volumeMounts: [{name: share, mountPath: /share}]";
    let mut two = pod("two", &format!("until test -e /share/page; do sleep 0.02; done; {IDLE}"), volumes, mount);
    two += &format!(
        "  - name: helper\n    image: busybox\n    command: [sh, -c, 'echo hello > /share/page; {IDLE}']\n    {mount}\n"
    );
    node.run(&(pod("one", IDLE, "", "") + &two), async |board| {
        for (pod, container) in [("one", "main"), ("two", "main"), ("two", "helper")] {
            board.running(pod, container).await;
        }
        let read = "until test -s /share/page; do sleep 0.02; done; cat /share/page; readlink /proc/self/ns/net";
        let (_, here) = board.shell("two", "main", read).await;
        let (_, there) = board.shell("two", "helper", read).await;
        assert!(here.starts_with("hello\nnet:["), "{here}");
        assert_eq!(here, there, "their storage and their network are one");
        let (_, other) = board.shell("one", "main", "readlink /proc/self/ns/net").await;
        assert!(!here.contains(other.trim()), "and not another pod's");
    });
}

#[test]
fn spec_8_what_has_ended_stays_until_it_is_deleted() {
    let node = Node::new();
    node.run(&pod("done", "exit 0", "restartPolicy: Never", ""), async |board| {
        board.phase("done", Phase::Succeeded).await;
        let uid = board.uid("done");
        board.0.delete("default", "done", None, false).unwrap();
        board.gone(&uid).await;
        assert!(board.0.find("default", "done").is_none());
    });
}

/// What tells this program that it is to be the agent before the reboot, and on which node.
const ROLE: &str = "PODLING_TEST_IDENTITY";

/// Not a test: the agent before the reboot of the test below.
#[test]
fn agent_process() {
    let Some(root) = std::env::var_os(ROLE) else { return };
    let root = PathBuf::from(root);
    let told = root.join("uid");
    let node = Node::at(root);
    node.run(&(pod("web", IDLE, "", "") + &pod("gone", IDLE, "", "")), async move |board| {
        board.running("web", "main").await;
        let uid = board.uid("gone");
        board.0.delete("default", "gone", Some(Duration::ZERO), false).unwrap();
        board.gone(&uid).await;
        fs::write(told, board.uid("web")).unwrap();
    });
}

#[test]
fn spec_10_11_after_a_reboot_the_manifest_says_what_is_there_and_all_of_it_is_new() {
    let node = Node::new();
    let mut before = Command::new(std::env::current_exe().unwrap());
    assert!(before.args(["agent_process", "--exact"]).env(ROLE, &node.root).status().unwrap().success());
    let uid = fs::read_to_string(node.root.join("uid")).unwrap();
    // What a reboot forgets.
    fs::remove_dir_all(node.run_dir()).unwrap();
    node.run(&(pod("web", IDLE, "", "") + &pod("gone", IDLE, "", "")), async move |board| {
        board.running("web", "main").await;
        assert_ne!(board.uid("web"), uid);
        board.running("gone", "main").await;
    });
}

/// A Deployment's pod with the words of every verb: none needs its controller, and none is undone by one.
#[test]
fn spec_59_60_63_everything_works_without_a_controller() {
    let node = Node::new();
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    \
                metadata: {labels: {app: web}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      \
                containers: [{name: main, image: busybox, command: [sh, -c, 'echo hello; exec sleep 1000']}]\n";
    node.run(text, async |board| {
        let name = board.until("the pod", |agent| agent.pods().iter().next().map(|entry| entry.manifest().name)).await;
        board.running(name, "main").await;
        assert_eq!(board.shell(name, "main", "echo $((6 * 7))").await, (0, "42\n".into()));
        board.0.logs("default", name, "main", false).unwrap();
        board.0.restart("default", name, Some("main")).unwrap();
        board.until("a restart", |_| (board.restarts(name, "main") == 1).then_some(())).await;
        let uid = board.uid(name);
        board.0.delete("default", name, None, false).unwrap();
        board.gone(&uid).await;
        assert!(board.0.pods().is_empty(), "nobody else brings it back");
        board.0.restart("default", name, None).unwrap();
        board.running(name, "main").await;
    });
}

#[test]
fn spec_88_89_90_a_manifest_alone_is_a_pod_that_its_own_node_looks_after() {
    let node = Node::new();
    node.run(&pod("web", "sleep 0.05; exit 1", "", ""), async |board| {
        board.until("restarts", |_| (board.restarts("web", "main") >= 2).then_some(())).await;
        assert_eq!(board.0.node().name, "testnode", "no other node and no API server has a say");
        let refused = board.0.restart("default", "nobody", None);
        assert_eq!(refused, Err(Refusal::NoSuchPod));
    });
}

#[test]
fn spec_17_18_39_the_context_is_shared_and_each_container_has_its_own_isolation_in_it() {
    let node = Node::new();
    let second = format!("  - name: second\n    image: busybox\n    command: [sh, -c, '{IDLE}']\n");
    node.run(&(pod("web", IDLE, "", "") + &second), async |board| {
        let mut of = Vec::new();
        for container in ["main", "second"] {
            board.running("web", container).await;
            // The shell is on its way to `exec sleep` when the container runs.
            let script = "for n in uts ipc net mnt pid; do readlink /proc/self/ns/$n; done; \
                          until grep sleep /proc/1/comm; do sleep 0.02; done";
            let (code, text) = board.shell("web", container, script).await;
            assert_eq!(code, 0, "{text}");
            of.push(text.lines().map(String::from).collect::<Vec<_>>());
        }
        assert_eq!(of[0][..3], of[1][..3], "host name, shared memory and network are the pod's");
        assert!(of[0][3] != of[1][3] && of[0][4] != of[1][4], "files and processes are the container's");
        assert_eq!(of[0][5], "sleep", "its program is its process 1");
    });
}

#[test]
fn spec_9_32_a_volume_keeps_its_data_over_a_restart_of_a_container() {
    let node = Node::new();
    let script = format!("echo start >> /share/log; {IDLE}");
    let inside = "volumeMounts: [{name: share, mountPath: /share}]";
    node.run(&pod("web", &script, "volumes: [{name: share, emptyDir: {}}]", inside), async |board| {
        board.running("web", "main").await;
        let uid = board.uid("web");
        board.0.restart("default", "web", Some("main")).unwrap();
        board.until("a restart", |_| (board.restarts("web", "main") == 1).then_some(())).await;
        board.running("web", "main").await;
        let wait = "until [ $(wc -l < /share/log) = 2 ]; do sleep 0.02; done; cat /share/log";
        assert_eq!(board.shell("web", "main", wait).await, (0, "start\nstart\n".into()));
        assert_eq!(board.uid("web"), uid);
    });
}
