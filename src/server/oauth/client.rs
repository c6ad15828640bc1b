//! [`OAuthClient`]: who asks an authorization server, and how it proves to be that.

use std::{fmt, sync::Arc};

use url::Url;

use super::{
    AuthError,
    http::{Answer, OAuthHttp},
    wire::{self, Asked},
};
use crate::{
    Error,
    server::{AuthEvent, ClientSecret, Expose as _, Fingerprint, SecretSource, SecretText},
};

/// A client as an authorization server knows it: an application, a tool, a service account.
///
/// ```
/// use amplitude_sdk::server::{ClientSecret, oauth::{ClientAuth, OAuthClient}};
///
/// let tool = OAuthClient::new("my-tool", ClientAuth::Public)?;
/// let secret = ClientSecret::new("fake0000000000000000000000000key")?;
/// let web_app = OAuthClient::new("my-web-app", ClientAuth::SecretPost(secret.into()))?;
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OAuthClient {
    /// `None`: the server puts its own in.
    id: Option<String>,
    auth: ClientAuth,
}

/// How a client proves who it is. A secret goes in the other place where the server's metadata says that it takes it there alone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientAuth {
    /// Not at all: a program on a user's machine can keep no secret. PKCE binds what it is given.
    Public,
    /// With a secret in the request's body (`client_secret_post`): what Amplitude's MCP server takes.
    SecretPost(OAuthSecret),
    /// With a secret in a header (`client_secret_basic`).
    SecretBasic(OAuthSecret),
}

/// A client's secret, or where it is read anew when the server refuses it.
#[derive(Clone)]
pub struct OAuthSecret(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(ClientSecret),
    Source(Arc<dyn SecretSource>),
}

impl OAuthSecret {
    /// Asks the source before each request. When the server refuses the secret (`invalid_client`), the source is to look again, and the request
    /// is repeated once: with the new secret, or with the one before where the source gives it and the server does not know the new one yet.
    pub fn from_source(source: impl SecretSource) -> Self {
        Self::from(Arc::new(source) as Arc<dyn SecretSource>)
    }
}

impl From<ClientSecret> for OAuthSecret {
    fn from(secret: ClientSecret) -> Self {
        Self(Kind::Fixed(secret))
    }
}

impl From<Arc<dyn SecretSource>> for OAuthSecret {
    fn from(source: Arc<dyn SecretSource>) -> Self {
        Self(Kind::Source(source))
    }
}

impl fmt::Debug for OAuthSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Fixed(_) => "OAuthSecret(fixed)",
            Kind::Source(_) => "OAuthSecret(source)",
        })
    }
}

/// How one request proves who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proof<'a> {
    /// `None`: the server puts its own in.
    pub(crate) client_id: Option<&'a str>,
    pub(crate) secret: Option<&'a ClientSecret>,
    pub(crate) in_header: bool,
}

impl OAuthClient {
    /// A client with the id that it was registered under.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for an id that is empty, longer than 1024 characters, or holds others than the visible ASCII ones and spaces that RFC 6749 allows.
    pub fn new(id: impl Into<String>, auth: ClientAuth) -> Result<Self, AuthError> {
        let id = id.into();
        if id.is_empty() || id.len() > 1024 || !id.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(AuthError::Invalid(Error::at("client id", "has 1 to 1024 visible ASCII characters")));
        }
        Ok(Self { id: Some(id), auth })
    }

    /// No client of one's own: Amplitude's Developer API puts its own in.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { id: None, auth: ClientAuth::Public }
    }

    /// Its id, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(crate) fn is_public(&self) -> bool {
        matches!(self.auth, ClientAuth::Public)
    }

    /// Where a server takes secrets in one place only, it is put there.
    pub(super) fn for_methods(&self, methods: Option<&[String]>) -> Self {
        let takes = |method: &str| methods.is_none_or(|methods| methods.iter().any(|known| known == method));
        let auth = match &self.auth {
            ClientAuth::SecretPost(secret) if !takes("client_secret_post") && takes("client_secret_basic") => {
                ClientAuth::SecretBasic(secret.clone())
            }
            ClientAuth::SecretBasic(secret) if !takes("client_secret_basic") && takes("client_secret_post") => {
                ClientAuth::SecretPost(secret.clone())
            }
            auth => auth.clone(),
        };
        Self { id: self.id.clone(), auth }
    }

    /// Makes a request with the secret as it is now, and a second one where that is refused and there is another secret. Whatever is answered
    /// then is the answer.
    pub(crate) async fn ask(&self, http: &OAuthHttp, endpoint: &Url, asked: &Asked<'_>) -> Result<Answer, AuthError> {
        let (OAuthSecret(secret), in_header) = match &self.auth {
            ClientAuth::Public => {
                let proof = Proof { client_id: self.id(), secret: None, in_header: false };
                return wire::ask(http, endpoint, proof, asked).await;
            }
            ClientAuth::SecretPost(secret) => (secret, false),
            ClientAuth::SecretBasic(secret) => (secret, true),
        };
        let source = match secret {
            Kind::Fixed(secret) => return self.ask_with(secret, in_header, http, endpoint, asked).await,
            Kind::Source(source) => source,
        };
        let first = source.current().await.map_err(AuthError::Secret)?;
        let first_secret = client_secret(&first.secret)?;
        let refused = self.ask_with(&first_secret, in_header, http, endpoint, asked).await?;
        if !refused.rejects_client() {
            return Ok(refused);
        }
        source.invalidate(first.version);
        let now = source.current().await.map_err(AuthError::Secret)?;
        let secret = client_secret(&now.secret)?;
        let fingerprint = Fingerprint::of(secret.expose());
        if secret.expose() != first_secret.expose() {
            http.observers().tell(&AuthEvent::SecretReloaded { source: source.name(), fingerprint });
            return self.ask_with(&secret, in_header, http, endpoint, asked).await;
        }
        let Some(previous) = &now.previous else { return Ok(refused) };
        let answer = self.ask_with(&client_secret(previous)?, in_header, http, endpoint, asked).await?;
        if !answer.rejects_client() {
            http.observers().tell(&AuthEvent::SecretNotYetActive { fingerprint });
        }
        Ok(answer)
    }

    async fn ask_with(
        &self,
        secret: &ClientSecret,
        in_header: bool,
        http: &OAuthHttp,
        endpoint: &Url,
        asked: &Asked<'_>,
    ) -> Result<Answer, AuthError> {
        let proof = Proof { client_id: self.id(), secret: Some(secret), in_header };
        let answer = wire::ask(http, endpoint, proof, asked).await?;
        if answer.rejects_client() {
            http.observers().tell(&AuthEvent::CredentialRefused { fingerprint: Fingerprint::of(secret.expose()) });
        }
        Ok(answer)
    }
}

fn client_secret(text: &SecretText) -> Result<ClientSecret, AuthError> {
    ClientSecret::new(text.expose()).map_err(AuthError::Secret)
}
