//! Clients: how they register (RFC 7591), are read, changed and deleted (RFC 7592), and show who they are.

use axum::http::{Method, header};
use serde_json::{Value, json};

use super::{
    Asked, OAuth,
    failure::Failure,
    options::{OAuthClient, ServiceAccount},
    params::Params,
    redirect,
    scopes::{Scopes, Surface},
};
use crate::{
    Region,
    emulator::{
        answer::{Answer, Body},
        body,
        credentials::Presented,
        sealed::{Sealed, mint},
        state::State,
    },
};

/// A client that the server knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) region: Region,
    pub(super) name: Option<String>,
    /// None for a public client. While a secret is rotated there are two.
    pub(super) secrets: Vec<Sealed>,
    pub(super) redirect_uris: Vec<String>,
    pub(super) may: Grants,
    /// What it may ask for at most, where it said so.
    pub(super) scopes: Option<Scopes>,
    /// Of a service account: the project that it may read.
    pub(super) project: Option<String>,
    issued_at_s: u64,
    registration: Option<Sealed>,
}

/// The grant types that a client may use.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Grants {
    pub(super) code: bool,
    pub(super) refresh: bool,
    pub(super) credentials: bool,
}

impl Client {
    pub(super) fn app(app: &OAuthClient) -> Self {
        Self {
            id: app.id.clone(),
            region: app.region,
            name: Some(app.name.clone()),
            secrets: app.secret.into_iter().collect(),
            redirect_uris: app.redirect_uris.clone(),
            may: Grants { code: true, refresh: true, credentials: false },
            ..Self::default()
        }
    }

    pub(super) fn service(account: &ServiceAccount) -> Self {
        Self {
            id: account.id.clone(),
            region: account.region,
            secrets: vec![account.secret],
            may: Grants { code: false, refresh: false, credentials: true },
            scopes: Some(account.scopes.iter().map(String::as_str).collect()),
            project: account.project.clone(),
            ..Self::default()
        }
    }

    pub(super) fn auth_method(&self) -> &'static str {
        if self.secrets.is_empty() { "none" } else { "client_secret_post" }
    }

    /// What a registration answers with, its secrets apart.
    fn metadata(&self) -> Value {
        let kinds = [(self.may.code, "authorization_code"), (self.may.refresh, "refresh_token")];
        let mut metadata = json!({
            "client_id": self.id, "client_id_issued_at": self.issued_at_s, "redirect_uris": self.redirect_uris,
            "token_endpoint_auth_method": self.auth_method(), "response_types": ["code"],
            "grant_types": kinds.iter().filter(|(may, _)| *may).map(|(_, name)| *name).collect::<Vec<_>>(),
        });
        if let Some(name) = &self.name {
            metadata["client_name"] = json!(name);
        }
        if let Some(scopes) = &self.scopes {
            metadata["scope"] = json!(scopes.to_string());
        }
        metadata
    }
}

impl OAuth {
    pub(super) fn client(&self, region: Region, id: &str) -> Option<&Client> {
        self.clients.iter().find(|it| it.region == region && it.id == id)
    }

    /// The client that a form shows itself to be: by its secret in the form, or where it has none by its id.
    pub(super) fn authenticate(&self, asked: &Asked, form: &Params) -> Result<&Client, Failure> {
        let secret = form.get("client_secret");
        if asked.headers.contains_key(header::AUTHORIZATION) {
            return Err(match secret {
                Some(_) => Failure::request("the client authenticates in two ways"),
                None => Failure::client("client_secret_basic is not supported"),
            });
        }
        let id = form.get("client_id").ok_or_else(|| Failure::client("client_id: is missing"))?;
        let client = self.client(asked.region, id).ok_or_else(|| Failure::client("the client is not known"))?;
        match secret.map(Sealed::of) {
            None if client.secrets.is_empty() => Ok(client),
            Some(secret) if client.secrets.contains(&secret) => Ok(client),
            None => Err(Failure::client("client_secret: is missing")),
            Some(_) if client.secrets.is_empty() => Err(Failure::client("the client is public: it has no client_secret")),
            Some(_) => Err(Failure::client("client_secret: is wrong")),
        }
    }
}

pub(super) fn register(state: &mut State, asked: &Asked) -> Answer {
    let now_s = state.now_ms() / 1000;
    let oauth = &mut state.oauth;
    let (mut client, method) = match metadata(oauth, asked) {
        Ok(metadata) => metadata,
        Err(failure) => return failure.into(),
    };
    client.id = mint("client_");
    client.issued_at_s = now_s;
    let mut told = Value::Null;
    if method == AuthMethod::Post {
        let secret = mint("cs_");
        client.secrets = vec![Sealed::of(&secret)];
        told = json!({"client_secret": secret, "client_secret_expires_at": 0});
    }
    if oauth.options.registration_management {
        let manage = renew(oauth, &mut client);
        merge(&mut told, manage);
    }
    merge(&mut told, client.metadata());
    oauth.clients.push(client);
    oauth.counts.registered += 1;
    Answer::new(201, Body::Json(told)).unstored()
}

/// Reads, changes or deletes a client that registered itself.
pub(super) fn manage(state: &mut State, asked: &Asked) -> Answer {
    let oauth = &mut state.oauth;
    if !oauth.options.registration_management {
        return Answer::text(404, "not found");
    }
    let id = asked.path.strip_prefix("/register/").unwrap_or_default();
    let Presented::Bearer(token) = Presented::of(&asked.headers) else { return unauthorized() };
    let found = oauth.clients.iter().position(|it| it.region == asked.region && it.id == id && it.registration == Some(token));
    let Some(at) = found else { return unauthorized() };
    if asked.method == Method::DELETE {
        let client = oauth.clients.remove(at);
        oauth.grants.end_all_of(&client.id, "its client was deleted", &mut oauth.counts);
        return Answer::new(204, Body::Empty).unstored();
    }
    let mut told = json!({});
    if asked.method == Method::PUT {
        let (changed, method) = match metadata(oauth, asked) {
            Ok(metadata) => metadata,
            Err(failure) => return failure.into(),
        };
        let mut client = oauth.clients[at].clone();
        if named(asked, "client_id").as_deref() != Some(id) {
            return Failure::request("client_id: must be that of the client").into();
        }
        let secret = named(asked, "client_secret").map(|secret| Sealed::of(&secret));
        if secret.is_some_and(|secret| !client.secrets.contains(&secret)) || method.name() != client.auth_method() {
            return Failure::new("invalid_client_metadata", "a client cannot choose its secret, nor whether it has one").into();
        }
        (client.name, client.redirect_uris) = (changed.name, changed.redirect_uris);
        (client.may, client.scopes) = (changed.may, changed.scopes);
        // Each change has a new registration token, and the one before is good no more.
        told = renew(oauth, &mut client);
        oauth.clients[at] = client;
    }
    merge(&mut told, oauth.clients[at].metadata());
    Answer::new(200, Body::Json(told)).unstored()
}

fn renew(oauth: &OAuth, client: &mut Client) -> Value {
    let token = mint("rat_");
    client.registration = Some(Sealed::of(&token));
    let uri = format!("{}/register/{}", oauth.issuer(client.region), client.id);
    json!({"registration_access_token": token, "registration_client_uri": uri})
}

fn unauthorized() -> Answer {
    let body = json!({"error": "invalid_token", "error_description": "the registration token is wrong"});
    Answer::new(401, Body::Json(body)).unstored().with(header::WWW_AUTHENTICATE, r#"Bearer realm="OAuth", error="invalid_token""#)
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => into.extend(from),
        (into, from) => *into = from,
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AuthMethod {
    Post,
    None,
}

impl AuthMethod {
    fn name(self) -> &'static str {
        match self {
            Self::Post => "client_secret_post",
            Self::None => "none",
        }
    }
}

fn named(asked: &Asked, name: &str) -> Option<String> {
    let object: Value = serde_json::from_slice(&asked.body).ok()?;
    object[name].as_str().map(str::to_owned)
}

/// A client as its metadata describe it, without id and secrets yet.
fn metadata(oauth: &OAuth, asked: &Asked) -> Result<(Client, AuthMethod), Failure> {
    let bad = |text: &'static str| Failure::new("invalid_client_metadata", text);
    if body::media_type(&asked.headers) != "application/json" {
        return Err(bad("the Content-Type must be application/json"));
    }
    let Ok(Value::Object(object)) = serde_json::from_slice(&asked.body) else {
        return Err(bad("the body must be a JSON object"));
    };
    let given = |name: &str| object.get(name).filter(|value| !value.is_null());
    let text = |name: &'static str, wrong| given(name).map(|value| value.as_str().ok_or_else(|| bad(wrong))).transpose();
    let texts = |name: &'static str, wrong| {
        let list = |value: &Value| value.as_array()?.iter().map(|it| it.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
        given(name).map(|value| list(value).ok_or_else(|| bad(wrong))).transpose()
    };

    let redirect_uris = texts("redirect_uris", "redirect_uris: must be a list of texts")?.unwrap_or_default();
    let flaw = redirect_uris.iter().find_map(|uri| redirect::flaw(uri));
    if let Some(flaw) = flaw.or(redirect_uris.is_empty().then_some("is missing")) {
        return Err(Failure::new("invalid_redirect_uri", format!("redirect_uris: one {flaw}")));
    }
    let method = match text("token_endpoint_auth_method", "token_endpoint_auth_method: must be a text")? {
        // RFC 7591's default is client_secret_basic, which there is none of here: a server may put its own in that place.
        Some("client_secret_post") | None => AuthMethod::Post,
        Some("none") => AuthMethod::None,
        Some(_) => return Err(bad("token_endpoint_auth_method: must be none or client_secret_post")),
    };
    let may = grants(texts("grant_types", "grant_types: must be a list of texts")?)?;
    if texts("response_types", "response_types: must be a list of texts")?.is_some_and(|types| types != ["code"]) {
        return Err(bad("response_types: must be code"));
    }
    let name = text("client_name", "client_name: must be a text")?;
    if name.is_some_and(|name| name.chars().count() > 100 || name.chars().any(is_deceptive)) {
        return Err(bad("client_name: must be 100 visible characters at most"));
    }
    let scopes = text("scope", "scope: must be a text")?
        .map(|text| Scopes::parse(text).ok_or_else(|| bad("scope: is none")))
        .transpose()?;
    if scopes.as_ref().is_some_and(|scopes| !scopes.is_within(&oauth.catalogue.all(Surface::Mcp))) {
        return Err(bad("scope: has one that is not known"));
    }
    let client = Client { region: asked.region, name: name.map(str::to_owned), redirect_uris, may, scopes, ..Client::default() };
    Ok((client, method))
}

/// The grant types that a registration may name.
fn grants(kinds: Option<Vec<String>>) -> Result<Grants, Failure> {
    let bad = |text: &'static str| Failure::new("invalid_client_metadata", text);
    let Some(kinds) = kinds else { return Ok(Grants { code: true, ..Grants::default() }) };
    if kinds.iter().any(|it| !matches!(it.as_str(), "authorization_code" | "refresh_token")) {
        return Err(bad("grant_types: must be authorization_code and refresh_token"));
    }
    let has = |kind: &str| kinds.iter().any(|it| it == kind);
    if !has("authorization_code") {
        return Err(bad("grant_types: authorization_code is missing"));
    }
    Ok(Grants { code: true, refresh: has("refresh_token"), credentials: false })
}

/// What could make a name on the consent page look like another one.
fn is_deceptive(it: char) -> bool {
    it.is_control() || matches!(it, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
