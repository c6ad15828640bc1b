//! `server::Client::ingest`: one request, a verdict on each event, a secret by choice.

use std::time::Duration;

use amplitude_sdk::{
    Error, ErrorKind, Event, IngestionApi, ProjectKey, Rejection,
    server::{Client, EventVerdict, IngestOptions, Ingested, Options},
};

use crate::{
    KEY, SECRET, block_on, event, server_client,
    support::{Answer, Stub},
};
use EventVerdict::{Rejected, SendAgain, Wait};

/// Three events: one of a user, one of a device, one of both.
fn events() -> [Event; 3] {
    [
        Event::builder("a").user_id("user-0").build().unwrap(),
        Event::builder("b").device_id("device-1").build().unwrap(),
        Event::builder("c").user_id("user-2").device_id("device-2").build().unwrap(),
    ]
}

fn answered(answer: Answer) -> Result<Ingested, Error> {
    let stub = Stub::start([answer]);
    let result = block_on(server_client(Options::new().base_url(stub.base_url())).ingest(&mut events(), IngestOptions::new()));
    assert_eq!(stub.seen().len(), 1, "nothing is sent twice");
    result
}

fn json(status: u16, body: &str) -> Result<Ingested, Error> {
    answered(Answer::Say(status, "application/json", body.to_owned()))
}

#[test]
fn a_refused_request_has_a_verdict_on_each_event() {
    let field = |name: &str| name.to_owned();
    let (throttled, quota) = (Wait(Duration::from_secs(31)), Wait(Duration::from_secs(3600)));
    for (status, body, verdicts) in [
        (
            400,
            r#""events_with_invalid_fields":{"time":[1]}"#,
            [SendAgain, Rejected(Rejection::InvalidField(field("time"))), SendAgain],
        ),
        (
            400,
            r#""events_with_missing_fields":{"event_type":[2,0]},"events_with_invalid_fields":{"time":[0]}"#,
            [Rejected(Rejection::InvalidField(field("time"))), SendAgain, Rejected(Rejection::MissingField(field("event_type")))],
        ),
        (
            400,
            r#""events_with_invalid_id_lengths":{"user_id":[0]},"silenced_events":[1],"silenced_devices":["device-1"]"#,
            [Rejected(Rejection::IdLength(field("user_id"))), Rejected(Rejection::Silenced), SendAgain],
        ),
        // Indexes of no event hit no neighbour.
        (400, r#""silenced_events":[-1,3,99999999999,1]"#, [SendAgain, Rejected(Rejection::Silenced), SendAgain]),
        (429, r#""throttled_events":[1]"#, [SendAgain, throttled.clone(), SendAgain]),
        (
            429,
            r#""throttled_users":{"user-2":31},"throttled_devices":{"device-1":40}"#,
            [SendAgain, throttled.clone(), throttled.clone()],
        ),
        (
            429,
            r#""exceeded_daily_quota_users":{"user-0":500001},"throttled_events":[0,2]"#,
            [quota.clone(), SendAgain, throttled.clone()],
        ),
        (
            429,
            r#""throttled_users":{"user-2":31},"exceeded_daily_quota_devices":{"device-2":500001}"#,
            [SendAgain, SendAgain, quota],
        ),
        (
            400,
            r#""silenced_events":[1,2],"throttled_devices":{"device-2":0,"device-1":0},"throttled_events":[0]"#,
            [throttled, Rejected(Rejection::Silenced), Rejected(Rejection::Silenced)],
        ),
    ] {
        let body = format!(r#"{{"code":{status},"error":"x",{body}}}"#);
        assert_eq!(json(status, &body).unwrap(), Ingested::Refused(verdicts.to_vec()), "{body}");
    }
}

#[test]
fn other_answers_are_errors_of_their_kinds() {
    let page = "<html><body>Please log in</body></html>";
    for (status, body, kind) in [
        (200, page, ErrorKind::Protocol),
        (200, "", ErrorKind::Protocol),
        (200, "\u{0}\u{1}", ErrorKind::Protocol),
        (200, r#"{"code":200,"events_ingested":"3"}"#, ErrorKind::Protocol),
        (204, "", ErrorKind::Protocol),
        (302, "", ErrorKind::Protocol),
        (400, r#"{"code":400,"error":"Invalid API key: demo0000000000000000000000000key"}"#, ErrorKind::Unauthorized),
        (400, r#"{"code":400,"error":"Request missing required field","missing_field":"api_key"}"#, ErrorKind::Unauthorized),
        (400, r#"{"code":400,"error":"Invalid JSON request body"}"#, ErrorKind::Invalid),
        (400, r#"{"code":400,"error":"Invalid event JSON"}"#, ErrorKind::Invalid),
        (400, r#"{"code":400,"error":"Invalid request path"}"#, ErrorKind::NotFound),
        (400, "<h1>400 Bad Request</h1>", ErrorKind::Invalid),
        (401, page, ErrorKind::Unauthorized),
        (403, r#"{"code":403,"error":"Forbidden"}"#, ErrorKind::Unauthorized),
        (404, page, ErrorKind::NotFound),
        (451, page, ErrorKind::Status),
        (408, "", ErrorKind::Status),
        (413, page, ErrorKind::TooLarge),
        (429, "", ErrorKind::Throttled),
        (429, r#"{"code":429,"throttled_users":{"somebody else":31}}"#, ErrorKind::Throttled),
        (500, "", ErrorKind::Status),
        (503, page, ErrorKind::Status),
    ] {
        let error = json(status, body).expect_err(body);
        assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{status} {body}");
        let is_retryable = matches!(status, 408 | 429 | 500..);
        assert_eq!(error.is_retryable(), is_retryable, "{status}");
        let shown = format!("{error:?} {error}");
        assert!(!shown.contains("log in") && !shown.contains(KEY) && !shown.contains("somebody"), "{shown}");
    }
    let error = answered(Answer::Header(503, "retry-after: 17".to_owned())).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    let error = answered(Answer::HangUp).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Transport, true));
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let stub = Stub::start([Answer::Silence]);
    let client = server_client(Options::new().base_url(stub.base_url()).request_timeout(Duration::from_millis(300)));
    let error = block_on(client.ingest(&mut events(), IngestOptions::new())).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true));
}

#[test]
fn a_delivery_that_is_counted_short_says_so() {
    assert_eq!(answered(Answer::Confirm).unwrap(), Ingested::Delivered { short: false });
    let short = r#"{"code":200,"events_ingested":2,"payload_size_bytes":50,"server_upload_time":1396381378123}"#;
    assert_eq!(json(200, short).unwrap(), Ingested::Delivered { short: true });
}

#[test]
fn one_event_that_is_refused_without_a_reason_is_named_as_the_one() {
    let stub = Stub::start([Answer::Say(400, "application/json", r#"{"code":400,"error":"Invalid event JSON"}"#.to_owned())]);
    let client = server_client(Options::new().base_url(stub.base_url()));
    let refused = block_on(client.ingest(&mut [event("user123")], IngestOptions::new())).unwrap();
    assert_eq!(refused, Ingested::Refused(vec![Rejected(Rejection::Unexplained)]));
}

#[test]
fn events_keep_what_they_are_given_so_that_they_can_be_sent_again() {
    let stub = Stub::start([Answer::Header(503, "x: y".to_owned())]);
    let client = server_client(Options::new().base_url(stub.base_url()));
    let mut events = events();
    block_on(client.ingest(&mut events, IngestOptions::new())).unwrap_err();
    block_on(client.ingest(&mut events, IngestOptions::new())).unwrap();
    let seen = stub.seen();
    assert_eq!(seen[0].events(), seen[1].events());
    for event in seen[0].events() {
        assert!(event["time"].as_u64().unwrap() > 1_700_000_000_000);
        assert_eq!(event["insert_id"].as_str().unwrap().len(), 36);
        assert!(event["library"].as_str().unwrap().starts_with("amplitude-sdk-rust/"));
    }
    assert_eq!(seen[0].line, "POST /2/httpapi HTTP/1.1");
    assert_eq!((seen[0].header("content-type"), seen[0].header("authorization")), (Some("application/json"), None));
    assert_eq!(seen[0].json()["api_key"], KEY);
    assert!(seen[0].json()["client_upload_time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_secret_is_in_one_request_and_by_choice() {
    let stub = Stub::start([]);
    let client = server_client(Options::new().base_url(stub.base_url()));
    let mut events = events();
    for options in [IngestOptions::new(), IngestOptions::new().with_secret(), IngestOptions::new().api(IngestionApi::Batch)] {
        block_on(client.ingest(&mut events, options)).unwrap();
    }
    let seen = stub.seen();
    assert_eq!(seen[1].json()["secret"], SECRET);
    assert_eq!(seen[1].json()["events"].as_array().unwrap().len(), 3);
    assert_eq!(seen[2].line, "POST /batch HTTP/1.1");
    for request in [&seen[0], &seen[2]] {
        assert!(!format!("{request:?}").contains(SECRET));
    }
    assert!(!seen[1].line.contains(SECRET) && !format!("{:?}", seen[1].headers).contains(SECRET));

    let key_alone = ProjectKey::new(KEY).unwrap();
    let key_alone = Client::with_options(key_alone, Options::new().base_url(stub.base_url())).unwrap();
    block_on(key_alone.ingest(&mut events, IngestOptions::new())).unwrap();
    let error = block_on(key_alone.ingest(&mut events, IngestOptions::new().with_secret())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("ProjectPair"), "{error}");
    assert_eq!(stub.seen().len(), 4);
}

#[test]
fn bad_input_is_named_and_not_sent() {
    let stub = Stub::start([]);
    let client = server_client(Options::new().base_url(stub.base_url()));
    let refused = |events: &mut [Event], options: IngestOptions| {
        let error = block_on(client.ingest(events, options)).unwrap_err();
        assert!(!error.is_retryable());
        (error.kind(), error.to_string())
    };
    let new = IngestOptions::new;
    assert_eq!(refused(&mut [], new()), (ErrorKind::Invalid, "events: there are none".to_owned()));
    let mut many = vec![event("user123"); 2001];
    assert_eq!(refused(&mut many, new()).0, ErrorKind::TooLarge);
    let mut short = [event("user123"), event("abc"), event("user456")];
    let (kind, said) = refused(&mut short, new());
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(said.starts_with("events[1]: user_id: is shorter than 5 characters"), "{said}");
    let (_, said) = refused(&mut [event("user123"), Event::builder("a").build().unwrap()], new());
    assert!(said.starts_with("events[1]: user_id, device_id"), "{said}");
    for length in [0, 1025, usize::MAX] {
        let (_, said) = refused(&mut short, new().min_id_length(length));
        assert_eq!(said, "min_id_length: must be 1 to 1024");
    }
    let large = || Event::builder("a").user_id("user123").property("text", "x".repeat(600_000)).build().unwrap();
    let (kind, said) = refused(&mut [large(), large()], new());
    assert_eq!(kind, ErrorKind::TooLarge);
    assert!(said.contains("1000000"), "{said}");
    assert!(stub.seen().is_empty());

    // Batch takes what HTTP V2 does not, and shorter ids are taken by choice.
    block_on(client.ingest(&mut [large(), large()], new().api(IngestionApi::Batch))).unwrap();
    block_on(client.ingest(&mut short, new().min_id_length(3))).unwrap();
    assert_eq!(stub.seen()[1].json()["options"]["min_id_length"], 3);
    block_on(client.ingest(&mut many[..2000], new())).unwrap();
}
