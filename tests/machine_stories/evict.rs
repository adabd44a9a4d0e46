//! Eviction (spec 97): when the node is under pressure, who goes, and what becomes of the one that has to.

use crate::story::{Story, TERM, record, rules};
use podling::machine::admit::Lacks;
use podling::machine::effect::Event;
use podling::machine::evict::{Candidate, Evict, Level, Levels, Order, Orders, Pressure, Watch, first};
use podling::manifest::eviction::{Evicted, Eviction, Excess, Signal, Threshold};
use podling::manifest::pod::ContainerKind::{App, Sidecar};
use podling::manifest::pod::{Pod, Qos, RestartPolicy};
use podling::manifest::record::{Life, PodRecord};
use podling::manifest::status::{Condition, ConditionKind, Exit, Phase, Reason, Uid, Verdict};
use podling::manifest::time::Instant;

const MIB: u64 = 1 << 20;
const WHY: Evicted =
    Evicted::NodeLow { signal: Signal::MemoryAvailable, threshold: 4 * MIB, available: 3 * MIB, most: None };

fn node() -> Evict {
    Evict::new(Eviction { thresholds: [None; 4], transition_seconds: 60 })
}

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1000)
}

/// A board of 128 MiB with so much memory left, and a disk of 1000 MiB with so much.
fn levels(memory: u64, disk: u64) -> Levels {
    let memory = Level { available: memory * MIB, capacity: 128 * MIB };
    [Some(memory), Some(Level { available: disk * MIB, capacity: 1000 * MIB }), None, None]
}

fn look(node: &mut Evict, seconds: u64, levels: Levels) -> Vec<Order> {
    let mut orders = Orders::new();
    node.look(at(seconds), levels, &mut orders);
    orders.into_iter().collect()
}

fn reclaim(signal: Signal, threshold: u64, available: u64) -> Order {
    Order::Reclaim { signal, threshold: threshold * MIB, available: available * MIB }
}

const MEMORY_TOLD: [Watch; 4] = [Watch::Told, Watch::Still, Watch::Still, Watch::Still];
const DISK_ASKED: [Watch; 4] = [Watch::Told, Watch::Asked, Watch::Asked, Watch::Still];

#[test]
fn spec_97_one_pod_at_a_time_until_the_node_has_been_well_for_a_while() {
    let (mut node, low) = (node(), reclaim(Signal::MemoryAvailable, 4, 3));
    assert_eq!(node.poll_at(&MEMORY_TOLD), Some(at(0)), "a first look");
    assert_eq!(look(&mut node, 1, levels(4, 500)), [], "at the border it still has enough");
    assert_eq!(node.poll_at(&MEMORY_TOLD), None, "the kernel tells");
    assert_eq!(look(&mut node, 2, levels(3, 500)), [Order::Begins(Pressure::Memory), low]);
    // Nobody can go: it is looked again, as kubelet does.
    assert_eq!(node.poll_at(&MEMORY_TOLD), Some(at(12)));
    assert_eq!(look(&mut node, 12, levels(3, 500)), [low]);
    node.evicting(at(12), Uid([1; 16]));
    assert_eq!((node.victim(), node.poll_at(&MEMORY_TOLD)), (Some(Uid([1; 16])), Some(at(42))));
    assert_eq!(look(&mut node, 13, levels(3, 500)), [], "one is on its way out");
    node.gone(at(14));
    assert_eq!((node.victim(), node.poll_at(&MEMORY_TOLD)), (None, Some(at(16))), "what it had comes back");
    assert_eq!(look(&mut node, 15, levels(3, 500)), [], "however often the kernel tells of stalls meanwhile");
    assert_eq!(look(&mut node, 16, levels(3, 500)), [low]);
    // One that does not go does not save the others.
    node.evicting(at(16), Uid([2; 16]));
    assert_eq!(look(&mut node, 46, levels(3, 500)), [low]);
    assert_eq!(node.victim(), None);
    assert_eq!(look(&mut node, 50, levels(90, 500)), []);
    assert_eq!(node.pressures().collect::<Vec<_>>(), [Pressure::Memory]);
    assert_eq!(node.poll_at(&MEMORY_TOLD), Some(at(106)), "60 s after it was last seen");
    assert_eq!(look(&mut node, 106, levels(90, 500)), [Order::Ends(Pressure::Memory)]);
    assert_eq!((node.pressures().next(), node.poll_at(&MEMORY_TOLD)), (None, None));
}

#[test]
fn spec_97_one_pod_is_enough_where_what_it_had_comes_back_late() {
    let (mut node, low) = (node(), reclaim(Signal::MemoryAvailable, 4, 3));
    assert_eq!(look(&mut node, 1, levels(3, 500)), [Order::Begins(Pressure::Memory), low]);
    node.evicting(at(1), Uid([1; 16]));
    node.gone(at(3));
    assert_eq!(look(&mut node, 3, levels(3, 500)), [], "not yet");
    assert_eq!(look(&mut node, 5, levels(40, 500)), [], "there it is");
    assert_eq!(node.poll_at(&MEMORY_TOLD), Some(at(63)), "nothing is left but the end of the pressure");
    // Whoever takes it next is nobody's successor.
    assert_eq!(look(&mut node, 6, levels(2, 500)), [reclaim(Signal::MemoryAvailable, 4, 2)]);
}

#[test]
fn spec_97_memory_is_heeded_before_the_disk() {
    let mut node = node();
    let (memory, disk) = (Order::Begins(Pressure::Memory), Order::Begins(Pressure::Disk));
    assert_eq!(look(&mut node, 1, levels(3, 99)), [memory, disk, reclaim(Signal::MemoryAvailable, 4, 3)]);
    assert_eq!(look(&mut node, 2, levels(9, 99)), [reclaim(Signal::NodefsAvailable, 100, 99)]);
}

#[test]
fn spec_97_a_disk_is_looked_at_while_somebody_writes_and_the_nearer_the_border_the_oftener() {
    let mut node = node();
    look(&mut node, 100, levels(90, 101));
    assert_eq!((node.poll_at(&MEMORY_TOLD), node.poll_at(&DISK_ASKED)), (None, Some(at(110))));
    let far = |available| [None, Some(Level { available, capacity: 1 << 50 }), None, None];
    let border = (1 << 50) / 10;
    for (gib, pause) in [(0, 10), (1, 32), (4, 128), (1000, 300)] {
        look(&mut node, 100, far(border + (gib << 30)));
        assert_eq!(node.poll_at(&DISK_ASKED), Some(at(100 + pause)), "{gib} GiB above");
    }
}

#[test]
fn spec_97_borders_are_a_boards_own_or_as_its_file_says() {
    let gib = |n: u64| n << 30;
    let (own, kib) = (node(), |signal, capacity| node().threshold(signal, capacity) >> 10);
    assert_eq!(kib(Signal::MemoryAvailable, 128 * MIB), 4 << 10);
    assert_eq!(kib(Signal::MemoryAvailable, gib(8)), 100 << 10, "kubelet's");
    assert_eq!(kib(Signal::NodefsAvailable, 1000 << 10), 100);
    assert_eq!(own.threshold(Signal::NodefsInodesFree, 1000), 50);
    assert!(!own.heeds(Signal::PidAvailable) && own.heeds(Signal::MemoryAvailable));
    let thresholds = [Some(Threshold::Amount(0)), Some(Threshold::Share(1)), None, Some(Threshold::Share(5000))];
    let other = Evict::new(Eviction { thresholds, transition_seconds: 1 });
    assert!(!other.heeds(Signal::MemoryAvailable) && other.heeds(Signal::PidAvailable));
    assert_eq!(other.threshold(Signal::NodefsAvailable, u64::MAX), u64::MAX / 10_000);
    assert_eq!(other.threshold(Signal::PidAvailable, 700), 350);
}

#[test]
fn spec_97_usage_over_request_goes_first_then_priority_then_excess() {
    let it = |priority, usage, request| Candidate { critical: false, priority, usage, request };
    let order = |signal, mut all: Vec<Candidate>| {
        let mut left: Vec<usize> = (0..all.len()).collect();
        let mut order = Vec::new();
        while let Some(at) = first(signal, &all) {
            all.remove(at);
            order.push(left.remove(at));
        }
        order
    };
    let pods = vec![it(0, 5, 9), it(9, 90, 10), it(-1, 1, 0), it(-1, 30, 10), it(9, 1000, 1000)];
    assert_eq!(order(Signal::MemoryAvailable, pods.clone()), [3, 2, 1, 0, 4]);
    assert_eq!(order(Signal::PidAvailable, pods), [3, 2, 0, 1, 4], "processes are not requested");
    let mut pods = vec![it(0, 1, 2), it(0, 9, 0)];
    pods[1].critical = true;
    assert_eq!(order(Signal::NodefsAvailable, pods), [0, 1], "others lean on the critical one");
    assert_eq!(first(Signal::MemoryAvailable, &[]), None);
}

#[test]
fn spec_97_an_evicted_pod_is_killed_after_two_seconds_and_stays_failed() {
    let mut story = Story::running(rules(RestartPolicy::Always, &[App, App]));
    story.at(5).tell(Event::Evict(WHY)).asks(&["condemn Evicted", "stop 0", "stop 1"]).is(Phase::Running);
    story.is_true(ConditionKind::DisruptionTarget, 5);
    story.at(6).exited(0, Exit::OK).asks(&[]).is(Phase::Running);
    story.wakes_at(7).asks(&["kill 1"]);
    story.exited(1, Exit::by_signal(9)).asks(&[]).is(Phase::Failed).ended(1, Reason::Error, 137);
    assert_eq!((story.pod.verdict(), story.pod.poll_at()), (Some(Verdict::Evicted(WHY)), None));
    // Nothing is evicted twice, and it stays until somebody deletes it.
    story.at(90).tell(Event::Evict(WHY)).asks(&[]).delete().asks(&["mark", "remove"]).is(Phase::Failed);
    let expected =
        Condition { kind: ConditionKind::DisruptionTarget, status: true, reason: "TerminationByKubelet", since: at(5) };
    assert_eq!(story.condition(ConditionKind::DisruptionTarget), expected);
}

#[test]
fn spec_97_what_is_over_or_waits_is_not_evicted() {
    let mut story = Story::running(rules(RestartPolicy::Never, &[App]));
    story.exited(0, Exit::OK).tell(Event::Evict(WHY)).asks(&[]).is(Phase::Succeeded);
    let mut story = Story::running(rules(RestartPolicy::Always, &[App]));
    story.delete().tell(Event::Evict(WHY)).asks(&[]);
    let lacks = Lacks { pressure: Some(Pressure::Memory), ..Lacks::default() };
    let mut story = Story::held(rules(RestartPolicy::Always, &[App]), lacks);
    story.tell(Event::Evict(WHY)).asks(&[]).is(Phase::Pending);
}

#[test]
fn spec_8_97_an_eviction_survives_the_agent() {
    let running = record(1, 1, Life::Running { started: at(1) });
    let kinds = &[Sidecar, App];
    let mut story = Story::adopted_condemned(
        rules(RestartPolicy::Always, kinds),
        70,
        PodRecord::default(),
        &[running, running],
        Some(Verdict::Evicted(WHY)),
    );
    story.asks(&["stop 1"]).exited(1, TERM).asks(&["stop 0"]).wakes_at(72).asks(&["kill 0"]);
    story.exited(0, Exit::by_signal(9)).is(Phase::Failed);
}

#[test]
fn spec_97_under_pressure_new_pods_wait() {
    let keeps = |pressure: Pressure| {
        [Qos::BestEffort, Qos::Burstable, Qos::Guaranteed].map(|qos| pressure.keeps_out(qos, false))
    };
    assert_eq!(keeps(Pressure::Memory), [true, false, false]);
    assert_eq!((keeps(Pressure::Disk), keeps(Pressure::Pid)), ([true; 3], [true; 3]));
    assert!(!Pressure::Disk.keeps_out(Qos::BestEffort, true), "the node cannot do without critical ones");
    let lacks = Lacks { pressure: Some(Pressure::Disk), memory: true, ..Lacks::default() };
    let said = "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }.";
    assert_eq!(lacks.to_string(), said);
}

#[test]
fn spec_97_the_message_is_kubelets() {
    assert_eq!(
        Verdict::Evicted(WHY).message(&Pod::default()),
        "The node was low on resource: memory. Threshold quantity: 4Mi, available: 3Mi."
    );
    let most = Some(Excess { container: 0, usage: 5 * MIB, request: 0 });
    let (signal, threshold, available) = (Signal::MemoryAvailable, 4 * MIB, 3 * MIB);
    let said = Evicted::NodeLow { signal, threshold, available, most }.message(&Pod::default());
    let more = " Container  was using 5Mi, request is 0, has larger consumption of memory.";
    assert!(said.ends_with(more), "{said}");
}
