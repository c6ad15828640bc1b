//! `Client` and `server::Client` end to end, against scripted servers on loopback.

#![cfg(not(target_family = "wasm"))]

mod answers;
mod authority;
#[cfg(feature = "oauth")]
mod bearer;
#[cfg(feature = "oauth")]
mod capabilities;
mod configuration;
mod credentials;
#[cfg(feature = "emulator")]
mod emulated;
#[cfg(unix)]
mod environment;
mod ingest;
mod logs;
#[path = "../trace/outcome.rs"]
mod outcome;
mod plugins;
mod proxy;
mod queue;
mod regions;
mod rotation;
mod runtimes;
mod support;
mod tls;
#[path = "../trace/mod.rs"]
mod trace;
mod usage;
mod whole;

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake},
    thread,
    time::Duration,
};

use amplitude_sdk::{
    Config, Event, ProjectKey,
    server::{self, Options, ProjectPair, SecretKey},
};
use support::Stub;

const KEY: &str = "demo0000000000000000000000000key";
const SECRET: &str = "fake0000000000000000000000000key";

fn config(stub: &Stub) -> Config {
    trace::start();
    Config::new(ProjectKey::new(KEY).unwrap()).server_url(stub.url()).flush_interval(Duration::from_millis(5))
}

fn pair(secret: &str) -> ProjectPair {
    ProjectPair::new(ProjectKey::new(KEY).unwrap(), SecretKey::new(secret).unwrap())
}

fn server_client(options: Options) -> server::Client<ProjectPair> {
    trace::start();
    let client = server::Client::with_options(pair(SECRET), options).unwrap();
    if trace::is_on() {
        println!("shown: {client:?} {client:#?}");
    }
    client
}

fn event(user: &str) -> Event {
    Event::builder("Product Purchased").user_id(user).property("price", 29.99).build().unwrap()
}

/// The smallest executor, to show that no other is needed. What comes out is printed where all that is printed is looked through.
fn block_on<F: Future<Output: fmt::Debug>>(future: F) -> F::Output {
    trace::start();
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            if trace::is_on() {
                println!("shown: {value:?}");
            }
            return value;
        }
        thread::park();
    }
}
