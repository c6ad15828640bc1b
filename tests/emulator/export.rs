//! Export: who may ask, for what, and what is in the archive.

use std::{
    io::{Cursor, Read as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use amplitude_sdk::emulator::{Api, DEMO_KEY, DEMO_SECRET, Emulator, Fault};
use base64::Engine as _;
use serde_json::{Value, json};

use super::support::*;

pub(crate) fn authorization(scheme: &str, credentials: &str) -> String {
    format!("authorization: {scheme} {}\r\n", base64::engine::general_purpose::STANDARD.encode(credentials))
}

pub(crate) fn export(emulator: &Emulator, range: &str) -> Reply {
    let pair = authorization("Basic", &format!("{DEMO_KEY}:{DEMO_SECRET}"));
    ask(emulator, &format!("GET /api/2/export?{range}"), &pair, b"")
}

/// From an hour ago to the next hour.
pub(crate) fn now() -> String {
    let hours = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 3600;
    let hour = |hours: u64| {
        let date = time_of(hours);
        format!("{date}T{:02}", hours % 24)
    };
    format!("start={}&end={}", hour(hours - 1), hour(hours + 1))
}

/// `YYYYMMDD` of an hour, by counting years and months.
fn time_of(hours: u64) -> String {
    let (mut days, mut year, mut month) = (hours / 24, 1970, 1);
    loop {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 => 28 + u64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if days < length {
            return format!("{year}{month:02}{:02}", days + 1);
        }
        days -= length;
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
}

/// The names of an archive's members and the lines in them.
pub(crate) fn unpack(archive: &[u8]) -> (Vec<String>, Vec<Value>) {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).expect("a ZIP archive");
    let (mut names, mut lines) = (Vec::new(), Vec::new());
    for index in 0..archive.len() {
        let member = archive.by_index(index).expect("a member");
        names.push(member.name().expect("a name").into_owned());
        let mut text = String::new();
        flate2::read::GzDecoder::new(member).read_to_string(&mut text).expect("gzip of text");
        lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON")));
    }
    (names, lines)
}

#[test]
fn exports_need_the_secret() {
    let emulator = start();
    let line = format!("GET /api/2/export?{}", now());
    for (headers, status) in [
        (String::new(), 401),
        ("authorization: Basic !\r\n".to_owned(), 401),
        ("authorization: Basic\r\n".to_owned(), 401),
        (authorization("Basic", DEMO_KEY), 401),
        (authorization("Basic", &format!("{DEMO_KEY}:{DEMO_KEY}")), 401),
        (authorization("Basic", &format!("{DEMO_SECRET}:{DEMO_SECRET}")), 401),
        (authorization("Bearer", &format!("{DEMO_KEY}:{DEMO_SECRET}")), 401),
        (authorization("basic", &format!("{DEMO_KEY}:{DEMO_SECRET}")), 404),
    ] {
        assert_eq!(ask(&emulator, &line, &headers, b"").status, status, "{headers}");
    }
    let eu = line.replace("/api", "/eu/api");
    assert_eq!(ask(&emulator, &eu, &authorization("Basic", &format!("{DEMO_KEY}:{DEMO_SECRET}")), b"").status, 401);
    assert_eq!(ask(&emulator, &line.replace("GET", "POST"), "", b"").status, 405);
}

#[test]
fn a_range_must_be_one_and_hold_data() {
    let emulator = start();
    for (range, status) in [
        ("", 400),
        ("start=20260101T00", 400),
        ("start=20260101&end=20260102", 400),
        ("start=20260101T00&end=20260101T24", 400),
        ("start=20260230T00&end=20260301T00", 400),
        ("start=2026-01-01T00&end=2026-01-02T00", 400),
        ("start=20260101T00&end=20250101T00", 400),
        ("start=20250101T00&end=20251231T23", 404),
        ("start=20250101T00&end=20260101T00", 400),
        ("start=20200101T00&end=20200101T00", 404),
    ] {
        assert_eq!(export(&emulator, range).status, status, "{range}");
    }
}

#[test]
fn events_come_back_under_the_names_of_exports() {
    let emulator = start();
    let first = json!({"event_type": "$identify", "user_id": "user-1", "user_properties": {"$set": {"plan": "pro"}}});
    let second = json!({
        "event_type": "Song Played", "user_id": "user-1", "time": 1_760_000_000_123_u64, "insert_id": "9d0c", "app_version": "1.2",
        "carrier": "c", "ip": "1.2.3.4", "event_properties": {"genre": "jazz"}, "user_properties": {"color": "red"},
        "groups": {"org": "a"}, "language": "en",
    });
    let third = json!({"event_type": "Song Played", "user_id": "user-1", "$skip_user_properties_sync": true, "session_id": 5});
    assert_eq!(send(&emulator, &json!([first, second, third])).0, 200);
    let answer = export(&emulator, &now());
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/zip"));
    let (names, lines) = unpack(&answer.body);
    assert!(names.iter().all(|name| name.starts_with("100001/100001_") && name.ends_with("#0.json.gz")), "{names:?}");
    assert_eq!(lines.len(), 2, "an identify is no event");
    let line = &lines[0];
    let expected = json!({
        "event_type": "Song Played", "user_id": "user-1", "$insert_id": "9d0c", "version_name": "1.2", "device_carrier": "c",
        "ip_address": "1.2.3.4", "event_properties": {"genre": "jazz"}, "user_properties": {"plan": "pro", "color": "red"},
        "groups": {"org": "a"}, "group_properties": {}, "data": {}, "app": 100_001, "session_id": -1,
        "event_time": "2025-10-09 08:53:20.123000", "language": "en",
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&line[name], value, "{name}");
    }
    for name in ["amplitude_id", "uuid", "device_id", "server_upload_time", "server_received_time", "processed_time"] {
        assert!(!line[name].is_null(), "{name}");
    }
    assert_eq!((&lines[1]["user_properties"], &lines[1]["session_id"]), (&json!({}), &json!(5)));
    assert_eq!((&lines[1]["amplitude_id"], &lines[1]["device_id"]), (&line["amplitude_id"], &line["device_id"]));
}

#[test]
fn an_event_can_be_exported_after_the_delay() {
    let emulator = Emulator::builder().export_delay(Duration::from_secs(7200)).start().expect("a free port");
    send(&emulator, &json!([{"event_type": "a", "user_id": "user-1"}]));
    assert_eq!(export(&emulator, &now()).status, 404);
    emulator.advance(Duration::from_secs(7199));
    assert_eq!(export(&emulator, &now()).status, 404);
    emulator.advance(Duration::from_secs(1));
    assert_eq!(export(&emulator, &now()).status, 200);
}

#[test]
fn too_large_an_export_is_refused() {
    let emulator = Emulator::builder().export_limit_bytes(10).start().expect("a free port");
    send(&emulator, &json!([{"event_type": "a", "user_id": "user-1"}]));
    assert_eq!(export(&emulator, &now()).status, 400);
}

#[test]
fn faults_can_be_for_exports() {
    let emulator = start();
    emulator.fault_on(Api::Export, Fault::Status(504), 1);
    send(&emulator, &json!([{"event_type": "a", "user_id": "user-1"}]));
    assert_eq!((export(&emulator, &now()).status, export(&emulator, &now()).status), (504, 200));
}
