//! What only servers do: calls that need a secret. Not compiled for any wasm target, whatever the features.
//!
//! [`Client`] holds one credential and offers the calls that it may make; a call that the credential cannot make does not compile.
//! Secrets are redacted in `Debug`, overwritten in memory when dropped, and sent over TLS 1.3, or 1.2 where
//! [`Options::allow_tls_1_2`] was called; without TLS they go to loopback addresses alone.

mod client;
mod credential;
mod env;
mod error;
mod export;
mod ingest;
mod runtime;
mod secret;

pub use self::{
    client::{Client, Options},
    credential::{CanExport, CanIngest, Credential, ProjectPair},
    export::{Export, ExportRange, ExportedEvent, ExportedEvents},
    ingest::{EventVerdict, IngestOptions, Ingested},
    secret::SecretKey,
};
pub(crate) use env::Environment;
