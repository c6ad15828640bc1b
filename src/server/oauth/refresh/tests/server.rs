//! A strict authorization server: a refresh token is good once, and its second use ends the whole family.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    super::super::{AuthError, Reauth, Stage, StoreKey, TokenAnswer, TokenEndpoint, TokenSet},
    executor::{EPOCH, Executor},
};
use crate::{
    promise::lock,
    server::{AccessToken, BoxFuture, Expose, RefreshToken},
};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Answered,
    /// 503, 429, with or without `Retry-After`.
    Busy(Option<u64>),
    /// Hydra's word for a race that was lost.
    InvalidRequest,
    ClientRejected,
    /// The connection breaks before the server has acted.
    RequestLost,
    /// And after it has.
    AnswerLost,
    /// 200, and a body that is none.
    Garbled,
    Panic,
}

pub(super) struct Server {
    pub(super) lifetime: Option<Duration>,
    /// The fates of the next requests; then all are answered.
    pub(super) fates: VecDeque<Fate>,
    /// Where each refresh token stands.
    issued: BTreeMap<String, Issued>,
    access: BTreeMap<String, (u64, Duration)>,
    pub(super) revoked: Vec<u64>,
    pub(super) families: u64,
    numbers: u64,
    pub(super) requests: Vec<(u64, Duration)>,
    in_flight: u64,
    /// Refresh tokens that came a second time though their successor was stored, and anything else that must not be.
    pub(super) violations: Vec<String>,
    pub(super) revocations: VecDeque<Result<(), AuthError>>,
}

struct Issued {
    family: u64,
    /// Who used it, and whether the successor may be lost.
    spent: Option<Spent>,
}

struct Spent {
    by: u64,
    successor: String,
    lost: bool,
    stored: bool,
}

impl Server {
    pub(super) fn new(lifetime: Option<Duration>) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            lifetime,
            fates: VecDeque::new(),
            issued: BTreeMap::new(),
            access: BTreeMap::new(),
            revoked: Vec::new(),
            families: 0,
            numbers: 0,
            requests: Vec::new(),
            in_flight: 0,
            violations: Vec::new(),
            revocations: VecDeque::new(),
        }))
    }

    /// The user consents.
    pub(super) fn consent(&mut self, now: Duration) -> TokenSet {
        self.families += 1;
        let (access, refresh) = self.issue(self.families, now);
        let obtained_at = EPOCH as u64 + now.as_secs();
        TokenSet {
            access: AccessToken::new(access).unwrap(),
            refresh: Some(RefreshToken::new(refresh).unwrap()),
            id_token: None,
            requested: "offline_access read write".parse().unwrap(),
            granted: "offline_access read".parse().unwrap(),
            obtained_at,
            expires_at: self.lifetime.map(|lifetime| obtained_at + lifetime.as_secs()),
            generation: 0,
            unknown: serde_json::Map::new(),
        }
    }

    fn issue(&mut self, family: u64, now: Duration) -> (String, String) {
        self.numbers += 1;
        let (access, refresh) = (format!("access-{}", self.numbers), format!("refresh-{}", self.numbers));
        let expires = now.saturating_add(self.lifetime.unwrap_or(Duration::MAX));
        self.access.insert(access.clone(), (family, expires));
        self.issued.insert(refresh.clone(), Issued { family, spent: None });
        (access, refresh)
    }

    pub(super) fn is_expired(&self, access: &str, now: Duration) -> bool {
        self.access[access].1 <= now
    }

    pub(super) fn is_revoked(&self, access: &str) -> bool {
        self.revoked.contains(&self.access[access].0)
    }

    /// Whether no newer one came to anybody.
    pub(super) fn is_newest(&self, refresh: &str) -> bool {
        let issued = &self.issued[refresh];
        issued.spent.as_ref().is_none_or(|spent| spent.lost) && !self.revoked.contains(&issued.family)
    }

    pub(super) fn stored(&mut self, refresh: &str) {
        let spent = self.issued.values_mut().filter_map(|issued| issued.spent.as_mut());
        spent.filter(|spent| spent.successor == refresh).for_each(|spent| spent.stored = true);
    }

    /// What it has not stored is lost.
    pub(super) fn crashed(&mut self, process: u64) {
        let spent = self.issued.values_mut().filter_map(|issued| issued.spent.as_mut());
        spent.filter(|spent| spent.by == process && !spent.stored).for_each(|spent| spent.lost = true);
    }

    fn refresh(&mut self, by: u64, refresh: &str, lost: bool, now: Duration) -> Option<(String, String)> {
        let issued = &self.issued[refresh];
        let family = issued.family;
        if self.revoked.contains(&family) {
            return None;
        }
        if let Some(spent) = &issued.spent {
            if !spent.lost {
                self.violations.push(format!("{refresh} was used twice, by {} and {by}", spent.by));
            }
            self.revoked.push(family);
            return None;
        }
        let (access, successor) = self.issue(family, now);
        self.issued.get_mut(refresh).unwrap().spent = Some(Spent { by, successor: successor.clone(), lost, stored: false });
        Some((access, successor))
    }
}

/// The way of one process to the server.
pub(super) struct Endpoint {
    pub(super) server: Arc<Mutex<Server>>,
    pub(super) executor: Executor,
    pub(super) process: u64,
    pub(super) hosts: Vec<String>,
    /// Chosen per request, where the server's own list is empty.
    pub(super) chance: Option<fn(&Executor) -> Fate>,
}

/// A request that is under way, until it is answered or its process crashes.
struct UnderWay(Arc<Mutex<Server>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.0).in_flight -= 1;
    }
}

impl Endpoint {
    async fn answer(&self, tokens: Option<&TokenSet>) -> Result<TokenAnswer, AuthError> {
        let now = self.executor.now();
        let fate = {
            let mut server = lock(&self.server);
            server.in_flight += 1;
            if server.in_flight > 1 {
                server.violations.push(format!("two requests at once, at {now:?}"));
            }
            if server.requests.iter().any(|(by, at)| *by == self.process && now - *at < Duration::from_secs(1)) {
                server.violations.push(format!("two requests of one process within a second, at {now:?}"));
            }
            server.requests.push((self.process, now));
            server.fates.pop_front()
        };
        let under_way = UnderWay(Arc::clone(&self.server));
        let fate = fate.or_else(|| self.chance.map(|chance| chance(&self.executor))).unwrap_or(Fate::Answered);
        self.executor.pause(400).await;
        let transient = |retry_after: Option<u64>, source: Option<&str>| AuthError::Transient {
            stage: Stage::Refresh,
            retry_after: retry_after.map(Duration::from_secs),
            source: source.map(Into::into),
        };
        match fate {
            Fate::Answered | Fate::AnswerLost | Fate::Garbled => {}
            Fate::Busy(retry_after) => return Err(transient(retry_after, None)),
            Fate::InvalidRequest => return Err(AuthError::Denied { code: "invalid_request".into(), description: None }),
            Fate::ClientRejected => return Err(AuthError::ClientRejected { code: "invalid_client".into() }),
            Fate::RequestLost => return Err(transient(None, Some("the connection broke"))),
            Fate::Panic => panic!("a planted panic"),
        }
        let granted = {
            let refresh = tokens.and_then(|tokens| tokens.refresh.as_ref()).expect("a refresh token is needed");
            lock(&self.server).refresh(self.process, refresh.expose(), fate != Fate::Answered, self.executor.now())
        };
        self.executor.pause(400).await;
        drop(under_way);
        match fate {
            Fate::AnswerLost => return Err(transient(None, Some("the connection broke"))),
            Fate::Garbled => {
                return Err(AuthError::Protocol { stage: Stage::Refresh, status: 200, bytes: 1, problem: "is no JSON" });
            }
            _ => {}
        }
        let (access, refresh) = granted.ok_or(AuthError::ReauthRequired(Reauth::GrantRefused))?;
        Ok(TokenAnswer {
            access: AccessToken::new(access).unwrap(),
            refresh: Some(RefreshToken::new(refresh).unwrap()),
            id_token: None,
            granted: None,
            lifetime: lock(&self.server).lifetime,
        })
    }
}

impl TokenEndpoint for Endpoint {
    fn store_key(&self) -> StoreKey {
        StoreKey::new("https://as.example.com", "demo")
    }

    fn hosts(&self) -> &[String] {
        &self.hosts
    }

    fn needs_refresh_token(&self) -> bool {
        true
    }

    fn renew<'a>(&'a self, current: Option<&'a TokenSet>) -> BoxFuture<'a, Result<TokenAnswer, AuthError>> {
        Box::pin(self.answer(current))
    }

    fn revoke<'a>(&'a self, tokens: &'a TokenSet) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(async {
            let mut server = lock(&self.server);
            server.revocations.pop_front().unwrap_or(Ok(()))?;
            let family = server.access[tokens.access.expose()].0;
            server.revoked.push(family);
            Ok(())
        })
    }
}
