//! Claims of StatefulSets that go with their set or with their pod, on a real agent. Needs root.

mod node;

use node::{Board, Node};
use podling::agent::Config;
use podling::manifest::codec::{self, Kind};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// So many pods that each have a claim and stay.
fn set(replicas: usize, policy: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: db}}\nspec:\n  replicas: {replicas}\n  podManagementPolicy: Parallel\n  \
         persistentVolumeClaimRetentionPolicy: {{{policy}}}\n  selector: {{matchLabels: {{app: db}}}}\n  \
         volumeClaimTemplates: [{{metadata: {{name: data}}, spec: {{accessModes: [ReadWriteOnce]}}}}]\n  template:\n    \
         metadata: {{labels: {{app: db}}}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      containers:\n      - name: main\n        \
         image: busybox\n        command: [sh, -c, 'mkdir -p /data/a/b; touch /data/a/b/file /ready; exec sleep 100000']\n        \
         volumeMounts: [{{name: data, mountPath: /data}}]\n"
    )
}

/// A pod that has a claim of the set's as any other; `None`: no claim.
fn other(claim: Option<&str>) -> String {
    let volumes = claim.map_or(String::new(), |name| {
        format!(", volumes: [{{name: own, persistentVolumeClaim: {{claimName: {name}}}}}]")
    });
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: other}}\nspec: {{terminationGracePeriodSeconds: 1{volumes}, \
         containers: [{{name: main, image: busybox, command: [sh, -c, 'touch /ready; exec sleep 100000']}}]}}\n"
    )
}

fn claim(node: &Node, number: usize) -> PathBuf {
    node.data_dir().join(format!("volumes/default/data-db-{number}"))
}

/// The node's configuration with that manifest and sequence.
fn config(node: &Node, yaml: &str, sequence: u64) -> Config {
    let file = node.manifest(yaml);
    let (header, body) = codec::open(&file, Kind::Manifest).unwrap();
    let head = codec::seal(Kind::Manifest, header.class, sequence, body).unwrap();
    let mut config = node.config(&other(None));
    config.manifest = Some([&head[..], body].concat());
    config
}

/// Runs manifest number `sequence` until `script` is over; the pods end with it.
fn boot<F: Future<Output = ()> + 'static>(
    node: &Node,
    yaml: &str,
    sequence: u64,
    script: impl FnOnce(Board) -> F + Send,
) {
    node.run_config(config(node, yaml, sequence), script);
}

async fn ready(board: &Board, pods: usize) {
    for number in 0..pods {
        board.ready(&format!("db-{number}")).await;
    }
}

/// Waits until what a claim was is removed. It rings no bell: look again and again.
async fn vanished(paths: Vec<PathBuf>) {
    while paths.iter().any(|path| path.exists() && path.read_dir().is_ok_and(|mut found| found.next().is_some())) {
        smol::Timer::after(std::time::Duration::from_millis(5)).await;
    }
}

const BOTH: &str = "whenDeleted: Delete, whenScaled: Delete";

#[test]
fn spec_35_65_a_claim_goes_when_its_replica_does_and_nothing_beside_it() {
    let node = Node::new();
    let outside = node.root.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "").unwrap();
    node.run_first(&set(2, BOTH), async |board| ready(&board, 2).await);
    // What a pod can put there leads out of it for nobody.
    symlink(&outside, claim(&node, 1).join("a/b/link")).unwrap();
    let (scaled, condemned) = (claim(&node, 1), node.data_dir().join("condemned"));
    node.run(&set(1, BOTH), async move |board| {
        let text = board.event("SuccessfulDelete").await;
        assert_eq!(text, "delete Claim data-db-1 in StatefulSet db successful");
        assert!(board.0.find("default", "db-1").is_none(), "its pod is gone by then");
        vanished(vec![scaled, condemned]).await;
    });
    assert!(!claim(&node, 1).exists() && claim(&node, 0).join("a/b/file").exists());
    assert!(outside.join("file").exists());
}

#[test]
fn spec_35_65_claims_go_with_their_set_and_not_with_its_last_replica() {
    let node = Node::new();
    let policy = "whenDeleted: Delete, whenScaled: Retain";
    boot(&node, &set(2, policy), 5, async |board| ready(&board, 2).await);
    boot(&node, &(set(0, policy) + &other(None)), 6, async |board| board.ready("other").await);
    assert!(claim(&node, 0).join("a/b/file").exists() && claim(&node, 1).exists(), "the set is there, without pods");
    // The slot of a newer manifest could not be read.
    boot(&node, &other(None), 4, async |board| board.ready("other").await);
    assert!(claim(&node, 0).exists() && claim(&node, 1).exists(), "an older manifest removes nothing");
    // Another pod has one of them.
    boot(&node, &other(Some("data-db-0")), 7, async |board| {
        assert!(board.event("SuccessfulDelete").await.contains("data-db-1"));
    });
    assert!(claim(&node, 0).join("a/b/file").exists() && !claim(&node, 1).exists());
    boot(&node, &other(None), 8, async |board| {
        assert!(board.event("SuccessfulDelete").await.contains("data-db-0"));
    });
    assert!(!claim(&node, 0).exists());
}

#[test]
fn spec_35_65_claims_without_a_policy_stay_and_so_does_what_went_back_to_one() {
    let node = Node::new();
    boot(&node, &set(1, BOTH), 1, async |board| ready(&board, 1).await);
    boot(&node, &set(1, ""), 2, async |board| ready(&board, 1).await);
    boot(&node, &other(None), 3, async |board| board.ready("other").await);
    assert!(claim(&node, 0).join("a/b/file").exists());
}

#[test]
fn spec_35_65_what_a_power_cut_interrupts_is_gone_on_with() {
    let node = Node::new();
    boot(&node, &set(2, BOTH), 1, async |board| ready(&board, 2).await);
    // Claim 1 has its new name, half of it is removed, and the list does not say so yet; claim 0 has it not.
    let half = node.data_dir().join("condemned/half");
    fs::create_dir_all(half.parent().unwrap()).unwrap();
    fs::rename(claim(&node, 1), &half).unwrap();
    fs::remove_file(half.join("a/b/file")).unwrap();
    let condemned = node.data_dir().join("condemned");
    let first = claim(&node, 0);
    boot(&node, &other(None), 2, async move |board| {
        board.event("SuccessfulDelete").await;
        vanished(vec![first, condemned]).await;
    });
    // A set of that name begins anew.
    let fresh = claim(&node, 0);
    boot(&node, &set(1, BOTH), 3, async move |board| {
        ready(&board, 1).await;
        assert!(fresh.join("a/b/file").exists());
    });
}
