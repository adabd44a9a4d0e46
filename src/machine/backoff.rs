//! How long to wait before the next try (spec 43): at once, then a base that doubles up to a cap.

use crate::manifest::pod::Node;
use crate::manifest::time::Duration;
use core::fmt;

/// The node's back-off settings. Failures are counted by whoever fails; this only says what a count means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    reset: Duration,
}

impl Backoff {
    /// The settings of a node.
    pub const fn new(node: &Node) -> Backoff {
        Backoff {
            base: Duration::from_millis(node.backoff_base_ms as u64),
            cap: Duration::from_millis(node.backoff_cap_ms as u64),
            reset: Duration::from_millis(node.backoff_reset_ms as u64),
        }
    }

    /// The wait after something ran and ended for the `failures`th time in a row: the first restart is immediate.
    pub fn after_end(&self, failures: u16) -> Duration {
        match failures {
            0 | 1 => Duration::ZERO,
            _ => self.doubled(failures - 2),
        }
    }

    /// The wait after something could not be made for the `failures`th time in a row: trying again at once would be in vain.
    pub fn after_refusal(&self, failures: u16) -> Duration {
        self.doubled(failures.saturating_sub(1))
    }

    /// The count of failures in a row, this end included, once something has run for `ran`: a long run forgets the ones before.
    pub fn counted(&self, failures: u16, ran: Duration) -> u16 {
        if ran >= self.reset { failures.min(1) } else { failures }
    }

    /// Saturate, then cap: no number of doublings may wrap round to a short wait.
    fn doubled(&self, times: u16) -> Duration {
        let factor = 1u64.checked_shl(times.into()).unwrap_or(u64::MAX);
        Duration(self.base.0.saturating_mul(factor)).min(self.cap)
    }
}

/// A wait as kubelet writes one: `10s`, `1m20s`, `5m0s`.
pub(super) struct Shown(pub(super) Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, milliseconds) = (self.0.as_secs(), self.0.0 % 1000);
        match (seconds / 60, seconds % 60, milliseconds) {
            (0, 0, ms) if ms > 0 => write!(f, "{ms}ms"),
            (0, s, 0) => write!(f, "{s}s"),
            (0, s, ms) => write!(f, "{s}.{ms:03}s"),
            (m, s, _) => write!(f, "{m}m{s}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::vec::Vec;

    fn backoff() -> Backoff {
        Backoff::new(&Node::default())
    }

    #[test]
    fn spec_43_first_at_once_then_doubling_to_the_cap() {
        let seconds: Vec<u64> = (1..=8).map(|n| backoff().after_end(n).as_secs()).collect();
        assert_eq!(seconds, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn spec_43_what_could_not_be_made_is_never_retried_at_once() {
        let seconds: Vec<u64> = (0..=7).map(|n| backoff().after_refusal(n).as_secs()).collect();
        assert_eq!(seconds, [10, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn spec_43_ten_minutes_of_running_reset_it() {
        assert_eq!(backoff().counted(7, Duration::from_secs(599)), 7);
        assert_eq!(backoff().counted(7, Duration::from_secs(600)), 1);
        assert_eq!(backoff().counted(0, Duration::from_secs(600)), 0);
    }

    #[test]
    fn spec_43_saturates_then_caps_at_the_extremes() {
        for base in [0, 1, 10_000, u32::MAX] {
            for cap in [0, 1, 300_000, u32::MAX] {
                let backoff = Backoff::new(&Node { backoff_base_ms: base, backoff_cap_ms: cap, ..Node::default() });
                let mut before = Duration::ZERO;
                for failures in (0..200).chain([u16::MAX - 1, u16::MAX]) {
                    let delay = backoff.after_end(failures);
                    assert!(delay >= before && delay <= Duration(cap.into()), "{base} {cap} {failures}");
                    before = delay;
                }
                assert_eq!(before, Duration(if base == 0 { 0 } else { cap.into() }));
            }
        }
    }

    #[test]
    fn waits_are_shown_as_kubelet_shows_them() {
        let shown = |ms| format!("{}", Shown(Duration(ms)));
        assert_eq!([shown(10_000), shown(80_000), shown(300_000)], ["10s", "1m20s", "5m0s"]);
        assert_eq!([shown(0), shown(250), shown(1_500)], ["0s", "250ms", "1.500s"]);
    }
}
