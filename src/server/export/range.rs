//! A range of hours in UTC, both ends included.

use crate::{Error, Result, limits};

/// The hours of an export, in UTC, by the time of upload.
///
/// ```
/// use amplitude_sdk::server::ExportRange;
///
/// let january = ExportRange::parse("20260101T00", "20260131T23")?;
/// assert_eq!(january.hours(), 744);
/// assert_eq!(january.split(24).count(), 31);
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExportRange {
    /// Hours since 1970.
    first: u64,
    last: u64,
}

impl ExportRange {
    /// Reads both hours as Amplitude writes them: `20260101T05`. The last hour is part of the range.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for a text of another form, a date that does not exist, an end before the start, and more than 365 days.
    pub fn parse(start: &str, end: &str) -> Result<Self> {
        let hour = |name: &str, text: &str| {
            parse_hour(text).ok_or_else(|| Error::invalid(&[name, ": must be an hour such as 20260101T05, of a day that exists"]))
        };
        Self::new(hour("start", start)?, hour("end", end)?)
    }

    /// From the hour of one instant to the hour of another, both in seconds since 1970.
    ///
    /// # Errors
    /// As [`ExportRange::parse`].
    pub fn from_unix_seconds(start: u64, end: u64) -> Result<Self> {
        Self::new(start / 3600, end / 3600)
    }

    fn new(first: u64, last: u64) -> Result<Self> {
        // The last hour of the year 9999: what four digits can write.
        if last > 70_389_527 {
            return Err(Error::invalid(&["end: is after the year 9999"]));
        }
        if last < first {
            return Err(Error::invalid(&["end: is before the start"]));
        }
        if last - first >= limits::EXPORT_DAYS * 24 {
            return Err(Error::invalid(&["range: is longer than 365 days; export it in parts"]));
        }
        Ok(Self { first, last })
    }

    /// How many hours it has.
    #[must_use]
    pub fn hours(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Parts of at most that many hours (at least one), in order: for ranges that are too large for one export.
    pub fn split(self, hours: u64) -> impl Iterator<Item = Self> {
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
    fn ranges_are_bounded_and_split_without_gaps() {
        assert!(ExportRange::parse("20260102T00", "20260101T23").is_err());
        assert!(ExportRange::parse("20250101T00", "20251231T23").is_ok());
        assert!(ExportRange::parse("20250101T00", "20260101T00").is_err());
        assert!(ExportRange::from_unix_seconds(0, u64::MAX).is_err());
        let range = ExportRange::parse("20260101T00", "20260102T06").unwrap();
        let parts: Vec<_> = range.split(10).map(ExportRange::texts).collect();
        let text = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(
            parts,
            [
                text("20260101T00", "20260101T09"),
                text("20260101T10", "20260101T19"),
                text("20260101T20", "20260102T05"),
                text("20260102T06", "20260102T06")
            ]
        );
        assert_eq!(range.split(0).count(), 31);
        assert_eq!(range.split(u64::MAX).count(), 1);
    }
}
