//! `Client::verify`: whether a credential is good, before anything depends on it.

use super::{
    CanVerify, Client, Credential,
    call::Call,
    client::{Pace, status_error},
    credential::{Probe, is_known},
};
use crate::Result;

/// An answer is looked at within this.
const MAX_ANSWER_BYTES: usize = 64 << 10;

impl<C: Credential> Client<C> {
    /// Asks the server whether it takes the credential, by a request that changes nothing: when a program starts, or after a rotation. Of a
    /// client [with a bearer](Client::with_bearer), both credentials are asked about. What a credential may do is another question: one that
    /// the server knows and does not allow this request is good.
    ///
    /// ```no_run
    /// use amplitude_sdk::server::{Client, ProjectPair};
    ///
    /// # async fn run() -> amplitude_sdk::Result<()> {
    /// let client = Client::new(ProjectPair::from_env()?)?;
    /// client.verify().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unauthorized`] for a credential that the server refuses: its text says what to do next, and
    /// [`crate::Error::credential_error`] which it was and why. The others by what happens on the way: the credential may be good.
    pub async fn verify(&self) -> Result<()>
    where
        C: CanVerify,
    {
        for Probe { api, path, query, is_also_good } in self.credential.probes()? {
            let call = Call { api, method: Probe::METHOD, path, pace: Pace::Quick, scope: None };
            let asked = self.call(call, |request| if query.is_empty() { request } else { request.query(query) }).await;
            let answer = match asked {
                Err(error) if is_known(&error) => continue,
                asked => asked?,
            };
            let status = answer.response.status().as_u16();
            if (200..300).contains(&status) {
                continue;
            }
            let error = status_error(&answer.response);
            if !is_also_good(status, &self.core.read(answer, MAX_ANSWER_BYTES).await?) {
                return Err(error);
            }
        }
        Ok(())
    }
}
