//! Keeps other sites' pages away from what a person decides here, and from the controls: a name that was rebound to loopback shows in
//! `Host`, a form or a script of another site in `Origin` and `Sec-Fetch-Site`.

use axum::{
    extract::Request,
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::answer::Answer;

pub(super) async fn own_pages_alone(request: Request, next: Next) -> Response {
    match refusal(request.method(), request.headers()) {
        Some(text) => Answer::text(403, text).into_response(),
        None => next.run(request).await,
    }
}

fn refusal(method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default();
    if !is_loopback(host) {
        return Some("the Host must be 127.0.0.1, localhost or [::1]");
    }
    if method.is_safe() {
        return None;
    }
    let own = |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| authority == host);
    let elsewhere = text(header::ORIGIN).is_some_and(|origin| !own(origin))
        || text(header::HeaderName::from_static("sec-fetch-site")).is_some_and(|site| !matches!(site, "same-origin" | "none"));
    elsewhere.then_some("pages of other sites may not do this")
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "127.0.0.1" | "[::1]") || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_three_names() {
        for good in ["127.0.0.1", "127.0.0.1:8787", "localhost:1", "LOCALHOST", "[::1]", "[::1]:8787"] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "evil.example:8787",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "localhost:",
            "localhost:x",
            "::1",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }
}
