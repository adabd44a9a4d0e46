//! The controller that a pod came from (spec 54–58): on one board it is its pods, and what is left of it rides with each of them.

use serde::{Deserialize, Serialize};

/// `metadata.ownerReferences`: kubectl's `Controlled By`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner<'a> {
    /// What it is, and what it asks for.
    pub controller: Controller,
    /// `metadata.name`. For a Deployment that of its ReplicaSet, as in Kubernetes.
    pub name: &'a str,
}

/// The kinds of controllers, each with what it asks of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Controller {
    /// A ReplicaSet, of a Deployment's or its own.
    ReplicaSet(Replacement),
    /// A ReplicationController.
    ReplicationController,
    /// A DaemonSet: one pod on the one board.
    DaemonSet(Replacement),
    /// A StatefulSet (spec 65).
    StatefulSet(Start),
    /// A Job.
    Job(JobRules),
}

/// How a pod makes room for the one of a newer manifest (spec 57, 64): `strategy` and `updateStrategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Replacement {
    /// The old one ends first: `Recreate`, or a rolling update without surge.
    EndFirst,
    /// The new one is made Ready first: a rolling update with surge.
    ReadyFirst,
}

/// `podManagementPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// `OrderedReady`: each pod once those before it are Ready.
    OrderedReady,
    /// `Parallel`: all at once.
    Parallel,
}

impl Controller {
    /// The kind's name.
    pub const fn kind(self) -> &'static str {
        match self {
            Controller::ReplicaSet(_) => "ReplicaSet",
            Controller::ReplicationController => "ReplicationController",
            Controller::DaemonSet(_) => "DaemonSet",
            Controller::StatefulSet(_) => "StatefulSet",
            Controller::Job(_) => "Job",
        }
    }

    /// The version of the API that has it.
    pub const fn version(self) -> &'static str {
        match self {
            Controller::ReplicationController => "v1",
            Controller::Job(_) => "batch/v1",
            Controller::ReplicaSet(_) | Controller::DaemonSet(_) | Controller::StatefulSet(_) => "apps/v1",
        }
    }
}

/// What a Job asks for. Each of its pods is one completion, or one worker on a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRules {
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
}

/// When a Job is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// `completions`: each of its pods has succeeded.
    Each,
    /// A work queue: one of its pods has succeeded, and none runs any more.
    Any,
}
