//! Dead letters as an application meets them: an event that Amplitude refuses is listed with the reason, mended, and sent again.

#![cfg(all(not(target_family = "wasm"), feature = "disk"))]

#[path = "pipeline/server.rs"]
#[expect(dead_code, reason = "other tests ask more of it")]
mod server;

use std::{path::Path, time::Duration};

use amplitude_sdk::{Client, Config, DeadLetter, DiskOptions, Event, Outcome, ProjectKey, RejectReason, Rejection};

use server::{PATIENCE, Server};

fn config(server: &Server) -> Config {
    Config::new(ProjectKey::new("demo0000000000000000000000000key").unwrap())
        .server_url(&server.url)
        .flush_interval(Duration::from_millis(1))
        .no_gzip()
}

fn on_disk(server: &Server, dir: &Path) -> Config {
    config(server).disk(DiskOptions::new(dir))
}

fn event(n: u32) -> Event {
    Event::builder("counted").device_id("device-1").insert_id(&format!("insert-{n}")).time_ms(5).property("n", n).build().unwrap()
}

/// Tracks an event that the server refuses for its time.
fn refused(client: &Client, server: &Server, n: u32) {
    let rejected = client.counts().rejected;
    client.track(event(n)).unwrap();
    let request = server.next();
    assert_eq!(request.numbers(), [u64::from(n)]);
    request.say(400, r#"{"code":400,"events_with_invalid_fields":{"time":[0]}}"#);
    assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
    assert_eq!(client.counts().rejected, rejected + 1);
}

fn mended(letter: &DeadLetter) -> Event {
    let mut event = letter.event().unwrap();
    assert!(event.remove_field("time"));
    event
}

/// Sends a letter again; the server takes it.
fn replay(client: &Client, server: &Server, letter: &DeadLetter) {
    client.replay(letter, mended(letter)).unwrap();
    let request = server.next();
    let sent = &request.events()[0];
    assert_eq!(sent["insert_id"], letter.insert_id());
    assert_ne!(sent["time"], 5);
    request.confirm();
    assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
}

fn list_mend_and_replay(config: Config, server: &Server) -> Client {
    let client = Client::new(config).unwrap();
    assert_eq!(client.dead_letters().unwrap(), []);
    (1..=3).for_each(|n| refused(&client, server, n));
    let letters = client.dead_letters().unwrap();
    let ids: Vec<_> = letters.iter().map(DeadLetter::insert_id).collect();
    assert_eq!(ids, ["insert-1", "insert-2", "insert-3"]);
    assert_eq!(*letters[0].outcome(), Outcome::Rejected(Rejection::InvalidField("time".to_owned())));
    assert!(letters[0].event().unwrap().to_json().contains(r#""time":5"#));
    assert_eq!(DeadLetter::from_json(&letters[0].to_json()).unwrap(), letters[0]);

    replay(&client, server, &letters[1]);
    client.discard(&letters[2]).unwrap();
    assert_eq!(client.dead_letters().unwrap(), letters[..1]);
    let counts = client.counts();
    assert_eq!((counts.rejected_for(RejectReason::InvalidField), counts.delivered), (3, 1));
    client
}

#[test]
fn in_memory_they_last_as_long_as_the_client() {
    let server = Server::start();
    let client = list_mend_and_replay(config(&server), &server);
    assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
    assert_eq!(client.dead_letters().unwrap().len(), 1);
}

#[test]
fn on_the_disk_they_outlive_it_and_are_for_all_who_share_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let client = list_mend_and_replay(on_disk(&server, dir.path()), &server);
    let other = Client::new(on_disk(&server, dir.path())).unwrap();
    let letters = other.dead_letters().unwrap();
    assert_eq!(letters, client.dead_letters().unwrap());
    drop((client, other));
    let client = Client::new(on_disk(&server, dir.path())).unwrap();
    assert_eq!(client.dead_letters().unwrap(), letters);
    replay(&client, &server, &letters[0]);
    assert_eq!(client.dead_letters().unwrap(), []);
    client.shutdown_blocking(PATIENCE);
}

#[test]
fn an_event_whose_second_try_is_refused_too_is_a_letter_again() {
    let server = Server::start();
    let client = Client::new(config(&server)).unwrap();
    refused(&client, &server, 1);
    let [letter] = &client.dead_letters().unwrap()[..] else { panic!("one letter") };
    client.replay(letter, letter.event().unwrap()).unwrap();
    server.next().say(400, r#"{"code":400,"silenced_events":[0]}"#);
    assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
    let letters = client.dead_letters().unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(*letters[0].outcome(), Outcome::Rejected(Rejection::Silenced));
}

#[test]
fn a_letter_that_cannot_be_tracked_stays() {
    let server = Server::start();
    let client = Client::new(config(&server)).unwrap();
    refused(&client, &server, 1);
    client.shutdown_blocking(PATIENCE);
    let [letter] = &client.dead_letters().unwrap()[..] else { panic!("one letter") };
    let error = client.replay(letter, letter.event().unwrap()).unwrap_err();
    assert!(error.into_event().is_some());
    assert_eq!(client.dead_letters().unwrap().len(), 1);
    client.discard(letter).unwrap();
    assert_eq!(client.dead_letters().unwrap(), []);
}
