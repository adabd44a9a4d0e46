//! Ephemeral storage (spec 93): what a pod may have on disk, and when that is measured.

use podling::machine::admit::Amount;
use podling::machine::evict::Level;
use podling::machine::storage::{Ruler, exceeded, is_limited};
use podling::manifest::List;
use podling::manifest::eviction::Evicted;
use podling::manifest::huge::HugePages;
use podling::manifest::pod::ContainerKind::{App, Init, Sidecar};
use podling::manifest::pod::{Container, ContainerKind, Medium, Node, Pod, Qos, Resources, Source, Volume};
use podling::manifest::status::Verdict;
use podling::manifest::time::Instant;
use serde::Serialize;

fn list<T: Serialize>(items: &[T]) -> List<'static, T> {
    List::from_bytes(items.iter().flat_map(|item| postcard::to_stdvec(item).unwrap()).collect::<Vec<u8>>().leak())
}

fn disk(size_limit: Option<u64>) -> Source<'static> {
    Source::EmptyDir { medium: Medium::Disk, size_limit }
}

/// A pod with these volumes, and with containers of these limits.
fn pod(volumes: &[Source<'static>], limits: &[(ContainerKind, u64, Option<u64>)]) -> Pod<'static> {
    let volumes: Vec<Volume<'_>> = volumes.iter().map(|source| Volume { name: "data", source: *source }).collect();
    let containers = limits.iter().map(|(kind, storage_request, storage_limit)| {
        let resources =
            Resources { storage_request: *storage_request, storage_limit: *storage_limit, ..Resources::default() };
        Container { kind: *kind, resources, ..Container::default() }
    });
    Pod { volumes: list(&volumes), containers: list(&containers.collect::<Vec<_>>()), ..Pod::default() }
}

#[test]
fn spec_31_93_an_empty_dir_above_its_size_limit_costs_the_pod_its_life() {
    let it =
        pod(&[disk(None), disk(Some(10 << 20)), Source::EmptyDir { medium: Medium::Memory, size_limit: Some(1) }], &[]);
    assert!(is_limited(&it));
    assert_eq!(exceeded(&it, &[1 << 30, 10 << 20, 0]), None);
    let why = exceeded(&it, &[0, (10 << 20) + 1, 0]).unwrap();
    assert_eq!(why, Evicted::EmptyDir { volume: 1 });
    assert_eq!(Verdict::Evicted(why).message(&it), "Usage of EmptyDir volume \"data\" exceeds the limit \"10Mi\".");
}

#[test]
fn spec_93_all_empty_dirs_together_have_the_limits_of_the_containers() {
    // The init container runs beside the sidecar, and before the two others.
    let it =
        pod(&[disk(None), disk(None)], &[(Sidecar, 0, Some(1)), (Init, 0, Some(9)), (App, 0, Some(2)), (App, 0, None)]);
    assert_eq!(exceeded(&it, &[4, 6]), None);
    let why = exceeded(&it, &[4, 7]).unwrap();
    assert_eq!(why, Evicted::Storage { limit: 10 });
    let said = "Pod ephemeral local storage usage exceeds the total limit of containers 10.";
    assert_eq!(Verdict::Evicted(why).message(&it), said);
}

#[test]
fn spec_93_nothing_is_measured_where_nothing_is_limited() {
    assert!(!is_limited(&pod(&[disk(None)], &[(App, 5, None)])), "a request bounds nothing");
    assert!(!is_limited(&pod(
        &[Source::EmptyDir { medium: Medium::Memory, size_limit: Some(1) }],
        &[(App, 0, Some(5))]
    )));
    let (mut ruler, level) = (Ruler::default(), |available| Some(Level { available, capacity: 100 }));
    assert_eq!(ruler.poll_at(), Instant(0));
    assert!(ruler.look(Instant(1000), [level(50), level(5)]), "the first time");
    assert_eq!(ruler.poll_at(), Instant(11_000));
    assert!(!ruler.look(Instant(11_000), [level(50), level(5)]), "nothing has changed on the whole disk");
    assert!(ruler.look(Instant(21_000), [level(50), level(4)]));
    assert!(ruler.look(Instant(31_000), [level(49), level(4)]));
}

#[test]
fn spec_93_96_ephemeral_storage_is_requested_and_makes_no_quality_of_service() {
    let it = pod(&[], &[(Init, 7, None), (App, 3, Some(5)), (App, 3, None)]);
    assert_eq!((Amount::of(&it).storage, it.qos()), (7, Qos::BestEffort));
    let node = Amount { storage: 10, ..Amount::of_node(&Node::default(), 0, 1, 0, HugePages::NONE) };
    assert_eq!(node.lacks(Amount { storage: 3, ..Amount::default() }, Amount::of(&it)), None);
    let lacks = node.lacks(Amount { storage: 4, ..Amount::default() }, Amount::of(&it)).unwrap();
    assert_eq!(lacks.to_string(), "0/1 nodes are available: 1 Insufficient ephemeral-storage.");
}
