//! Who may ask this server, and what its page may do.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// The page may load from here alone, and run nothing but its own files and their wasm.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Refuses other names for this machine, with which a foreign page could read what is exported, and what foreign pages would have done
/// here; and sets the headers of every answer.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let host = text(request.headers(), "host").unwrap_or_default();
    let mut response = if !is_loopback(host) {
        (StatusCode::MISDIRECTED_REQUEST, "this server answers to localhost alone\n").into_response()
    } else if !request.method().is_safe() && is_foreign(request.headers(), host) {
        (StatusCode::FORBIDDEN, "pages of other sites may not do this\n").into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    ["localhost", "127.0.0.1", "[::1]"].contains(&name)
}

/// Cookies know no ports: a page of another program on this machine sends this server's, too.
fn is_foreign(headers: &HeaderMap, host: &str) -> bool {
    let is_own = |origin: &str| origin.strip_prefix("http://") == Some(host);
    text(headers, "origin").is_some_and(|origin| !is_own(origin))
        || text(headers, "sec-fetch-site").is_some_and(|site| !["same-origin", "none"].contains(&site))
}

/// `None`: there is no such header. One that is no text is none that is expected.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}
