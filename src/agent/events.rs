//! The events of this boot: a bounded ring, repeats counted into one line, as `kubectl get events` does.

use crate::manifest::limits;
use crate::manifest::status::{Message, message};
use crate::manifest::time::Instant;
use std::collections::VecDeque;
use std::prelude::v1::*;

/// One line of `kubectl get events`.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it was first seen.
    pub first: Instant,
    /// When it was last seen.
    pub last: Instant,
    /// How often it was seen.
    pub count: u32,
    /// `type: Warning`, else Normal.
    pub warning: bool,
    /// `reason`.
    pub reason: &'static str,
    /// The namespace of the pod; empty where it is about the node.
    pub namespace: Box<str>,
    /// The pod; the node's name where it is about the node.
    pub object: Box<str>,
    /// The container; empty where it is about the whole pod.
    pub container: Box<str>,
    /// `message`.
    pub message: Message,
}

impl Event {
    /// One that happens now; `about`: namespace, object and container, empty where there is none.
    pub fn new(
        now: Instant,
        (warning, reason): (bool, &'static str),
        about: (&str, &str, &str),
        message: Message,
    ) -> Event {
        let (namespace, object, container) = (about.0.into(), about.1.into(), about.2.into());
        Event { first: now, last: now, count: 1, warning, reason, namespace, object, container, message }
    }

    /// Whether both are the same happening, so that one line serves for both.
    fn repeats(&self, other: &Event) -> bool {
        self.reason == other.reason
            && self.warning == other.warning
            && self.object == other.object
            && self.namespace == other.namespace
            && self.container == other.container
            && self.message == other.message
    }
}

/// The newest [`limits::EVENTS`] events, oldest first by when they were last seen.
#[derive(Debug, Default)]
pub struct Events {
    ring: VecDeque<Event>,
    dropped: u64,
}

impl Events {
    /// Adds one, and says it to the log as well.
    pub fn add(&mut self, mut event: Event) {
        let level = if event.warning { log::Level::Warn } else { log::Level::Info };
        log::log!(
            level,
            "{}/{} {} {}: {}",
            event.namespace,
            event.object,
            event.container,
            event.reason,
            event.message
        );
        if let Some(place) = self.ring.iter().position(|old| old.repeats(&event)) {
            let old = self.ring.remove(place);
            event.first = old.as_ref().map_or(event.first, |old| old.first);
            event.count = old.map_or(1, |old| old.count.saturating_add(1));
        } else if self.ring.len() == limits::EVENTS {
            self.ring.pop_front();
            self.dropped += 1;
        }
        self.ring.push_back(event);
    }

    /// Adds one about the node.
    pub fn add_node(&mut self, now: Instant, node: &str, warning: bool, reason: &'static str, text: &str) {
        self.add(Event::new(now, (warning, reason), ("", node, ""), message(text)));
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Event> + ExactSizeIterator {
        self.ring.iter()
    }

    /// How many had to make room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: u64, text: &str) -> Event {
        Event {
            first: Instant(at),
            last: Instant(at),
            count: 1,
            warning: false,
            reason: "Started",
            namespace: "default".into(),
            object: "web".into(),
            container: "nginx".into(),
            message: message(text),
        }
    }

    #[test]
    fn repeats_are_counted_and_move_to_the_end() {
        let mut events = Events::default();
        events.add(event(1, "a"));
        events.add(event(2, "b"));
        events.add(event(3, "a"));
        let seen: Vec<_> = events.iter().map(|e| (e.first.0, e.last.0, e.count, e.message.as_str())).collect();
        assert_eq!(seen, [(2, 2, 1, "b"), (1, 3, 2, "a")]);
    }

    #[test]
    fn the_ring_is_bounded_and_says_what_it_dropped() {
        let mut events = Events::default();
        for n in 0..limits::EVENTS as u64 + 3 {
            events.add(event(n, &std::format!("{n}")));
        }
        assert_eq!(events.iter().len(), limits::EVENTS);
        assert_eq!(events.iter().next().map(|e| e.last.0), Some(3));
        assert_eq!(events.dropped(), 3);
    }
}
