//! LimitRange documents: what they give the containers of their namespace and hold pods and claims to, as Kubernetes' admission plugin does.

use super::objects::metadata;
use super::resources::amount;
use super::{Context, names};
use crate::host::read::{Object, Place};
use crate::host::{schema, units};
use crate::machine::admit::highest;
use crate::manifest::limits;
use crate::manifest::pod::{Container, Pair, Resources};
use crate::manifest::units::{Bytes, Cpu};
use std::format;
use std::prelude::v1::*;

/// What can be bounded. The first three are those of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Cpu,
    Memory,
    Ephemeral,
    Storage,
}

impl Resource {
    const ALL: [Resource; 4] = [Resource::Cpu, Resource::Memory, Resource::Ephemeral, Resource::Storage];

    const fn name(self) -> &'static str {
        match self {
            Resource::Cpu => "cpu",
            Resource::Memory => "memory",
            Resource::Ephemeral => "ephemeral-storage",
            Resource::Storage => "storage",
        }
    }

    /// The request, if there is one, and the limit.
    fn of(self, resources: &Resources) -> (Option<u64>, Option<u64>) {
        let (request, limit) = match self {
            Resource::Cpu => (resources.cpu_request_milli.into(), resources.cpu_limit_milli.map(u64::from)),
            Resource::Memory => (resources.memory_request, resources.memory_limit),
            Resource::Ephemeral => (resources.storage_request, resources.storage_limit),
            Resource::Storage => (0, None),
        };
        (Some(request).filter(|request| *request > 0), limit)
    }

    fn word(self, amount: u64) -> String {
        match self {
            Resource::Cpu => format!("{}", Cpu(u32::try_from(amount).unwrap_or(u32::MAX))),
            _ => format!("{}", Bytes(amount)),
        }
    }
}

/// An amount: thousandths of a processor, or bytes; for a ratio thousandths.
#[derive(Clone, Copy)]
struct Amount<'a> {
    value: u64,
    /// As it was written.
    text: &'a str,
}

/// By [`Resource`].
type Amounts<'a> = [Option<Amount<'a>>; 4];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Container,
    Pod,
    Claim,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Kind::Container => "Container",
            Kind::Pod => "Pod",
            Kind::Claim => "PersistentVolumeClaim",
        }
    }
}

/// One of `spec.limits`.
pub(super) struct LimitRange<'a> {
    namespace: &'a str,
    kind: Kind,
    default: Amounts<'a>,
    default_request: Amounts<'a>,
    min: Amounts<'a>,
    max: Amounts<'a>,
    ratio: Amounts<'a>,
}

/// What containers get that say nothing themselves, in the units of [`Resources`].
#[derive(Clone, Copy, Default)]
pub(super) struct Defaults {
    limits: [Option<u64>; 4],
    requests: [Option<u64>; 4],
}

impl Defaults {
    /// The request and the limit.
    pub(super) fn of(&self, resource: Resource) -> (Option<u64>, Option<u64>) {
        (self.requests[resource as usize], self.limits[resource as usize])
    }
}

/// Reads a LimitRange.
pub(super) fn read<'a>(root: &Place<'a>) -> Vec<LimitRange<'a>> {
    let Some(object) = root.object(&schema::LIMIT_RANGE) else { return Vec::new() };
    let meta = metadata(&object);
    let spec = object.require("spec").and_then(|spec| spec.object(&schema::LIMIT_RANGE_SPEC));
    let list = spec.and_then(|spec| spec.require("limits"));
    let places = list.map(|list| list.list(limits::PAIRS)).unwrap_or_default();
    places.iter().filter_map(|place| item(place, meta.namespace)).collect()
}

fn item<'a>(place: &Place<'a>, namespace: &'a str) -> Option<LimitRange<'a>> {
    let object = place.object(&schema::LIMIT_RANGE_ITEM)?;
    let kind = match object.require("type")? {
        word if word.text().is_some_and(|kind| kind.contains('/') && names::is_qualified(kind)) => {
            word.warning("means nothing on a single board, ignored");
            return None;
        }
        word => match word.one_of(&["Container", "Pod", "PersistentVolumeClaim"])? {
            "Container" => Kind::Container,
            "Pod" => Kind::Pod,
            _ => Kind::Claim,
        },
    };
    let amounts = |field| object.get(field).map(|list| amounts(kind, &list, false)).unwrap_or_default();
    let ratio = object.get("maxLimitRequestRatio").map(|list| self::amounts(kind, &list, true)).unwrap_or_default();
    let (mut default, mut default_request) = (amounts("default"), amounts("defaultRequest"));
    let (min, max) = (amounts("min"), amounts("max"));
    if kind != Kind::Container {
        for field in ["default", "defaultRequest"].into_iter().filter_map(|field| object.get(field)) {
            field.error(format!("may not be specified when `type` is '{}'", kind.as_str()));
        }
    }
    if kind == Kind::Claim && min.iter().chain(&max).all(Option::is_none) {
        place.error("either minimum or maximum storage value is required, but neither was provided");
    }
    for resource in Resource::ALL.map(|resource| resource as usize) {
        default[resource] = default[resource].or(max[resource]);
        default_request[resource] = default_request[resource].or(default[resource]).or(min[resource]);
        let [min, request, default, max] = [min, default_request, default, max].map(|of| of[resource]);
        let steps = [("min", min), ("default request", request), ("default limit", default), ("max", max)];
        for (at, (low, below)) in steps.iter().enumerate() {
            for (high, above) in &steps[at + 1..] {
                if let (Some(below), Some(above)) = (below, above)
                    && below.value > above.value
                {
                    let (below, above) = (below.text, above.text);
                    place.error(format!("{low} value {below} is greater than {high} value {above}"));
                }
            }
        }
        if let Some(ratio) = ratio[resource].filter(|ratio| ratio.value < 1000) {
            place.error(format!("maxLimitRequestRatio: ratio {} is less than 1", ratio.text));
        }
    }
    Some(LimitRange { namespace, kind, default, default_request, min, max, ratio })
}

fn amounts<'a>(kind: Kind, list: &Place<'a>, is_ratio: bool) -> Amounts<'a> {
    let mut all = Amounts::default();
    for (name, place) in list.map(limits::PAIRS) {
        let known = Resource::ALL.into_iter().find(|of| of.name() == name);
        let Some(resource) = known.filter(|of| (*of == Resource::Storage) == (kind == Kind::Claim)) else {
            place.warning(format!("no {} of a board has this resource, ignored", kind.as_str()));
            continue;
        };
        let value = match resource {
            _ if is_ratio => amount(&place, |text| units::quantity(text)?.thousandths()),
            Resource::Cpu => amount(&place, units::milli).map(u64::from),
            _ => amount(&place, units::bytes),
        };
        all[resource as usize] = value.zip(place.word()).map(|(value, text)| Amount { value, text: text.trim() });
    }
    all
}

impl<'a> Context<'a> {
    fn ranges(&self, namespace: &str, kind: Kind) -> impl Iterator<Item = &LimitRange<'a>> {
        self.objects.ranges.iter().filter(move |range| range.namespace == namespace && range.kind == kind)
    }

    /// What containers of a namespace get that say nothing themselves.
    pub(super) fn defaults(&self, namespace: &str) -> Defaults {
        let mut defaults = Defaults::default();
        for range in self.ranges(namespace, Kind::Container) {
            for at in Resource::ALL.map(|resource| resource as usize) {
                let value = |amounts: &Amounts<'_>| amounts[at].map(|amount| amount.value);
                defaults.limits[at] = value(&range.default).or(defaults.limits[at]);
                defaults.requests[at] = value(&range.default_request).or(defaults.requests[at]);
            }
        }
        defaults
    }

    /// The annotation in which the plugin says what it gave to which container of a pod.
    pub(super) fn given(&self, namespace: &str, spec: &Object<'a>) -> Option<Pair<'a>> {
        let defaults = self.defaults(namespace);
        let mut said: Vec<String> = Vec::new();
        for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
            let places = spec.get(list).filter(Place::is_list).map(|list| list.list(limits::CONTAINERS));
            for object in places.iter().flatten().filter_map(|place| place.object(&schema::CONTAINER)) {
                let name = object.get("name").and_then(|name| name.text()).unwrap_or_default();
                let is_silent = |list, resource| written(&object, list, resource).is_none();
                let mut tell = |noun: &str, is_set: &dyn Fn(Resource) -> bool| {
                    let mut names: Vec<&str> =
                        Resource::ALL.into_iter().filter(|of| is_set(*of)).map(Resource::name).collect();
                    names.sort_unstable();
                    if !names.is_empty() {
                        said.push(format!("{} {noun} for {what} {name}", names.join(", ")));
                    }
                };
                // What has a limit of its own requests that.
                tell("request", &|of| {
                    defaults.of(of).0.is_some() && is_silent("requests", of) && is_silent("limits", of)
                });
                tell("limit", &|of| defaults.of(of).1.is_some() && is_silent("limits", of));
            }
        }
        let value = || self.arena.str(&format!("LimitRanger plugin set: {}", said.join("; ")));
        (!said.is_empty()).then(|| Pair { key: "kubernetes.io/limit-ranger", value: value() })
    }

    /// Holds a container to the LimitRanges of its namespace.
    pub(super) fn bound_container(&self, namespace: &str, object: &Object<'a>, resources: &Resources) {
        for range in self.ranges(namespace, Kind::Container) {
            range.check(object, |resource| resource.of(resources));
        }
    }

    /// The same for a whole pod: what its containers come to, or what it says itself.
    pub(super) fn bound_pod(
        &self,
        namespace: &str,
        spec: &Object<'a>,
        containers: &[Container<'_>],
        (resources, overhead): (&Resources, &Resources),
    ) {
        for range in self.ranges(namespace, Kind::Pod) {
            range.check(spec, |resource| {
                let limit = |container: &Container<'_>| resource.of(&container.resources).1;
                let (request, whole) = match resource {
                    Resource::Ephemeral => {
                        let request = |one: &Container<'_>| (one.kind, one.resources.storage_request);
                        (Some(highest(containers.iter().map(request))).filter(|asked| *asked > 0), None)
                    }
                    _ => resource.of(resources),
                };
                let extra = resource.of(overhead).0.unwrap_or(0);
                let all = highest(containers.iter().map(|one| (one.kind, limit(one).unwrap_or(0))));
                let limit = whole.or_else(|| containers.iter().any(|one| limit(one).is_some()).then_some(all));
                let with = |amount: u64| amount.saturating_add(extra);
                (request.map(with).or((extra > 0).then_some(extra)), limit.map(with))
            });
        }
    }

    /// The same for a claim, by its `spec`.
    pub(super) fn bound_claim(&self, namespace: &str, spec: &Object<'a>) {
        for range in self.ranges(namespace, Kind::Claim) {
            let at = written(spec, "requests", Resource::Storage);
            let asked = at.as_ref().and_then(|place| units::bytes(place.word()?).ok());
            range.check(spec, |_| (asked, None));
        }
    }
}

/// `resources.LIST.NAME`, where it was written; what is wrong with it is said elsewhere.
fn written<'a>(object: &Object<'a>, list: &str, resource: Resource) -> Option<Place<'a>> {
    let field = |place: &Place<'a>, name: &str| {
        let fields = if place.is_map() { place.map(usize::MAX) } else { Vec::new() };
        fields.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let found = field(&field(&object.get("resources")?, list)?, resource.name())?;
    (!found.is_map() && !found.is_list()).then_some(found)
}

impl LimitRange<'_> {
    /// In the words of the admission plugin, at what was written where that is what breaks the bound.
    fn check(&self, object: &Object<'_>, of: impl Fn(Resource) -> (Option<u64>, Option<u64>)) {
        for resource in Resource::ALL {
            let (at, name, per) = (resource as usize, resource.name(), self.kind.as_str());
            let (request, limit) = of(resource);
            let say = |list: &str, head: String, missing: &str, amount: Option<u64>| {
                let place = written(object, list, resource).filter(|_| amount.is_some());
                let what = if list == "limits" { "limit" } else { "request" };
                let tail = match amount {
                    None => format!("{missing} {what} is specified"),
                    Some(amount) => {
                        let word = place.as_ref().and_then(Place::word).filter(|_| self.kind != Kind::Pod);
                        format!(", but {what} is {}", word.map_or_else(|| resource.word(amount), Into::into))
                    }
                };
                place.as_ref().unwrap_or(&object.place).error(format!("{head}{tail}"));
            };
            if let Some(min) = self.min[at] {
                let head = || format!("minimum {name} usage per {per} is {}", min.text);
                match (request, limit) {
                    (None, _) => say("requests", head(), ".  No", None),
                    (Some(asked), _) if asked < min.value => say("requests", head(), "", request),
                    (_, Some(most)) if most < min.value => say("limits", head(), "", limit),
                    _ => {}
                }
            }
            if let Some(max) = self.max[at] {
                let head = || format!("maximum {name} usage per {per} is {}", max.text);
                match (request, limit) {
                    (None, _) if self.kind == Kind::Claim => say("requests", head(), ".  No", None),
                    (_, None) if self.kind != Kind::Claim => say("limits", head(), ".  No", None),
                    (_, Some(most)) if most > max.value => say("limits", head(), "", limit),
                    (Some(asked), _) if asked > max.value => say("requests", head(), "", request),
                    _ => {}
                }
            }
            if let Some(ratio) = self.ratio[at] {
                let head = format!("{name} max limit to request ratio per {per} is {}", ratio.text);
                match (request, limit) {
                    (None, _) => object.place.error(format!("{head}, but no request is specified or request is 0")),
                    (_, None) => object.place.error(format!("{head}, but no limit is specified or limit is 0")),
                    (Some(asked), Some(most))
                        if u128::from(most) * 1000 > u128::from(ratio.value) * u128::from(asked) =>
                    {
                        let provided = most as f64 / asked as f64;
                        object.place.error(format!("{head}, but provided ratio is {provided:.6}"));
                    }
                    _ => {}
                }
            }
        }
    }
}
