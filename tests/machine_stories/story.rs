//! What the stories are told with: a pod, its clock, and words for what happens to it and what it asks for.

use podling::machine::admit::Lacks;
use podling::machine::effect::{Effect, Effects, Event};
use podling::machine::gates::Gates;
use podling::machine::pod::{ContainerRules, Pod, Rules};
use podling::machine::restart::Restart;
use podling::manifest::pod::{ContainerKind, Node, RestartPolicy};
use podling::manifest::record::{ContainerRecord, Life, Memo, PodRecord, Stage};
use podling::manifest::status::{Condition, ConditionKind, ContainerState, Exit, Phase, Reason, Verdict, message};
use podling::manifest::time::{Duration, Instant};

/// A pod, its clock in seconds, and what it asked for last.
pub struct Story {
    pub pod: Pod,
    seconds: u64,
    pub asked: Vec<Effect>,
}

pub fn rules(policy: RestartPolicy, kinds: &[ContainerKind]) -> Rules {
    Rules {
        grace: Duration::from_secs(30),
        node: Node::default(),
        containers: kinds
            .iter()
            .map(|kind| ContainerRules {
                kind: *kind,
                pre_stop: false,
                post_start: false,
                probes: [None; 3],
                restart: Restart::by(policy),
                edition: 0,
            })
            .collect(),
        active_deadline: None,
        gates: Gates::default(),
    }
}

/// As [`rules`], and the containers have preStop hooks.
pub fn hooked(kinds: &[ContainerKind]) -> Rules {
    let mut rules = rules(RestartPolicy::Always, kinds);
    rules.containers.iter_mut().for_each(|container| container.pre_stop = true);
    rules
}

pub fn start(container: u8, instance: u32) -> String {
    format!("start {container}.{instance}")
}

/// An effect in a few letters; reports by their reason.
pub fn short(effect: &Effect) -> String {
    match effect {
        Effect::CreateSandbox => "create".into(),
        Effect::Start { container, instance, .. } => start(*container, *instance),
        Effect::PreStop { container, .. } => format!("prestop {container}"),
        Effect::Stop { container } => format!("stop {container}"),
        Effect::Kill { container } => format!("kill {container}"),
        Effect::PostStart { container, .. } => format!("poststart {container}"),
        Effect::Probe { container, kind, .. } => format!("{} {container}", kind.as_str().to_lowercase()),
        Effect::MarkStage { container, stage, .. } => format!("stage {container} {stage:?}"),
        Effect::MarkEnding(_) => "mark".into(),
        Effect::Condemn(verdict) => format!("condemn {}", verdict.as_str()),
        Effect::RemoveSandbox => "remove".into(),
        Effect::Report(report) => format!("{}{}", if report.warning { "!" } else { "" }, report.reason),
    }
}

impl Story {
    pub fn new(rules: Rules) -> Story {
        let mut effects = Effects::new();
        let pod = Pod::new(Instant(0), rules, &mut effects);
        Story { pod, seconds: 0, asked: effects.into_iter().collect() }
    }

    /// A pod for which there is no room.
    pub fn held(rules: Rules, lacks: Lacks) -> Story {
        let mut effects = Effects::new();
        let pod = Pod::held(Instant(0), rules, lacks, &mut effects);
        Story { pod, seconds: 0, asked: effects.into_iter().collect() }
    }

    /// A pod whose sandbox stands.
    pub fn standing(rules: Rules) -> Story {
        let mut story = Story::new(rules);
        story.tell(Event::SandboxReady);
        story
    }

    /// A pod of app containers that all run.
    pub fn running(rules: Rules) -> Story {
        let mut story = Story::standing(rules);
        for container in 0..story.pod.containers().len() as u8 {
            story.started(container);
        }
        story.asked.clear();
        story
    }

    pub fn adopted(rules: Rules, seconds: u64, pod: PodRecord, records: &[ContainerRecord]) -> Story {
        Story::adopted_condemned(rules, seconds, pod, records, None)
    }

    pub fn adopted_condemned(
        rules: Rules,
        seconds: u64,
        pod: PodRecord,
        records: &[ContainerRecord],
        verdict: Option<Verdict>,
    ) -> Story {
        let mut effects = Effects::new();
        let pod = Pod::adopt(Instant(seconds * 1000), Instant(0), rules, (pod, verdict), records, &mut effects);
        Story { pod, seconds, asked: effects.into_iter().collect() }
    }

    pub fn now(&self) -> Instant {
        Instant(self.seconds * 1000)
    }

    pub fn tell(&mut self, event: Event) -> &mut Story {
        let mut effects = Effects::new();
        self.pod.step(self.now(), event, &mut effects);
        self.asked = effects.into_iter().collect();
        self
    }

    pub fn started(&mut self, container: u8) -> &mut Story {
        let instance = self.pod.containers()[usize::from(container)].instance();
        self.tell(Event::Started { container, instance })
    }

    pub fn exited(&mut self, container: u8, exit: Exit) -> &mut Story {
        let instance = self.pod.containers()[usize::from(container)].instance();
        self.tell(Event::Exited { container, instance, exit })
    }

    pub fn failed(&mut self, container: u8, reason: Reason) -> &mut Story {
        let instance = self.pod.containers()[usize::from(container)].instance();
        self.tell(Event::StartFailed { container, instance, reason, message: message("what went wrong") })
    }

    pub fn pre_stop_ended(&mut self, container: u8, failure: Option<&str>) -> &mut Story {
        let instance = self.pod.containers()[usize::from(container)].instance();
        self.tell(Event::PreStopEnded { container, instance, failure: failure.map(message) })
    }

    pub fn delete(&mut self) -> &mut Story {
        self.tell(Event::Delete { grace: None, force: false, replace: false })
    }

    pub fn at(&mut self, seconds: u64) -> &mut Story {
        self.seconds = seconds;
        self
    }

    /// Sleep until the machine wants to be woken, which is at `seconds`.
    pub fn wakes_at(&mut self, seconds: u64) -> &mut Story {
        assert_eq!(self.pod.poll_at(), Some(Instant(seconds * 1000)));
        self.at(seconds).tell(Event::Wake)
    }

    /// What the last step asked for, without what it told people.
    #[track_caller]
    pub fn asks(&mut self, orders: &[&str]) -> &mut Story {
        let asked: Vec<String> =
            self.asked.iter().filter(|effect| !matches!(effect, Effect::Report(_))).map(short).collect();
        assert_eq!(asked, orders);
        self
    }

    /// What the last step told people.
    #[track_caller]
    pub fn says(&mut self, reasons: &[&str]) -> &mut Story {
        let said: Vec<String> =
            self.asked.iter().filter(|effect| matches!(effect, Effect::Report(_))).map(short).collect();
        assert_eq!(said, reasons);
        self
    }

    #[track_caller]
    pub fn is(&mut self, phase: Phase) -> &mut Story {
        assert_eq!(self.pod.phase(), phase);
        self
    }

    pub fn state(&self, container: usize) -> ContainerState {
        self.pod.containers()[container].state()
    }

    #[track_caller]
    pub fn waits(&mut self, container: usize, reason: Reason) -> &mut Story {
        assert_eq!(self.state(container), ContainerState::Waiting(reason));
        self
    }

    #[track_caller]
    pub fn ended(&mut self, container: usize, reason: Reason, code: u8) -> &mut Story {
        match self.state(container) {
            ContainerState::Terminated(ended) => assert_eq!((ended.reason, ended.exit.code), (reason, code)),
            other => panic!("{other:?}"),
        }
        self
    }

    pub fn condition(&self, kind: ConditionKind) -> Condition {
        self.pod.conditions().into_iter().find(|condition| condition.kind == kind).expect("the condition is listed")
    }

    #[track_caller]
    pub fn is_true(&mut self, kind: ConditionKind, since: u64) -> &mut Story {
        assert_eq!(
            self.condition(kind),
            Condition { kind, status: true, reason: kind.reason(), since: Instant(since * 1000) }
        );
        self
    }

    #[track_caller]
    pub fn is_false(&mut self, kind: ConditionKind, reason: &'static str, since: u64) -> &mut Story {
        assert_eq!(self.condition(kind), Condition { kind, status: false, reason, since: Instant(since * 1000) });
        self
    }
}

pub const FAILED: Exit = Exit { code: 1, signal: 0, oom: false };
pub const TERM: Exit = Exit::by_signal(15);

pub fn record(instance: u32, failures: u16, life: Life) -> ContainerRecord {
    ContainerRecord {
        instance,
        memo: Memo { failures, restarts: instance.saturating_sub(1), ..Memo::NEW },
        life,
        stage: Stage::New,
    }
}
