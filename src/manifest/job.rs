//! What a Job makes of its pods' ends: `podFailurePolicy` and `successPolicy`.

use super::List;
use super::ending::Operator;
use serde::{Deserialize, Serialize};

/// One of `podFailurePolicy.rules`. The first that a failed pod matches decides about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRule<'a> {
    /// `action`.
    pub action: FailureAction,
    /// What it asks of the pod.
    #[serde(borrow)]
    pub pattern: FailurePattern<'a>,
}

/// What a failed pod means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureAction {
    /// It counts towards `backoffLimit`, as where no rule matches.
    Count,
    /// It does not count.
    Ignore,
    /// Its number is not tried again.
    FailIndex,
    /// The whole Job has failed.
    FailJob,
}

/// `onExitCodes` or `onPodConditions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailurePattern<'a> {
    /// A container ended with one of these codes, or with another one. 0 is never meant.
    ExitCodes {
        /// `containerName`; `None`: any of them.
        container: Option<&'a str>,
        /// `operator`.
        operator: Operator,
        /// `values`.
        #[serde(borrow)]
        codes: List<'a, u8>,
    },
    /// The pod has one of these conditions.
    Conditions(#[serde(borrow)] List<'a, ConditionPattern<'a>>),
}

/// One of `onPodConditions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionPattern<'a> {
    /// `type`.
    pub kind: &'a str,
    /// `status`: `True` or `False`.
    pub status: bool,
}

/// One of `successPolicy.rules`: so many of these numbers are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessRule {
    /// `succeededIndexes`: a bit for each.
    pub indexes: u64,
    /// `succeededCount`, or as many as there are bits.
    pub count: u8,
}
