//! What time it is in a zone, and until when that offset holds.

use crate::manifest::zone::{Change, Summer, Zone};

const DAY: i64 = 24 * 60;

impl Zone {
    /// The offset from UTC at `utc`, and the moment of the next change; all in minutes, moments since 1970.
    pub(super) fn offset(&self, utc: i64) -> (i64, Option<i64>) {
        let Some(Summer { offset, begins, ends }) = self.summer else { return (self.standard.into(), None) };
        let (standard, summer) = (i64::from(self.standard), i64::from(offset));
        let (this, _, _) = civil(utc.div_euclid(DAY));
        let changes = (this - 1..=this + 1)
            .flat_map(|year| [(begins.local(year) - standard, summer), (ends.local(year) - summer, standard)]);
        let now = changes.clone().filter(|(at, _)| *at <= utc).max_by_key(|(at, _)| *at);
        let next = changes.map(|(at, _)| at).filter(|at| *at > utc).min();
        (now.map_or(standard, |(_, offset)| offset), next)
    }
}

impl Change {
    /// When it is in `year`, in minutes by the clock until then.
    fn local(&self, year: i64) -> i64 {
        let month = i64::from(self.month);
        let first = days(year, month);
        let next = if month == 12 { days(year + 1, 1) } else { days(year, month + 1) };
        let earliest = first + (i64::from(self.weekday) - weekday(first)).rem_euclid(7);
        let day = (0..i64::from(self.week)).map(|week| earliest + 7 * week).rfind(|day| *day < next);
        day.unwrap_or(earliest) * DAY + i64::from(self.minute)
    }
}

/// The day of the week, 0 for Sunday, of a count of days since 1970: that was a Thursday.
pub(super) const fn weekday(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

/// The year, month (from 1) and day (from 1) of a count of days since 1970 (the civil calendar, by eras of 400 years).
pub(super) const fn civil(days: i64) -> (i64, u32, u32) {
    let (era, day_of_era) = ((days + 719_468).div_euclid(146_097), (days + 719_468).rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as i64;
    (year, month as u32, day as u32)
}

/// The days from 1970 to the first of a month: [`civil`] the other way round.
const fn days(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `CET-1CEST,M3.5.0,M10.5.0/3`.
    const BERLIN: Zone = Zone {
        standard: 60,
        summer: Some(Summer {
            offset: 120,
            begins: Change { month: 3, week: 5, weekday: 0, minute: 120 },
            ends: Change { month: 10, week: 5, weekday: 0, minute: 180 },
        }),
    };
    /// 2026-01-01T00:00Z, in minutes.
    const YEAR: i64 = 29_453_760;
    /// 2026-03-29T01:00Z and 2026-10-25T01:00Z.
    const SPRING: i64 = YEAR + 87 * DAY + 60;
    const AUTUMN: i64 = YEAR + 297 * DAY + 60;

    #[test]
    fn the_calendar_goes_both_ways() {
        for year in 1960..2110 {
            for month in 1..=12 {
                let first = days(year, month);
                assert_eq!(civil(first), (year, month as u32, 1));
                assert!(civil(first - 1).2 >= 28);
            }
        }
        assert_eq!((days(2026, 1) * DAY, weekday(days(2026, 11) + 19)), (YEAR, 5), "2026-11-20 is a Friday");
    }

    #[test]
    fn the_last_sundays_of_march_and_october() {
        assert_eq!(BERLIN.offset(YEAR), (60, Some(SPRING)));
        assert_eq!(BERLIN.offset(SPRING - 1), (60, Some(SPRING)));
        assert_eq!(BERLIN.offset(SPRING), (120, Some(AUTUMN)));
        assert_eq!(BERLIN.offset(AUTUMN - 1).0, 120);
        assert_eq!(BERLIN.offset(AUTUMN), (60, Some(SPRING + 364 * DAY)), "2027-03-28");
        assert_eq!(Zone::UTC.offset(AUTUMN), (0, None));
    }

    #[test]
    fn summer_may_be_around_the_new_year_and_a_change_on_another_day() {
        // `AEST-10AEDT,M10.1.0,M4.1.0/3`.
        let sydney = Zone {
            standard: 600,
            summer: Some(Summer {
                offset: 660,
                begins: Change { month: 10, week: 1, weekday: 0, minute: 120 },
                ends: Change { month: 4, week: 1, weekday: 0, minute: 180 },
            }),
        };
        assert_eq!(sydney.offset(YEAR), (660, Some(YEAR + 93 * DAY + 16 * 60)), "2026-04-04T16:00Z");
        assert_eq!(sydney.offset(YEAR + 180 * DAY).0, 600);
        // Greenland: the last Saturday of March at 24 o'clock less 25 hours is Friday's 23 o'clock.
        let nuuk = Change { month: 3, week: 5, weekday: 0, minute: -60 };
        assert_eq!(nuuk.local(2026), YEAR + 87 * DAY - 60);
    }
}
