//! What all controllers have in common (spec 54–58): a template, a selector, and pods that are named, labelled and owned alike.

use super::objects::{Metadata, PodObject, describe, metadata};
use super::{claims, facts, names};
use super::{cronjob, job, workloads};
use crate::host::arena::Arena;
use crate::host::diagnostic::quote;
use crate::host::read::{Object, Place};
use crate::host::schema::{self, Table};
use crate::manifest::limits;
use crate::manifest::owner::{ClaimOwner, Controller, Owner};
use crate::manifest::pod::{Disk, EnvVar, Pair, Source, Volume};
use std::format;
use std::prelude::v1::*;

/// What a controller gives one of its pods beside the template.
#[derive(Clone, Default)]
pub(super) struct Given<'a> {
    /// The controller.
    pub(super) owner: Option<Owner<'a>>,
    /// A host name, where that is not the pod's name.
    pub(super) hostname: Option<&'a str>,
    /// The service whose domain it is in.
    pub(super) service: Option<&'a str>,
    /// Volumes and the claims that they are; how large, where they are block devices.
    pub(super) claims: Vec<(&'a str, &'a str, Option<u64>)>,
    /// What is asked of these.
    pub(super) asked: Vec<Object<'a>>,
    /// Its number among the completions of a Job.
    pub(super) index: Option<&'a str>,
}

impl<'a> Given<'a> {
    /// The CronJob that has pods for several runs, which may use the same things in turn.
    pub(super) fn cron_job(&self) -> Option<Owner<'a>> {
        self.owner.filter(|owner| matches!(owner.controller, Controller::Job(rules) if rules.schedule.is_some()))
    }

    /// The variable of each of its containers.
    pub(super) fn variable(&self) -> Option<EnvVar<'a>> {
        self.index.map(|value| EnvVar { key: "JOB_COMPLETION_INDEX", value, secret: false })
    }

    /// Puts the claims where the pod's own volumes are; of the same name they win, as in Kubernetes.
    pub(super) fn mount_claims<'c>(&self, volumes: &mut Vec<Volume<'c>>, place: &Place<'_>)
    where
        'a: 'c,
    {
        for (volume, claim, block) in &self.claims {
            let source = match *block {
                Some(bytes) => Source::Block { disk: Disk::Claim { claim, bytes }, read_only: false },
                None => Source::Claim { name: claim, read_only: false },
            };
            let volume = Volume { name: volume, source };
            match volumes.iter_mut().find(|v| v.name == volume.name) {
                Some(own) => *own = volume,
                None => volumes.push(volume),
            }
        }
        if volumes.len() > limits::VOLUMES {
            let most = limits::VOLUMES;
            place
                .error(format!("at most {most} volumes are possible, and with the claims there are {}", volumes.len()));
        }
    }
}

/// The pods of a controller's document; a StatefulSet is put among `owners`.
pub(super) fn lower<'a>(
    kind: &str,
    root: &Place<'a>,
    arena: &'a Arena,
    owners: &mut Vec<ClaimOwner<'a>>,
) -> Vec<PodObject<'a>> {
    let (table, spec) = match kind {
        "Deployment" => (&schema::DEPLOYMENT, &schema::DEPLOYMENT_SPEC),
        "ReplicaSet" => (&schema::REPLICA_SET, &schema::REPLICA_SET_SPEC),
        "ReplicationController" => (&schema::REPLICATION, &schema::REPLICATION_SPEC),
        "DaemonSet" => (&schema::DAEMON_SET, &schema::DAEMON_SET_SPEC),
        "Job" => (&schema::JOB, &schema::JOB_SPEC),
        "CronJob" => return cronjob::lower(root, arena).unwrap_or_default(),
        _ => (&schema::STATEFUL_SET, &schema::STATEFUL_SET_SPEC),
    };
    let Some(document) = Document::read(root, table, spec, arena) else {
        return Vec::new();
    };
    match kind {
        "Deployment" => workloads::deployment(&document),
        "ReplicaSet" => workloads::replica_set(&document),
        "ReplicationController" => workloads::replication_controller(&document),
        "DaemonSet" => workloads::daemon_set(&document),
        "Job" => job::pods(&document, None, |_| {}),
        _ => {
            owners.push(workloads::claim_owner(&document));
            workloads::stateful_set(&document)
        }
    }
}

/// A controller's document, as far as all kinds are alike.
pub(super) struct Document<'a> {
    pub(super) arena: &'a Arena,
    /// The controller's own.
    pub(super) meta: Metadata<'a>,
    pub(super) spec: Object<'a>,
    /// The template's: its place, its labels and annotations, its spec, and a number for what it says.
    place: Place<'a>,
    template: Metadata<'a>,
    pod: Option<Object<'a>>,
    digest: u32,
}

impl<'a> Document<'a> {
    fn read(root: &Place<'a>, table: &'static Table, spec: &'static Table, arena: &'a Arena) -> Option<Self> {
        let object = root.object(table)?;
        let meta = metadata(&object);
        let spec = object.require("spec")?.object(spec)?;
        Document::of(arena, meta, spec)
    }

    /// The document of a spec with a template.
    pub(super) fn of(arena: &'a Arena, meta: Metadata<'a>, spec: Object<'a>) -> Option<Self> {
        let place = spec.require("template")?;
        let template = place.object(&schema::TEMPLATE)?;
        let mut described = meta.clone();
        (described.labels, described.annotations, described.annotation_places) = Default::default();
        if let Some(of_pods) = template.get("metadata").and_then(|m| m.object(&schema::METADATA)) {
            describe(&of_pods, &mut described);
        }
        let pod = template.require("spec").and_then(|pod| pod.object(&schema::POD_SPEC));
        let digest = place.digest();
        Some(Document { arena, meta, spec, place, template: described, pod, digest })
    }

    /// `replicas`, one where nothing is said.
    pub(super) fn replicas(&self) -> usize {
        let most = i64::try_from(limits::PODS).unwrap_or(i64::MAX);
        let number = self.spec.get("replicas").map_or(Some(1), |place| place.integer(0..=most));
        number.and_then(|n| usize::try_from(n).ok()).unwrap_or(1)
    }

    /// `restartPolicy` is one of `policies`; what stands for none is Always.
    pub(super) fn restarts(&self, policies: &[&'static str]) -> Option<&'static str> {
        let pod = self.pod.as_ref()?;
        match pod.get("restartPolicy") {
            Some(place) => return place.one_of(policies),
            None if !policies.contains(&"Always") => {
                pod.place.error(format!("restartPolicy: is required here: {}", policies.join(" or ")));
            }
            None => {}
        }
        None
    }

    /// The names of the template's containers.
    pub(super) fn containers(&self) -> Vec<&'a str> {
        self.pod.as_ref().map(facts::containers).unwrap_or_default()
    }

    /// Checks that `selector` selects the pods of the template. That of a ReplicationController is labels and nothing else.
    pub(super) fn selects(&self, only_labels: bool) {
        let place = if only_labels { self.spec.get("selector") } else { self.spec.require("selector") };
        let Some(place) = place else { return };
        let labels = match only_labels {
            true => Some(place.clone()),
            false => {
                let Some(selector) = place.object(&schema::SELECTOR) else { return };
                let expressions = selector.get("matchExpressions");
                for one in expressions.iter().flat_map(|list| list.list(limits::PAIRS)) {
                    self.expression(&one);
                }
                let labels = selector.get("matchLabels");
                if labels.is_none() && expressions.is_none() {
                    place.error("selects nothing: write the labels of the template under matchLabels");
                }
                labels
            }
        };
        for (key, wanted) in labels.iter().flat_map(|labels| labels.map(limits::PAIRS)) {
            let Some(text) = wanted.text() else { continue };
            if self.label(key) != Some(text) {
                let label = quote(&format!("{key}: {text}"));
                wanted.error(format!("does not select the pods of spec.template, which have no label {label}"));
            }
        }
    }

    fn label(&self, key: &str) -> Option<&'a str> {
        self.template.labels.iter().find(|pair| pair.key == key).map(|pair| pair.value)
    }

    fn expression(&self, place: &Place<'a>) {
        let Some(object) = place.object(&schema::REQUIREMENT) else { return };
        let key = object.require("key").and_then(|key| key.text());
        let operator =
            object.require("operator").and_then(|word| word.one_of(&["In", "NotIn", "Exists", "DoesNotExist"]));
        let values = object.get("values").map(|list| list.texts(limits::PAIRS)).unwrap_or_default();
        let (Some(key), Some(operator)) = (key, operator) else { return };
        let own = self.label(key);
        let selects = match operator {
            "In" => own.is_some_and(|own| values.contains(&own)),
            "NotIn" => !own.is_some_and(|own| values.contains(&own)),
            "Exists" => own.is_some(),
            _ => own.is_none(),
        };
        if !selects {
            place.error(format!("does not select the pods of spec.template, by their label {}", quote(key)));
        }
    }

    /// A few letters for the template: the same as long as it says the same.
    pub(super) fn hash(&self) -> String {
        safe(self.digest)
    }

    /// `BEGINNING-xxxxx` for pod `number`: the same in every build of the same document.
    pub(super) fn pod_name(&self, beginning: &str, number: usize) -> String {
        /// As Kubernetes cuts it, so that the name is still a label.
        const BEGINNING: usize = limits::LABEL - SUFFIX - 1;
        const SUFFIX: usize = 5;
        let text = format!("{}/{}/{number}", self.meta.namespace, self.meta.name);
        let sum = text.bytes().fold(self.digest, |sum, b| (sum ^ u32::from(b)).wrapping_mul(16_777_619));
        let digits = [0, 5, 10, 15, 20].map(|shift| char::from(LETTERS[(sum >> shift) as usize % LETTERS.len()]));
        let cut = beginning.get(..BEGINNING).unwrap_or(beginning).trim_end_matches(['-', '.']);
        format!("{cut}-{}", digits.iter().collect::<String>())
    }

    /// One pod, of that name, with `labels` beside the template's.
    pub(super) fn pod(&self, name: &str, labels: &[(&'static str, &str)], given: Given<'a>) -> PodObject<'a> {
        let mut meta = self.template.clone();
        meta.annotations.extend(given.index.map(|value| Pair { key: COMPLETION_INDEX, value }));
        meta.name = self.arena.str(name);
        meta.given = given;
        meta.labels.retain(|own| labels.iter().all(|(key, _)| own.key != *key));
        meta.labels.extend(labels.iter().map(|(key, value)| Pair { key, value: self.arena.str(value) }));
        if meta.labels.len() > limits::PAIRS {
            let (most, all) = (limits::PAIRS, meta.labels.len());
            self.place.error(format!("at most {most} labels are possible, and with the controller's there are {all}"));
        }
        PodObject { place: self.place.clone(), meta, spec: self.pod.clone() }
    }

    /// The owner of its pods.
    pub(super) fn owner(&self, controller: Controller<'a>) -> Option<Owner<'a>> {
        Some(Owner { controller, name: self.meta.name })
    }

    /// The name of a pod that is its controller's and a number.
    pub(super) fn numbered(&self, number: usize) -> String {
        format!("{}-{number}", self.meta.name)
    }
}

/// The annotation and label of a Job's pod that has a number.
pub(super) const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The letters of Kubernetes' generated names: without vowels, no words; without 0, 1 and 3, nothing to take for a letter.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A number as Kubernetes puts one into a name.
fn safe(number: u32) -> String {
    format!("{number}").bytes().map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()])).collect()
}

/// A claim of `volumeClaimTemplates`: the name of the volume, its size where it is a block device, and all that is asked of it.
pub(super) fn claim_template<'a>(place: &Place<'a>) -> Option<(&'a str, Option<u64>, Object<'a>)> {
    let object = place.object(&schema::CLAIM_TEMPLATE)?;
    let spec = object.require("spec").and_then(|spec| spec.object(&schema::CLAIM_SPEC));
    let block = spec.as_ref().and_then(claims::block);
    let meta = object.require("metadata")?.object(&schema::METADATA)?;
    Some((names::label(&meta.require("name")?)?, block, spec?))
}
