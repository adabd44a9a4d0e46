//! Eviction by node pressure (spec 97): a memory that is always too small, a disk that fills up, and the kernel's word about stalls.
//! Needs root.

mod node;

use node::{Board, Node, pod};
use podling::agent::Config;
use podling::console::clock::Clock;
use podling::console::view::{Scene, StatusView};
use podling::machine::evict::{Level, Pressure};
use podling::manifest::eviction::{Eviction, Signal, Threshold};
use podling::manifest::status::{ConditionKind, Phase, Reason};
use podling::sys::pressure::{self, Stalls};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file system of 64 MiB.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Disk {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("none", dir.path(), "tmpfs", flags, c"size=64m").unwrap();
        Disk(dir)
    }

    fn path(&self) -> PathBuf {
        self.0.path().into()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

/// A node that heeds one signal only, which is under pressure below so many ten-thousandths.
fn node(signal: Signal, parts: u16, transition_seconds: u32) -> Node {
    let mut node = Node::new();
    let mut thresholds = [Some(Threshold::Amount(0)); 4];
    thresholds[signal as usize] = Some(Threshold::Share(parts));
    node.settings.eviction = Eviction { thresholds, transition_seconds };
    node
}

fn on(disk: &Disk, node: &Node, yaml: &str) -> Config {
    let mut config = node.config(yaml);
    config.image_dirs = vec![config.data_dir.join("images")];
    config.data_dir = disk.path();
    config.evict = true;
    config
}

/// The pods that were evicted, in this order, with what was said.
async fn evicted(board: &Board, count: usize) -> Vec<(String, String)> {
    board
        .until("evictions", |agent| {
            let events = agent.events();
            let found = events.iter().filter(|event| event.reason == "Evicted");
            let found: Vec<_> = found.map(|event| (event.object.to_string(), event.message.to_string())).collect();
            (found.len() == count).then_some(found)
        })
        .await
}

async fn vanished(path: &Path) {
    while path.exists() {
        smol::Timer::after(Duration::from_millis(10)).await;
    }
}

#[test]
fn spec_97_the_pod_above_its_request_is_evicted_first() {
    let mut node = node(Signal::MemoryAvailable, 0, 300);
    // Pods are promised no more than what is above the border.
    node.settings.memory_reserve = Some(0);
    node.settings.eviction.thresholds[0] = Some(Threshold::Amount(memory().capacity - (64 << 20)));
    let asks = |bytes| format!("resources: {{requests: {{memory: {bytes}}}}}");
    let yaml = pod("modest", "exec sleep 1000", "priority: -5", &asks("63Mi"))
        + &pod("greedy", "exec sleep 1000", "priority: 5", &asks("1"))
        + &pod("nothing", "exec sleep 1000", "", "");
    let mut config = node.config(&yaml);
    config.evict = true;
    node.run_config(config, async |board| {
        let all = evicted(&board, 1).await;
        assert_eq!(all[0].0, "greedy");
        let message = &all[0].1;
        assert!(message.starts_with("The node was low on resource: memory. Threshold quantity: "), "{message}");
        board.phase("greedy", Phase::Failed).await;
        assert_eq!(
            board.event("NodeHasInsufficientMemory").await,
            "Node testnode status is now: NodeHasInsufficientMemory"
        );
        assert_eq!(board.event("EvictionThresholdMet").await, "Attempting to reclaim memory");
        // It requests nothing, and so it has not come in.
        let lacks = board.0.find("default", "nothing").and_then(|entry| entry.machine().lacks());
        assert_eq!(lacks.and_then(|lacks| lacks.pressure), Some(Pressure::Memory));
        assert_eq!(evicted(&board, 2).await[1].0, "modest");
    });
    node.assert_clean();
}

fn memory() -> Level {
    pressure::memory().expect("a kernel that tells of its memory")
}

/// Pods without limits have one together: who takes too much ends in their midst.
#[test]
fn spec_95_96_97_all_pods_together_are_bounded_and_who_takes_too_much_reads_oom_killed() {
    let mut node = Node::new();
    node.settings.eviction.thresholds = [Some(Threshold::Amount(0)); 4];
    node.settings.memory_reserve = Some(memory().capacity - (64 << 20));
    let yaml = pod("quiet", "exec sleep 1000", "", "resources: {requests: {memory: 64Mi}}")
        + &pod("late", "exec sleep 1000", "priority: -1", "resources: {requests: {memory: 1}}")
        + &pod("hog", "tail /dev/zero", "restartPolicy: Never", "");
    let mut config = node.config(&yaml);
    config.evict = true;
    node.run_config(config, async |board| {
        board.phase("hog", Phase::Failed).await;
        let how = board.ended("hog", "main").await;
        assert_eq!((how.reason, how.exit.code), (Reason::OomKilled, 137));
        board.running("quiet", "main").await;
        let lacks = |name| board.0.find("default", name).and_then(|entry| entry.machine().lacks());
        assert_eq!(lacks("quiet"), None);
        assert!(lacks("late").is_some_and(|lacks| lacks.memory), "more is not promised than there is");
    });
    node.assert_clean();
}

#[test]
fn spec_97_who_fills_the_disk_is_evicted_and_its_volumes_are_gone() {
    let (node, disk) = (node(Signal::NodefsAvailable, 5000, 3600), Disk::new());
    let volume = "volumes: [{name: kept, emptyDir: {}}, {name: fast, emptyDir: {medium: Memory}}]";
    let mounts = "volumeMounts: [{name: kept, mountPath: /kept}, {name: fast, mountPath: /fast}]";
    let yaml = pod("quiet", "exec sleep 1000", volume, mounts)
        + &pod("writer", "dd if=/dev/zero of=/kept/file bs=1M count=40; exec sleep 1000", volume, mounts)
        + &pod("diskless", "exec sleep 1000", "", "");
    let run_dir = node.run_dir();
    let data = disk.path();
    node.run_config(on(&disk, &node, &yaml), async move |board| {
        let (name, message) = evicted(&board, 1).await.remove(0);
        assert_eq!(name, "writer");
        let expected = "The node was low on resource: ephemeral-storage. Threshold quantity: 32Mi, available: ";
        assert!(message.starts_with(expected), "{message}");
        board.phase("writer", Phase::Failed).await;
        assert_eq!(board.0.node().pressures, [Pressure::Disk]);
        let uid = board.uid("writer");
        vanished(&data.join("pods").join(&uid)).await;
        vanished(&run_dir.join("pods").join(&uid).join("volumes")).await;
        assert!(board.0.logs("default", "writer", "main", false).is_ok(), "its logs are kept");
        {
            let entry = board.0.find("default", "writer").unwrap();
            let scene = Scene { node: "n", node_ip: None, now: board.0.now(), clock: Clock::new(board.0.now(), 0) };
            let seen = StatusView::of(entry.machine(), entry.uid(), None, scene);
            let target = seen.conditions.iter().find(|it| it.kind == ConditionKind::DisruptionTarget).unwrap();
            assert_eq!((target.reason, seen.message(entry.manifest(), target)), ("TerminationByKubelet", message));
            assert_eq!(seen.verdict.map(|verdict| verdict.as_str()), Some("Evicted"));
        }
        // What has the room back needs no other pod's; but nobody new comes in.
        board.running("quiet", "main").await;
        board.running("diskless", "main").await;
        board.0.restart("default", "diskless", None).unwrap();
        board
            .until("diskless waits", |agent| {
                (agent.find("default", "diskless")?.machine().lacks()?.pressure == Some(Pressure::Disk)).then_some(())
            })
            .await;
    });
    node.assert_clean();
}

/// Nobody looks at a disk that no pod writes to, and this node does not hear of stalls.
#[test]
fn spec_97_when_a_container_is_ended_for_want_of_memory_the_node_is_looked_at() {
    let (node, disk) = (node(Signal::NodefsAvailable, 5000, 3600), Disk::new());
    let script = "touch /ready; until test -e /go; do sleep 0.01; done; exec tail /dev/zero";
    let yaml = pod("hog", script, "restartPolicy: Never", "resources: {limits: {memory: 16Mi}}");
    let file = disk.path().join("file");
    node.run_config(on(&disk, &node, &yaml), async move |board| {
        board.ready("hog").await;
        std::fs::write(file, vec![1; 40 << 20]).unwrap();
        // It may be ended with the container.
        board.shell("hog", "main", "touch /go").await;
        assert_eq!(board.event("NodeHasDiskPressure").await, "Node testnode status is now: NodeHasDiskPressure");
        assert_eq!(board.ended("hog", "main").await.reason, Reason::OomKilled);
    });
    node.assert_clean();
}

/// The ReplicaSet of Kubernetes would make another, too.
#[test]
fn spec_8_11_97_an_owners_pod_gets_a_successor_when_the_node_is_well_again() {
    let (node, disk) = (node(Signal::NodefsAvailable, 5000, 1), Disk::new());
    let script = "test -e /kept/been && touch /ready && exec sleep 1000; touch /kept/been; \
                  dd if=/dev/zero of=/tmp/file bs=1M count=40; exec sleep 1000";
    let yaml = format!(
        "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{a: b}}}}\n  \
         template:\n    metadata: {{labels: {{a: b}}}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      \
         volumes: [{{name: kept, persistentVolumeClaim: {{claimName: kept}}}}, {{name: tmp, emptyDir: {{}}}}]\n      \
         containers:\n      - name: main\n        image: busybox\n        command: [sh, -c, {script:?}]\n        \
         volumeMounts: [{{name: kept, mountPath: /kept}}, {{name: tmp, mountPath: /tmp}}]\n\
         ---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: kept}}\n\
         spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}\n"
    );
    node.run_config(on(&disk, &node, &yaml), async |board| {
        let name = evicted(&board, 1).await.remove(0).0;
        let first = board.until("it is there", |agent| Some(agent.find("default", &name)?.uid())).await;
        let next =
            |agent: &podling::agent::Agent| Some(agent.find("default", &name)?.uid()).filter(|uid| *uid != first);
        board.until("there is another", next).await;
        board.ready(&name).await;
        assert_eq!(board.event("NodeHasNoDiskPressure").await, "Node testnode status is now: NodeHasNoDiskPressure");
        assert!(board.0.node().pressures.is_empty());
    });
    node.assert_clean();
}

/// Whatever the node has left: these are the pods' own bounds.
#[test]
fn spec_31_93_who_has_more_on_disk_than_it_may_is_evicted() {
    let node = Node::new();
    let write = "dd if=/dev/zero of=/kept/file bs=1M count=4; touch /ready; exec sleep 1000";
    let volume = |limit: &str| format!("volumes: [{{name: kept, emptyDir: {{{limit}}}}}]");
    let inside = |limit: &str| {
        let resources = format!("resources: {{limits: {{ephemeral-storage: {limit}}}}}");
        format!("volumeMounts: [{{name: kept, mountPath: /kept}}]\n{resources}")
    };
    let yaml = pod("fits", write, &volume("sizeLimit: 8Mi"), &inside("5Mi"))
        + &pod("large", write, &volume("sizeLimit: 3Mi"), &inside("8Mi"))
        + &pod("whole", write, &volume(""), &inside("3Mi"));
    node.run(&yaml, async |board| {
        let all = evicted(&board, 2).await;
        let said = |name: &str| all.iter().find(|(pod, _)| pod == name).map_or("", |(_, message)| message);
        assert_eq!(said("large"), "Usage of EmptyDir volume \"kept\" exceeds the limit \"3Mi\".");
        assert_eq!(said("whole"), "Pod ephemeral local storage usage exceeds the total limit of containers 3Mi.");
        board.phase("large", Phase::Failed).await;
        board.ready("fits").await;
        // Its own files cannot even become more.
        let (code, _) = board.shell("fits", "main", "dd if=/dev/zero of=/root/file bs=1M count=6").await;
        assert_ne!(code, 0);
        assert_eq!(board.shell("fits", "main", "dd if=/dev/zero of=/root/file bs=1M count=4").await.0, 0);
    });
}

/// A container that reads again and again what does not fit into its memory stalls for it, and the kernel tells.
#[test]
fn spec_97_the_kernel_tells_of_stalls_for_memory() {
    let node = Node::new();
    let script = "dd if=/dev/zero of=/disk/file bs=1M count=64; while true; do cat /disk/file > /dev/null; done";
    let inside = "resources: {limits: {memory: 12Mi}}\nvolumeMounts: [{name: disk, mountPath: /disk}]";
    node.run(&pod("thrash", script, "volumes: [{name: disk, emptyDir: {}}]", inside), async |_| {
        let stalls = smol::Async::new_nonblocking(Stalls::listen().expect("a kernel with PSI")).unwrap();
        stalls.readable().await.unwrap();
        while stalls.get_ref().are_told() {}
        stalls.readable().await.unwrap();
    });
}
