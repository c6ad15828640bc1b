//! Redirect URIs: which can be registered, which are the registered ones, and how an answer is put on one.

use url::{Url, form_urlencoded};

/// Why this cannot be registered, where it cannot.
pub(super) fn flaw(uri: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(uri) else { return Some("is no URI") };
    if !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("has characters that a URI may not have");
    }
    if uri.contains('#') {
        return Some("has a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("has a user");
    }
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" => None,
        "http" if matches!(host, "127.0.0.1" | "[::1]" | "localhost") => None,
        _ => Some("must be https, or http on 127.0.0.1, [::1] or localhost"),
    }
}

/// The registered URI itself; of a loopback address any port (RFC 8252, section 7.3). `localhost` is a name and has to be exact.
pub(super) fn is_registered(registered: &[String], uri: &str) -> bool {
    registered.iter().any(|it| it == uri || without_port(it).is_some_and(|it| without_port(uri) == Some(it)))
}

/// The address and what comes after the port of an http URI of a loopback address.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    ["http://127.0.0.1", "http://[::1]"].into_iter().find_map(|address| {
        let rest = uri.strip_prefix(address)?;
        let rest = match rest.strip_prefix(':') {
            Some(after) => {
                let digits = after.bytes().take_while(u8::is_ascii_digit).count();
                after[..digits].parse::<u16>().ok().filter(|port| *port > 0)?;
                &after[digits..]
            }
            None => rest,
        };
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((address, rest))
    })
}

/// The URI with an answer in its query.
pub(super) fn with(uri: &str, answer: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
    let separator = if !uri.contains('?') {
        "?"
    } else if uri.ends_with(['?', '&']) {
        ""
    } else {
        "&"
    };
    format!("{uri}{separator}{query}")
}

/// What a browser must be allowed to be sent to by a form, as a source of a content security policy. There no address of IPv6 can stand.
pub(super) fn source(uri: &str) -> String {
    let origin = origin(uri);
    if origin.contains('[') { "http:".to_owned() } else { origin }
}

/// Scheme, host and port.
pub(super) fn origin(uri: &str) -> String {
    Url::parse(uri).map_or_else(|_| "null".to_owned(), |url| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_registered_is_https_or_loopback() {
        let good =
            ["https://app.example/callback?a=1", "http://127.0.0.1/cb", "http://[::1]:1/", "http://localhost:13222/callback"];
        for uri in good {
            assert_eq!(flaw(uri), None, "{uri}");
        }
        for uri in [
            "",
            "/callback",
            "http://app.example/",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1@evil.example/",
            "https://user:word@app.example/",
            "https://app.example/#here",
            "https://app.example/#",
            "https://app.example/ a",
            "https://app.example/\u{e9}",
            "javascript:alert(1)",
            "com.example.app:/callback",
            "data:text/html,x",
        ] {
            assert!(flaw(uri).is_some(), "{uri}");
        }
    }

    #[test]
    fn loopback_addresses_have_any_port_and_nothing_else_is_loose() {
        let registered = |uri: &str| vec![uri.to_owned()];
        for (known, given) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"),
            ("http://127.0.0.1:1/cb?a=1", "http://127.0.0.1/cb?a=1"),
            ("http://[::1]/cb", "http://[::1]:65535/cb"),
            ("http://localhost:13222/cb", "http://localhost:13222/cb"),
            ("https://app.example/cb", "https://app.example/cb"),
        ] {
            assert!(is_registered(&registered(known), given), "{given}");
        }
        for (known, given) in [
            ("http://localhost:13222/cb", "http://localhost:13223/cb"),
            ("http://localhost/cb", "http://127.0.0.1/cb"),
            ("http://127.0.0.1/cb", "http://[::1]/cb"),
            ("http://127.0.0.1/cb", "https://127.0.0.1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb/"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb?a=1"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb"),
            ("http://127.0.0.1", "http://127.0.0.1:1@evil.example"),
            ("http://127.0.0.1", "http://127.0.0.1.evil.example"),
            ("https://app.example/cb", "https://app.example:443/cb"),
            ("https://app.example/cb", "https://APP.example/cb"),
            ("https://app.example/cb", "https://app.example/cb/../x"),
        ] {
            assert!(!is_registered(&registered(known), given), "{known} {given}");
        }
    }

    #[test]
    fn an_answer_is_added_to_the_query() {
        assert_eq!(
            with("https://a.example/cb", &[("code", "a b&c"), ("state", "\u{e4}")]),
            "https://a.example/cb?code=a+b%26c&state=%C3%A4"
        );
        assert_eq!(with("https://a.example/cb?x=1", &[("code", "1")]), "https://a.example/cb?x=1&code=1");
        assert_eq!(with("https://a.example/cb?", &[("code", "1")]), "https://a.example/cb?code=1");
        assert_eq!(source("http://127.0.0.1:8788/cb?x=1;script-src *"), "http://127.0.0.1:8788");
        assert_eq!(source("http://[::1]:8788/cb"), "http:");
        assert_eq!(source("https://app.example/cb"), "https://app.example");
    }
}
