//! Restart policies of single containers, over that of their pod.

use crate::story::{FAILED, Story, rules};
use podling::machine::pod::Rules;
use podling::machine::restart::Restart;
use podling::manifest::pod::ContainerKind::{App, Init};
use podling::manifest::pod::RestartPolicy::{self, Always, Never, OnFailure};
use podling::manifest::pod::{ContainerKind, Operator, RestartRule};
use podling::manifest::status::{Exit, Phase, Reason};
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
    let rule = postcard::to_stdvec(&RestartRule { operator: Operator::In, codes }).unwrap();
    let container = Container { restart_rules: List::from_bytes(rule.leak()), ..Container::default() };
    let mut rules = rules(Never, &[App]);
    rules.containers[0].restart = Restart::new(&container, Never);
    let mut story = Story::running(rules);
    let retriable = Exit { code: 42, signal: 0, oom: false };
    story.exited(0, retriable).asks(&["start 0.2"]).started(0);
    story.exited(0, retriable).asks(&[]).waits(0, Reason::CrashLoopBackOff).is(Phase::Running);
    story.wakes_at(10).started(0).exited(0, FAILED).asks(&[]).is(Phase::Failed);
}
