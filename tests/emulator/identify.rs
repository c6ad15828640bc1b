//! Identify and Group Identify: forms of every kind, and what they leave behind.

use std::time::Duration;

use amplitude_sdk::{
    Region,
    emulator::{Api, DEMO_KEY, Emulator, Fault, Project, Throttle},
};
use serde_json::{Value, json};

use super::support::*;

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn form(identification: &Value) -> String {
    format!("api_key={DEMO_KEY}&identification={}", encoded(&identification.to_string()))
}

/// Status and text of a form that is posted.
fn identify(emulator: &Emulator, path: &str, identification: &Value) -> (u16, String) {
    let reply = ask(emulator, &format!("POST {path}"), FORM, form(identification).as_bytes());
    (reply.status, reply.text())
}

fn people(emulator: &Emulator) -> Value {
    get(emulator, "/_emulator/people").json()
}

#[test]
fn a_form_may_come_in_all_documented_ways() {
    let emulator = start();
    let user = |name: &str| json!({"user_id": name, "user_properties": {"$set": {"plan": "pro + caf\u{e9}"}}});
    assert_eq!(identify(&emulator, "/identify", &user("user-1")), (200, "success".to_owned()));
    assert_eq!(identify(&emulator, "/identify", &json!([user("user-2"), user("user-3")])).0, 200);
    assert_eq!(get(&emulator, &format!("/identify?{}", form(&user("user-4")))).status, 200);
    assert_eq!(ask(&emulator, &format!("POST /identify?{}", form(&user("user-5"))), "", b"").status, 200);
    let part = |name: &str, value: &str| format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let multipart =
        [part("api_key", DEMO_KEY), part("identification", &user("user-6").to_string()), "--edge--\r\n".to_owned()].concat();
    let kind = "content-type: multipart/form-data; boundary=edge\r\n";
    assert_eq!(ask(&emulator, "POST /identify", kind, multipart.as_bytes()).status, 200);
    let users = people(&emulator)["users"].clone();
    let expected: Vec<_> = (1..=6)
        .map(|number| {
            json!({"user_id": format!("user-{number}"), "device_ids": [], "user_properties": {"plan": "pro + caf\u{e9}"}})
        })
        .collect();
    assert_eq!(users, json!(expected));
    assert_eq!(emulator.counts(DEMO_KEY).accepted, 0, "none of it is an event");
    assert_eq!(emulator.events(DEMO_KEY).len(), 0);
}

#[test]
fn a_form_that_is_wrong_is_refused() {
    let emulator = start();
    let good = form(&json!({"user_id": "user-1"}));
    let multipart = "content-type: multipart/form-data; boundary=edge\r\n";
    let json = json!({"api_key": DEMO_KEY, "identification": {"user_id": "user-1"}}).to_string();
    let cases: [(&str, &[u8], u16); 12] = [
        (FORM, good.as_bytes(), 200),
        (FORM, b"", 400),
        (FORM, b"identification=[]", 400),
        (FORM, b"api_key=wrong&identification=[]", 400),
        (FORM, b"api_key=demo0000000000000000000000000key", 400),
        (FORM, b"api_key=demo0000000000000000000000000key&identification=x", 400),
        (FORM, b"api_key=demo0000000000000000000000000key&identification=%ff", 400),
        ("", good.as_bytes(), 400),
        (JSON, json.as_bytes(), 400),
        (multipart, good.as_bytes(), 400),
        (multipart, b"--edge\r\ncontent-disposition: form-data; name=\"api_key\"\r\n\r\ndemo", 400),
        (multipart, b"--edge\r\ncontent-disposition: form-data; name=\"api_key\"\r\n\r\n\xff\r\n--edge--\r\n", 400),
    ];
    for (kind, body, status) in cases {
        let answer = ask(&emulator, "POST /identify", kind, body);
        assert_eq!(answer.status, status, "{kind} {}: {}", String::from_utf8_lossy(body), answer.text());
    }
    let project = Project::new("eu000000000000000000000000000key", "fake-eu", Region::Eu);
    let eu = Emulator::builder().project(project).start().expect("a free port");
    let of_eu = good.replace(DEMO_KEY, "eu000000000000000000000000000key");
    assert_eq!(ask(&eu, "POST /identify", FORM, of_eu.as_bytes()).status, 400);
    assert_eq!(ask(&eu, "POST /eu/identify", FORM, of_eu.as_bytes()).status, 200);
}

#[test]
fn an_identification_that_is_wrong_is_refused() {
    let emulator = start();
    for (identification, text) in [
        (json!("text"), "missing_event"),
        (json!([1]), "missing_event"),
        (json!({}), "missing user_id or device_id"),
        (json!({"user_id": null}), "missing user_id or device_id"),
        (json!({"user_id": 5}), "invalid user_id"),
        (json!({"device_id": "unknown"}), "invalid device_id"),
        (json!({"user_id": "x".repeat(1025)}), "invalid user_id"),
        (json!({"user_id": "user-1", "user_properties": []}), "invalid user_properties"),
        (json!({"user_id": "user-1", "user_properties": {"$set": {"a": 1}, "b": 1}}), "invalid user_properties"),
        (json!({"user_id": "user-1", "groups": ["a"]}), "invalid groups"),
        (json!({"user_id": "user-1", "paying": true}), "invalid paying"),
        (json!({"user_id": "user-1", "language": 1}), "invalid language"),
    ] {
        let with_a_good_one = json!([{"user_id": "user-0", "user_properties": {"a": 1}}, identification]);
        let sent = if text == "missing_event" { &identification } else { &with_a_good_one };
        assert_eq!(identify(&emulator, "/identify", sent), (400, text.to_owned()), "{identification}");
    }
    assert_eq!(people(&emulator), json!({"users": [], "groups": []}), "a refused request leaves nothing");
}

#[test]
fn group_identifies_have_their_own_rules() {
    let emulator = start();
    let group = json!({"group_type": "org id", "group_value": "12345678", "group_properties": {"$set": {"plan": "pro"}}});
    assert_eq!(identify(&emulator, "/groupidentify", &group).0, 200);
    let expected = json!([{"group_type": "org id", "group_value": "12345678", "group_properties": {"plan": "pro"}}]);
    assert_eq!(people(&emulator)["groups"], expected);
    for (field, value, text) in [
        ("group_type", json!(null), "missing group_type"),
        ("group_type", json!(5), "missing group_type"),
        ("group_value", json!(""), "missing group_value"),
        ("group_value", json!(["a", "b"]), "missing group_value"),
        ("group_properties", json!(null), "missing group_properties"),
        ("group_properties", json!([]), "invalid group_properties"),
        ("group_properties", json!({"$set": {"a": 1}, "b": 1}), "invalid group_properties"),
    ] {
        let mut bad = group.clone();
        bad[field] = value;
        assert_eq!(identify(&emulator, "/groupidentify", &bad), (400, text.to_owned()), "{bad}");
    }
}

#[test]
fn group_identify_takes_1024_groups_1024_properties_and_a_megabyte() {
    let emulator = start();
    let group = |name: usize, properties: usize| {
        let properties: serde_json::Map<_, _> = (0..properties).map(|number| (format!("p{number}"), json!(number))).collect();
        json!({"group_type": "org", "group_value": format!("g{name}"), "group_properties": {"$set": properties}})
    };
    let groups = |count: usize| json!((0..count).map(|name| group(name, 1)).collect::<Vec<_>>());
    let kind = "content-type: application/x-www-form-urlencoded\r\n";
    let send = |identification: &Value| {
        let body = format!("api_key={DEMO_KEY}&identification={identification}");
        ask(&emulator, "POST /groupidentify", kind, body.as_bytes())
    };
    assert_eq!(send(&groups(1024)).status, 200);
    let answer = send(&groups(1025));
    assert_eq!((answer.status, answer.text()), (400, "more than 1024 group identifies".to_owned()));
    assert_eq!(send(&json!([group(0, 1000), group(1, 24)])).status, 200);
    let answer = send(&json!([group(0, 1000), group(1, 25)]));
    assert_eq!((answer.status, answer.text()), (400, "more than 1024 group properties".to_owned()));
    let mut large = group(0, 0);
    large["group_properties"]["$set"]["a"] = json!("x".repeat(1_000_000));
    assert_eq!(send(&large).status, 413);
}

#[test]
fn identifies_are_throttled_like_events() {
    let emulator = Emulator::builder().throttle(Throttle::Documented).start().expect("a free port");
    let many = json!(vec![json!({"user_id": "user-1"}); 31]);
    assert_eq!(identify(&emulator, "/identify", &many).0, 429);
    emulator.advance(Duration::from_secs(30));
    assert_eq!(identify(&emulator, "/identify", &many).0, 200);
}

#[test]
fn faults_can_be_for_identifies() {
    let emulator = start();
    emulator.fault_on(Api::Identify, Fault::Status(503), 1);
    assert_eq!(send(&emulator, &json!([])).0, 200, "not for events");
    let user = json!({"user_id": "user-1"});
    assert_eq!((identify(&emulator, "/identify", &user).0, identify(&emulator, "/identify", &user).0), (503, 200));
}

#[test]
fn events_change_people_as_identifies_do() {
    let emulator = start();
    let events = json!([
        {"event_type": "a", "device_id": "device-1", "user_properties": {"color": "red"}},
        {"event_type": "$identify", "user_id": "user-1", "device_id": "device-1", "user_properties": {"$add": {"logins": 1}}},
        {"event_type": "$groupidentify", "user_id": "user-1", "groups": {"org": ["a", 5]}, "group_properties": {"$set": {"size": 2}}},
    ]);
    assert_eq!(send(&emulator, &events).0, 200);
    assert_eq!(
        identify(&emulator, "/identify", &json!({"user_id": "user-1", "user_properties": {"$add": {"logins": 1}}})).0,
        200
    );
    let expected = json!({
        "users": [{"user_id": "user-1", "device_ids": ["device-1"], "user_properties": {"color": "red", "logins": 2}}],
        "groups": [
            {"group_type": "org", "group_value": "5", "group_properties": {"size": 2}},
            {"group_type": "org", "group_value": "a", "group_properties": {"size": 2}},
        ],
    });
    assert_eq!(people(&emulator), expected);
}
