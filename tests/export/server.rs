//! A server that gives every connection one answer, byte by byte as the test says, and records what it was asked.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::json;

use crate::trace;

/// What follows the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum After {
    /// The connection ends.
    Close,
    /// The connection stays, and nothing comes.
    Silence,
    /// The body again and again.
    Repeat,
}

/// It ends with the process.
pub(crate) struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `head` is the status line and, after line breaks, headers.
    pub(crate) fn start(head: &str, body: &[u8], piece: usize, after: After) -> Self {
        let answer = Arc::new(([head, "\r\n\r\n"].concat().into_bytes(), body.to_vec()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                thread::spawn(move || serve(stream, &answer.0, &answer.1, piece, after, &seen));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, head: &[u8], body: &[u8], piece: usize, after: After, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request).ok()? == 0 {
            return None;
        }
    }
    let authorization = request.lines().filter_map(|line| line.split_once(": ")).find(|(name, _)| *name == "authorization");
    trace::exchange(&json!({"authorization": authorization.map(|(_, value)| value)}));
    seen.lock().unwrap().push(request);
    let mut stream = reader.into_inner();
    stream.set_nodelay(true).ok()?;
    stream.write_all(head).ok()?;
    loop {
        for piece in body.chunks(piece) {
            stream.write_all(piece).ok()?;
        }
        if after != After::Repeat {
            break;
        }
    }
    if after == After::Silence {
        // Until the client goes.
        let _ = stream.read(&mut [0]);
    }
    stream.shutdown(Shutdown::Both).ok()
}
