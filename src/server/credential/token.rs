//! What a user of Amplitude makes for programs of their own.

use super::{Authorization, CanBearer, CredentialKind, Probe, key::keys};
use crate::server::{api::Api, context};

/// Who one is, and with which scopes.
pub(super) const CONTEXT: Probe = Probe::new(Api::Developer, context::PATH, &[]);

keys! {
    /// A personal access token of the Developer API (`amp_...`): it acts as the user who made it.
    ///
    /// ```no_run
    /// use amplitude_sdk::server::{Client, PersonalAccessToken};
    ///
    /// # async fn run() -> amplitude_sdk::Result<()> {
    /// let client = Client::new(PersonalAccessToken::from_env()?)?;
    /// println!("{:?}", client.context().await?);
    /// # Ok(())
    /// # }
    /// ```
    PersonalAccessToken {
        what: "personal access token",
        variable: "AMPLITUDE_PERSONAL_ACCESS_TOKEN",
        begins: Some("amp_"),
        carry: |held| Authorization::bearer(CredentialKind::PersonalAccessToken, "Bearer PAT=", held),
        probe: CONTEXT,
    }
}

impl CanBearer for PersonalAccessToken {}
