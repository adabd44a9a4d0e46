//! Updates of whole controllers on a real agent: new pods beside the old ones, before them, after them, and one by one. Needs root.

mod node;

use node::{Board, Node};
use podling::agent::{Agent, Entry};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A controller of busybox that says `word`; each pod is Ready once `/gate/WORD` is there.
fn workload(node: &Node, kind: &str, word: &str, spec: &str) -> String {
    let gate = gate(node);
    format!(
        "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: web}}\nspec:\n{}  selector: {{matchLabels: {{app: web}}}}\n  template:\n    \
         metadata: {{labels: {{app: web}}}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      \
         volumes: [{{name: gate, hostPath: {{path: {}}}}}]\n      \
         containers:\n      - name: main\n        image: busybox\n        command: [sh, -c, 'exec sleep 100000']\n        \
         env: [{{name: WORD, value: {word}}}]\n        volumeMounts: [{{name: gate, mountPath: /gate}}]\n        \
         readinessProbe: {{periodSeconds: 1, timeoutSeconds: 20, exec: {{command: [test, -e, /gate/{word}]}}}}\n",
        spec.lines().map(|line| format!("  {line}\n")).collect::<String>(),
        gate.display(),
    )
}

fn gate(node: &Node) -> PathBuf {
    let gate = node.root.join("gate");
    fs::create_dir_all(&gate).unwrap();
    gate
}

fn open_gate(node: &Node, word: &str) {
    fs::write(gate(node).join(word), "").unwrap();
}

fn word(entry: &Entry) -> &'static str {
    entry.manifest().containers.get(0).unwrap().env.get(0).unwrap().value
}

/// Name, word and readiness of every pod that is not being ended.
fn alive(agent: &Agent) -> Vec<(String, String, bool)> {
    let pods = agent.pods();
    let alive = pods.iter().filter(|entry| !entry.machine().is_terminating());
    alive
        .map(|entry| {
            let word = word(entry).to_string();
            let ready = entry.machine().conditions().iter().any(|it| it.kind.as_str() == "Ready" && it.status);
            (entry.manifest().name.to_string(), word, ready)
        })
        .collect()
}

/// Waits until so many pods say this word and are Ready, and none says another.
async fn all(board: &Board, count: usize, word: &str) {
    board
        .until(&format!("{count} of {word}"), |agent| {
            let alive = alive(agent);
            let done = alive.iter().all(|(_, it, ready)| it == word && *ready) && agent.pods().len() == alive.len();
            (alive.len() == count && done).then_some(())
        })
        .await;
}

/// What an agent saw at each change: how many old and new pods there were, ending ones included, and how many were Ready.
type Seen = Arc<Mutex<Vec<([usize; 2], usize)>>>;

fn watch(board: &Board, seen: Seen) {
    let agent = board.0.clone();
    board.0.spawn(async move {
        loop {
            let generation = agent.generation();
            let ready = alive(&agent).iter().filter(|(.., ready)| *ready).count();
            let count = |wanted| agent.pods().iter().filter(|entry| word(entry) == wanted).count();
            seen.lock().unwrap().push((["one", "two"].map(count), ready));
            agent.changed(generation).await;
        }
    });
}

/// Runs `kind` of `one`, then of `two` under watch; gives what was seen of that.
fn update(node: &Node, kind: &str, spec: &str, count: usize) -> Vec<([usize; 2], usize)> {
    open_gate(node, "one");
    open_gate(node, "two");
    node.run_first(&workload(node, kind, "one", spec), async move |board| all(&board, count, "one").await);
    let seen = Seen::default();
    let told = seen.clone();
    node.run(&workload(node, kind, "two", spec), async move |board| {
        watch(&board, told);
        all(&board, count, "two").await;
    });
    let mut seen = seen.lock().unwrap().clone();
    // The end of the test ends all pods.
    let last = seen.iter().rposition(|(_, ready)| *ready == count).unwrap();
    seen.truncate(last + 1);
    seen
}

#[test]
fn spec_64_a_deployment_makes_the_new_pod_ready_before_the_old_one_ends() {
    let node = Node::new();
    let seen =
        update(&node, "Deployment", "replicas: 2\nstrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}", 2);
    assert!(seen.iter().all(|([old, new], ready)| old + new <= 3 && *ready >= 2), "{seen:?}");
    assert!(seen.iter().any(|(there, _)| *there == [2, 1]), "{seen:?}");
}

#[test]
fn spec_64_a_deployment_tells_how_it_scales() {
    let node = Node::new();
    ["one", "two"].iter().for_each(|word| open_gate(&node, word));
    let spec = |replicas: usize| {
        format!("replicas: {replicas}\nstrategy: {{rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}}}}")
    };
    let scaled = |agent: &Agent| -> Vec<(String, String)> {
        let events = agent.events();
        let all = events.iter().filter(|it| it.reason == "ScalingReplicaSet");
        let set = |text: &str| text.split(' ').nth(4).unwrap_or_default().to_string();
        all.map(|it| (set(&it.message), it.message.replace(&set(&it.message), "SET"))).collect()
    };
    let told = Arc::new(Mutex::new(String::new()));
    let old = told.clone();
    node.run_first(&workload(&node, "Deployment", "one", &spec(2)), async move |board| {
        all(&board, 2, "one").await;
        let said = scaled(&board.0);
        assert_eq!((said.len(), said[0].1.as_str()), (1, "Scaled up replica set SET from 0 to 2"), "{said:?}");
        assert_eq!(
            board.0.events().iter().find(|it| it.reason == "ScalingReplicaSet").unwrap().object.as_ref(),
            "deployment/web"
        );
        *told.lock().unwrap() = said[0].0.clone();
    });
    node.run_first(&workload(&node, "Deployment", "two", &spec(2)), async move |board| {
        all(&board, 2, "two").await;
        let (said, old) = (scaled(&board.0), old.lock().unwrap().clone());
        let of = |is_old: bool| -> Vec<String> {
            said.iter().filter(|(set, _)| (*set == old) == is_old).map(|(_, text)| text.clone()).collect()
        };
        assert_eq!(of(true), ["Scaled down replica set SET from 2 to 1", "Scaled down replica set SET from 1 to 0"]);
        assert_eq!(of(false), ["Scaled up replica set SET from 0 to 1", "Scaled up replica set SET from 1 to 2"]);
    });
    node.run(&workload(&node, "Deployment", "two", &spec(1)), async move |board| {
        all(&board, 1, "two").await;
        let said = scaled(&board.0);
        assert_eq!((said.len(), said[0].1.as_str()), (1, "Scaled down replica set SET from 2 to 1"), "{said:?}");
    });
}

#[test]
fn spec_64_recreate_and_a_daemon_set_end_the_old_pods_first() {
    for (kind, spec, count) in [("Deployment", "replicas: 2\nstrategy: {type: Recreate}", 2), ("DaemonSet", "", 1)] {
        let seen = update(&Node::new(), kind, spec, count);
        assert!(seen.iter().all(|([old, new], _)| *old == 0 || *new == 0), "{kind}: {seen:?}");
    }
}

#[test]
fn spec_64_a_daemon_set_with_a_surge_is_never_without_its_pod() {
    let spec = "updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}";
    let seen = update(&Node::new(), "DaemonSet", spec, 1);
    assert!(seen.iter().all(|(_, ready)| *ready >= 1), "{seen:?}");
}

#[test]
fn spec_64_an_update_that_never_gets_ready_leaves_the_old_pods_alone_whoever_dies() {
    let node = Node::new();
    open_gate(&node, "one");
    let spec = "replicas: 2";
    node.run_first(&workload(&node, "Deployment", "one", spec), async |board| all(&board, 2, "one").await);
    let both = async |board: Board| {
        board
            .until("the surge", |agent| {
                let pods = alive(agent);
                let new = pods.iter().filter(|(_, word, ready)| word == "two" && !*ready).count();
                (new == 1 && pods.iter().filter(|(_, word, ready)| word == "one" && *ready).count() == 2).then_some(())
            })
            .await;
    };
    let two = workload(&node, "Deployment", "two", spec);
    node.run_first(&two, both);
    // The next agent knows the old pods, though its manifest does not.
    node.run_first(&two, both);
    // Back again: the old pods are the wanted ones, and the one that never got Ready goes.
    node.run(&workload(&node, "Deployment", "one", spec), async |board| all(&board, 2, "one").await);
}

#[test]
fn spec_65_a_stateful_set_is_replaced_from_the_last_pod_on() {
    let node = Node::new();
    open_gate(&node, "one");
    let spec = "replicas: 3\nserviceName: web";
    node.run_first(&workload(&node, "StatefulSet", "one", spec), async |board| all(&board, 3, "one").await);
    let words = |agent: &Agent| -> Vec<(String, bool)> {
        let mut alive = alive(agent);
        alive.sort();
        alive.into_iter().map(|(_, word, ready)| (word, ready)).collect()
    };
    let (root, is) = (node.root.clone(), |word: &str, ready| (word.to_string(), ready));
    node.run(&workload(&node, "StatefulSet", "two", spec), async move |board| {
        let half = [is("one", true), is("one", true), is("two", false)];
        board.until("the last one", |agent| (words(agent) == half).then_some(())).await;
        fs::write(root.join("gate/two"), "").unwrap();
        all(&board, 3, "two").await;
        let names: Vec<String> = board.0.pods().iter().map(|entry| entry.manifest().name.to_string()).collect();
        assert_eq!(names, ["web-0", "web-1", "web-2"]);
    });
}

#[test]
fn spec_65_a_partition_keeps_the_first_pods_and_on_delete_all_of_them() {
    let node = Node::new();
    open_gate(&node, "one");
    open_gate(&node, "two");
    let spec = |strategy: &str| format!("replicas: 2\nserviceName: web\nupdateStrategy: {strategy}");
    let yaml = |word: &str, strategy: &str| workload(&node, "StatefulSet", word, &spec(strategy));
    let of = |agent: &Agent, name: &str| {
        alive(agent).into_iter().find(|(it, ..)| it == name).map(|(_, word, ready)| (word, ready))
    };
    node.run_first(&yaml("one", "{type: OnDelete}"), async |board| all(&board, 2, "one").await);
    node.run_first(&yaml("two", "{rollingUpdate: {partition: 1}}"), async move |board| {
        board.until("web-1", |agent| (of(agent, "web-1")? == ("two".into(), true)).then_some(())).await;
        assert_eq!(of(&board.0, "web-0"), Some(("one".into(), true)));
    });
    node.run(&yaml("two", "{type: OnDelete}"), async move |board| {
        board.until("web-1", |agent| (of(agent, "web-1")? == ("two".into(), true)).then_some(())).await;
        assert_eq!(of(&board.0, "web-0"), Some(("one".into(), true)));
        board.0.delete("default", "web-0", None, false).unwrap();
        all(&board, 2, "two").await;
    });
}

#[test]
fn spec_56_fewer_replicas_end_what_is_too_many_and_nothing_else() {
    let node = Node::new();
    open_gate(&node, "one");
    let uids = |agent: &Agent| -> Vec<String> { agent.pods().iter().map(|entry| entry.uid().to_string()).collect() };
    let before = Arc::new(Mutex::new(Vec::new()));
    let told = before.clone();
    node.run_first(&workload(&node, "Deployment", "one", "replicas: 3"), async move |board| {
        all(&board, 3, "one").await;
        *told.lock().unwrap() = uids(&board.0);
    });
    node.run(&workload(&node, "Deployment", "one", "replicas: 2"), async move |board| {
        all(&board, 2, "one").await;
        assert_eq!(uids(&board.0), before.lock().unwrap()[..2]);
    });
}
