//! The emulator's replies, each in its documented form, seen through plain HTTP.

#![cfg(all(not(target_family = "wasm"), feature = "emulator"))]

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use amplitude_sdk::{
    Client, Config, Event, Outcome, ProjectKey, Region,
    emulator::{DEMO_KEY, DEMO_SECRET, Emulator, Fault, Project, Throttle},
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// One request on a connection of its own: status, head, body.
fn ask(emulator: &Emulator, head: &str, body: &[u8]) -> Option<(u16, String, String)> {
    let address = emulator.url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).expect("the emulator listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time limit");
    let head = format!("{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, head.to_lowercase(), body.to_owned()))
}

fn post(emulator: &Emulator, path: &str, body: &Value) -> (u16, Value) {
    let (status, _, text) = ask(emulator, &format!("POST {path} HTTP/1.1"), body.to_string().as_bytes()).expect("an answer");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn send(emulator: &Emulator, events: &Value) -> (u16, Value) {
    post(emulator, "/2/httpapi", &json!({"api_key": DEMO_KEY, "events": events}))
}

fn start() -> Emulator {
    Emulator::builder().start().expect("a free port")
}

#[test]
fn takes_events_and_counts_them() {
    let emulator = start();
    let events = json!([{"event_type": "a", "user_id": "user-1"}, {"event_type": "b", "device_id": "device-1"}]);
    let (status, answer) = send(&emulator, &events);
    assert_eq!((status, &answer["code"], &answer["events_ingested"]), (200, &json!(200), &json!(2)));
    assert!(answer["server_upload_time"].as_u64().is_some() && answer["payload_size_bytes"].as_u64().is_some());
    let (_, _, state) = ask(&emulator, "GET /_emulator/state HTTP/1.1", b"").expect("an answer");
    let state: Value = serde_json::from_str(&state).expect("JSON");
    assert_eq!(state["accepted"], 2);
    assert_eq!(state["projects"][DEMO_KEY]["accepted"], 2);
}

#[test]
fn refuses_with_400_in_all_its_forms() {
    let emulator = start();
    let error = |body: &[u8]| {
        let (status, _, text) = ask(&emulator, "POST /2/httpapi HTTP/1.1", body).expect("an answer");
        (status, serde_json::from_str::<Value>(&text).expect("JSON"))
    };
    assert_eq!(error(b"").1["error"], "Missing request body");
    assert_eq!(error(b"{").1["error"], "Invalid JSON request body");
    assert_eq!(error(b"\xff\xfe").1["error"], "Invalid JSON request body");
    assert_eq!(error(b"[]").1["error"], "Invalid JSON request body");
    assert_eq!(error(b"{}").1["missing_field"], "api_key");
    assert_eq!(error(br#"{"api_key":"wrong-key","events":[]}"#).1["error"], "Invalid API key: wrong-key");
    let (status, answer) = post(&emulator, "/2/httpapi", &json!({"api_key": DEMO_KEY}));
    assert_eq!((status, &answer["missing_field"]), (400, &json!("events")));
    assert_eq!(send(&emulator, &json!("text")).1["error"], "Invalid event JSON");
    assert_eq!(send(&emulator, &json!([1])).1["error"], "Invalid event JSON");

    let good = json!({"event_type": "a", "user_id": "user-1"});
    let cases = [
        (json!({"user_id": "user-1"}), "events_with_missing_fields", "event_type"),
        (json!({"event_type": "a"}), "events_with_missing_fields", "user_id"),
        (json!({"event_type": "a", "user_id": "user-1", "time": "now"}), "events_with_invalid_fields", "time"),
        (json!({"event_type": "a", "user_id": "user-1", "price": "1"}), "events_with_invalid_fields", "price"),
        (json!({"event_type": "a", "user_id": 5}), "events_with_invalid_fields", "user_id"),
        (
            json!({"event_type": "a", "user_id": "user-1", "event_properties": []}),
            "events_with_invalid_fields",
            "event_properties",
        ),
        (json!({"event_type": "[Amplitude] Revenue", "user_id": "user-1"}), "events_with_invalid_fields", "event_type"),
        (json!({"event_type": "a", "user_id": "abc"}), "events_with_invalid_id_lengths", "user_id"),
        (json!({"event_type": "a", "device_id": "UNKNOWN"}), "events_with_invalid_id_lengths", "device_id"),
    ];
    for (bad, list, field) in cases {
        let (status, answer) = send(&emulator, &json!([good, bad, good]));
        assert_eq!((status, &answer[list][field]), (400, &json!([1])), "{bad}: {answer}");
    }
    assert_eq!(emulator.events(DEMO_KEY).len(), 0, "a refused request leaves nothing");
}

#[test]
fn refuses_what_is_too_large_with_413() {
    let emulator = start();
    let event = json!({"event_type": "a", "user_id": "user-1"});
    assert_eq!(send(&emulator, &Value::Array(vec![event.clone(); 2001])).0, 413);
    assert_eq!(send(&emulator, &Value::Array(vec![event; 2000])).0, 200);
    let big = json!([{"event_type": "a", "user_id": "user-1", "event_properties": {"text": "x".repeat(1_000_000)}}]);
    assert_eq!(send(&emulator, &big).0, 413);
    assert_eq!(post(&emulator, "/batch", &json!({"api_key": DEMO_KEY, "events": big})).0, 200);
}

#[test]
fn a_bomb_of_gzip_is_read_no_further_than_the_limit() {
    let emulator = start();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..20 {
        encoder.write_all(&zeros).expect("memory");
    }
    let bomb = encoder.finish().expect("memory");
    assert!(bomb.len() < 1_000_000);
    let head = "POST /2/httpapi HTTP/1.1\r\ncontent-encoding: gzip";
    assert_eq!(ask(&emulator, head, &bomb).expect("an answer").0, 413);
    assert_eq!(ask(&emulator, head, b"not gzip").expect("an answer").0, 400);
}

#[test]
fn knows_an_insert_id_of_a_device_for_seven_days() {
    let emulator = start();
    let event = |device: &str| json!([{"event_type": "a", "device_id": device, "insert_id": "id-1"}]);
    for _ in 0..2 {
        assert_eq!(send(&emulator, &event("device-1")).0, 200);
    }
    assert_eq!(send(&emulator, &event("device-2")).0, 200);
    assert_eq!((emulator.counts(DEMO_KEY).accepted, emulator.counts(DEMO_KEY).duplicates), (2, 1));
    emulator.advance(Duration::from_secs(8 * 86_400));
    send(&emulator, &event("device-1"));
    assert_eq!(emulator.counts(DEMO_KEY).accepted, 3);
}

#[test]
fn throttles_ids_and_quotas_by_flag() {
    let emulator = Emulator::builder().throttle(Throttle::Documented).start().expect("a free port");
    let mut events = vec![json!({"event_type": "a", "device_id": "busy-device"}); 31];
    events.push(json!({"event_type": "a", "device_id": "quiet-device"}));
    let (status, answer) = send(&emulator, &json!(events));
    assert_eq!((status, &answer["throttled_devices"]), (429, &json!({"busy-device": 31})));
    assert_eq!(answer["throttled_events"].as_array().map(Vec::len), Some(31));
    assert_eq!(send(&emulator, &json!(events[1..])).0, 200);
    assert_eq!(send(&emulator, &json!(events[..2])).0, 429, "the second is used up");
    emulator.advance(Duration::from_secs(1));
    assert_eq!(send(&emulator, &json!(events[..2])).0, 200);

    let quota = Emulator::builder().throttle(Throttle::Limits { per_second: 1000, per_day: 3 }).start().expect("a free port");
    let user = json!({"event_type": "a", "user_id": "user-1"});
    let (status, answer) = send(&quota, &Value::Array(vec![user; 4]));
    assert_eq!((status, &answer["exceeded_daily_quota_users"]), (429, &json!({"user-1": 4})));
}

#[test]
fn silenced_devices_are_named_with_their_events() {
    let emulator = Emulator::builder().silence_device("loud-device").start().expect("a free port");
    let (status, answer) = send(
        &emulator,
        &json!([{"event_type": "a", "device_id": "other-device"}, {"event_type": "a", "device_id": "loud-device"}]),
    );
    assert_eq!((status, &answer["error"]), (400, &json!("Events silenced for device_id")));
    assert_eq!((&answer["silenced_devices"], &answer["silenced_events"]), (&json!(["loud-device"]), &json!([1])));
}

#[test]
fn regions_do_not_know_each_others_keys() {
    let emulator = Emulator::builder()
        .project(Project::default())
        .project(Project::new("eu000000000000000000000000000key", "fake-eu", Region::Eu))
        .start()
        .expect("a free port");
    let body = |key: &str| json!({"api_key": key, "events": [{"event_type": "a", "user_id": "user-1"}]});
    assert_eq!(post(&emulator, "/2/httpapi", &body(DEMO_KEY)).0, 200);
    assert_eq!(post(&emulator, "/eu/2/httpapi", &body(DEMO_KEY)).0, 400);
    assert_eq!(post(&emulator, "/eu/2/httpapi", &body("eu000000000000000000000000000key")).0, 200);
    assert_eq!(post(&emulator, "/2/httpapi", &body("eu000000000000000000000000000key")).0, 400);
}

#[test]
fn identifies_come_as_forms() {
    let emulator = start();
    let form = format!(
        "api_key={DEMO_KEY}&identification=%5B%7B%22user_id%22%3A%22user-1%22%2C%22user_properties%22%3A%7B%22a%22%3A1%7D%7D%5D"
    );
    let head = "POST /identify HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded";
    assert_eq!(ask(&emulator, head, form.as_bytes()).expect("an answer").0, 200);
    assert_eq!(ask(&emulator, &format!("GET /identify?{form} HTTP/1.1"), b"").expect("an answer").0, 200);
    assert_eq!(ask(&emulator, head, b"identification=[]").expect("an answer").0, 400);
    assert_eq!(ask(&emulator, head, format!("api_key={DEMO_KEY}&identification=x").as_bytes()).expect("an answer").0, 400);
    let group = format!("api_key={DEMO_KEY}&identification=%7B%22group_type%22%3A%22org%22%2C%22group_value%22%3A%22a%22%7D");
    assert_eq!(ask(&emulator, &head.replace("/identify", "/groupidentify"), group.as_bytes()).expect("an answer").0, 200);
}

#[test]
fn any_origin_may_ask() {
    let emulator = start();
    let (status, head, _) =
        ask(&emulator, "OPTIONS /2/httpapi HTTP/1.1\r\norigin: https://shop.example", b"").expect("an answer");
    assert_eq!(status, 204);
    assert!(head.contains("access-control-allow-origin: *") && head.contains("content-encoding"), "{head}");
    assert_eq!(ask(&emulator, "GET /nowhere HTTP/1.1", b"").expect("an answer").0, 404);
}

#[test]
fn exports_need_the_secret_and_a_range_with_data() {
    let emulator = start();
    let export =
        |auth: &str, range: &str| ask(&emulator, &format!("GET /api/2/export?{range} HTTP/1.1{auth}"), b"").expect("an answer");
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{DEMO_KEY}:{DEMO_SECRET}"));
    let auth = format!("\r\nauthorization: Basic {encoded}");
    let all = "start=20260101T00&end=20261231T23";
    assert_eq!(export("", all).0, 401);
    assert_eq!(export("\r\nauthorization: Basic !", all).0, 401);
    assert_eq!(export(&auth, "start=20260101T00").0, 400);
    assert_eq!(export(&auth, "start=20260101T00&end=20250101T00").0, 400);
    assert_eq!(export(&auth, "start=20250101T00&end=20260101T00").0, 400);
    assert_eq!(export(&auth, "start=20260101T00&end=20260101T00").0, 404);
}

#[test]
fn faults_come_in_their_turn() {
    let emulator = start();
    let client = Client::new(
        Config::new(ProjectKey::new(DEMO_KEY).expect("a key"))
            .server_url(emulator.ingestion_url())
            .flush_interval(Duration::from_millis(5)),
    )
    .expect("a client");
    for fault in [Fault::Status(500), Fault::HangUp, Fault::Html, Fault::AcceptThenHangUp, Fault::AcceptThenStatus(502)] {
        emulator.fault(fault, 1);
    }
    let event = Event::builder("a").user_id("user-1").build().expect("an event");
    let receipt = client.track_with_receipt(event).expect("room");
    let report = client.flush_blocking(PATIENCE);
    assert_eq!((report.delivered, report.pending), (1, 0));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    assert_eq!(runtime.block_on(receipt.settled()), Outcome::Delivered);
    let counts = emulator.counts(DEMO_KEY);
    assert_eq!((counts.accepted, counts.duplicates), (1, 2), "taken once, in spite of two lost answers");
    assert_eq!(post(&emulator, "/_emulator/faults", &json!({"kind": "status", "status": 503, "count": 1})).0, 204);
    assert_eq!(send(&emulator, &json!([])).0, 503);
    assert_eq!(post(&emulator, "/_emulator/faults", &json!({"kind": "earthquake"})).0, 400);
}

#[test]
fn a_folder_keeps_events_from_run_to_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let start = || Emulator::builder().data_dir(dir.path()).start().expect("a free port");
    let event = json!([{"event_type": "a", "device_id": "device-1", "insert_id": "id-1"}]);
    assert_eq!(send(&start(), &event).0, 200);
    let again = start();
    assert_eq!(again.events(DEMO_KEY).len(), 1);
    send(&again, &event);
    assert_eq!(again.counts(DEMO_KEY).duplicates, 1);
}
