//! `/authorize`: who is sent where with what, and who is sent nowhere; and the documents that lead there.

use amplitude_sdk::{Region, emulator::Project};
use serde_json::json;

use super::*;

#[test]
fn both_documents_say_what_amplitudes_say() {
    let emulator = start();
    let issuer = emulator.url();
    let resource = get(&emulator, "/.well-known/oauth-protected-resource").json();
    assert_eq!((text(&resource, "resource"), &resource["authorization_servers"]), (issuer.as_str(), &json!([issuer])));
    let server = get(&emulator, "/.well-known/oauth-authorization-server").json();
    for (name, path) in [
        ("issuer", ""),
        ("authorization_endpoint", "/authorize"),
        ("token_endpoint", "/token"),
        ("registration_endpoint", "/register"),
        ("revocation_endpoint", "/revoke"),
    ] {
        assert_eq!(text(&server, name), format!("{issuer}{path}"));
    }
    assert_eq!(server["response_types_supported"], json!(["code"]));
    assert_eq!(server["grant_types_supported"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(server["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(server["token_endpoint_auth_methods_supported"], json!(["client_secret_post", "none"]));
    assert_eq!(server["revocation_endpoint_auth_methods_supported"], json!(["client_secret_post"]));
    for document in [&resource, &server] {
        let scopes = document["scopes_supported"].as_array().expect("a list");
        for scope in ["mcp:read", "mcp:write", "offline_access"] {
            assert!(scopes.contains(&json!(scope)), "{document}");
        }
    }
    assert_eq!(get(&emulator, "/.well-known/oauth-protected-resource/mcp").status, 404);
    assert_eq!(get(&emulator, "/.well-known/oauth-authorization-server/mcp").status, 404);

    let issuer = format!("{issuer}/eu");
    for path in ["/.well-known/oauth-authorization-server/eu", "/eu/.well-known/oauth-authorization-server"] {
        let server = get(&emulator, path).json();
        assert_eq!(
            (text(&server, "issuer"), text(&server, "token_endpoint")),
            (issuer.as_str(), format!("{issuer}/token").as_str())
        );
    }
    assert_eq!(get(&emulator, "/.well-known/oauth-protected-resource/eu").json()["resource"], issuer);
    let public = start_with(options().public_revocation(true));
    let server = get(&public, "/.well-known/oauth-authorization-server").json();
    assert_eq!(server["revocation_endpoint_auth_methods_supported"], json!(["client_secret_post", "none"]));
}

#[test]
fn who_is_not_known_is_sent_nowhere() {
    let emulator = granting();
    for changes in [
        &[("client_id", "nobody")][..],
        &[("client_id", "")],
        &[("redirect_uri", "")],
        &[("redirect_uri", "https://evil.example/callback")],
        &[("redirect_uri", "https://app.example/callback/")],
        &[("redirect_uri", "https://app.example/callback?more=1")],
        &[("redirect_uri", "https://app.example:443/callback")],
        &[("redirect_uri", "http://localhost/callback")],
        &[("redirect_uri", REDIRECT), ("redirect_uri", "https://evil.example/")],
        &[("client_id", "public"), ("client_id", "confidential")],
    ] {
        let reply = authorize(&emulator, changes);
        assert_eq!((reply.status, reply.header("location")), (400, None), "{changes:?}");
        assert!(reply.head.contains("content-type: text/html") && !reply.text().contains("evil.example"), "{}", reply.text());
    }
    assert_eq!(get(&emulator, "/authorize?client_id=%ff").status, 400);
    assert_eq!(emulator.oauth_counts().asked, 0);
}

#[test]
fn what_is_wrong_is_told_to_the_application_with_its_state() {
    let emulator = granting();
    let short = "x".repeat(42);
    let odd = "=".repeat(43);
    for (changes, error) in [
        (&[("response_type", "")][..], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "code token")], "unsupported_response_type"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge", short.as_str())], "invalid_request"),
        (&[("code_challenge", odd.as_str())], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("scope", "")], "invalid_scope"),
        (&[("scope", "mcp:read nobody:knows")], "invalid_scope"),
        (&[("scope", "mcp:read \u{e9}")], "invalid_scope"),
        (&[("scope", "mcp:read"), ("scope", "mcp:write")], "invalid_request"),
        (&[("resource", "https://other.example")], "invalid_target"),
        (&[("resource", "http://127.0.0.1:1")], "invalid_target"),
    ] {
        let reply = authorize(&emulator, changes);
        let told = answered(&reply);
        assert!(reply.status == 302 && reply.header("location").is_some_and(|it| it.starts_with(REDIRECT)), "{changes:?}");
        assert_eq!(value(&told, "error").as_deref(), Some(error), "{changes:?}");
        assert_eq!((value(&told, "state").as_deref(), value(&told, "code")), (Some("a state"), None));
    }
}

#[test]
fn the_state_comes_back_as_it_went() {
    let emulator = granting();
    for state in ["x", "&code=stolen#?%00", "\u{4e2d} \"<script>", &"s".repeat(2000)] {
        let told = answered(&authorize(&emulator, &[("state", state)]));
        assert_eq!(value(&told, "state").as_deref(), Some(state));
        assert_eq!(told.iter().filter(|(name, _)| name == "code").count(), 1);
    }
    assert_eq!(value(&answered(&authorize(&emulator, &[("state", "")])), "state"), None);
    let twice = answered(&authorize(&emulator, &[("state", "one"), ("state", "two")]));
    assert_eq!((value(&twice, "error").as_deref(), value(&twice, "state")), (Some("invalid_request"), None));
}

#[test]
fn t_a6_loopback_addresses_have_any_port_and_localhost_the_registered_ones() {
    let client = OAuthClient::new("tool")
        .redirect_uri("http://127.0.0.1/callback")
        .redirect_uri("http://[::1]:1/callback")
        .redirect_uri("http://localhost:13222/callback")
        .redirect_uri("http://localhost:13223/callback");
    let emulator = start_with(OAuthOptions::new().client(client).consent(Consent::Grant));
    let ask = |uri: &str| authorize(&emulator, &[("client_id", "tool"), ("redirect_uri", uri)]);
    for good in [
        "http://127.0.0.1/callback",
        "http://127.0.0.1:49152/callback",
        "http://[::1]:49152/callback",
        "http://localhost:13222/callback",
        "http://localhost:13223/callback",
    ] {
        let reply = ask(good);
        assert!(
            reply.status == 302 && reply.header("location").is_some_and(|it| it.starts_with(&format!("{good}?code="))),
            "{good}"
        );
        let own = [("client_id", "tool"), ("redirect_uri", good)];
        assert_eq!(exchange(&emulator, &code_of(&reply), &own).status, 200, "{good}");
    }
    for bad in [
        "http://localhost:13224/callback",
        "http://localhost/callback",
        "http://127.0.0.1:49152/other",
        "http://127.0.0.1:49152@evil.example/callback",
        "http://127.0.0.2:1/callback",
        "https://127.0.0.1/callback",
    ] {
        assert_eq!(ask(bad).status, 400, "{bad}");
    }
    let port = |uri: &'static str| [("client_id", "tool"), ("redirect_uri", uri)];
    let code = code_of(&ask("http://127.0.0.1:1/callback"));
    refused(&exchange(&emulator, &code, &port("http://127.0.0.1:2/callback")), 400, "invalid_grant");
}

#[test]
fn a_region_knows_its_own_alone() {
    let eu = Project::new("eu-key", "eu-secret", Region::Eu);
    let client = OAuthClient::new("european").region(Region::Eu).redirect_uri(REDIRECT);
    let options = options().client(client).consent(Consent::Grant);
    let emulator = Emulator::builder().project(Project::default()).project(eu).oauth(options).start().expect("a free port");
    assert_eq!(authorize(&emulator, &[("client_id", "european")]).status, 400);
    let pairs = [
        ("response_type", "code"),
        ("client_id", "european"),
        ("redirect_uri", REDIRECT),
        ("scope", "events:read offline_access"),
        ("code_challenge", &challenge(VERIFIER)),
        ("code_challenge_method", "S256"),
    ];
    let code = code_of(&get(&emulator, &format!("/eu/authorize?{}", encoded(&pairs))));
    let own = [("client_id", "european")];
    refused(&exchange(&emulator, &code, &own), 401, "invalid_client");
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "european"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let tokens = post_form(&emulator, "/eu/token", &form).json();
    let headers = bearer(text(&tokens, "access_token"));
    let query = "start=20260101T00&end=20260101T01";
    assert_eq!(ask(&emulator, &format!("GET /eu/api/2/export?{query}"), &headers, b"").status, 404, "no events, but it may ask");
    let elsewhere = ask(&emulator, &format!("GET /api/2/export?{query}"), &headers, b"");
    assert_eq!(elsewhere.status, 401);
    assert!(elsewhere.header("www-authenticate").is_some_and(|it| it.contains("invalid_token")));
    let body = [("grant_type", "refresh_token"), ("client_id", "public"), ("refresh_token", text(&tokens, "refresh_token"))];
    refused(&post_form(&emulator, "/token", &body), 400, "invalid_grant");
    assert_eq!(emulator.oauth_counts().reused, 0);
}
