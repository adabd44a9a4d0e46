//! The pod machine, told as stories in simulated time: what is asked for, when, and what people see meanwhile.

use podling::machine::effect::{Effect, Effects, Event};
use podling::machine::pod::{ContainerRules, Pod, Rules};
use podling::machine::shutdown::{Left, Next, Shutdown, Wave};
use podling::manifest::pod::{ContainerKind, Node, RestartPolicy};
use podling::manifest::record::{ContainerRecord, Ending, Life, Memo, PodRecord};
use podling::manifest::status::{Condition, ConditionKind, ContainerState, Exit, Phase, Reason, message};
use podling::manifest::time::{Duration, Instant};

use ContainerKind::{App, Init, Sidecar};
use RestartPolicy::{Always, Never, OnFailure};

/// A pod, its clock in seconds, and what it asked for last.
struct Story {
    pod: Pod,
    seconds: u64,
    asked: Vec<Effect>,
}

fn rules(policy: RestartPolicy, kinds: &[ContainerKind]) -> Rules {
    Rules {
        restart_policy: policy,
        grace: Duration::from_secs(30),
        node: Node::default(),
        containers: kinds.iter().map(|kind| ContainerRules { kind: *kind, pre_stop: false }).collect(),
    }
}

/// As [`rules`], and the containers have preStop hooks.
fn hooked(kinds: &[ContainerKind]) -> Rules {
    let mut rules = rules(Always, kinds);
    rules.containers.iter_mut().for_each(|container| container.pre_stop = true);
    rules
}

fn start(container: u8, instance: u32) -> String {
    format!("start {container}.{instance}")
}

/// An effect in a few letters; reports by their reason.
fn short(effect: &Effect) -> String {
    match effect {
        Effect::CreateSandbox => "create".into(),
        Effect::Start { container, instance, .. } => start(*container, *instance),
        Effect::PreStop { container, .. } => format!("prestop {container}"),
        Effect::Stop { container } => format!("stop {container}"),
        Effect::Kill { container } => format!("kill {container}"),
        Effect::MarkEnding(_) => "mark".into(),
        Effect::RemoveSandbox => "remove".into(),
        Effect::Report(report) => format!("{}{}", if report.warning { "!" } else { "" }, report.reason),
    }
}

impl Story {
    fn new(rules: Rules) -> Story {
        let mut effects = Effects::new();
        let pod = Pod::new(Instant(0), rules, &mut effects);
        Story { pod, seconds: 0, asked: effects.into_iter().collect() }
    }

    /// A pod whose sandbox stands.
    fn standing(rules: Rules) -> Story {
        let mut story = Story::new(rules);
        story.tell(Event::SandboxReady);
        story
    }

    /// A pod of app containers that all run.
    fn running(rules: Rules) -> Story {
        let mut story = Story::standing(rules);
        for container in 0..story.pod.containers().len() as u8 {
            story.started(container);
        }
        story.asked.clear();
        story
    }

    fn adopted(rules: Rules, seconds: u64, pod: PodRecord, records: &[ContainerRecord]) -> Story {
        let mut effects = Effects::new();
        let pod = Pod::adopt(Instant(seconds * 1000), Instant(0), rules, pod, records, &mut effects);
        Story { pod, seconds, asked: effects.into_iter().collect() }
    }

    fn now(&self) -> Instant {
        Instant(self.seconds * 1000)
    }

    fn tell(&mut self, event: Event) -> &mut Story {
        let mut effects = Effects::new();
        self.pod.step(self.now(), event, &mut effects);
        self.asked = effects.into_iter().collect();
        self
    }

    fn started(&mut self, container: u8) -> &mut Story {
        let instance = self.pod.containers()[usize::from(container)].instance();
        self.tell(Event::Started { container, instance })
    }

    fn exited(&mut self, container: u8, exit: Exit) -> &mut Story {
        let instance = self.pod.containers()[usize::from(container)].instance();
        self.tell(Event::Exited { container, instance, exit })
    }

    fn failed(&mut self, container: u8, reason: Reason) -> &mut Story {
        let instance = self.pod.containers()[usize::from(container)].instance();
        self.tell(Event::StartFailed { container, instance, reason, message: message("what went wrong") })
    }

    fn pre_stop_ended(&mut self, container: u8, failure: Option<&str>) -> &mut Story {
        let instance = self.pod.containers()[usize::from(container)].instance();
        self.tell(Event::PreStopEnded { container, instance, failure: failure.map(message) })
    }

    fn delete(&mut self) -> &mut Story {
        self.tell(Event::Delete { grace: None, force: false, replace: false })
    }

    fn at(&mut self, seconds: u64) -> &mut Story {
        self.seconds = seconds;
        self
    }

    /// Sleep until the machine wants to be woken, which is at `seconds`.
    fn wakes_at(&mut self, seconds: u64) -> &mut Story {
        assert_eq!(self.pod.poll_at(), Some(Instant(seconds * 1000)));
        self.at(seconds).tell(Event::Wake)
    }

    /// What the last step asked for, without what it told people.
    #[track_caller]
    fn asks(&mut self, orders: &[&str]) -> &mut Story {
        let asked: Vec<String> = self.asked.iter().filter(|effect| !matches!(effect, Effect::Report(_))).map(short).collect();
        assert_eq!(asked, orders);
        self
    }

    /// What the last step told people.
    #[track_caller]
    fn says(&mut self, reasons: &[&str]) -> &mut Story {
        let said: Vec<String> = self.asked.iter().filter(|effect| matches!(effect, Effect::Report(_))).map(short).collect();
        assert_eq!(said, reasons);
        self
    }

    #[track_caller]
    fn is(&mut self, phase: Phase) -> &mut Story {
        assert_eq!(self.pod.phase(), phase);
        self
    }

    fn state(&self, container: usize) -> ContainerState {
        self.pod.containers()[container].state()
    }

    #[track_caller]
    fn waits(&mut self, container: usize, reason: Reason) -> &mut Story {
        assert_eq!(self.state(container), ContainerState::Waiting(reason));
        self
    }

    #[track_caller]
    fn ended(&mut self, container: usize, reason: Reason, code: u8) -> &mut Story {
        match self.state(container) {
            ContainerState::Terminated(ended) => assert_eq!((ended.reason, ended.exit.code), (reason, code)),
            other => panic!("{other:?}"),
        }
        self
    }

    fn condition(&self, kind: ConditionKind) -> Condition {
        self.pod.conditions().into_iter().find(|condition| condition.kind == kind).expect("the condition is listed")
    }

    #[track_caller]
    fn is_true(&mut self, kind: ConditionKind, since: u64) -> &mut Story {
        assert_eq!(self.condition(kind), Condition { kind, status: true, reason: "", since: Instant(since * 1000) });
        self
    }

    #[track_caller]
    fn is_false(&mut self, kind: ConditionKind, reason: &'static str, since: u64) -> &mut Story {
        assert_eq!(self.condition(kind), Condition { kind, status: false, reason, since: Instant(since * 1000) });
        self
    }
}

const FAILED: Exit = Exit { code: 1, signal: 0, oom: false };
const TERM: Exit = Exit::by_signal(15);

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
    story.asks(&["start 0.1"]).waits(0, Reason::ContainerCreating).waits(1, Reason::PodInitializing).waits(2, Reason::PodInitializing);
    story.started(0).asks(&[]).exited(0, Exit::OK).asks(&["start 1.1"]).is(Phase::Pending).ended(0, Reason::Completed, 0);
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
    story.asks(&["start 0.1"]).started(0).asks(&["start 1.1"]).started(1).asks(&["start 2.1"]).started(2).is(Phase::Running);
    // It restarts on its own, whatever the policy of the pod, and whoever runs already goes on.
    story.exited(0, Exit::OK).asks(&["start 0.2"]).is(Phase::Running).started(0);
    // After the last app container they end, the last one first, and their exit codes do not matter.
    story.exited(2, Exit::OK).asks(&["stop 1"]).is(Phase::Running);
    story.exited(1, TERM).asks(&["stop 0"]).is(Phase::Running);
    story.exited(0, Exit::by_signal(9)).asks(&[]).is(Phase::Succeeded).is_false(ConditionKind::Ready, "PodCompleted", 0);
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
        story.started(0).exited(0, FAILED).asks(&[]).says(&["!BackOff"]).waits(0, Reason::CrashLoopBackOff).is(Phase::Running);
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
    for reason in [Reason::ImageMissing, Reason::ImageInvalid, Reason::CreateContainerConfigError, Reason::CreateContainerError] {
        let mut story = Story::standing(rules(Never, &[App]));
        story.failed(0, reason).says(&["!Failed"]).waits(0, reason).is(Phase::Pending);
        assert_eq!(story.pod.containers()[0].message(), "what went wrong");
        story.wakes_at(10).asks(&["start 0.2"]).waits(0, Reason::ContainerCreating).failed(0, reason);
        story.wakes_at(30).asks(&["start 0.3"]).started(0).is(Phase::Running);
    }
}

#[test]
fn spec_41_44_how_it_ended() {
    let oom = Exit { code: 137, signal: 9, oom: true };
    for (exit, reason, code) in
        [(Exit::OK, Reason::Completed, 0), (FAILED, Reason::Error, 1), (TERM, Reason::Error, 143), (oom, Reason::OomKilled, 137)]
    {
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
    let memo = story.asked.iter().find_map(|effect| if let Effect::Start { memo, .. } = effect { Some(*memo) } else { None });
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
fn spec_66_to_75_a_delete_from_the_first_signal_to_the_last_trace() {
    let mut story = Story::running(rules(Always, &[App, App]));
    story.at(100).delete().asks(&["mark", "stop 0", "stop 1"]).says(&["Killing", "Killing"]).is(Phase::Running);
    assert!(story.pod.is_terminating() && !story.pod.is_hidden());
    assert_eq!(story.pod.dead_after(), Some(Instant(130_000)), "spec 66, 67");
    // spec 72: it stops counting as ready at once.
    story.is_false(ConditionKind::Ready, "ContainersNotReady", 100);
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
    story.at(10).tell(Event::Delete { grace: Some(Duration::from_secs(5)), force: false, replace: false }).asks(&["mark"]);
    story.at(11).tell(Event::Delete { grace: Some(Duration::from_secs(500)), force: false, replace: false }).asks(&[]);
    assert_eq!(story.pod.dead_after(), Some(Instant(15_000)));
    story.wakes_at(15).asks(&["kill 0"]);
}

#[test]
fn spec_79_to_82_a_forced_delete_does_not_wait_but_the_node_gives_two_seconds() {
    let mut story = Story::running(hooked(&[App]));
    story.tell(Event::Delete { grace: Some(Duration::ZERO), force: true, replace: true }).asks(&["mark", "stop 0"]);
    assert!(story.pod.is_hidden() && story.pod.wants_replacement() && !story.pod.is_gone(), "spec 80: the name is free at once");
    story.wakes_at(2).asks(&["kill 0"]);
    // Force may come later, in the middle of a hook.
    let mut story = Story::running(hooked(&[App]));
    story.delete().asks(&["mark", "prestop 0"]).at(3);
    story.tell(Event::Delete { grace: Some(Duration::ZERO), force: true, replace: false }).asks(&["mark", "stop 0"]);
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
fn spec_9_one_container_restarts_alone() {
    let mut story = Story::running(hooked(&[App, App]));
    // It is in a back-off of its own by now, which the restart forgets.
    story.exited(0, FAILED).started(0).tell(Event::Restart { container: 0 }).asks(&["prestop 0"]);
    story.pre_stop_ended(0, None).asks(&["stop 0"]).wakes_at(30).asks(&["kill 0"]);
    story.exited(0, Exit::by_signal(9)).asks(&["start 0.3"]).is(Phase::Running).started(0).exited(0, FAILED).asks(&["start 0.4"]);
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
    story.tell(Event::SandboxRemoved).asks(&["create"]).tell(Event::SandboxReady).asks(&["start 0.2"]).is(Phase::Pending);
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
fn failure_f3_a_pod_that_is_being_ended_loses_its_pod_init() {
    let mut story = Story::running(rules(Always, &[App]));
    story.delete().tell(Event::SandboxLost).asks(&["remove"]).tell(Event::SandboxRemoved);
    assert!(story.pod.is_gone());
}

fn record(instance: u32, failures: u16, life: Life) -> ContainerRecord {
    ContainerRecord { instance, memo: Memo { failures, last: None }, life }
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
    let records = [record(1, 1, Life::Ended { started: Some(Instant(1)), finished: Instant(2), exit: Exit::OK }), record(3, 2, running)];
    let mut story = Story::adopted(rules(Always, &[Init, App, App]), 60, PodRecord::default(), &records);
    story.asks(&["start 2.1"]).says(&[]).ended(0, Reason::Completed, 0).started(2).is(Phase::Running);
    assert_eq!((story.state(1), story.pod.containers()[1].restarts()), (ContainerState::Running(Instant(5000)), 2));
}

#[test]
fn spec_76_an_agent_that_comes_back_ends_with_the_full_grace_period() {
    let ending = PodRecord { ending: Some(Ending { grace_ms: 20_000, force: false, replace: true }) };
    let mut story = Story::adopted(rules(Always, &[App]), 500, ending, &[record(1, 1, Life::Running { started: Instant(0) })]);
    story.asks(&["stop 0"]).wakes_at(520).asks(&["kill 0"]).exited(0, Exit::by_signal(9)).asks(&["remove"]);
    story.tell(Event::SandboxRemoved);
    assert!(story.pod.wants_replacement());
    // spec 80: a name that was freed by force stays free.
    let ending = PodRecord { ending: Some(Ending { grace_ms: 2_000, force: true, replace: false }) };
    assert!(Story::adopted(rules(Always, &[App]), 1, ending, &[]).pod.is_hidden());
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
