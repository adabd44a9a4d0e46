//! Eviction by node pressure (spec 97): when the node is under pressure, which pod has to go, and when to look again.
//!
//! As with kubelet's hard thresholds a look at the signals counts at once. One pod is evicted at a time, and the next look waits until
//! nothing of it runs any more and what it had has had time to come back. The node stays under pressure until it has been without for a while, so that pods do not come and go.
//!
//! Nothing is looked at that nothing changes ([`Watch`]); and where the node must be asked, the pause lasts as long as the fastest
//! writer would need to come near the border.

use crate::manifest::eviction::{Eviction, Signal, Threshold};
use crate::manifest::limits;
use crate::manifest::pod::Qos;
use crate::manifest::status::Uid;
use crate::manifest::time::{Duration, Instant};
use core::cmp::Reverse;

/// kubelet's pause between looks, and ours near a border and under pressure.
const PAUSE: Duration = Duration::from_secs(10);
/// The longest pause, however far the border.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How long an evicted pod may take to be gone before the next one is chosen.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long what a pod had may take to be there again after nothing of it runs any more: the kernel frees memory in its own time, and
/// tells of stalls of the last two seconds.
const SETTLE: Duration = Duration::from_secs(2);

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// What there is left: bytes, files or processes.
    pub available: u64,
    /// What the node has.
    pub capacity: u64,
}

/// For each of [`Signal::ALL`] its level; `None` where the node does not tell.
pub type Levels = [Option<Level>; 4];

/// How a change of a signal is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Nothing that runs can change it.
    Still,
    /// The kernel tells.
    Told,
    /// It must be looked at now and then.
    Asked,
}

/// A condition of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// `MemoryPressure`.
    Memory,
    /// `DiskPressure`.
    Disk,
    /// `PIDPressure`.
    Pid,
}

impl Pressure {
    /// All of them.
    pub const ALL: [Pressure; 3] = [Pressure::Memory, Pressure::Disk, Pressure::Pid];

    /// What a signal below its border means.
    pub const fn of(signal: Signal) -> Pressure {
        match signal {
            Signal::MemoryAvailable => Pressure::Memory,
            Signal::NodefsAvailable | Signal::NodefsInodesFree => Pressure::Disk,
            Signal::PidAvailable => Pressure::Pid,
        }
    }

    /// The condition's type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Pressure::Memory => "MemoryPressure",
            Pressure::Disk => "DiskPressure",
            Pressure::Pid => "PIDPressure",
        }
    }

    /// The reasons of the events by which it comes and goes.
    pub const fn reasons(self) -> (&'static str, &'static str) {
        match self {
            Pressure::Memory => ("NodeHasInsufficientMemory", "NodeHasSufficientMemory"),
            Pressure::Disk => ("NodeHasDiskPressure", "NodeHasNoDiskPressure"),
            Pressure::Pid => ("NodeHasInsufficientPID", "NodeHasSufficientPID"),
        }
    }

    /// What keeps a pod off the node that does not tolerate it.
    pub const fn taint(self) -> &'static str {
        match self {
            Pressure::Memory => "node.kubernetes.io/memory-pressure",
            Pressure::Disk => "node.kubernetes.io/disk-pressure",
            Pressure::Pid => "node.kubernetes.io/pid-pressure",
        }
    }

    /// Whether a new pod has to wait until it is over: under memory pressure one that has requested nothing, else every one that is
    /// not critical.
    pub fn keeps_out(self, qos: Qos, critical: bool) -> bool {
        !critical && (self != Pressure::Memory || qos == Qos::BestEffort)
    }
}

/// What follows from a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The node is under pressure from now on.
    Begins(Pressure),
    /// It is so no longer.
    Ends(Pressure),
    /// Evict the first pod that there is by [`first`], and say so with [`Evict::evicting`].
    Reclaim {
        /// What there is too little of.
        signal: Signal,
        /// The border.
        threshold: u64,
        /// What there is.
        available: u64,
    },
}

/// What one look may bring.
pub type Orders = heapless::Vec<Order, 4>;

/// The pressure that one node is under.
#[derive(Clone, Debug)]
pub struct Evict {
    settings: Eviction,
    last: Option<(Instant, Levels)>,
    /// Until when each of [`Pressure::ALL`] lasts.
    until: [Option<Instant>; 3],
    reclaim: Reclaim,
}

/// How far the eviction of one pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reclaim {
    /// None is evicted.
    Idle,
    /// That one is on its way out.
    Leaving { pod: Uid, until: Instant },
    /// It is gone, and what it had comes back.
    Settling { until: Instant },
}

impl Reclaim {
    /// Until when no other pod is chosen.
    fn until(self) -> Option<Instant> {
        match self {
            Reclaim::Idle => None,
            Reclaim::Leaving { until, .. } | Reclaim::Settling { until } => Some(until),
        }
    }
}

impl Evict {
    /// A node of which nothing is known yet.
    pub const fn new(settings: Eviction) -> Evict {
        Evict { settings, last: None, until: [None; 3], reclaim: Reclaim::Idle }
    }

    /// The border of a signal on a node that has `capacity`: the board's own where its file says none.
    ///
    /// kubelet's 100Mi of memory would be most of a small board: there it is a part of it.
    pub fn threshold(&self, signal: Signal, capacity: u64) -> u64 {
        match (self.settings.thresholds[signal as usize], signal) {
            (Some(threshold), _) => threshold.of(capacity),
            (None, Signal::MemoryAvailable) => limits::EVICT_MEMORY.min(capacity / limits::EVICT_MEMORY_PART),
            (None, Signal::NodefsAvailable) => Threshold::Share(limits::EVICT_NODEFS_SHARE).of(capacity),
            (None, Signal::NodefsInodesFree) => Threshold::Share(limits::EVICT_INODES_SHARE).of(capacity),
            (None, Signal::PidAvailable) => 0,
        }
    }

    /// Whether a signal means anything here.
    pub fn heeds(&self, signal: Signal) -> bool {
        match self.settings.thresholds[signal as usize] {
            Some(threshold) => !matches!(threshold, Threshold::Amount(0) | Threshold::Share(0)),
            None => signal != Signal::PidAvailable,
        }
    }

    /// The node was looked at.
    pub fn look(&mut self, now: Instant, levels: Levels, orders: &mut Orders) {
        self.last = Some((now, levels));
        if self.reclaim.until().is_some_and(|until| until <= now) {
            self.reclaim = Reclaim::Idle;
        }
        let mut met = heapless::Vec::<(Signal, u64, u64), 4>::new();
        met.extend(self.met(&levels));
        for (pressure, until) in Pressure::ALL.into_iter().zip(&mut self.until) {
            let is_met = met.iter().any(|(signal, ..)| Pressure::of(*signal) == pressure);
            let order = match *until {
                None if is_met => Some(Order::Begins(pressure)),
                Some(at) if !is_met && at <= now => Some(Order::Ends(pressure)),
                _ => None,
            };
            if is_met {
                *until = Some(now.after(Duration::from_secs(self.settings.transition_seconds.into())));
            } else if order.is_some() {
                *until = None;
            }
            // There is room for one of each, and for the last.
            orders.extend(order);
        }
        if let (Some(&(signal, threshold, available)), Reclaim::Idle) = (met.first(), self.reclaim) {
            let _ = orders.push(Order::Reclaim { signal, threshold, available });
        }
    }

    fn met(&self, levels: &Levels) -> impl Iterator<Item = (Signal, u64, u64)> {
        let both = Signal::ALL.into_iter().zip(*levels).filter_map(|(signal, level)| Some((signal, level?)));
        both.map(|(signal, level)| (signal, self.threshold(signal, level.capacity), level.available))
            .filter(|(_, threshold, available)| available < threshold)
    }

    /// That pod is being evicted.
    pub fn evicting(&mut self, now: Instant, pod: Uid) {
        self.reclaim = Reclaim::Leaving { pod, until: now.after(PATIENCE) };
    }

    /// Who is being evicted.
    pub fn victim(&self) -> Option<Uid> {
        match self.reclaim {
            Reclaim::Leaving { pod, .. } => Some(pod),
            Reclaim::Idle | Reclaim::Settling { .. } => None,
        }
    }

    /// Nothing of it runs any more: it is soon time for the next look.
    pub fn gone(&mut self, now: Instant) {
        self.reclaim = Reclaim::Settling { until: now.after(SETTLE) };
    }

    /// The conditions that the node is in.
    pub fn pressures(&self) -> impl Iterator<Item = Pressure> {
        Pressure::ALL.into_iter().zip(self.until).filter_map(|(pressure, until)| until.map(|_| pressure))
    }

    /// When to look next, if time alone is a reason. `watches`: for each of [`Signal::ALL`] how its changes are noticed.
    pub fn poll_at(&self, watches: &[Watch; 4]) -> Option<Instant> {
        let lingers = self.until.iter().flatten().copied().min();
        let Some((last, levels)) = self.last else {
            let any = lingers.is_some() || watches.iter().any(|watch| *watch != Watch::Still);
            return any.then_some(Instant(0));
        };
        if let until @ Some(_) = self.reclaim.until() {
            return until;
        }
        let asked = Signal::ALL.into_iter().zip(watches).zip(levels);
        let asked = asked.filter(|((_, watch), _)| **watch == Watch::Asked);
        let asked = asked.filter_map(|((signal, _), level)| Some(last.after(self.pause(signal, level?))));
        let met = self.met(&levels).next().map(|_| last.after(PAUSE));
        asked.chain(met).chain(lingers).min()
    }

    /// How long a signal at this level can be left alone.
    fn pause(&self, signal: Signal, level: Level) -> Duration {
        /// What the fastest use up in a second: bytes of memory and of a board's flash, files, processes.
        const FASTEST: [u64; 4] = [256 << 20, 32 << 20, 10_000, 1_000];
        let left = level.available.saturating_sub(self.threshold(signal, level.capacity));
        Duration::from_secs(left / FASTEST[signal as usize]).clamp(PAUSE, LONGEST_PAUSE)
    }
}

/// A pod that may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Others lean on it: it goes last.
    pub critical: bool,
    /// `priority`.
    pub priority: i32,
    /// What it uses of what the node has too little of.
    pub usage: u64,
    /// What it has requested of that.
    pub request: u64,
}

/// Who is evicted first, by kubelet's ranking: those that use more than they have requested, then by priority, then by how much more
/// they use. Processes are not requested: there priority comes first.
pub fn first(signal: Signal, candidates: &[Candidate]) -> Option<usize> {
    let rank = |it: &Candidate| {
        let exceeds = signal != Signal::PidAvailable && it.usage > it.request;
        (it.critical, !exceeds, it.priority, Reverse(i128::from(it.usage) - i128::from(it.request)))
    };
    (0..candidates.len()).min_by_key(|at| rank(&candidates[*at]))
}
