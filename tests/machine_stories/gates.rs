//! Readiness gates: conditions from outside that count towards Ready.

use crate::story::{Story, rules};
use podling::machine::effect::Event;
use podling::machine::gates::Gates;
use podling::machine::pod::Rules;
use podling::manifest::pod::ContainerKind::App;
use podling::manifest::pod::RestartPolicy::Always;
use podling::manifest::record::{Life, PodRecord};
use podling::manifest::status::{ConditionKind, Exit, Phase};
use podling::manifest::time::Instant;

fn gated(count: usize) -> Rules {
    Rules { gates: Gates::new(count), ..rules(Always, &[App]) }
}

#[test]
fn spec_46_a_pod_is_ready_when_all_its_gates_hold_and_one_never_set_does_not() {
    let mut story = Story::running(gated(2));
    story.is(Phase::Running).is_true(ConditionKind::ContainersReady, 0);
    story.is_false(ConditionKind::Ready, "ReadinessGatesNotReady", 0);
    story.at(5).tell(Event::Gate { gate: 1, holds: true }).asks(&[]);
    story.is_false(ConditionKind::Ready, "ReadinessGatesNotReady", 0);
    // Of what there is not nothing can be set.
    story.tell(Event::Gate { gate: 2, holds: true }).tell(Event::Gate { gate: 200, holds: true });
    story.is_false(ConditionKind::Ready, "ReadinessGatesNotReady", 0);
    story.at(7).tell(Event::Gate { gate: 0, holds: true }).is_true(ConditionKind::Ready, 7);
    story.at(9).tell(Event::Gate { gate: 1, holds: false });
    story.is_false(ConditionKind::Ready, "ReadinessGatesNotReady", 9);
    // Containers that are not ready are said before, an ending too.
    story.exited(0, Exit::OK).is_false(ConditionKind::Ready, "ContainersNotReady", 9);
    story.started(0).delete().is_false(ConditionKind::Ready, "PodTerminating", 9);
}

#[test]
fn spec_46_an_agent_that_adopts_the_pod_knows_its_gates() {
    let mut rules = gated(1);
    rules.gates.set(0, true);
    let running = crate::story::record(1, 1, Life::Running { started: Instant(1000) });
    let mut story = Story::adopted(rules, 60, PodRecord::default(), &[running]);
    story.is_true(ConditionKind::Ready, 1);
}
