//! What other SDKs lose, repeat or hold up, one test a row, named after what this library does instead.
//!
//! T: Amplitude's TypeScript SDKs for browsers and Node. P: its Python SDK. The others by their names. The comment of a test tells the row.
//!
//! Not here:
//! - T1, T20, P9, and the loops of Go and Swift: they take hours, so their clock is virtual (`src/pipeline/tests/peers.rs`).
//! - T12 and T13 (tabs), T14 and T15 (`localStorage`), T18 (`sendBeacon`): a native process has none of them. What they come to in
//!   memory, a queue without a bound, is P10.
//! - P8, its first half: a child made by `fork` without `exec` (`tests/fork.rs`).

#![cfg(not(target_family = "wasm"))]

mod answers;
#[path = "../client/authority.rs"]
mod authority;
mod calls;
mod events;
mod network;
mod others;
#[path = "../client/support.rs"]
#[expect(dead_code, reason = "the client's own tests use the rest")]
mod support;

/// Where what passed is searched for secrets; there are none here.
mod trace {
    pub(crate) fn exchange(_: &serde_json::Value) {}
}

use std::{
    future::IntoFuture,
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use amplitude_sdk::{Client, Config, Event, Notice, ProjectKey};
use serde_json::Value;
use support::{Answer, Seen, Stub};

const PAGE: &str = "<html><body>Please log in</body></html>";
/// Longer than any test.
const HOUR: Duration = Duration::from_secs(3600);

fn config(stub: &Stub) -> Config {
    let key = ProjectKey::new("demo0000000000000000000000000key").unwrap();
    Config::new(key).server_url(stub.url()).flush_interval(Duration::from_millis(5))
}

/// A client that sends nothing before it is flushed or has so many events.
fn patient(stub: &Stub, flush_at: usize) -> Client {
    Client::new(config(stub).flush_interval(HOUR).flush_at(flush_at)).unwrap()
}

/// A client, and what it tells its owner.
fn heard(config: Config) -> (Client, Receiver<Notice>) {
    let (tell, hear) = channel();
    // A test that has ended does not listen.
    let client = Client::new(config.on_notice(move |notice| drop(tell.send(notice.clone())))).unwrap();
    (client, hear)
}

/// An event that only its number tells from others, of a device of its own.
fn event(n: usize) -> Event {
    event_of(&format!("device-{n}"), n)
}

fn event_of(device: &str, n: usize) -> Event {
    Event::builder("step").device_id(device).property("n", n as u64).build().unwrap()
}

fn n_of(event: &Value) -> u64 {
    event["event_properties"]["n"].as_u64().expect("a number")
}

/// The numbers of a request's events.
fn numbers(request: &Seen) -> Vec<u64> {
    request.events().iter().map(n_of).collect()
}

fn json(status: u16, body: &str) -> Answer {
    Answer::Say(status, "application/json", body.to_owned())
}

fn page(status: u16) -> Answer {
    Answer::Say(status, "text/html", PAGE.to_owned())
}

/// Waits on this thread.
fn wait<F: IntoFuture>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future.into_future())
}
