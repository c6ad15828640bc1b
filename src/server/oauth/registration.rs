//! The registration of clients by programs (RFC 7591), and its management (RFC 7592).

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroize as _;

use super::{
    Answer, AuthError, AuthorizationServer, ClientAuth, EncryptionKey, OAuthClient, OAuthOptions, RedirectUri, Stage,
    http::OAuthHttp,
};
use crate::{
    Error,
    server::{AccessToken, ClientSecret, Expose as _, RegistrationToken, ScopeSet},
};

/// What a sealed one is bound to.
const SEALED: &[u8] = b"amplitude-sdk registered client 1";

/// Describes a client that is to be registered.
///
/// ```no_run
/// use amplitude_sdk::{
///     Region,
///     server::oauth::{AuthError, AuthorizationServer, ClientRegistration, OAuthOptions, RedirectUri},
/// };
///
/// # async fn run() -> Result<(), AuthError> {
/// let redirect = RedirectUri::loopback("http://localhost:13222/callback")?;
/// let registration = ClientRegistration::new("My tool").redirect(&redirect);
/// let registered = registration.register(&AuthorizationServer::mcp(Region::Us), &OAuthOptions::new()).await?;
/// let client = registered.client()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientRegistration {
    name: String,
    redirects: Vec<RedirectUri>,
    auth_method: &'static str,
    grants: Vec<&'static str>,
    scopes: Option<ScopeSet>,
    initial_token: Option<AccessToken>,
}

impl ClientRegistration {
    /// A client without a secret, for users' consent and refresh tokens. The name is what the user is shown.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            redirects: Vec::new(),
            auth_method: "none",
            grants: vec!["authorization_code", "refresh_token"],
            scopes: None,
            initial_token: None,
        }
    }

    /// One more place that the user's browser may come back to.
    pub fn redirect(mut self, redirect: &RedirectUri) -> Self {
        self.redirects.push(redirect.clone());
        self
    }

    /// A client with a secret that goes in the body of requests ([`ClientAuth::SecretPost`]).
    pub fn secret_post(mut self) -> Self {
        self.auth_method = "client_secret_post";
        self
    }

    /// A client with a secret that goes in a header ([`ClientAuth::SecretBasic`]).
    pub fn secret_basic(mut self) -> Self {
        self.auth_method = "client_secret_basic";
        self
    }

    /// A client that acts for itself alone ([`super::ClientCredentials`]). It needs a secret.
    pub fn client_credentials(mut self) -> Self {
        self.grants = vec!["client_credentials"];
        self
    }

    /// The scopes that the client may ask for. Default: as the server has it.
    pub fn scopes(mut self, scopes: impl Into<ScopeSet>) -> Self {
        self.scopes = Some(scopes.into());
        self
    }

    /// What a server that does not register just anybody has given beforehand (RFC 7591 §3).
    pub fn initial_access_token(mut self, token: AccessToken) -> Self {
        self.initial_token = Some(token);
        self
    }

    /// Registers the client. Not repeated by itself: after no answer, there may be a client of which nobody knows.
    ///
    /// # Errors
    /// [`AuthError::Unsupported`] for a server without a registration endpoint; [`AuthError::Denied`] when it refuses what was asked for;
    /// [`AuthError::Protocol`] also when it registered other redirect URIs; [`AuthError::Transient`], [`AuthError::Tls`].
    pub async fn register(&self, server: &AuthorizationServer, options: &OAuthOptions) -> Result<RegisteredClient, AuthError> {
        let endpoint = server.need(&server.0.registration, "registration_endpoint")?;
        let http = OAuthHttp::new(options)?;
        let token = self.initial_token.as_ref().map(|token| token.expose());
        let answer = http.bearer(Stage::Registration, Method::POST, endpoint, token, Some(self.json().to_string())).await?;
        let state = read(&answer, endpoint, Some(self), None)?;
        Ok(RegisteredClient { http, endpoint: endpoint.clone(), state })
    }

    fn json(&self) -> Value {
        let redirects: Vec<_> = self.redirects.iter().map(RedirectUri::as_str).collect();
        let has_code = self.grants.contains(&"authorization_code");
        let mut json = json!({
            "client_name": self.name,
            "redirect_uris": redirects,
            "grant_types": self.grants,
            "response_types": if has_code { &["code"][..] } else { &[] },
            "token_endpoint_auth_method": self.auth_method,
            // OpenID Connect Registration §2: loopback is for native ones alone.
            "application_type": if redirects.iter().any(|url| url.starts_with("http:")) { "native" } else { "web" },
        });
        if let Some(scopes) = &self.scopes {
            json["scope"] = scopes.to_string().into();
        }
        json
    }
}

/// A client that was registered by a program, and what manages it.
///
/// `Debug` shows no secret.
pub struct RegisteredClient {
    http: OAuthHttp,
    endpoint: Url,
    state: State,
}

/// As it is stored, too.
#[derive(Clone, Deserialize, Serialize)]
struct State {
    client_id: String,
    client_secret: Option<String>,
    auth_method: String,
    secret_expires_at: Option<u64>,
    management: Option<Management>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Management {
    url: String,
    token: String,
}

impl Drop for State {
    fn drop(&mut self) {
        self.client_secret.zeroize();
        if let Some(Management { token, .. }) = &mut self.management {
            token.zeroize();
        }
    }
}

impl RegisteredClient {
    /// The client, for [`super::OAuthApp::builder`].
    ///
    /// # Errors
    /// [`AuthError::Invalid`] where the id or the secret that was stored cannot be one.
    pub fn client(&self) -> Result<OAuthClient, AuthError> {
        let secret = self.state.client_secret.as_ref().map(ClientSecret::new).transpose().map_err(AuthError::Invalid)?;
        let auth = match secret {
            None => ClientAuth::Public,
            Some(secret) if self.state.auth_method == "client_secret_basic" => ClientAuth::SecretBasic(secret.into()),
            Some(secret) => ClientAuth::SecretPost(secret.into()),
        };
        OAuthClient::new(&self.state.client_id, auth)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.state.client_id
    }

    /// When its secret expires; `None`: never, or it has none.
    #[must_use]
    pub fn secret_expires_at(&self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.state.secret_expires_at?))
    }

    /// What changes and deletes it, where the server gave that.
    #[must_use]
    pub fn registration_token(&self) -> Option<RegistrationToken> {
        RegistrationToken::new(&self.state.management.as_ref()?.token).ok()
    }

    /// Asks the server for what it holds; a new secret or registration token replaces the old one here.
    ///
    /// # Errors
    /// [`AuthError::Unsupported`] where the server gave nothing to manage it with; [`AuthError::Denied`] or [`AuthError::Protocol`] when it takes
    /// the registration token no more; [`AuthError::Transient`], [`AuthError::Tls`].
    pub async fn read(&mut self) -> Result<(), AuthError> {
        let answer = self.manage(Method::GET, None).await?;
        self.state = read(&answer, &self.endpoint, None, Some(&self.state))?;
        Ok(())
    }

    /// Replaces the registration by another one. What the server gives anew, registration token and perhaps secret, replaces the old here: store it
    /// again ([`RegisteredClient::seal`]).
    ///
    /// # Errors
    /// As [`RegisteredClient::read`], and [`ClientRegistration::register`].
    pub async fn update(&mut self, registration: &ClientRegistration) -> Result<(), AuthError> {
        let mut json = registration.json();
        json["client_id"] = self.state.client_id.as_str().into();
        if let Some(secret) = &self.state.client_secret {
            json["client_secret"] = secret.as_str().into();
        }
        let answer = self.manage(Method::PUT, Some(json.to_string())).await?;
        self.state = read(&answer, &self.endpoint, Some(registration), Some(&self.state))?;
        Ok(())
    }

    /// Deletes the client at the server, and with it its tokens, where the server does so.
    ///
    /// # Errors
    /// As [`RegisteredClient::read`]; the client is answered too, so that this can be repeated.
    pub async fn delete(self) -> Result<(), (AuthError, Self)> {
        match self.manage(Method::DELETE, None).await {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => Err((answer.error(), self)),
            Err(error) => Err((error, self)),
        }
    }

    async fn manage(&self, method: Method, json: Option<String>) -> Result<Answer, AuthError> {
        let management = self.state.management.as_ref().ok_or(AuthError::Unsupported { feature: "registration_client_uri" })?;
        let url = management_url(&management.url, &self.endpoint)?;
        self.http.bearer(Stage::Registration, method, &url, Some(&management.token), json).await
    }

    /// Encrypts id, secret and registration token into text to be stored (base64url).
    #[must_use]
    pub fn seal(&self, key: &EncryptionKey) -> String {
        key.seal_json(&self.state, &binding(&self.endpoint))
    }

    /// The reverse of [`RegisteredClient::seal`], for the same server.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for what was sealed with another key or for another server, or was changed.
    pub fn open(
        server: &AuthorizationServer,
        sealed: &str,
        key: &EncryptionKey,
        options: &OAuthOptions,
    ) -> Result<Self, AuthError> {
        let endpoint = server.need(&server.0.registration, "registration_endpoint")?;
        let state = key.open_json("sealed client", sealed, &binding(endpoint))?;
        Ok(Self { http: OAuthHttp::new(options)?, endpoint: endpoint.clone(), state })
    }
}

impl fmt::Debug for RegisteredClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredClient")
            .field("client_id", &self.state.client_id)
            .field("auth_method", &self.state.auth_method)
            .finish_non_exhaustive()
    }
}

fn binding(endpoint: &Url) -> Vec<u8> {
    [SEALED, endpoint.as_str().as_bytes()].concat()
}

#[derive(Deserialize)]
struct Raw {
    client_id: String,
    client_secret: Option<String>,
    client_secret_expires_at: Option<u64>,
    token_endpoint_auth_method: Option<String>,
    redirect_uris: Option<Vec<String>>,
    registration_client_uri: Option<String>,
    registration_access_token: Option<String>,
}

/// What the server registered. What `before` holds and the answer does not stays.
fn read(answer: &Answer, endpoint: &Url, asked: Option<&ClientRegistration>, before: Option<&State>) -> Result<State, AuthError> {
    let raw: Raw = answer.json()?;
    if before.is_some_and(|before| before.client_id != raw.client_id) {
        return Err(answer.protocol("is about another client"));
    }
    OAuthClient::new(&raw.client_id, ClientAuth::Public).map_err(|_| answer.protocol("holds a client id that is not valid"))?;
    // Copied where the old one stays.
    let secret = raw.client_secret.filter(|secret| !secret.is_empty());
    if secret.as_ref().is_some_and(|secret| ClientSecret::new(secret).is_err()) {
        return Err(answer.protocol("holds a client secret that is not valid"));
    }
    if let (Some(asked), Some(registered)) = (asked, &raw.redirect_uris) {
        let sorted = |mut urls: Vec<String>| {
            urls.sort();
            urls
        };
        if sorted(registered.clone()) != sorted(asked.redirects.iter().map(|url| url.as_str().to_owned()).collect()) {
            return Err(answer.protocol("holds other redirect URIs than those that were asked for"));
        }
    }
    let url = raw.registration_client_uri.or_else(|| Some(before?.management.as_ref()?.url.clone()));
    let token = raw.registration_access_token.or_else(|| Some(before?.management.as_ref()?.token.clone()));
    let management = url.zip(token).map(|(url, token)| Management { url, token });
    if let Some(Management { url, token }) = &management {
        management_url(url, endpoint).map_err(|_| answer.protocol("has the client managed at another origin"))?;
        RegistrationToken::new(token).map_err(|_| answer.protocol("holds a registration token that is not valid"))?;
    }
    // What the server says decides: it may have registered another method than was asked for.
    let method = raw.token_endpoint_auth_method.or_else(|| Some(before?.auth_method.clone()));
    let auth_method = method.unwrap_or_else(|| asked.map_or("client_secret_basic", |asked| asked.auth_method).to_owned());
    let client_secret = match auth_method.as_str() {
        "none" => None,
        "client_secret_post" | "client_secret_basic" => {
            let secret = secret.or_else(|| before?.client_secret.clone());
            Some(secret.ok_or_else(|| answer.protocol("holds no client secret"))?)
        }
        _ => return Err(answer.protocol("registers a way to prove who the client is that is not known here")),
    };
    Ok(State {
        client_id: raw.client_id,
        secret_expires_at: raw.client_secret_expires_at.filter(|&at| at != 0 && client_secret.is_some()),
        client_secret,
        auth_method,
        management,
    })
}

/// The registration token goes to nobody else.
fn management_url(url: &str, endpoint: &Url) -> Result<Url, AuthError> {
    let invalid =
        || AuthError::Invalid(Error::at("registration_client_uri", "is of another origin than the registration endpoint"));
    Url::parse(url).ok().filter(|url| url.origin() == endpoint.origin()).ok_or_else(invalid)
}
