//! Requests and limits (spec 93), of containers and of the whole pod (spec 19).

use super::ranges::{Defaults, Resource};
use crate::host::read::{Object, Place};
use crate::host::{schema, units};
use crate::machine::admit::highest;
use crate::manifest::huge::{HugePages, PageSize};
use crate::manifest::pod::{Container, Resources};
use std::format;
use std::prelude::v1::*;

/// The `resources` of an object as written: what is not there is `None`.
#[derive(Default)]
struct Written<'a> {
    place: Option<Place<'a>>,
    cpu_request: Option<u32>,
    cpu_limit: Option<u32>,
    memory_request: Option<u64>,
    memory_limit: Option<u64>,
    storage_request: Option<u64>,
    storage_limit: Option<u64>,
    huge_pages: HugePages,
}

/// `requests`, `limits` or `overhead`.
#[derive(Default)]
struct Amounts {
    cpu: Option<u32>,
    memory: Option<u64>,
    storage: Option<u64>,
    huge_pages: HugePages,
}

/// Reads `resources`, with a request above its limit said. What a container does not say is that of `defaults`, and what has a limit
/// of its own and no request has that for a request.
fn read<'a>(owner: &Object<'a>, defaults: Option<&Defaults>) -> Written<'a> {
    let object = owner.get("resources").and_then(|r| r.object(&schema::RESOURCES));
    let amounts = |which| object.as_ref().and_then(|it| it.get(which)).map(|list| amounts(&list)).unwrap_or_default();
    let (requests, limits) = (amounts("requests"), amounts("limits"));
    // Zero is as good as nothing, as in Kubernetes, but it has been said.
    let of = |resource, asked: Option<u64>, most: Option<u64>| {
        let amounts = defaults.map_or([asked, most], |defaults| {
            let (request, limit) = defaults.of(resource);
            [asked.or(most).or(request), most.or(limit)]
        });
        amounts.map(|amount| amount.filter(|amount| *amount > 0))
    };
    let milli = |amount: Option<u64>| amount.map(|amount| u32::try_from(amount).unwrap_or(u32::MAX));
    let [cpu_request, cpu_limit] = of(Resource::Cpu, requests.cpu.map(u64::from), limits.cpu.map(u64::from)).map(milli);
    let [memory_request, memory_limit] = of(Resource::Memory, requests.memory, limits.memory);
    let [storage_request, storage_limit] = of(Resource::Ephemeral, requests.storage, limits.storage);
    let place = object.map(|object| object.place);
    let say = |what: &str| place.as_ref().unwrap_or(&owner.place).error(what);
    let above = |name: &str| say(&format!("the {name} request is above the {name} limit"));
    if cpu_request > cpu_limit && cpu_limit.is_some() {
        above("cpu");
    }
    if memory_request > memory_limit && memory_limit.is_some() {
        above("memory");
    }
    if storage_request > storage_limit && storage_limit.is_some() {
        above("ephemeral-storage");
    }
    let (requested, huge_pages) = (requests.huge_pages, limits.huge_pages);
    for size in PageSize::ALL {
        if requested.of(size) > 0 && requested.of(size) != huge_pages.of(size) {
            let name = size.resource();
            say(&format!("the {name} request is not the {name} limit: huge pages cannot be overcommitted"));
        }
    }
    let any = cpu_request.or(cpu_limit).is_some() || memory_request.or(memory_limit).is_some();
    if huge_pages != HugePages::NONE && !any {
        say("huge pages are had together with cpu or memory only: add one of them");
    }
    Written { place, cpu_request, cpu_limit, memory_request, memory_limit, storage_request, storage_limit, huge_pages }
}

fn amounts(list: &Place<'_>) -> Amounts {
    let Some(list) = list.object(&schema::QUANTITIES) else {
        return Amounts::default();
    };
    let cpu = list.get("cpu").and_then(|place| amount(&place, units::milli));
    let bytes = |name: &'static str| {
        let place = list.get(name)?;
        let bytes = amount(&place, units::bytes)?;
        if place.word().and_then(|w| units::quantity(w).ok()).is_some_and(units::Quantity::is_fractional) {
            place.warning(format!(
                "this is a part of a byte: the suffix m means thousandths; M and Mi are the ones for {name}"
            ));
        }
        Some(bytes)
    };
    let mut huge_pages = HugePages::NONE;
    for size in PageSize::ALL {
        let Some(asked) = bytes(size.resource()) else { continue };
        match u32::try_from(asked / size.bytes()) {
            Ok(pages) if asked.is_multiple_of(size.bytes()) => huge_pages = huge_pages.with(size, pages),
            _ => list.place.error(format!(
                "{} is not in whole pages: write a multiple of {}",
                size.resource(),
                size.quantity()
            )),
        }
    }
    Amounts { cpu, memory: bytes("memory"), storage: bytes("ephemeral-storage"), huge_pages }
}

/// `spec.overhead`.
pub(super) fn overhead(spec: &Object<'_>) -> Resources {
    let Amounts { cpu, memory, storage, huge_pages } =
        spec.get("overhead").map(|list| amounts(&list)).unwrap_or_default();
    Resources {
        cpu_request_milli: cpu.unwrap_or(0),
        memory_request: memory.unwrap_or(0),
        storage_request: storage.unwrap_or(0),
        huge_pages,
        ..Resources::default()
    }
}

/// A quantity, or a message.
pub(super) fn amount<T>(place: &Place<'_>, parse: fn(&str) -> Result<T, units::QuantityError>) -> Option<T> {
    let text = place.word()?;
    match parse(text) {
        Ok(value) => Some(value),
        Err(error) => {
            place.error(format!("{} is {error}", place.quoted(text)));
            None
        }
    }
}

/// The resources of a container, to which `defaults` are given.
pub(super) fn container(object: &Object<'_>, defaults: &Defaults) -> Resources {
    let written = read(object, Some(defaults));
    Resources {
        cpu_request_milli: written.cpu_request.unwrap_or(0),
        cpu_limit_milli: written.cpu_limit,
        memory_request: written.memory_request.unwrap_or(0),
        memory_limit: written.memory_limit,
        storage_request: written.storage_request.unwrap_or(0),
        storage_limit: written.storage_limit,
        huge_pages: written.huge_pages,
    }
}

/// The bounds of the whole pod: what `spec.resources` says, and for the rest what its containers add up to.
pub(super) fn pod(spec: &Object<'_>, containers: &[Container<'_>]) -> Resources {
    let written = read(spec, None);
    let cpu = |r: Option<u32>| r.map(u64::from);
    let (requested_cpu, _) = total(containers, |r| Some(u64::from(r.cpu_request_milli)));
    let (requested_memory, _) = total(containers, |r| Some(r.memory_request));
    let (limit_cpu, all_cpu) = total(containers, |r| cpu(r.cpu_limit_milli));
    let (limit_memory, all_memory) = total(containers, |r| r.memory_limit);
    let huge_pages = PageSize::ALL.into_iter().fold(HugePages::NONE, |sum, size| {
        let (pages, _) = total(containers, |r| Some(r.huge_pages.of(size).into()));
        sum.with(size, u32::try_from(pages).unwrap_or(u32::MAX))
    });
    if let Some(place) = &written.place {
        let over =
            |name: &str, what: &str| place.error(format!("the {name} that the containers {what} is above the pod's"));
        if cpu(written.cpu_request.or(written.cpu_limit)).is_some_and(|pod| requested_cpu > pod) {
            over("cpu", "request together");
        }
        if written.memory_request.or(written.memory_limit).is_some_and(|pod| requested_memory > pod) {
            over("memory", "request together");
        }
        if written.cpu_limit.is_some_and(|pod| containers.iter().any(|c| c.resources.cpu_limit_milli > Some(pod))) {
            over("cpu", "have as a limit");
        }
        if written.storage_request.or(written.storage_limit).is_some() {
            place.error("ephemeral-storage is bounded by container: cpu and memory can be bounded for the whole pod");
        }
        let own = written.huge_pages;
        if let Some((size, _)) = own.iter().find(|(size, pages)| huge_pages.of(*size) > *pages) {
            over(size.resource(), "request together");
        }
        if written.memory_limit.is_some_and(|pod| containers.iter().any(|c| c.resources.memory_limit > Some(pod))) {
            over("memory", "have as a limit");
        }
    }
    let milli = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    // Without a request of its own the pod requests what its containers do, and where they do not, its limit.
    let or_limit = |requested: u64, limit: Option<u64>| {
        if requested > 0 { requested } else { limit.unwrap_or(0) }
    };
    Resources {
        cpu_request_milli: written
            .cpu_request
            .unwrap_or_else(|| milli(or_limit(requested_cpu, cpu(written.cpu_limit)))),
        cpu_limit_milli: written.cpu_limit.or_else(|| all_cpu.then(|| milli(limit_cpu))),
        memory_request: written.memory_request.unwrap_or_else(|| or_limit(requested_memory, written.memory_limit)),
        memory_limit: written.memory_limit.or_else(|| all_memory.then_some(limit_memory)),
        // The pod's own word, where it is there, is not less.
        huge_pages: huge_pages.join(written.huge_pages, u32::max),
        ..Resources::default()
    }
}

/// What the pod needs at its highest, and whether every container says its part.
fn total(containers: &[Container<'_>], of: impl Fn(&Resources) -> Option<u64>) -> (u64, bool) {
    let all = !containers.is_empty() && containers.iter().all(|container| of(&container.resources).is_some());
    (highest(containers.iter().map(|container| (container.kind, of(&container.resources).unwrap_or(0)))), all)
}
