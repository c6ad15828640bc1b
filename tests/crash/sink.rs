//! The server of the crash tests, on loopback: takes all events and confirms them, or keeps requests waiting until their sender is dead.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

use serde_json::Value;

use crate::{PATIENCE, ledger::Ledger};

/// The server; it ends with the process.
pub(crate) struct Sink {
    state: Arc<Shared>,
    address: SocketAddr,
}

#[derive(Default)]
struct Shared(Mutex<State>, Condvar);

#[derive(Default)]
struct State {
    ledger: Ledger,
    /// Requests get no answer.
    holds: bool,
    held: usize,
    /// The peers of all connections that are being served.
    peers: Vec<SocketAddr>,
    last_accepted: Option<SocketAddr>,
}

impl Sink {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Shared::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            loop {
                let (stream, peer) = listener.accept().unwrap();
                shared.change(|state| {
                    state.peers.push(peer);
                    state.last_accepted = Some(peer);
                });
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    // A connection ends with its child, at whatever point.
                    let _ = shared.serve(&stream);
                    shared.change(|state| state.peers.retain(|other| *other != peer));
                });
            }
        });
        Self { state, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/2/httpapi", self.address)
    }

    /// From now on requests get no answer; returns when there is one of them.
    pub(crate) fn hold(&self) {
        self.state.change(|state| state.holds = true);
        drop(self.state.wait("a request", |state| state.held > 0));
    }

    /// Closes the books of a child that is dead: reads what it has sent to the end, and serves the next.
    pub(crate) fn end_of_child(&self) {
        self.state.change(|state| state.holds = false);
        // Connections are accepted in their order, so that all of the child's were once this one is.
        let marker = TcpStream::connect(self.address).unwrap();
        let own = marker.local_addr().unwrap();
        drop(self.state.wait("the marker", |state| state.last_accepted == Some(own)));
        drop(marker);
        let mut state = self.state.wait("the end of the child's connections", |state| state.peers.is_empty());
        state.held = 0;
        state.ledger.end_of_child();
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.state.0.lock().unwrap().ledger.clone()
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
        self.1.notify_all();
    }

    fn wait(&self, what: &str, until: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.0.lock().unwrap();
        let (state, timeout) = self.1.wait_timeout_while(state, PATIENCE, |state| !until(state)).unwrap();
        assert!(!timeout.timed_out(), "waited {PATIENCE:?} for {what}");
        state
    }

    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(ids) = read_request(&mut reader)? {
            let mut state = self.0.lock().unwrap();
            let request = state.ledger.read(&ids);
            if state.holds {
                state.ledger.was_in_flight(request);
                state.held += 1;
                self.1.notify_all();
                drop(state);
                drop(self.wait("the end of the child", |state| !state.holds));
                return Ok(());
            }
            drop(state);
            let body = format!(r#"{{"code":200,"events_ingested":{},"server_upload_time":1396381378123}}"#, ids.len());
            write!(&mut &*stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
        }
        Ok(())
    }
}

/// The insert ids of a request; `None` where the connection ended before the request did.
fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Vec<String>>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().expect("a number")
            }
            _ if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).expect("the client sends JSON");
    let events = body["events"].as_array().expect("a list of events");
    Ok(Some(events.iter().map(|event| event["insert_id"].as_str().expect("every event has one").to_owned()).collect()))
}
