//! What the emulator tells of OAuth: all that a test needs, and no secret.

use amplitude_sdk::{
    Region,
    emulator::{Api, Fault, ServiceAccount},
};
use serde_json::json;

use super::*;

#[test]
fn what_is_told_holds_no_secret() {
    let emulator = start_with(options().consent(Consent::Grant).registration_management(true));
    let mut secrets = vec![SECRET.to_owned(), VERIFIER.to_owned()];
    let mut keep = |body: &Value| {
        for name in ["access_token", "refresh_token", "client_secret", "registration_access_token", "device_code"] {
            secrets.extend(body[name].as_str().map(str::to_owned));
        }
    };
    let registration = json!({"redirect_uris": [REDIRECT]});
    keep(&post(&emulator, "/register", &registration).json());
    let code = code_of(&authorize(&emulator, &[]));
    let first = exchange(&emulator, &code, &[]).json();
    let second = refresh(&emulator, text(&first, "refresh_token"), &[]).json();
    keep(&first);
    keep(&second);
    let device = post(&emulator, "/v1/auth/device-authorization", &json!({"scope": "mcp:read"})).json();
    keep(&device);
    keep(
        &post(
            &emulator,
            "/v1/auth/token",
            &json!({"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device["device_code"]}),
        )
        .json(),
    );
    ask(&emulator, "GET /v1/context", &bearer(text(&second, "access_token")), b"");
    refresh(&emulator, text(&second, "refresh_token"), &[("scope", "mcp:write")]);
    secrets.push(code);
    assert_eq!(secrets.len(), 11, "{}", secrets.len());
    for path in ["/_emulator/oauth", "/_emulator/requests", "/_emulator/state"] {
        let told = get(&emulator, path).text();
        for secret in &secrets {
            assert!(!told.contains(secret.as_str()), "{path}: {told}");
        }
    }
    let debug = format!("{emulator:?}");
    for secret in &secrets {
        assert!(!debug.contains(secret.as_str()));
    }
}

#[test]
fn a_test_sees_clients_grants_and_live_tokens() {
    let emulator =
        start_with(options().consent(Consent::Grant).service_account(ServiceAccount::new("robot", SECRET, Region::Eu)));
    let tokens = tokens(&emulator, "events:read offline_access");
    let state = get(&emulator, "/_emulator/oauth").json();
    let ids: Vec<_> = state["clients"].as_array().expect("a list").iter().map(|it| text(it, "client_id")).collect();
    assert_eq!(ids, ["public", "confidential", "robot"]);
    assert_eq!((&state["clients"][2]["region"], &state["clients"][2]["service_account"]), (&json!("eu"), &json!(true)));
    let grant = &state["grants"][0];
    assert_eq!(
        (text(grant, "client_id"), text(grant, "login_id"), text(grant, "flow")),
        ("public", "ada@example.com", "authorization_code")
    );
    assert_eq!(text(grant, "project"), amplitude_sdk::emulator::DEMO_KEY);
    let live: Vec<_> =
        grant["tokens"].as_array().expect("a list").iter().map(|it| (text(it, "kind"), text(it, "fingerprint"))).collect();
    let fingerprint = |name: &str| {
        let digest = ring::digest::digest(&ring::digest::SHA256, text(&tokens, name).as_bytes());
        digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(live, [("access", fingerprint("access_token").as_str()), ("refresh", fingerprint("refresh_token").as_str())]);
    let counts = json!({"registered": 0, "asked": 1, "consented": 1, "denied": 0, "issued": 1, "refreshed": 0, "reused": 0, "replayed": 0, "revoked": 0});
    assert_eq!(state["counts"], counts);
    advance(&emulator, 3600);
    assert_eq!(
        get(&emulator, "/_emulator/oauth").json()["grants"][0]["tokens"].as_array().map(Vec::len),
        Some(1),
        "one has expired"
    );

    assert_eq!(post(&emulator, "/_emulator/reset", &json!({})).status, 204);
    let state = get(&emulator, "/_emulator/oauth").json();
    assert_eq!(
        (&state["grants"], &state["counts"]["issued"], state["clients"].as_array().map(Vec::len)),
        (&json!([]), &json!(0), Some(3))
    );
    refused(&refresh(&emulator, text(&tokens, "refresh_token"), &[]), 400, "invalid_grant");
}

#[test]
fn token_endpoints_fail_on_demand() {
    let emulator = granting();
    let tokens = tokens(&emulator, "mcp:read offline_access");
    emulator.fault_on(Api::Token, Fault::Status(503), 1);
    assert_eq!(refresh(&emulator, text(&tokens, "refresh_token"), &[]).status, 503);
    assert_eq!(post(&emulator, "/_emulator/faults", &json!({"kind": "accept_then_hang_up", "api": "token"})).status, 204);
    let form =
        encoded(&[("grant_type", "refresh_token"), ("client_id", "public"), ("refresh_token", text(&tokens, "refresh_token"))]);
    assert!(try_ask(&emulator, "POST /token", FORM, form.as_bytes()).is_none());
    assert_eq!(emulator.oauth_counts().refreshed, 1, "the answer was lost after the token was used");
    refused(&refresh(&emulator, text(&tokens, "refresh_token"), &[]), 400, "invalid_grant");
    for (api, path) in [(Api::Revoke, "/revoke"), (Api::Device, "/v1/auth/device-authorization"), (Api::Token, "/v1/auth/token")]
    {
        emulator.fault_on(api, Fault::Status(502), 1);
        assert_eq!(post_form(&emulator, path, &[]).status, 502, "{path}");
    }
    emulator.fault_on(Api::Context, Fault::Status(502), 1);
    assert_eq!(get(&emulator, "/v1/context").status, 502);
}

#[test]
fn options_that_cannot_be_are_refused() {
    let flaw = |options: OAuthOptions| Emulator::builder().oauth(options).start().map(|_| ()).expect_err("a flaw").to_string();
    assert!(flaw(OAuthOptions::new().event_scope("two words")).contains("scope"));
    assert!(flaw(OAuthOptions::new().scope("", "nothing")).contains("scope"));
    assert!(
        flaw(OAuthOptions::new().client(OAuthClient::new("app").redirect_uri("http://app.example/"))).contains("redirect URI")
    );
    assert!(flaw(options().client(OAuthClient::new("public"))).contains("client id"));
    assert!(flaw(OAuthOptions::new().client(OAuthClient::new("developer-api"))).contains("client id"));
    assert!(flaw(OAuthOptions::new().client(OAuthClient::new(""))).contains("client id"));
}
