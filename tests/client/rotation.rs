//! Secrets that change while a client uses them.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use amplitude_sdk::{
    Error, ErrorKind, ProjectKey,
    server::{
        AuthEvent, Client, ExportRange, FileSecret, Fingerprint, IngestOptions, ManagementKey, Options, ProjectPair, SecretChain,
        SecretFn, SecretText,
    },
};

use crate::{
    KEY, block_on, event,
    support::{Answer, Stub},
};

const OLD: &str = "fake-old-secret";
const NEW: &str = "fake-new-secret";

type Told = Arc<Mutex<Vec<String>>>;

/// The events by their names, as they come.
fn listening(stub: &Stub) -> (Options, Told) {
    let told = Told::default();
    let heard = Arc::clone(&told);
    let options = Options::new().base_url(stub.base_url()).observer(move |event: &AuthEvent<'_>| {
        assert!(!format!("{event:?}").contains("fake-"), "{event:?}");
        heard.lock().unwrap().push(event.name().to_owned());
    });
    (options, told)
}

fn refusal() -> Answer {
    Answer::Say(401, "text/plain", "Invalid Api-Key".to_owned())
}

fn nothing() -> Answer {
    Answer::Say(404, "text/plain", "Raw data files were not found.".to_owned())
}

/// A management key, because its secret stands in the header as it is.
fn verify(client: &Client<ManagementKey>) -> Result<(), Error> {
    block_on(client.verify())
}

fn secrets(stub: &Stub) -> Vec<String> {
    let secret = |header: &str| header.strip_prefix("Bearer ").unwrap().to_owned();
    stub.seen().iter().map(|request| secret(request.header("authorization").unwrap())).collect()
}

#[test]
fn t_r10_a_refused_secret_is_read_anew_and_the_request_repeated_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, format!("{OLD}\n")).unwrap();
    let ok = || Answer::Say(200, "application/json", "{}".to_owned());
    let stub = Stub::start([ok(), refusal(), ok(), ok()]);
    let (options, told) = listening(&stub);
    let client = Client::with_options(ManagementKey::from_source(FileSecret::new(&path)), options).unwrap();
    verify(&client).unwrap();
    fs::write(&path, format!("{NEW}\n")).unwrap();
    // The file was read a moment ago, so that the refusal is what makes it read again.
    verify(&client).unwrap();
    verify(&client).unwrap();
    assert_eq!(secrets(&stub), [OLD, OLD, NEW, NEW]);
    assert_eq!(*told.lock().unwrap(), ["credential_refused", "secret_reloaded"]);
}

#[test]
fn a_secret_that_did_not_change_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, OLD).unwrap();
    let stub = Stub::start([refusal()]);
    let (options, told) = listening(&stub);
    let client = Client::with_options(ManagementKey::from_source(FileSecret::new(&path)), options).unwrap();
    let error = verify(&client).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, Some(401)));
    assert_eq!(secrets(&stub), [OLD]);
    assert_eq!(*told.lock().unwrap(), ["credential_refused"]);
}

#[test]
fn two_refused_secrets_end_the_call() {
    let given = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&given);
    // A new one each time, as if it were rotated all the while.
    let source = SecretFn::new("a test", move || {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        async move { Ok(format!("fake-secret-{number}")) }
    });
    let stub = Stub::start(vec![refusal(); 10]);
    let (options, told) = listening(&stub);
    let client = Client::with_options(ManagementKey::from_source(source), options).unwrap();
    assert_eq!(verify(&client).unwrap_err().kind(), ErrorKind::Unauthorized);
    assert_eq!(secrets(&stub), ["fake-secret-0", "fake-secret-1"]);
    assert_eq!(given.load(Ordering::Relaxed), 2);
    assert_eq!(*told.lock().unwrap(), ["credential_refused", "secret_reloaded", "credential_refused"]);
}

#[test]
fn the_secret_before_serves_until_the_new_one_is_active() {
    let current = Arc::new(Mutex::new(OLD));
    let shared = Arc::clone(&current);
    let source = Arc::new(SecretFn::new("a test", move || {
        let secret = shared.lock().unwrap().to_string();
        async move { Ok(secret) }
    }));
    let ok = || Answer::Say(200, "application/json", "{}".to_owned());
    let stub = Stub::start([ok(), refusal(), ok(), ok(), refusal(), ok(), ok()]);
    let (options, told) = listening(&stub);
    let client = Client::with_options(ManagementKey::from_source(Arc::clone(&source)), options).unwrap();
    verify(&client).unwrap();
    *current.lock().unwrap() = NEW;
    source.refresh();
    // The new one is refused, and the one before taken.
    verify(&client).unwrap();
    // For a while the one before goes first.
    verify(&client).unwrap();
    // Until it is refused: by now the new one is active, and goes first from then on.
    verify(&client).unwrap();
    verify(&client).unwrap();
    assert_eq!(secrets(&stub), [OLD, NEW, OLD, OLD, OLD, NEW, NEW]);
    assert_eq!(*told.lock().unwrap(), ["secret_reloaded", "credential_refused", "secret_not_yet_active", "credential_refused"]);
}

#[test]
fn after_both_were_refused_the_new_one_goes_first() {
    let current = Arc::new(Mutex::new(OLD));
    let shared = Arc::clone(&current);
    let source = Arc::new(SecretFn::new("a test", move || {
        let secret = shared.lock().unwrap().to_string();
        async move { Ok(secret) }
    }));
    let ok = || Answer::Say(200, "application/json", "{}".to_owned());
    let stub = Stub::start([ok(), refusal(), refusal(), ok(), ok()]);
    let (options, told) = listening(&stub);
    let client = Client::with_options(ManagementKey::from_source(Arc::clone(&source)), options).unwrap();
    verify(&client).unwrap();
    *current.lock().unwrap() = NEW;
    source.refresh();
    // The old one is refused too: it is no way back.
    assert_eq!(verify(&client).unwrap_err().kind(), ErrorKind::Unauthorized);
    verify(&client).unwrap();
    assert_eq!(secrets(&stub), [OLD, NEW, OLD, NEW]);
    let expected = ["secret_reloaded", "credential_refused", "secret_not_yet_active", "credential_refused"];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[test]
fn exports_and_secrets_in_bodies_follow_a_rotation_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, OLD).unwrap();
    let stub = Stub::start([Answer::Confirm, refusal(), Answer::Confirm, refusal(), nothing()]);
    let pair = ProjectPair::with_source(ProjectKey::new(KEY).unwrap(), FileSecret::new(&path));
    let client = Client::with_options(pair, Options::new().base_url(stub.base_url())).unwrap();
    let ingest = || block_on(client.ingest(&mut [event("user123")], IngestOptions::new().with_secret())).unwrap();
    ingest();
    fs::write(&path, NEW).unwrap();
    ingest();
    fs::write(&path, OLD).unwrap();
    block_on(client.export(ExportRange::parse("20260101T00", "20260101T23").unwrap())).unwrap();
    let seen = stub.seen();
    let bodies: Vec<_> = seen.iter().take(3).map(|request| request.json()["secret"].clone()).collect();
    assert_eq!(bodies, [OLD, OLD, NEW]);
    assert_eq!(seen[1].json()["events"], seen[2].json()["events"], "it is the same request but for the secret");
    assert_ne!(seen[3].header("authorization"), seen[4].header("authorization"));
    assert_eq!(seen.len(), 5);
}

#[test]
fn events_are_sent_without_a_look_at_the_secret() {
    let stub = Stub::start([]);
    let pair = ProjectPair::with_source(ProjectKey::new(KEY).unwrap(), FileSecret::new("/nonexistent/secret"));
    let client = Client::with_options(pair, Options::new().base_url(stub.base_url())).unwrap();
    block_on(client.ingest(&mut [event("user123")], IngestOptions::new())).unwrap();
    let error = block_on(client.verify()).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/secret: the file"), "{error}");
    assert_eq!(stub.seen().len(), 1);
}

#[test]
fn a_chain_keeps_to_the_first_source_that_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    fs::write(&second, OLD).unwrap();
    let stub = Stub::start(vec![Answer::Say(200, "application/json", "{}".to_owned()); 9]);
    let chain = |given: &str| {
        let given = SecretText::new(given).unwrap();
        let chain = SecretChain::new(FileSecret::new(&first)).or(FileSecret::new(&second)).or(given);
        Client::with_options(ManagementKey::from_source(chain), Options::new().base_url(stub.base_url())).unwrap()
    };
    let settled = chain(NEW);
    verify(&settled).unwrap();
    // What comes later changes nothing for a chain that is settled.
    fs::write(&first, "fake first\n").unwrap();
    verify(&settled).unwrap();
    assert_eq!(secrets(&stub), [OLD, OLD]);
    // A new one has the first, and its error is no other one's turn.
    let error = verify(&chain(NEW)).unwrap_err();
    assert!(error.to_string().contains("first: management key: holds white space"), "{error}");
    fs::remove_file(&first).unwrap();
    fs::remove_file(&second).unwrap();
    verify(&chain(NEW)).unwrap();
    assert_eq!(secrets(&stub)[2..], [NEW]);
    let none = SecretChain::new(FileSecret::new(&first)).or(FileSecret::new(&second));
    let none = Client::with_options(ManagementKey::from_source(none), Options::new().base_url(stub.base_url())).unwrap();
    let error = verify(&none).unwrap_err().to_string();
    assert!(error.starts_with("secret: none of its sources is configured: ") && error.ends_with("second"), "{error}");
}

#[test]
fn what_a_source_gives_is_checked_as_what_is_given() {
    for (given, said) in [("server-sentinel", "were two keys swapped?"), ("sentinel secret", "white space"), ("", "is empty")] {
        let source = SecretFn::new("my source", move || async move { Ok(given.to_owned()) });
        let client = Client::with_options(ManagementKey::from_source(source), Options::new().base_url("http://127.0.0.1:1"));
        let error = verify(&client.unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with("my source: ") && error.to_string().contains(said), "{error}");
        assert!(!format!("{error:?}").contains("sentinel"), "{error:?}");
    }
    let source = SecretFn::new("my source", || async { Err("it is locked".into()) });
    let client = Client::with_options(ManagementKey::from_source(source), Options::new().base_url("http://127.0.0.1:1"));
    let error = verify(&client.unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "my source: gives no secret");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "it is locked");
}

#[test]
fn what_was_wrong_at_its_source_is_mended_there_and_is_no_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, "sentinel secret").unwrap();
    let stub = Stub::start([refusal(), refusal()]);
    let client =
        Client::with_options(ManagementKey::from_source(FileSecret::new(&path)), Options::new().base_url(stub.base_url()))
            .unwrap();
    assert_eq!(verify(&client).unwrap_err().kind(), ErrorKind::Invalid);
    fs::write(&path, NEW).unwrap();
    assert_eq!(verify(&client).unwrap_err().kind(), ErrorKind::Unauthorized);
    assert_eq!(secrets(&stub), [NEW]);
}

#[test]
fn two_secrets_are_told_apart_by_their_fingerprints() {
    let prints: Arc<Mutex<Vec<Fingerprint>>> = Arc::default();
    let heard = Arc::clone(&prints);
    let stub = Stub::start([refusal(), refusal(), refusal()]);
    let options = Options::new().base_url(stub.base_url()).observer(move |event: &AuthEvent<'_>| {
        if let AuthEvent::CredentialRefused { fingerprint } = event {
            heard.lock().unwrap().push(*fingerprint);
        }
    });
    for secret in [OLD, NEW, OLD] {
        let client = Client::with_options(ManagementKey::new(secret).unwrap(), options.clone()).unwrap();
        verify(&client).unwrap_err();
    }
    let prints = prints.lock().unwrap();
    assert!(prints[0] == prints[2] && prints[0] != prints[1], "{prints:?}");
    assert_eq!(prints[0].to_string().len(), 8);
}
