//! Asks a person for consent, and takes the answer.

use std::sync::Arc;

use amplitude_sdk::{
    Error,
    server::{
        ScopeSet,
        oauth::{AuthError, CallbackFault, Pending},
    },
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Access, Grant, NAME, Shared, offers,
    session::{Note, Session},
    timeline::{Listener, list},
};
use crate::reply::{failed, refusal, with_causes};

#[derive(Deserialize)]
pub(super) struct Ask {
    scopes: Vec<String>,
}

/// Answers with where to send the browser; what the answer will be compared with goes along as a cookie.
pub(super) async fn ask(State(access): Shared, headers: HeaderMap, Json(ask): Json<Ask>) -> Response {
    let chosen: ScopeSet = offers()
        .into_iter()
        .map(|(scope, _)| scope)
        .filter(|scope| ask.scopes.iter().any(|name| name == scope.as_str()))
        .collect();
    if chosen.is_empty() || chosen.len() != ask.scopes.len() {
        return refusal(StatusCode::BAD_REQUEST, "invalid", "Choose at least one of the scopes that are offered.");
    }
    let (session, cookie) = match access.sessions.of_or_new(&headers) {
        Ok(found) => found,
        Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, "system", &error),
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match begin(&access, &session, host, &chosen).await {
        Ok((url, pending)) => {
            let mut answer = Json(json!({"url": url})).into_response();
            set_cookies(&mut answer, [Some(pending), cookie]);
            answer
        }
        Err(error) => failed(&error.into(), StatusCode::BAD_GATEWAY),
    }
}

async fn begin(access: &Access, session: &Session, host: &str, chosen: &ScopeSet) -> Result<(String, HeaderValue), AuthError> {
    let listener = Listener::new(&session.timeline);
    let app = access.application.connect(listener.clone()).await?;
    let (url, pending) = app.authorize(access.application.redirect(host), chosen.clone())?;
    session.timeline.note("note", format!("{NAME} asks for {}.", list(chosen)));
    session.ask(app, listener);
    Ok((url, access.sessions.keep_pending(&pending.seal(&access.key))))
}

/// Where the browser comes back to. It is sent on at once, so that no code stays in its address.
pub(super) async fn callback(State(access): Shared, uri: Uri, headers: HeaderMap) -> Response {
    let (session, cookie) = match access.sessions.of_or_new(&headers) {
        Ok(found) => found,
        Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, "system", &error),
    };
    let mut is_answered = true;
    match finish(&access, &session, &uri, &headers).await {
        Ok(()) => {}
        Err(Unfinished::Unknown) => session.tell(Note::bad(
            "This answer belongs to a request that the demo’s server does not know: it took too long, or the server was started \
             anew meanwhile. Ask again.",
        )),
        Err(Unfinished::Failed(error)) => {
            // It may be somebody else's answer: the right one may come yet.
            is_answered = !matches!(&error, AuthError::CallbackRejected(fault) if *fault != CallbackFault::Expired);
            let note = in_words(error);
            session.timeline.note("bad", note.clone());
            session.tell(Note::bad(note));
        }
    }
    let mut answer = (StatusCode::SEE_OTHER, [(header::LOCATION, "/#access")]).into_response();
    set_cookies(&mut answer, [cookie, is_answered.then(|| access.sessions.forget_pending())]);
    answer
}

enum Unfinished {
    /// Nobody here has asked.
    Unknown,
    Failed(AuthError),
}

impl From<AuthError> for Unfinished {
    fn from(error: AuthError) -> Self {
        Self::Failed(error)
    }
}

async fn finish(access: &Access, session: &Arc<Session>, uri: &Uri, headers: &HeaderMap) -> Result<(), Unfinished> {
    let (app, listener) = session.asked().ok_or(Unfinished::Unknown)?;
    let sealed = access.sessions.pending(headers).ok_or(Unfinished::Unknown)?;
    // What was sealed by another start of this server, or for another request, opens no more.
    let pending = Pending::open(&app, sealed, &access.key).map_err(|_| Unfinished::Unknown)?;
    let code = pending.verify(uri.query().unwrap_or_default())?;
    let tokens = pending.exchange(code).await?;
    let missing = tokens.requested().without(tokens.granted());
    let note = match missing.is_empty() {
        true => format!("You consented. {NAME} has a token for all that it asked for."),
        false => format!("You consented to less than {NAME} asked for: without {}.", list(&missing)),
    };
    let grant = Grant::start(&app, tokens, &access.amplitude, listener).await?;
    // From another tab; two grants for one purpose are one too many.
    if let Some(before) = session.grant_anew(grant, Note::good(note))
        && let Err(error) = before.give_up().await
    {
        session.timeline.note("busy", format!("The tokens of before could not be revoked: {}.", with_causes(&error)));
    }
    Ok(())
}

fn in_words(error: AuthError) -> String {
    match error {
        AuthError::Denied { ref code, .. } if code == "access_denied" => {
            format!("You denied access, so that {NAME} has no token and can read nothing.")
        }
        AuthError::CallbackRejected(CallbackFault::Expired) => "The answer came too late. Ask again.".to_owned(),
        error => format!("Nothing was granted: {}.", with_causes(&Error::from(error))),
    }
}

fn set_cookies<const N: usize>(answer: &mut Response, cookies: [Option<HeaderValue>; N]) {
    for cookie in cookies.into_iter().flatten() {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
