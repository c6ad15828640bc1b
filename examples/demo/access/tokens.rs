//! What was granted, and what the application does with it: reads, refreshes, gives it up.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use amplitude_sdk::{
    Error, ErrorKind, Region,
    server::{
        Client, DeveloperClient, OAuth, Options, ProjectBearer, ScopeSet, StaticToken,
        oauth::{AuthError, Lease, OAuthApp, RefreshingToken, Revocation, TokenProvider as _, TokenSet},
    },
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    Shared, read_events as scope_of_events,
    session::{Note, Session},
    store::Store,
    timeline::Listener,
};
use crate::{
    export,
    reply::{failed, refusal, with_causes},
};

/// A person's consent, and the tokens that come of it.
pub(super) struct Grant {
    asked: ScopeSet,
    granted: ScopeSet,
    tokens: RefreshingToken,
    store: Store,
    listener: Listener,
    amplitude: String,
    /// The project's events: the bearer goes where otherwise the secret key goes.
    events: Client<ProjectBearer>,
    /// The Developer API.
    account: DeveloperClient,
}

impl Grant {
    /// Stores the tokens, and has them renewed from now on.
    pub(super) async fn start(app: &OAuthApp, tokens: TokenSet, amplitude: &str, listener: Listener) -> Result<Self, AuthError> {
        let (asked, granted) = (tokens.requested().clone(), tokens.granted().clone());
        let store = Store::default();
        let tokens = RefreshingToken::start(app, tokens, store.clone()).await?;
        let oauth = OAuth::new(tokens.clone());
        let bearer = ProjectBearer::new(oauth.clone(), scope_of_events());
        let events = Client::with_options(bearer, options(amplitude, &listener)).map_err(AuthError::System)?;
        let account = events.with_credential(oauth);
        let amplitude = amplitude.to_owned();
        Ok(Self { asked, granted, tokens, store, listener, amplitude, events, account })
    }

    /// What the page is told: never a token.
    pub(super) async fn view(&self) -> Result<Value, AuthError> {
        // A refresh may be under way that nobody waits for.
        self.tokens.settle().await?;
        let used = self.listener.usage.report().used;
        let scopes: Vec<_> = self
            .asked
            .iter()
            .map(|scope| {
                let times = used.get(scope).copied().unwrap_or_default();
                json!({"scope": scope.as_str(), "granted": self.granted.contains(scope), "used": times})
            })
            .collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let token = self.store.shown().map(|shown| {
            let left = shown.expires_at.map(|at| Duration::from_secs(at).saturating_sub(now).as_millis());
            json!({
                "fingerprint": shown.fingerprint.to_string(), "refreshes": shown.generation - 1, "refreshable": shown.is_refreshable,
                "expires_in_ms": left, "lifetime_s": shown.expires_at.map(|at| at.saturating_sub(shown.obtained_at)),
            })
        });
        Ok(json!({"scopes": scopes, "token": token}))
    }

    /// Has the server revoke the tokens. Where it knows the application no more, they are forgotten on this side alone.
    pub(super) async fn give_up(&self) -> Result<Revocation, AuthError> {
        match self.tokens.revoke().await {
            Err(AuthError::ClientRejected { .. }) => {
                self.tokens.forget().await?;
                Ok(Revocation::LocalOnly)
            }
            done => done,
        }
    }

    /// Uses a token that was given up, to see what it still opens. Whatever is wrong with the call itself is the error.
    async fn try_again(&self, lease: Lease) -> Result<String, Error> {
        let url = self.amplitude.parse::<axum::http::Uri>().ok();
        let host = url.as_ref().and_then(|url| url.host()).unwrap_or_default();
        let token = StaticToken::new(lease.token, Region::Us).host(host)?;
        let client = self.account.with_credential(OAuth::new(token));
        Ok(match client.context().await {
            Ok(_) => "Tried once more, the old token still opens what it opened.".to_owned(),
            Err(error) if error.kind() == ErrorKind::Unauthorized => {
                format!("Tried once more, the old token opens nothing: {}.", with_causes(&error))
            }
            Err(error) => return Err(error),
        })
    }
}

fn options(amplitude: &str, listener: &Listener) -> Options {
    Options::new().base_url(amplitude).request_timeout(Duration::from_secs(10)).observer(listener.clone())
}

/// Reads the events of the last day with the bearer; what comes of it is told by kinds.
pub(super) async fn read_events(State(access): Shared, headers: HeaderMap) -> Response {
    let Some((_, grant)) = granted(&access.sessions.of(&headers)) else { return nothing_granted() };
    let mut kinds = BTreeMap::<String, u64>::new();
    let range = match export::last_day() {
        Ok(range) => range,
        Err(error) => return refused(&error),
    };
    let read = export::read(&grant.events, range, |event| *kinds.entry(event.event_type().to_owned()).or_default() += 1);
    match read.await {
        Ok(unreadable) => {
            let total: u64 = kinds.values().sum();
            Json(json!({"total": total, "kinds": kinds, "unreadable": unreadable.unwrap_or_default()})).into_response()
        }
        Err(error) => refused(&error),
    }
}

/// Asks the Developer API whom the token acts for.
pub(super) async fn look_up(State(access): Shared, headers: HeaderMap) -> Response {
    let Some((_, grant)) = granted(&access.sessions.of(&headers)) else { return nothing_granted() };
    match grant.account.context().await {
        Ok(context) => Json(json!({"login": context.login_id, "organization": context.org_name})).into_response(),
        Err(error) => refused(&error),
    }
}

/// Has the token replaced before its time, as if a server had refused it.
pub(super) async fn refresh(State(access): Shared, headers: HeaderMap) -> Response {
    let Some((_, grant)) = granted(&access.sessions.of(&headers)) else { return nothing_granted() };
    match renew(&grant).await {
        Ok(()) => Json(json!({})).into_response(),
        Err(error) => refused(&error.into()),
    }
}

async fn renew(grant: &Grant) -> Result<(), AuthError> {
    let before = grant.store.shown().map(|shown| shown.generation);
    let lease = grant.tokens.token(None).await?;
    // An old one was replaced just now, for being asked for.
    if grant.store.shown().map(|shown| shown.generation) == before {
        grant.tokens.token(Some(lease.generation)).await?;
    }
    Ok(())
}

/// Has the server end what was granted, and shows that it is over.
pub(super) async fn revoke(State(access): Shared, headers: HeaderMap) -> Response {
    let Some((session, grant)) = granted(&access.sessions.of(&headers)) else { return nothing_granted() };
    // To be tried afterwards; where none can be had there is nothing to try.
    let last = grant.tokens.token(None).await.ok();
    let how = match grant.give_up().await {
        Ok(how) => how,
        Err(error) => return failed(&error.into(), StatusCode::BAD_GATEWAY),
    };
    let mut text = match how {
        Revocation::ByServer => "Revoked by the server, and forgotten here.".to_owned(),
        _ => {
            "Forgotten here. The server did not revoke the tokens: it does not know this application, or not any more.".to_owned()
        }
    };
    if let Some(lease) = last {
        match grant.try_again(lease).await {
            Ok(tried) => text.push_str(&format!(" {tried}")),
            Err(error) => text
                .push_str(&format!(" Whether the old token still opens anything could not be tried: {}.", with_causes(&error))),
        }
    }
    session.end(Note::good(text));
    Json(json!({})).into_response()
}

fn granted(session: &Option<Arc<Session>>) -> Option<(Arc<Session>, Arc<Grant>)> {
    let session = session.as_ref()?;
    Some((Arc::clone(session), session.grant()?))
}

/// Why a call did not do, and what to do where the server has forgotten this application.
fn refused(error: &Error) -> Response {
    if !matches!(error.auth_error(), Some(AuthError::ClientRejected { .. })) {
        return failed(error, StatusCode::FORBIDDEN);
    }
    let hint = "Was the emulator started anew? Then it has forgotten this program: revoke, and ask again.";
    refusal(StatusCode::FORBIDDEN, error.kind().as_str(), &format!("{}. {hint}", with_causes(error)))
}

fn nothing_granted() -> Response {
    let text = "Nobody has consented here, or the demo’s server was started anew since and has forgotten it. Ask for consent.";
    refusal(StatusCode::CONFLICT, "no_consent", text)
}
