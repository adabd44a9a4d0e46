//! Ephemeral containers: started once beside the pod's own, and of no account for its life.

use crate::story::{Story, record, rules, start};
use podling::machine::effect::Event;
use podling::machine::pod::ContainerRules;
use podling::manifest::limits;
use podling::manifest::pod::ContainerKind::{App, Init, Sidecar};
use podling::manifest::pod::RestartPolicy::{Always, Never};
use podling::manifest::record::{Life, PodRecord};
use podling::manifest::status::{ConditionKind, ContainerState, Exit, Phase, Reason};
use podling::manifest::time::Instant;

const FAILED: Exit = Exit { code: 3, signal: 0, oom: false };

/// Puts one in, which is started at once.
fn put_in(story: &mut Story) -> u8 {
    let container = story.pod.room().expect("room");
    let before = story.pod.containers().get(usize::from(container)).map_or(0, |it| it.instance());
    story.tell(Event::Debug { container }).asks(&[&start(container, before + 1)]);
    container
}

#[test]
fn spec_37_it_is_started_once_and_changes_nothing_of_the_pod() {
    let mut story = Story::running(rules(Always, &[App]));
    story.at(5);
    assert_eq!(put_in(&mut story), 1);
    story.is(Phase::Running).is_true(ConditionKind::Ready, 0).is_true(ConditionKind::ContainersReady, 0);
    story.started(1).is_true(ConditionKind::Ready, 0);
    assert!(!story.pod.containers()[1].ready());
    story.at(9).exited(1, FAILED).asks(&[]).is(Phase::Running).is_true(ConditionKind::Ready, 0);
    assert!(matches!(story.pod.containers()[1].state(), ContainerState::Terminated(end) if end.exit == FAILED));
    assert_eq!((story.pod.poll_at(), story.pod.containers()[1].restarts()), (None, 0), "it is not started again");
    // One that cannot be made is over as well: somebody waits for it who can try again.
    let next = put_in(&mut story);
    story.failed(next, Reason::CreateContainerError).asks(&[]).is(Phase::Running);
    assert!(matches!(story.pod.containers()[2].state(), ContainerState::Terminated(_)));
    assert_eq!(story.pod.poll_at(), None);
}

#[test]
fn spec_37_it_comes_in_while_init_containers_fail_and_wakes_no_sidecar() {
    let mut story = Story::standing(rules(Always, &[Init, Sidecar, App]));
    story.exited(0, FAILED).asks(&[&start(0, 2)]);
    let debugger = put_in(&mut story);
    assert_eq!(debugger, 3);
    story.started(3).is(Phase::Pending);
    story.started(0).exited(0, Exit::OK).asks(&["start 1.1"]);
    // The sidecar has not started: what was put in behind it is no sign of that.
    story.tell(Event::Wake).asks(&[]);
    story.started(1).asks(&["start 2.1"]);
}

#[test]
fn spec_37_it_ends_with_the_pod() {
    let mut story = Story::running(rules(Always, &[App]));
    put_in(&mut story);
    story.started(1).delete().asks(&["mark", "stop 0", "stop 1"]);
    assert_eq!(story.pod.room(), None, "nothing is put into a pod that ends");
    story.exited(0, Exit::OK).asks(&[]).exited(1, Exit::by_signal(15)).asks(&["remove"]);

    let mut story = Story::running(rules(Never, &[App]));
    put_in(&mut story);
    story.started(1).exited(0, Exit::OK).is(Phase::Succeeded).asks(&["stop 1"]);
    story.exited(1, Exit::by_signal(15)).asks(&[]).is(Phase::Succeeded);
}

#[test]
fn spec_37_so_many_at_once_and_one_that_has_ended_makes_room() {
    let mut story = Story::running(rules(Always, &[App]));
    for n in 0..limits::EPHEMERAL as u8 {
        assert_eq!(put_in(&mut story), 1 + n);
        story.started(1 + n);
    }
    assert_eq!(story.pod.room(), None);
    story.tell(Event::Debug { container: 2 }).asks(&[]);
    story.at(7).exited(3, Exit::OK);
    story.at(8).exited(2, Exit::OK);
    assert_eq!(put_in(&mut story), 3, "in the place of the one that ended first");
    let full = Story::running(rules(Always, &[App; limits::CONTAINERS]));
    assert_eq!(full.pod.room(), None);
    assert_eq!(Story::new(rules(Always, &[App])).pod.room(), None, "there is no sandbox");
}

#[test]
fn spec_37_failure_f1_an_agent_that_adopts_the_pod_goes_on_with_it() {
    let mut rules = rules(Always, &[App]);
    rules.containers.push(ContainerRules::ephemeral()).unwrap();
    rules.containers.push(ContainerRules::ephemeral()).unwrap();
    let running = |since| Life::Running { started: Instant(since) };
    let records = [record(1, 1, running(1000)), record(2, 1, running(2000))];
    // The third was only on file when the agent before this one died.
    let mut story = Story::adopted(rules, 60, PodRecord::default(), &records);
    story.asks(&["start 2.1"]).is(Phase::Running).is_true(ConditionKind::Ready, 2);
    assert!(matches!(story.pod.containers()[1].state(), ContainerState::Running(_)));
    story.exited(1, FAILED).asks(&[]);
}
