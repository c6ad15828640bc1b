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
    server::{AuthEvent, ClientSecret, SecretSource, SecretText, credential::Rotating},
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

/// A client's secret, or where it is read anew when the server refuses it. Clones share what they know of it.
#[derive(Clone)]
pub struct OAuthSecret(Rotating);

impl OAuthSecret {
    /// Asks the source before each request. When the server refuses the secret (`invalid_client`, or `unauthorized_client` with 401), the source is
    /// to look again, and the request is repeated: with the new secret, and with the one before where the source gives it and the server does not
    /// know the new one yet.
    pub fn from_source(source: impl SecretSource) -> Self {
        Self(Rotating::from_source(Arc::new(source), ClientSecret::check))
    }
}

impl From<ClientSecret> for OAuthSecret {
    fn from(secret: ClientSecret) -> Self {
        Self(Rotating::given(&secret))
    }
}

impl fmt::Debug for OAuthSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OAuthSecret").field(&self.0).finish()
    }
}

/// How one request proves who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proof<'a> {
    /// `None`: the server puts its own in.
    pub(crate) client_id: Option<&'a str>,
    pub(crate) secret: Option<&'a SecretText>,
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

    /// Makes a request with the secret as it is now, and further ones where that is refused and there is another secret. Whatever is answered
    /// then is the answer.
    pub(crate) async fn ask(&self, http: &OAuthHttp, endpoint: &Url, asked: &Asked<'_>) -> Result<Answer, AuthError> {
        let mut proof = Proof { client_id: self.id(), secret: None, in_header: false };
        let OAuthSecret(secret) = match &self.auth {
            ClientAuth::Public => return wire::ask(http, endpoint, proof, asked).await,
            ClientAuth::SecretPost(secret) => secret,
            ClientAuth::SecretBasic(secret) => {
                proof.in_header = true;
                secret
            }
        };
        let (mut refused, mut refusal) = (Vec::new(), None);
        while let Some(held) = secret.next(http.observers(), &refused).await.map_err(AuthError::Secret)? {
            let answer = wire::ask(http, endpoint, Proof { secret: Some(&held.secret), ..proof }, asked).await?;
            if !answer.rejects_secret() {
                return Ok(answer);
            }
            http.observers().tell(&AuthEvent::CredentialRefused { fingerprint: held.id.fingerprint });
            refused.push(held.id);
            refusal = Some(answer);
        }
        // There is always one to begin with, and each that was refused has left its answer.
        refusal.ok_or(AuthError::Invalid(Error::invalid(&["client secret: there is none"])))
    }
}
