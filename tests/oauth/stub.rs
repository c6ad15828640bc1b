//! A server on loopback that answers as a test says, over TLS: for what no real authorization server does.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use amplitude_sdk::server::oauth::{AuthorizationServer, OAuthOptions};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::{
    authority::{Authority, Identity},
    trace,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Seen {
    /// The values of a form's field, each.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let pairs = url::form_urlencoded::parse(self.body.as_bytes());
        pairs.filter(|(known, _)| known == name).map(|(_, value)| value.into_owned()).collect()
    }

    /// What passed, with the reply's body where that is JSON.
    fn with(&self, reply: &Reply) -> Value {
        let form = url::form_urlencoded::parse(self.body.as_bytes()).into_owned();
        let header = |name: &str| self.headers.get(name);
        json!({
            "url": self.path,
            "agent": header("user-agent"),
            "authorization": header("authorization"),
            "request": form.map(|(name, value)| json!({ name: value })).collect::<Vec<_>>(),
            "json": serde_json::from_str::<Value>(&self.body).ok(),
            "answer": serde_json::from_str::<Value>(&reply.body).ok(),
        })
    }

    /// The value of a form's field that is there once.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} is there {} times", values.len());
        values.into_iter().next()
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    hangs_up: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into(), hangs_up: false }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Closes the connection in place of an answer.
    pub(crate) fn hang_up() -> Self {
        Self { hangs_up: true, ..Self::new(500, "", "") }
    }
}

/// It ends with the process.
#[derive(Clone)]
pub(crate) struct Stub {
    origin: String,
    pem: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    /// `answer` gets the request and the stub's own origin.
    pub(crate) fn start(answer: impl Fn(&Seen, &str) -> Reply + Send + Sync + 'static) -> Self {
        let authority = Authority::new();
        Self::start_as(&authority, Identity::default(), answer)
    }

    pub(crate) fn start_as(
        authority: &Authority,
        identity: Identity<'_>,
        answer: impl Fn(&Seen, &str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        trace::start();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let origin = format!("https://localhost:{}", listener.local_addr().expect("bound").port());
        let stub = Self { origin, pem: authority.pem.clone(), seen: Arc::default() };
        let (tls, answer, server) = (authority.server(identity), Arc::new(answer), stub.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, answer, server) = (Arc::clone(&tls), Arc::clone(&answer), server.clone());
                thread::spawn(move || server.serve(stream, tls, &*answer));
            }
        });
        stub
    }

    pub(crate) fn url(&self, path: &str) -> String {
        [&self.origin, path].concat()
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Those of one path.
    pub(crate) fn seen_at(&self, path: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.path == path).collect()
    }

    /// Options that trust it.
    pub(crate) fn options(&self) -> OAuthOptions {
        OAuthOptions::new().add_root_certificate(self.pem.as_str())
    }

    /// All that a server may have, here.
    pub(crate) fn server(&self) -> AuthorizationServer {
        AuthorizationServer::custom(self.url(""))
            .authorization_endpoint(self.url("/authorize"))
            .token_endpoint(self.url("/token"))
            .registration_endpoint(self.url("/register"))
            .revocation_endpoint(self.url("/revoke"))
            .introspection_endpoint(self.url("/introspect"))
            .build()
            .unwrap()
    }

    fn serve(&self, mut stream: TcpStream, tls: Arc<ServerConfig>, answer: &dyn Fn(&Seen, &str) -> Reply) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut connection = ServerConnection::new(tls).ok()?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).ok()?;
        }
        let mut reader = BufReader::new(StreamOwned::new(connection, stream));
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let (method, path) = line.trim_end().strip_suffix(" HTTP/1.1")?.split_once(' ')?;
        let mut headers = HashMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (method, path, body) = (method.to_owned(), path.to_owned(), String::from_utf8(body).ok()?);
        let seen = Seen { at: Instant::now(), method, path, headers, body };
        self.seen.lock().unwrap().push(seen.clone());
        let reply = answer(&seen, &self.origin);
        trace::exchange(&seen.with(&reply));
        if reply.hangs_up {
            return None;
        }
        let writer = reader.get_mut();
        write!(writer, "HTTP/1.1 {} X\r\nconnection: close\r\ncontent-length: {}\r\n", reply.status, reply.body.len()).ok()?;
        for (name, value) in &reply.headers {
            write!(writer, "{name}: {value}\r\n").ok()?;
        }
        // An answer that is too long is not read to its end.
        let _ = write!(writer, "\r\n{}", reply.body);
        writer.conn.send_close_notify();
        let _ = writer.flush();
        Some(())
    }
}

/// A token endpoint's plain answer.
pub(crate) fn token() -> Value {
    json!({"access_token": "access-1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "refresh-1"})
}
