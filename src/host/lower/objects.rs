//! The documents by kind: pods to lower, and the ConfigMaps, Secrets and claims that they may name.

use super::claims::{self, Claim, Persistent};
use super::controllers::{self, Given};
use super::names;
use super::ranges::{self, LimitRange};
use crate::host::arena::Arena;
use crate::host::diagnostic::{Sources, Span, alternatives, quote};
use crate::host::read::{Object, Place, did_you_mean};
use crate::host::schema;
use crate::host::suggest::nearest;
use crate::manifest::limits;
use crate::manifest::owner::ClaimOwner;
use crate::manifest::pod::Pair;
use base64::Engine;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::prelude::v1::*;
use std::{format, vec};

/// Entries that a ConfigMap or Secret may have.
const KEYS: usize = 1024;
/// Items of a List.
const ITEMS: usize = 1024;

/// A namespace and a name.
pub(super) type Key<'a> = (&'a str, &'a str);

/// Everything that the sources declare.
#[derive(Default)]
pub(super) struct Objects<'a> {
    pub(super) pods: Vec<PodObject<'a>>,
    pub(super) configs: BTreeMap<Key<'a>, Data<'a>>,
    pub(super) secrets: BTreeMap<Key<'a>, Data<'a>>,
    pub(super) claims: BTreeMap<Key<'a>, Claim<'a>>,
    pub(super) persistent: BTreeMap<&'a str, Persistent<'a>>,
    pub(super) priorities: BTreeMap<&'a str, PriorityClass>,
    pub(super) ranges: Vec<LimitRange<'a>>,
    pub(super) claim_owners: Vec<ClaimOwner<'a>>,
    /// Controllers' documents, those that have no pods (`replicas: 0`) among them.
    pub(super) controllers: usize,
}

/// A PriorityClass.
pub(super) struct PriorityClass {
    pub(super) value: i32,
    /// `globalDefault`: that of pods which name none.
    pub(super) is_default: bool,
}

/// A pod's document, its metadata read.
pub(super) struct PodObject<'a> {
    pub(super) place: Place<'a>,
    pub(super) meta: Metadata<'a>,
    pub(super) spec: Option<Object<'a>>,
}

/// The parts of `metadata` that mean something on a board.
#[derive(Clone, Default)]
pub(super) struct Metadata<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) labels: Vec<Pair<'a>>,
    pub(super) annotations: Vec<Pair<'a>>,
    /// `metadata.annotations`, for messages.
    pub(super) annotation_places: Vec<(&'a str, Place<'a>)>,
    /// What the controller of the pod gives it.
    pub(super) given: Given<'a>,
    /// `spec.serviceAccountName`, which means nothing on a board but can be asked for.
    pub(super) service_account: &'a str,
    pub(super) at: Span,
}

/// What is in a ConfigMap or Secret.
pub(super) struct Data<'a> {
    /// `data` and `stringData`, decoded.
    pub(super) entries: BTreeMap<&'a str, Vec<u8>>,
    /// The keys that came from `binaryData`: files, but no variables.
    pub(super) binary: Vec<&'a str>,
    at: Span,
}

impl<'a> Objects<'a> {
    /// Takes one document.
    pub(super) fn take(&mut self, root: &Place<'a>, sources: &Sources, arena: &'a Arena) {
        let Some(kind) = kind(root) else { return };
        let root = if kind == "Secret" { root.clone().hidden() } else { root.clone() };
        match kind {
            "Pod" => self.pod(&root, sources),
            "ConfigMap" => self.data(&root, &schema::CONFIG_MAP, sources),
            "Secret" => self.data(&root, &schema::SECRET, sources),
            "PersistentVolumeClaim" => self.claim(&root, sources),
            "PersistentVolume" => self.persistent(&root, sources),
            "PriorityClass" => self.priority(&root),
            "LimitRange" => self.ranges.extend(ranges::read(&root)),
            "List" => {
                let Some(list) = root.object(&schema::LIST) else {
                    return;
                };
                for item in list.require("items").iter().flat_map(|items| items.list(ITEMS)) {
                    // A path in an item begins at the item, as it would in a document of its own.
                    self.take(&item.renamed(""), sources, arena);
                }
            }
            _ => {
                self.controllers += 1;
                for pod in controllers::lower(kind, &root, arena, &mut self.claim_owners) {
                    self.add(pod, sources);
                }
            }
        }
    }

    fn pod(&mut self, root: &Place<'a>, sources: &Sources) {
        let Some(object) = root.object(&schema::POD) else {
            return;
        };
        let meta = metadata(&object);
        let spec = object.require("spec").and_then(|spec| spec.object(&schema::POD_SPEC));
        self.add(PodObject { place: root.clone(), meta, spec }, sources);
    }

    fn add(&mut self, mut pod: PodObject<'a>, sources: &Sources) {
        let fields = pod.spec.as_ref().map(|spec| spec.place.map(usize::MAX)).unwrap_or_default();
        let account =
            fields.iter().find(|(key, value)| *key == "serviceAccountName" && !value.is_map() && !value.is_list());
        pod.meta.service_account = account.and_then(|(_, value)| value.word()).unwrap_or("default");
        let meta = &pod.meta;
        let same = |p: &&PodObject<'_>| {
            (p.meta.namespace, p.meta.name) == (meta.namespace, meta.name) && !meta.name.is_empty()
        };
        if let Some(first) = self.pods.iter().find(same) {
            let place = sources.place(first.meta.at);
            pod.place.error(format!("the pod {}/{} is declared at {place} already", meta.namespace, meta.name));
        }
        self.pods.push(pod);
    }

    fn data(&mut self, root: &Place<'a>, table: &'static schema::Table, sources: &Sources) {
        let Some(object) = root.object(table) else {
            return;
        };
        let meta = metadata(&object);
        let mut data = Data { entries: BTreeMap::new(), binary: vec![], at: meta.at };
        let secret = core::ptr::eq(table, &schema::SECRET);
        for (key, value) in keys(object.get("data")) {
            if let Some(bytes) = if secret { base64(&value) } else { value.text().map(|t| t.as_bytes().to_vec()) } {
                data.entries.insert(key, bytes);
            }
        }
        if secret {
            // What it says of a Secret's keys is for those who read Secrets through an API server.
            let _ = object.get("type").and_then(|t| t.text());
            for (key, value) in keys(object.get("stringData")) {
                if let Some(text) = value.text() {
                    data.entries.insert(key, text.as_bytes().to_vec());
                }
            }
        } else {
            for (key, value) in keys(object.get("binaryData")) {
                if data.entries.contains_key(key) {
                    value.error("this key is in data as well");
                } else if let Some(bytes) = base64(&value) {
                    data.entries.insert(key, bytes);
                    data.binary.push(key);
                }
            }
        }
        let known = if secret { &mut self.secrets } else { &mut self.configs };
        match known.entry((meta.namespace, meta.name)) {
            Entry::Occupied(first) => {
                let place = sources.place(first.get().at);
                root.error(format!(
                    "the {} {}/{} is declared at {place} already",
                    table.name, meta.namespace, meta.name
                ));
            }
            Entry::Vacant(slot) => drop(slot.insert(data)),
        }
    }

    fn claim(&mut self, root: &Place<'a>, sources: &Sources) {
        let Some(object) = root.object(&schema::CLAIM) else {
            return;
        };
        let meta = metadata(&object);
        let claim = claims::claim(&object, &meta);
        if let Some(first) = self.claims.insert((meta.namespace, meta.name), claim) {
            let place = sources.place(first.at);
            root.error(format!(
                "the PersistentVolumeClaim {}/{} is declared at {place} already",
                meta.namespace, meta.name
            ));
        }
    }
}

impl<'a> Objects<'a> {
    fn priority(&mut self, root: &Place<'a>) {
        let Some(object) = root.object(&schema::PRIORITY_CLASS) else { return };
        let meta = metadata(&object);
        let _ = object.get("description").and_then(|text| text.text());
        let value = object.require("value");
        let value = value.and_then(|n| n.integer(i64::from(i32::MIN)..=i64::from(limits::PRIORITY)));
        let is_default = object.flag("globalDefault").unwrap_or(false);
        if is_default && self.priorities.values().any(|other| other.is_default) {
            root.error("globalDefault: another PriorityClass has it already");
        }
        let class = PriorityClass { value: value.and_then(|n| i32::try_from(n).ok()).unwrap_or(0), is_default };
        if self.priorities.insert(meta.name, class).is_some() {
            root.error(format!("the PriorityClass {} is declared already", meta.name));
        }
    }

    fn persistent(&mut self, root: &Place<'a>, sources: &Sources) {
        let Some(object) = root.object(&schema::PERSISTENT_VOLUME) else {
            return;
        };
        let meta = metadata(&object);
        let Some(volume) = claims::persistent(&object, &meta) else { return };
        if let Some(first) = self.persistent.insert(meta.name, volume) {
            let place = sources.place(first.at);
            root.error(format!("the PersistentVolume {} is declared at {place} already", meta.name));
        }
    }
}

/// The kind of a document, if a board takes it.
fn kind(root: &Place<'_>) -> Option<&'static str> {
    if !root.is_map() {
        root.clone().hidden().error("this is not an object: a pod begins with `apiVersion: v1` and `kind: Pod`");
        return None;
    }
    let fields = root.map(usize::MAX);
    let field = |name| fields.iter().find(|(key, _)| *key == name).map(|(_, place)| place.clone().hidden());
    let Some(place) = field("kind") else {
        if field("services").is_some() {
            root.clone()
                .hidden()
                .error("this is a compose file: `kompose convert` makes the documents of Kubernetes of it");
            return None;
        }
        root.clone().hidden().error("this document has no kind: a pod begins with `apiVersion: v1` and `kind: Pod`");
        return None;
    };
    let kind = place.text()?;
    if let Some(group) = field("apiVersion").and_then(|version| custom_group(version.word()?, kind)) {
        place.warning(format!("{kind} of {group} means nothing on a single board, ignored: nobody there acts on it"));
        return None;
    }
    if let Some((_, why)) = schema::CLUSTER_KINDS.iter().find(|(name, _)| *name == kind) {
        place.warning(format!("{kind} means nothing on a single board, ignored: {why}"));
        return None;
    }
    if let Some((_, instead)) = schema::OTHER_KINDS.iter().find(|(name, _)| *name == kind) {
        place.error(format!("{kind} is not supported on the board yet: {instead}"));
        return None;
    }
    let Some((known, wanted)) = schema::KINDS.iter().find(|(name, _)| *name == kind) else {
        let all = schema::KINDS.iter().chain(schema::OTHER_KINDS).map(|(name, _)| *name);
        let hint = did_you_mean(nearest(kind, all));
        let kinds: Vec<&str> = schema::KINDS.iter().map(|(name, _)| *name).collect();
        place.error(format!("unknown kind {}{hint} (a board takes {})", quote(kind), alternatives(&kinds)));
        return None;
    };
    let Some(version) = field("apiVersion") else {
        let missing = format!("apiVersion: is required: write `apiVersion: {wanted}` above `kind: {known}`");
        root.clone().hidden().error(missing);
        return None;
    };
    let text = version.text()?;
    if text != *wanted {
        version.error(format!("{} is not a version of {known} that a board knows: write {wanted}", quote(text)));
        return None;
    }
    Some(known)
}

/// The group of a version, where it is not one of Kubernetes' own: that of custom resources.
fn custom_group<'t>(version: &'t str, kind: &str) -> Option<&'t str> {
    let (group, _) = version.split_once('/')?;
    // A kind that is known, of a group that is not, is a mistake as long as it looks like one of Kubernetes' groups.
    let known = schema::KINDS.iter().chain(schema::OTHER_KINDS).chain(schema::CLUSTER_KINDS);
    if group.ends_with(".k8s.io") && known.map(|(name, _)| *name).any(|name| name == kind) {
        return None;
    }
    (group.contains('.') && !schema::GROUPS.contains(&group)).then_some(group)
}

/// `metadata`, with the name required.
pub(super) fn metadata<'a>(object: &Object<'a>) -> Metadata<'a> {
    let mut found = Metadata { namespace: "default", at: object.place.at(), ..Metadata::default() };
    let Some(meta) = object.require("metadata").and_then(|m| m.object(&schema::METADATA)) else {
        return found;
    };
    // Beside a name it says nothing.
    let beginning = meta.get("generateName").filter(|beginning| beginning.text().is_some());
    if let Some(beginning) = beginning.filter(|_| meta.get("name").is_none()) {
        beginning.error("a board has no API server to make up the rest: write name");
    } else if let Some(name) = meta.require("name") {
        found.at = name.at();
        found.name = names::subdomain(&name).unwrap_or_default();
    }
    if let Some(namespace) = meta.get("namespace").and_then(|n| names::label(&n)) {
        found.namespace = namespace;
    }
    describe(&meta, &mut found);
    found
}

/// The labels and annotations of `metadata`.
pub(super) fn describe<'a>(meta: &Object<'a>, found: &mut Metadata<'a>) {
    for (key, value) in meta.get("labels").iter().flat_map(|l| l.map(limits::PAIRS)) {
        let text = value.text().unwrap_or_default();
        check_key(key, &value);
        if !names::is_label_value(text) {
            value.error(format!(
                "{} is not the value of a label: letters, digits, -, _ and ., at most {} bytes",
                quote(text),
                limits::LABEL
            ));
        }
        found.labels.push(Pair { key, value: text });
    }
    found.annotation_places = meta.get("annotations").iter().flat_map(|l| l.map(limits::PAIRS)).collect();
    for (key, value) in &found.annotation_places {
        // Of these, and of no labels, Kubernetes takes the domain in capitals as well.
        check_key(&key.to_ascii_lowercase(), value);
        found.annotations.push(Pair { key, value: value.text().unwrap_or_default() });
    }
}

fn check_key(key: &str, value: &Place<'_>) {
    if !names::is_qualified(key) {
        value.error(format!("{} is not a key: letters, digits, -, _ and ., perhaps after a domain and /", quote(key)));
    }
}

/// The entries of `data` and its like.
fn keys<'a>(map: Option<Place<'a>>) -> Vec<(&'a str, Place<'a>)> {
    let entries: Vec<_> = map.iter().flat_map(|m| m.map(KEYS)).collect();
    for (key, value) in &entries {
        if !names::is_key(key) {
            value.error(format!("{} is not a key: letters, digits, -, _ and . only", quote(key)));
        }
    }
    entries
}

/// The bytes that a value stands for in base64, line breaks allowed.
fn base64(value: &Place<'_>) -> Option<Vec<u8>> {
    let text: String = value.text()?.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    if bytes.is_err() {
        value.error("this is not base64: encode it (`base64 -w0`), or write plain text under stringData or data");
    }
    bytes.ok()
}

/// The object of that namespace and name.
pub(super) fn lookup<'c, T>(known: &'c BTreeMap<Key<'_>, T>, namespace: &str, name: &str) -> Option<&'c T> {
    known.iter().find(|((n, k), _)| *n == namespace && *k == name).map(|(_, object)| object)
}

/// `; did you mean "web-config"?` for a name that no object of the namespace has.
pub(super) fn hint<'a, T>(known: &BTreeMap<Key<'a>, T>, namespace: &str, name: &str) -> String {
    let hint = did_you_mean(nearest(name, known.keys().filter(|(n, _)| *n == namespace).map(|(_, name)| *name)));
    match known.keys().find(|(n, k)| *k == name && *n != namespace) {
        Some((other, _)) if hint.is_empty() => {
            format!("; there is one in the namespace {}", quote(other))
        }
        _ => hint,
    }
}
