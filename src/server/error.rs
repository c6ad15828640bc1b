//! What only servers say with an [`Error`].

use std::{error::Error as StdError, time::Duration};

use super::CredentialError;
#[cfg(feature = "oauth")]
use super::oauth::AuthError;
use crate::{Error, error::Source};

impl Error {
    /// Why a credential did not do, where that is the reason: for an [`crate::ErrorKind::Unauthorized`].
    ///
    /// ```
    /// use amplitude_sdk::{ProjectKey, server::{Client, CredentialError, ExportRange}};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let client = Client::new(ProjectKey::new("demo0000000000000000000000000key")?)?.into_any();
    /// let error = client.export(ExportRange::parse("20260101T00", "20260101T23")?).await.unwrap_err();
    /// assert!(matches!(error.credential_error(), Some(CredentialError::Unable { .. })));
    /// # Ok::<(), amplitude_sdk::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn credential_error(&self) -> Option<&CredentialError> {
        self.made_of()
    }

    /// What went wrong with OAuth, where that is the reason.
    #[cfg(feature = "oauth")]
    #[must_use]
    pub fn auth_error(&self) -> Option<&AuthError> {
        self.made_of()
    }

    /// What merely lies behind it, e.g. an error of the application's own source of secrets, is not it.
    fn made_of<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.source.as_deref().filter(|_| self.0.speaks_for_source)?.downcast_ref()
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(crate) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retry_after = retry_after;
        self
    }

    pub(crate) fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = Some(retryable);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// With what it was made of, whose words it has.
    pub(crate) fn speaking_for(mut self, source: impl Into<Source>) -> Self {
        self.0.speaks_for_source = true;
        self.with_source(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::CredentialKind;

    #[test]
    fn an_error_is_made_of_its_reason_and_not_of_what_lies_behind() {
        let reason = CredentialError::Forbidden { kind: CredentialKind::ScimKey, host: "h".to_owned() };
        let made = Error::from(reason.clone());
        assert_eq!((made.credential_error(), made.source().is_none()), (Some(&reason), true));
        // As a source of secrets does that asks somewhere with a credential of its own.
        let behind = Error::at("my source", "gives no secret").with_source(reason);
        assert!(behind.credential_error().is_none() && behind.source().is_some());
    }
}
