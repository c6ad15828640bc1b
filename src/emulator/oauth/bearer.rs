//! What a bearer token opens, and the challenges that tell why it does not (RFC 6750, section 3).

use axum::http::header;
use serde_json::{Value, json};

use super::{Asked, OAuth, grants::Refused};
use crate::{
    Region,
    emulator::{
        answer::{Answer, Body},
        credentials::Presented,
        sealed::Sealed,
        state::State,
    },
};

/// Why a token opens nothing here.
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    status: u16,
    pub(super) description: &'static str,
    header: String,
    error: &'static str,
}

impl Challenge {
    pub(super) fn on(self, answer: Answer) -> Answer {
        answer.with(header::WWW_AUTHENTICATE, &self.header)
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }
}

impl OAuth {
    fn challenge(&self, region: Region, error: &'static str, description: &'static str, scope: Option<&str>) -> Challenge {
        let metadata = format!("{}/.well-known/oauth-protected-resource", self.issuer(region));
        let scope = scope.map_or(String::new(), |scope| format!(r#", scope="{scope}""#));
        let status = if error == "insufficient_scope" { 403 } else { 401 };
        let header = format!(
            r#"Bearer realm="OAuth", resource_metadata="{metadata}", error="{error}", error_description="{description}"{scope}"#
        );
        Challenge { status, description, header, error }
    }

    pub(super) fn missing(&self, region: Region) -> Challenge {
        self.challenge(region, "invalid_request", "Missing authorization header", None)
    }

    pub(super) fn malformed(&self, region: Region) -> Challenge {
        self.challenge(region, "invalid_request", "The authorization header is not a bearer token", None)
    }

    pub(super) fn invalid(&self, region: Region, refused: &Refused) -> Challenge {
        let text = match refused {
            Refused::Expired => "The access token expired",
            Refused::Ended | Refused::Reused => "The access token was revoked",
            Refused::Unknown => "The access token is not known here",
        };
        self.challenge(region, "invalid_token", text, None)
    }

    /// Of a credential that is no token of OAuth.
    pub(super) fn ended(&self, region: Region, text: &'static str) -> Challenge {
        self.challenge(region, "invalid_token", text, None)
    }

    pub(super) fn insufficient(&self, region: Region, scope: &str) -> Challenge {
        self.challenge(region, "insufficient_scope", "The access token was not granted this", Some(scope))
    }
}

/// What of a project an application may have for a user who consented: the emulator's own.
#[derive(Clone, Copy, Debug)]
pub(in crate::emulator) enum Delegated {
    /// Its events, by Export.
    Events,
    /// Its cohorts.
    Cohorts,
}

/// The key of the project that a token was granted this for.
pub(in crate::emulator) fn permit(state: &State, region: Region, token: &Sealed, what: Delegated) -> Result<String, Answer> {
    let oauth = &state.oauth;
    let scope = match what {
        Delegated::Events => &oauth.catalogue.events,
        Delegated::Cohorts => &oauth.catalogue.cohorts,
    };
    let refuse = |challenge: Challenge| {
        let answer = Answer::text(challenge.status(), challenge.description);
        challenge.on(answer)
    };
    let (grant, scopes) =
        oauth.access(region, token, state.now_ms()).map_err(|refused| refuse(oauth.invalid(region, &refused)))?;
    let project = grant.project.as_ref().filter(|_| scopes.has(scope));
    project.cloned().ok_or_else(|| refuse(oauth.insufficient(region, scope)))
}

/// The MCP endpoint: its check of tokens alone. There are no tools behind it.
pub(super) fn mcp(state: &mut State, asked: &Asked) -> Answer {
    let oauth = &state.oauth;
    let region = asked.region;
    let checked = match Presented::of(&asked.headers) {
        Presented::Nothing => Err(oauth.missing(region)),
        Presented::Bearer(token) => match oauth.access(region, &token, state.now_ms()) {
            Ok((_, scopes)) if scopes.has("mcp:read") || scopes.has("mcp:write") => Ok(()),
            Ok(_) => Err(oauth.insufficient(region, "mcp:read")),
            Err(refused) => Err(oauth.invalid(region, &refused)),
        },
        _ => Err(oauth.malformed(region)),
    };
    if let Err(challenge) = checked {
        let body = json!({"error": challenge.error, "error_description": challenge.description});
        return challenge.clone().on(Answer::new(challenge.status(), Body::Json(body)));
    }
    let id = serde_json::from_slice(&asked.body).map_or(Value::Null, |body: Value| body["id"].clone());
    let error = json!({"code": -32601, "message": "the emulator checks tokens here, and has no tools"});
    Answer::new(200, Body::Json(json!({"jsonrpc": "2.0", "id": id, "error": error})))
}
