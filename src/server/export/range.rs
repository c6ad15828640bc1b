//! A range of hours in UTC, both ends included.

use std::fmt;

use crate::{Error, Result};

/// The hours of an export, in UTC, by the time of upload, the last hour included. Shown as `20260101T00 to 20260131T23`.
///
/// A range may be longer than what one export takes; [`ExportRange::split`] cuts it.
///
/// ```
/// use amplitude_sdk::server::ExportRange;
///
/// let january = ExportRange::parse("20260101T00", "20260131T23")?;
/// assert_eq!(january.hours(), 744);
/// let mut days = january.split(24);
/// assert_eq!(days.next().unwrap().to_string(), "20260101T00 to 20260101T23");
/// assert_eq!(days.count(), 30);
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct ExportRange {
    /// Hours since 1970.
    first: u64,
    last: u64,
}

/// The last hour of the year 9999: what four digits can write.
const LAST_HOUR: u64 = 70_389_527;

impl ExportRange {
    /// Reads both hours as Amplitude writes them: `20260101T05`. The last hour is part of the range.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for a text of another form, a date that does not exist, and an end before the start.
    pub fn parse(start: &str, end: &str) -> Result<Self> {
        let hour = |name: &str, text: &str| {
            parse_hour(text).ok_or_else(|| Error::invalid(&[name, ": must be an hour such as 20260101T05, of a day that exists"]))
        };
        Self::new(hour("start", start)?, hour("end", end)?)
    }

    /// From the hour of one instant to the hour of another, both in seconds since 1970.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for an end before the start or after the year 9999.
    pub fn from_unix_seconds(start: u64, end: u64) -> Result<Self> {
        Self::new(start / 3600, end / 3600)
    }

    fn new(first: u64, last: u64) -> Result<Self> {
        if last < first {
            return Err(Error::invalid(&["end: is before the start"]));
        }
        if last > LAST_HOUR {
            return Err(Error::invalid(&["end: is after the year 9999"]));
        }
        Ok(Self { first, last })
    }

    /// How many hours it has.
    #[must_use]
    pub fn hours(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Parts of that many hours (0 counts as 1), the last one maybe shorter: in order, without a gap and without an hour in two of them. For
    /// ranges that are too large for one export. How many hours fit into its 4 GB only the project's traffic tells; a day is a good start.
    pub fn split(self, hours: u64) -> impl Iterator<Item = Self> + Clone + Send {
        let hours = hours.max(1);
        (self.first..=self.last)
            .step_by(usize::try_from(hours).unwrap_or(usize::MAX))
            .map(move |first| Self { first, last: first.saturating_add(hours - 1).min(self.last) })
    }

    /// Both hours as the API takes them.
    pub(super) fn texts(self) -> (String, String) {
        (hour_text(self.first), hour_text(self.last))
    }
}

impl fmt::Display for ExportRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", hour_text(self.first), hour_text(self.last))
    }
}

impl fmt::Debug for ExportRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExportRange({self})")
    }
}

fn parse_hour(text: &str) -> Option<u64> {
    let digits =
        text.len() == 11 && text.bytes().enumerate().all(|(at, byte)| if at == 8 { byte == b'T' } else { byte.is_ascii_digit() });
    let number = |from: usize, to: usize| text.get(from..to).filter(|_| digits)?.parse::<u64>().ok();
    let (year, month, day, hour) = (number(0, 4)?, number(4, 6)?, number(6, 8)?, number(9, 11)?);
    let known = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24;
    // A day that the month does not have would come back as another.
    known.then(|| days(year, month, day) * 24 + hour).filter(|hours| hour_text(*hours) == text)
}

/// Days since 1970-01-01 and back: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn hour_text(hours: u64) -> String {
    let mut date = Vec::new();
    crate::context::push_iso_time(&mut date, hours * 3_600_000);
    // `2026-01-01T05:00:00.000Z` without its dashes, up to the hour.
    date.iter().take(13).filter(|byte| **byte != b'-').map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hours_come_back_as_they_were_read() {
        for text in ["19700101T00", "20240229T23", "20260101T05", "99991231T23"] {
            assert_eq!(parse_hour(text).map(hour_text).as_deref(), Some(text));
        }
        for bad in [
            "20230229T00",
            "20261301T00",
            "20260101T24",
            "20260100T00",
            "2026-01-01",
            "",
            "2026010ßT0",
            "19691231T23",
            "20260101t05",
        ] {
            assert!(ExportRange::parse(bad, "20260101T00").unwrap_err().to_string().contains("start"), "{bad}");
        }
    }

    #[test]
    fn ranges_end_behind_their_start_and_before_the_year_10000() {
        assert!(ExportRange::parse("20260102T00", "20260101T23").unwrap_err().to_string().contains("end"));
        assert_eq!(ExportRange::parse("20250101T00", "20251231T23").unwrap().hours(), 8760);
        assert!(ExportRange::from_unix_seconds(0, u64::MAX).unwrap_err().to_string().contains("9999"));
        assert!(ExportRange::from_unix_seconds(u64::MAX, 0).unwrap_err().to_string().contains("before the start"));
        let range = ExportRange::from_unix_seconds(1_767_225_600 + 3599, 1_767_225_600 + 3600).unwrap();
        assert_eq!(format!("{range:?}"), "ExportRange(20260101T00 to 20260101T01)");
        let range = ExportRange::parse("20260101T00", "20260102T06").unwrap();
        let parts: Vec<_> = range.split(10).map(|part| part.to_string()).collect();
        assert_eq!(
            parts,
            [
                "20260101T00 to 20260101T09",
                "20260101T10 to 20260101T19",
                "20260101T20 to 20260102T05",
                "20260102T06 to 20260102T06"
            ]
        );
    }

    proptest! {
        #[test]
        fn parts_are_the_range_without_gap_or_overlap(
            first in 0..=LAST_HOUR,
            length in 0u64..20_000,
            hours in prop_oneof![0u64..100, any::<u64>()],
        ) {
            let range = ExportRange::new(first, (first + length).min(LAST_HOUR)).unwrap();
            let mut next = range.first;
            for part in range.split(hours) {
                prop_assert_eq!(part.first, next);
                prop_assert!(part.last >= part.first && part.hours() <= hours.max(1));
                prop_assert!(part.hours() == hours.max(1) || part.last == range.last, "only the last is shorter");
                next = part.last + 1;
            }
            prop_assert_eq!(next, range.last + 1);
        }

        #[test]
        fn any_hour_comes_back_as_it_was_read(hour in 0..=LAST_HOUR) {
            prop_assert_eq!(parse_hour(&hour_text(hour)), Some(hour));
        }

        #[test]
        fn any_text_is_an_hour_or_an_error(start in ".{0,16}", end in "[0-9T]{11}") {
            if let Ok(range) = ExportRange::parse(&start, &end) {
                prop_assert_eq!(range.to_string(), format!("{start} to {end}"));
            }
        }
    }
}
