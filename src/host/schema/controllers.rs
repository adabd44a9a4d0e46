//! The fields of the controllers' documents.

use super::Support::{Cluster, Only, Read};
use super::{Field, Table, unraw};

table!(DEPLOYMENT "Deployment" { apiVersion: Read, kind: Read, metadata: Read, spec: Read, status: Cluster });
table!(DEPLOYMENT_SPEC "DeploymentSpec" {
    minReadySeconds: Read, paused: Read, progressDeadlineSeconds: Cluster, replicas: Read,
    revisionHistoryLimit: Cluster, selector: Read, strategy: Read, template: Read,
});
table!(STRATEGY "DeploymentStrategy" { rollingUpdate: Read, r#type: Read });
table!(ROLLING "RollingUpdateDeployment" { maxSurge: Read, maxUnavailable: Read });
table!(SELECTOR "LabelSelector" { matchExpressions: Read, matchLabels: Read });
table!(REQUIREMENT "LabelSelectorRequirement" { key: Read, operator: Read, values: Read });
table!(TEMPLATE "PodTemplateSpec" { metadata: Read, spec: Read });
table!(REPLICA_SET "ReplicaSet" { apiVersion: Read, kind: Read, metadata: Read, spec: Read, status: Cluster });
table!(REPLICA_SET_SPEC "ReplicaSetSpec" { minReadySeconds: Cluster, replicas: Read, selector: Read, template: Read });
table!(REPLICATION "ReplicationController" { apiVersion: Read, kind: Read, metadata: Read, spec: Read, status: Cluster });
table!(REPLICATION_SPEC "ReplicationControllerSpec" { minReadySeconds: Cluster, replicas: Read, selector: Read, template: Read });
table!(DAEMON_SET "DaemonSet" { apiVersion: Read, kind: Read, metadata: Read, spec: Read, status: Cluster });
table!(DAEMON_SET_SPEC "DaemonSetSpec" {
    minReadySeconds: Read, revisionHistoryLimit: Cluster, selector: Read, template: Read, updateStrategy: Read,
});
table!(DAEMON_STRATEGY "DaemonSetUpdateStrategy" { rollingUpdate: Read, r#type: Read });
table!(STATEFUL_SET "StatefulSet" { apiVersion: Read, kind: Read, metadata: Read, spec: Read, status: Cluster });
table!(STATEFUL_SET_SPEC "StatefulSetSpec" {
    minReadySeconds: Read, ordinals: Read, persistentVolumeClaimRetentionPolicy: Read, podManagementPolicy: Read,
    replicas: Read, revisionHistoryLimit: Cluster, selector: Read, serviceName: Read, template: Read, updateStrategy: Read,
    volumeClaimTemplates: Read,
});
table!(STATEFUL_STRATEGY "StatefulSetUpdateStrategy" { rollingUpdate: Read, r#type: Read });
table!(STATEFUL_ROLLING "RollingUpdateStatefulSetStrategy" { maxUnavailable: Read, partition: Read });
table!(ORDINALS "StatefulSetOrdinals" { start: Read });
table!(RETENTION "StatefulSetPersistentVolumeClaimRetentionPolicy" {
    whenDeleted: Read, whenScaled: Read,
});
table!(CLAIM_TEMPLATE "PersistentVolumeClaimTemplate" {
    apiVersion: Only(&["v1"]), kind: Only(&["PersistentVolumeClaim"]), metadata: Read, spec: Read, status: Cluster,
});
table!(JOB "Job" { apiVersion: Read, kind: Read, metadata: Read, spec: Read, status: Cluster });
table!(JOB_SPEC "JobSpec" {
    activeDeadlineSeconds: Read, backoffLimit: Read, backoffLimitPerIndex: Read, completionMode: Read, completions: Read,
    managedBy: Only(&["kubernetes.io/job-controller"]), manualSelector: Cluster, maxFailedIndexes: Read, parallelism: Read,
    podFailurePolicy: Read, podReplacementPolicy: Read, selector: Cluster,
    successPolicy: Read, suspend: Read, template: Read, ttlSecondsAfterFinished: Read,
});
table!(FAILURE_POLICY "PodFailurePolicy" { rules: Read });
table!(FAILURE_RULE "PodFailurePolicyRule" { action: Read, onExitCodes: Read, onPodConditions: Read });
table!(FAILURE_CODES "PodFailurePolicyOnExitCodesRequirement" { containerName: Read, operator: Read, values: Read });
table!(FAILURE_CONDITION "PodFailurePolicyOnPodConditionsPattern" { status: Read, r#type: Read });
table!(SUCCESS_POLICY "SuccessPolicy" { rules: Read });
table!(SUCCESS_RULE "SuccessPolicyRule" { succeededCount: Read, succeededIndexes: Read });
table!(CRON_JOB "CronJob" { apiVersion: Read, kind: Read, metadata: Read, spec: Read, status: Cluster });
table!(CRON_JOB_SPEC "CronJobSpec" {
    concurrencyPolicy: Read, failedJobsHistoryLimit: Read, jobTemplate: Read, schedule: Read, startingDeadlineSeconds: Read,
    successfulJobsHistoryLimit: Read, suspend: Read, timeZone: Read,
});
table!(JOB_TEMPLATE "JobTemplateSpec" { metadata: Read, spec: Read });

/// Every type of the controllers' documents.
pub static CONTROLLER_TYPES: &[&Table] = &[
    &DEPLOYMENT,
    &DEPLOYMENT_SPEC,
    &STRATEGY,
    &ROLLING,
    &SELECTOR,
    &REQUIREMENT,
    &TEMPLATE,
    &REPLICA_SET,
    &REPLICA_SET_SPEC,
    &REPLICATION,
    &REPLICATION_SPEC,
    &DAEMON_SET,
    &DAEMON_SET_SPEC,
    &DAEMON_STRATEGY,
    &STATEFUL_SET,
    &STATEFUL_SET_SPEC,
    &STATEFUL_STRATEGY,
    &STATEFUL_ROLLING,
    &ORDINALS,
    &RETENTION,
    &CLAIM_TEMPLATE,
    &JOB,
    &JOB_SPEC,
    &FAILURE_POLICY,
    &FAILURE_RULE,
    &FAILURE_CODES,
    &FAILURE_CONDITION,
    &SUCCESS_POLICY,
    &SUCCESS_RULE,
    &CRON_JOB,
    &CRON_JOB_SPEC,
    &JOB_TEMPLATE,
];
