//! A sign-in by device code (RFC 8628), for programs on machines without a browser: the user is shown an address and a code, and answers on
//! another device, while the program asks the server whether that has happened.

mod answer;
mod poll;
mod sealed;

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

use oauth2::PkceCodeChallenge;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use self::{
    answer::{Shown, Verdict},
    poll::{Poll, Said},
};
use super::{AuthError, OAuthApp, Stage, TokenSet, app::at_least_one};
use crate::server::{Expose as _, ScopeSet, SecretText, clock::unix_seconds};

/// A sign-in by device code that waits for its user. Show [`user_code`](Self::user_code) and [`verification_uri`](Self::verification_uri), or
/// [`verification_uri_complete`](Self::verification_uri_complete), which saves typing where it can be clicked or scanned, and then
/// [`wait`](Self::wait).
///
/// ```no_run
/// use amplitude_sdk::{Region, server::{oauth::{AuthError, AuthorizationServer, OAuthApp, OAuthClient}, scope}};
///
/// # async fn run() -> Result<(), AuthError> {
/// // The Developer API puts a client id of its own in.
/// let app = OAuthApp::builder(AuthorizationServer::developer_api(Region::Us), OAuthClient::anonymous()).build()?;
/// let mut login = app.device_login([scope::TAXONOMY_READ, scope::OPENID, scope::OFFLINE_ACCESS]).await?;
/// eprintln!("Enter {} at {}", login.user_code(), login.verification_uri());
/// let tokens = login.wait().await?;
/// # Ok(())
/// # }
/// ```
///
/// What is to be shown was checked: the addresses are https (or http on loopback), and nothing in them or in the code steers a terminal. `Debug`
/// shows no secret.
pub struct DeviceLogin {
    app: OAuthApp,
    device_code: SecretText,
    verifier: SecretString,
    requested: ScopeSet,
    shown: Shown,
    /// What the times of `poll` are counted from.
    begin: Instant,
    /// The same by the wall clock, for other processes.
    begin_unix: u64,
    poll: Poll,
}

impl OAuthApp {
    /// Begins a sign-in by device code, for a user who has a browser elsewhere. PKCE (S256) binds its tokens to this process, as Amplitude's own
    /// tool does it.
    ///
    /// # Errors
    /// [`AuthError::Unsupported`] for a server without a device endpoint; [`AuthError::Invalid`] for no scopes; [`AuthError::Insecure`] when the
    /// user would be sent to an address without TLS; as [`OAuthApp::refresh`].
    pub async fn device_login(&self, scopes: impl Into<ScopeSet>) -> Result<DeviceLogin, AuthError> {
        let endpoint = self.server().device_endpoint()?;
        let requested = at_least_one(scopes.into())?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let verifier = SecretString::from(verifier.into_secret());
        let scope = requested.to_string();
        let mut form = vec![("scope", scope.as_str()), ("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
        form.extend(self.resource().map(|resource| ("resource", resource)));
        // From before the request, so that the code is never thought to live longer than it does.
        let (begin, begin_unix) = (Instant::now(), unix_seconds());
        let answer = self.form(Stage::DeviceAuthorization, endpoint, None, &form).await?;
        let started = answer::started(&answer).map_err(|error| error.asking(&requested))?;
        Ok(DeviceLogin {
            app: self.clone(),
            device_code: started.device_code,
            verifier,
            requested,
            shown: started.shown,
            begin,
            begin_unix,
            poll: Poll::new(begin.elapsed(), started.lifetime, started.interval),
        })
    }
}

impl DeviceLogin {
    /// What the user types.
    #[must_use]
    pub fn user_code(&self) -> &str {
        &self.shown.user_code
    }

    /// Where the user types it.
    #[must_use]
    pub fn verification_uri(&self) -> &str {
        self.shown.verification_uri.as_str()
    }

    /// The same address with the code in it, where the server has one. The user is to compare the code that the page shows with
    /// [`user_code`](Self::user_code).
    #[must_use]
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.shown.verification_uri_complete.as_ref().map(Url::as_str)
    }

    /// How long the user has from now on.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.poll.deadline().saturating_sub(self.begin.elapsed())
    }

    /// When the code expires.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.begin_unix) + self.poll.deadline()
    }

    /// How long this side waits between two requests; the server may make it longer.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.poll.interval()
    }

    /// Waits for the user's answer: asks at the server's interval, five seconds slower after each `slow_down`, at growing distances while the
    /// server cannot be reached, and a last time when the code expires. Dropped, it asks no more; called again, it goes on where it was. An answer
    /// that was on its way when it was dropped is lost.
    ///
    /// # Errors
    /// [`AuthError::Denied`] when the user says no; [`AuthError::Expired`] when there was no answer, [`AuthError::Transient`] when at the end the
    /// server could not be reached; [`AuthError::ClientRejected`], [`AuthError::Protocol`], [`AuthError::Tls`]. After any of them a new sign-in is
    /// needed.
    pub async fn wait(&mut self) -> Result<TokenSet, AuthError> {
        let mut at_the_end = AuthError::Expired { stage: Stage::DeviceAuthorization };
        while let Some(next) = self.poll.next() {
            let left = next.saturating_sub(self.begin.elapsed());
            // Made within the runtime, as its timers must be.
            self.app.http().runtime().run(async { tokio::time::sleep(left).await }).await;
            self.poll.ask(self.begin.elapsed());
            let asked_at = unix_seconds();
            let verdict = self.ask().await;
            let now = self.begin.elapsed();
            match verdict {
                Ok(Verdict::Tokens(answer)) => {
                    self.poll.end();
                    return Ok(self.app.issued("device_code", *answer, self.requested.clone(), asked_at));
                }
                Ok(Verdict::Waits(said, retry_after)) => {
                    at_the_end = AuthError::Expired { stage: Stage::DeviceAuthorization };
                    self.poll.said(now, said, retry_after);
                }
                Err(error @ AuthError::Transient { retry_after, .. }) => {
                    at_the_end = error;
                    self.poll.said(now, Said::Failed, retry_after);
                }
                Err(error) => {
                    self.poll.end();
                    return Err(error.asking(&self.requested));
                }
            }
        }
        Err(at_the_end)
    }

    async fn ask(&self) -> Result<Verdict, AuthError> {
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", self.device_code.expose()),
            ("code_verifier", self.verifier.expose_secret()),
        ];
        form.extend(self.app.resource().map(|resource| ("resource", resource)));
        let endpoint = self.app.server().token_endpoint()?;
        answer::verdict(&self.app.form(Stage::Token, endpoint, None, &form).await?)
    }
}

/// Without the codes.
impl fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceLogin")
            .field("app", &self.app)
            .field("verification_uri", &self.verification_uri())
            .field("requested", &self.requested)
            .field("poll", &self.poll)
            .finish_non_exhaustive()
    }
}
