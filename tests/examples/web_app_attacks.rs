//! What others try with `examples/web_app.rs`.

use crate::{
    browser::{Browser, consent},
    web_app::Site,
};

#[test]
fn an_answer_is_taken_from_the_browser_alone_that_began_the_sign_in() {
    let mut site = Site::start(&[]);
    let (mut victim, mut attacker) = (Browser::default(), Browser::default());
    let asked = attacker.get(&site.at("/sign-in"));
    let of_attacker = consent(asked.location(), true);
    // A browser that has begun nothing.
    let reply = victim.get(&of_attacker);
    assert_eq!((reply.status, reply.header("location")), (400, None));
    // One that has begun a sign-in of its own, which goes on.
    let asked = victim.get(&site.at("/sign-in"));
    let reply = victim.get(&of_attacker);
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(!victim.cookies.contains_key("session"));
    assert_eq!(victim.get(&consent(asked.location(), true)).status, 303);
    assert!(site.home(&mut victim).body.contains("ada@example.com"));
    site.program.line("its state is not that of the request");
}

#[test]
fn what_waits_in_the_browser_cannot_be_made_or_changed_by_others() {
    let site = Site::start(&[]);
    let mut browser = Browser::default();
    let asked = browser.get(&site.at("/sign-in"));
    let callback = consent(asked.location(), true);
    let sealed = browser.cookies["sign-in"].clone();
    for forged in [String::new(), "x".to_owned(), sealed[1..].to_owned(), sealed.chars().rev().collect()] {
        browser.cookies.insert("sign-in".to_owned(), forged);
        assert_eq!(browser.get(&callback).status, 400);
        assert!(!browser.cookies.contains_key("session"));
    }
    // Of an answer that came already, the code is spent.
    browser.cookies.insert("sign-in".to_owned(), sealed.clone());
    assert_eq!(browser.get(&callback).status, 303);
    browser.cookies.insert("sign-in".to_owned(), sealed);
    assert_eq!(browser.get(&callback).status, 403);
}

#[test]
fn a_session_has_a_name_that_nobody_knew_before() {
    let site = Site::start(&[]);
    let mut browser = Browser::default();
    browser.cookies.insert("session".to_owned(), "planted".to_owned());
    site.sign_in(&mut browser);
    let first = browser.cookies["session"].clone();
    assert!(first.len() == 64 && first != "planted");
    // Nor does the name of one session become that of the next.
    site.sign_in(&mut browser);
    assert_ne!(browser.cookies["session"], first);
    for old in ["planted", &first] {
        let mut other = Browser::default();
        other.cookies.insert("session".to_owned(), old.to_owned());
        assert!(site.home(&mut other).body.contains("href=\"/sign-in\""));
    }
    // The tokens of the session before were revoked.
    let ended: Vec<_> = site.emulator.grants().iter().map(|grant| !grant["ended"].is_null()).collect();
    assert_eq!(ended, [true, false]);
}

#[test]
fn nothing_in_a_request_says_where_it_leads() {
    let site = Site::start(&[]);
    let mut browser = Browser::default();
    let evil = "next=https%3A%2F%2Fevil.example&return_to=%2F%2Fevil.example&redirect_uri=https%3A%2F%2Fevil.example";
    let asked = browser.get(&site.at(&format!("/sign-in?{evil}")));
    assert!(!asked.location().contains("evil"), "{asked:?}");
    let reply = browser.get(&format!("{}&{evil}", consent(asked.location(), true)));
    assert_eq!((reply.status, reply.header("location")), (303, Some("/")), "{reply:?}");
}

#[test]
fn a_sign_out_is_asked_for_by_its_own_page() {
    let site = Site::start(&[]);
    let mut browser = Browser::default();
    site.sign_in(&mut browser);
    let url = site.at("/sign-out");
    for headers in [&[][..], &[("origin", "https://evil.example")], &[("origin", "null")]] {
        assert_eq!(browser.ask("POST", &url, headers).status, 403);
    }
    assert_eq!(browser.get(&url).status, 405);
    assert!(site.home(&mut browser).body.contains("ada@example.com"));
    assert_eq!(browser.post(&url, &site.url).status, 303);
}
