//! OAuth 2.0: delegated access, for applications that act for a user who consented, and for service accounts.
//!
//! Source of the facts about Amplitude's own servers: "Amplitude MCP Server", "MCP service accounts" and "Developer API",
//! amplitude.com/docs, read 2026-03-13, and the metadata that those servers publish, as others captured it on 2026-09-19.

mod app;
#[cfg(feature = "open-browser")]
mod browser;
mod callback;
mod chain;
mod client;
mod device;
mod discovery;
mod endpoint;
mod error;
mod http;
mod introspection;
mod key;
mod listener;
mod login;
mod metadata;
mod options;
mod pending;
mod redirect;
mod refresh;
mod refusal;
mod registration;
mod revocation;
mod sent;
mod server;
mod service_account;
mod settings;
mod store;
mod token;
mod token_answer;
mod wire;

#[cfg(feature = "open-browser")]
pub use self::browser::open_browser;
pub use self::{
    app::{OAuthApp, OAuthAppBuilder},
    chain::TokenChain,
    client::{ClientAuth, OAuthClient, OAuthSecret},
    device::DeviceLogin,
    discovery::{Discovery, ProtectedResource},
    error::{AuthError, CallbackFault, Reauth, Stage, StoreFault},
    introspection::Introspection,
    key::EncryptionKey,
    listener::{Loopback, LoopbackHost, LoopbackListener},
    options::OAuthOptions,
    pending::{Pending, VerifiedCode},
    redirect::RedirectUri,
    refresh::{RefreshingToken, Revocation},
    registration::{ClientRegistration, RegisteredClient},
    server::{AuthorizationServer, AuthorizationServerBuilder},
    service_account::ClientCredentials,
    settings::OAuthSettings,
    store::{EncryptedTokenStore, FileTokenStore, MemoryTokenStore, StoredTokens},
    token::{Lease, StoreGuard, StoreKey, TokenProvider, TokenSet, TokenStore},
};
pub(crate) use self::{endpoint::host_name, http::Answer, server::bearer_hosts, token::TokenEndpoint, token_answer::TokenAnswer};
