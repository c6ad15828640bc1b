//! `/revoke` (RFC 7009).

use super::{Asked, failure::Failure};
use crate::emulator::{
    answer::{Answer, Body},
    sealed::Sealed,
    state::State,
};

pub(super) fn revoke(state: &mut State, asked: &Asked) -> Answer {
    match give_up(state, asked) {
        Ok(()) => Answer::new(200, Body::Empty).unstored(),
        Err(failure) => failure.into(),
    }
}

fn give_up(state: &mut State, asked: &Asked) -> Result<(), Failure> {
    let oauth = &mut state.oauth;
    let form = asked.form()?.no_repeats()?;
    let client = oauth.authenticate(asked, &form)?.clone();
    if client.secrets.is_empty() && !oauth.options.public_revocation {
        return Err(Failure::client("clients without a secret cannot revoke: revocation takes client_secret_post alone"));
    }
    let token = Sealed::of(form.need("token")?);
    let revoked = oauth.grants.revoke(&token, &client.id, asked.region, &mut oauth.counts);
    revoked.map_err(|_| Failure::new("unauthorized_client", "the token is another client's"))
}
