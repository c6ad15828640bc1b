//! Delegated access: a bookkeeping program that reads the shop's events for a person who consents, and knows no secret key.
//!
//! ```text
//! page ─ask─> application: finds the authorization server, registers there ─> the address of its consent page, and a sealed cookie
//! browser ──> consent page ──> callback: compared with the cookie, exchanged for tokens ──> page, without the code
//! page ─────> tokens: reads events with the bearer, refreshes, revokes
//! ```
//!
//! The program has a person's tokens in a session of its own. No token, code or secret comes near the page: it is told what became of
//! them, in words.

mod application;
mod consent;
mod session;
mod store;
mod timeline;
mod tokens;

use std::sync::Arc;

use amplitude_sdk::server::{
    Scope,
    oauth::{AuthError, EncryptionKey},
    scope::{OFFLINE_ACCESS, PROJECTS_READ},
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use self::{
    application::Application,
    session::{Session, Sessions},
    tokens::Grant,
};
use crate::{Failure, reply};

/// What the consent page calls the program.
const NAME: &str = "Tidebook";

/// The scopes that the program registers, the emulator's own names among them, and what it wants them for. It asks for those that its
/// user chooses.
fn offers() -> [(Scope, &'static str); 4] {
    let own = |name| Scope::new(name).expect("the names are scopes");
    [
        (read_events(), "Read the shop’s events"),
        (PROJECTS_READ, "See whose organization it is"),
        (own("cohorts:manage"), "Manage cohorts, for which it has no use yet"),
        (OFFLINE_ACCESS, "Go on when the first token has expired, without asking again"),
    ]
}

fn read_events() -> Scope {
    Scope::new("events:read").expect("the name is a scope")
}

pub(crate) struct Access {
    amplitude: String,
    application: Application,
    sessions: Sessions,
    /// Seals what a browser keeps while its user is asked. Another one after each start.
    key: EncryptionKey,
}

impl Access {
    /// `port`: where this server listens, which users come back to.
    pub(crate) fn new(amplitude: &str, port: u16) -> Result<Self, Failure> {
        Ok(Self {
            amplitude: amplitude.to_owned(),
            application: Application::new(amplitude, port)?,
            sessions: Sessions::new(port),
            key: EncryptionKey::from_bytes(&session::random()?),
        })
    }
}

type Shared = State<Arc<Access>>;

pub(crate) fn router(access: Access) -> Router {
    Router::new()
        .route("/access", get(show))
        .route("/access/ask", post(consent::ask))
        .route(application::CALLBACK, get(consent::callback))
        .route("/access/events", post(tokens::read_events))
        .route("/access/account", post(tokens::look_up))
        .route("/access/refresh", post(tokens::refresh))
        .route("/access/revoke", post(tokens::revoke))
        .with_state(Arc::new(access))
}

/// Where the person who asks is in the story.
async fn show(State(access): Shared, headers: HeaderMap) -> Response {
    let session = access.sessions.of(&headers);
    let offers = offers().map(|(scope, meaning)| json!({"scope": scope.as_str(), "meaning": meaning}));
    let mut view = json!({
        "application": NAME, "offers": offers, "grant": null, "note": null, "timeline": [],
        // Of a cookie whose session is gone, because the server was started anew or had too many.
        "forgotten": session.is_none() && access.sessions.has_cookie(&headers),
    });
    if let Some(session) = session
        && let Err(error) = add(&mut view, &session).await
    {
        return reply::failed(&error.into(), StatusCode::FORBIDDEN);
    }
    Json(view).into_response()
}

async fn add(view: &mut Value, session: &Session) -> Result<(), AuthError> {
    view["note"] = json!(session.note());
    if let Some(grant) = session.grant() {
        view["grant"] = grant.view().await?;
    }
    view["timeline"] = json!(session.timeline.entries());
    Ok(())
}
