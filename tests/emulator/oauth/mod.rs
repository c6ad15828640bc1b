//! OAuth as the emulator has it, seen through plain HTTP: each rule of its authorization server, and what its tokens open.

mod authorization;
mod consent;
mod device;
mod records;
mod registration;
mod resources;
mod revocation;
mod tokens;

use amplitude_sdk::emulator::{Consent, Emulator, OAuthClient, OAuthOptions};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::support::*;

const REDIRECT: &str = "https://app.example/callback";
const SECRET: &str = "fake-client-secret";
/// As long as a verifier must be.
const VERIFIER: &str = "a-verifier-that-is-as-long-as-it-must-be-43";
const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// The client `public`, and with [`SECRET`] the client `confidential`.
fn options() -> OAuthOptions {
    OAuthOptions::new()
        .client(OAuthClient::new("public").name("Public App").redirect_uri(REDIRECT).redirect_uri("http://127.0.0.1/callback"))
        .client(OAuthClient::new("confidential").secret(SECRET).redirect_uri(REDIRECT))
}

fn start_with(options: OAuthOptions) -> Emulator {
    Emulator::builder().oauth(options).start().expect("a free port")
}

/// One where all that is asked for is granted at once.
fn granting() -> Emulator {
    start_with(options().consent(Consent::Grant))
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()))
}

/// These pairs, where a later one takes the place of an earlier one and an empty value takes it out.
fn changed<'a>(pairs: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all: Vec<_> = pairs.iter().copied().filter(|(name, _)| changes.iter().all(|(it, _)| it != name)).collect();
    all.extend(changes.iter().copied().filter(|(_, value)| !value.is_empty()));
    all
}

fn authorize(emulator: &Emulator, changes: &[(&str, &str)]) -> Reply {
    let challenge = challenge(VERIFIER);
    let pairs = [
        ("response_type", "code"),
        ("client_id", "public"),
        ("redirect_uri", REDIRECT),
        ("scope", "mcp:read offline_access"),
        ("state", "a state"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    get(emulator, &format!("/authorize?{}", encoded(&changed(&pairs, changes))))
}

/// What stands in the query of the redirect.
fn answered(reply: &Reply) -> Vec<(String, String)> {
    let location = reply.header("location").unwrap_or_else(|| panic!("{} {}", reply.status, reply.text()));
    let url = url::Url::parse(location).expect("a URL");
    url.query_pairs().into_owned().collect()
}

fn value(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().find(|(it, _)| it == name).map(|(_, value)| value.clone())
}

fn code_of(reply: &Reply) -> String {
    value(&answered(reply), "code").expect("a code")
}

fn post_form(emulator: &Emulator, path: &str, pairs: &[(&str, &str)]) -> Reply {
    ask(emulator, &format!("POST {path}"), FORM, encoded(pairs).as_bytes())
}

fn exchange(emulator: &Emulator, code: &str, changes: &[(&str, &str)]) -> Reply {
    let pairs = [
        ("grant_type", "authorization_code"),
        ("client_id", "public"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    post_form(emulator, "/token", &changed(&pairs, changes))
}

fn refresh(emulator: &Emulator, token: &str, changes: &[(&str, &str)]) -> Reply {
    let pairs = [("grant_type", "refresh_token"), ("client_id", "public"), ("refresh_token", token)];
    post_form(emulator, "/token", &changed(&pairs, changes))
}

/// What `/token` answers to a new code with these scopes.
fn tokens(emulator: &Emulator, scope: &str) -> Value {
    let code = code_of(&authorize(emulator, &[("scope", scope)]));
    let reply = exchange(emulator, &code, &[]);
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name}: {value}"))
}

/// A refusal of a token endpoint: its status and its error, and that nobody may keep it.
fn refusal(reply: &Reply) -> (u16, String) {
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{}", reply.head);
    let body = reply.json();
    assert!(body["error_description"].is_string(), "{body}");
    (reply.status, text(&body, "error").to_owned())
}

fn refused(reply: &Reply, status: u16, error: &str) {
    assert_eq!(refusal(reply), (status, error.to_owned()), "{}", reply.text());
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// Whether an access token is good at `/mcp`.
fn opens(emulator: &Emulator, token: &str) -> bool {
    let reply = ask(emulator, "POST /mcp", &bearer(token), b"{}");
    assert!(matches!(reply.status, 200 | 401), "{}", reply.text());
    reply.status == 200
}

fn advance(emulator: &Emulator, seconds: u64) {
    emulator.advance(std::time::Duration::from_secs(seconds));
}
