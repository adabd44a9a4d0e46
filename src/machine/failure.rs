//! What a failed pod means to its Job: the first rule of `podFailurePolicy` that it matches says so (spec 54).

use crate::manifest::List;
use crate::manifest::job::{FailureAction, FailurePattern, FailureRule};
use crate::manifest::pod::Operator;
use core::fmt;

/// The rule that a failed pod matches, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<'a> {
    /// Its place among the rules.
    pub rule: usize,
    /// What it says.
    pub action: FailureAction,
    cause: Cause<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause<'a> {
    Exit { container: &'a str, code: u8 },
    Condition(&'a str),
}

/// Looks for the first rule that holds for a pod whose containers ended so, and whose conditions `holds` knows: by their type, whether
/// one is true; `None` where there is no such condition.
pub fn judge<'a>(
    rules: List<'a, FailureRule<'a>>,
    exits: &[(&'a str, u8)],
    holds: impl Fn(&str) -> Option<bool>,
) -> Option<Match<'a>> {
    rules.iter().enumerate().find_map(|(rule, FailureRule { action, pattern })| {
        let cause = match pattern {
            FailurePattern::ExitCodes { container, operator, codes } => {
                let is_meant = |name| container.is_none_or(|wanted| wanted == name);
                let matches = |code| codes.iter().any(|other| other == code) == (operator == Operator::In);
                let found = exits.iter().find(|(name, code)| *code != 0 && is_meant(*name) && matches(*code));
                found.map(|(container, code)| Cause::Exit { container, code: *code })
            }
            FailurePattern::Conditions(patterns) => {
                let found = patterns.iter().find(|pattern| holds(pattern.kind) == Some(pattern.status));
                found.map(|pattern| Cause::Condition(pattern.kind))
            }
        };
        cause.map(|cause| Match { rule, action, cause })
    })
}

impl Match<'_> {
    /// What happened, as Kubernetes' controller tells it.
    pub fn tell(&self, out: &mut impl fmt::Write, namespace: &str, pod: &str) -> fmt::Result {
        match self.cause {
            Cause::Exit { container, code } => {
                write!(out, "Container {container} for pod {namespace}/{pod} failed with exit code {code}")?;
            }
            Cause::Condition(kind) => write!(out, "Pod {namespace}/{pod} has condition {kind}")?,
        }
        write!(out, " matching {:?} rule at index {}", self.action, self.rule)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::manifest::job::ConditionPattern;
    use std::string::String;

    fn codes(container: Option<&'static str>, operator: Operator, codes: &[u8]) -> FailurePattern<'static> {
        FailurePattern::ExitCodes { container, operator, codes: List::leaked(codes) }
    }

    #[test]
    fn spec_54_the_first_rule_that_matches_decides() {
        let disrupted = [ConditionPattern { kind: "DisruptionTarget", status: true }];
        let rules = List::leaked(&[
            FailureRule { action: FailureAction::FailJob, pattern: codes(Some("main"), Operator::In, &[42]) },
            FailureRule {
                action: FailureAction::Ignore,
                pattern: FailurePattern::Conditions(List::leaked(&disrupted)),
            },
            FailureRule { action: FailureAction::FailIndex, pattern: codes(None, Operator::NotIn, &[1, 2]) },
        ]);
        let action = |exits: &[(&'static str, u8)], disrupted: Option<bool>| {
            judge(rules, exits, |kind| disrupted.filter(|_| kind == "DisruptionTarget"))
                .map(|found| (found.rule, found.action))
        };
        assert_eq!(action(&[("main", 42)], Some(true)), Some((0, FailureAction::FailJob)));
        assert_eq!(action(&[("main", 1)], Some(true)), Some((1, FailureAction::Ignore)));
        assert_eq!(action(&[("main", 1)], Some(false)), None, "the condition is there, and false");
        assert_eq!(action(&[("side", 42)], None), Some((2, FailureAction::FailIndex)), "another container");
        assert_eq!(action(&[("main", 0), ("side", 2)], None), None, "0 is no failure, whatever the operator");
    }

    #[test]
    fn what_happened_is_told_as_kubernetes_does() {
        let rules =
            List::leaked(&[FailureRule { action: FailureAction::FailJob, pattern: codes(None, Operator::In, &[3]) }]);
        let mut text = String::new();
        judge(rules, &[("main", 3)], |_| None).unwrap().tell(&mut text, "default", "pi-x").unwrap();
        assert_eq!(
            text,
            "Container main for pod default/pi-x failed with exit code 3 matching FailJob rule at index 0"
        );
    }
}
