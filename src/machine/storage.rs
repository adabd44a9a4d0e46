//! What a pod may have on disk (spec 93): the `sizeLimit` of its emptyDirs, and the ephemeral-storage limits of its containers.
//!
//! A container's own files and its output are in memory, and bounded there; on disk are the emptyDirs. A pod that has more in them than
//! it may is evicted, as kubelet does. To find out takes a walk through all of its files, so that nothing is measured where nothing is
//! limited, or where nothing has changed in the whole file system since.

use super::admit;
use super::evict::Level;
use crate::manifest::eviction::Evicted;
use crate::manifest::pod::{Medium, Pod, Resources, Source};
use crate::manifest::time::{Duration, Instant};

/// kubelet's pause between looks.
const PAUSE: Duration = Duration::from_secs(10);

/// Whether a pod has files on disk that are bounded.
pub fn is_limited(pod: &Pod<'_>) -> bool {
    let on_disk = |source: Source<'_>| match source {
        Source::EmptyDir { medium: Medium::Disk, size_limit } => Some(size_limit),
        _ => None,
    };
    let whole = limit(pod).is_some();
    pod.volumes.iter().filter_map(|volume| on_disk(volume.source)).any(|limit| limit.is_some() || whole)
}

/// Bytes of ephemeral storage that a pod requests at its highest, its overhead included.
pub fn request(pod: &Pod<'_>) -> u64 {
    highest(pod, |asked| asked.storage_request).saturating_add(pod.overhead.storage_request)
}

/// Bytes that it may have, where one of its containers has a limit.
fn limit(pod: &Pod<'_>) -> Option<u64> {
    let any = pod.containers.iter().any(|container| container.resources.storage_limit.is_some());
    any.then(|| highest(pod, |asked| asked.storage_limit.unwrap_or(0)).saturating_add(pod.overhead.storage_request))
}

fn highest(pod: &Pod<'_>, of: impl Fn(Resources) -> u64) -> u64 {
    admit::highest(pod.containers.iter().map(|container| (container.kind, of(container.resources))))
}

/// Why a pod has to go that has so many bytes in each of its volumes; 0 stands for those that are not emptyDirs on disk.
pub fn exceeded(pod: &Pod<'_>, sizes: &[u64]) -> Option<Evicted> {
    let both = (0..).zip(pod.volumes).zip(sizes);
    let over = both.filter_map(|((index, volume), size)| match volume.source {
        Source::EmptyDir { medium: Medium::Disk, size_limit: Some(limit) } if *size > limit => Some(index),
        _ => None,
    });
    let all = sizes.iter().fold(0u64, |sum, size| sum.saturating_add(*size));
    over.map(|volume| Evicted::EmptyDir { volume })
        .next()
        .or_else(|| limit(pod).filter(|limit| all > *limit).map(|limit| Evicted::Storage { limit }))
}

/// When to measure.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ruler(Option<(Instant, [Option<Level>; 2])>);

impl Ruler {
    /// When to look at the file system again, as long as something in it is limited.
    pub fn poll_at(&self) -> Instant {
        self.0.map_or(Instant(0), |(last, _)| last.after(PAUSE))
    }

    /// It was looked at: bytes and files. Whether anything has changed, so that it is time to measure.
    pub fn look(&mut self, now: Instant, disk: [Option<Level>; 2]) -> bool {
        let same = self.0.is_some_and(|(_, before)| before == disk);
        self.0 = Some((now, disk));
        !same
    }
}
