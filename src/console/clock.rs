//! Times for people: ages as kubectl writes them, and dates where the wall clock is known (spec 103).

use crate::manifest::time::{Duration, Instant};
use core::fmt::{self, Display};

/// 2024-01-01T00:00:00Z: a clock before that has never been set.
const EARLIEST_UNIX_MS: u64 = 1_704_067_200_000;

/// What is known of the wall clock. Only ever used to show a date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// The wall time of the boot, in milliseconds since 1970.
    boot_unix_ms: Option<u64>,
}

impl Clock {
    /// A clock that has not been set.
    pub const UNSET: Clock = Clock { boot_unix_ms: None };

    /// The clock that shows `unix_ms` at the moment `now`.
    pub const fn new(now: Instant, unix_ms: u64) -> Clock {
        if unix_ms < EARLIEST_UNIX_MS {
            return Clock::UNSET;
        }
        Clock { boot_unix_ms: unix_ms.checked_sub(now.0) }
    }

    /// The date of a moment, where the clock is set.
    pub const fn date(self, moment: Instant) -> Option<Date> {
        match self.boot_unix_ms {
            Some(boot) => Some(Date::from_unix(boot.saturating_add(moment.0) / 1000)),
            None => None,
        }
    }
}

/// A date and time of day in UTC. Its `Display` is RFC 3339, as in Kubernetes objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: u64,
    month: u8,
    day: u8,
    /// Days since 1970-01-01, a Thursday.
    days: u64,
    second: u64,
}

impl Date {
    /// The date of a count of seconds since 1970 (the civil calendar, by eras of 400 years).
    pub const fn from_unix(seconds: u64) -> Date {
        let days = seconds / 86_400;
        let shifted = days + 719_468;
        let day_of_era = shifted % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = shifted / 146_097 * 400 + year_of_era + (month <= 2) as u64;
        Date { year, month: month as u8, day: day as u8, days, second: seconds % 86_400 }
    }

    /// The long form of `kubectl describe`: `Fri, 20 Nov 2026 13:02:45 +0000`.
    pub fn long(self) -> impl Display {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        fmt::from_fn(move |f| {
            let weekday = DAYS[(self.days % 7) as usize];
            let month = MONTHS[usize::from(self.month - 1)];
            write!(f, "{weekday}, {:02} {month} {:04} {} +0000", self.day, self.year, self.time())
        })
    }

    fn time(self) -> impl Display {
        let second = self.second;
        fmt::from_fn(move |f| write!(f, "{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60))
    }
}

impl Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}T{}Z", self.year, self.month, self.day, self.time())
    }
}

/// An age as kubectl writes it: two units where that still says something, then one (`duration.HumanDuration`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

impl Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match () {
            () if seconds < 120 => write!(f, "{seconds}s"),
            () if minutes < 10 => two(f, minutes, "m", seconds % 60, "s"),
            () if minutes < 180 => write!(f, "{minutes}m"),
            () if hours < 8 => two(f, hours, "h", minutes % 60, "m"),
            () if hours < 48 => write!(f, "{hours}h"),
            () if days < 8 => two(f, days, "d", hours % 24, "h"),
            () if days < 730 => write!(f, "{days}d"),
            () if days < 8 * 365 => two(f, days / 365, "y", days % 365, "d"),
            () => write!(f, "{}y", days / 365),
        }
    }
}

/// Two units, the smaller one only where it is not zero.
fn two(f: &mut fmt::Formatter<'_>, large: u64, unit: &str, small: u64, small_unit: &str) -> fmt::Result {
    write!(f, "{large}{unit}")?;
    if small == 0 { Ok(()) } else { write!(f, "{small}{small_unit}") }
}
