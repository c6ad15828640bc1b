//! Where tokens are kept: whole, for their user alone, and for nobody else.

#[cfg(unix)]
mod unix;

use std::{
    fs,
    path::PathBuf,
    pin::pin,
    process::{Command, Stdio},
    sync::Arc,
    task::{Context, Poll, Wake},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use amplitude_sdk::server::oauth::{
    AuthError, EncryptedTokenStore, EncryptionKey, FileTokenStore, MemoryTokenStore, StoreFault, StoreKey, StoredTokens,
    TokenStore,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{shown::Shown as _, trace};

fn key() -> StoreKey {
    StoreKey::new("https://mcp.example.com", "demo")
}

fn tokens_of(key: &StoreKey, generation: u64) -> StoredTokens {
    let json = json!({
        "version": 1, "generation": generation,
        "issuer": key.issuer, "client_id": key.client_id, "resource": key.resource, "profile": key.profile,
        "access_token": format!("fake-access-{generation}"), "refresh_token": "fake-refresh", "requested": "a b", "granted": "a",
        "obtained_at": 1_700_000_000, "expires_at": 1_700_003_600,
    });
    StoredTokens::from_json(json.to_string()).unwrap()
}

fn tokens(generation: u64) -> StoredTokens {
    tokens_of(&key(), generation)
}

fn folder() -> (TempDir, FileTokenStore) {
    trace::start();
    let folder = tempfile::tempdir().unwrap();
    let store = FileTokenStore::new(folder.path().join("state").join("tokens"));
    (folder, store)
}

fn fault<T>(result: Result<T, AuthError>) -> Option<StoreFault> {
    match result.map(drop).shown() {
        Err(AuthError::Store(fault, _)) => Some(fault),
        _ => None,
    }
}

/// The folder's files with that ending.
fn files(folder: &TempDir, ending: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(folder.path().join("state/tokens")).unwrap().map(|entry| entry.unwrap().path());
    found.filter(|path| path.extension().is_some_and(|extension| extension == ending)).collect()
}

fn stored_file(folder: &TempDir) -> PathBuf {
    let [file] = &files(folder, "json")[..] else { panic!("one file") };
    file.clone()
}

/// What every store promises.
async fn keeps_its_promises(store: impl TokenStore) {
    let (one, other) = (key(), StoreKey::new("https://mcp.eu.example.com", "demo"));
    assert!(store.load(&one).await.unwrap().is_none());
    store.delete(&one).await.unwrap();
    assert_eq!(fault(store.save(&one, &tokens(1), Some(7)).await), Some(StoreFault::Conflict));
    store.save(&one, &tokens(1), None).await.unwrap();
    assert_eq!(store.load(&one).await.unwrap().unwrap().as_json(), tokens(1).as_json());
    // Neither a first one nor one after another is written over what is there.
    for wrong in [None, Some(0), Some(2)] {
        assert_eq!(fault(store.save(&one, &tokens(2), wrong).await), Some(StoreFault::Conflict));
    }
    store.save(&one, &tokens(2), Some(1)).await.unwrap();
    assert_eq!(store.load(&one).await.unwrap().unwrap().generation(), 2);
    assert!(store.load(&other).await.unwrap().is_none());
    store.save(&other, &tokens_of(&other, 1), None).await.unwrap();
    store.delete(&one).await.unwrap();
    assert!(store.load(&one).await.unwrap().is_none() && store.load(&other).await.unwrap().is_some());

    // One lock a key, free again when its guard is dropped.
    let guard = store.lock(&one).await.unwrap();
    let foreign = store.lock(&other).await.unwrap();
    tokio::select! {
        biased;
        _ = store.lock(&one) => panic!("it was locked"),
        () = tokio::time::sleep(Duration::from_millis(200)) => drop(guard),
    }
    drop(store.lock(&one).await.unwrap());
    drop(foreign);
}

#[tokio::test]
async fn stores_keep_their_promises() {
    keeps_its_promises(MemoryTokenStore::new()).await;
    let (_folder, files) = folder();
    keeps_its_promises(files).await;
    let secret = EncryptionKey::from_bytes(&[7; 32]);
    keeps_its_promises(EncryptedTokenStore::new(MemoryTokenStore::new(), secret.clone())).await;
    let (_folder, files) = folder();
    keeps_its_promises(Arc::new(EncryptedTokenStore::new(files, secret))).await;
}

/// An executor that is not tokio's.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park_timeout(until - Instant::now()),
        }
        assert!(Instant::now() < until, "it never ends");
    }
}

#[test]
fn a_file_store_works_on_any_executor() {
    let (_folder, files) = folder();
    let generation = block_on(async move {
        let guard = files.lock(&key()).await.unwrap();
        files.save(&key(), &tokens(1), None).await.unwrap();
        drop(guard);
        files.load(&key()).await.unwrap().unwrap().generation()
    });
    assert_eq!(generation, 1);
}

#[tokio::test]
async fn t_r12_tokens_of_another_issuer_resource_client_or_profile_are_not_found() {
    let (folder, files) = folder();
    files.save(&key(), &tokens(1), None).await.unwrap();
    let changes: [fn(&mut StoreKey); 5] = [
        |key| key.issuer = "https://mcp.eu.example.com".into(),
        |key| key.issuer.push('/'),
        |key| key.client_id = "another".into(),
        |key| key.resource = Some("https://mcp.example.com".into()),
        |key| key.profile = "work".into(),
    ];
    for change in changes {
        let mut other = key();
        change(&mut other);
        assert!(files.load(&other).await.unwrap().is_none(), "{other:?}");
        // Nor when somebody has put the file in the other's place, or gives one key's tokens for the other's.
        let original = stored_file(&folder);
        files.save(&other, &tokens_of(&other, 1), None).await.unwrap();
        let copy = self::files(&folder, "json").into_iter().find(|path| *path != original).unwrap();
        fs::copy(&original, &copy).unwrap();
        assert_eq!(fault(files.load(&other).await), Some(StoreFault::Corrupt), "{other:?}");
        assert_eq!(fault(files.save(&other, &tokens_of(&other, 2), Some(1)).await), Some(StoreFault::Corrupt), "{other:?}");
        files.delete(&other).await.unwrap();
        assert_eq!(fault(files.save(&other, &tokens(1), None).await), Some(StoreFault::Corrupt), "{other:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_never_overwritten() {
    let (folder, files) = folder();
    files.save(&key(), &tokens(1), None).await.unwrap();
    let file = stored_file(&folder);
    let whole = fs::read(&file).unwrap();
    let newer = String::from_utf8(whole.clone()).unwrap().replace("\"version\":1", "\"version\":2");
    // One more write could not be told from none.
    let last = String::from_utf8(whole.clone()).unwrap().replace("\"generation\":1", &format!("\"generation\":{}", u64::MAX));
    assert!(last.contains(&u64::MAX.to_string()));
    let mut bad = vec![
        last.into_bytes(),
        Vec::new(),
        b"{}".to_vec(),
        b"[1]".to_vec(),
        b"\xff\xfe{".to_vec(),
        newer.into_bytes(),
        vec![b' '; 2 << 20],
    ];
    bad.extend((1..whole.len()).step_by(7).map(|length| whole[..length].to_vec()));
    for text in bad {
        fs::write(&file, &text).unwrap();
        assert_eq!(fault(files.load(&key()).await), Some(StoreFault::Corrupt));
        for expected in [None, Some(1)] {
            assert_eq!(fault(files.save(&key(), &tokens(2), expected).await), Some(StoreFault::Corrupt));
        }
        assert_eq!(fs::read(&file).unwrap(), text);
    }
    files.delete(&key()).await.unwrap();
    files.save(&key(), &tokens(1), None).await.unwrap();
}

#[tokio::test]
async fn members_that_nobody_knows_are_kept() {
    let (_folder, files) = folder();
    let mut json: Value = serde_json::from_str(tokens(1).as_json()).unwrap();
    json["of_a_newer_version"] = json!({"deep": [1, "two", null]});
    let stored = StoredTokens::from_json(json.to_string()).unwrap();
    files.save(&key(), &stored, None).await.unwrap();
    let read: Value = serde_json::from_str(files.load(&key()).await.unwrap().unwrap().as_json()).unwrap();
    assert_eq!(read, json);
}

#[tokio::test]
async fn what_is_encrypted_opens_with_its_key_for_its_place_alone() {
    let (folder, files) = folder();
    let (secret, other) = (EncryptionKey::from_bytes(&[7; 32]), EncryptionKey::from_bytes(&[8; 32]));
    let store = EncryptedTokenStore::new(files.clone(), secret.clone());
    store.save(&key(), &tokens(1), None).await.unwrap();
    let file = stored_file(&folder);
    let first = fs::read_to_string(&file).unwrap();
    assert!(first.contains("sealed") && !first.contains("fake-") && !first.contains("granted"), "{first}");
    assert_eq!(store.load(&key()).await.unwrap().unwrap().as_json(), tokens(1).as_json());

    // Another nonce each time.
    store.delete(&key()).await.unwrap();
    store.save(&key(), &tokens(1), None).await.unwrap();
    assert_ne!(fs::read_to_string(&file).unwrap(), first);

    // Not with another key, and not without one; with the older key beside the new one it does.
    let rotated = EncryptedTokenStore::new(files.clone(), other.clone());
    assert_eq!(fault(rotated.load(&key()).await), Some(StoreFault::Corrupt));
    let rotated = rotated.also_opens(secret.clone());
    assert_eq!(rotated.load(&key()).await.unwrap().unwrap().generation(), 1);
    rotated.save(&key(), &tokens(2), Some(1)).await.unwrap();
    assert_eq!(fault(store.load(&key()).await), Some(StoreFault::Corrupt));

    // Not for another write, another key's place, or changed by a bit.
    store.delete(&key()).await.unwrap();
    store.save(&key(), &tokens(3), None).await.unwrap();
    let good = fs::read_to_string(&file).unwrap();
    let eu = StoreKey::new("https://mcp.eu.example.com", "demo");
    for (wrong, place) in [
        (good.replace("\"generation\":3", "\"generation\":4"), key()),
        (good.replace("mcp.example.com", "mcp.eu.example.com"), eu),
        (flipped(&good), key()),
    ] {
        assert_ne!(wrong, good);
        let memory = MemoryTokenStore::new();
        memory.save(&place, &StoredTokens::from_json(wrong).unwrap(), None).await.unwrap();
        let store = EncryptedTokenStore::new(memory, secret.clone());
        assert_eq!(fault(store.load(&place).await), Some(StoreFault::Corrupt));
    }
    // What was stored in clear is not taken for what it should be.
    let memory = MemoryTokenStore::new();
    memory.save(&key(), &tokens(1), None).await.unwrap();
    assert_eq!(fault(EncryptedTokenStore::new(memory, secret).load(&key()).await), Some(StoreFault::Corrupt));
}

/// Another digit in the middle of what is encrypted.
fn flipped(json: &str) -> String {
    let mut value: Value = serde_json::from_str(json).unwrap();
    let sealed = value["sealed"].as_str().unwrap().to_owned();
    let middle = sealed.len() / 2;
    let digit = if &sealed[middle..=middle] == "A" { "B" } else { "A" };
    value["sealed"] = [&sealed[..middle], digit, &sealed[middle + 1..]].concat().into();
    value.to_string()
}

#[test]
fn no_token_shows() {
    let (_folder, files) = folder();
    let stored = tokens(1);
    let encrypted =
        EncryptedTokenStore::new(MemoryTokenStore::new(), EncryptionKey::from_bytes(b"fake-key-fake-key-fake-key-fake-"));
    let shown = format!("{stored:?} {files:?} {encrypted:?}");
    assert!(shown.contains("generation: 1") && !shown.contains("fake"), "{shown}");
    let error = StoredTokens::from_json(r#"{"version":1,"access_token":"fake-access"}"#).shown().unwrap_err();
    assert!(!format!("{error:?} {error}").contains("fake"), "{error:?}");
}

/// A child that stores one generation after the other until it is killed.
const CHILD: &str = "AMPLITUDE_TEST_STORE_FOLDER";

#[test]
#[ignore = "the process that is killed; the test below starts it"]
fn child_that_stores() {
    use std::io::Write as _;
    let Some(folder) = std::env::var_os(CHILD) else { return };
    trace::start();
    let files = FileTokenStore::new(folder);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let _guard = files.lock(&key()).await.unwrap();
        let mut last = files.load(&key()).await.unwrap().map(|tokens| tokens.generation());
        for _ in 0..1_000_000 {
            let next = last.unwrap_or(0) + 1;
            files.save(&key(), &tokens(next), last).await.unwrap();
            // A reader that is gone is no reason to go on.
            if writeln!(std::io::stdout(), "stored {next}").is_err() {
                return;
            }
            last = Some(next);
        }
    });
}

#[tokio::test]
async fn t_r4_what_was_stored_survives_a_kill_at_any_moment() {
    use std::io::{BufRead as _, BufReader};
    let (folder, files) = folder();
    let path = folder.path().join("state/tokens");
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "stores::child_that_stores", "--ignored", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let stored = lines.filter_map(|line| line.rsplit_once("stored ")?.1.parse::<u64>().ok());
        // Wherever it is in its next write by then.
        let promised = stored.take(3 + round).last().expect("the child stores");
        child.kill().unwrap();
        child.wait().unwrap();
        let stored = files.load(&key()).await.unwrap().expect("never empty");
        assert!(stored.generation() >= promised, "{} of {promised}", stored.generation());
        assert_eq!(stored.as_json(), tokens(stored.generation()).as_json());
        drop(files.lock(&key()).await.unwrap());
    }
}
