//! What is true of a pod right now: phases, states, conditions and reasons, as Kubernetes names them (spec 44–53).

use super::eviction::Evicted;
use super::limits;
use super::pod::Pod;
use super::time::Instant;
use heapless::String;
use serde::{Deserialize, Serialize};

/// The text behind a reason: bounded, cut at a character border where it is longer.
pub type Message = String<{ limits::MESSAGE }>;

/// A [`Message`] from any text, cut where it is too long.
pub fn message(text: &str) -> Message {
    let mut cut = text.len().min(limits::MESSAGE);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    Message::try_from(&text[..cut]).unwrap_or_default()
}

/// `status.phase` (spec 47). Computed, never stored (spec 53).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Accepted, some container not yet set up.
    Pending,
    /// All created, at least one running, starting or restarting.
    Running,
    /// All ended well, none will restart.
    Succeeded,
    /// All ended, at least one in failure.
    Failed,
    /// The state could not be obtained.
    Unknown,
}

impl Phase {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Pending => "Pending",
            Phase::Running => "Running",
            Phase::Succeeded => "Succeeded",
            Phase::Failed => "Failed",
            Phase::Unknown => "Unknown",
        }
    }

    /// Whether it never changes again.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Phase::Succeeded | Phase::Failed)
    }
}

/// Why a pod has failed as a whole, whatever its containers did: `status.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It took longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
    /// It was evicted (spec 97).
    Evicted(Evicted),
}

impl Verdict {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::DeadlineExceeded => "DeadlineExceeded",
            Verdict::Evicted(_) => "Evicted",
        }
    }

    /// `status.message` of `pod`, in kubelet's words.
    pub fn message(&self, pod: &Pod<'_>) -> Message {
        match self {
            Verdict::DeadlineExceeded => message("Pod was active on the node longer than the specified deadline"),
            Verdict::Evicted(why) => why.message(pod),
        }
    }

    /// Whether people are warned of it.
    pub const fn is_warning(self) -> bool {
        matches!(self, Verdict::Evicted(_))
    }
}

/// Why a container waits, or how it ended (spec 44).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Waiting: the sandbox or the container is being made.
    ContainerCreating,
    /// Waiting: the init containers before it have not all succeeded.
    PodInitializing,
    /// Waiting: it failed, and the next start is not due yet.
    CrashLoopBackOff,
    /// Waiting: the image is not on this board.
    ImageMissing,
    /// Waiting: the image on this board cannot be used.
    ImageInvalid,
    /// Waiting: what the pod says cannot be done with this container.
    CreateContainerConfigError,
    /// Waiting: the kernel refused something on the way to the first instruction.
    CreateContainerError,
    /// Waiting: the program could not be executed.
    RunContainerError,
    /// Waiting: its postStart hook failed, and the next start is not due yet.
    PostStartHookError,
    /// Terminated: exit code 0.
    Completed,
    /// Terminated: another exit code, or a signal.
    Error,
    /// Terminated by the kernel for want of memory.
    OomKilled,
    /// Terminated: nobody saw how; the exit code is 137.
    ContainerStatusUnknown,
}

impl Reason {
    /// The word, as kubectl shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::ContainerCreating => "ContainerCreating",
            Reason::PodInitializing => "PodInitializing",
            Reason::CrashLoopBackOff => "CrashLoopBackOff",
            Reason::ImageMissing => "ImageMissing",
            Reason::ImageInvalid => "ImageInvalid",
            Reason::CreateContainerConfigError => "CreateContainerConfigError",
            Reason::CreateContainerError => "CreateContainerError",
            Reason::RunContainerError => "RunContainerError",
            Reason::PostStartHookError => "PostStartHookError",
            Reason::Completed => "Completed",
            Reason::Error => "Error",
            Reason::OomKilled => "OOMKilled",
            Reason::ContainerStatusUnknown => "ContainerStatusUnknown",
        }
    }
}

/// How a process ended, as the parent saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code; 128 + n where signal n ended it (spec 41).
    pub code: u8,
    /// The signal that ended it, or 0.
    pub signal: u8,
    /// The kernel killed something in its cgroup for want of memory (spec 95).
    pub oom: bool,
}

impl Exit {
    /// It ended well.
    pub const OK: Exit = Exit { code: 0, signal: 0, oom: false };
    /// Nobody saw how it ended.
    pub const UNKNOWN: Exit = Exit { code: 137, signal: 9, oom: false };

    /// The exit by signal `signal`.
    pub const fn by_signal(signal: u8) -> Exit {
        Exit { code: 128u8.wrapping_add(signal), signal, oom: false }
    }

    /// Whether it ended well.
    pub const fn success(self) -> bool {
        self.code == 0 && self.signal == 0
    }
}

/// `state.terminated` and `lastState.terminated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminated {
    /// Completed, Error, OOMKilled or ContainerStatusUnknown.
    pub reason: Reason,
    /// How.
    pub exit: Exit,
    /// When it had started; `None` where it never did.
    pub started: Option<Instant>,
    /// When it ended.
    pub finished: Instant,
}

/// `state` of a container status (spec 44).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Not running, and will be (again).
    Waiting(Reason),
    /// Running since then.
    Running(Instant),
    /// Over.
    Terminated(Terminated),
}

/// The types of `status.conditions` (spec 45).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionKind {
    /// Accepted by this node.
    PodScheduled,
    /// The sandbox stands.
    PodReadyToStartContainers,
    /// All init containers have succeeded.
    Initialized,
    /// All containers are ready.
    ContainersReady,
    /// The pod serves.
    Ready,
    /// The pod is being ended from outside.
    DisruptionTarget,
    /// All containers are being killed, to begin anew.
    AllContainersRestarting,
}

impl ConditionKind {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            ConditionKind::PodScheduled => "PodScheduled",
            ConditionKind::PodReadyToStartContainers => "PodReadyToStartContainers",
            ConditionKind::Initialized => "Initialized",
            ConditionKind::ContainersReady => "ContainersReady",
            ConditionKind::Ready => "Ready",
            ConditionKind::DisruptionTarget => "DisruptionTarget",
            ConditionKind::AllContainersRestarting => "AllContainersRestarting",
        }
    }

    /// `reason` of one that is true.
    pub const fn reason(self) -> &'static str {
        match self {
            ConditionKind::DisruptionTarget => "TerminationByKubelet",
            ConditionKind::AllContainersRestarting => "ContainerExited",
            _ => "",
        }
    }
}

/// One of `status.conditions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `type`.
    pub kind: ConditionKind,
    /// `status`.
    pub status: bool,
    /// `reason`, or empty.
    pub reason: &'static str,
    /// `lastTransitionTime`.
    pub since: Instant,
}

/// A pod's identity: a v4 UUID (spec 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Uid(pub [u8; 16]);

impl Uid {
    /// A v4 UUID from 16 random bytes.
    pub const fn from_random(mut bytes: [u8; 16]) -> Uid {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uid(bytes)
    }
}

impl core::fmt::Display for Uid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            if matches!(n, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl core::str::FromStr for Uid {
    type Err = ();

    fn from_str(text: &str) -> Result<Uid, ()> {
        let mut bytes = [0; 16];
        let mut digits = text.bytes().filter(|b| *b != b'-').map(|b| char::from(b).to_digit(16));
        for byte in &mut bytes {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else { return Err(()) };
            *byte = (high << 4 | low) as u8;
        }
        if digits.next().is_none() { Ok(Uid(bytes)) } else { Err(()) }
    }
}
