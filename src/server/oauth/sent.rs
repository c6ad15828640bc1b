//! The secrets of a request, which nothing that is said of its answer may repeat: there are servers that put what they were sent into a refusal,
//! and refusals are shown.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::{
    Body, Request,
    header::{AUTHORIZATION, HeaderMap},
};
use zeroize::Zeroizing;

/// The fields of a form that may be repeated. Every other one counts as a secret.
const HARMLESS: [&str; 9] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "grant_type",
    "redirect_uri",
    "resource",
    "response_type",
    "scope",
    "token_type_hint",
];

/// What is shorter would stand in any sentence, and protects nothing.
const SHORTEST: usize = 8;

#[derive(Default)]
pub(super) struct SentSecrets(Vec<Zeroizing<String>>);

impl SentSecrets {
    pub(super) fn of(request: &Request) -> Self {
        let mut secrets = Self::default();
        secrets.add_header(request.headers());
        if let Some(body) = request.body().and_then(Body::as_bytes) {
            // A request holds the one or the other, and neither is taken for the other.
            match serde_json::from_slice::<Registration>(body) {
                Ok(json) => json.client_secret.into_iter().for_each(|secret| secrets.add(secret)),
                Err(_) => {
                    for (name, value) in url::form_urlencoded::parse(body) {
                        if !HARMLESS.contains(&&*name) {
                            secrets.add(value.into_owned());
                        }
                    }
                }
            }
        }
        secrets
    }

    /// What proves who asks: as it is sent, and what it was made of.
    fn add_header(&mut self, headers: &HeaderMap) {
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, sent)) = header.and_then(|value| value.split_once(' ')) else { return };
        self.add(sent.to_owned());
        if scheme == "Basic"
            && let Some(pair) = BASE64_STANDARD.decode(sent).ok().map(Zeroizing::new)
            && let Some(colon) = pair.iter().position(|byte| *byte == b':')
        {
            // Both parts are form-encoded (RFC 6749 §2.3.1), which makes of the secret the name of a field without a value.
            for (secret, _) in url::form_urlencoded::parse(&pair[colon + 1..]) {
                self.add(secret.into_owned());
            }
        }
    }

    /// In clear, and as it stands in a form.
    fn add(&mut self, secret: String) {
        let secret = Zeroizing::new(secret);
        if secret.len() >= SHORTEST {
            self.0.push(Zeroizing::new(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()));
            self.0.push(secret);
        }
    }

    pub(super) fn are_in(&self, text: &str) -> bool {
        self.0.iter().any(|secret| text.contains(&***secret))
    }
}

/// What of a client's registration is a secret.
#[derive(serde::Deserialize)]
struct Registration {
    client_secret: Option<String>,
}

#[cfg(test)]
mod tests {
    use reqwest::{Method, header::HeaderValue};

    use super::*;

    fn of(authorization: Option<&str>, body: &'static str) -> SentSecrets {
        let mut request = Request::new(Method::POST, "https://a.example/token".parse().unwrap());
        if let Some(value) = authorization {
            request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        *request.body_mut() = Some(body.into());
        SentSecrets::of(&request)
    }

    #[test]
    fn t_r3_a_secret_is_known_however_it_was_sent() {
        let form = of(
            None,
            "grant_type=authorization_code&code=the%2Bcode+is&state=short&client_id=the-client&redirect_uri=the-uri-of-it",
        );
        for (text, is_secret) in [
            ("no the+code is known", true),
            ("code=the%2Bcode+is&x", true),
            ("the+code", false),
            ("short", false),
            ("the-client may not use authorization_code or the-uri-of-it", false),
        ] {
            assert_eq!(form.are_in(text), is_secret, "{text}");
        }
        // printf 'the-client:a%%20long%%3Dsecret' | base64
        let basic = of(Some("Basic dGhlLWNsaWVudDphJTIwbG9uZyUzRHNlY3JldA=="), "");
        for text in ["a long=secret", "a+long%3Dsecret", "dGhlLWNsaWVudDphJTIwbG9uZyUzRHNlY3JldA=="] {
            assert!(basic.are_in(text), "{text}");
        }
        assert!(!basic.are_in("the-client"));
        let json = of(Some("Bearer registration-1"), r#"{"client_id":"the-client","client_secret":"the-secret"}"#);
        assert!(json.are_in("x registration-1") && json.are_in("the-secret") && !json.are_in("the-client"));
        assert!(!of(None, "").are_in(""));
    }
}
