//! The device flow of the Developer API: no client id, an interval that is kept, and the page where the code is entered.

use serde_json::json;

use super::*;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn begin(emulator: &Emulator, scope: &str) -> Value {
    let reply = post(emulator, "/v1/auth/device-authorization", &json!({"scope": scope}));
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{}", reply.text());
    reply.json()
}

fn poll(emulator: &Emulator, device: &Value) -> Reply {
    post(emulator, "/v1/auth/token", &json!({"grant_type": GRANT_TYPE, "device_code": device["device_code"]}))
}

fn approve(emulator: &Emulator, device: &Value, scopes: Value) -> u16 {
    post(emulator, "/_emulator/oauth/approve", &json!({"user_code": device["user_code"], "scopes": scopes})).status
}

#[test]
fn t_c1_a_device_waits_for_its_user_and_gets_tokens() {
    let emulator = start();
    let device = begin(&emulator, "openid offline_access projects:read");
    assert_eq!((&device["expires_in"], &device["interval"]), (&json!(600), &json!(5)));
    let (page, code) = (text(&device, "verification_uri"), text(&device, "user_code"));
    assert_eq!(page, format!("{}/activate", emulator.url()));
    assert_eq!(text(&device, "verification_uri_complete"), format!("{page}?user_code={code}"));
    assert!(code.len() == 9 && code.chars().nth(4) == Some('-'), "{code}");
    refused(&poll(&emulator, &device), 400, "authorization_pending");
    assert_eq!(approve(&emulator, &device, Value::Null), 204);
    advance(&emulator, 5);
    let tokens = poll(&emulator, &device);
    assert_eq!((tokens.status, tokens.header("cache-control")), (200, Some("no-store")));
    let tokens = tokens.json();
    assert_eq!((text(&tokens, "token_type"), text(&tokens, "scope")), ("Bearer", "offline_access openid projects:read"));
    let context = ask(&emulator, "GET /v1/context", &bearer(text(&tokens, "access_token")), b"");
    assert_eq!(context.status, 200);

    let form = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
    let second = post_form(&emulator, "/v1/auth/token", &form).json();
    refused(&post_form(&emulator, "/v1/auth/token", &form), 400, "invalid_grant");
    let again =
        post(&emulator, "/v1/auth/token", &json!({"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}));
    refused(&again, 400, "invalid_grant");
    assert_eq!(emulator.oauth_counts().reused, 1, "the family ended with the one that came twice");
}

#[test]
fn t_c1_who_asks_too_often_waits_longer_for_good() {
    let emulator = start();
    let device = begin(&emulator, "projects:read");
    refused(&poll(&emulator, &device), 400, "authorization_pending");
    refused(&poll(&emulator, &device), 400, "slow_down");
    advance(&emulator, 6);
    refused(&poll(&emulator, &device), 400, "slow_down");
    advance(&emulator, 14);
    refused(&poll(&emulator, &device), 400, "slow_down");
    advance(&emulator, 20);
    refused(&poll(&emulator, &device), 400, "authorization_pending");
    let other = begin(&emulator, "projects:read");
    refused(&poll(&emulator, &other), 400, "authorization_pending");
    advance(&emulator, 5);
    refused(&poll(&emulator, &other), 400, "authorization_pending");
}

#[test]
fn t_c1_a_code_is_denied_expires_and_is_used_once() {
    let emulator = start();
    let denied = begin(&emulator, "projects:read");
    assert_eq!(approve(&emulator, &denied, json!([])), 204);
    refused(&poll(&emulator, &denied), 400, "access_denied");
    assert_eq!(approve(&emulator, &denied, Value::Null), 404, "it was answered");

    let used = begin(&emulator, "mcp:read");
    assert_eq!(approve(&emulator, &used, Value::Null), 204);
    let tokens = poll(&emulator, &used).json();
    assert_eq!(tokens["refresh_token"], Value::Null, "without offline_access there is none");
    assert!(opens(&emulator, text(&tokens, "access_token")));
    refused(&poll(&emulator, &used), 400, "invalid_grant");
    assert!(!opens(&emulator, text(&tokens, "access_token")), "a code that comes twice takes back what it gave");

    let late = begin(&emulator, "projects:read");
    refused(&poll(&emulator, &late), 400, "authorization_pending");
    advance(&emulator, 600);
    refused(&poll(&emulator, &late), 400, "expired_token");
    assert_eq!(approve(&emulator, &late, Value::Null), 404);
    refused(&poll(&emulator, &json!({"device_code": "dc_unknown"})), 400, "invalid_grant");
    assert_eq!(emulator.oauth_counts().replayed, 1);
}

#[test]
fn what_a_device_may_not_ask_for_is_refused() {
    let emulator = start();
    let ask_for = |body: &Value| post(&emulator, "/v1/auth/device-authorization", body);
    refused(&ask_for(&json!({"scope": "offline_access projects:read"})), 400, "invalid_scope");
    refused(&ask_for(&json!({"scope": "nobody:knows"})), 400, "invalid_scope");
    refused(&ask_for(&json!({"scope": 5})), 400, "invalid_request");
    refused(&ask_for(&json!([])), 400, "invalid_request");
    refused(&ask_for(&json!({"code_challenge": challenge(VERIFIER), "code_challenge_method": "plain"})), 400, "invalid_request");
    refused(&ask(&emulator, "POST /v1/auth/device-authorization", "content-type: text/plain\r\n", b"x"), 400, "invalid_request");
    assert_eq!(ask_for(&json!({})).status, 200, "a scope is optional");
    let form = post_form(&emulator, "/v1/auth/device-authorization", &[("scope", "mcp:read mcp:write")]);
    assert_eq!(form.status, 200, "a form is as good");
    for body in [json!({}), json!({"grant_type": GRANT_TYPE}), json!({"grant_type": "refresh_token"})] {
        refused(&post(&emulator, "/v1/auth/token", &body), 400, "invalid_request");
    }
    refused(&post(&emulator, "/v1/auth/token", &json!({"grant_type": "authorization_code"})), 400, "unsupported_grant_type");
}

#[test]
fn a_device_that_named_a_challenge_shows_its_verifier() {
    let emulator = start_with(options().consent(Consent::Grant));
    let body = json!({"scope": "projects:read", "code_challenge": challenge(VERIFIER), "code_challenge_method": "S256"});
    let device = post(&emulator, "/v1/auth/device-authorization", &body).json();
    refused(&poll(&emulator, &device), 400, "invalid_request");
    let poll = |verifier: &str| {
        advance(&emulator, 60);
        post(
            &emulator,
            "/v1/auth/token",
            &json!({"grant_type": GRANT_TYPE, "device_code": device["device_code"], "code_verifier": verifier}),
        )
    };
    refused(&poll(&format!("{VERIFIER}x")), 400, "invalid_grant");
    assert_eq!(poll(VERIFIER).status, 200);
}

#[test]
fn tokens_of_one_surface_are_refreshed_there_alone() {
    let emulator = granting();
    let device = begin(&emulator, "openid offline_access mcp:read");
    let of_device = poll(&emulator, &device).json();
    refused(&refresh(&emulator, text(&of_device, "refresh_token"), &[]), 400, "invalid_grant");
    refused(&refresh(&emulator, text(&of_device, "refresh_token"), &[("client_id", "developer-api")]), 401, "invalid_client");
    let of_mcp = tokens(&emulator, "mcp:read offline_access");
    let body = json!({"grant_type": "refresh_token", "refresh_token": of_mcp["refresh_token"]});
    refused(&post(&emulator, "/v1/auth/token", &body), 400, "invalid_grant");
    assert_eq!(emulator.oauth_counts().reused, 0);
    assert_eq!(refresh(&emulator, text(&of_mcp, "refresh_token"), &[]).status, 200);
}

#[test]
fn a_person_enters_the_code_and_allows_less() {
    let emulator = start();
    let device = begin(&emulator, "openid offline_access mcp:read mcp:write events:read");
    let code = text(&device, "user_code");
    let empty = get(&emulator, "/activate");
    assert!(empty.status == 200 && empty.text().contains("name=user_code"));
    let wrong = get(&emulator, "/activate?user_code=%3Cscript%3E");
    assert!(wrong.status == 404 && !wrong.text().contains("<script"), "{}", wrong.text());

    let typed = code.to_lowercase().replace('-', " ");
    let page = get(&emulator, &format!("/activate?{}", encoded(&[("user_code", &typed)]))).text();
    for part in [code, "value=\"mcp:write\" checked", "value=\"offline_access\" checked", "name=project"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let token = page.split("name=\"token\" value=\"").nth(1).and_then(|it| it.split('"').next()).expect("a token").to_owned();
    let answer = |token: &str, more: &[(&str, &str)], headers: &str| {
        let form = [&[("user_code", code), ("token", token)], more].concat();
        ask(&emulator, "POST /activate", &format!("{FORM}{headers}"), encoded(&form).as_bytes()).status
    };
    let allow = [("decision", "allow"), ("scope", "mcp:read"), ("scope", "events:read")];
    assert_eq!(answer("wrong", &allow, ""), 403);
    assert_eq!(answer("", &allow, ""), 403);
    assert_eq!(answer(&token, &allow, "origin: https://evil.example\r\n"), 403);
    assert_eq!(answer(&token, &[], ""), 400);
    assert_eq!(answer(&token, &allow, ""), 200);
    assert_eq!(answer(&token, &allow, ""), 400, "it is over");
    let tokens = poll(&emulator, &device).json();
    assert_eq!((text(&tokens, "scope"), &tokens["refresh_token"]), ("events:read mcp:read", &Value::Null));
    let denied = begin(&emulator, "mcp:read");
    let page = get(&emulator, &format!("/activate?user_code={}", text(&denied, "user_code"))).text();
    let token = page.split("name=\"token\" value=\"").nth(1).and_then(|it| it.split('"').next()).expect("a token");
    let form = [("user_code", text(&denied, "user_code")), ("token", token), ("decision", "deny")];
    assert!(post_form(&emulator, "/activate", &form).text().contains("Nothing was granted"));
    refused(&poll(&emulator, &denied), 400, "access_denied");
}
