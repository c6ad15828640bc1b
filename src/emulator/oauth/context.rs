//! `GET /v1/context` of the Developer API: who a token is, and what it may.

use axum::http::header;
use serde_json::json;

use super::{Asked, bearer::Challenge, grants::Flow, scopes::Scopes};
use crate::{
    Region,
    emulator::{
        answer::{Answer, Body},
        credentials::Presented,
        state::State,
    },
};

/// The one organization of the emulator.
const ORG: (&str, &str) = ("900001", "Emulated Organization");

pub(super) fn context(state: &mut State, asked: &Asked) -> Answer {
    let (oauth, region) = (&state.oauth, asked.region);
    let presented = Presented::of(&asked.headers);
    let found = match &presented {
        Presented::Nothing => Err(oauth.missing(region)),
        Presented::Bearer(token) => oauth
            .access(region, token, state.now_ms())
            .map(|(grant, scopes)| {
                let kind = if grant.flow == Flow::ClientCredentials { "service_account" } else { "oauth" };
                (grant.login_id.as_str(), kind, scopes)
            })
            .map_err(|refused| oauth.invalid(region, &refused)),
        Presented::PersonalAccessToken(_) => match presented.find(&state.credentials, region) {
            Some(token) => match state.credential_state(token.secret()).refusal() {
                None => Ok((oauth.options.login_id.as_str(), "pat", &token.scopes)),
                Some(text) => Err(oauth.ended(region, text)),
            },
            None if is_of_another_region(&presented, state) => Err(oauth.ended(region, "the token is of another region")),
            None => Err(oauth.invalid(region, &super::Refused::Unknown)),
        },
        _ => Err(oauth.malformed(region)),
    };
    match found {
        Ok((_, _, scopes)) if !may_read(scopes) => problem(oauth.insufficient(region, "projects:read"), "insufficient_scope"),
        Ok((login_id, auth_type, scopes)) => {
            let (id, name) = ORG;
            Answer::new(200, Body::Json(json!({"data": {
                "object": "context",
                "principal": {
                    "object": "principal", "login_id": login_id, "org_id": id, "org_name": name, "auth_type": auth_type, "scopes": scopes,
                },
                "org": {"object": "org", "id": id, "name": name},
            }})))
            .unstored()
        }
        Err(challenge) => problem(challenge, "invalid_api_key"),
    }
}

/// Amplitude may not say so.
fn is_of_another_region(presented: &Presented, state: &State) -> bool {
    [Region::Us, Region::Eu].into_iter().any(|region| presented.find(&state.credentials, region).is_some())
}

/// The coarse scopes stand for the granular ones.
fn may_read(scopes: &Scopes) -> bool {
    ["projects:read", "mcp:read", "mcp:write"].into_iter().any(|it| scopes.has(it))
}

fn problem(challenge: Challenge, code: &str) -> Answer {
    let (status, detail) = (challenge.status(), challenge.description);
    let title = if status == 403 { "Forbidden" } else { "Unauthorized" };
    let body = json!({
        "type": "about:blank", "title": title, "status": status, "detail": detail, "instance": "/v1/context", "error_code": code,
        "retryable": false,
    });
    challenge.on(Answer::new(status, Body::Json(body)).with(header::CONTENT_TYPE, "application/problem+json"))
}
