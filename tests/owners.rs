//! Controllers on a real agent: whose turn it is, and what people see of the owner. Needs root.

mod node;

use node::Node;
use podling::manifest::status::Phase;
use std::fs;

/// A StatefulSet of two whose pods begin as soon as a file of their name is in `gate`.
fn stateful_set(gate: &str, policy: &str) -> String {
    let wait = "until [ -e /gate/$(hostname) ]; do sleep 0.02; done";
    format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: db}}\nspec:\n  replicas: 2\n  podManagementPolicy: {policy}\n  \
         serviceName: db\n  selector: {{matchLabels: {{app: db}}}}\n  \
         volumeClaimTemplates: [{{metadata: {{name: data}}, spec: {{accessModes: [ReadWriteOnce]}}}}]\n  template:\n    \
         metadata: {{labels: {{app: db}}}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      \
         volumes: [{{name: gate, hostPath: {{path: {gate}, type: Directory}}}}]\n      \
         initContainers: [{{name: wait, image: busybox, command: [sh, -c, '{wait}'], volumeMounts: [{{name: gate, mountPath: /gate}}]}}]\n      \
         containers: [{{name: main, image: busybox, command: [sh, -c, 'echo $HOSTNAME >> /data/log; exec sleep 1000'], \
         volumeMounts: [{{name: data, mountPath: /data}}]}}]\n"
    )
}

#[test]
fn spec_65_ordered_ready_starts_a_pod_once_the_one_before_is_ready() {
    let node = Node::new();
    let gate = node.root.join("gate");
    fs::create_dir(&gate).unwrap();
    node.run(&stateful_set(gate.to_str().unwrap(), "OrderedReady"), async move |board| {
        board.until("db-0", |agent| agent.find("default", "db-0").map(|_| ())).await;
        assert!(board.0.find("default", "db-1").is_none(), "db-0 is not Ready yet");
        assert_eq!(board.event("SuccessfulCreate").await, "create Pod db-0 in StatefulSet db successful");
        assert_eq!(
            board.0.events().iter().find(|it| it.reason == "SuccessfulCreate").unwrap().object.as_ref(),
            "statefulset/db"
        );
        fs::write(gate.join("db-0"), "").unwrap();
        board.running("db-0", "main").await;
        board.until("db-1", |agent| agent.find("default", "db-1").map(|_| ())).await;
        // Whom somebody has deleted nobody waits for.
        board.0.delete("default", "db-0", None, false).unwrap();
        fs::write(gate.join("db-1"), "").unwrap();
        board.phase("db-1", Phase::Running).await;
    });
}

#[test]
fn spec_65_parallel_starts_them_at_once_and_each_has_its_claim() {
    let node = Node::new();
    let (gate, claims) = (node.root.join("gate"), node.data_dir().join("volumes/default"));
    fs::create_dir(&gate).unwrap();
    node.run(&stateful_set(gate.to_str().unwrap(), "Parallel"), async move |board| {
        board.until("db-1", |agent| agent.find("default", "db-1").map(|_| ())).await;
        for name in ["db-0", "db-1"] {
            fs::write(gate.join(name), "").unwrap();
            board.running(name, "main").await;
            assert!(claims.join(format!("data-{name}")).is_dir());
        }
    });
}
