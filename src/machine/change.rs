//! What a newer manifest makes of a pod that runs (spec 40, 57): nothing, something that it can be told, or another pod.
//!
//! What a running pod takes up is what Kubernetes lets one change: labels and annotations, its deadline, the images and resources of
//! its containers; and the files of its volumes, which a kubelet keeps current. Which containers are to be renewed for that they
//! know by themselves ([`Container::edition`]).

use crate::manifest::List;
use crate::manifest::owner::Controller;
use crate::manifest::pod::{Container, Manifest, Pod, Resources, Source, Volume};

/// What becomes of a pod that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: both say the same of what runs.
    Same,
    /// It takes up what is new.
    InPlace,
    /// It goes, and another one comes.
    Replaced,
}

impl Change {
    /// From what it runs as, to what is wanted under its name: manifests of one pod each, with their filters in the same order.
    pub fn between(runs: &Manifest<'_>, wanted: &Manifest<'_>) -> Change {
        let (Some(old), Some(new)) = (runs.pods.get(0), wanted.pods.get(0)) else { return Change::Replaced };
        let containers = || old.containers.iter().zip(new.containers);
        let alike = runs.filters == wanted.filters
            && fixed(&old, &new)
            && old.qos() == new.qos()
            && old.containers.len() == new.containers.len()
            && containers().all(|(old, new)| {
                // Huge pages are for good.
                let resources = Resources { huge_pages: old.resources.huge_pages, ..new.resources };
                Container { image: new.image, resources, ..old } == new
            })
            && old.volumes.len() == new.volumes.len()
            && old.volumes.iter().zip(new.volumes).all(|(old, new)| is_same_place(&old, &new));
        let told = (old.labels, old.annotations, old.active_deadline_seconds, old.resources)
            != (new.labels, new.annotations, new.active_deadline_seconds, new.resources)
            || old.containers != new.containers;
        match (alike, told) {
            (false, _) => Change::Replaced,
            // A template never changes its running pods (spec 57).
            (true, true) if is_templated(&new) => Change::Replaced,
            (true, false) if old.volumes == new.volumes => Change::Same,
            (true, _) => Change::InPlace,
        }
    }
}

/// Whether it is one of the pods of a template that is rolled out.
fn is_templated(pod: &Pod<'_>) -> bool {
    pod.owner.is_some_and(|owner| !matches!(owner.controller, Controller::Job(_)))
}

/// What of a pod stays as it is for as long as it lives: all but what is named here. Its volumes and containers are compared by themselves.
fn fixed(old: &Pod<'_>, new: &Pod<'_>) -> bool {
    let changed = Pod {
        labels: new.labels,
        annotations: new.annotations,
        active_deadline_seconds: new.active_deadline_seconds,
        owner: new.owner,
        resources: new.resources,
        volumes: new.volumes,
        containers: new.containers,
        ..*old
    };
    changed == *new
}

/// Whether a volume is where it was. Of one that is made of files these may differ, but not in their modes.
fn is_same_place(old: &Volume<'_>, new: &Volume<'_>) -> bool {
    let same = match (old.source, new.source) {
        (Source::Files { secret: was, files: old }, Source::Files { secret: is, files: new }) => {
            was == is && have_same_modes(old, new, |file| (file.path, file.mode))
        }
        (Source::Projected { files: old }, Source::Projected { files: new }) => {
            have_same_modes(old, new, |file| (file.path, file.mode))
        }
        (old, new) => old == new,
    };
    old.name == new.name && same
}

fn have_same_modes<'a, T: serde::Deserialize<'a>>(
    old: List<'a, T>,
    new: List<'a, T>,
    of: fn(&T) -> (&str, u16),
) -> bool {
    old.iter().all(|old| {
        let (path, mode) = of(&old);
        new.iter().all(|new| of(&new).0 != path || of(&new).1 == mode)
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::manifest::huge::{HugePages, PageSize};
    use crate::manifest::owner::{Owner, Strategy, Update};
    use crate::manifest::pod::{File, Pair};

    fn pod(containers: &[Container<'static>], files: &'static [u8]) -> Pod<'static> {
        let files = List::leaked(&[File { path: "key", mode: 0o644, data: files }]);
        let volumes = List::leaked(&[Volume { name: "files", source: Source::Files { secret: false, files } }]);
        Pod { name: "web", volumes, containers: List::leaked(containers), ..Pod::default() }
    }

    fn web() -> Container<'static> {
        let resources = Resources { memory_limit: Some(1 << 21), ..Resources::default() };
        Container { name: "web", image: "nginx:1", resources, ..Container::default() }
    }

    fn alone(pod: &Pod<'static>, filters: &[&[u8]]) -> Manifest<'static> {
        let filters = List::from_bytes(List::leaked(filters).as_bytes());
        Manifest { pods: List::leaked(&[*pod]), filters, ..Manifest::default() }
    }

    fn change(old: &Pod<'static>, new: &Pod<'static>) -> Change {
        Change::between(&alone(old, &[]), &alone(new, &[]))
    }

    #[test]
    fn spec_40_images_resources_labels_and_files_are_taken_up() {
        let old = pod(&[web()], b"1");
        assert_eq!(change(&old, &old), Change::Same);
        let resources = Resources { memory_limit: Some(1 << 20), ..Resources::default() };
        let labels = List::leaked(&[Pair { key: "a", value: "b" }]);
        for new in [
            pod(&[Container { image: "nginx:2", ..web() }], b"1"),
            pod(&[Container { resources, ..web() }], b"1"),
            pod(&[web()], b"2"),
            Pod { labels, ..old },
            Pod { annotations: labels, ..old },
            Pod { active_deadline_seconds: Some(5), ..old },
        ] {
            assert_eq!(change(&old, &new), Change::InPlace, "{new:?}");
        }
    }

    #[test]
    fn spec_57_anything_else_makes_another_pod() {
        let old = pod(&[web()], b"1");
        let huge_pages = HugePages::NONE.with(PageSize::Mi2, 1);
        let resources = Resources { huge_pages, ..web().resources };
        for new in [
            pod(&[Container { resources, ..web() }], b"1"),
            pod(&[Container { working_dir: Some("/srv"), ..web() }], b"1"),
            pod(&[Container { name: "other", ..web() }], b"1"),
            pod(&[web(), Container { name: "second", ..web() }], b"1"),
            pod(&[], b"1"),
            pod(&[Container { resources: Resources::default(), ..web() }], b"1"),
            Pod { grace_seconds: 5, ..old },
            Pod { volumes: List::EMPTY, ..old },
        ] {
            assert_eq!(change(&old, &new), Change::Replaced, "{new:?}");
        }
    }

    #[test]
    fn spec_57_a_template_never_changes_its_running_pods() {
        let owner = |strategy| {
            Some(Owner { controller: Controller::DaemonSet(Update { strategy, ..Update::NONE }), name: "set" })
        };
        let old = Pod { owner: owner(Strategy::Recreate), ..pod(&[web()], b"1") };
        let image = pod(&[Container { image: "nginx:2", ..web() }], b"1");
        assert_eq!(change(&old, &Pod { owner: old.owner, ..image }), Change::Replaced);
        assert_eq!(change(&old, &Pod { owner: owner(Strategy::OnDelete), ..old }), Change::Same, "that is no template");
        let files = Pod { owner: old.owner, ..pod(&[web()], b"2") };
        assert_eq!(change(&old, &files), Change::InPlace, "nor is a configMap");
    }

    #[test]
    fn spec_57_a_filter_is_part_of_its_pod() {
        let pod = pod(&[web()], b"1");
        let change = |old: &[u8], new: &[u8]| Change::between(&alone(&pod, &[old]), &alone(&pod, &[new]));
        assert_eq!(change(b"12345678", b"12345678"), Change::Same);
        assert_eq!(change(b"12345678", b"abcdefgh"), Change::Replaced);
    }
}
