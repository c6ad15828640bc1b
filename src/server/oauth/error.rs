//! What can go wrong with OAuth, by what is to be done about it.

use std::{error::Error as StdError, fmt, time::Duration};

use crate::{Error, ErrorKind, error::Source, server::ScopeSet};

/// Why a token could not be had or used. No part of it holds a token, a code, a secret, or the body of an answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthError {
    /// The user must consent anew: nothing that this side holds gives access any more.
    ReauthRequired(Reauth),
    /// The server refuses this client: its id or secret is wrong, or it may not use this grant. Worth another try once the secret changed.
    ClientRejected {
        /// The server's code, e.g. `invalid_client`.
        code: String,
    },
    /// The user or the server said no.
    Denied {
        /// The server's code, e.g. `access_denied`.
        code: String,
        /// Its description, shortened and without control characters. Untrusted text.
        description: Option<String>,
    },
    /// The server does not give these scopes.
    ScopeRefused {
        /// The scopes that were asked for.
        asked: ScopeSet,
    },
    /// The call needs scopes that were not granted.
    InsufficientScope {
        /// Those that are missing, where they are known.
        needed: ScopeSet,
    },
    /// The token is not for this host: it goes to those of its resource alone, and one of a region to no other region's. Nothing was sent.
    ForeignHost {
        /// The host that was to be asked.
        host: String,
    },
    /// What came to the redirect URI is not the answer to this request. The request goes on waiting.
    CallbackRejected(CallbackFault),
    /// The server's answer is not what the standard says.
    Protocol {
        /// Whose answer.
        stage: Stage,
        /// Its HTTP status.
        status: u16,
        /// How many bytes its body has.
        bytes: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It may work later: no network, no answer in time, 429, 5xx.
    Transient {
        /// What was asked.
        stage: Stage,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
        /// What went wrong below.
        source: Option<Source>,
    },
    /// There is no connection that both sides trust: versions, certificates, names.
    Tls {
        /// What was asked.
        stage: Stage,
        /// What went wrong below.
        source: Source,
    },
    /// An address is neither https nor, where that is allowed, http on loopback.
    Insecure {
        /// Which address, e.g. `token_endpoint`.
        what: &'static str,
    },
    /// The user did not answer in time: start again.
    Expired {
        /// What the user was asked.
        stage: Stage,
    },
    /// The token store failed.
    Store(StoreFault, Option<Source>),
    /// The source of a secret failed.
    Secret(Error),
    /// This machine failed: it gave no port, no thread or no browser.
    System(Error),
    /// The server cannot do that, or this crate cannot do what the server demands.
    Unsupported {
        /// What, e.g. `revocation_endpoint`.
        feature: &'static str,
    },
    /// What was given is not allowed.
    Invalid(Error),
}

/// Why the user must consent anew.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reauth {
    /// The server no longer takes the refresh token (`invalid_grant`): expired, revoked, used twice, or of another region.
    GrantRefused,
    /// The access token has expired and there is no refresh token. Ask for `offline_access` where the server offers it.
    NoRefreshToken,
    /// Nobody has consented yet, or the token was revoked here.
    NoToken,
}

/// What is wrong with a callback.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CallbackFault {
    /// Its `state` is not that of the request.
    State,
    /// Its `iss` is not the server that was asked, or is missing though the server says that it sends one.
    Issuer,
    /// A parameter is missing.
    Missing(&'static str),
    /// A parameter is there twice.
    Duplicate(&'static str),
    /// It came too late.
    Expired,
    /// It is no URL or no query.
    Malformed,
}

/// Which request to an authorization server.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// Its metadata, or a resource's.
    Discovery,
    /// The registration of a client.
    Registration,
    /// The user's consent.
    Authorization,
    /// The start of a device login.
    DeviceAuthorization,
    /// A first token.
    Token,
    /// A newer token.
    Refresh,
    /// The end of a token.
    Revocation,
    /// A question about a token.
    Introspection,
}

/// What went wrong with a token store.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum StoreFault {
    /// It cannot be read or written, or it does not answer. It may be back later.
    Io,
    /// It is readable for others, belongs to another user, or is a link.
    Unsafe,
    /// What it holds cannot be read, or was encrypted with another key.
    Corrupt,
    /// Another process holds its lock for too long.
    Locked,
    /// Somebody else has written in between.
    Conflict,
}

impl AuthError {
    /// Whether the same call can succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transient { .. } | Self::Store(StoreFault::Io | StoreFault::Locked | StoreFault::Conflict, _) => true,
            Self::Secret(error) | Self::System(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// What kind of [`Error`] it becomes in a client's call.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::ReauthRequired(_)
            | Self::Expired { .. }
            | Self::ClientRejected { .. }
            | Self::Denied { .. }
            | Self::ScopeRefused { .. }
            | Self::InsufficientScope { .. }
            | Self::ForeignHost { .. } => ErrorKind::Unauthorized,
            Self::CallbackRejected(_) | Self::Insecure { .. } | Self::Unsupported { .. } => ErrorKind::Invalid,
            Self::Protocol { .. } => ErrorKind::Protocol,
            Self::Transient { .. } | Self::Tls { .. } => ErrorKind::Transport,
            Self::Store(..) => ErrorKind::Store,
            Self::Secret(error) | Self::System(error) | Self::Invalid(error) => error.kind(),
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReauthRequired(Reauth::GrantRefused) => f.write_str(
                "the authorization server no longer takes the refresh token (expired, revoked, used twice or of another region): \
                 have the user consent again",
            ),
            Self::ReauthRequired(Reauth::NoRefreshToken) => f.write_str(
                "the access token has expired and there is no refresh token: have the user consent again, with offline_access",
            ),
            Self::ReauthRequired(Reauth::NoToken) => f.write_str("there is no token: have the user consent"),
            Self::ClientRejected { code } => {
                write!(f, "the authorization server refuses this client ({code}): check its client id and secret")
            }
            Self::Denied { code, description: None } => write!(f, "access was denied ({code}); to try again, start anew"),
            Self::Denied { code, description: Some(text) } => write!(f, "access was denied ({code}): {text}"),
            Self::ScopeRefused { asked } => write!(
                f,
                "the authorization server does not give these scopes: {asked}; ask for those that the client is registered for \
                 (`AMPLITUDE_OAUTH_SCOPES`)"
            ),
            Self::InsufficientScope { needed } if needed.is_empty() => {
                f.write_str("the token's scopes do not allow this call: ask the user for more")
            }
            Self::InsufficientScope { needed } => {
                write!(f, "the token lacks scopes that this call needs: {needed}; ask the user for them")
            }
            Self::ForeignHost { host } => write!(
                f,
                "the token is not for {host}: tokens go to the hosts of their resource alone, and tokens of an EU organization to EU \
                 hosts; check the region and the resource, or name the host where the token is from (`AMPLITUDE_BASE_URL`, `host`)"
            ),
            Self::CallbackRejected(fault) => write!(f, "the callback is not the answer to this request: {fault}"),
            Self::Protocol { stage, status, bytes, problem } => {
                write!(f, "{stage}: the answer (status {status}, {bytes} bytes) {problem}")
            }
            Self::Transient { stage, .. } => write!(f, "{stage}: no answer for now; it may work later"),
            Self::Tls { stage, .. } => write!(
                f,
                "{stage}: no trusted TLS connection; the floor is TLS 1.3 (allow_tls_1_2 lowers it), and the certificate must be \
                 valid for the host"
            ),
            Self::Insecure { what } => write!(f, "{what}: must be https"),
            Self::Expired { stage } => write!(f, "{stage}: the user did not answer in time; start again"),
            Self::Store(fault, _) => write!(f, "token store: {fault}"),
            Self::Secret(_) => f.write_str("the secret cannot be had from its source"),
            Self::Unsupported { feature } => write!(f, "not supported: {feature}"),
            Self::System(error) | Self::Invalid(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl StdError for AuthError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Transient { source, .. } | Self::Store(_, source) => source.as_deref().map(|source| source as _),
            Self::Tls { source, .. } => Some(&**source),
            Self::Secret(error) => Some(error),
            Self::System(error) | Self::Invalid(error) => error.source(),
            _ => None,
        }
    }
}

impl fmt::Display for CallbackFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => f.write_str("its state is not that of the request"),
            Self::Issuer => f.write_str("it is not from the server that was asked"),
            Self::Missing(name) => write!(f, "{name} is missing"),
            Self::Duplicate(name) => write!(f, "{name} is there twice"),
            Self::Expired => f.write_str("it came too late"),
            Self::Malformed => f.write_str("it cannot be read"),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discovery => "discovery",
            Self::Registration => "client registration",
            Self::Authorization => "authorization",
            Self::DeviceAuthorization => "device authorization",
            Self::Token => "token request",
            Self::Refresh => "token refresh",
            Self::Revocation => "token revocation",
            Self::Introspection => "token introspection",
        })
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "it cannot be read or written",
            Self::Unsafe => "it is open to others: its files must be this user's alone (0600, folder 0700) and no links",
            Self::Corrupt => "what it holds cannot be read, or was encrypted with another key",
            Self::Locked => "another process holds its lock for too long",
            Self::Conflict => "somebody else has written in between",
        })
    }
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        let retry_after = match &error {
            AuthError::Transient { retry_after, .. } => *retry_after,
            AuthError::Secret(error) | AuthError::System(error) | AuthError::Invalid(error) => error.retry_after(),
            _ => None,
        };
        let made = Self::new(error.kind(), error.to_string());
        made.with_retryable(error.is_retryable()).with_retry_after(retry_after).speaking_for(error)
    }
}
