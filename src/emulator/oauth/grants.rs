//! Grants and their tokens: a refresh token that comes twice, or a code, ends its whole family (RFC 9700, section 4.14).

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};

use super::{
    OAuthCounts, ms,
    options::OAuthOptions,
    scopes::{OFFLINE_ACCESS, Scopes},
};
use crate::{
    Region,
    emulator::sealed::{Sealed, mint},
};

/// How a grant came about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flow {
    AuthorizationCode,
    Device,
    ClientCredentials,
}

impl Flow {
    fn name(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::Device => "device_code",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

/// What somebody consented to.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Grant {
    pub(super) client_id: String,
    pub(super) region: Region,
    pub(super) login_id: String,
    pub(super) flow: Flow,
    pub(super) scopes: Scopes,
    /// The API key of the project that it is about.
    pub(super) project: Option<String>,
    pub(super) resource: Option<String>,
    /// Whether its client takes refresh tokens.
    pub(super) refreshes: bool,
    /// Why it is over, where it is.
    pub(super) ended: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Access,
    Refresh,
}

#[derive(Debug)]
struct Token {
    grant: usize,
    kind: Kind,
    scopes: Scopes,
    expires_ms: u64,
    /// Used, where it is a refresh token; revoked by itself, where it is an access token.
    spent: bool,
}

/// What a token endpoint hands out. No `Debug`: it holds the tokens.
pub(super) struct Issued {
    access: String,
    refresh: Option<String>,
    scopes: Scopes,
    expires_in: Duration,
}

impl Issued {
    pub(super) fn body(&self) -> Value {
        let mut body = json!({
            "access_token": self.access, "token_type": "Bearer", "expires_in": self.expires_in.as_secs(), "scope": self.scopes.to_string(),
        });
        if let Some(refresh) = &self.refresh {
            body["refresh_token"] = json!(refresh);
        }
        body
    }
}

/// Why a token is not good, of either kind.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::emulator) enum Refused {
    Unknown,
    Expired,
    Ended,
    /// It came a second time, which has just ended its grant.
    Reused,
}

#[derive(Debug, Default)]
pub(in crate::emulator) struct Grants {
    all: Vec<Grant>,
    tokens: HashMap<Sealed, Token>,
}

impl Grants {
    pub(super) fn open(&mut self, grant: Grant) -> usize {
        self.all.push(grant);
        self.all.len() - 1
    }

    pub(super) fn get(&self, index: usize) -> &Grant {
        &self.all[index]
    }

    /// An access token with these scopes, and a refresh token where the grant has one.
    pub(super) fn issue(
        &mut self,
        index: usize,
        scopes: Scopes,
        options: &OAuthOptions,
        now_ms: u64,
        counts: &mut OAuthCounts,
    ) -> Issued {
        let grant = &self.all[index];
        let refreshes = grant.refreshes && grant.scopes.has(OFFLINE_ACCESS);
        let access = self.add(index, Kind::Access, scopes.clone(), now_ms, options.access_lifetime);
        let refresh = refreshes.then(|| self.add(index, Kind::Refresh, Scopes::default(), now_ms, options.refresh_lifetime));
        counts.issued += 1;
        Issued { access, refresh, scopes, expires_in: options.access_lifetime }
    }

    fn add(&mut self, grant: usize, kind: Kind, scopes: Scopes, now_ms: u64, lifetime: Duration) -> String {
        let secret = mint(if kind == Kind::Access { "at_" } else { "rt_" });
        let token = Token { grant, kind, scopes, expires_ms: now_ms.saturating_add(ms(lifetime)), spent: false };
        self.tokens.insert(Sealed::of(&secret), token);
        secret
    }

    /// The grant of a refresh token of this client that may be used now. One that was used already ends the grant.
    pub(super) fn refreshable(
        &mut self,
        token: &Sealed,
        client_id: &str,
        region: Region,
        now_ms: u64,
        counts: &mut OAuthCounts,
    ) -> Result<usize, Refused> {
        let found = self.tokens.get(token).filter(|it| it.kind == Kind::Refresh).ok_or(Refused::Unknown)?;
        let (index, spent, expires_ms) = (found.grant, found.spent, found.expires_ms);
        let grant = &self.all[index];
        if grant.client_id != client_id || grant.region != region {
            return Err(Refused::Unknown);
        }
        if grant.ended.is_some() {
            return Err(Refused::Ended);
        }
        if spent {
            counts.reused += 1;
            self.end(index, "a refresh token was used twice", counts);
            return Err(Refused::Reused);
        }
        if expires_ms <= now_ms { Err(Refused::Expired) } else { Ok(index) }
    }

    pub(super) fn spend(&mut self, token: &Sealed) {
        if let Some(token) = self.tokens.get_mut(token) {
            token.spent = true;
        }
    }

    /// The grant and the scopes of an access token that is good in that region now.
    pub(super) fn access(&self, region: Region, token: &Sealed, now_ms: u64) -> Result<(&Grant, &Scopes), Refused> {
        let token = self.tokens.get(token).filter(|it| it.kind == Kind::Access).ok_or(Refused::Unknown)?;
        let grant = &self.all[token.grant];
        if grant.region != region {
            Err(Refused::Unknown)
        } else if grant.ended.is_some() || token.spent {
            Err(Refused::Ended)
        } else if token.expires_ms <= now_ms {
            Err(Refused::Expired)
        } else {
            Ok((grant, &token.scopes))
        }
    }

    /// Revokes a token of this client: an access token by itself, a refresh token with all of its grant. One that is not known is revoked already
    /// (RFC 7009, section 2.2); another client's is refused.
    pub(super) fn revoke(
        &mut self,
        token: &Sealed,
        client_id: &str,
        region: Region,
        counts: &mut OAuthCounts,
    ) -> Result<(), Refused> {
        let Some(found) = self.tokens.get_mut(token) else { return Ok(()) };
        let grant = &self.all[found.grant];
        if grant.region != region {
            return Ok(());
        }
        if grant.client_id != client_id {
            return Err(Refused::Unknown);
        }
        let index = found.grant;
        match found.kind {
            Kind::Access if !found.spent && grant.ended.is_none() => {
                found.spent = true;
                counts.revoked += 1;
            }
            Kind::Access => {}
            Kind::Refresh => self.end(index, "revoked by its client", counts),
        }
        Ok(())
    }

    /// Ends a grant: none of its tokens is good any more.
    pub(super) fn end(&mut self, index: usize, why: &'static str, counts: &mut OAuthCounts) {
        if let Some(grant) = self.all.get_mut(index).filter(|it| it.ended.is_none()) {
            grant.ended = Some(why);
            counts.revoked += 1;
        }
    }

    pub(super) fn end_all_of(&mut self, client_id: &str, why: &'static str, counts: &mut OAuthCounts) {
        for index in 0..self.all.len() {
            if self.all[index].client_id == client_id {
                self.end(index, why, counts);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Grants with their live tokens by fingerprint.
    pub(super) fn describe(&self, now_ms: u64) -> Value {
        let mut live: HashMap<usize, Vec<(u64, Value)>> = HashMap::new();
        for (sealed, token) in self.tokens.iter().filter(|(_, it)| !it.spent && it.expires_ms > now_ms) {
            let kind = if token.kind == Kind::Access { "access" } else { "refresh" };
            let told =
                json!({"kind": kind, "fingerprint": sealed.to_string(), "expires_ms": token.expires_ms, "scopes": token.scopes});
            live.entry(token.grant).or_default().push((token.expires_ms, told));
        }
        let grants = self.all.iter().enumerate().map(|(index, grant)| {
            let mut tokens = if grant.ended.is_none() { live.remove(&index).unwrap_or_default() } else { Vec::new() };
            tokens.sort_by_key(|(expires_ms, _)| *expires_ms);
            let tokens: Vec<_> = tokens.into_iter().map(|(_, told)| told).collect();
            json!({
                "grant": index, "client_id": grant.client_id, "login_id": grant.login_id, "flow": grant.flow.name(), "scopes": grant.scopes,
                "project": grant.project, "resource": grant.resource, "ended": grant.ended, "tokens": tokens,
                "region": super::region_name(grant.region),
            })
        });
        grants.collect()
    }
}
