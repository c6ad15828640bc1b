//! [`TokenChain`]: the first of several providers that has tokens.

use std::{fmt, sync::Arc};

use super::{AuthError, Lease, Reauth, TokenProvider};
use crate::server::{BoxFuture, ScopeSet};

/// The first of several providers that has tokens to give, chosen once: e.g. a token of the environment before the one that a user's login has
/// stored. Which one it is does not change afterwards, and an error of that one is the error: to go on with the next would have a call made as
/// somebody else.
///
/// ```
/// use std::sync::Arc;
/// use amplitude_sdk::server::oauth::{AuthError, RefreshingToken, TokenChain};
///
/// # async fn run(of_this_user: RefreshingToken, of_the_team: RefreshingToken) -> Result<(), AuthError> {
/// let tokens = TokenChain::choose([Arc::new(of_this_user) as _, Arc::new(of_the_team) as _]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenChain {
    chosen: Arc<dyn TokenProvider>,
    index: usize,
}

impl TokenChain {
    /// Asks them in their order for a token, and passes over those that have none because nobody has consented ([`Reauth::NoToken`]). One that
    /// fails otherwise is chosen: it has tokens, and says what is wrong when it is asked again.
    ///
    /// # Errors
    /// [`Reauth::NoToken`] when all are passed over.
    pub async fn choose(providers: impl IntoIterator<Item = Arc<dyn TokenProvider>>) -> Result<Self, AuthError> {
        let providers: Vec<_> = providers.into_iter().collect();
        for (index, chosen) in providers.into_iter().enumerate() {
            if !matches!(chosen.token(None).await, Err(AuthError::ReauthRequired(Reauth::NoToken))) {
                return Ok(Self { chosen, index });
            }
        }
        Err(AuthError::ReauthRequired(Reauth::NoToken))
    }

    /// Which one was chosen: 0 is the first.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }
}

impl TokenProvider for TokenChain {
    fn token(&self, rejected: Option<u64>) -> BoxFuture<'_, Result<Lease, AuthError>> {
        self.chosen.token(rejected)
    }

    fn granted(&self) -> ScopeSet {
        self.chosen.granted()
    }

    fn is_for(&self, host: &str) -> bool {
        self.chosen.is_for(host)
    }
}

impl fmt::Debug for TokenChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenChain").field("index", &self.index).finish_non_exhaustive()
    }
}
