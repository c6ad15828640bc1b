//! An ingestion server on loopback that gives each request to the test, which answers it when and as it wants.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use serde_json::Value;

/// What a test waits for at most; a passing test never comes near it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The server; it ends with the process.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Receiver<Request>,
}

/// A request that waits for its answer; dropped, its connection is closed without one.
pub(crate) struct Request {
    pub(crate) body: String,
    answer: Sender<String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/2/httpapi", listener.local_addr().expect("bound"));
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || serve(stream, &sender));
            }
        });
        Self { url, requests }
    }

    /// The next request that comes.
    pub(crate) fn next(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).expect("a request comes")
    }

    /// Whether no request comes for so long.
    pub(crate) fn is_silent(&self, time: Duration) -> bool {
        self.requests.recv_timeout(time).is_err()
    }

    /// Confirms all that comes until the test ends.
    pub(crate) fn confirm_all(self) {
        thread::spawn(move || self.requests.into_iter().for_each(Request::confirm));
    }
}

impl Request {
    pub(crate) fn events(&self) -> Vec<Value> {
        let body: Value = serde_json::from_str(&self.body).expect("the client sends JSON");
        body["events"].as_array().expect("a list of events").clone()
    }

    /// What the events have as property `n`.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.events().iter().map(|event| event["event_properties"]["n"].as_u64().expect("a number")).collect()
    }

    pub(crate) fn confirm(self) {
        let events = self.events().len();
        self.say(200, &format!(r#"{{"code":200,"events_ingested":{events},"server_upload_time":1}}"#));
    }

    pub(crate) fn say(self, status: u16, body: &str) {
        self.say_with(status, "content-type: application/json", body);
    }

    pub(crate) fn say_with(self, status: u16, header: &str, body: &str) {
        // A client that has gone does not read it.
        let _ = self.answer.send(format!("HTTP/1.1 {status} X\r\n{header}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    }
}

fn serve(stream: TcpStream, requests: &Sender<Request>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if length == 0 || reader.read_exact(&mut body).is_err() {
            return None;
        }
        let (answer, answered) = channel();
        requests.send(Request { body: String::from_utf8(body).ok()?, answer }).ok()?;
        writer.write_all(answered.recv().ok()?.as_bytes()).ok()?;
    }
}
