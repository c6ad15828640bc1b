//! A scripted ingestion server on loopback: records what it was sent, answers what the test says. Bodies are read by serde_json,
//! gzip by flate2, so that nothing here shares code with the client.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// What a test waits for at most; a passing test never comes near it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One answer of the script; when the script is empty, all is confirmed.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// 200 with Amplitude's body.
    Confirm,
    /// Status, content type, body.
    Say(u16, &'static str, String),
    /// Status and a header line, with an empty JSON body.
    Header(u16, &'static str),
    /// Reads the request, then closes the connection without an answer.
    HangUp,
    /// Reads the request and answers nothing until the server ends.
    Silence,
}

/// One recorded request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) raw_bytes: usize,
    pub(crate) text: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("the client sends JSON")
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        self.json()["events"].as_array().expect("a list of events").clone()
    }
}

#[derive(Default)]
struct State {
    script: VecDeque<Answer>,
    seen: Vec<Seen>,
    open: Vec<TcpStream>,
}

/// The server; it ends with the process.
#[derive(Clone)]
pub(crate) struct Stub {
    state: Arc<(Mutex<State>, Condvar)>,
    address: String,
}

impl Stub {
    pub(crate) fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let state = State { script: script.into_iter().collect(), ..State::default() };
        let stub = Self { state: Arc::new((Mutex::new(state), Condvar::new())), address };
        let server = stub.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        stub
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/2/httpapi", self.address)
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.0.lock().unwrap().seen.clone()
    }

    /// Waits until that many requests were read.
    pub(crate) fn wait_for_requests(&self, count: usize) -> Vec<Seen> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.0.lock().unwrap();
        while state.seen.len() < count {
            let left = deadline.checked_duration_since(Instant::now()).unwrap_or_else(|| {
                panic!("{} of {count} requests came in {PATIENCE:?}", state.seen.len());
            });
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
        state.seen.clone()
    }

    /// Lets requests that meet [`Answer::Silence`] end.
    pub(crate) fn hang_up_on_all(&self) {
        for stream in self.state.0.lock().unwrap().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut writer = stream;
        loop {
            let seen = read_request(&mut reader)?;
            let events = serde_json::from_str::<Value>(&seen.text)
                .ok()
                .and_then(|body| body["events"].as_array().map(Vec::len))
                .unwrap_or(0);
            let answer = {
                let mut state = self.state.0.lock().unwrap();
                state.seen.push(seen);
                self.state.1.notify_all();
                state.script.pop_front().unwrap_or(Answer::Confirm)
            };
            match answer {
                Answer::Confirm => {
                    let body = format!(
                        r#"{{"code":200,"events_ingested":{events},"payload_size_bytes":1,"server_upload_time":1396381378123}}"#
                    );
                    respond(&mut writer, 200, "content-type: application/json", &body)?;
                }
                Answer::Say(status, kind, body) => respond(&mut writer, status, &format!("content-type: {kind}"), &body)?,
                Answer::Header(status, header) => respond(&mut writer, status, header, "{}")?,
                Answer::HangUp => {
                    let _ = writer.shutdown(Shutdown::Both);
                    return None;
                }
                Answer::Silence => {
                    self.state.0.lock().unwrap().open.push(writer);
                    return None;
                }
            }
        }
    }
}

fn respond(writer: &mut TcpStream, status: u16, header: &str, body: &str) -> Option<()> {
    write!(writer, "HTTP/1.1 {status} X\r\n{header}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).ok()
}

fn read_request(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let find = |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
    let length = find("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let text = match find("content-encoding").as_deref() {
        Some("gzip") => {
            let mut text = String::new();
            flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut text).ok()?;
            text
        }
        _ => String::from_utf8(body).ok()?,
    };
    Some(Seen { line: line.trim_end().to_owned(), headers, raw_bytes: length, text })
}
