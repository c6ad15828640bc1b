//! What HTTP V2 and Batch take, and how.

use std::time::Duration;

use amplitude_sdk::{
    Region,
    emulator::{DEMO_KEY, Emulator, Project},
};
use serde_json::{Value, json};

use super::support::*;

#[test]
fn events_are_taken_and_counted() {
    let emulator = start();
    let events = json!([{"event_type": "a", "user_id": "user-1"}, {"event_type": "b", "device_id": "device-1"}]);
    for path in ["/2/httpapi", "/batch"] {
        let answer = post(&emulator, path, &json!({"api_key": DEMO_KEY, "events": events}));
        assert_eq!((answer.status, &answer.json()["code"], &answer.json()["events_ingested"]), (200, &json!(200), &json!(2)));
        let answer = answer.json();
        assert!(answer["server_upload_time"].as_u64().is_some() && answer["payload_size_bytes"].as_u64().is_some());
    }
    let state = get(&emulator, "/_emulator/state").json();
    assert_eq!((&state["accepted"], &state["projects"][DEMO_KEY]["accepted"]), (&json!(4), &json!(4)));
}

#[test]
fn every_documented_field_is_taken_as_it_is() {
    let emulator = start();
    let event: Value = serde_json::from_str(
        r#"{
        "user_id": "user-00001", "device_id": "dev-00001", "event_type": "Song Played", "time": 1760000000000,
        "session_id": -1, "event_id": 7, "insert_id": "9d0c", "ip": "$remote", "platform": "Web", "user_agent": "Agent/1.0",
        "event_properties": {"genre": "jazz", "tags": ["a", "b"], "deep": {"er": [1, 2.5, null]}}, "user_properties": {"plan": "pro"},
        "groups": {"org id": ["12345678"], "team": "blue"}, "$skip_user_properties_sync": true, "app_version": "1", "os_name": "x",
        "os_version": "1", "device_brand": "b", "device_manufacturer": "m", "device_model": "d", "carrier": "c", "country": "DE",
        "region": "r", "city": "c", "dma": "d", "language": "en-US", "price": -4.5, "quantity": 2, "revenue": 9, "currency": "EUR",
        "productId": "sku-1", "revenueType": "purchase", "location_lat": 1.5, "location_lng": -1, "idfa": "i", "idfv": "i", "adid": "a",
        "android_id": "a", "android_app_set_id": "a", "partner_id": "p", "library": "http/1.0", "version_name": "v", "receipt": "r",
        "receiptSig": "s", "plan": {"branch": "main", "source": "web", "version": "1", "versionId": "x"},
        "ingestion_metadata": {"source_name": "a", "source_version": "1"}, "not documented": {"any": "thing"}
    }"#,
    )
    .expect("JSON");
    let envelope = json!({
        "api_key": DEMO_KEY, "events": [event], "options": {"min_id_length": null}, "client_upload_time": "2025-10-09T09:00:00.000Z",
        "request_metadata": {"sdk": {}},
    });
    assert_eq!(post(&emulator, "/2/httpapi", &envelope).status, 200);
    let arrived: Value = serde_json::from_str(&emulator.events(DEMO_KEY)[0]).expect("JSON");
    assert_eq!(arrived, event);
}

#[test]
fn a_null_is_no_value() {
    let emulator = start();
    let event = json!({"event_type": "a", "user_id": "user-1", "device_id": null, "time": null, "groups": null, "plan": null});
    assert_eq!(send(&emulator, &json!([event])).0, 200);
}

#[test]
fn only_json_is_taken() {
    let emulator = start();
    let body = json!({"api_key": DEMO_KEY, "events": []}).to_string();
    let status = |kind: &str| ask(&emulator, "POST /2/httpapi", kind, body.as_bytes()).status;
    assert_eq!(status("content-type: application/json\r\n"), 200);
    assert_eq!(status("Content-Type: Application/JSON; charset=UTF-8\r\n"), 200);
    for kind in ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n", "content-type: \r\n"]
    {
        assert_eq!(status(kind), 400, "{kind}");
    }
}

#[test]
fn gzip_is_read() {
    let emulator = start();
    let body = json!({"api_key": DEMO_KEY, "events": [{"event_type": "a", "user_id": "user-1"}]}).to_string();
    for encoding in ["gzip", "GZIP"] {
        let headers = format!("{JSON}content-encoding: {encoding}\r\n");
        let answer = ask(&emulator, "POST /2/httpapi", &headers, &gzip(body.as_bytes()));
        assert_eq!((answer.status, &answer.json()["payload_size_bytes"]), (200, &json!(body.len())));
    }
    assert_eq!(ask(&emulator, "POST /2/httpapi", &format!("{JSON}content-encoding: identity\r\n"), body.as_bytes()).status, 200);
}

#[test]
fn an_insert_id_of_a_device_is_known_for_seven_days() {
    let emulator = start();
    let event = |id: &str, name: &str| json!([{"event_type": "a", id: name, "insert_id": "id-1"}]);
    let counts = || (emulator.counts(DEMO_KEY).accepted, emulator.counts(DEMO_KEY).duplicates);
    for _ in 0..2 {
        let (status, answer) = send(&emulator, &event("device_id", "name-1"));
        assert_eq!((status, &answer["events_ingested"]), (200, &json!(1)), "a duplicate is no error");
    }
    assert_eq!(counts(), (1, 1));
    send(&emulator, &event("device_id", "name-2"));
    send(&emulator, &event("user_id", "name-1"));
    assert_eq!(counts(), (3, 1), "another device, and a user of the same name");
    send(&emulator, &event("user_id", "name-1"));
    assert_eq!(counts(), (3, 2), "without a device the user's own counts");
    for days in [4, 4] {
        emulator.advance(Duration::from_secs(days * 86_400));
        send(&emulator, &event("device_id", "name-1"));
    }
    assert_eq!(counts(), (4, 3), "on the eighth day it is new, in spite of the copy on the fourth");
}

#[test]
fn two_of_one_insert_id_in_one_request_are_one() {
    let emulator = start();
    let event = json!({"event_type": "a", "device_id": "device-1", "insert_id": "id-1"});
    assert_eq!(send(&emulator, &json!([event, event])).1["events_ingested"], 2);
    assert_eq!((emulator.counts(DEMO_KEY).accepted, emulator.counts(DEMO_KEY).duplicates), (1, 1));
}

#[test]
fn long_strings_are_shortened_and_surplus_groups_ignored() {
    let emulator = start();
    let event = json!({
        "event_type": "a", "user_id": "user-1", "event_properties": {"long": "x".repeat(1030), "list": ["\u{1f600}".repeat(600)]},
        "groups": {"a": "1", "b": "1", "c": "1", "d": "1", "e": "1", "f": "1"}, "group_properties": {"ignored": 1},
    });
    assert_eq!(send(&emulator, &json!([event])).0, 200);
    let arrived: Value = serde_json::from_str(&emulator.events(DEMO_KEY)[0]).expect("JSON");
    assert_eq!(arrived["event_properties"], json!({"long": "x".repeat(1024), "list": ["\u{1f600}".repeat(512)]}));
    assert_eq!(arrived["groups"].as_object().map(serde_json::Map::len), Some(5));
    assert!(arrived.get("group_properties").is_none());
}

#[test]
fn regions_do_not_know_each_others_keys() {
    const EU: &str = "eu000000000000000000000000000key";
    let project = Project::new(EU, "fake-eu", Region::Eu);
    let emulator = Emulator::builder().project(Project::default()).project(project).start().expect("a free port");
    let event = json!([{"event_type": "a", "user_id": "user-1"}]);
    for (path, key, status) in [
        ("/2/httpapi", DEMO_KEY, 200),
        ("/eu/2/httpapi", DEMO_KEY, 400),
        ("/eu/2/httpapi", EU, 200),
        ("/eu/batch", EU, 200),
        ("/2/httpapi", EU, 400),
    ] {
        let answer = post(&emulator, path, &json!({"api_key": key, "events": event}));
        assert_eq!(answer.status, status, "{path} {key}");
        if status == 400 {
            assert_eq!(answer.json()["error"], format!("Invalid API key: {key}"));
        }
    }
    let by_host = format!("{JSON}host: api.eu.amplitude.com\r\n");
    let head = format!("POST /2/httpapi HTTP/1.1\r\n{by_host}connection: close\r\n");
    let body = json!({"api_key": EU, "events": []}).to_string();
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    assert_eq!(raw(&emulator, request.as_bytes()).expect("an answer").status, 200, "a proxy kept the host");
}

#[test]
fn any_origin_may_ask() {
    let emulator = start();
    for path in ["/2/httpapi", "/batch", "/eu/2/httpapi"] {
        let headers = "origin: https://shop.example\r\naccess-control-request-method: POST\r\n\
            access-control-request-headers: content-encoding,content-type\r\n";
        let preflight = ask(&emulator, &format!("OPTIONS {path}"), headers, b"");
        assert_eq!((preflight.status, preflight.body.len()), (204, 0));
        for allowed in ["origin: *", "headers: content-type, content-encoding", "methods: get, post, options"] {
            assert!(preflight.head.contains(&format!("access-control-allow-{allowed}\r\n")), "{}", preflight.head);
        }
        assert!(!preflight.head.contains("allow-credentials"));
    }
    let refused = ask(&emulator, "POST /2/httpapi", "", b"");
    assert!(refused.status == 400 && refused.head.contains("access-control-allow-origin: *"), "errors can be read as well");
}
