//! How pods end (spec 66–82), and the node with them.

use crate::story::*;
use podling::machine::effect::Event;
use podling::machine::shutdown::{Left, Next, Shutdown, Wave};
use podling::manifest::pod::{ContainerKind, RestartPolicy};
use podling::manifest::record::{Ending, Life, PodRecord};
use podling::manifest::status::{ConditionKind, Exit, Phase, Reason, message};
use podling::manifest::time::{Duration, Instant};

use ContainerKind::{App, Init, Sidecar};
use RestartPolicy::Always;

#[test]
fn spec_66_to_75_a_delete_from_the_first_signal_to_the_last_trace() {
    let mut story = Story::running(rules(Always, &[App, App]));
    story.at(100).delete().asks(&["mark", "stop 0", "stop 1"]).says(&["Killing", "Killing"]).is(Phase::Running);
    assert!(story.pod.is_terminating() && !story.pod.is_hidden());
    assert_eq!(story.pod.dead_after(), Some(Instant(130_000)), "spec 66, 67");
    // spec 72, 73: it stops counting as ready at once, and its containers may still serve.
    story.is_false(ConditionKind::Ready, "PodTerminating", 100).is_true(ConditionKind::ContainersReady, 0);
    story.at(101).exited(0, TERM).asks(&[]).ended(0, Reason::Error, 143).is(Phase::Running);
    // spec 74, failure F20: the other one ignores its signal.
    story.wakes_at(130).asks(&["kill 1"]).exited(1, Exit::by_signal(9)).asks(&["remove"]);
    assert!(!story.pod.is_gone());
    story.tell(Event::SandboxRemoved);
    assert!(story.pod.is_gone() && story.pod.is_hidden() && !story.pod.wants_replacement(), "spec 75");
}

#[test]
fn spec_69_the_pre_stop_hook_comes_first_within_the_grace_period() {
    let mut story = Story::running(hooked(&[App]));
    story.delete().asks(&["mark", "prestop 0"]);
    story.at(20).pre_stop_ended(0, None).asks(&["stop 0"]).says(&[]);
    story.wakes_at(30).asks(&["kill 0"]);
}

#[test]
fn spec_70_failure_f21_a_hook_that_hangs_gets_two_seconds_more() {
    let mut story = Story::running(hooked(&[App]));
    story.delete().wakes_at(30).asks(&["stop 0"]).says(&["!FailedPreStopHook"]);
    story.wakes_at(32).asks(&["kill 0"]);
    story.pre_stop_ended(0, None).asks(&[]);
    story.exited(0, Exit::by_signal(9)).asks(&["remove"]);
}

#[test]
fn spec_69_a_failing_hook_is_told_and_stops_nothing() {
    let mut story = Story::running(hooked(&[App]));
    story.delete().pre_stop_ended(0, Some("exit code 3")).asks(&["stop 0"]).says(&["!FailedPreStopHook"]);
    story.pre_stop_ended(0, Some("exit code 3")).asks(&[]).says(&[]);
}

#[test]
fn spec_36_38_sidecars_end_after_the_app_in_reverse_order() {
    let mut story = Story::running(rules(Always, &[Sidecar, Sidecar, App]));
    story.delete().asks(&["mark", "stop 2"]);
    story.at(10).exited(2, TERM).asks(&["stop 1"]).at(20).exited(1, TERM).asks(&["stop 0"]);
    // With whatever grace is left.
    story.wakes_at(30).asks(&["kill 0"]).exited(0, Exit::by_signal(9)).asks(&["remove"]);
    let mut story = Story::running(rules(Always, &[Sidecar, Sidecar, App]));
    story.delete().wakes_at(30).asks(&["kill 0", "kill 1", "kill 2"]);
}

#[test]
fn spec_38_a_delete_while_init_containers_run() {
    let mut story = Story::standing(rules(Always, &[Init, App]));
    story.started(0).delete().asks(&["mark", "stop 0"]).exited(0, TERM).asks(&["remove"]).is(Phase::Pending);
    story.tell(Event::SandboxRemoved);
    assert!(story.pod.is_gone());
}

#[test]
fn spec_77_a_delete_before_anything_runs() {
    let mut story = Story::new(rules(Always, &[App]));
    story.delete().asks(&[]).tell(Event::SandboxReady).asks(&["remove"]).tell(Event::SandboxRemoved);
    assert!(story.pod.is_gone());
    let mut story = Story::new(rules(Always, &[App]));
    story.delete().tell(Event::SandboxFailed(message("no")));
    assert!(story.pod.is_gone());
    let mut story = Story::new(rules(Always, &[App]));
    story.tell(Event::SandboxFailed(message("no"))).delete();
    assert!(story.pod.is_gone());
    // In mid-start: the signal waits for the program, the kill does not.
    let mut story = Story::standing(rules(Always, &[App, App]));
    story.delete().asks(&["mark"]).started(0).asks(&["stop 0"]).wakes_at(30).asks(&["kill 0", "kill 1"]);
    story.failed(1, Reason::CreateContainerError).asks(&[]).exited(0, TERM).asks(&["remove"]);
    // In a back-off: what it was before it waited.
    let mut story = Story::running(rules(Always, &[App]));
    story.exited(0, FAILED).started(0).exited(0, FAILED).waits(0, Reason::CrashLoopBackOff);
    story.delete().asks(&["mark", "remove"]).ended(0, Reason::Error, 1).is(Phase::Failed);
}

#[test]
fn spec_78_a_second_delete_may_only_hasten() {
    let mut story = Story::running(rules(Always, &[App]));
    story.tell(Event::Delete { grace: Some(Duration::from_secs(100)), force: false, replace: false });
    assert_eq!(story.pod.dead_after(), Some(Instant(100_000)));
    story
        .at(10)
        .tell(Event::Delete { grace: Some(Duration::from_secs(5)), force: false, replace: false })
        .asks(&["mark"]);
    story.at(11).tell(Event::Delete { grace: Some(Duration::from_secs(500)), force: false, replace: false }).asks(&[]);
    assert_eq!(story.pod.dead_after(), Some(Instant(15_000)));
    story.wakes_at(15).asks(&["kill 0"]);
}

#[test]
fn spec_79_to_82_a_forced_delete_does_not_wait_but_the_node_gives_two_seconds() {
    let mut story = Story::running(hooked(&[App]));
    story.tell(Event::Delete { grace: Some(Duration::ZERO), force: true, replace: true }).asks(&["mark", "stop 0"]);
    assert!(
        story.pod.is_hidden() && story.pod.wants_replacement() && !story.pod.is_gone(),
        "spec 80: the name is free at once"
    );
    story.at(1).delete();
    assert!(
        story.pod.is_hidden() && !story.pod.wants_replacement(),
        "what was freed stays free; who asks last decides what follows"
    );
    story.wakes_at(2).asks(&["kill 0"]);
    // Force may come later, in the middle of a hook.
    let mut story = Story::running(hooked(&[App]));
    story.delete().asks(&["mark", "prestop 0"]).at(3);
    story.tell(Event::Delete { grace: None, force: true, replace: false }).asks(&["mark", "stop 0"]);
    story.wakes_at(5).asks(&["kill 0"]);
}

#[test]
fn spec_77_failure_f22_what_cannot_be_killed_is_reported_seldom_and_waited_for() {
    let mut story = Story::running(rules(Always, &[App, App]));
    story.delete().wakes_at(30).asks(&["kill 0", "kill 1"]).exited(1, Exit::by_signal(9)).asks(&[]);
    let mut at = 40;
    for pause in [60, 120, 240] {
        story.wakes_at(at).says(&["!FailedKillPod"]).asks(&["kill 0"]);
        at += pause;
    }
    story.exited(0, Exit::by_signal(9)).asks(&["remove"]);
}

#[test]
fn failure_f3_a_pod_that_is_being_ended_loses_its_pod_init() {
    let mut story = Story::running(rules(Always, &[App]));
    story.delete().tell(Event::SandboxLost).asks(&["remove"]).tell(Event::SandboxRemoved);
    assert!(story.pod.is_gone());
}

#[test]
fn spec_76_an_agent_that_comes_back_ends_with_the_full_grace_period() {
    let ending = PodRecord { ending: Some(Ending { grace_ms: 20_000, force: false, replace: true }) };
    let mut story =
        Story::adopted(rules(Always, &[App]), 500, ending, &[record(1, 1, Life::Running { started: Instant(0) })]);
    story.asks(&["stop 0"]).wakes_at(520).asks(&["kill 0"]).exited(0, Exit::by_signal(9)).asks(&["remove"]);
    story.tell(Event::SandboxRemoved);
    assert!(story.pod.wants_replacement());
    // spec 80: a name that was freed by force stays free.
    let ending = PodRecord { ending: Some(Ending { grace_ms: 2_000, force: true, replace: false }) };
    assert!(Story::adopted(rules(Always, &[App]), 1, ending, &[]).pod.is_hidden());
}

#[test]
fn spec_g_a_node_shuts_down_in_two_waves_within_its_budget() {
    let at = |seconds: u64| Instant(seconds * 1000);
    let left = |regular, critical| Left { regular, critical };
    let mut shutdown = Shutdown::new(at(0), Duration::from_secs(60));
    assert_eq!(shutdown.step(at(0), left(3, 1)), Next::End(Wave::Regular, Duration::from_secs(40)));
    assert_eq!(shutdown.step(at(1), left(2, 1)), Next::Wait);
    assert_eq!(shutdown.step(at(10), left(0, 1)), Next::End(Wave::Critical, Duration::from_secs(50)));
    assert_eq!(shutdown.step(at(11), left(0, 1)), Next::Wait);
    assert_eq!(shutdown.step(at(12), left(0, 0)), Next::Done);
    // Pods that will not go hold up nobody for ever (failure F22).
    let mut shutdown = Shutdown::new(at(0), Duration::from_secs(60));
    shutdown.step(at(0), left(1, 1));
    assert_eq!(shutdown.poll_at(), Some(at(45)));
    assert_eq!(shutdown.step(at(45), left(1, 1)), Next::End(Wave::Critical, Duration::from_secs(15)));
    assert_eq!((shutdown.poll_at(), shutdown.step(at(65), left(1, 1))), (Some(at(65)), Next::Done));
    // A board without pods is off at once.
    let mut shutdown = Shutdown::new(at(0), Duration::from_secs(60));
    shutdown.step(at(0), left(0, 0));
    shutdown.step(at(0), left(0, 0));
    assert_eq!(shutdown.step(at(0), left(0, 0)), Next::Done);
}

#[test]
fn spec_g_a_shutdown_ends_a_pod_within_both_graces_and_for_good() {
    let mut story = Story::running(rules(Always, &[App]));
    story.tell(Event::Delete { grace: Some(Duration::from_secs(100)), force: false, replace: true });
    story.at(1).tell(Event::Shutdown { at_most: Duration::from_secs(10) });
    assert_eq!(story.pod.dead_after(), Some(Instant(11_000)));
    story.wakes_at(11).asks(&["kill 0"]).exited(0, TERM).tell(Event::SandboxRemoved);
    assert!(story.pod.is_gone() && !story.pod.wants_replacement());
}
