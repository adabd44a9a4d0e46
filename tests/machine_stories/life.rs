//! How pods come up, run, fail, restart and are found again.

use crate::story::*;
use podling::machine::effect::{Effect, Event};
use podling::manifest::pod::{ContainerKind, Node, RestartPolicy};
use podling::manifest::record::{Life, PodRecord};
use podling::manifest::status::{ConditionKind, ContainerState, Exit, Phase, Reason, message};
use podling::manifest::time::{Duration, Instant};

use ContainerKind::{App, Init, Sidecar};
use RestartPolicy::{Always, Never, OnFailure};

#[test]
fn spec_48_49_a_pod_comes_up() {
    let mut story = Story::new(rules(Always, &[App, App]));
    story.asks(&["create"]).says(&["Scheduled"]).is(Phase::Pending).waits(0, Reason::ContainerCreating);
    story.at(1).tell(Event::SandboxReady).asks(&["start 0.1", "start 1.1"]).is(Phase::Pending);
    story.at(2).started(0).says(&["Started"]).is(Phase::Pending);
    story.at(3).started(1).is(Phase::Running);
    assert_eq!(story.state(1), ContainerState::Running(Instant(3000)));
    assert_eq!(story.pod.poll_at(), None, "a pod that runs needs no timer");
}

#[test]
fn spec_48_a_sandbox_that_cannot_be_made_is_tried_again() {
    let mut story = Story::new(rules(Always, &[App]));
    story.tell(Event::SandboxFailed(message("no space"))).says(&["!FailedCreatePodSandBox"]).is(Phase::Pending);
    story.wakes_at(10).asks(&["create"]).tell(Event::SandboxFailed(message("no space")));
    story.wakes_at(30).asks(&["create"]).tell(Event::SandboxReady).asks(&["start 0.1"]);
}

#[test]
fn spec_36_init_containers_run_one_after_another() {
    let mut story = Story::standing(rules(Always, &[Init, Init, App]));
    story
        .asks(&["start 0.1"])
        .waits(0, Reason::ContainerCreating)
        .waits(1, Reason::PodInitializing)
        .waits(2, Reason::PodInitializing);
    story.started(0).asks(&[]).exited(0, Exit::OK).asks(&["start 1.1"]).is(Phase::Pending).ended(
        0,
        Reason::Completed,
        0,
    );
    // Always is OnFailure for an init container: it fails, and it alone comes again.
    story.started(1).exited(1, FAILED).asks(&["start 1.2"]).is(Phase::Pending);
    story.started(1).is_false(ConditionKind::Initialized, "ContainersNotInitialized", 0);
    story.at(7).exited(1, Exit::OK).asks(&["start 2.1"]).is_true(ConditionKind::Initialized, 7);
    story.started(2).is(Phase::Running);
}

#[test]
fn spec_51_a_failed_init_container_fails_a_pod_that_never_restarts() {
    let mut story = Story::standing(rules(Never, &[Sidecar, Init, App]));
    story.started(0).asks(&["start 1.1"]).started(1).exited(1, FAILED).asks(&["stop 0"]).is(Phase::Failed);
    story.exited(0, TERM).asks(&[]).is(Phase::Failed).waits(2, Reason::PodInitializing);
    story.is_false(ConditionKind::Ready, "PodFailed", 0);
}

#[test]
fn spec_36_a_sidecar_lets_the_next_start_and_never_blocks_completion() {
    let mut story = Story::standing(rules(Never, &[Sidecar, Sidecar, App]));
    story
        .asks(&["start 0.1"])
        .started(0)
        .asks(&["start 1.1"])
        .started(1)
        .asks(&["start 2.1"])
        .started(2)
        .is(Phase::Running);
    // It restarts on its own, whatever the policy of the pod, and whoever runs already goes on.
    story.exited(0, Exit::OK).asks(&["start 0.2"]).is(Phase::Running).started(0);
    // After the last app container they end, the last one first, and their exit codes do not matter.
    story.exited(2, Exit::OK).asks(&["stop 1"]).is(Phase::Running);
    story.exited(1, TERM).asks(&["stop 0"]).is(Phase::Running);
    story.exited(0, Exit::by_signal(9)).asks(&[]).is(Phase::Succeeded).is_false(
        ConditionKind::Ready,
        "PodCompleted",
        0,
    );
    story.is_true(ConditionKind::Initialized, 0);
    assert_eq!(story.pod.poll_at(), None);
}

#[test]
fn spec_36_a_sidecar_that_has_not_started_holds_the_next_back() {
    let mut story = Story::standing(rules(Never, &[Sidecar, App]));
    story.failed(0, Reason::RunContainerError).asks(&["start 0.2"]).failed(0, Reason::RunContainerError).asks(&[]);
    story.waits(0, Reason::CrashLoopBackOff).waits(1, Reason::PodInitializing).is(Phase::Pending);
    story.wakes_at(10).asks(&["start 0.3"]).started(0).asks(&["start 1.1"]);
}

#[test]
fn spec_42_43_restarts_back_off_and_a_long_run_forgets() {
    let mut story = Story::running(rules(Always, &[App]));
    story.exited(0, FAILED).asks(&["start 0.2"]).says(&[]);
    let mut now = 0;
    for (n, wait) in (3..).zip([10, 20, 40, 80, 160, 300, 300]) {
        story
            .started(0)
            .exited(0, FAILED)
            .asks(&[])
            .says(&["!BackOff"])
            .waits(0, Reason::CrashLoopBackOff)
            .is(Phase::Running);
        now += wait;
        story.wakes_at(now).asks(&[&start(0, n)]);
    }
    assert_eq!(story.pod.containers()[0].restarts(), 8);
    story.started(0).at(now + 599).exited(0, FAILED).asks(&[]).wakes_at(now + 599 + 300).started(0);
    now += 899;
    story.at(now + 600).exited(0, FAILED).asks(&["start 0.11"]).started(0).exited(0, FAILED).wakes_at(now + 610);
}

#[test]
fn spec_43_the_wait_is_told_as_kubelet_tells_it() {
    let mut story = Story::running(rules(Always, &[App]));
    story.exited(0, FAILED).started(0).exited(0, FAILED);
    assert_eq!(story.pod.containers()[0].message(), "back-off 10s restarting failed container");
    story.wakes_at(10).failed(0, Reason::RunContainerError);
    assert_eq!(story.pod.containers()[0].message(), "back-off 20s restarting failed container: what went wrong");
    story.wakes_at(30);
    assert_eq!(story.pod.containers()[0].message(), "");
}

#[test]
fn spec_43_restart_policy_decides() {
    for (policy, exit, again) in [
        (Always, Exit::OK, true),
        (Always, FAILED, true),
        (OnFailure, Exit::OK, false),
        (OnFailure, FAILED, true),
        (Never, Exit::OK, false),
        (Never, FAILED, false),
    ] {
        let mut story = Story::running(rules(policy, &[App]));
        story.exited(0, exit).asks(if again { &["start 0.2"] } else { &[] });
        let phase = if again {
            Phase::Running
        } else if exit.success() {
            Phase::Succeeded
        } else {
            Phase::Failed
        };
        story.is(phase);
    }
}

#[test]
fn spec_43_both_bounds_are_the_nodes_to_set() {
    let mut rules = rules(Always, &[App]);
    rules.node = Node { backoff_base_ms: 1000, backoff_cap_ms: 3000, ..Node::default() };
    let mut story = Story::running(rules);
    story.exited(0, FAILED);
    for at in [1, 3, 6, 9] {
        story.started(0).exited(0, FAILED).wakes_at(at);
    }
}

#[test]
fn spec_44_what_cannot_be_made_waits_and_is_tried_again_whatever_the_policy() {
    for reason in
        [Reason::ImageMissing, Reason::ImageInvalid, Reason::CreateContainerConfigError, Reason::CreateContainerError]
    {
        let mut story = Story::standing(rules(Never, &[App]));
        story.failed(0, reason).says(&["!Failed"]).waits(0, reason).is(Phase::Pending);
        assert_eq!(story.pod.containers()[0].message(), "what went wrong");
        story.wakes_at(10).asks(&["start 0.2"]).waits(0, Reason::ContainerCreating).failed(0, reason);
        story.wakes_at(30).asks(&["start 0.3"]).started(0).is(Phase::Running);
        assert_eq!(story.pod.containers()[0].restarts(), 0, "it never ran before");
    }
}

#[test]
fn spec_41_44_how_it_ended() {
    let oom = Exit { code: 137, signal: 9, oom: true };
    for (exit, reason, code) in [
        (Exit::OK, Reason::Completed, 0),
        (FAILED, Reason::Error, 1),
        (TERM, Reason::Error, 143),
        (oom, Reason::OomKilled, 137),
    ] {
        Story::running(rules(Never, &[App])).exited(0, exit).ended(0, reason, code);
    }
    let mut story = Story::standing(rules(Never, &[App]));
    story.failed(0, Reason::RunContainerError).ended(0, Reason::Error, 128).is(Phase::Failed);
    assert_eq!(story.pod.containers()[0].message(), "what went wrong");
}

#[test]
fn spec_44_last_state_and_restart_count() {
    let mut story = Story::running(rules(Always, &[App]));
    story.at(5).exited(0, FAILED).started(0);
    let container = &story.pod.containers()[0];
    let last = container.last().expect("it ended once");
    assert_eq!((last.exit, last.started, last.finished), (FAILED, Some(Instant(0)), Instant(5000)));
    assert_eq!(container.restarts(), 1);
    // What the next agent is told: failure F24.
    story.exited(0, Exit::OK).wakes_at(15);
    let memo =
        story.asked.iter().find_map(|effect| if let Effect::Start { memo, .. } = effect { Some(*memo) } else { None });
    let memo = memo.expect("it is started");
    assert_eq!((memo.failures, memo.last.map(|last| last.exit)), (3, Some(Exit::OK)));
}

#[test]
fn spec_45_conditions_and_when_they_changed() {
    use ConditionKind::*;
    let mut story = Story::new(rules(Always, &[App]));
    story.is_true(PodScheduled, 0).is_false(PodReadyToStartContainers, "", 0).is_true(Initialized, 0);
    story.is_false(ContainersReady, "ContainersNotReady", 0).is_false(Ready, "ContainersNotReady", 0);
    story.at(1).tell(Event::SandboxReady).is_true(PodReadyToStartContainers, 1);
    story.at(2).started(0).is_true(ContainersReady, 2).is_true(Ready, 2);
    story.at(9).tell(Event::Wake).is_true(Ready, 2);
    story.at(10).exited(0, FAILED).is_false(Ready, "ContainersNotReady", 10).at(11).started(0).is_true(Ready, 11);
    let kinds: Vec<ConditionKind> = story.pod.conditions().iter().map(|condition| condition.kind).collect();
    assert_eq!(kinds, [PodReadyToStartContainers, Initialized, Ready, ContainersReady, PodScheduled]);
    story.at(12).tell(Event::Shutdown { at_most: Duration::from_secs(5) }).is_true(DisruptionTarget, 12);
}

#[test]
fn spec_50_51_53_a_pod_whose_work_is_done_stays_so() {
    let mut story = Story::running(rules(OnFailure, &[App, App]));
    story.exited(0, Exit::OK).is(Phase::Running).exited(1, FAILED).asks(&["start 1.2"]).is(Phase::Running);
    story.started(1).exited(1, Exit::OK).is(Phase::Succeeded);
    story.tell(Event::Restart { container: 0 }).asks(&[]).is(Phase::Succeeded);
    story.tell(Event::Exited { container: 1, instance: 1, exit: FAILED }).is(Phase::Succeeded);
    // Its sandbox keeps its logs until it is deleted; then it can be replaced.
    story.tell(Event::Delete { grace: None, force: false, replace: true }).asks(&["mark", "remove"]);
    assert!(!story.pod.wants_replacement());
    story.tell(Event::SandboxRemoved).is(Phase::Succeeded);
    assert!(story.pod.is_gone() && story.pod.wants_replacement());
}

#[test]
fn spec_9_one_container_restarts_alone() {
    let mut story = Story::running(hooked(&[App, App]));
    // It is in a back-off of its own by now, which the restart forgets.
    story.exited(0, FAILED).started(0).tell(Event::Restart { container: 0 }).asks(&["prestop 0"]);
    story.pre_stop_ended(0, None).asks(&["stop 0"]).wakes_at(30).asks(&["kill 0"]);
    story
        .exited(0, Exit::by_signal(9))
        .asks(&["start 0.3"])
        .is(Phase::Running)
        .started(0)
        .exited(0, FAILED)
        .asks(&["start 0.4"]);
    // spec 40: also where its policy would not, and where it waits.
    let mut story = Story::running(rules(Never, &[App, App]));
    story.exited(0, Exit::OK).tell(Event::Restart { container: 0 }).asks(&["start 0.2"]);
    let mut story = Story::running(rules(Always, &[App]));
    story.exited(0, FAILED).started(0).exited(0, FAILED).tell(Event::Restart { container: 0 }).asks(&["start 0.3"]);
}

#[test]
fn failure_f3_a_lost_pod_init_ends_the_pod_once_and_policy_brings_it_back() {
    let mut story = Story::standing(rules(Always, &[Init, App]));
    story.started(0).exited(0, Exit::OK).started(1).is(Phase::Running);
    story.at(700).tell(Event::SandboxLost).asks(&["remove"]).says(&["!SandboxChanged"]);
    let last = story.pod.containers()[1].last().expect("it ended");
    assert_eq!((last.reason, last.exit.code), (Reason::ContainerStatusUnknown, 137));
    story.tell(Event::SandboxLost).asks(&[]).says(&[]);
    // A new sandbox under the same pod: init containers run again, and instances count on.
    story
        .tell(Event::SandboxRemoved)
        .asks(&["create"])
        .tell(Event::SandboxReady)
        .asks(&["start 0.2"])
        .is(Phase::Pending);
    story.started(0).exited(0, Exit::OK).asks(&["start 1.2"]).started(1).is(Phase::Running);
    // A pod-init that keeps dying is not made again at once for ever.
    story.tell(Event::SandboxLost).tell(Event::SandboxRemoved).asks(&[]);
    assert_eq!(story.pod.poll_at(), Some(Instant(710_000)));
}

#[test]
fn failure_f3_a_lost_pod_init_fails_a_pod_that_never_restarts() {
    let mut story = Story::running(rules(Never, &[App, App]));
    story.exited(0, Exit::OK).tell(Event::SandboxLost).asks(&["remove"]).is(Phase::Failed);
    story.ended(0, Reason::Completed, 0).ended(1, Reason::ContainerStatusUnknown, 137);
    story.tell(Event::SandboxRemoved).asks(&[]).is(Phase::Failed);
    assert!(!story.pod.is_gone());
    story.delete();
    assert!(story.pod.is_gone());
}

#[test]
fn failure_f24_an_adopted_back_off_waits_out_the_rest() {
    let ended = |finished| Life::Ended { started: Some(Instant(0)), finished: Instant(finished), exit: FAILED };
    let record = [record(4, 4, ended(20_000))];
    let mut story = Story::adopted(rules(Always, &[App]), 30, PodRecord::default(), &record);
    story.asks(&[]).waits(0, Reason::CrashLoopBackOff).is(Phase::Running).wakes_at(60).asks(&["start 0.5"]);
    // And where it is past already, it starts at once.
    Story::adopted(rules(Always, &[App]), 61, PodRecord::default(), &record).asks(&["start 0.5"]);
    Story::adopted(rules(Never, &[App]), 61, PodRecord::default(), &record).asks(&[]).is(Phase::Failed);
}

#[test]
fn failure_f1_what_runs_is_adopted_as_it_is() {
    let running = Life::Running { started: Instant(5000) };
    let records = [
        record(1, 1, Life::Ended { started: Some(Instant(1)), finished: Instant(2), exit: Exit::OK }),
        record(3, 2, running),
    ];
    let mut story = Story::adopted(rules(Always, &[Init, App, App]), 60, PodRecord::default(), &records);
    story.asks(&["start 2.1"]).says(&[]).ended(0, Reason::Completed, 0).started(2).is(Phase::Running);
    assert_eq!((story.state(1), story.pod.containers()[1].restarts()), (ContainerState::Running(Instant(5000)), 2));
}

#[test]
fn late_and_doubled_events_change_nothing() {
    let mut story = Story::running(rules(Always, &[App]));
    story.exited(0, FAILED).asks(&["start 0.2"]);
    for late in [
        Event::Exited { container: 0, instance: 1, exit: FAILED },
        Event::Started { container: 0, instance: 1 },
        Event::StartFailed { container: 0, instance: 1, reason: Reason::ImageMissing, message: message("late") },
        Event::Exited { container: 9, instance: 1, exit: FAILED },
        Event::PreStopEnded { container: 0, instance: 1, failure: None },
        Event::SandboxReady,
        Event::SandboxFailed(message("late")),
        Event::SandboxRemoved,
    ] {
        story.tell(late).asks(&[]).says(&[]).waits(0, Reason::ContainerCreating);
    }
}

#[test]
fn failure_f23_spec_103_a_clock_that_goes_back_hurts_nobody() {
    let mut story = Story::running(rules(Always, &[App]));
    story.at(1000).exited(0, FAILED).started(0).exited(0, FAILED);
    assert_eq!(story.pod.poll_at(), Some(Instant(1_010_000)));
    story.at(3).tell(Event::Wake).asks(&[]).delete().asks(&["mark", "remove"]);
}

#[test]
fn spec_36_whether_a_sidecar_is_wanted_depends_on_the_app_containers() {
    let ended = |exit| record(2, 2, Life::Ended { started: Some(Instant(0)), finished: Instant(9000), exit });
    // All have ended while nobody looked: by policy all come again, each in its turn.
    let mut story =
        Story::adopted(rules(Always, &[Sidecar, App]), 19, PodRecord::default(), &[ended(FAILED), ended(FAILED)]);
    story.asks(&["start 0.3", "start 1.3"]);
    // Nothing is left to do: the sidecar stays ended, and nobody is told that it is waited for.
    let mut story =
        Story::adopted(rules(OnFailure, &[Sidecar, App]), 10, PodRecord::default(), &[ended(FAILED), ended(Exit::OK)]);
    story.asks(&[]).says(&[]).is(Phase::Succeeded).tell(Event::Wake).says(&[]);
    let mut story = Story::running(rules(Never, &[Sidecar, App]));
    story.exited(0, FAILED).started(0).exited(1, Exit::OK).asks(&["stop 0"]).exited(0, TERM).asks(&[]).says(&[]);
}

#[test]
fn spec_48_a_sandbox_that_fails_at_its_last_touches_costs_no_container_its_life() {
    let mut story = Story::standing(rules(Never, &[App, App]));
    story.asks(&["start 0.1", "start 1.1"]).failed(1, Reason::CreateContainerError);
    story.tell(Event::SandboxUnmade(message("set up: lo: no memory"))).says(&["!FailedCreatePodSandBox"]);
    story.asks(&["remove"]).is(Phase::Pending).waits(0, Reason::ContainerCreating);
    story.tell(Event::SandboxRemoved).asks(&["create"]).tell(Event::SandboxReady).asks(&["start 0.2"]);
    story.wakes_at(10).asks(&["start 1.2"]);
    assert_eq!([0, 1].map(|at: usize| story.pod.containers()[at].restarts()), [0, 0]);
}

#[test]
fn a_pod_that_is_ended_while_its_sandbox_fails_is_gone() {
    let mut story = Story::standing(rules(Always, &[App]));
    story.delete().tell(Event::SandboxUnmade(message("no"))).asks(&["remove"]).tell(Event::SandboxRemoved);
    assert!(story.pod.is_gone());
}
