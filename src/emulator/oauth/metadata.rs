//! The documents of RFC 9728 and RFC 8414, with the members that Amplitude's are known to have.

use axum::{Extension, Router, http::header, routing::get};
use serde_json::{Value, json};

use super::{Asked, Endpoint, Judge, Routes, prefix, scopes::Surface, serve};
use crate::{
    Region,
    emulator::{
        answer::{Answer, Body},
        state::State,
    },
};

pub(super) fn resource(state: &mut State, asked: &Asked) -> Answer {
    let oauth = &state.oauth;
    let issuer = oauth.issuer(region(asked));
    let scopes = oauth.catalogue.all(Surface::Mcp);
    document(json!({"resource": issuer, "authorization_servers": [issuer], "scopes_supported": scopes}))
}

pub(super) fn server(state: &mut State, asked: &Asked) -> Answer {
    let oauth = &state.oauth;
    let issuer = oauth.issuer(region(asked));
    let revocation =
        if oauth.options.public_revocation { json!(["client_secret_post", "none"]) } else { json!(["client_secret_post"]) };
    // Like Amplitude's, it does not list client_credentials, although service accounts use it here.
    document(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "scopes_supported": oauth.catalogue.all(Surface::Mcp),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "none"],
        "revocation_endpoint_auth_methods_supported": revocation,
        "code_challenge_methods_supported": ["S256"],
    }))
}

fn document(document: Value) -> Answer {
    Answer::new(200, Body::Json(document)).with(header::CACHE_CONTROL, "no-cache")
}

/// An issuer with a path has its documents at the origin, the path after the well-known name; Amplitude's have none, so that there any
/// path after the name is 404.
pub(super) fn eu() -> Routes {
    let at = |name: &str| format!("/.well-known/{name}{}", prefix(Region::Eu));
    let eu = |judge: Judge| get(serve).layer(Extension(Endpoint(judge, None)));
    Router::new().route(&at("oauth-protected-resource"), eu(resource)).route(&at("oauth-authorization-server"), eu(server))
}

fn region(asked: &Asked) -> Region {
    if asked.path.ends_with(prefix(Region::Eu)) { Region::Eu } else { asked.region }
}
