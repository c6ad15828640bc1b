//! `/revoke` (RFC 7009), and the user who takes access back.

use serde_json::json;

use super::*;

fn of_confidential(emulator: &Emulator) -> Value {
    let code = code_of(&authorize(emulator, &[("client_id", "confidential")]));
    exchange(emulator, &code, &[("client_id", "confidential"), ("client_secret", SECRET)]).json()
}

fn revoke(emulator: &Emulator, token: &str, changes: &[(&str, &str)]) -> Reply {
    let form = [("client_id", "confidential"), ("client_secret", SECRET), ("token", token)];
    post_form(emulator, "/revoke", &changed(&form, changes))
}

#[test]
fn t_b7_a_refresh_token_is_revoked_with_all_that_came_of_it() {
    let emulator = granting();
    let tokens = of_confidential(&emulator);
    let (access, refreshing) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let reply = revoke(&emulator, refreshing, &[("token_type_hint", "access_token")]);
    assert_eq!(
        (reply.status, reply.text(), reply.header("cache-control")),
        (200, String::new(), Some("no-store")),
        "a hint is one"
    );
    assert!(!opens(&emulator, access));
    let own = [("client_id", "confidential"), ("client_secret", SECRET)];
    refused(&refresh(&emulator, refreshing, &own), 400, "invalid_grant");
    assert_eq!(revoke(&emulator, refreshing, &[]).status, 200, "once more changes nothing");
    let counts = emulator.oauth_counts();
    assert_eq!((counts.revoked, counts.reused), (1, 0));
}

#[test]
fn t_b7_an_access_token_is_revoked_by_itself() {
    let emulator = granting();
    let tokens = of_confidential(&emulator);
    assert_eq!(revoke(&emulator, text(&tokens, "access_token"), &[]).status, 200);
    assert!(!opens(&emulator, text(&tokens, "access_token")));
    let own = [("client_id", "confidential"), ("client_secret", SECRET)];
    assert_eq!(refresh(&emulator, text(&tokens, "refresh_token"), &own).status, 200);
}

#[test]
fn t_b7_who_may_not_revoke_is_told_and_what_is_unknown_is_not_there() {
    let emulator = granting();
    let tokens = tokens(&emulator, "mcp:read offline_access");
    let access = text(&tokens, "access_token");
    assert_eq!(revoke(&emulator, "at_unknown", &[]).status, 200);
    refused(&revoke(&emulator, access, &[]), 400, "unauthorized_client");
    refused(&revoke(&emulator, access, &[("client_secret", "wrong")]), 401, "invalid_client");
    refused(&revoke(&emulator, access, &[("client_id", "public"), ("client_secret", "")]), 401, "invalid_client");
    refused(&revoke(&emulator, "", &[]), 400, "invalid_request");
    assert_eq!(get(&emulator, "/revoke").status, 405);
    assert!(opens(&emulator, access));
}

#[test]
fn clients_without_a_secret_revoke_where_that_is_on() {
    let emulator = start_with(options().consent(Consent::Grant).public_revocation(true));
    let tokens = tokens(&emulator, "mcp:read offline_access");
    let own = [("client_id", "public"), ("client_secret", "")];
    assert_eq!(revoke(&emulator, text(&tokens, "refresh_token"), &own).status, 200);
    assert!(!opens(&emulator, text(&tokens, "access_token")));
}

#[test]
fn a_user_takes_access_back() {
    let emulator = granting();
    let tokens = tokens(&emulator, "mcp:read offline_access");
    let revoke = |grant: u64| post(&emulator, "/_emulator/oauth/revoke", &json!({"grant": grant})).status;
    assert_eq!((revoke(1), revoke(0)), (404, 204));
    let reply = ask(&emulator, "POST /mcp", &bearer(text(&tokens, "access_token")), b"{}");
    assert!(reply.status == 401 && reply.header("www-authenticate").is_some_and(|it| it.contains("revoked")), "{}", reply.head);
    refused(&refresh(&emulator, text(&tokens, "refresh_token"), &[]), 400, "invalid_grant");
    let grants = get(&emulator, "/_emulator/oauth").json()["grants"].clone();
    assert_eq!((&grants[0]["ended"], &grants[0]["tokens"]), (&json!("revoked by its user"), &json!([])));
}
