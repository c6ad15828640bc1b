//! Servers that are not there, do not answer, or break off.

use std::{
    env, io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use amplitude_sdk::{Client, ErrorKind, Notice, Outcome};

use super::{
    Answer, HOUR, Stub,
    authority::{Authority, Identity},
    config, event, event_of, heard, n_of,
    support::PATIENCE,
    wait,
};

/// A port that refuses connections until something listens there.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// From now on a port leads to a server.
fn forward(port: SocketAddr, server: SocketAddr) {
    let listener = TcpListener::bind(port).unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(server).unwrap();
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server.try_clone().unwrap(), client.try_clone().unwrap()),
            ] {
                thread::spawn(move || {
                    // Either side may end it.
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
}

/// T3: in Node a refused connection drops the events after one attempt, 56 ms later; Go gives up at any network error that is no timeout.
#[test]
fn t3_a_refused_connection_loses_nothing() {
    let (stub, port) = (Stub::start([]), closed_port());
    let (client, hear) = heard(config(&stub).server_url(format!("http://{port}/2/httpapi")));
    (0..20).for_each(|n| client.track(event(n)).unwrap());
    let notice = hear.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(&notice, Notice::DeliveryPaused { reason } if reason.contains("cannot be reached")), "{notice:?}");
    // Some further attempts.
    assert_eq!(client.flush_blocking(Duration::from_millis(1500)).pending, 20);
    forward(port, stub.address());
    client.flush_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, 20);
}

/// posthog-rs: nothing of what waits outlives the process.
#[cfg(feature = "disk")]
#[test]
fn posthog_what_is_on_disk_is_sent_by_the_next_client() {
    let (stub, port, dir) = (Stub::start([]), closed_port(), tempfile::tempdir().unwrap());
    let url = format!("http://{port}/2/httpapi");
    let client = || Client::new(config(&stub).server_url(&url).disk(amplitude_sdk::DiskOptions::new(dir.path()))).unwrap();
    let first = client();
    (0..20).for_each(|n| first.track(event(n)).unwrap());
    let report = first.shutdown_blocking(Duration::from_millis(200));
    assert_eq!((report.delivered, report.dropped, report.unknown), (0, 0, 0));
    drop(first);
    forward(port, stub.address());
    assert_eq!(client().flush_blocking(PATIENCE).delivered, 20);
}

/// P2, and T3 again: a connection that is closed before its answer costs the batch, without a callback.
#[test]
fn p2_a_broken_connection_loses_nothing_and_repeats_under_the_same_insert_id() {
    let stub = Stub::start([Answer::HangUp, Answer::HangUp, Answer::HangUp]);
    let client = Client::new(config(&stub)).unwrap();
    let receipt = client.track_with_receipt(event(1)).unwrap();
    assert_eq!(wait(receipt.settled()), Outcome::Delivered);
    let ids: Vec<_> = stub.seen().iter().map(|request| request.events()[0]["insert_id"].clone()).collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.iter().all(|id| *id == ids[0]));
}

/// Go, as T3: what is no timeout, a handshake that fails for one, drops the batch.
#[test]
fn go_a_handshake_that_fails_loses_nothing() {
    let stub = Stub::start_tls(Authority::new().server(Identity::default()), []);
    let trusts_another = config(&stub).add_root_certificate(Authority::new().pem);
    let client = Client::new(trusts_another).unwrap();
    client.track(event(1)).unwrap();
    stub.wait_for_refusals(3);
    let counts = client.counts();
    assert_eq!((counts.pending, counts.dropped, stub.seen().len()), (1, 0, 0));
}

/// T9: an answer that never comes is waited for as long as the page lives, and the queue grows meanwhile; in Node it took 118 MB.
#[test]
fn t9_a_server_that_falls_silent_stops_nothing_for_long_and_fills_no_memory() {
    let stub = Stub::start([Answer::Silence]);
    let limited = config(&stub).request_timeout(Duration::from_secs(1)).queue_bytes(2000).max_in_flight(1);
    let client = Client::new(limited).unwrap();
    client.track(event(0)).unwrap();
    stub.wait_for_requests(1);
    let mut accepted = 1;
    let full = loop {
        match client.track(event(accepted)) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
        assert!(client.counts().pending_bytes <= 2000);
    };
    assert_eq!((full.kind(), full.into_event()), (ErrorKind::Full, Some(event(accepted))));
    client.flush_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, accepted as u64);
}

/// P7: batches are under way on 16 threads at once, so that an identify may arrive after the event that it was to precede.
#[test]
fn p7_a_devices_events_arrive_in_their_order_whatever_fails_on_the_way() {
    // Answers by a fixed pattern that has no period of the devices' number.
    let script: Vec<_> = (0..40)
        .map(|index| match index * 7 % 5 {
            0 => Answer::Header(503, "retry-after: 0".to_owned()),
            1 if index % 4 == 1 => Answer::HangUp,
            _ => Answer::Confirm,
        })
        .collect();
    let stub = Stub::start(script.clone());
    let client = Client::new(config(&stub).max_in_flight(8).batch_events(4).flush_at(1)).unwrap();
    for n in 0..100 {
        client.track(event_of(&format!("device-{}", n % 5), n)).unwrap();
    }
    assert_eq!(client.flush_blocking(4 * PATIENCE).pending, 0);
    let mut taken: [Vec<u64>; 5] = Default::default();
    let confirmed = |index: &usize| script.get(*index).is_none_or(|answer| matches!(answer, Answer::Confirm));
    for request in stub.seen().iter().enumerate().filter(|(index, _)| confirmed(index)).map(|(_, request)| request) {
        request.events().iter().map(n_of).for_each(|n| taken[n as usize % 5].push(n));
    }
    for (device, taken) in taken.into_iter().enumerate() {
        let tracked: Vec<_> = (0..100).filter(|n| *n as usize % 5 == device).collect();
        assert_eq!(taken, tracked);
    }
}

const URL_OF_CHILD: &str = "AMPLITUDE_SDK_TEST_URL_OF_CHILD";

/// P8, its second half: a thread that is not a daemon holds up the end of its process.
#[test]
fn p8_a_process_ends_though_its_server_hangs() {
    let stub = Stub::start([Answer::Silence]);
    let start = Instant::now();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "network::p8_the_process_that_ends"])
        .env(URL_OF_CHILD, stub.url())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    stub.wait_for_requests(1);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the process does not end");
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success());
}

/// Not a test of its own: the process of the one above.
#[test]
fn p8_the_process_that_ends() {
    let Ok(url) = env::var(URL_OF_CHILD) else { return };
    let client = Client::new(config(&Stub::start([])).server_url(url).request_timeout(HOUR)).unwrap();
    client.track(event(1)).unwrap();
    // Its request is under way when the last handle goes and the process ends.
    assert_eq!(client.flush_blocking(Duration::from_millis(500)).pending, 1);
}
