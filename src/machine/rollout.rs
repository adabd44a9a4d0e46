//! How the pods of one controller make way for those of a newer manifest (spec 57, 64, 65): which old one ends now, which new one comes.
//!
//! It looks at all of them and remembers nothing: what has been ordered shows in how they stand the next time. Two things are
//! different on one board from Kubernetes. A pod that is being ended counts until it is gone, for there is no other node: so there
//! are never more than `replicas` and `maxSurge`. And where nothing goes on, because a new pod finds no room or bears the name of
//! an old one, an old one ends first.

use crate::manifest::limits;
use crate::manifest::owner::{Controller, Start, Strategy, Update};
use crate::manifest::time::{Duration, Instant};

/// How a pod stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It is not there.
    Absent,
    /// Somebody has deleted it, and it stays away.
    Forsaken,
    /// It is on its way; or it is not Ready any more.
    Coming {
        /// There is no room for it.
        held: bool,
    },
    /// It is Ready since then.
    Ready(Instant),
    /// It is being ended.
    Ending,
}

/// A pod that runs as a manifest before had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Old {
    /// How it stands.
    pub stand: Stand,
    /// The new pod that bears its name, and so cannot come before it is gone.
    pub place: Option<usize>,
    /// There is no new one for it, whatever becomes of the others: `replicas` has shrunk.
    pub surplus: bool,
    /// The number at the end of its name.
    pub number: u32,
}

/// What is to be done: a bit for each of the old ones that is to end, and for each of the new ones that may come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Of the old ones.
    pub end: u64,
    /// Of the new ones.
    pub come: u64,
}

const _: () = assert!(limits::PODS <= u64::BITS as usize);

/// The pods of one controller, as it stands; of each kind at most [`limits::PODS`].
#[derive(Clone, Copy, Debug)]
pub struct Rollout<'a> {
    /// What it asks for.
    pub controller: Controller<'a>,
    /// Those of the manifest in force, in its order.
    pub new: &'a [Stand],
    /// The others.
    pub old: &'a [Old],
}

impl Rollout<'_> {
    /// What is to be done now.
    pub fn step(&self, now: Instant) -> Orders {
        let mut orders = Orders { end: self.surplus(), come: 0 };
        match self.update().strategy {
            Strategy::OnDelete => {
                let leaving = self.replaced().filter(|(_, old)| old.stand == Stand::Ending).count();
                let excess = (self.present() - leaving).saturating_sub(self.replicas());
                let ended = self.end(&mut orders, excess, |stand| !self.is_available(now, stand));
                self.end(&mut orders, excess - ended, |_| true);
                self.come(&mut orders, self.replicas().saturating_sub(self.present()));
            }
            Strategy::Recreate => {
                self.end(&mut orders, usize::MAX, |_| true);
                if self.replaced().next().is_none() {
                    self.come(&mut orders, usize::MAX);
                }
            }
            Strategy::Rolling { surge, unavailable } => self.roll(now, surge.into(), unavailable.into(), &mut orders),
            Strategy::Ordered { partition, unavailable } => {
                self.descend(now, partition.into(), unavailable.into(), &mut orders);
                self.come(&mut orders, usize::MAX);
            }
        }
        orders
    }

    /// The next moment at which time alone changes something.
    pub fn poll_at(&self, now: Instant) -> Option<Instant> {
        let all = self.new.iter().copied().chain(self.old.iter().map(|old| old.stand));
        all.filter_map(|stand| self.available_at(stand)).filter(|at| *at > now).min()
    }

    fn update(&self) -> Update {
        self.controller.update()
    }

    fn available_at(&self, stand: Stand) -> Option<Instant> {
        match stand {
            Stand::Ready(since) => Some(since.after(Duration::from_secs(self.update().min_ready_seconds.into()))),
            _ => None,
        }
    }

    /// Whether it has been Ready for `minReadySeconds`.
    fn is_available(&self, now: Instant, stand: Stand) -> bool {
        self.available_at(stand).is_some_and(|at| at <= now)
    }

    fn replicas(&self) -> usize {
        self.new.iter().filter(|stand| **stand != Stand::Forsaken).count()
    }

    /// The old ones that new ones take the place of, with their indices.
    fn replaced(&self) -> impl Iterator<Item = (usize, &Old)> {
        self.old.iter().enumerate().take(limits::PODS).filter(|(_, old)| !old.surplus)
    }

    /// How many are there, as long as anything of them is.
    fn present(&self) -> usize {
        let new = self.new.iter().filter(|stand| !matches!(stand, Stand::Absent | Stand::Forsaken)).count();
        new + self.replaced().count()
    }

    /// Lets so many come that can: in order, and none whose name is still another's.
    fn come(&self, orders: &mut Orders, most: usize) {
        let is_free = |at: usize| self.old.iter().all(|old| old.place != Some(at));
        let absent = self
            .new
            .iter()
            .enumerate()
            .take(limits::PODS)
            .filter(|(at, stand)| **stand == Stand::Absent && is_free(*at));
        absent.take(most).for_each(|(at, _)| orders.come |= 1 << at);
    }

    /// Ends so many old ones of which something is true; gives how many.
    fn end(&self, orders: &mut Orders, most: usize, is_so: impl Fn(Stand) -> bool) -> usize {
        let alive =
            |(at, old): &(usize, &Old)| old.stand != Stand::Ending && orders.end & 1 << at == 0 && is_so(old.stand);
        let chosen: heapless::Vec<usize, { limits::PODS }> =
            self.replaced().filter(alive).map(|(at, _)| at).take(most).collect();
        chosen.iter().for_each(|at| orders.end |= 1 << at);
        chosen.len()
    }

    /// Those that are too many end: at once, or, as a StatefulSet has it, the last one first.
    fn surplus(&self) -> u64 {
        let surplus = || self.old.iter().enumerate().take(limits::PODS).filter(|(_, old)| old.surplus);
        let alive = || surplus().filter(|(_, old)| old.stand != Stand::Ending);
        match self.controller {
            Controller::StatefulSet(Start::OrderedReady, _) if surplus().count() > alive().count() => 0,
            Controller::StatefulSet(Start::OrderedReady, _) => {
                alive().max_by_key(|(_, old)| old.number).map_or(0, |(at, _)| 1 << at)
            }
            _ => alive().fold(0, |all, (at, _)| all | 1 << at),
        }
    }

    /// `RollingUpdate`, by the numbers of Kubernetes' own controller.
    fn roll(&self, now: Instant, surge: usize, unavailable: usize, orders: &mut Orders) {
        let is_alive = |stand: &Stand| matches!(stand, Stand::Coming { .. } | Stand::Ready(_));
        let is_available = |stand: &Stand| self.is_available(now, *stand);
        let old = || self.replaced().map(|(_, old)| old.stand);
        let replicas = self.replicas();
        self.come(orders, (replicas + surge).saturating_sub(self.present()));
        let least = replicas.saturating_sub(unavailable);
        let new_alive = self.new.iter().filter(|stand| is_alive(stand)).count();
        let new_available = self.new.iter().filter(|stand| is_available(stand)).count();
        let alive = new_alive + old().filter(is_alive).count();
        let unready = alive.saturating_sub(least + (new_alive - new_available));
        let mut ended = self.end(orders, unready, |stand| !is_available(&stand));
        let available = new_available + old().filter(is_available).count();
        ended += self.end(orders, available.saturating_sub(least), |stand| is_available(&stand));
        let is_underway = |stand: &Stand| match stand {
            Stand::Coming { held } => !held,
            Stand::Ready(_) => !is_available(stand),
            Stand::Ending => true,
            Stand::Absent | Stand::Forsaken => false,
        };
        let stuck =
            ended == 0 && orders.come == 0 && !self.new.iter().any(is_underway) && old().all(|it| it != Stand::Ending);
        if stuck && self.end(orders, 1, |stand| !is_available(&stand)) == 0 {
            self.end(orders, 1, |_| true);
        }
    }

    /// A StatefulSet's: from the highest number down to `partition`, each once those above it are available again.
    fn descend(&self, now: Instant, partition: usize, unavailable: usize, orders: &mut Orders) {
        let mut left = unavailable.max(1);
        for place in (partition..self.new.len()).rev() {
            let old = self.replaced().find(|(_, old)| old.place == Some(place));
            match (old, self.new[place]) {
                (Some((_, Old { stand: Stand::Ending, .. })), _) => left = left.saturating_sub(1),
                (Some((at, old)), _) => {
                    let available = self.is_available(now, old.stand);
                    if available && left == 0 {
                        return;
                    }
                    orders.end |= 1 << at;
                    left = left.saturating_sub(1);
                }
                (None, Stand::Forsaken) => {}
                (None, stand) if self.is_available(now, stand) => {}
                (None, _) => left = left.saturating_sub(1),
            }
        }
    }
}
