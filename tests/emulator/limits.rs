//! 413 and 429: what is too much at once, and too much in a time.

use std::time::Duration;

use amplitude_sdk::emulator::{DEMO_KEY, Emulator, Throttle};
use serde_json::{Value, json};

use super::support::*;

fn body_of(bytes: usize) -> Vec<u8> {
    let start = format!(r#"{{"api_key":"{DEMO_KEY}","events":[{{"event_type":"a","user_id":"user-1","note":""#);
    let end = r#""}]}"#;
    let filling = "x".repeat(bytes - start.len() - end.len());
    [start.as_bytes(), filling.as_bytes(), end.as_bytes()].concat()
}

#[test]
fn two_thousand_events_are_the_most() {
    let emulator = start();
    let event = json!({"event_type": "a", "user_id": "user-1"});
    for path in ["/2/httpapi", "/batch"] {
        let send = |count| post(&emulator, path, &json!({"api_key": DEMO_KEY, "events": vec![event.clone(); count]}));
        let answer = send(2001);
        assert_eq!((answer.status, answer.json()), (413, json!({"code": 413, "error": "Payload too large"})));
        assert_eq!(send(2000).json()["events_ingested"], 2000);
    }
    let many = json!({"api_key": DEMO_KEY, "events": vec![event; 2001]}).to_string();
    let packed = gzip(many.as_bytes());
    let answer = ask(&emulator, "POST /2/httpapi", &format!("{JSON}content-encoding: gzip\r\n"), &packed);
    assert_eq!(answer.status, 413, "events are counted in what was packed");
}

#[test]
fn each_endpoint_has_its_bytes() {
    let emulator = start();
    for (path, most) in [("/2/httpapi", 1_000_000), ("/batch", 20_000_000)] {
        assert_eq!(post_bytes(&emulator, path, &body_of(most)).status, 200, "{path}");
        assert_eq!(post_bytes(&emulator, path, &body_of(most + 1)).status, 413, "{path}");
    }
    let packed = |bytes| {
        let body = gzip(&body_of(bytes));
        assert!(body.len() < bytes / 10);
        ask(&emulator, "POST /2/httpapi", &format!("{JSON}content-encoding: gzip\r\n"), &body).status
    };
    assert_eq!((packed(1_000_000), packed(1_000_001)), (200, 413), "bytes are counted unpacked");
}

#[test]
fn who_sends_far_too_much_still_reads_the_answer() {
    let emulator = start();
    assert_eq!(post_bytes(&emulator, "/2/httpapi", &vec![b' '; 60_000_000]).status, 413);
}

#[test]
fn a_bomb_of_gzip_is_read_no_further_than_the_limit() {
    let emulator = start();
    // A gzip of many members.
    let bomb = gzip(&vec![b' '; 1 << 20]).repeat(900);
    assert!(bomb.len() < 1_000_000, "it unpacks to 900 MB");
    let began = std::time::Instant::now();
    let answer = ask(&emulator, "POST /2/httpapi", &format!("{JSON}content-encoding: gzip\r\n"), &bomb);
    assert_eq!(answer.status, 413);
    assert!(began.elapsed() < Duration::from_secs(5), "it was unpacked to the end");
}

fn of_device(count: usize, device: &str) -> Vec<Value> {
    vec![json!({"event_type": "a", "device_id": device}); count]
}

#[test]
fn nothing_is_throttled_unless_asked_for() {
    assert_eq!(send(&start(), &json!(of_device(2000, "busy-device"))).0, 200);
}

#[test]
fn http_v2_takes_thirty_events_a_second_of_an_id() {
    let emulator = Emulator::builder().throttle(Throttle::Documented).start().expect("a free port");
    let mut events = of_device(31, "busy-device");
    events.insert(2, json!({"event_type": "a", "device_id": "quiet-device", "user_id": "user-1"}));
    let (status, answer) = send(&emulator, &json!(events));
    assert_eq!(status, 429);
    let busy: Vec<usize> = (0..32).filter(|index| *index != 2).collect();
    let expected = json!({
        "code": 429, "error": "Too many requests for some devices and users", "eps_threshold": 30,
        "throttled_devices": {"busy-device": 31}, "throttled_users": {}, "throttled_events": busy,
    });
    assert_eq!(answer, expected);
    assert_eq!(emulator.counts(DEMO_KEY).accepted, 0, "a refused request leaves nothing");
    assert_eq!(emulator.counts(DEMO_KEY).rejected, 0, "and rejects nothing: it may come again");
    assert_eq!(send(&emulator, &json!(events[..3])).0, 200, "the others need not wait");
    emulator.advance(Duration::from_secs(30));
    assert_eq!(send(&emulator, &json!(events)).0, 200, "after the documented wait the average is low");
}

#[test]
fn users_are_throttled_like_devices() {
    let emulator = Emulator::builder().throttle(Throttle::Documented).start().expect("a free port");
    let event = |index: usize| json!({"event_type": "a", "user_id": "busy-user", "device_id": format!("device-{index}")});
    let (status, answer) = send(&emulator, &(0..40).map(event).collect());
    assert_eq!((status, &answer["throttled_users"]), (429, &json!({"busy-user": 40})));
    assert_eq!((&answer["throttled_devices"], answer["throttled_events"].as_array().map(Vec::len)), (&json!({}), Some(40)));
}

#[test]
fn batch_takes_more_and_names_its_quota() {
    let emulator = Emulator::builder().throttle(Throttle::Documented).start().expect("a free port");
    let send = |count| post(&emulator, "/batch", &json!({"api_key": DEMO_KEY, "events": of_device(count, "busy-device")}));
    for _ in 0..15 {
        assert_eq!(send(2000).status, 200);
    }
    let answer = send(1).json();
    assert_eq!((&answer["code"], &answer["eps_threshold"]), (&json!(429), &json!(1000)));
    assert_eq!(answer["throttled_devices"], json!({"busy-device": 1001}));
    assert_eq!((&answer["exceeded_daily_quota_users"], &answer["exceeded_daily_quota_devices"]), (&json!({}), &json!({})));
}

#[test]
fn other_numbers_count_from_the_first_event() {
    let throttle = Throttle::Limits { per_second: 1000, per_day: 3 };
    let emulator = Emulator::builder().throttle(throttle).start().expect("a free port");
    let user = json!({"event_type": "a", "user_id": "user-1"});
    assert_eq!(send(&emulator, &json!([user, user])).0, 200);
    let (status, answer) = send(&emulator, &json!([user, user]));
    assert_eq!((status, &answer["exceeded_daily_quota_users"]), (429, &json!({"user-1": 4})));
    assert_eq!((&answer["throttled_users"], &answer["throttled_events"]), (&json!({}), &json!([0, 1])));
    emulator.advance(Duration::from_secs(25 * 3600));
    assert_eq!(send(&emulator, &json!([user, user])).0, 200, "a day later");
}
