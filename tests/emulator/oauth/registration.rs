//! Registration by RFC 7591, and its management by RFC 7592 where that is on.

use serde_json::json;

use super::*;

fn metadata() -> Value {
    json!({
        "client_name": "Some App", "redirect_uris": [REDIRECT, "http://localhost:13222/callback"],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "token_endpoint_auth_method": "none",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut metadata = metadata();
    metadata[name] = value;
    metadata
}

#[test]
fn a_client_without_a_secret_registers() {
    let emulator = start();
    let reply = post(&emulator, "/register", &metadata());
    assert_eq!((reply.status, reply.header("cache-control")), (201, Some("no-store")));
    let body = reply.json();
    for (name, value) in metadata().as_object().expect("an object") {
        assert_eq!(&body[name], value, "{name}");
    }
    assert!(body["client_id_issued_at"].as_u64().is_some_and(|at| at > 1_700_000_000), "{body}");
    assert_eq!((&body["client_secret"], &body["registration_access_token"]), (&Value::Null, &Value::Null));
    let again = post(&emulator, "/register", &metadata()).json();
    assert_ne!(again["client_id"], body["client_id"]);
    assert_eq!(emulator.oauth_counts().registered, 2);
}

#[test]
fn a_client_with_a_secret_registers_and_uses_it() {
    let emulator = granting();
    for method in [json!("client_secret_post"), Value::Null] {
        let body = post(&emulator, "/register", &with("token_endpoint_auth_method", method)).json();
        assert_eq!(
            (&body["client_secret_expires_at"], &body["token_endpoint_auth_method"]),
            (&json!(0), &json!("client_secret_post"))
        );
        let (id, secret) = (text(&body, "client_id"), text(&body, "client_secret"));
        let code = code_of(&authorize(&emulator, &[("client_id", id)]));
        refused(&exchange(&emulator, &code, &[("client_id", id)]), 401, "invalid_client");
        assert_eq!(exchange(&emulator, &code, &[("client_id", id), ("client_secret", secret)]).status, 200);
    }
}

#[test]
fn metadata_that_cannot_be_are_refused() {
    let emulator = start();
    let bad_redirects = [
        json!([]),
        json!(["http://app.example/callback"]),
        json!(["https://app.example/#fragment"]),
        json!(["https://user@app.example/"]),
        json!(["javascript:alert(1)"]),
        json!([REDIRECT, "com.example:/callback"]),
    ];
    for bad in bad_redirects {
        refused(&post(&emulator, "/register", &with("redirect_uris", bad)), 400, "invalid_redirect_uri");
    }
    refused(&post(&emulator, "/register", &json!({})), 400, "invalid_redirect_uri");
    for (name, bad) in [
        ("redirect_uris", json!(REDIRECT)),
        ("redirect_uris", json!([1])),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("token_endpoint_auth_method", json!(1)),
        ("grant_types", json!(["client_credentials"])),
        ("grant_types", json!(["refresh_token"])),
        ("response_types", json!(["token"])),
        ("response_types", json!(["code", "token"])),
        ("client_name", json!("x".repeat(101))),
        ("client_name", json!("a\u{202e}b")),
        ("client_name", json!("a\nb")),
        ("scope", json!("mcp:read nobody:knows")),
        ("scope", json!("mcp:read \"")),
    ] {
        refused(&post(&emulator, "/register", &with(name, bad.clone())), 400, "invalid_client_metadata");
    }
    for body in [&b"[]"[..], b"", b"{", b"\xff"] {
        refused(&post_bytes(&emulator, "/register", body), 400, "invalid_client_metadata");
    }
    refused(&ask(&emulator, "POST /register", FORM, metadata().to_string().as_bytes()), 400, "invalid_client_metadata");
    assert_eq!(post_bytes(&emulator, "/register", &vec![b' '; 70_000]).status, 413);
    assert_eq!(get(&emulator, "/register").status, 405);
    assert_eq!(emulator.oauth_counts().registered, 0);
}

#[test]
fn what_a_client_registered_is_what_it_may() {
    let emulator = granting();
    let body = post(&emulator, "/register", &with("scope", json!("mcp:read offline_access"))).json();
    let id = text(&body, "client_id");
    let wider = authorize(&emulator, &[("client_id", id), ("scope", "mcp:read mcp:write")]);
    assert_eq!(value(&answered(&wider), "error").as_deref(), Some("invalid_scope"));
    let code = code_of(&authorize(&emulator, &[("client_id", id), ("scope", "")]));
    let granted = exchange(&emulator, &code, &[("client_id", id)]).json();
    assert_eq!(text(&granted, "scope"), "mcp:read offline_access", "what it registered is what it asks for by itself");

    let body = post(&emulator, "/register", &with("grant_types", json!(["authorization_code"]))).json();
    let id = text(&body, "client_id");
    let code = code_of(&authorize(&emulator, &[("client_id", id)]));
    let granted = exchange(&emulator, &code, &[("client_id", id)]).json();
    assert_eq!(granted["refresh_token"], Value::Null, "it takes none");
    refused(&refresh(&emulator, "rt_x", &[("client_id", id)]), 400, "unauthorized_client");
}

#[test]
fn nothing_is_managed_where_that_is_off() {
    let emulator = start();
    let id = post(&emulator, "/register", &metadata()).json();
    let path = format!("/register/{}", text(&id, "client_id"));
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(ask(&emulator, &format!("{method} {path}"), &bearer("rat_x"), b"").status, 404);
    }
}

#[test]
fn t_c3_a_registration_is_read_changed_and_deleted_and_its_token_rotates() {
    let emulator = start_with(options().registration_management(true).consent(Consent::Grant));
    let registered = post(&emulator, "/register", &with("token_endpoint_auth_method", json!("client_secret_post"))).json();
    let (id, secret) = (text(&registered, "client_id"), text(&registered, "client_secret"));
    let path = format!("/register/{id}");
    assert_eq!(text(&registered, "registration_client_uri"), format!("{}{path}", emulator.url()));
    let first = text(&registered, "registration_access_token");
    let manage = |method: &str, token: &str, body: &Value| {
        ask(&emulator, &format!("{method} {path}"), &format!("{JSON}{}", bearer(token)), body.to_string().as_bytes())
    };
    let read = manage("GET", first, &Value::Null);
    assert_eq!((read.status, read.json()["client_name"].clone()), (200, json!("Some App")));
    assert_eq!(read.json()["client_secret"], Value::Null, "of a secret only a digest is kept");
    for token in ["", "rat_wrong"] {
        assert_eq!(manage("GET", token, &Value::Null).status, 401, "{token:?}");
    }
    let other = post(&emulator, "/register", &metadata()).json();
    assert_eq!(manage("GET", text(&other, "registration_access_token"), &Value::Null).status, 401, "another client's");

    let mut change = with("client_name", json!("New Name"));
    change["token_endpoint_auth_method"] = json!("client_secret_post");
    refused(&manage("PUT", first, &change), 400, "invalid_request");
    change["client_id"] = json!(id);
    for (name, value) in [("client_secret", "chosen"), ("token_endpoint_auth_method", "none")] {
        let mut change = change.clone();
        change[name] = json!(value);
        refused(&manage("PUT", first, &change), 400, "invalid_client_metadata");
    }
    change["client_secret"] = json!(secret);
    let changed = manage("PUT", first, &change);
    assert_eq!((changed.status, changed.json()["client_name"].clone()), (200, json!("New Name")), "{}", changed.text());
    let second = changed.json();
    let second = text(&second, "registration_access_token");
    assert_ne!(first, second);
    assert_eq!(manage("GET", first, &Value::Null).status, 401, "the one before is good no more");

    let own = [("client_id", id), ("client_secret", secret)];
    let granted = exchange(&emulator, &code_of(&authorize(&emulator, &own[..1])), &own).json();
    assert!(opens(&emulator, text(&granted, "access_token")));
    assert_eq!(manage("DELETE", second, &Value::Null).status, 204);
    assert!(!opens(&emulator, text(&granted, "access_token")), "what it was granted goes with it");
    refused(&refresh(&emulator, text(&granted, "refresh_token"), &own), 401, "invalid_client");
    assert_eq!(manage("GET", second, &Value::Null).status, 401);
}
