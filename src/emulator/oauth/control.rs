//! What only an emulator has: what OAuth knows, and the hand of the user, for tests.

use axum::{
    Json, Router,
    extract::State as Shared,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Consent, Routes, authorize::moved, region_name, scopes::Scopes};
use crate::{
    emulator::{
        answer::{Answer, Body},
        routes::Emulated,
        sealed::Sealed,
        state::State,
    },
    promise::lock,
};

pub(super) fn router() -> Routes {
    Router::new()
        .route("/_emulator/oauth", get(show))
        .route("/_emulator/oauth/approve", post(approve))
        .route("/_emulator/oauth/consent", post(set_consent))
        .route("/_emulator/oauth/revoke", post(revoke))
        .route("/_emulator/oauth/secret", post(set_secrets))
        .layer(axum::middleware::from_fn(crate::emulator::guard::own_pages_alone))
}

/// Never a token, a code or a secret: fingerprints alone.
async fn show(Shared(state): Emulated) -> Json<Value> {
    let state = lock(&state);
    let (now_ms, oauth) = (state.now_ms(), &state.oauth);
    let clients = oauth.clients.iter().map(|it| {
        json!({
            "client_id": it.id, "name": it.name, "region": region_name(it.region), "auth_method": it.auth_method(),
            "service_account": it.may.credentials, "redirect_uris": it.redirect_uris, "scopes": it.scopes,
            "secrets": it.secrets.iter().map(Sealed::to_string).collect::<Vec<_>>(),
        })
    });
    let requests = oauth.requests.iter().filter(|(_, it)| it.expires_ms > now_ms).map(|(id, it)| {
        let region = region_name(it.region);
        json!({"request": id, "client_id": it.client_id, "scopes": it.scopes, "region": region, "expires_ms": it.expires_ms})
    });
    let waits = |it: &&super::Device| it.stage == super::device::Stage::Waits && it.expires_ms > now_ms;
    let devices = oauth.devices.values().filter(waits).map(|it| {
        let region = region_name(it.region);
        json!({"user_code": it.user_code, "scopes": it.scopes, "region": region, "expires_ms": it.expires_ms})
    });
    Json(json!({
        "counts": oauth.counts, "clients": clients.collect::<Vec<_>>(), "requests": requests.collect::<Vec<_>>(),
        "devices": devices.collect::<Vec<_>>(), "grants": oauth.grants.describe(now_ms),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    request: Option<String>,
    user_code: Option<String>,
    /// All that is asked for where they are not named; with none of them access is denied.
    scopes: Option<Vec<String>>,
    project: Option<String>,
}

/// Answers as the consent page does: for an application with the redirect that takes the browser back to it.
async fn approve(Shared(state): Emulated, Json(approval): Json<Approval>) -> Answer {
    let mut state = lock(&state);
    match (&approval.request, &approval.user_code) {
        (Some(id), None) => approve_request(&mut state, id, &approval),
        (None, Some(code)) => approve_device(&mut state, code, &approval),
        _ => Answer::text(400, "approve: must have either request or user_code"),
    }
}

impl Approval {
    fn granted(&self, asked: &Scopes) -> Result<Scopes, Answer> {
        let Some(names) = &self.scopes else { return Ok(asked.clone()) };
        let granted: Scopes = names.iter().map(String::as_str).collect();
        if granted.is_within(asked) {
            Ok(granted)
        } else {
            Err(Answer::text(400, "approve: scopes has one that was not asked for"))
        }
    }

    fn project(&self, state: &State, region: crate::Region) -> Result<Option<String>, Answer> {
        match &self.project {
            Some(key) if !state.projects_of(region).any(|it| it.project.key == *key) => {
                Err(Answer::text(400, "approve: no such project in this region"))
            }
            Some(key) => Ok(Some(key.clone())),
            None => Ok(state.first_project(region)),
        }
    }
}

fn approve_request(state: &mut State, id: &str, approval: &Approval) -> Answer {
    let now_ms = state.now_ms();
    let Some(request) = state.oauth.requests.get(id).filter(|it| it.expires_ms > now_ms).cloned() else {
        return Answer::text(404, "approve: no such request waits");
    };
    let (granted, project) = match (approval.granted(&request.scopes), approval.project(state, request.region)) {
        (Ok(granted), Ok(project)) => (granted, project),
        (Err(answer), _) | (_, Err(answer)) => return answer,
    };
    state.oauth.requests.remove(id);
    moved(303, &state.oauth.settle(request, granted, project, now_ms))
}

fn approve_device(state: &mut State, code: &str, approval: &Approval) -> Answer {
    let now_ms = state.now_ms();
    for region in [crate::Region::Us, crate::Region::Eu] {
        let Some(device) = state.oauth.waiting(region, code, now_ms) else { continue };
        let scopes = device.scopes.clone();
        let (granted, project) = match (approval.granted(&scopes), approval.project(state, region)) {
            (Ok(granted), Ok(project)) => (granted, project),
            (Err(answer), _) | (_, Err(answer)) => return answer,
        };
        let stage = state.oauth.decided(region, granted, project);
        if let Some(device) = state.oauth.waiting(region, code, now_ms) {
            device.stage = stage;
        }
        return Answer::new(204, Body::Empty);
    }
    Answer::text(404, "approve: no device waits with this code")
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Ask,
    Grant,
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewConsent {
    mode: Mode,
    /// Of those asked for, what is granted. Default: all.
    scopes: Option<Vec<String>>,
}

async fn set_consent(Shared(state): Emulated, Json(consent): Json<NewConsent>) -> Answer {
    lock(&state).oauth.options.consent = match (consent.mode, consent.scopes) {
        (Mode::Ask, None) => Consent::Ask,
        (Mode::Grant, None) => Consent::Grant,
        (Mode::Grant, Some(scopes)) => Consent::GrantOnly(scopes),
        (Mode::Deny, None) => Consent::Deny,
        (Mode::Ask | Mode::Deny, Some(_)) => return Answer::text(400, "consent: only the mode grant takes scopes"),
    };
    Answer::new(204, Body::Empty)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    grant: usize,
}

/// As a user does who takes an application's access away.
async fn revoke(Shared(state): Emulated, Json(revocation): Json<Revocation>) -> Answer {
    let mut state = lock(&state);
    let oauth = &mut state.oauth;
    if revocation.grant >= oauth.grants.len() {
        return Answer::text(404, "revoke: no such grant");
    }
    oauth.grants.end(revocation.grant, "revoked by its user", &mut oauth.counts);
    Answer::new(204, Body::Empty)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    client_id: String,
    /// The ones that are good from now on: two, while one takes the place of the other.
    secrets: Vec<String>,
}

/// As an administrator rotates the secret of an application or a service account.
async fn set_secrets(Shared(state): Emulated, Json(secrets): Json<Secrets>) -> Answer {
    let mut state = lock(&state);
    let Some(client) = state.oauth.clients.iter_mut().find(|it| it.id == secrets.client_id) else {
        return Answer::text(404, "secret: no such client");
    };
    if client.secrets.is_empty() || !(1..=2).contains(&secrets.secrets.len()) {
        return Answer::text(400, "secret: must be one or two, of a client that has one");
    }
    client.secrets = secrets.secrets.iter().map(|it| Sealed::of(it)).collect();
    Answer::new(204, Body::Empty)
}
