//! A sign-in by device code, kept while its program is not running.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{DeviceLogin, answer::Shown, poll::Poll};
use crate::server::{
    Expose as _, SecretText,
    clock::unix_seconds,
    oauth::{AuthError, EncryptionKey, OAuthApp},
};

/// How errors call a sealed one.
const WHAT: &str = "sealed device login";

/// What it is bound to beside its application.
const SEALED: &str = "amplitude-sdk device login 1";

/// What is kept, as JSON before it is encrypted.
#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    device_code: Cow<'a, str>,
    verifier: Cow<'a, str>,
    scope: Cow<'a, str>,
    user_code: Cow<'a, str>,
    verification_uri: Cow<'a, str>,
    verification_uri_complete: Option<Cow<'a, str>>,
    interval: u64,
    begin: u64,
    lifetime: u64,
}

impl DeviceLogin {
    /// Encrypts into text (base64url) what another process needs to go on with this sign-in, at the interval to which the server has slowed it.
    #[must_use]
    pub fn seal(&self, key: &EncryptionKey) -> String {
        let kept = Kept {
            device_code: self.device_code.expose().into(),
            verifier: self.verifier.expose_secret().into(),
            scope: self.requested.to_string().into(),
            user_code: self.user_code().into(),
            verification_uri: self.verification_uri().into(),
            verification_uri_complete: self.verification_uri_complete().map(Cow::from),
            interval: self.poll.interval().as_secs(),
            begin: self.begin_unix,
            lifetime: self.poll.deadline().as_secs(),
        };
        key.seal_json(&kept, &self.app.binding(SEALED))
    }

    /// The reverse of [`DeviceLogin::seal`], for the same application.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for what was sealed with another key, was changed, or is another application's, server's or
    /// [profile](crate::server::oauth::OAuthAppBuilder::profile)'s.
    pub fn open(app: &OAuthApp, sealed: &str, key: &EncryptionKey) -> Result<Self, AuthError> {
        let invalid = || EncryptionKey::does_not_open(WHAT);
        let kept: Kept<'_> = key.open_json(WHAT, sealed, &app.binding(SEALED))?;
        let complete = kept.verification_uri_complete.as_deref();
        let shown = Shown::new(kept.user_code.into_owned(), &kept.verification_uri, complete)?.ok_or_else(invalid)?;
        // A clock that was set back gives the whole lifetime again; the server knows better.
        let passed = Duration::from_secs(unix_seconds().saturating_sub(kept.begin));
        let lifetime = Duration::from_secs(kept.lifetime);
        let left = lifetime.saturating_sub(passed);
        Ok(Self {
            app: app.clone(),
            device_code: SecretText::new(kept.device_code.into_owned()).map_err(|_| invalid())?,
            verifier: SecretString::from(kept.verifier.into_owned()),
            requested: kept.scope.parse().map_err(|_| invalid())?,
            shown,
            begin: Instant::now(),
            begin_unix: kept.begin.saturating_add(lifetime.saturating_sub(left).as_secs()),
            poll: Poll::new(Duration::ZERO, left, Duration::from_secs(kept.interval)),
        })
    }
}
