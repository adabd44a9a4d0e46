//! Updates of whole controllers, told in simulated time: which old pod ends when, and which new one comes.

use podling::machine::rollout::{Old, Rollout, Stand};
use podling::manifest::owner::{Controller, Start, Strategy, Update};
use podling::manifest::time::Instant;

/// A pod in this story: its name, and how it stands.
#[derive(Clone, Debug, PartialEq)]
struct Pod {
    name: String,
    stand: Stand,
}

/// A controller, its pods, and a clock in seconds.
struct Story {
    controller: Controller<'static>,
    new: Vec<Pod>,
    old: Vec<(Pod, Option<usize>, bool)>,
    now: u64,
    /// Pods that there is room for.
    room: usize,
    /// The most that there were, ending ones included; the fewest that were Ready.
    most: usize,
    least: usize,
}

fn pods(prefix: &str, count: usize, stand: Stand) -> Vec<Pod> {
    (0..count).map(|n| Pod { name: format!("{prefix}{n}"), stand }).collect()
}

impl Story {
    /// So many old pods that are Ready, and as many new ones of other names.
    fn deployment(strategy: Strategy, old: usize, new: usize) -> Story {
        let controller = Controller::ReplicaSet(Update { strategy, min_ready_seconds: 0 });
        let old = pods("old", old, Stand::Ready(Instant(0))).into_iter().map(|pod| (pod, None, false)).collect();
        Story { controller, new: pods("new", new, Stand::Absent), old, now: 100, room: 64, most: 0, least: usize::MAX }
    }

    /// So many old pods whose names the new ones bear.
    fn stateful(partition: u16, unavailable: u16, replicas: usize) -> Story {
        let strategy = Strategy::Ordered { partition, unavailable };
        let controller = Controller::StatefulSet(Start::OrderedReady, Update { strategy, min_ready_seconds: 0 });
        let mut story = Story { controller, ..Story::deployment(strategy, replicas, replicas) };
        story.old.iter_mut().enumerate().for_each(|(n, old)| old.1 = Some(n));
        story
    }

    /// One look; what it asks for, as `+new0 -old1`.
    fn look(&mut self) -> String {
        let new: Vec<Stand> = self.new.iter().map(|pod| pod.stand).collect();
        let old: Vec<Old> = (0..)
            .zip(&self.old)
            .map(|(number, (pod, place, surplus))| Old { stand: pod.stand, place: *place, surplus: *surplus, number })
            .collect();
        let orders = Rollout { controller: self.controller, new: &new, old: &old }.step(Instant(self.now * 1000));
        let mut said = Vec::new();
        for (n, pod) in self.new.iter_mut().enumerate().filter(|(n, _)| orders.come & 1 << n != 0) {
            said.push(format!("+{}", pod.name));
            assert_eq!(pod.stand, Stand::Absent, "{n}");
            pod.stand = Stand::Coming { held: false };
        }
        for (n, (pod, ..)) in self.old.iter_mut().enumerate().filter(|(n, _)| orders.end & 1 << n != 0) {
            assert_ne!(pod.stand, Stand::Ending, "{n}");
            said.push(format!("-{}", pod.name));
            pod.stand = Stand::Ending;
        }
        // What finds no room waits.
        let there = self.old.len() + self.new.iter().filter(|pod| matches!(pod.stand, Stand::Ready(_))).count();
        let mut room = self.room.saturating_sub(there);
        for pod in self.new.iter_mut().filter(|pod| matches!(pod.stand, Stand::Coming { .. })) {
            pod.stand = Stand::Coming { held: room == 0 };
            room = room.saturating_sub(1);
        }
        let coming = self.new.iter().filter(|pod| !matches!(pod.stand, Stand::Absent | Stand::Forsaken)).count();
        let ready =
            self.new.iter().chain(self.old.iter().map(|old| &old.0)).filter(|pod| matches!(pod.stand, Stand::Ready(_)));
        self.least = self.least.min(ready.count());
        self.most = self.most.max(coming + self.old.len());
        said.join(" ")
    }

    /// Time passes: what was on its way is Ready, what was ending is gone.
    fn settle(&mut self) {
        self.now += 1;
        for pod in self.new.iter_mut().filter(|pod| pod.stand == Stand::Coming { held: false }) {
            pod.stand = Stand::Ready(Instant(self.now * 1000));
        }
        self.old.retain(|(pod, ..)| pod.stand != Stand::Ending);
    }

    /// All looks until nothing changes any more.
    fn told(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..200 {
            let said = self.look();
            if !said.is_empty() {
                all.push(said);
            }
            self.settle();
        }
        all
    }

    fn is_done(&self) -> bool {
        self.old.is_empty() && self.new.iter().all(|pod| matches!(pod.stand, Stand::Ready(_)))
    }
}

fn rolling(surge: u16, unavailable: u16) -> Strategy {
    Strategy::Rolling { surge, unavailable }
}

#[test]
fn spec_64_with_a_surge_the_new_one_is_ready_before_the_old_one_ends() {
    let mut story = Story::deployment(rolling(1, 0), 1, 1);
    assert_eq!(story.told(), ["+new0", "-old0"]);
    assert_eq!((story.is_done(), story.most, story.least), (true, 2, 1));
    let mut story = Story::deployment(rolling(1, 0), 3, 3);
    assert_eq!(story.told(), ["+new0", "-old0", "+new1", "-old1", "+new2", "-old2"]);
    assert_eq!((story.is_done(), story.most, story.least), (true, 4, 3));
}

#[test]
fn spec_64_every_number_keeps_its_promises_and_comes_to_its_end() {
    for replicas in 0..6usize {
        for before in 0..6usize {
            for (surge, unavailable) in
                (0..4).flat_map(|surge| (0..4).map(move |it| (surge, it))).filter(|it| *it != (0, 0))
            {
                let mut story = Story::deployment(rolling(surge, unavailable), before, replicas);
                let all = story.told();
                assert!(story.is_done(), "{replicas} after {before}, +{surge} -{unavailable}: {all:?}");
                assert!(story.most <= before.max(replicas + usize::from(surge)), "{all:?}");
                assert!(story.least >= before.min(replicas.saturating_sub(unavailable.into())), "{all:?}");
            }
        }
    }
}

#[test]
fn spec_64_what_never_gets_ready_stops_the_update() {
    let mut story = Story::deployment(rolling(1, 0), 2, 2);
    assert_eq!(story.look(), "+new0");
    for _ in 0..5 {
        story.now += 1000;
        assert_eq!(story.look(), "");
    }
}

#[test]
fn spec_64_an_old_one_that_is_not_ready_goes_first() {
    let mut story = Story::deployment(rolling(0, 1), 3, 3);
    story.old[2].0.stand = Stand::Coming { held: false };
    assert_eq!(story.look(), "-old2");
}

#[test]
fn spec_64_96_without_room_for_a_surge_an_old_one_makes_it() {
    let mut story = Story::deployment(rolling(1, 0), 2, 2);
    story.room = 2;
    let all = story.told();
    assert!(story.is_done(), "{all:?}");
    assert_eq!(all[..2], ["+new0", "-old0"]);
    assert_eq!(story.least, 1);
}

#[test]
fn spec_64_min_ready_seconds_are_waited_for() {
    let mut story = Story::deployment(rolling(1, 0), 1, 1);
    story.controller = Controller::ReplicaSet(Update { strategy: rolling(1, 0), min_ready_seconds: 10 });
    assert_eq!(story.look(), "+new0");
    story.settle();
    assert_eq!(story.look(), "");
    let (new, old) =
        ([story.new[0].stand], [Old { stand: story.old[0].0.stand, place: None, surplus: false, number: 0 }]);
    let rollout = Rollout { controller: story.controller, new: &new, old: &old };
    assert_eq!(rollout.poll_at(Instant(story.now * 1000)), Some(Instant(111_000)));
    story.now = 111;
    assert_eq!(story.look(), "-old0");
}

#[test]
fn spec_64_recreate_ends_all_before_the_first_one_comes() {
    let mut story = Story::deployment(Strategy::Recreate, 2, 2);
    assert_eq!(story.told(), ["-old0 -old1", "+new0 +new1"]);
    assert_eq!(story.most, 2);
}

#[test]
fn spec_57_on_delete_waits_for_somebody() {
    let mut story = Story::deployment(Strategy::OnDelete, 2, 2);
    assert_eq!(story.told(), Vec::<String>::new());
    story.old[1].0.stand = Stand::Ending;
    assert_eq!(story.look(), "", "not before it is gone");
    story.settle();
    assert_eq!(story.told(), ["+new0"]);
    // And one that is to have fewer has fewer.
    assert_eq!(Story::deployment(Strategy::OnDelete, 3, 1).told(), ["-old0 -old1"]);
}

#[test]
fn a_pod_that_was_deleted_is_not_waited_for() {
    let mut story = Story::deployment(rolling(1, 0), 2, 2);
    story.new[0].stand = Stand::Forsaken;
    let all = story.told();
    assert!(story.old.is_empty(), "{all:?}");
    assert_eq!(story.new[0].stand, Stand::Forsaken);
}

#[test]
fn spec_64_a_new_one_of_the_same_name_comes_when_the_old_one_is_gone() {
    let mut story = Story::deployment(rolling(1, 0), 2, 2);
    story.old.iter_mut().enumerate().for_each(|(n, old)| old.1 = Some(n));
    assert_eq!(story.told(), ["-old0", "+new0", "-old1", "+new1"]);
}

#[test]
fn spec_65_a_stateful_set_goes_from_the_last_one_down() {
    let mut story = Story::stateful(0, 1, 3);
    assert_eq!(story.told(), ["-old2", "+new2", "-old1", "+new1", "-old0", "+new0"]);
    assert_eq!((story.is_done(), story.least), (true, 2));
    assert_eq!(Story::stateful(2, 1, 3).told(), ["-old2", "+new2"], "those before the partition stay");
    assert_eq!(Story::stateful(0, 2, 3).told()[0], "-old1 -old2");
}

#[test]
fn spec_65_a_stateful_set_waits_for_the_one_that_it_has_replaced() {
    let mut story = Story::stateful(0, 1, 2);
    assert_eq!((story.look().as_str(), story.look().as_str()), ("-old1", ""));
    story.settle();
    assert_eq!(story.look(), "+new1");
    assert_eq!(story.look(), "", "it is not Ready yet");
    // An old one that is ill is not waited for.
    story.old[0].0.stand = Stand::Coming { held: false };
    assert_eq!(story.look(), "-old0");
}

#[test]
fn spec_65_too_many_of_a_stateful_set_go_one_by_one() {
    let mut story = Story::stateful(0, 1, 3);
    story.new = pods("new", 1, Stand::Ready(Instant(0)));
    story.old.remove(0);
    story.old.iter_mut().for_each(|(_, place, surplus)| (*place, *surplus) = (None, true));
    assert_eq!(story.told(), ["-old2", "-old1"]);
}
