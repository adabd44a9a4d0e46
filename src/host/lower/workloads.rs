//! The controllers whose pods run on and on (spec 54–58, 64, 65): Deployment, ReplicaSet, ReplicationController, DaemonSet, StatefulSet.

use super::controllers::{Document, Given, claim_template};
use super::names;
use super::objects::PodObject;
use super::update;
use crate::host::read::Object;
use crate::host::schema;
use crate::manifest::limits;
use crate::manifest::owner::{ClaimOwner, ClaimRetention, Controller, Owner, Retention, Start, Update};
use std::format;
use std::prelude::v1::*;

/// The annotation of a template's own number, as the Deployment's controller puts it.
const TEMPLATE_HASH: &str = "pod-template-hash";
const REVISION_HASH: &str = "controller-revision-hash";

/// A Deployment: pods NAME-HASH-SUFFIX of a ReplicaSet NAME-HASH.
pub(super) fn deployment<'a>(document: &Document<'a>) -> Vec<PodObject<'a>> {
    document.selects(false);
    let _ = document.restarts(&["Always"]);
    let controller = Controller::ReplicaSet(update::deployment(&document.spec, document.replicas()));
    let hash = document.hash();
    let set = document.arena.str(&format!("{}-{hash}", document.meta.name));
    let given = Given { owner: Some(Owner { controller, name: set }), ..Given::default() };
    many(document, set, &[(TEMPLATE_HASH, &hash)], &given)
}

/// A ReplicaSet of its own: pods NAME-SUFFIX.
pub(super) fn replica_set<'a>(document: &Document<'a>) -> Vec<PodObject<'a>> {
    document.selects(false);
    let _ = document.restarts(&["Always"]);
    let owner = document.owner(Controller::ReplicaSet(Update::NONE));
    many(document, document.meta.name, &[], &Given { owner, ..Given::default() })
}

/// A ReplicationController: the same, with the selector of its time.
pub(super) fn replication_controller<'a>(document: &Document<'a>) -> Vec<PodObject<'a>> {
    document.selects(true);
    let _ = document.restarts(&["Always"]);
    let owner = document.owner(Controller::ReplicationController);
    many(document, document.meta.name, &[], &Given { owner, ..Given::default() })
}

/// A DaemonSet: one pod on each node, so one.
pub(super) fn daemon_set<'a>(document: &Document<'a>) -> Vec<PodObject<'a>> {
    document.selects(false);
    let _ = document.restarts(&["Always"]);
    let owner = document.owner(Controller::DaemonSet(update::daemon_set(&document.spec)));
    let given = Given { owner, ..Given::default() };
    let name = document.pod_name(document.meta.name, 0);
    Vec::from([document.pod(&name, &[(REVISION_HASH, &document.hash()), ("pod-template-generation", "1")], given)])
}

/// A StatefulSet: pods NAME-0, NAME-1 … that keep their names and claims (spec 65).
pub(super) fn stateful_set<'a>(document: &Document<'a>) -> Vec<PodObject<'a>> {
    let spec = &document.spec;
    document.selects(false);
    let _ = document.restarts(&["Always"]);
    let policy = spec.get("podManagementPolicy").and_then(|word| word.choice(&["OrderedReady", "Parallel"]));
    let start = if policy == Some("Parallel") { Start::Parallel } else { Start::OrderedReady };
    let service =
        spec.get("serviceName").filter(|place| place.text() != Some("")).and_then(|place| names::label(&place));
    let first = spec.get("ordinals").and_then(|place| place.object(&schema::ORDINALS)).and_then(|o| o.get("start"));
    let first = first.and_then(|place| place.integer(0..=i64::from(u16::MAX)));
    let first = first.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let update = update::stateful_set(spec, first, document.replicas());
    let claims = spec.get("volumeClaimTemplates").map(|list| list.list(limits::VOLUMES)).unwrap_or_default();
    let claims: Vec<(&str, Option<u64>, Object<'a>)> = claims.iter().filter_map(claim_template).collect();
    let hash = document.hash();
    let revision = format!("{}-{hash}", document.meta.name);
    // The value of a label.
    let revision = if revision.len() > limits::LABEL { &hash } else { &revision };
    let pod = |number: usize| {
        let name = document.numbered(number);
        if name.len() > limits::LABEL && number == first {
            let most = limits::LABEL;
            spec.place
                .error(format!("the pod {name} has a name of {} bytes: at most {most} are possible here", name.len()));
        }
        let claim = |(volume, block, _): &(&'a str, Option<u64>, Object<'a>)| {
            (*volume, document.arena.str(&format!("{volume}-{name}")), *block)
        };
        let given = Given {
            owner: document.owner(Controller::StatefulSet(start, update)),
            service,
            claims: claims.iter().map(claim).collect(),
            asked: claims.iter().map(|(_, _, spec)| spec.clone()).collect(),
            ..Given::default()
        };
        let index = format!("{number}");
        let labels = [
            ("apps.kubernetes.io/pod-index", &*index),
            (REVISION_HASH, revision),
            ("statefulset.kubernetes.io/pod-name", &name),
        ];
        document.pod(&name, &labels, given)
    };
    (first..first + document.replicas()).map(pod).collect()
}

/// What a StatefulSet does with its claims.
pub(super) fn claim_owner<'a>(document: &Document<'a>) -> ClaimOwner<'a> {
    let policy = document.spec.get("persistentVolumeClaimRetentionPolicy").and_then(|it| it.object(&schema::RETENTION));
    let word = |name| match policy.as_ref()?.get(name)?.choice(&["Retain", "Delete"])? {
        "Delete" => Some(Retention::Delete),
        _ => Some(Retention::Retain),
    };
    let [when_deleted, when_scaled] = ["whenDeleted", "whenScaled"].map(|name| word(name).unwrap_or_default());
    let retention = ClaimRetention { when_deleted, when_scaled };
    ClaimOwner { namespace: document.meta.namespace, name: document.meta.name, retention }
}

/// As many pods as there are replicas.
fn many<'a>(
    document: &Document<'a>,
    beginning: &str,
    labels: &[(&'static str, &str)],
    given: &Given<'a>,
) -> Vec<PodObject<'a>> {
    let pod = |number| document.pod(&document.pod_name(beginning, number), labels, given.clone());
    (0..document.replicas()).map(pod).collect()
}
