//! A time zone's rules as the board needs them: what a POSIX TZ text says, in numbers, so that no board keeps a zone database.

use serde::{Deserialize, Serialize};

/// A time zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Minutes east of UTC in standard time.
    pub standard: i16,
    /// The other time that it keeps for a part of each year.
    pub summer: Option<Summer>,
}

/// Daylight saving time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summer {
    /// Minutes east of UTC.
    pub offset: i16,
    /// When it begins each year.
    pub begins: Change,
    /// When it ends.
    pub ends: Change,
}

/// A moment of each year, by the time that is kept until then: `Mm.w.d/time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// 1 to 12.
    pub month: u8,
    /// 1 to 5; 5 is the last such day of the month.
    pub week: u8,
    /// 0 (Sunday) to 6.
    pub weekday: u8,
    /// Minutes from midnight; may be on another day.
    pub minute: i16,
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone { standard: 0, summer: None };
    /// The largest offset, in minutes.
    pub const OFFSET: i16 = 26 * 60;
    /// The largest [`Change::minute`], before midnight and after.
    pub const MINUTE: i16 = 167 * 60 + 59;
}
