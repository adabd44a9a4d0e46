//! `activeDeadlineSeconds`: a pod that takes too long fails as a whole.

use crate::story::{FAILED, Story, TERM, record, rules};
use podling::machine::effect::Event;
use podling::machine::pod::Rules;
use podling::manifest::pod::ContainerKind::{App, Init, Sidecar};
use podling::manifest::pod::{ContainerKind, RestartPolicy};
use podling::manifest::record::{Life, PodRecord};
use podling::manifest::status::{ConditionKind, Exit, Phase, Reason, Verdict};
use podling::manifest::time::{Duration, Instant};

const LATE: Verdict = Verdict::DeadlineExceeded;

/// A pod that has 60 seconds.
fn timed(policy: RestartPolicy, kinds: &[ContainerKind]) -> Rules {
    Rules { active_deadline: Some(Duration::from_secs(60)), ..rules(policy, kinds) }
}

#[test]
fn spec_51_a_pod_that_takes_too_long_is_stopped_with_grace_and_has_failed_when_nothing_is_left() {
    let mut story = Story::running(timed(RestartPolicy::Always, &[App, App]));
    story.wakes_at(60).asks(&["condemn DeadlineExceeded", "stop 0", "stop 1"]);
    story.says(&["Killing", "Killing"]).is(Phase::Running);
    assert!(!story.pod.is_terminating(), "nobody deletes it");
    story.is_false(ConditionKind::Ready, "PodTerminating", 60);
    story.at(61).exited(0, Exit::OK).asks(&[]).is(Phase::Running);
    assert_eq!(story.pod.verdict(), None);
    // The other one does not listen.
    story.wakes_at(90).asks(&["kill 1"]);
    story.exited(1, Exit::by_signal(9)).asks(&[]).is(Phase::Failed);
    assert_eq!((story.pod.verdict(), story.pod.poll_at()), (Some(LATE), None));
    story.is_false(ConditionKind::Ready, "PodFailed", 60).ended(0, Reason::Completed, 0);
    // It stays until somebody deletes it, and fails no second time.
    story.at(600).tell(Event::Wake).asks(&[]);
    story.delete().asks(&["mark", "remove"]).is(Phase::Failed);
    story.tell(Event::SandboxRemoved);
    assert!(story.pod.is_gone());
}

#[test]
fn spec_36_the_sidecars_of_a_late_pod_are_stopped_last() {
    let mut story = Story::standing(timed(RestartPolicy::Never, &[Sidecar, Sidecar, App]));
    story.started(0).started(1).started(2);
    story.wakes_at(60).asks(&["condemn DeadlineExceeded", "stop 2"]);
    story.exited(2, TERM).asks(&["stop 1"]);
    story.exited(1, TERM).asks(&["stop 0"]).is(Phase::Running);
    story.exited(0, TERM).asks(&[]).is(Phase::Failed);
}

#[test]
fn the_deadline_counts_from_acceptance_whatever_the_containers_do() {
    let mut story = Story::new(timed(RestartPolicy::OnFailure, &[Init, App]));
    story.at(20).tell(Event::SandboxReady).started(0);
    story.at(55).exited(0, FAILED).asks(&["start 0.2"]).at(56).started(0);
    story.at(57).exited(0, FAILED).asks(&[]).waits(0, Reason::CrashLoopBackOff);
    story.wakes_at(60).asks(&["condemn DeadlineExceeded"]).is(Phase::Failed).ended(0, Reason::Error, 1);
    // Without a sandbox there is nothing to wait for.
    let mut story = Story::new(timed(RestartPolicy::Always, &[App]));
    story.at(60).tell(Event::SandboxLost).tell(Event::SandboxReady).asks(&[]).is(Phase::Failed);
}

#[test]
fn spec_53_a_pod_that_is_over_in_time_is_never_late() {
    let mut story = Story::running(timed(RestartPolicy::Never, &[App]));
    story.at(59).exited(0, Exit::OK).is(Phase::Succeeded);
    assert_eq!(story.pod.poll_at(), None);
    story.at(100).tell(Event::Wake).asks(&[]).is(Phase::Succeeded);
    // One that is being deleted has its own deadline.
    let mut story = Story::running(timed(RestartPolicy::Never, &[App]));
    story.at(50).delete().wakes_at(80).asks(&["kill 0"]);
}

#[test]
fn an_agent_that_dies_meanwhile_changes_nothing() {
    let running = record(1, 1, Life::Running { started: Instant(1000) });
    let adopted = |seconds, verdict, records: &[_]| {
        let rules = timed(RestartPolicy::Always, &[App, App]);
        Story::adopted_condemned(rules, seconds, PodRecord::default(), records, verdict)
    };
    // It passes while no agent is there.
    adopted(70, None, &[running, running]).asks(&["condemn DeadlineExceeded", "stop 0", "stop 1"]);
    // It had passed before: what has ended is not started again, and the rest has the full grace (spec 76).
    let ended = record(1, 1, Life::Ended { started: Some(Instant(1000)), finished: Instant(61_000), exit: Exit::OK });
    let mut story = adopted(70, Some(LATE), &[ended, running]);
    story.at(70).asks(&["stop 1"]).is(Phase::Running);
    story.wakes_at(100).asks(&["kill 1"]).exited(1, Exit::by_signal(9)).is(Phase::Failed);
    adopted(70, Some(LATE), &[ended, ended]).asks(&[]).is(Phase::Failed);
}
