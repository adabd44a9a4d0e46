//! What a container says of its own end: where its last words are, and what follows by its exit code.

use super::List;
use serde::{Deserialize, Serialize};

/// `restartPolicyRules[*]`: what is started again after a container has ended with one of these exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRule<'a> {
    /// `exitCodes.operator`.
    pub operator: Operator,
    /// `exitCodes.values`.
    #[serde(borrow)]
    pub codes: List<'a, u8>,
    /// `action`.
    pub action: RestartAction,
}

/// `restartPolicyRules[*].action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartAction {
    /// The container.
    Restart,
    /// All containers of its pod, init containers included.
    RestartAllContainers,
}

impl RestartAction {
    /// Both.
    pub const ALL: [RestartAction; 2] = [RestartAction::Restart, RestartAction::RestartAllContainers];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            RestartAction::Restart => "Restart",
            RestartAction::RestartAllContainers => "RestartAllContainers",
        }
    }
}

/// `exitCodes.operator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// The exit code is one of these.
    In,
    /// The exit code is none of these.
    NotIn,
}

/// `terminationMessagePolicy`: where a container's last words are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessagePolicy {
    /// The file at `terminationMessagePath`.
    File,
    /// The same; of a container that failed and left none, the end of its log.
    FallbackToLogsOnError,
}

/// `lifecycle.stopSignal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopSignal<'a> {
    /// As it is written: `SIGUSR1`.
    pub name: &'a str,
    /// Its number.
    pub number: u8,
}
