//! The way of events through a client: flushes and their reports, room in the queue, replies of every kind.

#![cfg(not(target_family = "wasm"))]

mod admission;
mod flush;
mod replies;
mod room;
mod server;

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use amplitude_sdk::{Client, Config, Event, Notice, ProjectKey};
use server::Server;

/// A client that sends each event as soon as it can, in requests of one after the other.
fn config(server: &Server) -> Config {
    Config::new(ProjectKey::new("demo0000000000000000000000000key").unwrap())
        .server_url(server.url.as_str())
        .no_gzip()
        .flush_interval(Duration::ZERO)
        .max_in_flight(1)
}

fn client(config: Config) -> Client {
    Client::new(config).unwrap()
}

/// An event of a device of its own.
fn event(n: u64) -> Event {
    event_of(&format!("device-{n}"), n)
}

fn event_of(device: &str, n: u64) -> Event {
    Event::builder("step").device_id(device).property("n", n).build().unwrap()
}

/// Polls once, with nobody to wake.
fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits on this thread.
fn wait<F: IntoFuture>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future.into_future())
}

/// Collects what a client reports to its owner.
fn notices(config: Config) -> (Config, std::sync::mpsc::Receiver<Notice>) {
    let (sender, notices) = std::sync::mpsc::channel();
    let config = config.on_notice(move |notice| {
        // A test that has ended does not read it.
        let _ = sender.send(notice.clone());
    });
    (config, notices)
}
