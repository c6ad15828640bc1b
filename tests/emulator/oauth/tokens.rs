//! `/token`: what is exchanged for what, and what ends a grant.

use std::{sync::Barrier, thread, time::Duration};

use amplitude_sdk::{Region, emulator::ServiceAccount};
use serde_json::json;

use super::*;

#[test]
fn a_code_is_exchanged_for_tokens() {
    let emulator = granting();
    let code = code_of(&authorize(&emulator, &[]));
    let reply = exchange(&emulator, &code, &[]);
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")));
    let tokens = reply.json();
    assert_eq!((text(&tokens, "token_type"), &tokens["expires_in"]), ("Bearer", &json!(3600)));
    assert_eq!(text(&tokens, "scope"), "mcp:read offline_access");
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    assert!(access.len() > 40 && refresh.len() > 40 && access != refresh);
    assert!(opens(&emulator, access) && !opens(&emulator, refresh) && !opens(&emulator, &code));
}

#[test]
fn a_code_is_good_for_its_own_request_alone() {
    let emulator = granting();
    let code = code_of(&authorize(&emulator, &[]));
    let other = format!("{VERIFIER}x");
    let secret = [("client_id", "confidential"), ("client_secret", SECRET)];
    for (changes, error) in [
        (&[("code", "ac_x")][..], "invalid_grant"),
        (&[("code", "")], "invalid_request"),
        (&[("code_verifier", "")], "invalid_request"),
        (&[("code_verifier", other.as_str())], "invalid_grant"),
        (&[("code_verifier", "short")], "invalid_grant"),
        (&[("redirect_uri", "")], "invalid_request"),
        (&[("redirect_uri", "http://127.0.0.1/callback")], "invalid_grant"),
        (&secret, "invalid_grant"),
        (&[("grant_type", "")], "invalid_request"),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (&[("grant_type", "client_credentials")], "unauthorized_client"),
        (&[("code", &code), ("code", &code)], "invalid_request"),
        (&[("resource", "https://other.example")], "invalid_target"),
    ] {
        refused(&exchange(&emulator, &code, changes), 400, error);
    }
    assert_eq!(exchange(&emulator, &code, &[]).status, 200, "what was wrong took nothing from it");
    let challenge_as_verifier = challenge(VERIFIER);
    let code = code_of(&authorize(&emulator, &[]));
    refused(&exchange(&emulator, &code, &[("code_verifier", &challenge_as_verifier)]), 400, "invalid_grant");
    advance(&emulator, 60);
    refused(&exchange(&emulator, &code, &[]), 400, "invalid_grant");
}

#[test]
fn a_code_that_comes_twice_takes_back_what_it_gave() {
    let emulator = granting();
    let code = code_of(&authorize(&emulator, &[]));
    let tokens = exchange(&emulator, &code, &[]).json();
    let access = text(&tokens, "access_token");
    assert!(opens(&emulator, access));
    refused(&exchange(&emulator, &code, &[]), 400, "invalid_grant");
    assert!(!opens(&emulator, access));
    refused(&refresh(&emulator, text(&tokens, "refresh_token"), &[]), 400, "invalid_grant");
    let counts = emulator.oauth_counts();
    assert_eq!((counts.replayed, counts.reused, counts.revoked, counts.refreshed), (1, 0, 1, 0));
}

#[test]
fn t_b5_a_refresh_token_is_good_once_and_its_second_use_ends_the_family() {
    let emulator = granting();
    let first = tokens(&emulator, "mcp:read offline_access");
    let second = refresh(&emulator, text(&first, "refresh_token"), &[]).json();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_ne!(second["access_token"], first["access_token"]);
    assert!(opens(&emulator, text(&first, "access_token")) && opens(&emulator, text(&second, "access_token")));
    let bystander = tokens(&emulator, "mcp:read offline_access");

    refused(&refresh(&emulator, text(&first, "refresh_token"), &[]), 400, "invalid_grant");
    refused(&refresh(&emulator, text(&second, "refresh_token"), &[]), 400, "invalid_grant");
    assert!(!opens(&emulator, text(&first, "access_token")) && !opens(&emulator, text(&second, "access_token")));
    assert!(opens(&emulator, text(&bystander, "access_token")), "another grant of the same client goes on");
    let counts = emulator.oauth_counts();
    assert_eq!((counts.refreshed, counts.reused, counts.revoked), (1, 1, 1));
}

#[test]
fn t_b5_of_eight_refreshes_at_once_one_succeeds_and_its_token_is_dead_too() {
    let emulator = granting();
    let tokens = tokens(&emulator, "mcp:read offline_access");
    let token = text(&tokens, "refresh_token");
    let barrier = Barrier::new(8);
    let replies: Vec<Reply> = thread::scope(|scope| {
        let asks: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    refresh(&emulator, token, &[])
                })
            })
            .collect();
        asks.into_iter().map(|ask| ask.join().expect("an answer")).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 7));
    lost.iter().for_each(|reply| refused(reply, 400, "invalid_grant"));
    let won = won[0].json();
    assert!(!opens(&emulator, text(&won, "access_token")));
    refused(&refresh(&emulator, text(&won, "refresh_token"), &[]), 400, "invalid_grant");
}

#[test]
fn t_b6_a_refresh_may_ask_for_less_and_never_for_more() {
    let emulator = granting();
    let all = "events:read mcp:read offline_access";
    let tokens = tokens(&emulator, all);
    let token = text(&tokens, "refresh_token");
    for wider in ["mcp:read mcp:write", "nobody:knows", "mcp:read \"x\""] {
        refused(&refresh(&emulator, token, &[("scope", wider)]), 400, "invalid_scope");
    }
    let narrow = refresh(&emulator, token, &[("scope", "mcp:read")]).json();
    assert_eq!(text(&narrow, "scope"), "mcp:read", "what was refused did not use the token up");
    let export = "GET /api/2/export?start=20260101T00&end=20260101T01";
    assert_eq!(ask(&emulator, export, &bearer(text(&narrow, "access_token")), b"").status, 403);
    let whole = refresh(&emulator, text(&narrow, "refresh_token"), &[]).json();
    assert_eq!(text(&whole, "scope"), all, "the refresh token keeps all that was granted");
}

#[test]
fn only_offline_access_brings_a_refresh_token() {
    let emulator = granting();
    assert_eq!(tokens(&emulator, "mcp:read")["refresh_token"], Value::Null);
    assert!(tokens(&emulator, "mcp:read offline_access")["refresh_token"].is_string());
}

#[test]
fn tokens_live_as_long_as_they_say_by_the_emulators_clock() {
    let lifetimes = options().access_lifetime(Duration::from_secs(100)).refresh_lifetime(Duration::from_secs(1000));
    let emulator = start_with(lifetimes.consent(Consent::Grant));
    let first = tokens(&emulator, "mcp:read offline_access");
    assert_eq!(first["expires_in"], 100);
    advance(&emulator, 90);
    assert!(opens(&emulator, text(&first, "access_token")));
    advance(&emulator, 10);
    let late = ask(&emulator, "POST /mcp", &bearer(text(&first, "access_token")), b"{}");
    assert!(late.status == 401 && late.header("www-authenticate").is_some_and(|it| it.contains("expired")), "{}", late.head);
    let second = refresh(&emulator, text(&first, "refresh_token"), &[]).json();
    assert!(opens(&emulator, text(&second, "access_token")));
    advance(&emulator, 999);
    let third = refresh(&emulator, text(&second, "refresh_token"), &[]);
    assert_eq!(third.status, 200, "each has its own time");
    advance(&emulator, 1000);
    refused(&refresh(&emulator, text(&third.json(), "refresh_token"), &[]), 400, "invalid_grant");
    assert_eq!(emulator.oauth_counts().reused, 0);
}

#[test]
fn t_b3_a_client_shows_who_it_is_in_the_form_and_nowhere_else() {
    let emulator = granting();
    let code = || code_of(&authorize(&emulator, &[("client_id", "confidential")]));
    let basic = super::super::export::authorization("Basic", &format!("confidential:{SECRET}"));
    let asks = |headers: &str, changes: &[(&str, &str)]| {
        let code = code();
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "confidential"),
            ("code", &code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        ask(&emulator, "POST /token", &format!("{FORM}{headers}"), encoded(&changed(&form, changes)).as_bytes())
    };
    refused(&asks("", &[]), 401, "invalid_client");
    refused(&asks("", &[("client_secret", "wrong")]), 401, "invalid_client");
    refused(&asks("", &[("client_id", "")]), 401, "invalid_client");
    refused(&asks("", &[("client_id", "nobody"), ("client_secret", SECRET)]), 401, "invalid_client");
    refused(&asks("", &[("client_id", "public"), ("client_secret", SECRET)]), 401, "invalid_client");
    let header = asks(&basic, &[]);
    refused(&header, 401, "invalid_client");
    assert!(header.header("www-authenticate").is_some_and(|it| it.starts_with("Basic")));
    refused(&asks(&basic, &[("client_secret", SECRET)]), 400, "invalid_request");
    assert_eq!(asks("", &[("client_secret", SECRET)]).status, 200);

    let form = [("grant_type", "refresh_token"), ("client_id", "public"), ("refresh_token", "rt_x")];
    let query = ask(&emulator, &format!("POST /token?{}", encoded(&form)), FORM, b"");
    refused(&query, 401, "invalid_client");
    refused(&post(&emulator, "/token", &json!({"grant_type": "refresh_token"})), 400, "invalid_request");
    refused(&ask(&emulator, "POST /token", FORM, b"a=%ff"), 400, "invalid_request");
    assert_eq!(get(&emulator, "/token").status, 405);
}

#[test]
fn t_c2_a_service_account_mints_tokens_and_no_refresh_token() {
    let account = ServiceAccount::new("robot", SECRET, Region::Us).scopes(["mcp:read", "events:read"]);
    let emulator = start_with(options().service_account(account));
    let mint = |changes: &[(&str, &str)]| {
        let form = [("grant_type", "client_credentials"), ("client_id", "robot"), ("client_secret", SECRET)];
        post_form(&emulator, "/token", &changed(&form, changes))
    };
    let tokens = mint(&[]).json();
    assert_eq!((text(&tokens, "scope"), &tokens["refresh_token"]), ("events:read mcp:read", &Value::Null));
    assert!(opens(&emulator, text(&tokens, "access_token")));
    assert_eq!(text(&mint(&[("scope", "mcp:read")]).json(), "scope"), "mcp:read");
    refused(&mint(&[("scope", "mcp:write")]), 400, "invalid_scope");
    refused(&mint(&[("resource", "https://other.example")]), 400, "invalid_target");
    assert_eq!(mint(&[("resource", &emulator.url())]).status, 200);
    refused(&mint(&[("client_secret", "")]), 401, "invalid_client");
    refused(&mint(&[("grant_type", "refresh_token"), ("refresh_token", "rt_x")]), 400, "unauthorized_client");
    refused(&mint(&[("client_id", "confidential")]), 400, "unauthorized_client");
    assert_eq!(authorize(&emulator, &[("client_id", "robot")]).status, 400, "it is no application");
}

#[test]
fn a_secret_is_rotated_with_both_good_for_a_while() {
    let emulator = start_with(options().service_account(ServiceAccount::new("robot", "old", Region::Us)));
    let mint = |secret: &str| {
        post_form(&emulator, "/token", &[("grant_type", "client_credentials"), ("client_id", "robot"), ("client_secret", secret)])
            .status
    };
    let rotate = |id: &str, secrets: Value| {
        post(&emulator, "/_emulator/oauth/secret", &json!({"client_id": id, "secrets": secrets})).status
    };
    assert_eq!((mint("old"), mint("new")), (200, 401));
    assert_eq!(rotate("robot", json!(["new", "old"])), 204);
    assert_eq!((mint("old"), mint("new")), (200, 200));
    assert_eq!(rotate("robot", json!(["new"])), 204);
    assert_eq!((mint("old"), mint("new")), (401, 200));
    assert_eq!((rotate("public", json!(["new"])), rotate("robot", json!([])), rotate("nobody", json!(["new"]))), (400, 400, 404));
}

#[test]
fn t_c4_a_resource_is_the_same_all_the_way() {
    let emulator = granting();
    for resource in [emulator.url(), format!("{}/", emulator.url()), format!("{}/mcp", emulator.url())] {
        let named = [("resource", resource.as_str())];
        let code = code_of(&authorize(&emulator, &named));
        refused(&exchange(&emulator, &code, &[("resource", "http://127.0.0.1:1")]), 400, "invalid_target");
        let tokens = exchange(&emulator, &code, &named).json();
        let token = text(&tokens, "refresh_token");
        refused(&refresh(&emulator, token, &[("resource", "http://127.0.0.1:1")]), 400, "invalid_target");
        assert_eq!(refresh(&emulator, token, &named).status, 200);
    }
    let code = code_of(&authorize(&emulator, &[]));
    refused(&exchange(&emulator, &code, &[("resource", &emulator.url())]), 400, "invalid_target");
    let eu = format!("{}/eu", emulator.url());
    let other = authorize(&emulator, &[("resource", &eu)]);
    assert_eq!(value(&answered(&other), "error").as_deref(), Some("invalid_target"), "the other region is another resource");
}
