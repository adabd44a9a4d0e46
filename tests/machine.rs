//! The pod machine against a world that does its worst: random orders of events, random times, late and doubled answers, an
//! agent that dies at any point. Time is simulated; what must hold whatever happens is checked after every step.

use podling::machine::effect::{Effect, Effects, Event};
use podling::machine::gates::Gates;
use podling::machine::pod::{ContainerRules, Pod, Rules};
use podling::machine::probe::Outcome;
use podling::machine::restart::Restart;
use podling::manifest::eviction::{Evicted, Signal};
use podling::manifest::pod::{ContainerKind, Node, Operator, RestartAction, RestartPolicy, RestartRule};
use podling::manifest::probe::{ProbeKind, Timing};
use podling::manifest::record::{ContainerRecord, Ending, Life, Memo, PodRecord, Stage};
use podling::manifest::status::{ContainerState, Exit, Phase, Reason, Verdict, message};
use podling::manifest::time::{Duration, Instant};
use podling::manifest::{List, limits};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::LazyLock;

/// What the world does next. The numbers choose among whatever there is to choose from.
#[derive(Clone, Debug)]
enum Deed {
    /// One of the answers that are due comes, whichever.
    Answer(usize),
    /// An answer that came once comes again.
    Echo(usize),
    /// Time passes: to the machine's next moment, or past it, or not as far.
    Wake {
        late: i32,
    },
    /// A program ends by itself.
    Exit {
        container: u8,
        code: u8,
        oom: bool,
    },
    /// The pod-init dies.
    Lose,
    /// The agent dies and comes back; what the last step asked for is done, or is not.
    Adopt {
        deaf: bool,
    },
    Delete {
        grace: Option<u64>,
        force: bool,
        replace: bool,
    },
    Shutdown {
        at_most: u64,
    },
    Restart {
        container: u8,
    },
    /// The node is under pressure.
    Evict,
    /// Whether the next starts fail, and how; whether programs obey the stop signal; whether sandboxes can be made.
    Mood {
        start: u8,
        willing: bool,
        sandbox: bool,
    },
    /// The clock is behind what it was (failure F23).
    ClockBack(u32),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        12 => any::<usize>().prop_map(Deed::Answer),
        3 => any::<usize>().prop_map(Deed::Echo),
        8 => prop_oneof![Just(0), -50_000..1_000_000i32].prop_map(|late| Deed::Wake { late }),
        6 => (0..16u8, prop_oneof![Just(0), Just(ANEW_CODE), 0..=255u8], any::<bool>()).prop_map(|(container, code, oom)| Deed::Exit { container, code, oom }),
        1 => Just(Deed::Lose),
        2 => any::<bool>().prop_map(|deaf| Deed::Adopt { deaf }),
        1 => (prop::option::of(moment()), any::<bool>(), any::<bool>()).prop_map(|(grace, force, replace)| Deed::Delete { grace, force, replace }),
        1 => moment().prop_map(|at_most| Deed::Shutdown { at_most }),
        2 => (0..16u8).prop_map(|container| Deed::Restart { container }),
        1 => Just(Deed::Evict),
        2 => (0..4u8, any::<bool>(), any::<bool>()).prop_map(|(start, willing, sandbox)| Deed::Mood { start, willing, sandbox }),
        1 => any::<u32>().prop_map(Deed::ClockBack),
    ];
    vec(deed, 0..120)
}

/// A span: none, an ordinary one, or for ever.
fn moment() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..60_000u64, Just(u64::MAX)]
}

fn setting() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), Just(10_000), Just(u32::MAX), any::<u32>()]
}

fn rules() -> impl Strategy<Value = Rules> {
    let policy = prop_oneof![Just(RestartPolicy::Always), Just(RestartPolicy::OnFailure), Just(RestartPolicy::Never)];
    let before = prop_oneof![Just(ContainerKind::Init), Just(ContainerKind::Sidecar)];
    let before = vec((before, any::<bool>()), 0..4);
    let apps = prop_oneof![4 => vec(any::<bool>(), 1..4), 1 => vec(any::<bool>(), 12..13)];
    let node = (setting(), setting(), setting());
    let deadline = prop_oneof![3 => Just(None), 1 => moment().prop_map(|at| Some(Duration(at)))];
    let probes =
        [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness].map(|kind| prop::option::of(timing(kind)));
    let parts = (policy, (moment(), deadline), node, before, apps, (probes, 0..64u8));
    parts.prop_map(|(restart_policy, (grace, active_deadline), (base, cap, reset), before, apps, (probes, anew))| {
        Rules {
            grace: Duration(grace),
            node: Node { backoff_base_ms: base, backoff_cap_ms: cap, backoff_reset_ms: reset, ..Node::default() },
            containers: (before.into_iter().chain(apps.into_iter().map(|hook| (ContainerKind::App, hook))))
                .enumerate()
                .map(|(n, (kind, pre_stop))| ContainerRules {
                    kind,
                    pre_stop,
                    post_start: pre_stop,
                    probes: if kind == ContainerKind::Init { [None; 3] } else { probes },
                    restart: Restart {
                        policy: restart_policy,
                        // With some of the containers all begin anew.
                        rules: if anew >> (n % 6) & 1 == 1 { *ANEW } else { List::EMPTY },
                    },
                    edition: 0,
                })
                .collect(),
            active_deadline,
            gates: Gates::default(),
        }
    })
}

/// The exit code for which all containers begin anew.
const ANEW_CODE: u8 = 7;

static ANEW: LazyLock<List<'static, RestartRule<'static>>> = LazyLock::new(|| {
    let codes = List::from_bytes(vec![ANEW_CODE].leak());
    let rule = RestartRule { operator: Operator::In, codes, action: RestartAction::RestartAllContainers };
    List::from_bytes(postcard::to_stdvec(&rule).unwrap().leak())
});

/// The numbers of a probe, as small as they can be and at their bounds.
fn timing(kind: ProbeKind) -> impl Strategy<Value = Timing> {
    let number = || prop_oneof![3 => 1..5u32, 1 => Just(limits::PROBE_NUMBER)];
    let successes: u32 = if kind == ProbeKind::Readiness { 3 } else { 1 };
    (prop_oneof![Just(0), number()], number(), 1..=successes, number(), prop::option::of(number())).prop_map(
        move |(delay_seconds, period_seconds, successes, failures, grace)| Timing {
            delay_seconds,
            period_seconds,
            timeout_seconds: 1,
            successes,
            failures,
            grace_seconds: grace.filter(|_| kind != ProbeKind::Readiness),
        },
    )
}

/// What is really there.
struct World {
    rules: Rules,
    pod: Pod,
    now: Instant,
    /// CreateSandbox or RemoveSandbox is not answered yet.
    sandbox_busy: bool,
    stands: bool,
    /// The journal of the pod-init.
    record: PodRecord,
    records: Vec<ContainerRecord>,
    /// What the agent has put on record.
    verdict: Option<Verdict>,
    /// Per container: the instance that was ordered and whose end was not told yet.
    live: Vec<Option<u32>>,
    due: Vec<Event>,
    /// The probes that run: container, instance, kind.
    probing: Vec<(u8, u32, ProbeKind)>,
    told: Vec<Event>,
    terminal: Option<Phase>,
    start: u8,
    willing: bool,
    sandbox_fails: bool,
}

impl World {
    fn new(now: u64, rules: Rules) -> World {
        let mut effects = Effects::new();
        let now = Instant(now);
        let pod = Pod::new(now, rules.clone(), &mut effects);
        let count = rules.containers.len();
        let mut world = World {
            rules,
            pod,
            now,
            sandbox_busy: false,
            stands: false,
            record: PodRecord::default(),
            records: vec![ContainerRecord::NEW; count],
            verdict: None,
            live: vec![None; count],
            due: Vec::new(),
            probing: Vec::new(),
            told: Vec::new(),
            terminal: None,
            start: 0,
            willing: true,
            sandbox_fails: false,
        };
        world.carry_out(effects);
        world
    }

    /// Tell the machine, check what must always hold, and do what it asks.
    fn tell(&mut self, event: Event) {
        let effects = self.step(event);
        self.carry_out(effects);
    }

    fn step(&mut self, event: Event) -> Effects {
        match &event {
            Event::SandboxReady => (self.sandbox_busy, self.stands) = (false, true),
            Event::SandboxFailed(_) | Event::SandboxRemoved => self.sandbox_busy = false,
            Event::StartFailed { container, instance, .. } | Event::Exited { container, instance, .. } => {
                let live = &mut self.live[usize::from(*container)];
                *live = live.filter(|live| live != instance);
            }
            Event::ProbeEnded { container, instance, kind, .. } => {
                self.probing.retain(|probe| *probe != (*container, *instance, *kind));
            }
            _ => {}
        }
        if !matches!(event, Event::Wake | Event::Delete { .. } | Event::Restart { .. } | Event::Shutdown { .. }) {
            self.told.push(event.clone());
        }
        let mut effects = Effects::new();
        let was_terminating = self.pod.is_terminating();
        let before: Vec<u32> = self.pod.containers().iter().map(|c| c.instance()).collect();
        self.pod.step(self.now, event, &mut effects);
        assert!(was_terminating <= self.pod.is_terminating(), "an ending was revoked");
        assert!(self.pod.poll_at().is_none_or(|at| at > self.now), "a moment that has come stays: {:?}", self.pod);
        for (container, before) in self.pod.containers().iter().zip(before) {
            assert!(container.instance() >= before && container.instance() - before <= 1);
        }
        self.check_phase();
        effects
    }

    /// spec 53: a terminal phase never changes.
    fn check_phase(&mut self) {
        let phase = self.pod.phase();
        if let Some(terminal) = self.terminal {
            assert_eq!(phase, terminal, "{:?}", self.pod);
        }
        self.terminal = Some(phase).filter(|phase| phase.is_terminal());
    }

    fn carry_out(&mut self, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::CreateSandbox => {
                    assert!(!self.sandbox_busy && !self.stands, "two sandboxes");
                    self.sandbox_busy = true;
                    self.records.fill(ContainerRecord::NEW);
                    self.record = PodRecord::default();
                    self.due.push(if self.sandbox_fails {
                        Event::SandboxFailed(message("no"))
                    } else {
                        Event::SandboxReady
                    });
                }
                Effect::RemoveSandbox => {
                    assert!(!self.sandbox_busy, "removed twice");
                    assert!(self.live.iter().all(Option::is_none), "removed under a container");
                    (self.sandbox_busy, self.stands) = (true, false);
                    self.due.push(Event::SandboxRemoved);
                }
                Effect::Start { container, instance, memo } => self.start(container, instance, memo),
                Effect::PreStop { container, instance } => {
                    assert_eq!(self.live[usize::from(container)], Some(instance));
                    if self.willing {
                        self.due.push(Event::PreStopEnded { container, instance, failure: None });
                    }
                }
                Effect::Stop { container } if self.willing => self.end(container, Exit::by_signal(15)),
                Effect::Stop { .. } => {}
                Effect::Kill { container } => self.end(container, Exit::by_signal(9)),
                Effect::MarkEnding(ending) => self.record.ending = Some(ending),
                Effect::Condemn(verdict) => self.verdict = Some(verdict),
                Effect::PostStart { container, instance } => {
                    assert!(self.live[usize::from(container)] == Some(instance) && !self.pod.is_terminating());
                    let failure = (self.start == 3).then(|| message("no"));
                    self.due.push(Event::PostStartEnded { container, instance, failure });
                }
                Effect::Probe { container, instance, kind } => {
                    let probe = (container, instance, kind);
                    assert_eq!(self.live[usize::from(container)], Some(instance));
                    assert!(
                        kind == ProbeKind::Readiness || !self.pod.is_terminating(),
                        "a {kind:?} probe in an ending pod"
                    );
                    assert!(!self.probing.contains(&probe), "{kind:?} twice at once");
                    self.probing.push(probe);
                    let outcome = match (self.start, self.willing) {
                        (3, _) => Outcome::Failure(message("no")),
                        (_, true) => Outcome::Success,
                        (_, false) => Outcome::Unknown(message("no")),
                    };
                    self.due.push(Event::ProbeEnded { container, instance, kind, outcome });
                }
                Effect::Recall { container, record } => {
                    let known = &mut self.records[usize::from(container)];
                    assert_eq!(*known, ContainerRecord::NEW, "a pod-init that knows it already");
                    *known = record;
                }
                Effect::MarkStage { container, instance, stage } => {
                    let record = &mut self.records[usize::from(container)];
                    assert_eq!(record.instance, instance);
                    record.stage = stage;
                }
                Effect::Report(_) => {}
            }
        }
    }

    fn start(&mut self, container: u8, instance: u32, memo: Memo) {
        let index = usize::from(container);
        assert!(self.stands && !self.sandbox_busy, "a start without a sandbox");
        assert_eq!(self.live[index], None, "two instances of container {container}");
        assert!(!self.pod.is_terminating() && self.pod.verdict().is_none(), "a start in an ending pod");
        assert!(memo.failures > 0);
        self.live[index] = Some(instance);
        let record = &mut self.records[index];
        assert!(record.instance < instance, "an instance number came again");
        let (life, answer) = match self.start {
            1 => {
                let exit = Exit { code: 128, signal: 0, oom: false };
                (Life::Ended { started: None, finished: self.now, exit }, Some(Reason::RunContainerError))
            }
            2 => (
                Life::Ended { started: None, finished: self.now, exit: Exit::UNKNOWN },
                Some(Reason::CreateContainerError),
            ),
            _ => (Life::Running { started: self.now }, None),
        };
        *record = ContainerRecord { instance, memo, life, stage: Stage::New };
        self.due.push(match answer {
            Some(reason) => Event::StartFailed { container, instance, reason, message: message("no") },
            None => Event::Started { container, instance },
        });
    }

    /// The main process of a container ends.
    fn end(&mut self, container: u8, exit: Exit) {
        let Some(record) = self.records.get_mut(usize::from(container)) else { return };
        if let (true, Life::Running { started }) = (self.stands, record.life) {
            record.life = Life::Ended { started: Some(started), finished: self.now, exit };
            self.due.push(Event::Exited { container, instance: record.instance, exit });
        }
    }

    fn adopt(&mut self) {
        if !self.stands || self.sandbox_busy {
            return;
        }
        // Answers in flight are lost; the pod-init's hello tells what they would have told.
        self.due.clear();
        self.probing.clear();
        for (live, record) in self.live.iter_mut().zip(&self.records) {
            *live = Some(record.instance).filter(|_| matches!(record.life, Life::Running { .. }));
        }
        let mut effects = Effects::new();
        let known = (self.record, self.verdict);
        self.pod = Pod::adopt(self.now, self.pod.created(), self.rules.clone(), known, &self.records, &mut effects);
        assert!(self.pod.poll_at().is_none_or(|at| at > self.now), "{:?}", self.pod);
        self.carry_out(effects);
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Answer(which) if !self.due.is_empty() => {
                let answer = self.due.remove(which % self.due.len());
                self.tell(answer);
            }
            Deed::Answer(_) => {}
            Deed::Echo(which) if !self.told.is_empty() => {
                let echo = self.told[which % self.told.len()].clone();
                // Answers about the sandbox have no number: one order at a time, and each is answered once.
                if !matches!(
                    echo,
                    Event::SandboxReady
                        | Event::SandboxFailed(_)
                        | Event::SandboxUnmade(_)
                        | Event::SandboxRemoved
                        | Event::SandboxLost
                ) {
                    self.tell(echo);
                }
            }
            Deed::Echo(_) => {}
            Deed::Wake { late } => {
                let at = self.pod.poll_at().unwrap_or(self.now);
                self.now = Instant(at.0.saturating_add_signed(late.into())).max(self.now);
                self.tell(Event::Wake);
            }
            Deed::Exit { container, code, oom } => self.end(container, Exit { code, signal: 0, oom }),
            Deed::Lose if self.stands && !self.sandbox_busy => {
                self.due.clear();
                let unmade = self.sandbox_fails && self.records.iter().all(|record| record.life == Life::None);
                self.live.fill(None);
                self.tell(if unmade { Event::SandboxUnmade(message("no")) } else { Event::SandboxLost });
            }
            Deed::Lose => {}
            Deed::Adopt { deaf } => {
                if deaf {
                    let (terminal, busy) = (self.terminal, self.sandbox_busy);
                    let lost = self.step(Event::Wake);
                    (self.terminal, self.sandbox_busy) = (terminal, busy);
                    if !self.stands || self.sandbox_busy {
                        self.carry_out(lost);
                    }
                }
                self.adopt();
            }
            Deed::Delete { grace, force, replace } => {
                self.tell(Event::Delete { grace: grace.map(Duration), force, replace });
                assert!(self.pod.is_terminating() && force <= self.pod.is_hidden());
            }
            Deed::Shutdown { at_most } => self.tell(Event::Shutdown { at_most: Duration(at_most) }),
            Deed::Restart { container } => self.tell(Event::Restart { container }),
            Deed::Evict => {
                let signal = Signal::MemoryAvailable;
                self.tell(Event::Evict(Evicted::NodeLow { signal, threshold: 2, available: 1, most: None }));
            }
            Deed::Mood { start, willing, sandbox } => {
                (self.start, self.willing, self.sandbox_fails) = (start, willing, sandbox)
            }
            Deed::ClockBack(by) => self.now = Instant(self.now.0.saturating_sub(by.into())),
        }
    }

    /// The world answers what it must answer, and nobody obeys anything but a kill.
    fn run_until_gone(&mut self) {
        self.willing = false;
        for _ in 0..1000 {
            if self.pod.is_gone() {
                return;
            }
            match self.due.pop() {
                Some(answer) => self.tell(answer),
                None => {
                    self.now = self.pod.poll_at().unwrap_or_else(|| panic!("waits for nothing: {:?}", self.pod));
                    self.tell(Event::Wake);
                }
            }
        }
        panic!("not gone: {:?}", self.pod);
    }
}

/// What can be seen of a pod's containers.
fn seen(pod: &Pod) -> Vec<(ContainerState, Option<podling::manifest::status::Terminated>, u32)> {
    pod.containers().iter().map(|c| (c.state(), c.last(), c.restarts())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// spec 9, 38, 42, 53, 77; failures F1, F3, F20, F21: never two instances, no start in an ending pod, a terminal phase stays,
    /// every moment of `poll_at` lies ahead, and a delete always completes, whatever came before.
    #[test]
    fn spec_77_a_delete_always_completes_and_nothing_is_doubled(rules in rules(), deeds in deeds(), start in prop_oneof![Just(1), 1..u64::MAX / 2]) {
        let mut world = World::new(start, rules);
        for deed in deeds {
            world.act(deed);
        }
        world.tell(Event::Delete { grace: Some(Duration::from_secs(1)), force: false, replace: false });
        world.run_until_gone();
        prop_assert!(world.live.iter().all(Option::is_none));
        prop_assert_eq!(world.pod.poll_at(), None);
    }

    /// spec 43, 103: at the end of time nothing wraps round, and nothing spins.
    #[test]
    fn spec_103_the_end_of_time_is_no_trap(rules in rules(), deeds in deeds(), before in 0..2_000_000u64) {
        let mut world = World::new(u64::MAX - before, rules);
        for deed in deeds {
            world.act(deed);
        }
    }

    /// failure F24, spec 43: an agent that dies between two events leads the pod on exactly as if it had not.
    #[test]
    fn failure_f24_adopting_is_the_same_as_going_on(rules in rules(), before in deeds(), after in deeds(), start in 1..u64::MAX / 2) {
        let calm = |deed: &Deed| !matches!(
            deed,
            Deed::Lose | Deed::Adopt { .. } | Deed::Delete { .. } | Deed::Shutdown { .. } | Deed::Restart { .. } | Deed::ClockBack(_)
        );
        let mut rules = rules;
        // Without any back-off a program that cannot be executed would be tried for ever at one moment.
        rules.node.backoff_base_ms |= 1;
        rules.node.backoff_cap_ms |= 1;
        // A new agent runs probes at once, and hooks again.
        rules.containers.iter_mut().for_each(|container| (container.post_start, container.probes) = (false, [None; 3]));
        let (mut one, mut other) = (World::new(start, rules.clone()), World::new(start, rules));
        let both = |one: &mut World, other: &mut World, deed: Deed| {
            for world in [one, other] {
                world.act(deed.clone());
                // Nothing is in flight when the agent dies: what is in flight then, the other tests are about.
                while !world.due.is_empty() {
                    world.act(Deed::Answer(0));
                }
            }
        };
        for deed in before.into_iter().filter(calm) {
            both(&mut one, &mut other, deed);
        }
        both(&mut one, &mut other, Deed::Mood { start: 0, willing: true, sandbox: false });
        while !other.stands {
            both(&mut one, &mut other, Deed::Wake { late: 0 });
        }
        let running = |kind| one.pod.containers().iter().any(|c| c.kind() == kind && matches!(c.state(), ContainerState::Running(_)));
        let over = one.pod.phase() == Phase::Failed || one.pod.containers().iter().all(|c| {
            c.kind() != ContainerKind::App || matches!(c.state(), ContainerState::Terminated(_))
        });
        let condemned = one.verdict.is_some() && one.pod.verdict().is_none();
        if condemned || over && running(ContainerKind::Sidecar) {
            // What is being stopped is asked again, with its full time.
            return Ok(());
        }
        other.adopt();
        prop_assert_eq!(seen(&one.pod), seen(&other.pod));
        for deed in after.into_iter().filter(calm) {
            both(&mut one, &mut other, deed);
            prop_assert_eq!(seen(&one.pod), seen(&other.pod));
            prop_assert_eq!(one.pod.phase(), other.pod.phase());
            prop_assert_eq!(one.pod.poll_at(), other.pod.poll_at());
            prop_assert_eq!(&one.records, &other.records);
        }
    }

    /// spec 76: an ending that is found under way begins again with its full grace period, and completes.
    #[test]
    fn spec_76_an_ending_survives_the_agent(rules in rules(), deeds in deeds(), grace in 2_000..100_000u64) {
        let mut world = World::new(1, rules);
        for deed in deeds {
            world.act(deed);
        }
        world.record.ending = Some(Ending { grace_ms: grace, force: false, replace: true });
        world.terminal = None;
        world.adopt();
        if world.pod.is_terminating() {
            world.run_until_gone();
            prop_assert!(world.pod.is_gone());
        }
    }
}
