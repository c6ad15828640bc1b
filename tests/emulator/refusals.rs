//! 400 in all its forms, each with the indexes of the events it is about.

use amplitude_sdk::emulator::{DEMO_KEY, Emulator};
use serde_json::{Value, json};

use super::support::*;

#[test]
fn an_envelope_that_is_wrong_is_refused_as_a_whole() {
    let emulator = start();
    let with_key = |rest: &str| format!(r#"{{"api_key":"{DEMO_KEY}"{rest}}}"#);
    for (body, error) in [
        ("", "Missing request body"),
        ("{", "Invalid JSON request body"),
        ("[]", "Invalid JSON request body"),
        ("{} x", "Invalid JSON request body"),
        (r#"{"api_key":"wrong-key","events":[]}"#, "Invalid API key: wrong-key"),
        (r#"{"api_key":"","events":[]}"#, "Invalid API key: "),
        (&with_key(r#","events":"text""#), "Invalid event JSON"),
        (&with_key(r#","events":{}"#), "Invalid event JSON"),
        (&with_key(r#","events":[1]"#), "Invalid event JSON"),
        (&with_key(r#","events":[null]"#), "Invalid event JSON"),
    ] {
        let answer = post_bytes(&emulator, "/2/httpapi", body.as_bytes());
        assert_eq!((answer.status, answer.json()), (400, json!({"code": 400, "error": error})), "{body}");
    }
    for (body, field) in [
        ("{}", "api_key"),
        (r#"{"api_key":null}"#, "api_key"),
        (r#"{"api_key":5,"events":[]}"#, "api_key"),
        (&with_key(""), "events"),
        (&with_key(r#","events":null"#), "events"),
        (&with_key(r#","event":{}"#), "events"),
    ] {
        let expected = json!({"code": 400, "error": "Request missing required field", "missing_field": field});
        assert_eq!(post_bytes(&emulator, "/batch", body.as_bytes()).json(), expected, "{body}");
    }
    let answer = post(&emulator, "/2/httpapis", &json!({"api_key": DEMO_KEY, "events": []}));
    assert_eq!((answer.status, answer.json()), (400, json!({"code": 400, "error": "Invalid request path"})));
    assert_eq!((get(&emulator, "/nowhere").status, get(&emulator, "/2/httpapi").status), (404, 405));
    for length in ["-1", "1.5", "\"5\"", "[]"] {
        let body = with_key(&format!(r#","events":[],"options":{{"min_id_length":{length}}}"#));
        assert_eq!(post_bytes(&emulator, "/2/httpapi", body.as_bytes()).status, 400, "{length}");
    }
}

/// Puts a bad event between good ones, twice, and reads the list that names it.
fn refused(emulator: &Emulator, bad: &Value) -> Value {
    let good = json!({"event_type": "a", "user_id": "user-1"});
    let (status, mut answer) = send(emulator, &json!([good, bad, good, bad]));
    assert_eq!((status, &answer["code"]), (400, &json!(400)), "{bad}: {answer}");
    if let Some(answer) = answer.as_object_mut() {
        answer.remove("code");
    }
    answer
}

#[test]
fn missing_fields_are_named_with_all_their_events() {
    let emulator = start();
    for (bad, fields) in [
        (json!({"user_id": "user-1"}), json!({"event_type": [1, 3]})),
        (json!({"event_type": "", "user_id": "user-1"}), json!({"event_type": [1, 3]})),
        (json!({"event_type": null, "user_id": "user-1"}), json!({"event_type": [1, 3]})),
        (json!({"event_type": "a"}), json!({"user_id": [1, 3]})),
        (json!({"event_type": "a", "user_id": "", "device_id": null}), json!({"user_id": [1, 3]})),
        (json!({}), json!({"event_type": [1, 3], "user_id": [1, 3]})),
    ] {
        let expected = json!({"error": "Request missing required field", "events_with_missing_fields": fields});
        assert_eq!(refused(&emulator, &bad), expected, "{bad}");
    }
    assert_eq!(emulator.counts(DEMO_KEY).rejected, 12, "only what is named is rejected");
    assert_eq!(emulator.events(DEMO_KEY).len(), 0, "a refused request leaves nothing");
}

#[test]
fn a_field_of_another_type_is_named() {
    let emulator = start();
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    let wrong = [
        ("event_type", json!(5)),
        ("event_type", json!("[Amplitude] Revenue")),
        ("user_id", json!(5)),
        ("device_id", json!(["device-1"])),
        ("time", json!("now")),
        ("time", json!(1.5)),
        ("time", json!(u64::MAX)),
        ("time", json!("2025-10-09T09:00:00.000Z")),
        ("session_id", json!(true)),
        ("event_id", json!("1")),
        ("quantity", json!(1.5)),
        ("price", json!("1")),
        ("revenue", json!({})),
        ("currency", json!("euro")),
        ("currency", json!("eur")),
        ("location_lat", json!("1")),
        ("insert_id", json!(1)),
        ("event_properties", json!([])),
        ("event_properties", json!("{}")),
        ("event_properties", nested(41)),
        ("user_properties", json!(1)),
        ("user_properties", nested(41)),
        ("user_properties", json!({"$set": {"a": 1}})),
        ("groups", json!(["a"])),
        ("groups", json!({"a": {"b": 1}})),
        ("group_properties", json!("a")),
        ("$skip_user_properties_sync", json!("true")),
        ("productId", json!(1)),
        ("revenueType", json!(1)),
        ("ip", json!(127)),
        ("library", json!({})),
        ("plan", json!("a")),
        ("plan", json!({"version": 1})),
        ("ingestion_metadata", json!({"source_name": []})),
    ];
    for (field, value) in &wrong {
        let mut bad = json!({"event_type": "a", "user_id": "user-1", "device_id": "device-1"});
        bad[*field] = value.clone();
        let expected = json!({"error": "Invalid field values on some events", "events_with_invalid_fields": {*field: [1, 3]}});
        assert_eq!(refused(&emulator, &bad), expected, "{field}: {value}");
    }
    let (status, _) = send(&emulator, &json!([{"event_type": "a", "user_id": "user-1", "event_properties": nested(40)}]));
    assert_eq!(status, 200, "forty deep is not too deep");
}

#[test]
fn operations_belong_to_identifies() {
    let emulator = start();
    let status = |event_type: &str, changes: Value| {
        let field = if event_type == "$groupidentify" { "group_properties" } else { "user_properties" };
        send(&emulator, &json!([{"event_type": event_type, "user_id": "user-1", "groups": {"a": "b"}, field: changes}])).0
    };
    for event_type in ["$identify", "$groupidentify"] {
        assert_eq!(status(event_type, json!({"$set": {"a": 1}, "$unset": {"b": "-"}})), 200);
        assert_eq!(status(event_type, json!({"a": 1})), 200);
        assert_eq!(status(event_type, json!({"$clearAll": "-"})), 200);
        assert_eq!(status(event_type, json!({"$set": {"a": 1}, "b": 1})), 400, "a mixture");
        assert_eq!(status(event_type, json!({"$add": {"a": "1"}})), 400, "no number");
        assert_eq!(status(event_type, json!({"$set": 1})), 400, "no object");
    }
    assert_eq!(status("purchase", json!({"$set": {"a": 1}})), 400);
}

#[test]
fn ids_have_a_length_and_some_are_forbidden() {
    let emulator = start();
    let (short, long) = (json!("abcd"), json!("x".repeat(1025)));
    for (field, id) in [("user_id", &short), ("device_id", &short), ("user_id", &long), ("device_id", &json!("abc"))] {
        let mut bad = json!({"event_type": "a", "user_id": "user-1", "device_id": "device-1"});
        bad[field] = id.clone();
        let expected =
            json!({"error": "Invalid id length for user_id or device_id", "events_with_invalid_id_lengths": {field: [1, 3]}});
        assert_eq!(refused(&emulator, &bad), expected, "{field}: {id}");
    }
    for id in ["anonymous", "UNKNOWN", "undefined", "lmy47d", "00000000-0000-0000-0000-000000000000"] {
        let bad = json!({"event_type": "a", "device_id": id});
        let expected =
            json!({"error": "Invalid field values on some events", "events_with_invalid_fields": {"device_id": [1, 3]}});
        assert_eq!(refused(&emulator, &bad), expected, "{id}");
    }
    let with_length = |id: &str, length: u64| {
        let events = json!([{"event_type": "a", "user_id": id, "device_id": "device-1"}]);
        post(&emulator, "/batch", &json!({"api_key": DEMO_KEY, "events": events, "options": {"min_id_length": length}})).status
    };
    assert_eq!((with_length("abcd", 4), with_length("abcd", 5), with_length("device", 7)), (200, 400, 400));
    for id in ["", "0", "-1", "na", "N/A", "nil", "none", "null", "{}"] {
        assert_eq!(with_length(id, 0), 400, "{id}: is forbidden whatever its length");
    }
}

#[test]
fn both_lists_of_ids_can_stand_in_one_answer() {
    let emulator = start();
    let (status, answer) =
        send(&emulator, &json!([{"event_type": "a", "user_id": "abc"}, {"event_type": "a", "user_id": "unknown"}]));
    assert_eq!(status, 400);
    assert_eq!(answer["events_with_invalid_id_lengths"], json!({"user_id": [0]}));
    assert_eq!(answer["events_with_invalid_fields"], json!({"user_id": [1]}));
}

#[test]
fn silenced_devices_are_named_with_their_events() {
    let emulator = Emulator::builder().silence_device("loud-device").start().expect("a free port");
    assert_eq!(post(&emulator, "/_emulator/silence", &json!({"device_id": "other-loud"})).status, 204);
    let event = |device: &str| json!({"event_type": "a", "device_id": device});
    let events = ["quiet-device", "loud-device", "other-loud", "loud-device"].map(event);
    let (status, answer) = send(&emulator, &json!(events));
    assert_eq!(status, 400);
    let expected = json!({
        "code": 400, "error": "Events silenced for device_id", "eps_threshold": 30, "exceeded_daily_quota_devices": {},
        "silenced_devices": ["loud-device", "other-loud"], "silenced_events": [1, 2, 3],
        "throttled_devices": {}, "throttled_events": [],
    });
    assert_eq!(answer, expected);
    assert_eq!(emulator.counts(DEMO_KEY).rejected, 3);
}
