//! [`OAuthApp`]: a client at a server, and the requests that it makes there.

use std::{fmt, sync::Arc};

use url::Url;

use super::{
    Answer, AuthError, AuthorizationServer, OAuthClient, OAuthOptions, Pending, RedirectUri, Stage, StoreKey, TokenAnswer,
    TokenEndpoint, TokenSet, endpoint,
    http::OAuthHttp,
    wire::{self, Asked, Grant},
};
use crate::{
    Error,
    server::{AuthEvent, BoxFuture, ScopeSet, clock::unix_seconds},
};

/// A client of an authorization server, for what and for whom. Cheap to clone.
///
/// ```no_run
/// use amplitude_sdk::{
///     Region,
///     server::{ClientSecret, oauth::{AuthError, AuthorizationServer, ClientAuth, OAuthApp, OAuthClient, RedirectUri}, scope},
/// };
///
/// # async fn run(secret: ClientSecret, callback: &str) -> Result<(), AuthError> {
/// let client = OAuthClient::new("my-web-app", ClientAuth::SecretPost(secret.into()))?;
/// let app = OAuthApp::builder(AuthorizationServer::mcp(Region::Us), client).build()?;
/// let redirect = RedirectUri::https("https://app.example.com/callback")?;
/// let (url, pending) = app.authorize(&redirect, [scope::MCP_READ, scope::OFFLINE_ACCESS])?;
/// // Send the user's browser to `url`; what it comes back with to the redirect URI is the callback.
/// let code = pending.verify(callback)?;
/// let tokens = pending.exchange(code).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OAuthApp(Arc<App>);

struct App {
    server: AuthorizationServer,
    client: OAuthClient,
    resource: Option<String>,
    profile: String,
    parameters: Vec<(String, String)>,
    http: OAuthHttp,
}

/// Describes an [`OAuthApp`].
#[derive(Clone, Debug)]
#[must_use]
pub struct OAuthAppBuilder {
    server: AuthorizationServer,
    client: OAuthClient,
    resource: Option<String>,
    profile: String,
    parameters: Vec<(String, String)>,
    options: OAuthOptions,
}

/// What the flow itself says, and no caller for it.
const RESERVED: [&str; 9] = [
    "response_type",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "resource",
];

impl OAuthAppBuilder {
    /// What the tokens are for (RFC 8707): an address, which is sent with the request for consent, for a token, and for each newer one.
    /// Default: the server's ([`AuthorizationServer::mcp`] has one).
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Sends no resource indicator, also where the server has one.
    pub fn without_resource(mut self) -> Self {
        self.resource = None;
        self
    }

    /// Whose tokens, where one program holds several: part of what they are stored under. Default: `default`.
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = profile.into();
        self
    }

    /// A further parameter of the request for consent, e.g. `prompt`.
    pub fn authorization_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// How the server is reached, and who hears of it.
    pub fn options(mut self, options: OAuthOptions) -> Self {
        self.options = options;
        self
    }

    /// Checks what was described, and asks nobody yet.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] that names what is wrong; [`AuthError::Unsupported`] for a server without a token endpoint.
    pub fn build(self) -> Result<OAuthApp, AuthError> {
        let Self { server, client, resource, profile, parameters, options } = self;
        server.token_endpoint()?;
        let client = client.for_methods(server.0.token_auth_methods.as_deref());
        if let Some(resource) = &resource {
            let url = endpoint::verbatim("resource", resource)?;
            if url.fragment().is_some() {
                return Err(AuthError::Invalid(Error::at("resource", "must have no fragment")));
            }
        }
        for (index, (name, _)) in parameters.iter().enumerate() {
            if RESERVED.contains(&name.as_str()) || parameters[..index].iter().any(|(other, _)| other == name) {
                return Err(AuthError::Invalid(Error::at("authorization parameter", "is one of the flow's own, or there twice")));
            }
        }
        let http = OAuthHttp::new(&options)?;
        Ok(OAuthApp(Arc::new(App { server, client, resource, profile, parameters, http })))
    }
}

impl OAuthApp {
    /// Describes a client at a server.
    pub fn builder(server: AuthorizationServer, client: OAuthClient) -> OAuthAppBuilder {
        OAuthAppBuilder {
            resource: server.0.resource.clone(),
            server,
            client,
            profile: "default".to_owned(),
            parameters: Vec::new(),
            options: OAuthOptions::default(),
        }
    }

    /// Begins a request for a user's consent: where to send the user's browser, and what to compare its answer with. State, and verifier (PKCE,
    /// S256), are new each time. There is no default for the scopes; ask for those that your calls need.
    ///
    /// With several servers, give each a redirect URI of its own, so that none can pass its answers off as another's.
    ///
    /// # Errors
    /// [`AuthError::Unsupported`] for a server without an authorization endpoint, one that knows no S256, or one that requires pushed
    /// requests; [`AuthError::Invalid`] for no scopes.
    pub fn authorize(&self, redirect: &RedirectUri, scopes: impl Into<ScopeSet>) -> Result<(String, Pending), AuthError> {
        let known = &*self.0.server.0;
        let endpoint = self.0.server.need(&known.authorization, "authorization_endpoint")?;
        if known.requires_pushed_requests {
            return Err(AuthError::Unsupported { feature: "pushed authorization requests, which the server requires" });
        }
        if known.pkce_methods.as_ref().is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
            return Err(AuthError::Unsupported { feature: "PKCE with S256, which the server does not list" });
        }
        let client_id =
            self.0.client.id().ok_or(AuthError::Unsupported { feature: "a request for consent without a client id" })?;
        let scopes = at_least_one(scopes.into())?;
        let mut parameters = self.0.parameters.clone();
        parameters.extend(self.0.resource.iter().map(|resource| ("resource".to_owned(), resource.clone())));
        let made = wire::authorization(endpoint, client_id, redirect.as_str(), &scopes, &parameters)?;
        let pending = Pending {
            app: self.clone(),
            state: made.state,
            verifier: made.verifier,
            redirect: redirect.as_str().to_owned(),
            requested: scopes,
            started_at: unix_seconds(),
        };
        Ok((made.url.into(), pending))
    }

    /// Asks for newer tokens, once, and keeps them nowhere: who holds the old ones must not use them again, and have this done by one at a time.
    /// `scopes` may ask for fewer than were granted.
    ///
    /// # Errors
    /// [`AuthError::ReauthRequired`] when the user must consent anew, [`AuthError::ScopeRefused`] for scopes that were not granted, which is not
    /// even asked; [`AuthError::ClientRejected`], [`AuthError::Transient`], [`AuthError::Tls`], [`AuthError::Protocol`].
    pub async fn refresh(&self, tokens: &TokenSet, scopes: Option<&ScopeSet>) -> Result<TokenSet, AuthError> {
        let asked_at = unix_seconds();
        let answer = self.ask_refresh(tokens, scopes).await?;
        let mut before = tokens.clone();
        if let Some(scopes) = scopes {
            (before.requested, before.granted) = (scopes.clone(), scopes.clone());
        }
        Ok(answer.next(&before, asked_at))
    }

    async fn ask_refresh(&self, tokens: &TokenSet, scopes: Option<&ScopeSet>) -> Result<TokenAnswer, AuthError> {
        let Some(token) = &tokens.refresh else {
            return Err(AuthError::ReauthRequired(super::Reauth::NoRefreshToken));
        };
        if let Some(scopes) = scopes {
            let wider = scopes.without(&tokens.granted);
            if !wider.is_empty() || scopes.is_empty() {
                return Err(AuthError::ScopeRefused { asked: wider });
            }
        }
        self.token(Grant::Refresh { token, scopes }, scopes.unwrap_or(&tokens.granted)).await
    }

    /// Asks for a token; `scopes` are those that a refusal names.
    pub(super) async fn token(&self, grant: Grant<'_>, scopes: &ScopeSet) -> Result<TokenAnswer, AuthError> {
        let App { server, client, http, resource, .. } = &*self.0;
        let answer = client.ask(http, server.token_endpoint()?, &Asked::Token(grant, resource.as_deref())).await?;
        TokenAnswer::read(&answer).map_err(|error| error.asking(scopes))
    }

    /// Makes tokens of a first answer, and says so to whoever wants to know.
    pub(crate) fn issued(&self, grant: &'static str, answer: TokenAnswer, requested: ScopeSet, asked_at: u64) -> TokenSet {
        let lifetime = answer.lifetime;
        let tokens = answer.first(requested, asked_at);
        self.0.http.observers().tell(&AuthEvent::TokenIssued {
            issuer: self.0.server.issuer(),
            grant,
            requested: &tokens.requested,
            granted: &tokens.granted,
            lifetime,
        });
        tokens
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &AuthorizationServer {
        &self.0.server
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &OAuthClient {
        &self.0.client
    }

    pub(crate) fn http(&self) -> &OAuthHttp {
        &self.0.http
    }

    /// What a text that is sealed for this application is bound to, so that no other text of the same key is taken for one, nor one of another
    /// client, server, resource or profile. `what` is its form.
    pub(super) fn binding(&self, what: &str) -> Vec<u8> {
        let App { server, client, resource, profile, .. } = &*self.0;
        let (client_id, resource) = (client.id().unwrap_or_default(), resource.as_deref().unwrap_or_default());
        [what, server.issuer(), client_id, resource, profile].join("\0").into_bytes()
    }

    pub(crate) fn resource(&self) -> Option<&str> {
        self.0.resource.as_deref()
    }

    /// Sends a form as the client to an endpoint that takes its proof in one of these ways. Whatever is answered is the answer.
    pub(crate) async fn form(
        &self,
        stage: Stage,
        endpoint: &Url,
        methods: Option<&[String]>,
        form: &[(&str, &str)],
    ) -> Result<Answer, AuthError> {
        self.0.client.for_methods(methods).ask(&self.0.http, endpoint, &Asked::Form(stage, form)).await
    }
}

impl fmt::Debug for OAuthApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthApp")
            .field("issuer", &self.0.server.issuer())
            .field("client", &self.0.client)
            .field("resource", &self.0.resource)
            .field("profile", &self.0.profile)
            .finish_non_exhaustive()
    }
}

/// Scopes, of which there must be one.
pub(super) fn at_least_one(scopes: ScopeSet) -> Result<ScopeSet, AuthError> {
    if scopes.is_empty() {
        return Err(AuthError::Invalid(Error::at(
            "scopes",
            "there is none; name those that your calls need (`AMPLITUDE_OAUTH_SCOPES`)",
        )));
    }
    Ok(scopes)
}

/// A user's tokens.
impl TokenEndpoint for OAuthApp {
    fn store_key(&self) -> StoreKey {
        StoreKey {
            issuer: self.0.server.issuer().to_owned(),
            client_id: self.0.client.id().unwrap_or_default().to_owned(),
            resource: self.0.resource.clone(),
            profile: self.0.profile.clone(),
        }
    }

    fn hosts(&self) -> &[String] {
        self.0.server.hosts()
    }

    fn needs_refresh_token(&self) -> bool {
        true
    }

    fn renew<'a>(&'a self, current: Option<&'a TokenSet>) -> BoxFuture<'a, Result<TokenAnswer, AuthError>> {
        Box::pin(async move {
            match current {
                Some(tokens) => self.ask_refresh(tokens, None).await,
                None => Err(AuthError::ReauthRequired(super::Reauth::NoToken)),
            }
        })
    }

    fn revoke<'a>(&'a self, tokens: &'a TokenSet) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(self.ask_revocation(tokens))
    }
}
