//! Faults, the clock, the log of requests, the folder, and the program itself.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use amplitude_sdk::{
    Client, Config, Event, Outcome, ProjectKey, Region,
    emulator::{DEMO_KEY, Emulator, Fault, Project},
};
use serde_json::{Value, json};

use super::support::*;

fn client(emulator: &Emulator) -> Client {
    let key = ProjectKey::new(DEMO_KEY).expect("a key");
    Client::new(Config::new(key).server_url(emulator.ingestion_url()).flush_interval(Duration::from_millis(5))).expect("a client")
}

#[test]
fn faults_come_in_their_turn() {
    let emulator = start();
    let client = client(&emulator);
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
    let requests = get(&emulator, "/_emulator/requests").json();
    let told: Vec<_> =
        requests.as_array().expect("an array").iter().map(|it| (it["status"].clone(), it["fault"] == true)).collect();
    let expected = [(500, true), (0, true), (200, true), (0, true), (502, true), (200, false)];
    let expected = expected.map(|(status, fault)| (if status == 0 { Value::Null } else { json!(status) }, fault));
    assert_eq!(told, expected);
}

#[test]
fn each_fault_is_what_it_says() {
    let emulator = start();
    let event = json!([{"event_type": "a", "user_id": "user-1"}]);
    let body = json!({"api_key": DEMO_KEY, "events": event}).to_string();
    let head = "POST /2/httpapi";
    let fault = |fault: Value| assert_eq!(post(&emulator, "/_emulator/faults", &fault).status, 204, "{fault}");
    let accepted = || emulator.counts(DEMO_KEY).accepted;

    fault(json!({"kind": "status", "status": 503, "count": 2}));
    for _ in 0..2 {
        let answer = ask(&emulator, head, JSON, body.as_bytes());
        assert_eq!((answer.status, answer.text(), accepted()), (503, String::new(), 0));
    }
    fault(json!({"kind": "html"}));
    let answer = ask(&emulator, head, JSON, body.as_bytes());
    assert!(answer.status == 200 && answer.head.contains("text/html") && answer.text().contains("<h1>"));
    fault(json!({"kind": "hang_up"}));
    assert!(try_ask(&emulator, head, JSON, body.as_bytes()).is_none());
    assert_eq!(accepted(), 0);
    fault(json!({"kind": "accept_then_hang_up"}));
    assert!(try_ask(&emulator, head, JSON, body.as_bytes()).is_none());
    assert_eq!(accepted(), 1);
    fault(json!({"kind": "accept_then_status", "status": 502}));
    assert_eq!((ask(&emulator, head, JSON, body.as_bytes()).status, accepted()), (502, 2));
    fault(json!({"kind": "delay", "ms": 300}));
    let began = Instant::now();
    assert_eq!((ask(&emulator, head, JSON, body.as_bytes()).status, accepted()), (200, 3));
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(ask(&emulator, head, JSON, body.as_bytes()).status, 200, "no fault is left");
}

#[test]
fn a_wrong_fault_is_refused_with_what_is_wrong() {
    let emulator = start();
    for (fault, word) in [
        (json!({"kind": "earthquake"}), "kind"),
        (json!({"kind": "status"}), "status"),
        (json!({"kind": "status", "status": 99}), "200 to 599"),
        (json!({"kind": "status", "status": 700}), "200 to 599"),
        (json!({"kind": "status", "status": 500, "ms": 1}), "status alone"),
        (json!({"kind": "delay"}), "ms"),
        (json!({"kind": "hang_up", "status": 500}), "neither"),
        (json!({"kind": "html", "api": "dashboard"}), "dashboard"),
        (json!({"kind": "html", "count": -1}), "-1"),
        (json!({"kind": "html", "times": 1}), "times"),
        (json!([]), "fault"),
    ] {
        let answer = post(&emulator, "/_emulator/faults", &fault);
        assert_eq!(answer.status, 400, "{fault}");
        assert!(answer.text().contains(word), "{fault}: {}", answer.text());
    }
    assert_eq!(post(&emulator, "/_emulator/faults", &json!({"kind": "html", "count": 0})).status, 204);
    assert_eq!(send(&emulator, &json!([])).0, 200, "none of them is pending");
    emulator.fault(Fault::Status(100), 1);
    let answer = post(&emulator, "/2/httpapi", &json!({}));
    assert_eq!(answer.status, 500, "what is no status for an answer is replaced");
}

#[test]
fn the_clock_goes_forward_as_far_as_wanted() {
    let emulator = start();
    let uploaded = || send(&emulator, &json!([])).1["server_upload_time"].as_u64().expect("a time");
    let before = uploaded();
    assert_eq!(post(&emulator, "/_emulator/clock", &json!({"advance_ms": 5000})).status, 204);
    assert!(uploaded() >= before + 5000);
    for _ in 0..2 {
        emulator.advance(Duration::MAX);
        assert_eq!(post(&emulator, "/_emulator/clock", &json!({"advance_ms": u64::MAX})).status, 204);
    }
    assert_eq!(send(&emulator, &json!([{"event_type": "a", "user_id": "user-1", "insert_id": "id-1"}])).0, 200);
    for bad in [json!({}), json!({"advance_ms": -1}), json!({"ms": 1})] {
        assert!((400..500).contains(&post(&emulator, "/_emulator/clock", &bad).status), "{bad}");
    }
}

#[test]
fn events_and_requests_can_be_followed() {
    let emulator = start();
    let events: Vec<_> = (0..1200).map(|number| json!({"event_type": "a", "user_id": "user-1", "event_id": number})).collect();
    send(&emulator, &json!(events));
    let (mut after, mut seen) = (0, Vec::new());
    for _ in 0..4 {
        let page = get(&emulator, &format!("/_emulator/events?after={after}")).json();
        let page = page.as_array().expect("an array");
        assert!(page.len() <= 500);
        after = page.last().map_or(after, |last| last["number"].as_u64().expect("a number"));
        seen.extend(page.iter().map(|it| it["event"]["event_id"].as_u64().expect("a number")));
    }
    assert_eq!(seen, (0..1200).collect::<Vec<_>>());
    post(&emulator, "/eu/batch", &json!({"api_key": DEMO_KEY, "events": []}));
    let requests = get(&emulator, "/_emulator/requests").json();
    let told = |index: usize, name: &str| requests[index][name].clone();
    assert_eq!((told(0, "path"), told(0, "status"), told(0, "events")), (json!("/2/httpapi"), json!(200), json!(1200)));
    assert_eq!((told(1, "path"), told(1, "status"), told(1, "events")), (json!("/eu/batch"), json!(400), json!(null)));
    assert_eq!(told(1, "error"), format!("Invalid API key: {DEMO_KEY}"));
    assert_eq!(post(&emulator, "/_emulator/reset", &json!({})).status, 204);
    assert_eq!(get(&emulator, "/_emulator/events").json(), json!([]));
    assert_eq!(get(&emulator, "/_emulator/requests").json(), json!([]));
    assert_eq!(get(&emulator, "/_emulator/state").json()["accepted"], 0);
    assert!(get(&emulator, "/").text().starts_with("<!doctype html>"));
}

#[test]
fn a_folder_keeps_all_of_it_from_run_to_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let start = || Emulator::builder().data_dir(dir.path()).start();
    let event = json!([{"event_type": "a", "device_id": "device-1", "insert_id": "id-1", "user_properties": {"a": 1}}]);
    let first = start().expect("a free port");
    assert_eq!(send(&first, &event).0, 200);
    let form =
        format!("/identify?api_key={DEMO_KEY}&identification=%7B%22user_id%22:%22user-1%22,%22device_id%22:%22device-1%22%7D");
    assert_eq!(get(&first, &form).status, 200);
    let people = get(&first, "/_emulator/people").json();
    assert!(start().is_err_and(|error| error.to_string().contains("another emulator")), "one folder, one emulator");
    drop(first);

    let file = fs::read_dir(dir.path()).expect("a folder").next().expect("a file").expect("a file").path();
    let whole = fs::read(&file).expect("a file");
    fs::write(&file, [&whole[..], br#"{"received_ms":1,"eve"#].concat()).expect("a file");
    let again = start().expect("what was cut off when it was killed does not matter");
    assert_eq!((again.events(DEMO_KEY).len(), again.counts(DEMO_KEY).accepted), (1, 1));
    assert_eq!(get(&again, "/_emulator/people").json(), people);
    send(&again, &event);
    assert_eq!(again.counts(DEMO_KEY).duplicates, 1);
    drop(again);
    assert_eq!(fs::read(&file).expect("a file"), whole);

    for broken in ["x\n", "{}\n", "{\"received_ms\":1}\n", "{\"received_ms\":1,\"event\":5}\n", "\u{fffd}\n"] {
        fs::write(&file, broken).expect("a file");
        let error = start().map(|_| ()).expect_err(broken);
        assert!(error.to_string().contains(".ndjson"), "{broken}: {error}");
    }
}

#[test]
fn two_projects_cannot_share_a_key() {
    let project = |region| Project::new(DEMO_KEY, "fake", region);
    assert!(Emulator::builder().project(project(Region::Us)).project(project(Region::Eu)).start().is_err());
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amplitude-emulator"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn the_program_says_where_it_listens() {
    let project = ["--port", "0", "--throttle", "documented", "--export-delay", "1", "--project", "some-key:some-secret:eu"];
    let client = ["--client", "app::us:https://app.example/", "--client", "app::us:http://127.0.0.1/", "--consent", "grant"];
    let account =
        ["--service-account", "robot:some-secret:us", "--credential", "org:us:key:secret", "--credential", "pat:eu:amp_x"];
    let times = ["--access-lifetime", "10", "--refresh-lifetime", "20", "--device-interval", "1"];
    let switches = ["--registration-management", "on", "--public-revocation", "off"];
    let scopes = ["--scope", "projects:read=See = look", "--scope", "shop:read=Read the shop"];
    let arguments = [&project[..], &client, &account, &times, &switches, &scopes].concat();
    let mut child = program(&arguments).spawn().expect("the program");
    let line = BufReader::new(child.stdout.take().expect("a pipe")).lines().next().expect("a line").expect("text");
    let address = line.strip_prefix("listening on http://").expect("an address").to_owned();
    use std::io::{Read as _, Write as _};
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(&address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let (answer, oauth) = (get("/_emulator/state"), get("/_emulator/oauth"));
    let metadata = get("/.well-known/oauth-authorization-server");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(answer.contains(r#""some-key":{"#), "{answer}");
    assert!(
        oauth.contains(r#""redirect_uris":["https://app.example/","http://127.0.0.1/"]"#) && oauth.contains("robot"),
        "{oauth}"
    );
    assert!(metadata.contains(r#""projects:read","shop:read""#), "{metadata}");
}

#[test]
fn the_program_refuses_what_it_does_not_know() {
    for (arguments, text) in [
        (&["--nonsense"][..], "--nonsense: is no option"),
        (&["--port"], "--port: has no value"),
        (&["--port", "70000"], "--port 70000: must be"),
        (&["--throttle", "some"], "--throttle some: must be"),
        (&["--throttle", "30:-1"], "--throttle 30:-1: must be"),
        (&["--export-delay", "-1"], "--export-delay -1: must be"),
        (&["--project", "a:b"], "--project: must be KEY:SECRET:REGION"),
        (&["--project", ":sentinel:us"], "--project: a key is empty"),
        (&["--project", "a:sentinel:mars"], "--project: region"),
        (&["--project", "a:sentinel:us", "--project", "a:sentinel:eu", "--port", "0"], "the same API key"),
        (&["--credential", "sentinel:us"], "--credential: must be KIND:REGION:VALUE"),
        (&["--credential", "password:us:sentinel"], "--credential: the kind"),
        (&["--credential", "org:us:sentinel"], "--credential: the value"),
        (&["--credential", "scim:mars:sentinel"], "--credential: region"),
        (&["--client", "a:sentinel:us"], "--client: must be ID:SECRET:REGION:URI"),
        (&["--client", "a:sentinel:us:http://app.example/", "--port", "0"], "redirect URI"),
        (&["--client", "a::us:https://app.example/", "--service-account", "a:sentinel:us", "--port", "0"], "client id"),
        (&["--service-account", "a:sentinel"], "--service-account: must be ID:SECRET:REGION"),
        (&["--service-account", "a::us"], "--service-account: the secret is empty"),
        (&["--scope", "sentinel"], "--scope: must be NAME=MEANING"),
        (&["--scope", "two scopes=x", "--port", "0"], "scope \"two scopes\": is none"),
        (&["--consent", "maybe"], "--consent maybe: must be ask, grant or deny"),
        (&["--access-lifetime", "-1"], "--access-lifetime -1: must be a number of seconds"),
        (&["--public-revocation", "yes"], "--public-revocation yes: must be on or off"),
    ] {
        let output = program(arguments).output().expect("the program");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(text), "{arguments:?}: {error}");
        assert!(!error.contains("sentinel"), "{error}");
    }
    let help = program(&["--help"]).output().expect("the program");
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--throttle off|documented"));
}
