//! `strategy` and `updateStrategy`: how the pods of a controller make way for those of a newer template (spec 64, 65).

use crate::host::read::{Object, Place};
use crate::host::schema;
use crate::manifest::limits;
use crate::manifest::owner::{Strategy, Update};
use std::format;

/// A number of pods, or a part of all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Pods(usize),
    Percent(usize),
}

/// What stands for none in a Deployment.
const QUARTER: Share = Share::Percent(25);

impl Share {
    fn read(place: &Place<'_>) -> Option<Share> {
        let word = place.word()?;
        let Ok(number) = word.strip_suffix('%').unwrap_or(word).parse::<u32>() else {
            place.error(format!("{} is neither a number nor a percentage", place.quoted(word)));
            return None;
        };
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        Some(if word.ends_with('%') { Share::Percent(number) } else { Share::Pods(number) })
    }

    fn is_none(self) -> bool {
        matches!(self, Share::Pods(0) | Share::Percent(0))
    }

    /// Rounded down.
    fn floor(self, whole: usize) -> u16 {
        match self {
            Share::Pods(pods) => bounded(pods),
            Share::Percent(percent) => bounded(percent.saturating_mul(whole) / 100),
        }
    }

    /// Rounded up.
    fn ceil(self, whole: usize) -> u16 {
        match self {
            Share::Pods(pods) => bounded(pods),
            Share::Percent(percent) => bounded(percent.saturating_mul(whole).div_ceil(100)),
        }
    }
}

/// More than there can be says no more than as many.
fn bounded(number: usize) -> u16 {
    number.min(limits::PODS) as u16
}

/// `strategy` or `updateStrategy`: its type, and what is in `rollingUpdate`.
struct Written<'a> {
    kind: Option<&'static str>,
    rolling: Option<Object<'a>>,
}

impl<'a> Written<'a> {
    /// Reads it; the type that is not `RollingUpdate` is `other`.
    fn read(place: Option<Place<'a>>, tables: [&'static schema::Table; 2], other: &'static str) -> Written<'a> {
        let Some(object) = place.and_then(|place| place.object(tables[0])) else {
            return Written { kind: None, rolling: None };
        };
        let kind = object.get("type").and_then(|word| word.choice(&["RollingUpdate", other]));
        let place = object.get("rollingUpdate");
        if let Some(place) = &place
            && kind == Some(other)
        {
            place.error("is for the type RollingUpdate only: leave it out");
            return Written { kind, rolling: None };
        }
        Written { kind, rolling: place.and_then(|place| place.object(tables[1])) }
    }

    fn share(&self, name: &'static str) -> Option<Share> {
        Share::read(&self.rolling.as_ref()?.get(name)?)
    }

    /// `maxSurge` and `maxUnavailable`.
    fn shares(&self) -> (Option<Share>, Option<Share>) {
        let shares = (self.share("maxSurge"), self.share("maxUnavailable"));
        if let ((Some(surge), Some(unavailable)), Some(rolling)) = (shares, &self.rolling)
            && surge.is_none()
            && unavailable.is_none()
        {
            rolling.place.error("maxSurge and maxUnavailable cannot both be 0: nothing could ever be replaced");
        }
        shares
    }
}

/// A Deployment's, for so many replicas. One that is paused replaces nothing.
pub(super) fn deployment(spec: &Object<'_>, replicas: usize) -> Update {
    let written = Written::read(spec.get("strategy"), [&schema::STRATEGY, &schema::ROLLING], "Recreate");
    let (surge, unavailable) = written.shares();
    let (surge, unavailable) =
        (surge.unwrap_or(QUARTER).ceil(replicas), unavailable.unwrap_or(QUARTER).floor(replicas));
    let strategy = match written.kind {
        _ if spec.flag("paused") == Some(true) => Strategy::OnDelete,
        Some("Recreate") => Strategy::Recreate,
        // As Kubernetes has it where rounding leaves nothing that could be done.
        _ => Strategy::Rolling { surge, unavailable: if surge == 0 { unavailable.max(1) } else { unavailable } },
    };
    Update { strategy, min_ready_seconds: min_ready(spec) }
}

/// A DaemonSet's, for its one pod.
pub(super) fn daemon_set(spec: &Object<'_>) -> Update {
    let written = Written::read(spec.get("updateStrategy"), [&schema::DAEMON_STRATEGY, &schema::ROLLING], "OnDelete");
    let surge = written.shares().0.map_or(0, |surge| surge.ceil(1));
    let strategy = match written.kind {
        Some("OnDelete") => Strategy::OnDelete,
        _ => Strategy::Rolling { surge, unavailable: u16::from(surge == 0) },
    };
    Update { strategy, min_ready_seconds: min_ready(spec) }
}

/// A StatefulSet's, whose pods are numbered from `first` on.
pub(super) fn stateful_set(spec: &Object<'_>, first: usize, replicas: usize) -> Update {
    let tables = [&schema::STATEFUL_STRATEGY, &schema::STATEFUL_ROLLING];
    let written = Written::read(spec.get("updateStrategy"), tables, "OnDelete");
    let partition = written.rolling.as_ref().and_then(|rolling| rolling.get("partition"));
    let partition = partition.and_then(|place| place.integer(0..=i64::from(i32::MAX)));
    let partition = usize::try_from(partition.unwrap_or(0)).unwrap_or(usize::MAX).saturating_sub(first);
    let unavailable = written.share("maxUnavailable").map_or(1, |share| share.ceil(replicas));
    let strategy = match written.kind {
        Some("OnDelete") => Strategy::OnDelete,
        _ => Strategy::Ordered { partition: bounded(partition), unavailable: unavailable.max(1) },
    };
    Update { strategy, min_ready_seconds: min_ready(spec) }
}

fn min_ready(spec: &Object<'_>) -> u32 {
    let place = spec.get("minReadySeconds");
    place.and_then(|place| place.integer(0..=i64::from(i32::MAX))).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}
