//! T-R4: a process that is killed between the server's answer and the end of storing it. Each child runs the engine over a store that takes the
//! same steps as [`FileTokenStore`] and stops at one of them; there it is killed.

use std::{
    env,
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use super::{
    super::{
        AuthError, RefreshingToken, StoreGuard, StoreKey, StoredTokens, TokenAnswer, TokenEndpoint, TokenProvider as _, TokenSet,
        TokenStore,
    },
    FileTokenStore,
    file::Place,
};
use crate::server::{AccessToken, BoxFuture, Expose as _, RefreshToken, ScopeSet, observer::Observers};

const FOLDER: &str = "AMPLITUDE_TEST_CRASH_FOLDER";
const POINT: &str = "AMPLITUDE_TEST_CRASH_POINT";

/// Where the child stops.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Point {
    /// The server has answered; nothing is written.
    Answered,
    HalfWritten,
    /// It is on the disk under another name.
    Written,
    /// It has the right name; nobody was told.
    Renamed,
}

const POINTS: [Point; 4] = [Point::Answered, Point::HalfWritten, Point::Written, Point::Renamed];

fn key() -> StoreKey {
    StoreKey::new("https://as.example.com", "demo")
}

/// Takes `FileTokenStore::save` in its steps.
struct Stopping {
    files: FileTokenStore,
    place: Place,
    at: Point,
}

impl Stopping {
    fn reached(&self, point: Point) {
        if self.at == point {
            println!("reached");
            loop {
                thread::park();
            }
        }
    }
}

impl TokenStore for Stopping {
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<Option<StoredTokens>, AuthError>> {
        self.files.load(key)
    }

    fn save<'a>(&'a self, _: &'a StoreKey, tokens: &'a StoredTokens, _: Option<u64>) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(async move {
            self.reached(Point::Answered);
            if self.at == Point::HalfWritten {
                let text = tokens.as_json();
                self.place.write(&text[..text.len() / 2])?;
                self.reached(Point::HalfWritten);
            }
            let draft = self.place.write(tokens.as_json())?;
            self.reached(Point::Written);
            draft.publish()?;
            self.reached(Point::Renamed);
            Ok(())
        })
    }

    fn delete<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<(), AuthError>> {
        self.files.delete(key)
    }

    fn lock<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<StoreGuard, AuthError>> {
        self.files.lock(key)
    }
}

/// Grants the next token, and writes down what it was asked with.
struct Endpoint(PathBuf);

impl TokenEndpoint for Endpoint {
    fn store_key(&self) -> StoreKey {
        key()
    }

    fn hosts(&self) -> &[String] {
        &[]
    }

    fn needs_refresh_token(&self) -> bool {
        true
    }

    fn renew<'a>(&'a self, current: Option<&'a TokenSet>) -> BoxFuture<'a, Result<TokenAnswer, AuthError>> {
        Box::pin(async move {
            let sent = current.unwrap().refresh.as_ref().unwrap().expose();
            let mut log = OpenOptions::new().append(true).create(true).open(&self.0).unwrap();
            writeln!(log, "{sent}").unwrap();
            let number: u64 = sent.strip_prefix("refresh-").unwrap().parse().unwrap();
            Ok(TokenAnswer {
                access: AccessToken::new(format!("access-{}", number + 1)).unwrap(),
                refresh: Some(RefreshToken::new(format!("refresh-{}", number + 1)).unwrap()),
                id_token: None,
                granted: None,
                lifetime: Some(Duration::from_secs(3600)),
            })
        })
    }

    fn revoke<'a>(&'a self, _: &'a TokenSet) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(async { Ok(()) })
    }
}

fn expired() -> TokenSet {
    TokenSet {
        access: AccessToken::new("access-1").unwrap(),
        refresh: Some(RefreshToken::new("refresh-1").unwrap()),
        id_token: None,
        requested: ScopeSet::new(),
        granted: ScopeSet::new(),
        obtained_at: 1,
        expires_at: Some(2),
        generation: 1,
        unknown: serde_json::Map::new(),
    }
}

async fn engine(folder: &Path, store: impl TokenStore) -> RefreshingToken {
    let endpoint = Arc::new(Endpoint(folder.join("requests")));
    RefreshingToken::start_with(endpoint, Arc::new(store), None, Observers::default()).await.unwrap()
}

#[test]
#[ignore = "the process that is killed; the test below starts it"]
fn child() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let at = POINTS[env::var(POINT).unwrap().parse::<usize>().unwrap()];
    let tokens: Arc<Path> = folder.join("tokens").into();
    let store = Stopping { files: FileTokenStore::new(&*tokens), place: Place::of(&tokens, &key()), at };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let lease = engine(&folder, store).await.token(None).await;
        panic!("it was to stop at {at:?}: {lease:?}");
    });
}

fn run_and_kill(folder: &Path, point: usize) {
    let name = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("{name}::child"), "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(POINT, point.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    // It says so or ends, which ends its output.
    let reached = output.lines().map_while(Result::ok).any(|line| line.ends_with("reached"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(reached, "{:?} is not reached", POINTS[point]);
}

#[tokio::test]
async fn t_r4_a_killed_process_leaves_the_old_token_or_the_new_one() {
    for (number, point) in POINTS.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileTokenStore::new(folder.path().join("tokens"));
        files.save(&key(), &StoredTokens::write(&key(), &expired()), None).await.unwrap();

        run_and_kill(folder.path(), number);

        let stored = files.load(&key()).await.unwrap().expect("never empty").read(&key()).unwrap();
        let is_new = point == Point::Renamed;
        let expected = if is_new { ("access-2", "refresh-2", 2) } else { ("access-1", "refresh-1", 1) };
        let refresh = stored.refresh.as_ref().unwrap().expose();
        assert_eq!((stored.access.expose(), refresh, stored.generation), expected, "{point:?}");
        let place = Place::of(&Arc::from(folder.path().join("tokens")), &key());
        assert_eq!(place.new.exists(), matches!(point, Point::HalfWritten | Point::Written), "{point:?}");

        // The lock went with the process, and what it left behind is in nobody's way.
        let next = engine(folder.path(), files.clone()).await.token(None).await.unwrap();
        assert_eq!(next.token.expose(), "access-2", "{point:?}");
        assert!(!place.new.exists() && place.stored.exists());
        let requests = fs::read_to_string(folder.path().join("requests")).unwrap();
        assert_eq!(requests.lines().count(), if is_new { 1 } else { 2 }, "{point:?}");
    }
}
