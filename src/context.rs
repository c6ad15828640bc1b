//! What surrounds an event on the wire: its `insert_id`, and the envelope of a request. Both targets; after `event`, before `store`.

use std::mem;

use crate::{ProjectKey, json::decimal, platform};

/// Random UUIDs (version 4) from entropy that is fetched 4 KiB at a time, because a system call for each costs as much as the rest
/// of `track`.
pub(crate) struct InsertIds {
    pool: Vec<u8>,
    used: usize,
    text: [u8; 36],
}

impl InsertIds {
    const POOL: usize = 4096;

    pub(crate) const fn new() -> Self {
        Self { pool: Vec::new(), used: 0, text: [b'-'; 36] }
    }

    pub(crate) fn next(&mut self) -> &str {
        if self.used + 16 > self.pool.len() {
            self.pool.resize(Self::POOL, 0);
            platform::fill_random(&mut self.pool);
            self.used = 0;
        }
        if let Some(random) = self.pool[self.used..].first_chunk_mut::<16>() {
            // A used id must not be read again from the pool.
            let mut digits = u128::from_be_bytes(mem::take(random));
            digits = digits & !(0xf << 76) | 4 << 76;
            digits = digits & !(0x3 << 62) | 2 << 62;
            let [a, b, c, d] = [96, 64, 32, 0].map(|shift| hex((digits >> shift) as u32));
            self.text[..8].copy_from_slice(&a);
            self.text[9..13].copy_from_slice(&b[..4]);
            self.text[14..18].copy_from_slice(&b[4..]);
            self.text[19..23].copy_from_slice(&c[..4]);
            self.text[24..28].copy_from_slice(&c[4..]);
            self.text[28..].copy_from_slice(&d);
        }
        self.used += 16;
        // Hexadecimal digits and dashes are ASCII alone.
        str::from_utf8(&self.text).unwrap_or_default()
    }
}

/// Eight hexadecimal digits, all at once: each half byte gets a byte of its own, and those from ten on are moved to the letters.
fn hex(number: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut spread = u64::from(number);
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (spread + ONES * 6) >> 4 & ONES;
    (spread + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// The text around the events of a request; its length is known before the request is cut, so that limits are kept exactly.
pub(crate) struct Envelope {
    head: String,
    options: String,
}

impl Envelope {
    const UPLOAD_TIME: &str = ",\"client_upload_time\":\"";
    const TIME_CHARS: usize = "2026-01-01T00:00:00.000Z".len();

    pub(crate) fn new(key: &ProjectKey, min_id_length: Option<usize>) -> Self {
        let options = match min_id_length {
            Some(length) => [",\"options\":{\"min_id_length\":", &decimal(length as u64), "}"].concat(),
            None => String::new(),
        };
        // No character of a key needs an escape.
        Self { head: ["{\"api_key\":\"", key.as_str(), "\",\"events\":["].concat(), options }
    }

    /// The bytes of a request beside its records and the commas between them.
    pub(crate) fn bytes(&self) -> usize {
        self.head.len() + "]".len() + self.options.len() + Self::UPLOAD_TIME.len() + Self::TIME_CHARS + "\"}".len()
    }

    pub(crate) fn open(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(self.head.as_bytes());
    }

    pub(crate) fn close(&self, body: &mut Vec<u8>, unix_ms: u64) {
        body.push(b']');
        body.extend_from_slice(self.options.as_bytes());
        body.extend_from_slice(Self::UPLOAD_TIME.as_bytes());
        push_iso_time(body, unix_ms);
        body.extend_from_slice(b"\"}");
    }
}

/// `1759999999000` as `2025-10-09T08:53:19.000Z`, the form that Amplitude's SDKs send.
pub(crate) fn push_iso_time(out: &mut Vec<u8>, unix_ms: u64) {
    // Beyond the year 9999 a clock is wrong anyway; the length must stay.
    let unix_ms = unix_ms.min(253_402_300_799_999);
    // A day's milliseconds and a date's days fit into 32 bits.
    let (days, ms) = ((unix_ms / 86_400_000) as u32, (unix_ms % 86_400_000) as u32);
    // Days since 1970-01-01 to a civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u32::from(month <= 2);

    let fields = [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (ms / 3_600_000, 2, b':'),
        (ms / 60_000 % 60, 2, b':'),
        (ms / 1000 % 60, 2, b'.'),
        (ms % 1000, 3, b'Z'),
    ];
    for (value, width, end) in fields {
        push_digits(out, value, width);
        out.push(end);
    }
}

fn push_digits(out: &mut Vec<u8>, value: u32, width: u32) {
    if width > 0 {
        push_digits(out, value / 10, width - 1);
        // One digit always fits.
        out.push(b'0' + (value % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(unix_ms: u64) -> String {
        let mut out = Vec::new();
        push_iso_time(&mut out, unix_ms);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_iso_8601() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(1_759_999_999_123), "2025-10-09T08:53:19.123Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
        assert_eq!(iso(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn envelope_length_is_exact() {
        let key = ProjectKey::new("demo0000000000000000000000000key").unwrap();
        for min_id_length in [None, Some(12)] {
            let envelope = Envelope::new(&key, min_id_length);
            let mut body = Vec::new();
            envelope.open(&mut body);
            envelope.close(&mut body, 1_759_999_999_123);
            assert_eq!(body.len(), envelope.bytes());
            let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(parsed["events"].as_array().unwrap().len(), 0);
            assert_eq!(parsed["options"]["min_id_length"].as_u64(), min_id_length.map(|length| length as u64));
        }
    }

    #[test]
    fn insert_ids_are_distinct_version_4_uuids() {
        let mut ids = InsertIds::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..2000 {
            let id = ids.next().to_owned();
            let parts: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12]);
            assert_eq!(&id[14..15], "4");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"));
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn hex_digits_are_those_of_the_number() {
        for number in [0, 0x0123_4567, 0x89ab_cdef, u32::MAX, 0xa0b9_f00f] {
            assert_eq!(str::from_utf8(&hex(number)).unwrap(), format!("{number:08x}"));
        }
    }
}
