//! How tokens begin and end, and what of an answer is kept.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use super::{
    super::super::{
        AuthError, Reauth, Revocation, Stage, StoreFault, StoreKey, StoredTokens, TokenAnswer, TokenEndpoint, TokenProvider,
        TokenSet, TokenStore,
    },
    rig::{HOUR, Rig},
};
use crate::{
    promise::lock,
    server::{AccessToken, BoxFuture, Expose, IdToken, ScopeSet},
};

#[test]
fn a_first_token_that_cannot_be_stored_is_an_error() {
    let rig = Rig::new(Some(HOUR));
    let tokens = lock(&rig.server).consent(Duration::ZERO);
    rig.store.faults.store(100, Ordering::Relaxed);
    assert!(matches!(rig.start(Some(tokens), Arc::default()), Err(AuthError::Store(StoreFault::Io, _))));
    rig.store.faults.store(0, Ordering::Relaxed);
    assert!(rig.stored().is_none());
}

#[test]
fn a_new_consent_replaces_what_is_stored() {
    let rig = Rig::new(Some(HOUR));
    rig.login();
    let other = rig.login();
    assert_eq!((other.text().as_str(), rig.stored().unwrap().generation), ("access-2", 2));
}

#[test]
fn t_b7_revoked_tokens_are_gone_here_and_there() {
    let rig = Rig::new(Some(HOUR));
    let (user, other) = (rig.login(), rig.resume());
    assert_eq!(user.revoke().unwrap(), Revocation::ByServer);
    assert_eq!((lock(&rig.server).revoked.len(), rig.stored().is_none()), (1, true));
    assert!(matches!(user.token(None), Err(AuthError::ReauthRequired(Reauth::NoToken))));
    assert_eq!((rig.told("by_server: true"), rig.told("ReauthRequired")), (1, 0));
    // Other processes learn of it when a server refuses their token, or at the next refresh.
    let lease = other.token(None).unwrap();
    assert!(matches!(other.token(Some(lease.generation)), Err(AuthError::ReauthRequired(Reauth::NoToken))));
    assert_eq!(rig.requests(), 0);
}

#[test]
fn t_b7_a_server_that_cannot_revoke_is_told_apart_from_one_that_cannot_now() {
    let rig = Rig::new(Some(HOUR));
    let user = rig.login();
    let busy = AuthError::Transient { stage: Stage::Revocation, retry_after: None, source: None };
    lock(&rig.server).revocations.extend([Err(busy), Err(AuthError::Unsupported { feature: "revocation_endpoint" })]);
    assert!(matches!(user.revoke(), Err(AuthError::Transient { .. })));
    assert_eq!((user.text().as_str(), rig.stored().is_some()), ("access-1", true));
    assert_eq!(user.revoke().unwrap(), Revocation::LocalOnly);
    assert!(rig.stored().is_none() && lock(&rig.server).revoked.is_empty() && rig.told("by_server: false") == 1);
}

#[test]
fn what_is_forgotten_is_so_whatever_the_store_holds() {
    let rig = Rig::new(Some(HOUR));
    let user = rig.login();
    let key = StoreKey::new("https://as.example.com", "demo");
    let foreign = StoredTokens::sealed(&key, 2, "what another key has encrypted");
    let memory = rig.store.memory.clone();
    rig.executor.block_on(0, async move { memory.save(&key, &foreign, Some(1)).await }).unwrap();
    assert!(matches!(user.revoke(), Err(AuthError::Store(StoreFault::Corrupt, _))));
    let tokens = user.tokens.clone();
    rig.executor.block_on(1, async move { tokens.forget().await }).unwrap();
    assert!(rig.stored().is_none());
    assert!(matches!(user.token(None), Err(AuthError::ReauthRequired(Reauth::NoToken))));
}

#[test]
fn a_token_goes_to_its_hosts_alone() {
    let rig = Rig::new(Some(HOUR));
    let user = rig.login();
    assert!(user.tokens.is_for("mcp.example.com") && user.tokens.is_for("MCP.example.com"));
    for other in ["example.com", "eu.mcp.example.com", "mcp.example.com.evil.example", ""] {
        assert!(!user.tokens.is_for(other), "{other}");
    }
}

/// An endpoint that answers from a list.
struct Scripted {
    answers: Mutex<Vec<TokenAnswer>>,
    mints: bool,
}

impl TokenEndpoint for Scripted {
    fn store_key(&self) -> StoreKey {
        StoreKey::new("https://as.example.com", "demo")
    }

    fn hosts(&self) -> &[String] {
        &[]
    }

    fn needs_refresh_token(&self) -> bool {
        !self.mints
    }

    fn requested(&self) -> ScopeSet {
        "mcp:read mcp:write".parse().unwrap()
    }

    fn renew<'a>(&'a self, _: Option<&'a TokenSet>) -> BoxFuture<'a, Result<TokenAnswer, AuthError>> {
        Box::pin(async { Ok(lock(&self.answers).remove(0)) })
    }

    fn revoke<'a>(&'a self, _: &'a TokenSet) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(async { Ok(()) })
    }
}

fn answer(access: &str, granted: Option<&str>) -> TokenAnswer {
    let granted = granted.map(|scopes| scopes.parse().unwrap());
    TokenAnswer { access: AccessToken::new(access).unwrap(), refresh: None, id_token: None, granted, lifetime: Some(HOUR) }
}

#[test]
fn t_b5_what_an_answer_leaves_out_stays() {
    let rig = Rig::new(Some(HOUR));
    let mut first = lock(&rig.server).consent(Duration::ZERO);
    first.id_token = Some(IdToken::new("id-1").unwrap());
    first.unknown.insert("of_a_newer_version".into(), serde_json::json!({"a": [1]}));
    let answers = Mutex::new(vec![answer("access-a", None), answer("access-b", Some("read"))]);
    let endpoint = Arc::new(Scripted { answers, mints: false });
    let user = rig.start_with(9, endpoint, Some(first), Arc::default()).unwrap();
    for (access, granted) in [("access-a", "offline_access read"), ("access-b", "read")] {
        rig.wait(HOUR);
        assert_eq!(user.text(), access);
        let stored = rig.stored().unwrap();
        assert_eq!(stored.refresh.unwrap().expose(), "refresh-1");
        assert_eq!(stored.id_token.unwrap().expose(), "id-1");
        assert_eq!(stored.unknown["of_a_newer_version"]["a"][0], 1);
        assert_eq!((stored.granted.to_string().as_str(), stored.requested.len()), (granted, 3));
        assert_eq!(user.tokens.granted(), stored.granted);
    }
}

#[test]
fn t_c2_a_service_account_has_another_token_when_one_expires() {
    let rig = Rig::new(Some(HOUR));
    let answers = Mutex::new(vec![answer("access-a", None), answer("access-b", Some("mcp:read"))]);
    let endpoint: Arc<dyn TokenEndpoint> = Arc::new(Scripted { answers, mints: true });
    let user = rig.start_with(9, Arc::clone(&endpoint), None, Arc::default()).unwrap();
    let other = rig.start_with(10, endpoint, None, Arc::default()).unwrap();
    assert_eq!((user.text().as_str(), user.tokens.granted().to_string().as_str()), ("access-a", "mcp:read mcp:write"));
    // The other process makes no request of its own.
    assert_eq!((other.text().as_str(), rig.told("TokenIssued")), ("access-a", 1));
    rig.wait(HOUR);
    assert_eq!((user.text().as_str(), user.tokens.granted().to_string().as_str()), ("access-b", "mcp:read"));
    assert_eq!(other.text(), "access-b");
}

#[test]
fn a_store_that_does_not_answer_holds_nobody_up_for_long() {
    let rig = Rig::new(Some(Duration::from_secs(100)));
    let user = rig.login();
    // Nothing was given up before the store was read.
    rig.store.hangs.store(1, Ordering::Relaxed);
    let error = user.revoke().unwrap_err();
    assert!(matches!(error, AuthError::Store(StoreFault::Io, Some(_))), "{error:?}");
    assert_eq!(user.text(), "access-1");
    // As a newer token is stored, which serves meanwhile and is stored when the store is back.
    rig.wait(Duration::from_secs(101));
    let store = rig.store.clone();
    rig.executor.spawn(0, async move {
        // Once the request is on its way.
        store.executor.sleep(Duration::from_millis(50)).await;
        store.hangs.store(1, Ordering::Relaxed);
    });
    let before = rig.executor.now();
    assert_eq!((user.text().as_str(), rig.told("PersistFailed")), ("access-2", 1));
    assert!(rig.executor.now() - before < Duration::from_secs(30));
    user.settle().unwrap();
    assert_eq!(rig.stored().unwrap().access.expose(), "access-2");
    assert_eq!(user.revoke().unwrap(), Revocation::ByServer);
    rig.check();
}
