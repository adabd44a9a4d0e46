//! The controller that a pod came from (spec 54–58): on one board it is its pods, and what is left of it rides with each of them.

use super::List;
use super::job::{FailureRule, SuccessRule};
use super::zone::Zone;
use serde::{Deserialize, Serialize};

/// `metadata.ownerReferences`: kubectl's `Controlled By`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner<'a> {
    /// What it is, and what it asks for.
    #[serde(borrow)]
    pub controller: Controller<'a>,
    /// `metadata.name`. For a Deployment that of its ReplicaSet, as in Kubernetes.
    pub name: &'a str,
}

/// A StatefulSet, whether or not it has pods now, and what becomes of the claims that it has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimOwner<'a> {
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `persistentVolumeClaimRetentionPolicy`.
    pub retention: ClaimRetention,
}

/// `persistentVolumeClaimRetentionPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRetention {
    /// `whenDeleted`: when the StatefulSet is not there any more.
    pub when_deleted: Retention,
    /// `whenScaled`: when the pod that a claim was for is beyond `replicas`.
    pub when_scaled: Retention,
}

/// What becomes of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retention {
    /// It stays.
    #[default]
    Retain,
    /// It goes, with all that is in it.
    Delete,
}

impl Retention {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Retention::Retain => "Retain",
            Retention::Delete => "Delete",
        }
    }
}

/// The kinds of controllers, each with what it asks of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Controller<'a> {
    /// A ReplicaSet, of a Deployment's or its own.
    ReplicaSet(Update),
    /// A ReplicationController.
    ReplicationController,
    /// A DaemonSet: one pod on the one board.
    DaemonSet(Update),
    /// A StatefulSet (spec 65).
    StatefulSet(Start, Update),
    /// A Job.
    Job(#[serde(borrow)] JobRules<'a>),
}

/// How its pods make way for those of a newer template (spec 57, 64, 65).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// `strategy`, or `updateStrategy`.
    pub strategy: Strategy,
    /// `minReadySeconds`: how long a pod must be Ready to count as available.
    pub min_ready_seconds: u32,
}

impl Update {
    /// Of a controller that replaces nothing.
    pub const NONE: Update = Update { strategy: Strategy::OnDelete, min_ready_seconds: 0 };
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// `OnDelete`, and whatever replaces nothing: new ones come as somebody ends the old ones.
    OnDelete,
    /// `Recreate`: new ones come when all old ones are gone.
    Recreate,
    /// `RollingUpdate`, in numbers of pods, of which one is not 0.
    Rolling {
        /// `maxSurge`: how many more there may be.
        surge: u16,
        /// `maxUnavailable`: how many fewer may be available.
        unavailable: u16,
    },
    /// `RollingUpdate` of a StatefulSet, from the last pod on.
    Ordered {
        /// `partition`: those before that one stay as they are, counted from the first one.
        partition: u16,
        /// `maxUnavailable`, at least 1.
        unavailable: u16,
    },
}

/// `podManagementPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// `OrderedReady`: each pod once those before it are Ready.
    OrderedReady,
    /// `Parallel`: all at once.
    Parallel,
}

impl Controller<'_> {
    /// The kind's name.
    pub const fn kind(self) -> &'static str {
        match self {
            Controller::ReplicaSet(_) => "ReplicaSet",
            Controller::ReplicationController => "ReplicationController",
            Controller::DaemonSet(_) => "DaemonSet",
            Controller::StatefulSet(..) => "StatefulSet",
            Controller::Job(_) => "Job",
        }
    }

    /// How its pods make way for newer ones.
    pub const fn update(&self) -> Update {
        match *self {
            Controller::ReplicaSet(update) | Controller::DaemonSet(update) | Controller::StatefulSet(_, update) => {
                update
            }
            Controller::ReplicationController | Controller::Job(_) => Update::NONE,
        }
    }

    /// The version of the API that has it.
    pub const fn version(self) -> &'static str {
        match self {
            Controller::ReplicationController => "v1",
            Controller::Job(_) => "batch/v1",
            Controller::ReplicaSet(_) | Controller::DaemonSet(_) | Controller::StatefulSet(..) => "apps/v1",
        }
    }
}

/// What a Job asks for. Each of its pods is one completion, or one worker on a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRules<'a> {
    /// When it is complete.
    pub goal: Goal,
    /// `parallelism`: pods at once; 0 where it is suspended.
    pub parallelism: u16,
    /// `backoffLimit`: failures after which it has failed.
    pub backoff_limit: u32,
    /// `activeDeadlineSeconds`.
    pub deadline_seconds: Option<u32>,
    /// `ttlSecondsAfterFinished`: then its pods are removed.
    pub ttl_seconds: Option<u32>,
    /// When it begins, again and again; `None` for a Job, which begins at once.
    pub schedule: Option<Schedule>,
    /// `backoffLimitPerIndex`: failures after which one of its numbers has failed.
    pub index_backoff_limit: Option<u32>,
    /// `maxFailedIndexes`.
    pub max_failed_indexes: Option<u32>,
    /// `podFailurePolicy`.
    #[serde(borrow)]
    pub failure_policy: List<'a, FailureRule<'a>>,
    /// `successPolicy`.
    #[serde(borrow)]
    pub success_policy: List<'a, SuccessRule>,
}

/// When a Job is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// `completions`: each of its pods has succeeded.
    Each,
    /// A work queue: one of its pods has succeeded, and none runs any more.
    Any,
}

/// When a CronJob's Job begins: `schedule`, a bit for each minute, hour and so on that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Bits 0 to 59.
    pub minutes: u64,
    /// Bits 0 to 23.
    pub hours: u32,
    /// Days of the month: bits 1 to 31.
    pub days: u32,
    /// Bits 1 to 12.
    pub months: u16,
    /// Days of the week: bits 0 (Sunday) to 6.
    pub weekdays: u8,
    /// `concurrencyPolicy`.
    pub concurrency: Concurrency,
    /// `startingDeadlineSeconds`: how late a run may still begin.
    pub deadline_seconds: Option<u32>,
    /// `timeZone`.
    pub zone: Zone,
    /// Runs that there may be at once, ended ones that are kept among them: each has an equal part of the pods.
    pub runs: u8,
    /// `successfulJobsHistoryLimit` and `failedJobsHistoryLimit`, as far as there are runs.
    pub keeps: [u8; 2],
}

impl Schedule {
    /// Every minute.
    pub const ALL_MINUTES: u64 = (1 << 60) - 1;
    /// Every hour.
    pub const ALL_HOURS: u32 = (1 << 24) - 1;
    /// Every day of the month.
    pub const ALL_DAYS: u32 = !1;
    /// Every month.
    pub const ALL_MONTHS: u16 = (1 << 13) - 2;
    /// Every day of the week.
    pub const ALL_WEEKDAYS: u8 = (1 << 7) - 1;
}

/// What a run does that is due while the one before still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Concurrency {
    /// It begins beside the other.
    Allow,
    /// It is left out.
    Forbid,
    /// It takes the place of the other.
    Replace,
}
