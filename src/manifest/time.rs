//! Time as the machines know it: milliseconds of one monotonic clock, handed in from outside (spec 103).

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the board booted (CLOCK_BOOTTIME).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instant(pub u64);

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Duration(pub u64);

impl Instant {
    /// The moment `span` later, or the last moment there is.
    pub const fn after(self, span: Duration) -> Instant {
        Instant(self.0.saturating_add(span.0))
    }

    /// The time from `earlier` to this moment; none if `earlier` is later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Duration {
    /// No time.
    pub const ZERO: Duration = Duration(0);

    /// Whole seconds.
    pub const fn from_secs(seconds: u64) -> Duration {
        Duration(seconds.saturating_mul(1000))
    }

    /// Milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Duration {
        Duration(milliseconds)
    }

    /// Whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }
}
