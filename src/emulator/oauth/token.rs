//! `/token`: codes, refresh tokens and the credentials of service accounts for access tokens.

use super::{
    Asked, OAuth,
    clients::Client,
    failure::Failure,
    grants::{Flow, Grant, Issued, Refused},
    params::Params,
    scopes::Scopes,
};
use crate::{
    Region,
    emulator::{
        answer::{Answer, Body},
        sealed::Sealed,
        state::State,
    },
};

/// An authorization code that was handed out.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) grant: usize,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) expires_ms: u64,
    pub(super) spent: bool,
}

pub(super) fn token(state: &mut State, asked: &Asked) -> Answer {
    answer(exchange(state, asked))
}

pub(super) fn answer(result: Result<Issued, Failure>) -> Answer {
    result.map_or_else(Answer::from, |issued| Answer::new(200, Body::Json(issued.body())).unstored())
}

fn exchange(state: &mut State, asked: &Asked) -> Result<Issued, Failure> {
    let now_ms = state.now_ms();
    let first_project = state.first_project(asked.region);
    let oauth = &mut state.oauth;
    let form = asked.form()?.no_repeats()?;
    let client = oauth.authenticate(asked, &form)?.clone();
    let may = client.may;
    match form.need("grant_type")? {
        "authorization_code" if may.code => oauth.code(&client, &form, now_ms),
        "refresh_token" if may.refresh => oauth.refresh(&client.id, asked.region, &form, now_ms),
        "client_credentials" if may.credentials => oauth.credentials(&client, &form, first_project, now_ms),
        "authorization_code" | "refresh_token" | "client_credentials" => {
            Err(Failure::new("unauthorized_client", "the client may not use this grant type"))
        }
        _ => Err(Failure::new("unsupported_grant_type", "grant_type: is not supported")),
    }
}

impl OAuth {
    fn code(&mut self, client: &Client, form: &Params, now_ms: u64) -> Result<Issued, Failure> {
        let sealed = Sealed::of(form.need("code")?);
        let verifier = form.need("code_verifier")?;
        let redirect_uri = form.need("redirect_uri")?;
        let code = self.codes.get_mut(&sealed);
        let grant = code.as_ref().map(|code| self.grants.get(code.grant));
        let ours = grant.is_some_and(|grant| grant.client_id == client.id && grant.region == client.region);
        let Some(code) = code.filter(|_| ours) else { return Err(Failure::grant("code: is not known")) };
        let grant = code.grant;
        if code.spent {
            self.counts.replayed += 1;
            self.grants.end(grant, "its code was used twice", &mut self.counts);
            return Err(Failure::grant("code: was used already, which has ended the grant"));
        }
        if code.expires_ms <= now_ms {
            return Err(Failure::grant("code: has expired"));
        }
        if code.redirect_uri != redirect_uri {
            return Err(Failure::grant("redirect_uri: is not that of the request"));
        }
        if !is_verifier(verifier) || Sealed::of(verifier).base64url() != code.challenge {
            return Err(Failure::grant("code_verifier: does not match"));
        }
        same_resource(self.grants.get(grant), form)?;
        if self.grants.get(grant).ended.is_some() {
            return Err(Failure::grant("the grant has ended"));
        }
        code.spent = true;
        let scopes = self.grants.get(grant).scopes.clone();
        Ok(self.grants.issue(grant, scopes, &self.options, now_ms, &mut self.counts))
    }

    pub(super) fn refresh(&mut self, client_id: &str, region: Region, form: &Params, now_ms: u64) -> Result<Issued, Failure> {
        let sealed = Sealed::of(form.need("refresh_token")?);
        let found = self.grants.refreshable(&sealed, client_id, region, now_ms, &mut self.counts);
        let grant = found.map_err(|refused| {
            Failure::grant(match refused {
                Refused::Unknown => "refresh_token: is not known",
                Refused::Expired => "refresh_token: has expired",
                Refused::Ended => "the grant has ended",
                Refused::Reused => "refresh_token: was used already, which has ended the grant",
            })
        })?;
        same_resource(self.grants.get(grant), form)?;
        let scopes = narrowed(form, &self.grants.get(grant).scopes)?;
        self.grants.spend(&sealed);
        self.counts.refreshed += 1;
        Ok(self.grants.issue(grant, scopes, &self.options, now_ms, &mut self.counts))
    }

    fn credentials(&mut self, client: &Client, form: &Params, first: Option<String>, now_ms: u64) -> Result<Issued, Failure> {
        let scopes = narrowed(form, client.scopes.as_ref().unwrap_or(&Scopes::default()))?;
        let resource = form.get("resource").map(str::to_owned);
        if resource.as_deref().is_some_and(|it| !self.is_resource(client.region, it)) {
            return Err(Failure::new("invalid_target", "resource: is not this server's"));
        }
        let grant = self.grants.open(Grant {
            client_id: client.id.clone(),
            region: client.region,
            login_id: client.id.clone(),
            flow: Flow::ClientCredentials,
            scopes: scopes.clone(),
            project: client.project.clone().or(first).filter(|_| self.catalogue.need_a_project(&scopes)),
            resource,
            refreshes: false,
            ended: None,
        });
        Ok(self.grants.issue(grant, scopes, &self.options, now_ms, &mut self.counts))
    }
}

/// The scopes that are asked for of those that there are; all of them where none is named.
fn narrowed(form: &Params, all: &Scopes) -> Result<Scopes, Failure> {
    match form.scopes()?.filter(|it| !it.is_empty()) {
        None => Ok(all.clone()),
        Some(scopes) if scopes.is_within(all) => Ok(scopes),
        Some(_) => Err(Failure::scope("scope: is wider than what was granted")),
    }
}

/// A resource that is named again is the same one (RFC 8707).
fn same_resource(grant: &Grant, form: &Params) -> Result<(), Failure> {
    match form.get("resource") {
        Some(resource) if grant.resource.as_deref() != Some(resource) => {
            Err(Failure::new("invalid_target", "resource: is not that of the authorization request"))
        }
        _ => Ok(()),
    }
}

/// RFC 7636, section 4.1.
pub(super) fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_' | b'~'))
}
