//! Whether a container that has ended is started again (spec 43): its rules by exit code, its own policy, the pod's.

use crate::manifest::List;
use crate::manifest::pod::{Container, ContainerKind, Operator, RestartAction, RestartPolicy, RestartRule};
use crate::manifest::status::Exit;

/// What decides about one container's restarts. The rules stay where they are in the manifest, which is read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The container's own policy, else the pod's.
    pub policy: RestartPolicy,
    /// What goes by the exit code, whatever the policy says.
    pub rules: List<'static, RestartRule<'static>>,
}

impl Restart {
    /// What a checked container says, in a pod of that policy.
    pub fn new(container: &Container<'static>, of_pod: RestartPolicy) -> Restart {
        Restart { policy: container.restart_policy.unwrap_or(of_pod), rules: container.restart_rules }
    }

    /// The same for a container without rules.
    pub fn by(policy: RestartPolicy) -> Restart {
        Restart { policy, rules: List::EMPTY }
    }

    /// Whether a container of that kind is started again after such an end. An init container that has succeeded is done, and for
    /// one that has not Always means OnFailure.
    pub(super) fn follows(&self, kind: ContainerKind, exit: Exit) -> bool {
        match (kind, self.policy) {
            (ContainerKind::Sidecar, _) => true,
            (ContainerKind::Init, _) if exit.success() => false,
            _ if self.action(exit).is_some() => true,
            (_, RestartPolicy::Always) => true,
            (_, RestartPolicy::OnFailure) => !exit.success(),
            (_, RestartPolicy::Never) => false,
        }
    }
}

impl Restart {
    /// Whether all containers of the pod begin anew after such an end of one of that kind.
    pub(super) fn is_for_all(&self, kind: ContainerKind, exit: Exit) -> bool {
        let is_done = kind == ContainerKind::Init && exit.success();
        !is_done && self.action(exit) == Some(RestartAction::RestartAllContainers)
    }

    /// What the first rule says that speaks of that exit code.
    fn action(&self, exit: Exit) -> Option<RestartAction> {
        self.rules.iter().find(|rule| matches(*rule, exit.code)).map(|rule| rule.action)
    }
}

/// Whether a rule speaks of that exit code.
fn matches(rule: RestartRule<'_>, code: u8) -> bool {
    rule.codes.iter().any(|other| other == code) == (rule.operator == Operator::In)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use ContainerKind::{App, Init, Sidecar};
    use RestartPolicy::{Always, Never, OnFailure};
    use std::vec::Vec;

    fn exit(code: u8) -> Exit {
        Exit { code, signal: 0, oom: false }
    }

    #[test]
    fn spec_43_the_containers_own_policy_is_over_the_pods() {
        let own = |policy| Container { restart_policy: policy, ..Container::default() };
        let follows = |policy, pod, code| Restart::new(&own(policy), pod).follows(App, exit(code));
        assert_eq!([0, 1].map(|code| follows(None, Always, code)), [true, true]);
        assert_eq!([0, 1].map(|code| follows(Some(Never), Always, code)), [false, false]);
        assert_eq!([0, 1].map(|code| follows(Some(OnFailure), Never, code)), [false, true]);
        assert_eq!([0, 1].map(|code| follows(Some(Always), Never, code)), [true, true]);
    }

    #[test]
    fn spec_43_a_rule_that_matches_decides_before_any_policy() {
        let rules = [
            RestartRule { operator: Operator::In, codes: List::leaked(&[0, 42, 255]), action: RestartAction::Restart },
            RestartRule { operator: Operator::In, codes: List::leaked(&[7]), action: RestartAction::Restart },
        ];
        let container = Container { restart_rules: List::leaked(&rules), ..Container::default() };
        let restart = Restart::new(&container, Never);
        let followed: Vec<u8> = (0..=255).filter(|code| restart.follows(App, exit(*code))).collect();
        assert_eq!(followed, [0, 7, 42, 255]);
        assert!(!restart.follows(Init, exit(0)), "an init container that has succeeded is done");
        let (operator, action) = (Operator::NotIn, RestartAction::Restart);
        let rules = [RestartRule { operator, codes: List::leaked(&[0, 64]), action }];
        let container = Container { restart_rules: List::leaked(&rules), ..Container::default() };
        let restart = Restart::new(&container, Never);
        let left: Vec<u8> = (0..=255).filter(|code| !restart.follows(App, exit(*code))).collect();
        assert_eq!(left, [0, 64]);
    }

    #[test]
    fn spec_43_the_first_rule_that_matches_says_whom_it_is_for() {
        let rule = |codes: &[u8], action| RestartRule { operator: Operator::In, codes: List::leaked(codes), action };
        let rules = [rule(&[1], RestartAction::Restart), rule(&[0, 1, 2], RestartAction::RestartAllContainers)];
        let container = Container { restart_rules: List::leaked(&rules), ..Container::default() };
        let restart = Restart::new(&container, Never);
        let of = |kind| [0, 1, 2, 3].map(|code| restart.is_for_all(kind, exit(code)));
        assert_eq!((of(App), of(Sidecar)), ([true, false, true, false], [true, false, true, false]));
        assert_eq!(of(Init), [false, false, true, false], "one that has succeeded is done");
        assert_eq!([0, 1, 2, 3].map(|code| restart.follows(App, exit(code))), [true, true, true, false]);
    }

    #[test]
    fn spec_36_43_kinds_and_policies() {
        let follows = |kind, policy| [0, 1].map(|code| Restart::by(policy).follows(kind, exit(code)));
        for policy in [Always, OnFailure, Never] {
            assert_eq!(follows(Sidecar, policy), [true, true]);
        }
        assert_eq!(
            [Always, OnFailure, Never].map(|p| follows(Init, p)),
            [[false, true], [false, true], [false, false]]
        );
    }
}
