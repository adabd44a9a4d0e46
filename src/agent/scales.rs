//! How many pods the ReplicaSets of Deployments have, and the events of it: `ScalingReplicaSet`, in the words of Kubernetes' controller.

use super::drive::{Agent, Entry};
use super::owners;
use crate::manifest::pod::Pod;
use std::format;
use std::prelude::v1::*;

/// One ReplicaSet.
struct Scale {
    namespace: Box<str>,
    name: Box<str>,
    /// Its pods of the manifest in force that have come: one that dies is replaced, so that these never get fewer.
    current: usize,
    /// Its pods that a manifest before this one had.
    former: usize,
}

/// Those of all Deployments.
#[derive(Default)]
pub(super) struct Scales(Vec<Scale>);

impl Scales {
    /// Sees a ReplicaSet with so many pods, of which so many come now; gives its size before and after, where that has changed.
    /// Before it was seen for the first time it had those that an agent before this one has made.
    fn see(
        &mut self,
        (namespace, name): (&str, &str),
        (current, former): (usize, usize),
        come: usize,
    ) -> Option<(usize, usize)> {
        let known = self.0.iter().position(|it| (&*it.namespace, &*it.name) == (namespace, name));
        let at = known.unwrap_or_else(|| {
            self.0.push(Scale { namespace: namespace.into(), name: name.into(), current, former });
            self.0.len() - 1
        });
        let scale = &mut self.0[at];
        let before = scale.current + scale.former;
        (scale.current, scale.former) = (scale.current.max(current + come), former);
        let after = scale.current + scale.former;
        if after == 0 {
            self.0.swap_remove(at);
        }
        (before != after).then_some((before, after))
    }
}

/// Tells what has changed since the last look. `missing` are the pods that come now.
pub(super) fn tell(agent: &Agent, missing: &[(usize, Pod<'static>)]) {
    let (mut seen, mut changed) = (Vec::<Pod<'static>>::new(), Vec::new());
    {
        let (pods, mut scales) = (agent.pods(), agent.scales());
        let alive = |entry: &&Entry| !entry.machine().is_terminating() && !entry.machine().is_hidden();
        let known = pods.iter().map(Entry::manifest).chain(missing.iter().map(|(_, pod)| pod));
        for pod in known {
            let is_its = |other: &Pod<'_>| owners::replica_set(other) == owners::replica_set(pod);
            let Some((namespace, deployment, set)) = owners::replica_set(pod) else { continue };
            if seen.iter().any(is_its) {
                continue;
            }
            seen.push(*pod);
            let of = |former: bool| {
                let its = |entry: &&Entry| entry.is_former() == former && is_its(entry.manifest());
                pods.iter().filter(alive).filter(its).count()
            };
            let come = missing.iter().filter(|(_, pod)| is_its(pod)).count();
            if let Some(sizes) = scales.see((namespace, set), (of(false), of(true)), come) {
                changed.push((*pod, deployment, set, sizes));
            }
        }
    }
    for (pod, deployment, set, (before, after)) in changed {
        let way = if after > before { "up" } else { "down" };
        let text = format!("Scaled {way} replica set {set} from {before} to {after}");
        owners::report(agent, &pod, ("deployment", deployment), (false, "ScalingReplicaSet"), &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spec_64_sizes_follow_an_update_and_not_the_deaths_of_pods() {
        let mut scales = Scales::default();
        let mut see = |name, of, come| scales.see(("default", name), of, come);
        assert_eq!(see("web-1", (0, 0), 3), Some((0, 3)));
        assert_eq!(see("web-1", (3, 0), 0), None);
        assert_eq!(see("web-1", (2, 0), 0), None, "one has died");
        assert_eq!(see("web-1", (2, 0), 1), None, "and comes again");
        // Another manifest, another agent: it finds the old ones.
        let mut scales = Scales::default();
        let mut see = |name, of, come| scales.see(("default", name), of, come);
        assert_eq!((see("web-1", (0, 3), 0), see("web-2", (0, 0), 1)), (None, Some((0, 1))));
        assert_eq!((see("web-1", (0, 2), 0), see("web-2", (1, 0), 1)), (Some((3, 2)), Some((1, 2))));
        assert_eq!(see("web-1", (0, 0), 0), Some((2, 0)));
        assert_eq!(see("web-1", (0, 0), 0), None);
        // Fewer of the same.
        let mut scales = Scales::default();
        let mut see = |of| scales.see(("default", "web-1"), of, 0);
        assert_eq!((see((2, 1)), see((2, 0))), (None, Some((3, 2))));
    }
}
