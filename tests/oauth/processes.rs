//! T-R5: several processes that share a store and a server that takes the second use of a refresh token for theft. `REFRESH_RACE_SECONDS` says
//! for how long, in place of a minute.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use amplitude_sdk::server::oauth::{
    AuthorizationServer, FileTokenStore, OAuthApp, OAuthOptions, RefreshingToken, TokenProvider as _,
};
use serde_json::{Value, json};

use crate::{
    flow::{consent, public, read_and_stay, real_app},
    server::Server,
    trace::{self, Running},
};

const PROCESSES: usize = 8;
const LIFETIME: u64 = 2;
const FOLDER: &str = "AMPLITUDE_TEST_RACE_FOLDER";

#[tokio::test]
#[ignore = "one of the processes; the test below starts it"]
async fn child_that_uses_tokens() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let told: Value = serde_json::from_str(&fs::read_to_string(folder.join("told.json")).unwrap()).unwrap();
    let text = |name: &str| told[name].as_str().unwrap();
    trace::start();
    let options = OAuthOptions::new().add_root_certificate(text("pem"));
    let server = AuthorizationServer::discover(text("issuer"), &options).await.unwrap();
    let app = OAuthApp::builder(server, public(text("client_id"))).options(options).build().unwrap();
    let tokens = RefreshingToken::resume(&app, FileTokenStore::new(folder.join("tokens"))).await.unwrap();
    let until = Instant::now() + Duration::from_secs(told["seconds"].as_u64().unwrap());
    let (mut served, mut last) = (0, 0);
    while Instant::now() < until {
        last = tokens.token(None).await.unwrap().generation;
        served += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokens.settle().await.unwrap();
    fs::write(folder.join(format!("{}.json", std::process::id())), json!({"served": served, "tokens": last}).to_string())
        .unwrap();
}

fn spawn(folder: &Path) -> Running {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "processes::child_that_uses_tokens", "--ignored", "--nocapture"]).env(FOLDER, folder);
    Running(child.stdout(Stdio::null()).spawn().unwrap())
}

#[tokio::test]
async fn t_r5_processes_that_share_a_store_never_use_a_refresh_token_twice() {
    let Some(server) = Server::shared() else { return };
    let seconds = env::var("REFRESH_RACE_SECONDS").map_or(60, |text| text.parse().unwrap());
    let (app, client) = real_app(server, json!({"access_token_seconds": LIFETIME})).await;
    let folder = tempfile::tempdir().unwrap();
    let first = consent(server, &app, read_and_stay(), "none").await.unwrap();
    let store = FileTokenStore::new(folder.path().join("tokens"));
    RefreshingToken::start(&app, first, store).await.unwrap();
    let told = json!({
        "issuer": server.issuer, "pem": server.authority_pem(), "client_id": client.id, "seconds": seconds,
    });
    fs::write(folder.path().join("told.json"), told.to_string()).unwrap();

    let mut children: Vec<_> = (0..PROCESSES).map(|_| spawn(folder.path())).collect();
    let patience = Instant::now() + Duration::from_secs(seconds + 60);
    let mut reports = Vec::new();
    for Running(child) in &mut children {
        let id = child.id();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < patience, "a process does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(status.success(), "a process failed");
        let report = fs::read_to_string(folder.path().join(format!("{id}.json"))).unwrap();
        reports.push(serde_json::from_str::<Value>(&report).unwrap());
    }
    let counts = server.counts(&client.id).await;
    println!("{counts:?} {reports:?}");
    let refreshes = counts["grant.success:refresh_token"];
    // One a lifetime, or at most one a second, in all processes together; all of them lived on what one had got.
    assert!((seconds / (LIFETIME + 1)..=seconds + 2).contains(&refreshes), "{counts:?}");
    assert!(!counts.keys().any(|name| name.starts_with("grant.revoked") || name.starts_with("grant.error")), "{counts:?}");
    assert!(reports.iter().all(|report| report["tokens"].as_u64() > Some(seconds / (LIFETIME + 1) / 2)), "{reports:?}");
}
