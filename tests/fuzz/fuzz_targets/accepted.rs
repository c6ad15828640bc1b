//! What must be true of every event that is accepted, read by serde_json. The limits are written again here, by hand.

use amplitude_sdk::{Event, Properties};
use serde_json::Value;

const OBJECTS: [&str; 4] = ["event_properties", "user_properties", "groups", "group_properties"];
const RESERVED: [&str; 6] = [
    "[Amplitude] Start Session",
    "[Amplitude] End Session",
    "[Amplitude] Revenue",
    "[Amplitude] Revenue (Verified)",
    "[Amplitude] Revenue (Unverified)",
    "[Amplitude] Merged User",
];
const FORBIDDEN: [&str; 14] = [
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "",
    "00000000-0000-0000-0000-000000000000",
    "{}",
    "lmy47d",
    "0",
    "-1",
];

/// Checks an event that was accepted; answers what is sent of it.
pub fn check(event: &Event) -> Value {
    let text = event.to_json();
    let sent = serde_json::from_str(&text).expect("an event is JSON");
    let again = Event::from_json(&text).expect("what is accepted once is accepted again");
    assert_eq!(again.to_json(), text);
    assert_eq!(again.long_strings(), event.long_strings());
    check_limits(&sent);
    sent
}

/// Checks properties that were accepted, and that each is found under its key.
pub fn check_properties(properties: &Properties) -> Value {
    let text = text_of(properties);
    let sent: Value = serde_json::from_str(&text).expect("properties are JSON");
    let again = Properties::from_json(&text).expect("what is accepted once is accepted again");
    assert_eq!(text_of(&again), text);
    let object = sent.as_object().expect("an object");
    assert_eq!(object.len(), properties.len(), "a key stands twice");
    for (key, value) in object {
        let json = properties.json(key).expect("it is there");
        assert_eq!(&serde_json::from_str::<Value>(json).expect("JSON"), value);
    }
    check_object(&sent);
    sent
}

/// `Properties` has no text of its own; its keys come as JSON spells them.
fn text_of(properties: &Properties) -> String {
    let pairs: Vec<_> = properties.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", pairs.join(","))
}

fn check_limits(event: &Value) {
    let text = |name: &str| event[name].as_str();
    let has = |name: &str| event.get(name).is_some();
    let event_type = text("event_type").expect("an event has a type");
    assert!(!event_type.is_empty() && !RESERVED.contains(&event_type), "{event_type}");
    for id in ["user_id", "device_id"].into_iter().filter_map(text) {
        assert!(id.chars().count() <= 1024 && !FORBIDDEN.contains(&&*id.to_ascii_lowercase()), "{id}");
    }
    assert!(text("insert_id") != Some(""));
    for name in ["time", "session_id", "event_id", "quantity"] {
        assert!(!has(name) || event[name].is_i64(), "{name}");
    }
    for (name, bound) in [("price", f64::MAX), ("revenue", f64::MAX), ("location_lat", 90.0), ("location_lng", 180.0)] {
        assert!(!has(name) || event[name].as_f64().is_some_and(|number| number.abs() <= bound), "{name}");
    }
    assert!(text("currency").is_none_or(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())));
    if ["productId", "revenueType", "currency", "quantity"].into_iter().any(has) {
        assert!(has("price") || has("revenue"));
    }
    assert!(!has("group_properties") || event_type == "$groupidentify");
    for object in OBJECTS.into_iter().filter_map(|name| event.get(name)) {
        check_object(object);
    }
    if let Some(groups) = event["groups"].as_object() {
        let count = |value: &Value| value.as_array().map_or(1, Vec::len);
        assert!(groups.len() <= 5 && groups.values().map(count).sum::<usize>() <= 10);
    }
}

fn check_object(object: &Value) {
    assert!(object.is_object() && depth(object) <= 40);
}

/// Containers inside each other; none of them has more than 1000 keys.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(entries) => {
            assert!(entries.len() <= 1000);
            1 + entries.values().map(depth).max().unwrap_or(0)
        }
        _ => 0,
    }
}
