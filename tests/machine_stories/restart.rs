//! Restart policies of single containers, over that of their pod.

use crate::story::{FAILED, Story, hooked, record, rules};
use podling::machine::pod::Rules;
use podling::machine::restart::Restart;
use podling::manifest::pod::ContainerKind::{App, Init, Sidecar};
use podling::manifest::pod::RestartPolicy::{self, Always, Never, OnFailure};
use podling::manifest::pod::{ContainerKind, Operator, RestartAction, RestartRule};
use podling::manifest::record::{ContainerRecord, Life, PodRecord, Stage};
use podling::manifest::status::{ConditionKind, Exit, Phase, Reason};
use podling::manifest::time::Instant;
use podling::manifest::{List, pod::Container};

/// A pod of one policy, and each of its containers with its own.
fn own(of_pod: RestartPolicy, containers: &[(ContainerKind, RestartPolicy)]) -> Rules {
    let kinds: Vec<ContainerKind> = containers.iter().map(|(kind, _)| *kind).collect();
    let mut rules = rules(of_pod, &kinds);
    for (rules, (_, policy)) in rules.containers.iter_mut().zip(containers) {
        rules.restart = Restart::by(*policy);
    }
    rules
}

#[test]
fn spec_43_50_51_a_pod_of_always_ends_when_its_containers_do_not_restart() {
    let mut story = Story::running(own(Always, &[(App, Never), (App, OnFailure)]));
    story.exited(0, FAILED).asks(&[]).is(Phase::Running).exited(1, FAILED).asks(&["start 1.2"]).started(1);
    story.exited(1, Exit::OK).asks(&[]).is(Phase::Failed);
    let mut story = Story::running(own(Always, &[(App, Never)]));
    story.exited(0, Exit::OK).asks(&[]).is(Phase::Succeeded);
}

#[test]
fn spec_36_43_an_init_container_that_may_not_restart_fails_the_pod() {
    let mut story = Story::standing(own(Always, &[(Init, Never), (App, Always)]));
    story.started(0).exited(0, FAILED).asks(&[]).is(Phase::Failed);
    // And one that may is started again in a pod of Never.
    let mut story = Story::standing(own(Never, &[(Init, OnFailure), (App, Never)]));
    story.started(0).exited(0, FAILED).asks(&["start 0.2"]).is(Phase::Pending);
    story.started(0).exited(0, Exit::OK).asks(&["start 1.1"]);
}

#[test]
fn spec_43_a_rule_restarts_by_exit_code_with_the_same_back_off() {
    let codes = List::from_bytes(postcard::to_stdvec(&42u8).unwrap().leak());
    let rule =
        postcard::to_stdvec(&RestartRule { operator: Operator::In, codes, action: RestartAction::Restart }).unwrap();
    let container = Container { restart_rules: List::from_bytes(rule.leak()), ..Container::default() };
    let mut rules = rules(Never, &[App]);
    rules.containers[0].restart = Restart::new(&container, Never);
    let mut story = Story::running(rules);
    let retriable = Exit { code: 42, signal: 0, oom: false };
    story.exited(0, retriable).asks(&["start 0.2"]).started(0);
    story.exited(0, retriable).asks(&[]).waits(0, Reason::CrashLoopBackOff).is(Phase::Running);
    story.wakes_at(10).started(0).exited(0, FAILED).asks(&[]).is(Phase::Failed);
}

/// As [`rules`], and with the exit code 88 of one container all begin anew.
fn anew(policy: RestartPolicy, kinds: &[ContainerKind], by: usize) -> Rules {
    let codes = List::from_bytes(vec![88].leak());
    let rule = RestartRule { operator: Operator::In, codes, action: RestartAction::RestartAllContainers };
    let mut rules = hooked(kinds);
    let list = List::from_bytes(postcard::to_stdvec(&rule).unwrap().leak());
    for (n, container) in rules.containers.iter_mut().enumerate() {
        container.restart = Restart { policy, rules: if n == by { list } else { List::EMPTY } };
    }
    rules
}

const ALL: Exit = Exit { code: 88, signal: 0, oom: false };
const KILLED: Exit = Exit::by_signal(9);

#[test]
fn spec_36_43_all_begin_anew_by_the_exit_of_one_without_hooks_and_in_order() {
    let mut story = Story::standing(anew(Never, &[Init, Sidecar, App, App, App], 3));
    story.started(0).exited(0, Exit::OK).started(1).started(2).started(3).started(4).exited(4, FAILED);
    story.at(5).exited(3, ALL).asks(&["kill 1", "kill 2"]).is(Phase::Pending);
    story.says(&["AllContainersRestarting", "Killing", "Killing"]);
    story.is_true(ConditionKind::AllContainersRestarting, 5);
    story.at(6).exited(1, KILLED).asks(&[]);
    let marks = ["stage 0 Anew", "stage 1 Anew", "stage 2 Anew", "stage 3 Earlier", "stage 4 Anew"];
    // The first time at once, as with any restart; what was over runs again as well.
    story.exited(2, KILLED).asks(&[&marks[..], &["start 0.2"]].concat()).is(Phase::Pending);
    story.is_false(ConditionKind::AllContainersRestarting, "", 6);
    story.started(0).exited(0, Exit::OK).asks(&["start 1.2"]).started(1).asks(&["start 2.2", "start 3.2", "start 4.2"]);
    story.started(2).started(3).started(4).is(Phase::Running);
    assert_eq!(story.pod.containers().iter().map(|it| it.restarts()).collect::<Vec<_>>(), [1; 5]);
    // The second time the one that ends waits when its turn comes.
    story.at(7).exited(3, ALL).exited(1, KILLED).exited(2, KILLED).exited(4, KILLED);
    story.asks(&[&marks[..], &["start 0.3"]].concat()).waits(3, Reason::CrashLoopBackOff);
    story.waits(1, Reason::PodInitializing).started(0).exited(0, Exit::OK).started(1).asks(&["start 2.3", "start 4.3"]);
    story.wakes_at(17).asks(&["start 3.3"]);
}

#[test]
fn spec_43_an_init_container_or_a_sidecar_has_all_begin_anew_as_well() {
    let mut story = Story::standing(anew(Never, &[Init, Init, App], 1));
    story.started(0).exited(0, Exit::OK).started(1).exited(1, ALL);
    story.asks(&["stage 0 Anew", "stage 1 Earlier", "start 0.2"]).started(0).exited(0, Exit::OK).started(1);
    story.exited(1, FAILED).is(Phase::Failed);
    let mut story = Story::standing(anew(Always, &[Sidecar, App], 0));
    story.started(0).started(1).exited(0, ALL).asks(&["kill 1"]);
    story.exited(1, KILLED).asks(&["stage 0 Earlier", "stage 1 Anew", "start 0.2"]);
}

#[test]
fn spec_43_66_a_pod_that_is_deleted_does_not_begin_anew() {
    let mut story = Story::running(anew(Always, &[App, App], 0));
    story.exited(0, ALL).asks(&["kill 1"]).delete().asks(&["mark"]);
    story.exited(1, KILLED).asks(&["remove"]);
    let mut story = Story::running(anew(Always, &[App, App], 0));
    story.delete().exited(0, ALL).asks(&[]);
}

#[test]
fn spec_43_an_agent_that_dies_meanwhile_goes_on_with_it() {
    let life = |exit| Life::Ended { started: Some(Instant(1000)), finished: Instant(9000), exit };
    let runs = Life::Running { started: Instant(1000) };
    let kinds = [Init, App, App];
    let adopted =
        |records: &[ContainerRecord]| Story::adopted(anew(Never, &kinds, 1), 10, PodRecord::default(), records);
    // Before they were killed.
    let done = record(1, 1, life(Exit::OK));
    adopted(&[done, record(1, 1, life(ALL)), record(1, 1, runs)]).asks(&["kill 2"]).exited(2, KILLED);
    // When all were gone, and the first one runs again.
    let waits = |exit, stage| ContainerRecord { stage, ..record(1, 1, life(exit)) };
    let mut story = adopted(&[record(2, 1, runs), waits(ALL, Stage::Earlier), waits(KILLED, Stage::Anew)]);
    story.asks(&[]).exited(0, Exit::OK).asks(&["start 1.2", "start 2.2"]);
}
