//! Opening the user's browser, with a program in its place.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::Command,
};

use amplitude_sdk::server::oauth::{AuthError, open_browser};

use crate::{shown::Shown as _, trace};

/// Run by the tests below in a process of its own, because the browser is named by the environment.
#[test]
#[ignore = "a process of its own; the tests below start it"]
fn opens_what_it_is_told() {
    let Ok(url) = env::var("OPEN_THIS") else { return };
    trace::start();
    match open_browser(&url).shown() {
        Ok(()) => println!("opened"),
        Err(error) => {
            println!("failed: {error}: {}", std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default())
        }
    }
}

/// What the process says, and what the browser was given.
fn open(url: &str, has_browser: bool) -> (String, Option<String>) {
    let dir = tempfile::tempdir().unwrap();
    let (browser, opened) = (dir.path().join("lynx"), dir.path().join("opened"));
    // By its name a browser of the terminal, so that it is waited for.
    fs::write(&browser, "#!/bin/sh\necho noise >&2\n/bin/echo \"$#\" \"$@\" > \"$OPENED\"\n").unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o700)).unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "browser::opens_what_it_is_told", "--ignored", "--nocapture"])
        .env_clear()
        .env("OPEN_THIS", url)
        .env("OPENED", &opened)
        .env("PATH", dir.path())
        .envs(env::var_os(trace::EXCHANGES).map(|path| (trace::EXCHANGES, path)))
        .envs(has_browser.then_some(("BROWSER", browser)))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    if trace::is_on() {
        io::stderr().write_all(&[&output.stdout[..], &output.stderr].concat()).unwrap();
    }
    (String::from_utf8(output.stdout).unwrap(), fs::read_to_string(opened).ok())
}

#[test]
fn a_browser_is_given_the_address_as_one_argument() {
    for url in [
        "https://example.com/authorize?a=b&c=$(touch%20x);d'e",
        "https://example.com/authorize?state=sentinel",
        "http://localhost:1/",
    ] {
        let (said, opened) = open(url, true);
        assert!(said.contains("opened"), "{said}");
        // URL text has no quote that a shell would see: the standard's serialisation escapes it where it must.
        assert_eq!(opened.as_deref(), Some(&*format!("1 {url}\n").replace('\'', "%27")));
    }
}

#[test]
fn what_is_no_address_of_a_sign_in_opens_nothing() {
    for url in
        ["file:///etc/passwd", "javascript:alert(1)", "http://example.com/", "https://user:password@example.com/", "--help", ""]
    {
        let (said, opened) = open(url, true);
        assert!(said.contains("failed: address to open: "), "{url}: {said}");
        assert!(url.is_empty() || !said.contains(url), "{said}");
        assert_eq!(opened, None);
    }
}

#[test]
fn a_machine_without_a_browser_is_an_error_that_does_not_repeat_the_address() {
    let (said, opened) = open("https://example.com/authorize?state=sentinel", false);
    assert!(said.contains("failed: no browser can be opened; show the address instead"), "{said}");
    assert!(!said.contains("sentinel") && opened.is_none(), "{said}");
    // The types tell the two failures apart.
    assert!(matches!(open_browser("file:///"), Err(AuthError::Invalid(_))));
}
