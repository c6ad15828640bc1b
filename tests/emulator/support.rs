//! Plain HTTP to an emulator, one connection a request, so that the tests see what is on the wire.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use amplitude_sdk::emulator::{DEMO_KEY, Emulator};
use serde_json::{Value, json};

use crate::trace;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    sent: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header, as it was sent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.sent.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

pub(crate) fn start() -> Emulator {
    Emulator::builder().start().expect("a free port")
}

/// What comes back to these bytes; `None` where the connection breaks without an answer.
pub(crate) fn raw(emulator: &Emulator, bytes: &[u8]) -> Option<Reply> {
    exchange(emulator, bytes, false)
}

/// The same, where these bytes are all that ever comes.
pub(crate) fn cut_off(emulator: &Emulator, bytes: &[u8]) -> Option<Reply> {
    exchange(emulator, bytes, true)
}

fn exchange(emulator: &Emulator, bytes: &[u8], ends: bool) -> Option<Reply> {
    trace::start();
    let reply = exchange_bytes(emulator, bytes, ends);
    if trace::is_on() {
        note(bytes, reply.as_ref());
        let shown = format!("shown: {emulator:?}");
        // What is longer holds thousands of events, and nothing else that is news.
        if shown.len() < 1 << 16 {
            println!("{shown}");
        }
    }
    reply
}

/// For a test that looks for what passed where it may not be.
fn note(request: &[u8], reply: Option<&Reply>) {
    let request = String::from_utf8_lossy(request);
    let lines = request.lines().filter_map(|line| line.split_once(": "));
    let authorization = lines.filter(|(name, _)| name.eq_ignore_ascii_case("authorization")).map(|(_, value)| value).next();
    let body: Option<Value> = reply.and_then(|reply| serde_json::from_slice(&reply.body).ok());
    let location = reply.and_then(|reply| reply.header("location")).and_then(|it| url::Url::parse(it).ok());
    let code = location.and_then(|url| url.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| code.into_owned()));
    trace::exchange(&json!({"authorization": authorization, "code": code, "body": body}));
}

fn exchange_bytes(emulator: &Emulator, bytes: &[u8], ends: bool) -> Option<Reply> {
    let address = emulator.url().replace("http://", "");
    let mut stream = TcpStream::connect(address).expect("the emulator listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time limit");
    stream.write_all(bytes).ok()?;
    if ends {
        stream.shutdown(Shutdown::Write).ok()?;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let sent = String::from_utf8_lossy(&answer[..end]).into_owned();
    let head = sent.to_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Reply { status, head, sent, body: answer[end + 4..].to_vec() })
}

/// A request with its length.
pub(crate) fn try_ask(emulator: &Emulator, line: &str, headers: &str, body: &[u8]) -> Option<Reply> {
    let host = if headers.contains("host: ") { "" } else { "host: localhost\r\n" };
    let head = format!("{line} HTTP/1.1\r\n{host}connection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    raw(emulator, &[head.as_bytes(), body].concat())
}

pub(crate) fn ask(emulator: &Emulator, line: &str, headers: &str, body: &[u8]) -> Reply {
    try_ask(emulator, line, headers, body).expect("an answer")
}

pub(crate) fn get(emulator: &Emulator, path: &str) -> Reply {
    ask(emulator, &format!("GET {path}"), "", b"")
}

pub(crate) const JSON: &str = "content-type: application/json\r\n";

pub(crate) fn post_bytes(emulator: &Emulator, path: &str, body: &[u8]) -> Reply {
    ask(emulator, &format!("POST {path}"), JSON, body)
}

pub(crate) fn post(emulator: &Emulator, path: &str, body: &Value) -> Reply {
    post_bytes(emulator, path, body.to_string().as_bytes())
}

/// The status and the body of an HTTP V2 request with the default project's key.
pub(crate) fn send(emulator: &Emulator, events: &Value) -> (u16, Value) {
    let reply = post(emulator, "/2/httpapi", &json!({"api_key": DEMO_KEY, "events": events}));
    (reply.status, reply.json())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
