//! Admission: a pod for which there is no room waits, and nothing of it is begun.

use crate::story::{Story, rules};
use podling::machine::admit::Lacks;
use podling::machine::effect::{Effect, Event};
use podling::machine::pod::Rules;
use podling::manifest::pod::ContainerKind::{App, Init};
use podling::manifest::pod::RestartPolicy::Always;
use podling::manifest::status::{ConditionKind, Phase};
use podling::manifest::time::Duration;

const MEMORY: Lacks = Lacks { memory: true, cpu: false, pods: false, storage: false, huge_pages: None, pressure: None };

fn held(rules: Rules) -> Story {
    let mut story = Story::held(rules, MEMORY);
    story.asks(&[]).says(&["!FailedScheduling"]);
    story
}

#[test]
fn spec_96_a_pod_without_room_is_pending_and_never_half_started() {
    let mut story = held(rules(Always, &[Init, App]));
    let Some(Effect::Report(report)) = story.asked.first() else { panic!("a report") };
    assert_eq!(report.message, "0/1 nodes are available: 1 Insufficient memory.");
    story.is(Phase::Pending).is_false(ConditionKind::PodScheduled, "Unschedulable", 0);
    assert_eq!((story.pod.lacks(), story.pod.poll_at()), (Some(MEMORY), None));
    story.at(9).tell(Event::Wake).asks(&[]).says(&[]);
    // Only a different reason is told again.
    let pods = Lacks { pods: true, ..Lacks::default() };
    story.tell(Event::Hold(pods)).asks(&[]).says(&["!FailedScheduling"]);
    assert_eq!(story.pod.lacks(), Some(pods));
}

#[test]
fn spec_96_it_is_admitted_when_room_appears() {
    let mut story = held(rules(Always, &[App]));
    story.at(60).tell(Event::Admit).asks(&["create"]).says(&["Scheduled"]);
    story.is_true(ConditionKind::PodScheduled, 60).is(Phase::Pending);
    story.tell(Event::Admit).tell(Event::Hold(MEMORY)).asks(&[]).is_true(ConditionKind::PodScheduled, 60);
    story.tell(Event::SandboxReady).asks(&["start 0.1"]).started(0).is(Phase::Running);
}

#[test]
fn spec_77_96_a_pod_that_waits_is_deleted_at_once() {
    let mut story = held(rules(Always, &[App]));
    story.delete().asks(&[]);
    assert!(story.pod.is_gone());
    let mut story = held(rules(Always, &[App]));
    story.tell(Event::Shutdown { at_most: Duration::ZERO }).asks(&[]);
    assert!(story.pod.is_gone());
}

#[test]
fn spec_51_96_the_deadline_counts_from_admission() {
    let mut story = held(Rules { active_deadline: Some(Duration::from_secs(60)), ..rules(Always, &[App]) });
    story.at(100).tell(Event::Wake).asks(&[]).is(Phase::Pending);
    story.tell(Event::Admit).asks(&["create"]).tell(Event::SandboxReady).started(0);
    story.wakes_at(160).asks(&["condemn DeadlineExceeded", "stop 0"]);
}
