//! Times as Amplitude writes them; apart from the client's own, so that a mistake in one shows against the other. Days since 1970-01-01 and civil dates: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

/// `2026-01-01 00:00:00.123000`, the form of exported events.
pub(super) fn export_text(unix_ms: u64) -> String {
    let (year, month, day) = civil(unix_ms / 86_400_000);
    let ms = unix_ms % 86_400_000;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{:03}000",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1000 % 60,
        ms % 1000
    )
}

/// The hour that an instant is in: `2026-01-01_5`, as in the names of an archive's members.
pub(super) fn member_hour(hour: u64) -> String {
    let (year, month, day) = civil(hour / 24);
    format!("{year:04}-{month:02}-{day:02}_{}", hour % 24)
}

/// Hours since 1970 of `20260101T05`; `None` for anything else.
pub(super) fn parse_hour(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if bytes.len() != 11 || bytes[8] != b'T' || !bytes.iter().enumerate().all(|(at, byte)| at == 8 || byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day, hour) = (number(0, 4)?, number(4, 6)?, number(6, 8)?, number(9, 11)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 {
        return None;
    }
    let days = days(year, month, day);
    // A day that the month does not have comes back as another date.
    (civil(days) == (year, month, day)).then_some(days * 24 + hour)
}

fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day_of_year - (153 * from_march + 2) / 5 + 1)
}

fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_and_written() {
        assert_eq!(parse_hour("19700101T00"), Some(0));
        assert_eq!(parse_hour("20240229T23"), Some(19_782 * 24 + 23));
        for bad in [
            "20230229T00",
            "20261301T00",
            "20260101T24",
            "20260100T00",
            "2026-01-01T00",
            "20260101",
            "",
            "20260101Tä",
            "19691231T23",
        ] {
            assert_eq!(parse_hour(bad), None, "{bad}");
        }
        assert_eq!(member_hour(19_782 * 24 + 5), "2024-02-29_5");
        assert_eq!(export_text(1_759_999_999_123), "2025-10-09 08:53:19.123000");
    }
}
