//! A board that runs out of memory, on cgroup v2: the pod that takes too much goes, slowly or fast; the board and all others stay.
//!
//! What is waited for is what the board says of itself. How fast memory fills up, and is looked at, nobody counts on.

#[path = "common/board.rs"]
mod board;
#[path = "common/qemu.rs"]
mod qemu;

use board::{board, pod};
use qemu::Guest;

/// A pod that requests memory and needs none.
fn quiet() -> String {
    pod("quiet", "", "resources: {requests: {memory: 16Mi}}\n", "exec sleep 100000")
}

/// A pod that writes files to memory: each of its two volumes takes up to half of the board's.
fn hog(between: &str) -> String {
    let volumes = "volumes: [{name: a, emptyDir: {medium: Memory}}, {name: b, emptyDir: {medium: Memory}}]\n";
    let mounts = "volumeMounts: [{name: a, mountPath: /fast/a}, {name: b, mountPath: /fast/b}]\n";
    let write = "dd if=/dev/zero of=/fast/$half/$n bs=1M count=1 2> /dev/null";
    let fill =
        format!("n=0\nwhile true; do\n  n=$((n+1))\n  for half in a b; do\n    {write}\n    {between}\n  done\ndone");
    pod("hog", volumes, mounts, &fill)
}

/// The board's own border, in its file.
fn border(quantity: &str) -> impl Fn(String) -> String {
    let line = format!("[eviction]\n\"memory.available\" = \"{quantity}\"\n");
    move |board| board.replace("[eviction]\n", &line)
}

fn is_failed(about: &str) -> bool {
    about.lines().any(|line| line.starts_with("Status:") && line.ends_with("Failed"))
}

/// A pod fills the memory of the board, a little at a time. Nobody looks at the memory then, unless the kernel tells of stalls.
#[test]
fn spec_97_the_board_evicts_who_fills_its_memory() {
    let mut guest = Guest::booted(&board("pressure", &(hog("sleep 0.2") + &quiet()), border("16Mi")));
    let about = guest.ask_until("describe pod hog", is_failed);
    let message = "The node was low on resource: memory. Threshold quantity: 16Mi, available: ";
    assert!(about.contains("Evicted") && about.contains(message), "{about}");
    assert!(about.contains("Container main was using ") && about.contains("TerminationByKubelet"), "{about}");
    let version = guest.ask("version");
    assert!(
        version.lines().any(|line| line.starts_with("Conditions:") && line.ends_with("MemoryPressure")),
        "{version}"
    );

    // What it had in its volumes is given back, and that was enough.
    let kib = |line: &str| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u32>().ok();
    let plenty = |answer: &str| answer.lines().filter_map(kib).any(|kib| kib > 60 << 10);
    guest.ask_until("exec quiet -- cat /proc/meminfo", plenty);
    let events = guest.ask("events");
    assert!(events.contains("NodeHasInsufficientMemory") && events.contains("EvictionThresholdMet"), "{events}");
    assert_eq!(events.matches(" Evicted ").count(), 1, "one was enough: {events}");
    guest.pod_is("quiet", &["1/1", "Running", " 0 "]);

    // It requests nothing: now it has to wait.
    guest.ask("restart hog");
    guest.pod_is("hog", &["0/1", "Pending"]);
    let about = guest.ask("describe pod hog");
    assert!(about.contains("untolerated taint {node.kubernetes.io/memory-pressure: }"), "{about}");
    guest.power_off();
}

/// A pod without limits takes all the memory that it can get, faster than anybody looks. It ends in the bound of all pods together.
#[test]
fn spec_95_97_who_takes_all_memory_at_once_is_oom_killed_and_the_board_goes_on() {
    let greedy = pod("greedy", "restartPolicy: Never\n", "", "tail /dev/zero");
    let mut guest = Guest::booted(&board("fast", &(greedy + &quiet()), border("0")));
    let about = guest.ask_until("describe pod greedy", is_failed);
    let says = |key: &str, value: &str| {
        about.lines().map(str::trim).any(|line| line.starts_with(key) && line.ends_with(value))
    };
    assert!(says("Reason:", "OOMKilled") && says("Exit Code:", "137"), "{about}");
    assert!(guest.transcript().contains("Memory cgroup out of memory: Killed process"), "not of the whole board");
    guest.pod_is("quiet", &["1/1", "Running", " 0 "]);
    assert_eq!(guest.ask("exec quiet -- echo still here").lines().next(), Some("still here"));
    let events = guest.ask("events");
    assert!(!events.contains("Evicted") && !events.contains("NodeDegraded"), "{events}");
    guest.power_off();
}

/// What is written to memory outlives who has written it, so that the kernel ends one after another. The agent hears of the first.
#[test]
fn spec_97_who_fills_the_memory_with_files_at_once_is_evicted_and_the_board_goes_on() {
    let mut guest = Guest::booted(&board("files", &(hog("true") + &quiet()), board::as_it_is));
    let about = guest.ask_until("describe pod hog", is_failed);
    assert!(about.contains("The node was low on resource: memory."), "{about}");
    guest.pod_is("quiet", &["1/1", "Running"]);
    let events = guest.ask("events");
    assert_eq!(events.matches(" Evicted ").count(), 1, "one was enough: {events}");
    guest.power_off();
}
