//! A client in a forked process: a clear error, and the parent's events are the parent's alone. A file of its own, because of the one call that
//! is not safe.

#![cfg(unix)]
#![expect(unsafe_code, reason = "fork: the child only tracks, writes a line and exits")]

#[path = "pipeline/server.rs"]
#[expect(dead_code, reason = "other tests ask more of it")]
mod server;

use std::{env, process::Command, time::Duration};

use amplitude_sdk::{Client, Config, Event, ProjectKey};
use nix::{
    sys::wait::{WaitStatus, waitpid},
    unistd::{ForkResult, fork},
};

use server::Server;

const KEY: &str = "demo0000000000000000000000000key";

fn client(url: &str) -> Client {
    let config = Config::new(ProjectKey::new(KEY).unwrap()).server_url(url).no_gzip().flush_interval(Duration::from_millis(1));
    Client::new(config).unwrap()
}

fn event(number: u32) -> Event {
    Event::builder("counted").device_id("device-1").property("n", number).build().unwrap()
}

/// Runs in a child process; answers whether it ended with true.
fn in_fork(run: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child touches no lock that another thread of the parent may hold but the allocator's, which the system sees to, and exits.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => std::process::exit(i32::from(!run())),
        ForkResult::Parent { child } => waitpid(child, None).unwrap() == WaitStatus::Exited(child, 0),
    }
}

/// Not a test of its own: the process of the next one, which has few threads.
#[test]
fn child() {
    let Ok(url) = env::var("FORK_TEST_URL") else { return };
    let used = client(&url);
    let fresh = client(&url);
    used.track(event(1)).unwrap();
    assert!(in_fork(|| {
        let error = used.track(event(2)).unwrap_err();
        let nothing = used.flush_blocking(Duration::from_secs(10)) == amplitude_sdk::Report::default();
        let nothing = nothing && used.counts() == amplitude_sdk::Counts::default() && used.pending_json() == "[]";
        nothing && error.to_string().contains("was forked") && error.into_event().is_some()
    }));
    // One that was not used before is the child's own.
    assert!(in_fork(|| {
        fresh.track(event(3)).unwrap();
        fresh.shutdown_blocking(Duration::from_secs(10));
        fresh.counts().delivered == 1
    }));
    assert_eq!(used.shutdown_blocking(Duration::from_secs(10)).pending, 0);
    println!("all went well");
}

#[test]
fn a_forked_process_is_told_to_make_its_own_client() {
    let server = Server::start();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env("FORK_TEST_URL", &server.url)
        .spawn()
        .unwrap();
    let mut numbers = Vec::new();
    while numbers.len() < 2 {
        let request = server.next();
        numbers.extend(request.numbers());
        request.confirm();
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 3]);
    assert!(output.wait_with_output().unwrap().status.success());
    assert!(server.is_silent(Duration::from_millis(10)));
}
