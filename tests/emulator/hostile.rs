//! Bodies and requests that are broken on purpose: each has an answer, and the emulator lives on.

use amplitude_sdk::emulator::{DEMO_KEY, Emulator};
use serde_json::json;

use super::{
    export::{export, now},
    support::*,
};

fn lives(emulator: &Emulator) {
    assert_eq!(send(emulator, &json!([{"event_type": "a", "user_id": "user-1"}])).0, 200);
}

#[test]
fn deep_nesting_overflows_no_stack() {
    let emulator = start();
    const DEPTH: usize = 100_000;
    let arrays = ["[".repeat(DEPTH), "]".repeat(DEPTH)].concat();
    let objects = [r#"{"a":"#.repeat(DEPTH), "1".to_owned(), "}".repeat(DEPTH)].concat();
    for value in [&arrays, &objects, &"[".repeat(DEPTH), &r#"{"a":"#.repeat(DEPTH)] {
        for body in [
            value.clone(),
            format!(r#"{{"api_key":"{DEMO_KEY}","events":{value}}}"#),
            format!(
                r#"{{"api_key":"{DEMO_KEY}","events":[{{"event_type":"a","user_id":"user-1","event_properties":{value}}}]}}"#
            ),
            format!(r#"{{"api_key":"{DEMO_KEY}","events":[],"options":{value}}}"#),
        ] {
            let answer = post_bytes(&emulator, "/batch", body.as_bytes());
            assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("Invalid JSON request body")));
        }
        for path in ["/identify", "/groupidentify"] {
            let form = format!("api_key={DEMO_KEY}&identification={value}");
            let kind = "content-type: application/x-www-form-urlencoded\r\n";
            assert_eq!(ask(&emulator, &format!("POST {path}"), kind, form.as_bytes()).status, 400);
        }
        for path in ["/_emulator/faults", "/_emulator/clock", "/_emulator/silence"] {
            let status = post_bytes(&emulator, path, value.as_bytes()).status;
            assert!((400..500).contains(&status), "{path}: {status}");
        }
    }
    lives(&emulator);
}

#[test]
fn what_is_not_utf8_is_not_json() {
    let emulator = start();
    for text in [&b"\xff\xfe"[..], b"\x80", b"\xed\xa0\x80", b"\xc0\xaf"] {
        let start = format!(r#"{{"api_key":"{DEMO_KEY}","events":[{{"event_type":"a","user_id":"user-"#);
        let body = [start.as_bytes(), text, br#""}]}"#].concat();
        assert_eq!(post_bytes(&emulator, "/2/httpapi", &body).json()["error"], "Invalid JSON request body");
    }
    let lone = format!(r#"{{"api_key":"{DEMO_KEY}","events":[{{"event_type":"a","user_id":"user-\ud800"}}]}}"#);
    assert_eq!(post_bytes(&emulator, "/2/httpapi", lone.as_bytes()).status, 400, "half a surrogate pair");
    lives(&emulator);
}

#[test]
fn huge_numbers_are_no_integers() {
    let emulator = start();
    for (time, status) in [("9223372036854775807", 200), ("9223372036854775808", 400), ("1e400", 400), ("1e15", 400), ("-5", 200)]
    {
        let body = format!(r#"{{"api_key":"{DEMO_KEY}","events":[{{"event_type":"a","user_id":"user-1","time":{time}}}]}}"#);
        assert_eq!(post_bytes(&emulator, "/2/httpapi", body.as_bytes()).status, status, "{time}");
    }
    assert_eq!(export(&emulator, &now()).status, 200, "such times can be exported");
}

#[test]
fn a_body_that_ends_early_is_told() {
    let emulator = start();
    let body = json!({"api_key": DEMO_KEY, "events": [{"event_type": "a", "user_id": "user-1"}]}).to_string();
    let head = format!("POST /2/httpapi HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{JSON}");
    let cut = &body[..body.len() - 5];
    for request in [
        format!("{head}content-length: {}\r\n\r\n{cut}", body.len()),
        format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{cut}", body.len()),
    ] {
        let answer = cut_off(&emulator, request.as_bytes()).expect("an answer");
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("Invalid JSON request body: it ends early")));
    }
    assert!(cut_off(&emulator, b"POST /2/httpapi HT").is_none_or(|answer| answer.status == 400), "half a head");
    assert_eq!(cut_off(&emulator, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").map(|answer| answer.status), Some(400), "TLS");
    lives(&emulator);
    assert_eq!(emulator.counts(DEMO_KEY).accepted, 1, "half a request leaves nothing");
}

#[test]
fn gzip_that_is_none_is_told() {
    let emulator = start();
    let body = json!({"api_key": DEMO_KEY, "events": [{"event_type": "a", "user_id": "user-1"}]}).to_string();
    let packed = gzip(body.as_bytes());
    let mut wrong_sum = packed.clone();
    let sum_at = packed.len() - 6;
    wrong_sum[sum_at] ^= 1;
    for bad in [body.as_bytes(), b"x", &packed[..packed.len() - 9], &packed[..3], &wrong_sum, &[&packed[..], b"rest"].concat()] {
        let answer = ask(&emulator, "POST /2/httpapi", &format!("{JSON}content-encoding: gzip\r\n"), bad);
        assert_eq!(answer.status, 400);
        assert!(answer.json()["error"].as_str().is_some_and(|error| error.contains("gzip")), "{}", answer.text());
    }
    for encoding in ["br", "deflate", "gzip, gzip", "\u{fc}"] {
        let answer = ask(&emulator, "POST /2/httpapi", &format!("{JSON}content-encoding: {encoding}\r\n"), &packed);
        assert_eq!(answer.status, 400, "{encoding}");
    }
    let unmarked = post_bytes(&emulator, "/2/httpapi", &packed);
    assert_eq!(unmarked.json()["error"], "Invalid JSON request body");
    let empty = ask(&emulator, "POST /2/httpapi", &format!("{JSON}content-encoding: gzip\r\n"), &gzip(b""));
    assert_eq!(empty.json()["error"], "Missing request body");
    lives(&emulator);
}

#[test]
fn queries_of_all_kinds_have_an_answer() {
    let emulator = start();
    for path in [
        "/_emulator/events?after=x",
        "/_emulator/events?after=-1",
        "/_emulator/events?after=99999999999999999999",
        "/_emulator/people?project=nobody",
        "/_emulator/requests?after=%ff",
        "/api/2/export?start=%ff",
        "/identify?api_key=%ff",
        "/identify",
    ] {
        assert!((400..500).contains(&get(&emulator, path).status), "{path}");
    }
    assert_eq!(get(&emulator, "/_emulator/events?after=18446744073709551615").json(), json!([]));
    assert_eq!(get(&emulator, "/_emulator/events?project=nobody").json(), json!([]));
    let long = format!("/identify?api_key={DEMO_KEY}&identification={}", "x".repeat(70_000));
    assert_eq!(get(&emulator, &long).status, 414);
    lives(&emulator);
}
