//! `examples/web_app.rs`, driven by a browser through the emulator's page of consent.

use serde_json::json;

use crate::{
    browser::{Browser, Reply, consent},
    programs::{Emulator, Program, example},
};

pub(crate) const CLIENT: [&str; 4] = [
    "--client",
    "web-app:fake-client-secret:us:http://127.0.0.1/callback",
    "--client",
    "web-app:fake-client-secret:us:https://app.example/callback",
];

/// The application, at a port of the system's choice.
pub(crate) struct Site {
    pub(crate) emulator: Emulator,
    pub(crate) program: Program,
    pub(crate) url: String,
}

impl Site {
    pub(crate) fn start(more: &[(&str, &str)]) -> Self {
        let emulator = Emulator::start(&CLIENT);
        let variables = [
            ("LISTEN", "127.0.0.1:0"),
            ("AMPLITUDE_OAUTH_ISSUER", emulator.url.as_str()),
            ("AMPLITUDE_BASE_URL", &emulator.url),
            ("AMPLITUDE_OAUTH_CLIENT_ID", "web-app"),
            ("AMPLITUDE_OAUTH_CLIENT_SECRET", "fake-client-secret"),
            ("AMPLITUDE_OAUTH_SCOPES", "mcp:read offline_access"),
        ];
        let mut program = Program::start(example("web_app"), &[], &[&variables, more].concat());
        let url = program.line("listening on ").replace("listening on ", "");
        Self { emulator, program, url }
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub(crate) fn home(&self, browser: &mut Browser) -> Reply {
        let page = browser.get(&self.at("/"));
        for (name, value) in
            [("cache-control", "no-store"), ("referrer-policy", "same-origin"), ("x-content-type-options", "nosniff")]
        {
            assert_eq!(page.header(name), Some(value));
        }
        assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
        page
    }

    /// Signs a user in, whose answer to the consent page is the callback that the browser comes back with.
    pub(crate) fn sign_in(&self, browser: &mut Browser) -> Reply {
        let asked = browser.get(&self.at("/sign-in"));
        assert_eq!(asked.status, 303);
        let reply = browser.get(&consent(asked.location(), true));
        assert_eq!((reply.status, reply.header("location")), (303, Some("/")), "{reply:?}");
        reply
    }
}

/// Flags that each of its cookies has.
fn assert_is_kept_close(cookie: &str) {
    for flag in ["; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
}

#[test]
fn a_user_signs_in_is_shown_what_amplitude_says_and_signs_out() {
    let site = Site::start(&[]);
    let mut browser = Browser::default();
    assert!(site.home(&mut browser).body.contains("href=\"/sign-in\""));

    let asked = browser.get(&site.at("/sign-in"));
    assert_eq!(asked.status, 303);
    assert!(asked.location().starts_with(&format!("{}/authorize?", site.emulator.url)), "{asked:?}");
    let cookie = asked.cookie("sign-in").expect("what waits for the answer");
    assert_is_kept_close(cookie);
    assert!(cookie.contains("Max-Age=600") && !cookie.contains("Secure"), "{cookie}");
    // It is sealed: the state, which is in the address, is not to be read there.
    let state = asked.location().split("state=").nth(1).and_then(|rest| rest.split('&').next()).expect("a state");
    assert!(!cookie.contains(state));

    let callback = consent(asked.location(), true);
    let reply = browser.get(&callback);
    assert_eq!((reply.status, reply.location()), (303, "/"));
    assert_is_kept_close(reply.cookie("session").expect("a session"));
    assert!(reply.cookie("sign-in").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{reply:?}");

    let page = site.home(&mut browser);
    assert_eq!(page.status, 200);
    for part in ["ada@example.com", "Emulated Organization", "mcp:read offline_access", "action=\"/sign-out\""] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }

    let reply = browser.post(&site.at("/sign-out"), &site.url);
    assert_eq!((reply.status, reply.location()), (303, "/"));
    assert!(browser.cookies.is_empty());
    assert!(site.home(&mut browser).body.contains("href=\"/sign-in\""));
    let grants = site.emulator.grants();
    assert!(grants.len() == 1 && !grants[0]["ended"].is_null(), "{grants:?}");
}

#[test]
fn each_user_has_tokens_of_his_own() {
    let site = Site::start(&[]);
    let (mut one, mut two) = (Browser::default(), Browser::default());
    site.sign_in(&mut one);
    site.sign_in(&mut two);
    assert_ne!(one.cookies["session"], two.cookies["session"]);
    one.post(&site.at("/sign-out"), &site.url);
    assert!(site.home(&mut one).body.contains("href=\"/sign-in\""));
    assert!(site.home(&mut two).body.contains("ada@example.com"));
    let ended: Vec<_> = site.emulator.grants().iter().map(|grant| !grant["ended"].is_null()).collect();
    assert_eq!(ended, [true, false]);
}

#[test]
fn a_user_who_says_no_is_told_so() {
    let site = Site::start(&[]);
    let mut browser = Browser::default();
    let asked = browser.get(&site.at("/sign-in"));
    let reply = browser.get(&consent(asked.location(), false));
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("Access was not granted") && browser.cookies.is_empty(), "{reply:?}");
}

#[test]
fn access_that_was_taken_away_ends_the_session() {
    let mut site = Site::start(&[]);
    let mut browser = Browser::default();
    site.sign_in(&mut browser);
    site.emulator.control("revoke", &json!({"grant": 0}));
    let page = site.home(&mut browser);
    assert!(page.body.contains("The access is over") && browser.cookies.is_empty(), "{page:?}");
    site.program.line("the call for a user failed: ");
}

#[test]
fn over_tls_its_cookies_are_of_this_host_alone() {
    let site = Site::start(&[("AMPLITUDE_OAUTH_REDIRECT_URI", "https://app.example/callback")]);
    let asked = Browser::default().get(&site.at("/sign-in"));
    let cookie = asked.cookie("__Host-sign-in").expect("a cookie with a prefix");
    assert_is_kept_close(cookie);
    assert!(cookie.contains("; Secure"), "{cookie}");
    assert!(asked.location().contains("redirect_uri=https%3A%2F%2Fapp.example%2Fcallback"), "{asked:?}");
}

#[test]
fn what_is_wrong_with_its_environment_is_said_at_the_start() {
    let client = ("AMPLITUDE_OAUTH_CLIENT_ID", "web-app");
    let redirect =
        |uri| [("LISTEN", "127.0.0.1:0"), client, ("AMPLITUDE_OAUTH_SCOPES", "mcp:read"), ("AMPLITUDE_OAUTH_REDIRECT_URI", uri)];
    for (variables, expected) in [
        (&[("LISTEN", "127.0.0.1:0")][..], "web_app: AMPLITUDE_OAUTH_CLIENT_ID: is not set or empty"),
        (&[("LISTEN", "127.0.0.1:0"), client], "web_app: scopes: there is none"),
        (&redirect("http://app.example/callback"), "web_app: redirect URI: must be https"),
        (&[("LISTEN", "nowhere"), client], "web_app: LISTEN nowhere: "),
    ] {
        let (status, said) = Program::start(example("web_app"), &[], variables).end();
        assert!(!status.success() && said.starts_with(expected), "{said}");
    }
}
