//! A board that runs out of memory: the kernel tells of stalls, and the pod that takes too much goes; on cgroup v2.

#[path = "common/board.rs"]
mod board;
#[path = "common/qemu.rs"]
mod qemu;

use board::{board, pod};
use qemu::Guest;

/// A pod fills the memory of the board, a little at a time. Nobody looks at the memory then, unless the kernel tells of stalls.
#[test]
fn spec_97_the_board_evicts_who_fills_its_memory() {
    // Each of the two takes up to half of the memory.
    let volumes = "volumes: [{name: a, emptyDir: {medium: Memory}}, {name: b, emptyDir: {medium: Memory}}]\n";
    let mounts = "volumeMounts: [{name: a, mountPath: /fast/a}, {name: b, mountPath: /fast/b}]\n";
    // Fast at first; near the border slowly, so that there is time to hear of stalls before there is nothing left at all.
    let fill = "n=0\nwhile true; do\n  n=$((n+1))\n  for half in a b; do\n    dd if=/dev/zero of=/fast/$half/$n bs=512k count=1 2> /dev/null\n    \
                while read key kib unit; do [ $key = MemAvailable: ] && break; done < /proc/meminfo\n    \
                if [ $kib -lt 30000 ]; then sleep 0.5; fi\n  done\n  sleep 0.05\ndone";
    let yaml = pod("hog", volumes, mounts, fill)
        + &pod("quiet", "", "resources: {requests: {memory: 16Mi}}\n", "exec sleep 100000");
    let borders = |board: String| board.replace("[eviction]\n", "[eviction]\n\"memory.available\" = \"16Mi\"\n");
    let mut guest = Guest::booted(&board("pressure", &yaml, borders));

    let is_failed = |answer: &str| answer.lines().any(|line| line.starts_with("Status:") && line.ends_with("Failed"));
    let about = guest.ask_until("describe pod hog", is_failed);
    let message = "The node was low on resource: memory. Threshold quantity: 16Mi, available: ";
    assert!(about.contains("Evicted") && about.contains(message), "{about}");
    assert!(about.contains("Container main was using ") && about.contains("TerminationByKubelet"), "{about}");
    let events = guest.ask("events");
    assert!(events.contains("NodeHasInsufficientMemory") && events.contains("EvictionThresholdMet"), "{events}");
    assert_eq!(events.matches(" Evicted ").count(), 1, "one was enough: {events}");
    guest.pod_is("quiet", &["1/1", "Running"]);
    let version = guest.ask("version");
    assert!(
        version.lines().any(|line| line.starts_with("Conditions:") && line.ends_with("MemoryPressure")),
        "{version}"
    );

    // What it had in its volumes is given back.
    let kib = |line: &str| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u32>().ok();
    let plenty = |answer: &str| answer.lines().filter_map(kib).any(|kib| kib > 40 << 10);
    guest.ask_until("exec quiet -- cat /proc/meminfo", plenty);

    // It requests nothing: now it has to wait.
    guest.ask("restart hog");
    guest.pod_is("hog", &["0/1", "Pending"]);
    let about = guest.ask("describe pod hog");
    assert!(about.contains("untolerated taint {node.kubernetes.io/memory-pressure: }"), "{about}");
    guest.power_off();
}
