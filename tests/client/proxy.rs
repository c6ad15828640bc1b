//! `HTTPS_PROXY` is honoured and `NO_PROXY` too. Each case runs in a child process, because the environment belongs to the whole process.

use std::{
    env,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::support::{PATIENCE, Stub};
use amplitude_sdk::{Client, Config, Event, ProjectKey};

/// What the child does: tracks one event to the URL that it is given. In the parent's run it has nothing to do.
#[test]
fn child() {
    let Ok(url) = env::var("PROXY_TEST_URL") else { return };
    let key = ProjectKey::new("demo0000000000000000000000000key").unwrap();
    let client = Client::new(Config::new(key).server_url(url)).unwrap();
    client.track(Event::builder("through a proxy").user_id("user123").build().unwrap()).unwrap();
    let report = client.shutdown_blocking(Duration::from_secs(2));
    println!("delivered={}", report.delivered);
}

fn run_child(url: &str, proxy: &str, no_proxy: &str) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "proxy::child", "--nocapture"])
        .env("PROXY_TEST_URL", url)
        .env("HTTPS_PROXY", proxy)
        .env("HTTP_PROXY", proxy)
        .env("NO_PROXY", no_proxy)
        .env_remove("https_proxy")
        .env_remove("http_proxy")
        .env_remove("no_proxy")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// A proxy that takes the first line of its first connection and hangs up.
fn proxy() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            if BufReader::new(stream).read_line(&mut line).is_ok() && sender.send(line).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

#[test]
fn https_goes_through_the_proxy_by_connect() {
    let (address, lines) = proxy();
    let output = run_child("https://api.example.test/2/httpapi", &address, "");
    assert!(output.contains("delivered=0"), "{output}");
    assert_eq!(lines.recv_timeout(PATIENCE).unwrap().trim_end(), "CONNECT api.example.test:443 HTTP/1.1");
}

#[test]
fn no_proxy_is_an_exception() {
    let (address, lines) = proxy();
    let stub = Stub::start([]);
    let output = run_child(&stub.url(), &address, "127.0.0.1");
    assert!(output.contains("delivered=1"), "{output}");
    assert!(lines.try_recv().is_err(), "the proxy was asked");
    assert_eq!(stub.seen().len(), 1);
}
