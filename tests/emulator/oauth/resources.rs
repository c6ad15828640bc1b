//! What a token opens: Export for the project that a user consented for, `GET /v1/context`, `/mcp`; and the other credentials.

use amplitude_sdk::{
    Region,
    emulator::{Credential, CredentialKind, DEMO_KEY, DEMO_SECRET, Project, ServiceAccount},
};
use serde_json::json;

use super::{
    super::export::{authorization, now},
    *,
};

fn export(emulator: &Emulator, headers: &str) -> Reply {
    ask(emulator, &format!("GET /api/2/export?{}", now()), headers, b"")
}

/// The status, and what is said of the token.
fn challenged(reply: &Reply) -> (u16, String) {
    (reply.status, reply.header("www-authenticate").expect("a challenge").to_owned())
}

#[test]
fn a_user_lets_an_application_read_the_events_of_one_project() {
    let second = Project::new("second-key", "second-secret", Region::Us);
    let emulator = Emulator::builder().project(Project::default()).project(second).oauth(options()).start().expect("a free port");
    for (key, kind) in [(DEMO_KEY, "of the first"), ("second-key", "of the second")] {
        let events = json!([{"event_type": kind, "user_id": "user-1"}]);
        assert_eq!(post(&emulator, "/2/httpapi", &json!({"api_key": key, "events": events})).status, 200);
    }
    for (project, kind) in [(Value::Null, "of the first"), (json!("second-key"), "of the second")] {
        authorize(&emulator, &[("scope", "events:read cohorts:manage mcp:read")]);
        let request = get(&emulator, "/_emulator/oauth").json()["requests"][0]["request"].clone();
        let approval = json!({"request": request, "scopes": ["events:read"], "project": project});
        let reply = post(&emulator, "/_emulator/oauth/approve", &approval);
        let tokens = exchange(&emulator, &code_of(&reply), &[]).json();
        assert_eq!(text(&tokens, "scope"), "events:read");
        let archive = export(&emulator, &bearer(text(&tokens, "access_token")));
        assert_eq!(archive.status, 200);
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(archive.body)).expect("a ZIP archive");
        let mut lines = String::new();
        let member = zip.by_index(0).expect("a member");
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(member), &mut lines).expect("gzip of text");
        assert!(lines.lines().count() == 1 && lines.contains(kind), "{lines}");
        let mcp = ask(&emulator, "POST /mcp", &bearer(text(&tokens, "access_token")), b"{}");
        let (status, challenge) = challenged(&mcp);
        assert!(status == 403 && challenge.contains("insufficient_scope"), "what was not granted is refused: {challenge}");
    }
}

#[test]
fn t_b9_an_export_says_what_is_wrong_with_a_token() {
    let emulator = granting();
    let metadata = format!("resource_metadata=\"{}/.well-known/oauth-protected-resource\"", emulator.url());
    let good = tokens(&emulator, "events:read offline_access");
    let (status, challenge) = challenged(&export(&emulator, &bearer("at_unknown")));
    assert_eq!(status, 401);
    assert!(challenge.starts_with("Bearer realm=\"OAuth\", ") && challenge.contains(&metadata), "{challenge}");
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    let (status, challenge) = challenged(&export(&emulator, &bearer(text(&good, "refresh_token"))));
    assert!(status == 401 && challenge.contains("not known"), "{challenge}");
    for scope in ["mcp:read", "cohorts:manage"] {
        let other = tokens(&emulator, scope);
        let (status, challenge) = challenged(&export(&emulator, &bearer(text(&other, "access_token"))));
        assert_eq!(status, 403);
        assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"events:read\""), "{challenge}");
    }
    let access = bearer(text(&good, "access_token"));
    assert_eq!(export(&emulator, &access).status, 404, "it may ask, but there are no events");
    advance(&emulator, 3600);
    let (status, challenge) = challenged(&export(&emulator, &access));
    assert!(status == 401 && challenge.contains("invalid_token") && challenge.contains("expired"), "{challenge}");
    assert_eq!(export(&emulator, &format!("{access}{access}")).status, 401, "two of them are none");
    assert_eq!(export(&emulator, &access.replace("Bearer ", "Bearer PAT=")).status, 401);
    assert_eq!(
        export(&emulator, &authorization("Basic", &format!("{DEMO_KEY}:{DEMO_SECRET}"))).status,
        404,
        "the keys are as good as before"
    );
}

#[test]
fn cohorts_are_for_who_was_granted_them() {
    let emulator = granting();
    let list = |headers: &str| ask(&emulator, "GET /api/3/cohorts", headers, b"");
    let granted = |scope: &str| bearer(text(&tokens(&emulator, scope), "access_token"));
    let manages = granted("cohorts:manage");
    assert_eq!(list(&manages).status, 200);
    let upload = json!({
        "name": "a", "app_id": 100_001, "id_type": "BY_USER_ID", "ids": [], "owner": "ada@example.com", "published": true,
    });
    assert_eq!(ask(&emulator, "POST /api/3/cohorts/upload", &manages, upload.to_string().as_bytes()).status, 200);
    assert_eq!(list(&manages).json()["cohorts"][0]["name"], "a");
    let (status, challenge) = challenged(&list(&granted("events:read mcp:write")));
    assert_eq!(status, 403);
    assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"cohorts:manage\""), "{challenge}");
    let (status, challenge) = challenged(&list(&bearer("at_unknown")));
    assert!(status == 401 && challenge.contains("error=\"invalid_token\""), "{challenge}");
}

#[test]
fn the_scope_for_events_has_the_name_that_it_is_given() {
    let emulator = start_with(options().consent(Consent::Grant).event_scope("my:events").cohort_scope("my:cohorts"));
    let refused = authorize(&emulator, &[("scope", "events:read")]);
    assert_eq!(value(&answered(&refused), "error").as_deref(), Some("invalid_scope"));
    let tokens = tokens(&emulator, "my:events my:cohorts");
    assert_eq!(export(&emulator, &bearer(text(&tokens, "access_token"))).status, 404);
}

#[test]
fn a_service_account_reads_the_events_of_its_project() {
    let second = Project::new("second-key", "second-secret", Region::Us);
    let account = ServiceAccount::new("robot", SECRET, Region::Us).scopes(["events:read"]).project("second-key");
    let emulator = Emulator::builder()
        .project(Project::default())
        .project(second)
        .oauth(options().service_account(account))
        .start()
        .expect("a free port");
    let events = json!([{"event_type": "a", "user_id": "user-1"}]);
    let form = [("grant_type", "client_credentials"), ("client_id", "robot"), ("client_secret", SECRET)];
    let tokens = post_form(&emulator, "/token", &form).json();
    let access = bearer(text(&tokens, "access_token"));
    post(&emulator, "/2/httpapi", &json!({"api_key": DEMO_KEY, "events": events}));
    assert_eq!(export(&emulator, &access).status, 404);
    post(&emulator, "/2/httpapi", &json!({"api_key": "second-key", "events": events}));
    assert_eq!(export(&emulator, &access).status, 200);
    assert_eq!(ask(&emulator, "GET /v1/context", &access, b"").status, 403);
}

#[test]
fn mcp_asks_for_a_token_as_amplitude_does() {
    let emulator = granting();
    for (headers, error) in [
        (String::new(), "error=\"invalid_request\", error_description=\"Missing authorization header\""),
        (authorization("Basic", "a:b"), "error=\"invalid_request\""),
        (bearer("at_x"), "error=\"invalid_token\""),
    ] {
        let (status, challenge) = challenged(&ask(&emulator, "POST /mcp", &headers, b"{}"));
        let start = format!(
            "Bearer realm=\"OAuth\", resource_metadata=\"{}/.well-known/oauth-protected-resource\", {error}",
            emulator.url()
        );
        assert!(status == 401 && challenge.starts_with(&start), "{challenge}");
    }
    let tokens = tokens(&emulator, "mcp:read");
    let reply =
        ask(&emulator, "POST /mcp", &bearer(text(&tokens, "access_token")), br#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#);
    assert_eq!((reply.status, &reply.json()["id"], &reply.json()["error"]["code"]), (200, &json!(7), &json!(-32601)));
}

#[test]
fn the_context_says_who_a_token_is() {
    let pat = "amp_fake_personal_access_token";
    let emulator = Emulator::builder()
        .credential(Credential::new(CredentialKind::PersonalAccessToken, pat, Region::Us))
        .oauth(options().consent(Consent::Grant).service_account(ServiceAccount::new("robot", SECRET, Region::Us)))
        .start()
        .expect("a free port");
    let robot = post_form(
        &emulator,
        "/token",
        &[("grant_type", "client_credentials"), ("client_id", "robot"), ("client_secret", SECRET)],
    )
    .json();
    let user = tokens(&emulator, "mcp:read events:read");
    let reads = ["analytics:read", "destinations:read", "flags:read", "projects:read", "taxonomy:read"];
    for (headers, login_id, auth_type, scopes) in [
        (bearer(text(&user, "access_token")), "ada@example.com", "oauth", json!(["events:read", "mcp:read"])),
        (bearer(text(&robot, "access_token")), "robot", "service_account", json!(["mcp:read"])),
        (bearer(&format!("PAT={pat}")), "ada@example.com", "pat", json!(reads)),
    ] {
        let reply = ask(&emulator, "GET /v1/context", &headers, b"");
        let data = reply.json()["data"].clone();
        let principal = &data["principal"];
        assert_eq!(
            (text(principal, "login_id"), text(principal, "auth_type"), &principal["scopes"]),
            (login_id, auth_type, &scopes)
        );
        assert_eq!((&data["object"], &principal["org_id"]), (&json!("context"), &data["org"]["id"]));
    }
    for (headers, status, code) in [
        (String::new(), 401, "invalid_api_key"),
        (bearer("at_x"), 401, "invalid_api_key"),
        (bearer("PAT=amp_other"), 401, "invalid_api_key"),
        (bearer(pat), 401, "invalid_api_key"),
        (authorization("Basic", &format!("{DEMO_KEY}:{DEMO_SECRET}")), 401, "invalid_api_key"),
        (bearer(text(&tokens(&emulator, "events:read"), "access_token")), 403, "insufficient_scope"),
    ] {
        let reply = ask(&emulator, "GET /v1/context", &headers, b"");
        assert_eq!((reply.status, text(&reply.json(), "error_code")), (status, code), "{headers}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert!(reply.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer realm=\"OAuth\"")));
    }
    assert_eq!(ask(&emulator, "GET /eu/v1/context", &bearer(&format!("PAT={pat}")), b"").status, 401, "in its own region alone");
}

#[test]
fn each_credential_is_known_in_its_own_scheme_and_region() {
    use CredentialKind::*;
    let mut builder = Emulator::builder().project(Project::default()).oauth(options().consent(Consent::Grant));
    for (kind, secret) in [
        (Org, "org-key:org-secret"),
        (Scim, "scim"),
        (ClientDeployment, "client-a"),
        (ServerDeployment, "server-a"),
        (Management, "manage"),
    ] {
        assert_eq!(CredentialKind::parse(kind.name()), Some(kind));
        builder = builder.credential(Credential::new(kind, secret, Region::Us));
    }
    let emulator = builder.start().expect("a free port");
    let user = tokens(&emulator, "mcp:read");
    let who = |path: &str, headers: &str| ask(&emulator, &format!("GET {path}/_emulator/credential"), headers, b"");
    let api_key = |key: &str| format!("authorization: Api-Key {key}\r\n");
    for (headers, kind) in [
        (authorization("Basic", "org-key:org-secret"), "org"),
        (authorization("Basic", &format!("{DEMO_KEY}:{DEMO_SECRET}")), "project"),
        (api_key(DEMO_SECRET), "secret_key"),
        (api_key("client-a"), "client_deployment"),
        (api_key("server-a"), "server_deployment"),
        (bearer("scim"), "scim"),
        (bearer("manage"), "management"),
        (bearer(text(&user, "access_token")), "oauth"),
    ] {
        let reply = who("", &headers);
        assert_eq!((reply.status, text(&reply.json(), "kind")), (200, kind));
        assert_eq!(text(&reply.json(), "fingerprint").len(), 8);
        assert_eq!(who("/eu", &headers).status, 401, "{kind}: in its own region alone");
    }
    for (headers, words) in [
        (String::new(), "Missing Api-Key in Authorization header"),
        ("authorization: Api-Key\r\n".to_owned(), "Missing Api-Key in Authorization header"),
        (api_key("wrong"), "Invalid Api-Key"),
        (api_key("scim"), "Invalid Api-Key"),
        (bearer("server-a"), "no credential"),
        (authorization("Basic", "org-key:wrong"), "no credential"),
        (authorization("Basic", ":scim"), "no credential"),
    ] {
        let reply = who("", &headers);
        assert!(reply.status == 401 && reply.text().contains(words), "{headers}: {}", reply.text());
    }
}

#[test]
fn a_credential_ends_when_it_is_told_to() {
    let pat = "amp_fake0000000000000000000000key";
    let known = Credential::new(CredentialKind::PersonalAccessToken, pat, Region::Us);
    let emulator = Emulator::builder().credential(known).oauth(options().consent(Consent::Grant)).start().expect("a free port");
    let pair = authorization("Basic", &format!("{DEMO_KEY}:{DEMO_SECRET}"));
    let user = bearer(&format!("PAT={pat}"));
    let export = "GET /api/2/export?start=20000101T00&end=20000101T00";
    let set =
        |headers: &str, body: &str| ask(&emulator, "POST /_emulator/credential", &format!("{JSON}{headers}"), body.as_bytes());
    for (line, headers, good) in [(export, &pair, 404), ("GET /v1/context", &user, 200)] {
        assert_eq!(ask(&emulator, line, headers, b"").status, good);
        for (state, words) in [("expired", "has expired"), ("revoked", "was revoked")] {
            assert_eq!(set(headers, &format!("{{\"state\": \"{state}\"}}")).status, 204);
            for line in [line, "GET /_emulator/credential"] {
                let reply = ask(&emulator, line, headers, b"");
                assert!(reply.status == 401 && reply.text().contains(words), "{line}: {}", reply.text());
            }
        }
        assert_eq!(set(headers, r#"{"state": "good"}"#).status, 204);
        assert_eq!(ask(&emulator, line, headers, b"").status, good);
    }
    // A token of OAuth has controls of its own, and what is not known cannot end.
    let token = bearer(text(&tokens(&emulator, "mcp:read"), "access_token"));
    for headers in [token, authorization("Basic", &format!("{DEMO_KEY}:wrong")), String::new()] {
        assert_eq!(set(&headers, r#"{"state": "revoked"}"#).status, 404, "{headers}");
    }
    for body in ["", "{}", r#"{"state": "gone"}"#, r#"{"state": "good", "more": 1}"#] {
        assert!((400..500).contains(&set(&pair, body).status), "{body}");
    }
    assert_eq!(ask(&emulator, export, &pair, b"").status, 404, "nothing of this did anything");
    // A fresh start brings all back.
    set(&pair, r#"{"state": "revoked"}"#);
    assert_eq!(ask(&emulator, "POST /_emulator/reset", "", b"").status, 204);
    assert_eq!(ask(&emulator, export, &pair, b"").status, 404);
}
