//! Containers that an agent with another manifest finds: what is not made of what it should be is started again (spec 40).

use crate::story::{FAILED, Story, record, rules};
use podling::machine::pod::Rules;
use podling::manifest::pod::ContainerKind::{App, Init, Sidecar};
use podling::manifest::pod::RestartPolicy::{Always, Never};
use podling::manifest::pod::{Container, ContainerKind, Resize, ResizePolicy, Resources, RestartPolicy};
use podling::manifest::record::{ContainerRecord, Life, PodRecord, Stage};
use podling::manifest::status::{Exit, Phase, Reason};
use podling::manifest::time::Instant;

const RUNS: Life = Life::Running { started: Instant(1000) };

/// Rules whose container `changed` is to be of another edition than all that run.
fn with(policy: RestartPolicy, kinds: &[ContainerKind], changed: usize) -> Rules {
    let mut rules = rules(policy, kinds);
    rules.containers[changed].edition = 7;
    rules
}

fn adopted(rules: Rules, records: &[ContainerRecord]) -> Story {
    Story::adopted(rules, 100, PodRecord::default(), records)
}

fn ended(finished: u64) -> Life {
    Life::Ended { started: Some(Instant(0)), finished: Instant(finished), exit: Exit::by_signal(15) }
}

#[test]
fn spec_40_what_is_made_of_something_else_is_renewed_whatever_its_policy() {
    for policy in [Always, Never] {
        let mut story = adopted(with(policy, &[App, App], 1), &[record(1, 1, RUNS), record(1, 1, RUNS)]);
        story.asks(&["stage 1 Renewed", "stop 1"]).says(&["Killing"]);
        story.exited(1, Exit::by_signal(15)).asks(&["start 1.2"]).started(1).is(Phase::Running);
        assert_eq!(story.pod.containers().iter().map(|it| it.restarts()).collect::<Vec<_>>(), [0, 1]);
    }
}

#[test]
fn spec_40_an_agent_that_dies_meanwhile_does_not_lose_the_restart() {
    let marked = |life| ContainerRecord { stage: Stage::Renewed, ..record(1, 1, life) };
    adopted(with(Never, &[App], 0), &[marked(ended(90_000))]).asks(&["start 0.2"]);
    adopted(with(Never, &[App], 0), &[marked(RUNS)]).asks(&["stop 0"]);
    // What ended before anybody asked is over.
    adopted(with(Never, &[App], 0), &[record(1, 1, ended(90_000))]).asks(&[]).is(Phase::Failed);
}

#[test]
fn spec_40_an_old_back_off_is_forgotten() {
    let crashed = Life::Ended { started: Some(Instant(98_000)), finished: Instant(99_000), exit: FAILED };
    adopted(rules(Always, &[App]), &[record(9, 9, crashed)]).asks(&[]).waits(0, Reason::CrashLoopBackOff);
    adopted(with(Always, &[App], 0), &[record(9, 9, crashed)]).asks(&["start 0.10"]);
    let refused = Life::Ended { started: None, finished: Instant(99_000), exit: Exit::UNKNOWN };
    adopted(rules(Always, &[App]), &[record(9, 9, refused)]).asks(&[]);
    adopted(with(Always, &[App], 0), &[record(9, 9, refused)]).asks(&["start 0.10"]);
}

#[test]
fn spec_40_one_that_is_on_its_way_is_renewed_once_it_runs() {
    let mut story = adopted(with(Always, &[App], 0), &[record(1, 1, Life::None)]);
    story.asks(&[]).started(0).asks(&["stage 0 Renewed", "stop 0"]);
}

#[test]
fn spec_36_40_a_sidecar_is_renewed_and_an_init_container_goes_on() {
    let records = [record(1, 1, RUNS), record(1, 1, RUNS)];
    adopted(with(Always, &[Sidecar, App], 0), &records).asks(&["stage 0 Renewed", "stop 0"]);
    adopted(with(Always, &[Init, App], 0), &records[..1]).asks(&[]);
}

#[test]
fn spec_40_the_edition_is_the_image_and_what_a_resize_must_restart_for() {
    let sized = |memory, resize| {
        let resources = Resources { memory_limit: Some(memory), ..Resources::default() };
        let resize = ResizePolicy { memory: resize, ..ResizePolicy::default() };
        Container { image: "a:1", resources, resize, ..Container::default() }.edition()
    };
    assert_eq!(sized(1, Resize::InPlace), sized(2, Resize::InPlace));
    assert_ne!(sized(1, Resize::Restart), sized(2, Resize::Restart));
    assert_ne!(sized(1, Resize::InPlace), Container { image: "a:2", ..Container::default() }.edition());
}
