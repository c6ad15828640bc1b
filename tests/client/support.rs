//! A scripted server on loopback, with TLS or without: records what it was sent, answers what the test says. Bodies are read by serde_json,
//! gzip by flate2, so that nothing here shares code with the client.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::trace;

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
    Header(u16, String),
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

    /// For a test that looks for what was sent where it may not be.
    fn note(&self) {
        trace::exchange(&json!({"url": self.line, "authorization": self.header("authorization")}));
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
    refusals: Vec<String>,
}

/// The server; it ends with the process.
#[derive(Clone)]
pub(crate) struct Stub {
    state: Arc<(Mutex<State>, Condvar)>,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

impl Stub {
    pub(crate) fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        Self::launch(script, None)
    }

    pub(crate) fn start_tls(tls: Arc<ServerConfig>, script: impl IntoIterator<Item = Answer>) -> Self {
        Self::launch(script, Some(tls))
    }

    fn launch(script: impl IntoIterator<Item = Answer>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = State { script: script.into_iter().collect(), ..State::default() };
        let stub = Self { state: Arc::new((Mutex::new(state), Condvar::new())), address, tls };
        let server = stub.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        stub
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stands before all paths.
    pub(crate) fn base_url(&self) -> String {
        match &self.tls {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    /// Where HTTP V2 is.
    pub(crate) fn url(&self) -> String {
        self.base_url() + "/2/httpapi"
    }

    /// Why TLS connections were not made.
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.state.0.lock().unwrap().refusals.clone()
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.0.lock().unwrap().seen.clone()
    }

    /// Waits until that many requests were read.
    pub(crate) fn wait_for_requests(&self, count: usize) -> Vec<Seen> {
        self.wait(|state| state.seen.len() >= count).seen.clone()
    }

    /// Waits until that many TLS connections were not made.
    pub(crate) fn wait_for_refusals(&self, count: usize) {
        drop(self.wait(|state| state.refusals.len() >= count));
    }

    fn wait(&self, until: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.0.lock().unwrap();
        while !until(&state) {
            let left = deadline.checked_duration_since(Instant::now());
            let left = left.unwrap_or_else(|| panic!("after {PATIENCE:?} there are {} requests", state.seen.len()));
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
        state
    }

    /// Lets requests that meet [`Answer::Silence`] end.
    pub(crate) fn hang_up_on_all(&self) {
        for stream in self.state.0.lock().unwrap().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        // An answer is written in pieces; none waits for the receipt of the one before.
        stream.set_nodelay(true).ok()?;
        let socket = stream.try_clone().ok()?;
        let mut reader = BufReader::new(self.accept(stream)?);
        loop {
            let seen = read_request(&mut reader)?;
            seen.note();
            let writer = reader.get_mut();
            let events = serde_json::from_str::<Value>(&seen.text)
                .ok()
                .and_then(|body| body["events"].as_array().map(Vec::len))
                .unwrap_or(0);
            let answer = {
                let mut state = self.state.0.lock().unwrap();
                state.seen.push(seen);
                let answer = state.script.pop_front().unwrap_or(Answer::Confirm);
                if let Answer::Silence = answer {
                    // Together with the request, so that who sees it can hang up.
                    state.open.push(socket.try_clone().ok()?);
                }
                self.state.1.notify_all();
                answer
            };
            match answer {
                Answer::Confirm => {
                    let body = format!(
                        r#"{{"code":200,"events_ingested":{events},"payload_size_bytes":1,"server_upload_time":1396381378123}}"#
                    );
                    respond(writer, 200, "content-type: application/json", &body)?;
                }
                Answer::Say(status, kind, body) => respond(writer, status, &format!("content-type: {kind}"), &body)?,
                Answer::Header(status, header) => respond(writer, status, &header, "{}")?,
                Answer::HangUp => {
                    let _ = socket.shutdown(Shutdown::Both);
                    return None;
                }
                Answer::Silence => return None,
            }
        }
    }

    fn accept(&self, mut stream: TcpStream) -> Option<Box<dyn Connection>> {
        let Some(tls) = &self.tls else { return Some(Box::new(stream)) };
        let mut connection = ServerConnection::new(Arc::clone(tls)).ok()?;
        while connection.is_handshaking() {
            if let Err(error) = connection.complete_io(&mut stream) {
                self.state.0.lock().unwrap().refusals.push(error.to_string());
                self.state.1.notify_all();
                return None;
            }
        }
        Some(Box::new(StreamOwned::new(connection, stream)))
    }
}

fn respond(writer: &mut dyn Connection, status: u16, header: &str, body: &str) -> Option<()> {
    write!(writer, "HTTP/1.1 {status} X\r\n{header}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).ok()?;
    writer.flush().ok()
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
