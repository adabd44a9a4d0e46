//! Probes and postStart hooks by the clock: what runs when, and what its results lead to.

use super::story::*;
use podling::machine::effect::Event;
use podling::machine::pod::Rules;
use podling::machine::probe::Outcome;
use podling::manifest::pod::{ContainerKind, RestartPolicy};
use podling::manifest::probe::{ProbeKind, Timing};
use podling::manifest::record::{ContainerRecord, Life, PodRecord, Stage};
use podling::manifest::status::{ConditionKind, Exit, Phase, Reason, message};
use podling::manifest::time::Instant;

use ContainerKind::{App, Sidecar};
use ProbeKind::{Liveness, Readiness, Startup};

/// One container after the other, each with these probes.
fn probed(policy: RestartPolicy, kinds: &[ContainerKind], probes: &[(ProbeKind, Timing)]) -> Rules {
    let mut rules = rules(policy, kinds);
    for container in &mut rules.containers {
        probes.iter().for_each(|(kind, timing)| container.probes[*kind as usize] = Some(*timing));
    }
    rules
}

fn always(probes: &[(ProbeKind, Timing)]) -> Rules {
    probed(RestartPolicy::Always, &[App], probes)
}

fn every(period_seconds: u32, failures: u32) -> Timing {
    Timing { period_seconds, failures, ..Timing::default() }
}

impl Story {
    fn probe(&mut self, kind: ProbeKind, outcome: Outcome) -> &mut Story {
        self.probe_of(0, kind, outcome)
    }

    fn probe_of(&mut self, container: u8, kind: ProbeKind, outcome: Outcome) -> &mut Story {
        let instance = self.pod.containers()[usize::from(container)].instance();
        self.tell(Event::ProbeEnded { container, instance, kind, outcome })
    }

    fn hook(&mut self, container: u8, failure: Option<&str>) -> &mut Story {
        let instance = self.pod.containers()[usize::from(container)].instance();
        self.tell(Event::PostStartEnded { container, instance, failure: failure.map(message) })
    }

    fn said(&self) -> Vec<String> {
        use podling::machine::effect::Effect;
        let texts = self.asked.iter().filter_map(|effect| match effect {
            Effect::Report(report) => Some(format!("{}: {}", report.reason, report.message)),
            _ => None,
        });
        texts.collect()
    }

    fn is_ready(&self) -> bool {
        self.pod.containers()[0].ready()
    }
}

fn bad() -> Outcome {
    Outcome::Failure(message("no answer"))
}

#[test]
fn spec_42_liveness_kills_after_its_threshold_and_back_off_counts() {
    let timing = Timing { delay_seconds: 3, period_seconds: 5, failures: 2, ..Timing::default() };
    let mut story = Story::running(always(&[(Liveness, timing)]));
    assert!(story.is_ready(), "without a readiness probe");
    story.wakes_at(3).asks(&["liveness 0"]).says(&[]);
    assert_eq!(story.pod.poll_at(), None, "one run at a time");
    story.at(4).probe(Liveness, bad()).asks(&[]);
    assert_eq!(story.said(), ["Unhealthy: Liveness probe failed: no answer"]);
    // A success in between, and the failures start over.
    story.wakes_at(8).asks(&["liveness 0"]).probe(Liveness, Outcome::Success).says(&[]);
    story.wakes_at(13).probe(Liveness, bad()).asks(&[]).wakes_at(18).probe(Liveness, bad());
    story.asks(&["stage 0 ProbeFailed(Liveness)", "stop 0"]);
    assert_eq!(
        story.said()[1..],
        ["Killing: Container {} failed liveness probe, will be restarted"],
        "and who it is the agent knows"
    );
    // The pod's grace; nothing is probed meanwhile.
    story.wakes_at(48).asks(&["kill 0"]).exited(0, Exit::by_signal(9)).asks(&[&start(0, 2)]);
    story.started(0).wakes_at(51).probe(Liveness, bad()).wakes_at(56).probe(Liveness, bad());
    story.exited(0, TERM).asks(&[]).waits(0, Reason::CrashLoopBackOff).wakes_at(66).asks(&[&start(0, 3)]);
}

#[test]
fn spec_42_whoever_fails_its_liveness_has_failed_whatever_its_exit_code() {
    let rules = |policy| probed(policy, &[App], &[(Liveness, every(5, 1))]);
    let mut story = Story::running(rules(RestartPolicy::OnFailure));
    story.probe(Liveness, bad()).exited(0, Exit::OK).asks(&[&start(0, 2)]);
    let mut story = Story::running(rules(RestartPolicy::Never));
    story.probe(Liveness, bad());
    assert_eq!(story.said()[1], "Killing: Container {} failed liveness probe");
    story.exited(0, TERM).asks(&[]).ended(0, Reason::Error, 143).is(Phase::Failed);
}

#[test]
fn spec_66_a_probe_may_have_a_grace_period_of_its_own() {
    let timing = Timing { failures: 1, grace_seconds: Some(7), ..Timing::default() };
    let mut story = Story::running(always(&[(Liveness, timing)]));
    story.probe(Liveness, bad()).wakes_at(7).asks(&["kill 0"]);
}

#[test]
fn spec_72_readiness_comes_and_goes_and_restarts_nothing() {
    let timing = Timing { period_seconds: 2, successes: 2, failures: 2, ..Timing::default() };
    let mut story = Story::running(always(&[(Readiness, timing)]));
    story.is_false(ConditionKind::Ready, "ContainersNotReady", 0).is(Phase::Running);
    assert!(story.pod.containers()[0].has_started());
    story.probe(Readiness, Outcome::Success).asks(&[]);
    assert!(!story.is_ready(), "two in a row");
    story.wakes_at(2).asks(&["readiness 0"]).probe(Readiness, Outcome::Success).asks(&["stage 0 Ready"]);
    story.is_true(ConditionKind::Ready, 2);
    for at in [4, 6] {
        story.wakes_at(at).probe(Readiness, bad()).says(&["!Unhealthy"]);
    }
    story.asks(&["stage 0 Started"]).is_false(ConditionKind::ContainersReady, "ContainersNotReady", 6);
    for at in (8..100).step_by(2) {
        story.wakes_at(at).asks(&["readiness 0"]).probe(Readiness, bad()).asks(&[]);
    }
    assert_eq!(story.pod.containers()[0].restarts(), 0);
}

#[test]
fn spec_72_73_of_an_ending_pod_only_readiness_is_probed() {
    let mut rules = always(&[(Liveness, every(2, 1)), (Readiness, every(3, 1))]);
    rules.containers[0].pre_stop = true;
    let mut story = Story::running(rules);
    story.probe(Readiness, Outcome::Success).delete().asks(&["mark", "prestop 0"]);
    story.probe(Liveness, bad()).asks(&[]).says(&[]);
    story.wakes_at(3).asks(&["readiness 0"]).probe(Readiness, Outcome::Success);
    assert!(story.is_ready(), "it may still serve");
    story.pre_stop_ended(0, None).asks(&["stop 0"]).wakes_at(6).asks(&["readiness 0"]).probe(Readiness, bad());
    assert!(!story.is_ready());
}

#[test]
fn spec_44_startup_gates_the_others_and_its_failure_kills() {
    let startup = Timing { delay_seconds: 1, period_seconds: 3, failures: 3, ..Timing::default() };
    let liveness = Timing { delay_seconds: 2, ..every(5, 1) };
    let all = [(Startup, startup), (Liveness, liveness), (Readiness, Timing { delay_seconds: 60, ..liveness })];
    let mut story = Story::running(always(&all));
    story.wakes_at(1).asks(&["startup 0"]).probe(Startup, bad()).wakes_at(4).asks(&["startup 0"]);
    assert!(!story.pod.containers()[0].has_started());
    story.probe(Startup, Outcome::Success).asks(&["stage 0 Started", "liveness 0"]);
    assert!(story.pod.containers()[0].has_started() && !story.is_ready());
    story.probe(Liveness, Outcome::Success).wakes_at(9).asks(&["liveness 0"]);
    story.probe(Liveness, Outcome::Success);
    assert_eq!(story.at(59).pod.poll_at(), Some(Instant(14_000)));
    story.tell(Event::Wake).probe(Liveness, Outcome::Success).wakes_at(60).asks(&["readiness 0"]);

    let mut story = Story::running(always(&all));
    for at in [1, 4, 7] {
        story.wakes_at(at).asks(&["startup 0"]).probe(Startup, bad());
    }
    story.asks(&["stage 0 ProbeFailed(Startup)", "stop 0"]);
    assert_eq!(story.said()[1], "Killing: Container {} failed startup probe, will be restarted");
}

#[test]
fn spec_36_a_sidecar_lets_the_next_one_start_once_its_startup_probe_has_succeeded() {
    let mut rules = rules(RestartPolicy::Always, &[Sidecar, App]);
    rules.containers[0].probes[Startup as usize] = Some(every(1, 30));
    rules.containers[0].probes[Readiness as usize] = Some(every(1, 1));
    let mut story = Story::standing(rules);
    story.started(0).asks(&["startup 0"]).is(Phase::Pending);
    story.probe(Startup, bad()).asks(&[]).wakes_at(1).probe(Startup, Outcome::Success);
    // That it is ready is not waited for.
    story.asks(&["stage 0 Started", "readiness 0", &start(1, 1)]);
}

#[test]
fn a_probe_that_cannot_be_carried_out_counts_for_nothing() {
    let mut story = Story::running(always(&[(Liveness, every(1, 1))]));
    for at in 1..20 {
        story.probe(Liveness, Outcome::Unknown(message("no such file"))).asks(&[]).says(&["!Unhealthy"]);
        story.wakes_at(at).asks(&["liveness 0"]);
    }
}

#[test]
fn a_late_result_does_not_pile_up_runs() {
    let mut story = Story::running(always(&[(Liveness, Timing { timeout_seconds: 30, ..every(5, 3) })]));
    story.at(17).probe(Liveness, Outcome::Success).asks(&["liveness 0"]).probe(Liveness, Outcome::Success);
    story.asks(&[]).wakes_at(22).asks(&["liveness 0"]);
    // An answer that nobody waits for, and one of another instance.
    story.probe(Liveness, Outcome::Success).probe(Liveness, bad()).says(&[]);
    story.tell(Event::ProbeEnded { container: 0, instance: 7, kind: Liveness, outcome: bad() }).says(&[]);
}

#[test]
fn spec_44_post_start_comes_before_running_and_holds_back_the_next_container() {
    let mut rules = probed(RestartPolicy::Always, &[App, App], &[(Liveness, every(5, 1))]);
    rules.containers[0].post_start = true;
    let mut story = Story::standing(rules);
    story.asks(&[&start(0, 1)]).started(0).asks(&["poststart 0"]).says(&["Started"]);
    story.waits(0, Reason::ContainerCreating).is(Phase::Pending).at(3).tell(Event::Wake).asks(&[]);
    story.hook(0, None).asks(&["stage 0 Ready", "liveness 0", &start(1, 1)]);
    assert!(story.is_ready());
    story.hook(0, Some("late")).says(&[]);
}

#[test]
fn spec_44_a_failing_post_start_kills_the_container() {
    let mut rules = rules(RestartPolicy::OnFailure, &[App]);
    rules.containers[0].post_start = true;
    let mut story = Story::standing(rules);
    story.started(0).hook(0, Some("exit code 1")).asks(&["stage 0 HookFailed", "stop 0"]);
    assert_eq!(story.said(), ["FailedPostStartHook: exit code 1", "Killing: Container {} failed postStart hook"]);
    story.waits(0, Reason::ContainerCreating).wakes_at(30).asks(&["kill 0"]).exited(0, Exit::by_signal(9));
    story.asks(&[&start(0, 2)]).started(0).hook(0, Some("again")).exited(0, FAILED).asks(&[]);
    story.waits(0, Reason::PostStartHookError).wakes_at(40).asks(&[&start(0, 3)]).started(0).hook(0, Some("again"));
    // Its exit code decides, as in Kubernetes.
    story.exited(0, Exit::OK).asks(&[]).is(Phase::Succeeded);
}

#[test]
fn failure_f1_an_agent_that_comes_later_knows_how_far_a_container_had_come() {
    let at = |stage| ContainerRecord { stage, ..record(1, 1, Life::Running { started: Instant(0) }) };
    let rules = always(&[(Startup, every(5, 1)), (Liveness, every(5, 1)), (Readiness, every(5, 1))]);
    let adopted = |stage| Story::adopted(rules.clone(), 100, PodRecord::default(), &[at(stage)]);
    adopted(Stage::New).asks(&["startup 0"]);
    let mut ready = adopted(Stage::Ready);
    ready.asks(&["liveness 0", "readiness 0"]);
    assert!(ready.is_ready(), "readiness does not flap");
    ready.probe(Readiness, bad()).asks(&["stage 0 Started"]);
    assert!(!adopted(Stage::Started).is_ready());
    adopted(Stage::ProbeFailed(Liveness)).asks(&["stop 0"]).exited(0, Exit::OK).asks(&[&start(0, 2)]);
}
