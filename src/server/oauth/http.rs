//! The one way to the endpoints of authorization servers: no redirects, little time, small JSON answers, and one place where what went wrong
//! becomes an [`AuthError`]. No error holds a URL or the body of an answer.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use reqwest::{
    Client, Method, Request, Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

use super::{AuthError, OAuthOptions, Stage, refusal::Refusal, sent::SentSecrets};
use crate::{
    platform::http::{self, HttpOptions},
    server::{observer::Observers, runtime::Runtime},
};

/// Answers of authorization servers are small; what is longer is none.
const MAX_BODY_BYTES: usize = 64 << 10;

/// Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(crate) struct OAuthHttp(Arc<Inner>);

struct Inner {
    runtime: Runtime,
    options: HttpOptions,
    observers: Observers,
    /// Made when they are first needed, because a machine that speaks only to its own loopback may have no certificate authorities.
    https: OnceLock<Client>,
    loopback: OnceLock<Client>,
}

impl OAuthHttp {
    /// # Errors
    /// [`AuthError::Invalid`] that names the option that is wrong; [`AuthError::System`] when the system gives no thread.
    pub(crate) fn new(options: &OAuthOptions) -> Result<Self, AuthError> {
        options.http.check().map_err(AuthError::Invalid)?;
        Ok(Self(Arc::new(Inner {
            runtime: Runtime::shared().map_err(AuthError::System)?,
            options: options.http.clone(),
            observers: options.observers.clone(),
            https: OnceLock::new(),
            loopback: OnceLock::new(),
        })))
    }

    pub(crate) fn observers(&self) -> &Observers {
        &self.0.observers
    }

    /// What the sockets and timers of this side run on.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }

    pub(crate) async fn get(&self, stage: Stage, url: &Url) -> Result<Answer, AuthError> {
        self.send(stage, Request::new(Method::GET, url.clone())).await
    }

    /// Sends a form, with headers of its own where the client authenticates by one.
    pub(crate) async fn post_form(
        &self,
        stage: Stage,
        url: &Url,
        headers: HeaderMap,
        form: &[(&str, &str)],
    ) -> Result<Answer, AuthError> {
        let mut request = Request::new(Method::POST, url.clone());
        *request.headers_mut() = headers;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        *request.body_mut() = Some(form.into());
        self.send(stage, request).await
    }

    /// Sends a token in the header where bearer tokens belong, and JSON where there is some.
    pub(crate) async fn bearer(
        &self,
        stage: Stage,
        method: Method,
        url: &Url,
        token: Option<&str>,
        json: Option<String>,
    ) -> Result<Answer, AuthError> {
        let mut request = Request::new(method, url.clone());
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, http::sensitive("Bearer ", token));
        }
        if let Some(json) = json {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(json.into());
        }
        self.send(stage, request).await
    }

    /// Sends a request. Whatever status comes back is an answer.
    pub(crate) async fn send(&self, stage: Stage, mut request: Request) -> Result<Answer, AuthError> {
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let client = self.client(request.url())?;
        let sent = SentSecrets::of(&request);
        let answer = async { Answer::read(stage, client.execute(request).await?, sent).await };
        self.0.runtime.run(answer).await.map_err(|error: reqwest::Error| transport_error(stage, error))
    }

    fn client(&self, url: &Url) -> Result<&Client, AuthError> {
        let made = if url.scheme() == "http" { &self.0.loopback } else { &self.0.https };
        if let Some(client) = made.get() {
            return Ok(client);
        }
        // Refuses addresses that are neither https nor loopback.
        let client = self.0.options.client(url).map_err(AuthError::Invalid)?;
        Ok(made.get_or_init(|| client))
    }
}

impl fmt::Debug for OAuthHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OAuthHttp").field(&self.0.options).finish()
    }
}

/// What an endpoint answered.
pub(crate) struct Answer {
    stage: Stage,
    status: u16,
    headers: HeaderMap,
    retry_after: Option<Duration>,
    body: Zeroizing<String>,
    sent: SentSecrets,
}

impl Answer {
    async fn read(stage: Stage, response: Response, sent: SentSecrets) -> reqwest::Result<Self> {
        let retry_after = http::retry_after(response.headers(), SystemTime::now());
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        // One byte more, so that a body which is too long is seen to be.
        let body = Zeroizing::new(http::read_capped(response, MAX_BODY_BYTES + 1).await?);
        Ok(Self { stage, status, headers, retry_after, body, sent })
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// How long the server asked to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn is_success(&self) -> bool {
        matches!(self.status, 200 | 201 | 204)
    }

    /// The body of a success.
    ///
    /// # Errors
    /// As [`Answer::error`], and [`AuthError::Protocol`] for what is not the JSON that was expected.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, AuthError> {
        if !self.is_success() {
            return Err(self.error());
        }
        if self.body.len() > MAX_BODY_BYTES {
            return Err(self.protocol("is longer than 64 KiB"));
        }
        if !self.is_json() {
            return Err(self.protocol("is not JSON (content type)"));
        }
        // The parser's error may repeat what it read.
        serde_json::from_str(&self.body).map_err(|_| self.protocol("is not the JSON that the standard says"))
    }

    /// What the server said of its refusal, where this is one and the server says so as RFC 6749 §5.2 has it.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        if self.is_success() || self.body.len() > MAX_BODY_BYTES || !self.is_json() {
            return None;
        }
        Refusal::parse(&self.body, &self.sent)
    }

    /// Whether the server does not believe who asks.
    pub(crate) fn rejects_client(&self) -> bool {
        !self.is_success() && matches!(self.error(), AuthError::ClientRejected { .. })
    }

    /// Whether it does not believe the secret: it may know who asks, and not allow it (`unauthorized_client`), which some servers, with 401, say of
    /// a wrong secret too.
    pub(crate) fn rejects_secret(&self) -> bool {
        let is_believed = |code: &str| code != "invalid_client" && self.status != 401;
        !self.is_success() && matches!(self.error(), AuthError::ClientRejected { code } if !is_believed(&code))
    }

    /// # Errors
    /// [`Answer::error`], where it is no success.
    pub(crate) fn success(&self) -> Result<(), AuthError> {
        if self.is_success() { Ok(()) } else { Err(self.error()) }
    }

    /// The error of an answer that is no success.
    pub(crate) fn error(&self) -> AuthError {
        match self.status {
            300..=399 => return self.protocol("leads to another address, which is not followed"),
            408 | 429 | 500.. => return self.transient(),
            _ => {}
        }
        match self.refusal() {
            Some(refusal) => refusal.error(self.stage, self.retry_after),
            None => self.protocol("is an error that does not explain itself as the standard says; is the address right?"),
        }
    }

    pub(crate) fn protocol(&self, problem: &'static str) -> AuthError {
        AuthError::Protocol { stage: self.stage, status: self.status, bytes: self.body.len(), problem }
    }

    fn transient(&self) -> AuthError {
        AuthError::Transient { stage: self.stage, retry_after: self.retry_after, source: None }
    }

    fn is_json(&self) -> bool {
        self.header(CONTENT_TYPE.as_str()).is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
        })
    }
}

/// Without body and headers.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("stage", &self.stage).field("status", &self.status).finish_non_exhaustive()
    }
}

/// What went wrong before an answer was there.
fn transport_error(stage: Stage, error: reqwest::Error) -> AuthError {
    let error = error.without_url();
    if http::tls_error(&error).is_some() {
        AuthError::Tls { stage, source: error.into() }
    } else {
        AuthError::Transient { stage, retry_after: None, source: Some(error.into()) }
    }
}
