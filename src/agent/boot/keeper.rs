//! What process 1 decides: when the agent is started again, and when the board goes down. No I/O, no clock.

use crate::agent::{EXIT_POWER_OFF, EXIT_REBOOT};
use crate::machine::backoff::Backoff;
use crate::manifest::eviction::Eviction;
use crate::manifest::pod::Node;
use crate::manifest::time::{Duration, Instant};

/// How the board goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    Reboot,
    Off,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The agent could not even be started.
    NotStarted,
    /// The agent has ended with this code (128 + n by signal n).
    Ended(u8),
    /// Somebody signalled process 1.
    Asked(Power),
    /// The moment of `poll_at` may have come.
    Wake,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing.
    None,
    /// Start the agent.
    Start,
    /// Ask the agent to end all pods and then itself.
    End,
    /// Take the board down.
    Down(Power),
}

/// How long an agent that was asked to end may take. It keeps to the node's own, shorter bound.
const ENDING: Duration = Duration::from_secs(600);

/// An agent that dies is back at once; one that goes on dying must not keep the processor from the pods.
const RESTARTS: Backoff = Backoff::new(&Node {
    backoff_base_ms: 200,
    backoff_cap_ms: 30_000,
    backoff_reset_ms: 60_000,
    pod_pids_limit: 1,
    eviction: Eviction::DEFAULT,
    shutdown_grace_seconds: 0,
    memory_reserve: None,
});

#[derive(Clone, Copy, Debug)]
enum State {
    /// No agent; the next one is due.
    Waiting { until: Instant },
    /// An agent.
    Running { since: Instant },
    /// An agent that was asked to end.
    Ending { power: Power, until: Instant },
    /// Over.
    Down,
}

/// The keeper of one agent.
#[derive(Debug)]
pub(super) struct Keeper {
    state: State,
    /// Ends in a row that count towards the wait.
    failures: u16,
}

impl Keeper {
    /// No agent yet; the first one is due now.
    pub(super) fn new(now: Instant) -> Keeper {
        Keeper { state: State::Waiting { until: now }, failures: 0 }
    }

    pub(super) fn step(&mut self, now: Instant, event: Event) -> Act {
        let (state, act) = match (self.state, event) {
            (State::Waiting { until }, Event::Wake) if now >= until => (State::Running { since: now }, Act::Start),
            (State::Waiting { .. }, Event::Asked(power)) => (State::Down, Act::Down(power)),
            (State::Running { .. }, Event::Ended(EXIT_REBOOT)) => (State::Down, Act::Down(Power::Reboot)),
            (State::Running { .. }, Event::Ended(EXIT_POWER_OFF)) => (State::Down, Act::Down(Power::Off)),
            (State::Running { since }, Event::Ended(_) | Event::NotStarted) => {
                self.failures = RESTARTS.counted(self.failures.saturating_add(1), now.since(since));
                (State::Waiting { until: now.after(RESTARTS.after_end(self.failures)) }, Act::None)
            }
            (State::Running { .. }, Event::Asked(power)) => {
                (State::Ending { power, until: now.after(ENDING) }, Act::End)
            }
            (State::Ending { power, .. }, Event::Ended(_) | Event::NotStarted) => (State::Down, Act::Down(power)),
            // Whoever asks twice does not want to wait.
            (State::Ending { .. }, Event::Asked(power)) => (State::Down, Act::Down(power)),
            (State::Ending { power, until }, Event::Wake) if now >= until => (State::Down, Act::Down(power)),
            (state, _) => (state, Act::None),
        };
        self.state = state;
        act
    }

    /// The next moment at which time alone changes something.
    pub(super) fn poll_at(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } | State::Ending { until, .. } => Some(until),
            State::Running { .. } | State::Down => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Instant = Instant(1_000_000);

    fn running(now: Instant) -> Keeper {
        let mut keeper = Keeper::new(now);
        assert_eq!(keeper.step(now, Event::Wake), Act::Start);
        assert_eq!(keeper.poll_at(), None, "an agent that runs costs no wake-up");
        keeper
    }

    #[test]
    fn an_agent_that_dies_is_back_at_once_and_a_crash_loop_does_not_spin() {
        let (mut keeper, mut now) = (running(T0), T0);
        let mut waits = std::vec::Vec::new();
        for _ in 0..12 {
            assert_eq!(keeper.step(now, Event::Ended(101 + 5)), Act::None);
            let due = keeper.poll_at().unwrap();
            waits.push(due.since(now).0);
            if due > now {
                assert_eq!(keeper.step(now, Event::Wake), Act::None, "not before its time");
            }
            now = due;
            assert_eq!(keeper.step(now, Event::Wake), Act::Start);
        }
        assert_eq!(waits, [0, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000]);
        now = now.after(Duration::from_secs(61));
        keeper.step(now, Event::Ended(137));
        assert_eq!(keeper.poll_at(), Some(now), "a long run forgets the ones before");
    }

    #[test]
    fn an_agent_that_cannot_be_started_is_waited_for_too() {
        let mut keeper = running(T0);
        for _ in 0..3 {
            assert_eq!(keeper.step(T0, Event::NotStarted), Act::None);
            let due = keeper.poll_at().unwrap();
            assert_eq!(keeper.step(due, Event::Wake), Act::Start);
        }
        assert!(keeper.step(T0, Event::NotStarted) == Act::None && keeper.poll_at() > Some(T0));
    }

    #[test]
    fn the_agents_exit_code_takes_the_board_down() {
        assert_eq!(running(T0).step(T0, Event::Ended(EXIT_REBOOT)), Act::Down(Power::Reboot));
        assert_eq!(running(T0).step(T0, Event::Ended(EXIT_POWER_OFF)), Act::Down(Power::Off));
    }

    #[test]
    fn a_signal_ends_the_pods_first_and_a_second_one_does_not_wait() {
        let mut keeper = running(T0);
        assert_eq!(keeper.step(T0, Event::Asked(Power::Reboot)), Act::End);
        assert_eq!(keeper.step(T0, Event::Ended(0)), Act::Down(Power::Reboot));
        assert_eq!(keeper.step(T0, Event::Asked(Power::Off)), Act::None, "over is over");

        let mut keeper = running(T0);
        keeper.step(T0, Event::Asked(Power::Reboot));
        assert_eq!(keeper.step(T0, Event::Asked(Power::Off)), Act::Down(Power::Off));

        let mut keeper = running(T0);
        keeper.step(T0, Event::Asked(Power::Off));
        let until = keeper.poll_at().unwrap();
        assert_eq!(keeper.step(T0, Event::Wake), Act::None);
        assert_eq!(keeper.step(until, Event::Wake), Act::Down(Power::Off));
    }
}
