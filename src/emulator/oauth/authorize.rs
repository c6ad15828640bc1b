//! `/authorize`: who asks, for what, and what is said to them. Unless both client and redirect URI are known, nobody is sent anywhere.

use axum::http::{Method, header};

use super::{
    Asked, OAuth,
    clients::Client,
    consent,
    failure::Failure,
    grants::{Flow, Grant},
    ms, pages,
    params::Params,
    redirect,
    scopes::{Scopes, Surface},
    token::Code,
};
use crate::{
    Region,
    emulator::{
        answer::{Answer, Body},
        sealed::{Sealed, mint},
        state::State,
    },
};

/// A request that waits for what a person says.
#[derive(Clone, Debug)]
pub(super) struct AuthorizationRequest {
    pub(super) client_id: String,
    pub(super) app: Option<String>,
    pub(super) region: Region,
    pub(super) redirect_uri: String,
    pub(super) scopes: Scopes,
    pub(super) expires_ms: u64,
    /// What a decision has to bring along, which only the page shows.
    pub(super) token: Option<Sealed>,
    state: Option<String>,
    challenge: String,
    resource: Option<String>,
    refreshes: bool,
}

/// So long a person has for a decision.
const PATIENCE_MS: u64 = 600_000;

pub(super) fn authorize(state: &mut State, asked: &Asked) -> Answer {
    if asked.method == Method::POST { consent::decide(state, asked) } else { begin(state, asked) }
}

fn begin(state: &mut State, asked: &Asked) -> Answer {
    let now_ms = state.now_ms();
    let oauth = &mut state.oauth;
    let Ok(params) = asked.query() else {
        return pages::message(400, "This link is broken", "It holds something that is no text.");
    };
    if params.is_repeated("client_id") || params.is_repeated("redirect_uri") {
        return pages::message(400, "This link is broken", "It names an application or an address twice.");
    }
    let client = params.get("client_id").and_then(|id| oauth.client(asked.region, id)).filter(|it| it.may.code);
    let Some(client) = client.cloned() else {
        let text = "The application that sent you here is not known in this region. It has to register first.";
        return pages::message(400, "This application is not known", text);
    };
    let redirect_uri = params.get("redirect_uri").filter(|uri| redirect::is_registered(&client.redirect_uris, uri));
    let Some(redirect_uri) = redirect_uri.map(str::to_owned) else {
        let text = "The address that you would be sent back to is not one that the application registered, so that nothing is sent there.";
        return pages::message(400, "This address is not registered", text);
    };
    oauth.counts.asked += 1;
    let state_text = if params.is_repeated("state") { None } else { params.get("state").map(str::to_owned) };
    match check(oauth, asked, params, &client) {
        Err(failure) => refuse(&redirect_uri, state_text.as_deref(), &failure),
        Ok((scopes, challenge, resource)) => {
            let request = AuthorizationRequest {
                client_id: client.id,
                app: client.name,
                region: asked.region,
                redirect_uri,
                scopes,
                expires_ms: now_ms.saturating_add(PATIENCE_MS),
                token: None,
                state: state_text,
                challenge,
                resource,
                refreshes: client.may.refresh,
            };
            match oauth.options.granted(&request.scopes) {
                Some(granted) => {
                    let project = state.first_project(asked.region);
                    moved(302, &state.oauth.settle(request, granted, project, now_ms))
                }
                None => ask(state, request, now_ms),
            }
        }
    }
}

/// Shows the consent page.
fn ask(state: &mut State, mut request: AuthorizationRequest, now_ms: u64) -> Answer {
    let (id, token) = (mint("request_"), mint(""));
    request.token = Some(Sealed::of(&token));
    let page = consent::page(state, &request, &id, &token);
    let requests = &mut state.oauth.requests;
    requests.retain(|_, it| it.expires_ms > now_ms);
    requests.insert(id, request);
    page
}

type Asks = (Scopes, String, Option<String>);

fn check(oauth: &OAuth, asked: &Asked, params: Params, client: &Client) -> Result<Asks, Failure> {
    // A resource may be there several times (RFC 8707), but here is one alone.
    let params = params.no_repeats()?;
    match params.need("response_type")? {
        "code" => {}
        _ => return Err(Failure::new("unsupported_response_type", "response_type: must be code")),
    }
    if params.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(Failure::request("response_mode: must be query"));
    }
    let challenge = params.need("code_challenge")?;
    if params.get("code_challenge_method") != Some("S256") {
        return Err(Failure::request("code_challenge_method: must be S256"));
    }
    let is_base64url = |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'));
    if challenge.len() != 43 || !is_base64url(challenge) {
        return Err(Failure::request("code_challenge: is no SHA-256 digest in base64url"));
    }
    let resource = params.get("resource").map(str::to_owned);
    if resource.as_deref().is_some_and(|it| !oauth.is_resource(asked.region, it)) {
        return Err(Failure::new("invalid_target", "resource: is not this server's"));
    }
    let scopes = params.scopes()?.or_else(|| client.scopes.clone()).filter(|it| !it.is_empty());
    let scopes = scopes.ok_or_else(|| Failure::scope("scope: is missing"))?;
    if !scopes.is_within(&oauth.catalogue.all(Surface::Mcp)) {
        return Err(Failure::scope("scope: has one that is not known"));
    }
    if client.scopes.as_ref().is_some_and(|may| !scopes.is_within(may)) {
        return Err(Failure::scope("scope: has one that the client did not register"));
    }
    Ok((scopes, challenge.to_owned(), resource))
}

impl OAuth {
    /// The region's origin, or a URL of it.
    pub(super) fn is_resource(&self, region: Region, resource: &str) -> bool {
        let issuer = self.issuer(region);
        let rest = resource.strip_prefix(issuer.as_str());
        // The second region lies below the first one's origin, and is none of its resources.
        rest.is_some_and(|rest| matches!(rest, "" | "/" | "/mcp"))
    }

    /// Grants these scopes, or with none of them denies; where the person is to be sent.
    pub(super) fn settle(
        &mut self,
        request: AuthorizationRequest,
        granted: Scopes,
        project: Option<String>,
        now_ms: u64,
    ) -> String {
        let state = request.state.as_deref();
        if granted.is_empty() {
            self.counts.denied += 1;
            return location(
                &request.redirect_uri,
                state,
                &[("error", "access_denied"), ("error_description", "the user denied access")],
            );
        }
        self.counts.consented += 1;
        let project = project.filter(|_| self.catalogue.need_a_project(&granted));
        let grant = self.grants.open(Grant {
            client_id: request.client_id.clone(),
            region: request.region,
            login_id: self.options.login_id.clone(),
            flow: Flow::AuthorizationCode,
            scopes: granted,
            project,
            resource: request.resource,
            refreshes: request.refreshes,
            ended: None,
        });
        let code = mint("ac_");
        let expires_ms = now_ms.saturating_add(ms(self.options.code_lifetime));
        let sent = location(&request.redirect_uri, state, &[("code", &code)]);
        let kept = Code { grant, redirect_uri: request.redirect_uri, challenge: request.challenge, expires_ms, spent: false };
        self.codes.insert(Sealed::of(&code), kept);
        sent
    }
}

fn location(uri: &str, state: Option<&str>, answer: &[(&str, &str)]) -> String {
    let state = state.map(|state| ("state", state));
    redirect::with(uri, &answer.iter().copied().chain(state).collect::<Vec<_>>())
}

fn refuse(uri: &str, state: Option<&str>, failure: &Failure) -> Answer {
    moved(302, &location(uri, state, &[("error", failure.error), ("error_description", &failure.description)]))
}

pub(super) fn moved(status: u16, location: &str) -> Answer {
    let answer = Answer::new(status, Body::Empty).unstored().with(header::LOCATION, location);
    answer.with(header::REFERRER_POLICY, "no-referrer")
}
