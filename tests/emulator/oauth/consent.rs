//! The consent page: what it shows, who may answer it and how often, and what stands in for it in tests.

use serde_json::json;

use super::*;

/// The value of a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let at = page.find(&start).unwrap_or_else(|| panic!("{name}: {page}")) + start.len();
    page[at..].split('"').next().expect("a value").to_owned()
}

fn answer(emulator: &Emulator, page: &Reply, more: &[(&str, &str)], headers: &str) -> Reply {
    let page = page.text();
    let (request, token) = (hidden(&page, "request"), hidden(&page, "token"));
    let mut form = vec![("request", request.as_str()), ("token", token.as_str())];
    form.retain(|(name, _)| more.iter().all(|(it, _)| it != name));
    form.extend(more);
    ask(emulator, "POST /authorize", &format!("{FORM}{headers}"), encoded(&form).as_bytes())
}

#[test]
fn the_page_names_all_that_is_asked_for_and_escapes_it() {
    let evil = "</code><script>alert(1)</script>";
    let options = OAuthOptions::new()
        .client(OAuthClient::new("evil").name(format!("A&B {evil}\"'")).redirect_uri(REDIRECT))
        .scope("odd:<scope>", evil)
        .login_id("<i>me</i>@example.com");
    let emulator = start_with(options);
    let page = authorize(&emulator, &[("client_id", "evil"), ("scope", "mcp:read offline_access odd:<scope>"), ("state", evil)]);
    let html = page.text();
    assert_eq!(page.status, 200);
    for part in [
        "A&amp;B &lt;/code&gt;&lt;script&gt;",
        "value=\"mcp:read\" checked",
        "value=\"offline_access\" checked",
        "odd:&lt;scope&gt;",
        "&lt;i&gt;me",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("<script") && !html.contains("<i>"), "{html}");
    assert!(html.contains("app.example") && !html.contains("mcp:write") && !html.contains("name=project"));
    let with_project = authorize(&emulator, &[("client_id", "evil"), ("scope", "events:read")]).text();
    assert!(with_project.contains("name=project"), "whoever consents chooses the project");
}

#[test]
fn pages_let_nothing_in() {
    let emulator = start_with(options());
    for (path, lead_to) in [("/authorize", "'none'"), ("/activate", "'self'"), ("/activate?user_code=BCDF-GHJK", "'self'")] {
        let page = get(&emulator, path);
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(
            policy.contains("default-src 'none'")
                && policy.contains("frame-ancestors 'none'")
                && policy.contains("base-uri 'none'")
        );
        assert!(
            policy.contains(&format!("form-action {lead_to};")) && !policy.contains("unsafe") && !policy.contains("script-src"),
            "{policy}"
        );
        assert_eq!((page.header("x-frame-options"), page.header("cache-control")), (Some("DENY"), Some("no-store")));
        assert_eq!(page.header("access-control-allow-origin"), None);
        // What the policy names is the style sheet that is there.
        let html = page.text();
        let style = html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).expect("a style sheet");
        let digest =
            base64::engine::general_purpose::STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, style.as_bytes()));
        assert!(policy.contains(&format!("style-src 'sha256-{digest}'")), "{policy}");
    }
    let page = authorize(&emulator, &[]);
    assert!(page.header("content-security-policy").is_some_and(|it| it.contains("form-action 'self' https://app.example;")));
}

#[test]
fn less_than_what_was_asked_for_can_be_granted() {
    let emulator = start_with(options());
    let page = authorize(&emulator, &[("scope", "mcp:read mcp:write offline_access")]);
    let reply = answer(&emulator, &page, &[("decision", "allow"), ("scope", "mcp:read"), ("scope", "events:read")], "");
    assert_eq!((reply.status, reply.header("referrer-policy")), (303, Some("no-referrer")));
    assert_eq!(value(&answered(&reply), "state").as_deref(), Some("a state"));
    let tokens = exchange(&emulator, &code_of(&reply), &[]).json();
    assert_eq!(text(&tokens, "scope"), "mcp:read", "and never more than was asked for");
    assert_eq!(tokens["refresh_token"], Value::Null);
}

#[test]
fn t_a8_what_is_denied_is_told() {
    let emulator = start_with(options());
    for form in [&[("decision", "deny"), ("scope", "mcp:read")][..], &[("decision", "allow")]] {
        let told = answered(&answer(&emulator, &authorize(&emulator, &[]), form, ""));
        assert_eq!(
            (value(&told, "error").as_deref(), value(&told, "state").as_deref()),
            (Some("access_denied"), Some("a state"))
        );
        assert_eq!(value(&told, "code"), None);
    }
    let counts = emulator.oauth_counts();
    assert_eq!((counts.asked, counts.denied, counts.consented, counts.issued), (2, 2, 0, 0));
}

#[test]
fn a_request_is_answered_once_in_time_and_from_its_own_page() {
    let emulator = start_with(options());
    let allow = [("decision", "allow"), ("scope", "mcp:read")];
    let page = authorize(&emulator, &[]);
    let other = hidden(&authorize(&emulator, &[]).text(), "token");
    for token in ["", "wrong", other.as_str()] {
        let forged = answer(&emulator, &page, &[&allow[..], &[("token", token)]].concat(), "");
        assert_eq!((forged.status, forged.header("location")), (403, None), "{token}");
    }
    for odd in [&[("decision", "perhaps")][..], &[], &[("decision", "allow"), ("scope", "mcp:read"), ("project", "nobody's")]] {
        assert_eq!(answer(&emulator, &page, odd, "").status, 400, "{odd:?}");
    }
    assert_eq!(answer(&emulator, &page, &[&allow[..], &[("request", "request_x")]].concat(), "").status, 400);
    assert_eq!(answer(&emulator, &page, &allow, "").status, 303, "what was wrong took nothing from it");
    assert_eq!(answer(&emulator, &page, &allow, "").status, 400, "it is over");
    let late = authorize(&emulator, &[]);
    advance(&emulator, 600);
    assert_eq!(answer(&emulator, &late, &allow, "").status, 400);
    assert_eq!(ask(&emulator, "POST /authorize", JSON, b"{}").status, 400);
    assert_eq!(emulator.oauth_counts().consented, 1);
}

#[test]
fn other_sites_answer_nothing_and_control_nothing() {
    let emulator = start_with(options());
    let page = authorize(&emulator, &[]);
    let allow = [("decision", "allow"), ("scope", "mcp:read")];
    let foreign = [
        "origin: https://evil.example\r\n",
        "origin: null\r\n",
        "origin: http://localhost:1\r\n",
        "sec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-site\r\n",
        "host: evil.example\r\n",
        "host: 127.0.0.1.evil.example:80\r\n",
    ];
    for headers in foreign {
        let reply = answer(&emulator, &page, &allow, headers);
        assert_eq!((reply.status, reply.header("location")), (403, None), "{headers}");
        for path in [
            "reset",
            "faults",
            "clock",
            "silence",
            "credential",
            "oauth/approve",
            "oauth/consent",
            "oauth/revoke",
            "oauth/secret",
        ] {
            let reply = ask(&emulator, &format!("POST /_emulator/{path}"), &format!("{JSON}{headers}"), b"{}");
            assert_eq!(reply.status, 403, "{path} {headers}");
        }
    }
    for path in [
        "/",
        "/_emulator/state",
        "/_emulator/events",
        "/_emulator/oauth",
        "/_emulator/credential",
        "/authorize",
        "/activate",
        "/eu/activate",
    ] {
        let rebound = ask(&emulator, &format!("GET {path}"), "host: evil.example:8787\r\n", b"");
        assert_eq!(rebound.status, 403, "{path}");
        let read = ask(&emulator, &format!("GET {path}"), "origin: https://evil.example\r\n", b"");
        assert_eq!(read.header("access-control-allow-origin"), None, "{path}");
    }
    for path in ["/authorize", "/token", "/register", "/revoke", "/v1/auth/token", "/_emulator/reset"] {
        let preflight = ask(
            &emulator,
            &format!("OPTIONS {path}"),
            "origin: https://evil.example\r\naccess-control-request-method: POST\r\n",
            b"",
        );
        assert!(preflight.status == 405 && !preflight.head.contains("access-control"), "{path}: {}", preflight.head);
    }
    let own = "origin: http://localhost\r\nsec-fetch-site: same-origin\r\n";
    assert_eq!(answer(&emulator, &page, &allow, own).status, 303, "its own page may");
}

#[test]
fn a_test_answers_for_the_user() {
    let emulator = start_with(options());
    let request = || {
        authorize(&emulator, &[("scope", "mcp:read mcp:write")]);
        let state = get(&emulator, "/_emulator/oauth").json();
        let requests = state["requests"].as_array().expect("a list").clone();
        assert_eq!(requests.len(), 1, "{state}");
        text(&requests[0], "request").to_owned()
    };
    let approve = |body: Value| post(&emulator, "/_emulator/oauth/approve", &body);
    let reply = approve(json!({"request": request()}));
    assert_eq!(reply.status, 303);
    assert_eq!(text(&exchange(&emulator, &code_of(&reply), &[]).json(), "scope"), "mcp:read mcp:write");
    let reply = approve(json!({"request": request(), "scopes": ["mcp:read"]}));
    assert_eq!(text(&exchange(&emulator, &code_of(&reply), &[]).json(), "scope"), "mcp:read");
    let reply = approve(json!({"request": request(), "scopes": []}));
    assert_eq!(value(&answered(&reply), "error").as_deref(), Some("access_denied"));
    let id = request();
    assert_eq!(approve(json!({"request": id, "scopes": ["events:read"]})).status, 400, "it was not asked for");
    assert_eq!(approve(json!({"request": id, "project": "nobody's"})).status, 400);
    assert_eq!(approve(json!({"request": "request_x"})).status, 404);
    assert_eq!(approve(json!({})).status, 400);
    assert_eq!(approve(json!({"request": id, "user_code": "x"})).status, 400);
    assert_eq!(approve(json!({"request": id})).status, 303);
}

#[test]
fn a_test_says_beforehand_what_the_user_says() {
    let emulator = start_with(options());
    let mode = |body: Value| assert_eq!(post(&emulator, "/_emulator/oauth/consent", &body).status, 204, "{body}");
    mode(json!({"mode": "grant"}));
    assert_eq!(text(&tokens(&emulator, "mcp:read mcp:write"), "scope"), "mcp:read mcp:write");
    mode(json!({"mode": "grant", "scopes": ["mcp:read", "events:read"]}));
    assert_eq!(text(&tokens(&emulator, "mcp:read mcp:write"), "scope"), "mcp:read");
    let nothing = authorize(&emulator, &[("scope", "mcp:write")]);
    assert_eq!(value(&answered(&nothing), "error").as_deref(), Some("access_denied"));
    mode(json!({"mode": "deny"}));
    assert_eq!(value(&answered(&authorize(&emulator, &[])), "error").as_deref(), Some("access_denied"));
    mode(json!({"mode": "ask"}));
    assert_eq!(authorize(&emulator, &[]).status, 200);
    for bad in [json!({}), json!({"mode": "perhaps"}), json!({"mode": "deny", "scopes": []})] {
        assert!((400..500).contains(&post(&emulator, "/_emulator/oauth/consent", &bad).status), "{bad}");
    }
}
