//! OAuth 2.0 as Amplitude's MCP surface and its Developer API have it, and the delegated access that only the emulator has.
//!
//! | File | What |
//! | --- | --- |
//! | `metadata` | both well-known documents |
//! | `clients`, `redirect` | registration (RFC 7591, 7592), client authentication, redirect URIs |
//! | `authorize`, `consent` | what an application asks for, and what a person says to it |
//! | `token`, `revoke` | the token endpoint, and RFC 7009 |
//! | `device`, `activate` | the device flow, and the page where a person enters the code |
//! | `grants` | what was granted, with its tokens |
//! | `bearer`, `context` | what a token opens |
//! | `control` | what only an emulator has |

mod activate;
mod authorize;
mod bearer;
mod clients;
mod consent;
mod context;
mod control;
mod device;
mod failure;
mod grants;
mod metadata;
mod options;
mod pages;
mod params;
mod redirect;
mod revoke;
mod scopes;
mod token;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, Request, State as Shared},
    http::{HeaderMap, Method},
    middleware,
    response::Response,
    routing::{MethodRouter, any, get, post},
};

pub use self::options::{Consent, OAuthClient, OAuthOptions, ServiceAccount};
use self::{
    authorize::AuthorizationRequest,
    clients::Client,
    device::Device,
    failure::Failure,
    grants::{Grant, Grants, Refused},
    params::Params,
    scopes::Catalogue,
    token::Code,
};
pub(super) use self::{
    bearer::{Delegated, permit},
    scopes::Scopes,
};
use super::{
    answer::Answer,
    body,
    connection::Cut,
    faults::Api,
    guard,
    routes::{Call, Emulated},
    sealed::Sealed,
    state::State,
};
use crate::Region;

/// What the authorization server has done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct OAuthCounts {
    /// Clients that registered themselves.
    pub registered: u64,
    /// Requests for a user's consent, by `/authorize` or by a device.
    pub asked: u64,
    /// Those to which a user consented, to all or to some of it.
    pub consented: u64,
    /// Those that a user denied.
    pub denied: u64,
    /// Answers with an access token, refreshes among them.
    pub issued: u64,
    /// Answers to a refresh token.
    pub refreshed: u64,
    /// Refresh tokens that came a second time; each ended its grant.
    pub reused: u64,
    /// Authorization and device codes that came a second time; each ended its grant.
    pub replayed: u64,
    /// Grants that ended, for whatever reason, and access tokens that were revoked by themselves.
    pub revoked: u64,
}

/// Everything about OAuth.
#[derive(Debug)]
pub(super) struct OAuth {
    options: OAuthOptions,
    catalogue: Catalogue,
    /// `http://127.0.0.1:PORT`.
    origin: String,
    clients: Vec<Client>,
    requests: HashMap<String, AuthorizationRequest>,
    codes: HashMap<Sealed, Code>,
    devices: HashMap<Sealed, Device>,
    grants: Grants,
    pub(super) counts: OAuthCounts,
}

impl OAuth {
    pub(super) fn new(options: OAuthOptions, address: SocketAddr) -> io::Result<Self> {
        if let Some(flaw) = options.flaw() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, flaw));
        }
        let apps = options.clients.iter().map(Client::app);
        Ok(Self {
            catalogue: Catalogue::new(&options),
            origin: format!("http://{address}"),
            clients: apps.chain(options.service_accounts.iter().map(Client::service)).collect(),
            requests: HashMap::new(),
            codes: HashMap::new(),
            devices: HashMap::new(),
            grants: Grants::default(),
            counts: OAuthCounts::default(),
            options,
        })
    }

    /// The issuer of a region, which is its protected resource as well.
    fn issuer(&self, region: Region) -> String {
        format!("{}{}", self.origin, prefix(region))
    }

    /// What an access token is good for.
    pub(super) fn access(&self, region: Region, token: &Sealed, now_ms: u64) -> Result<(&Grant, &Scopes), Refused> {
        self.grants.access(region, token, now_ms)
    }

    /// Forgets what was asked for, granted and issued; clients stay.
    pub(super) fn reset(&mut self) {
        self.requests.clear();
        self.codes.clear();
        self.devices.clear();
        self.grants = Grants::default();
        self.counts = OAuthCounts::default();
    }
}

/// What stands before a region's paths.
fn prefix(region: Region) -> &'static str {
    match region {
        Region::Us => "",
        Region::Eu => "/eu",
    }
}

fn region_name(region: Region) -> &'static str {
    match region {
        Region::Us => "us",
        Region::Eu => "eu",
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A request as it came, its body read.
#[derive(Debug)]
struct Asked {
    region: Region,
    method: Method,
    /// Without the region's prefix.
    path: String,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Asked {
    fn query(&self) -> Result<Params, Failure> {
        Params::urlencoded(self.query.as_bytes())
    }

    fn form(&self) -> Result<Params, Failure> {
        match body::media_type(&self.headers).as_str() {
            "application/x-www-form-urlencoded" => Params::urlencoded(&self.body),
            _ => Err(Failure::request("the Content-Type must be application/x-www-form-urlencoded")),
        }
    }

    fn json_or_form(&self) -> Result<Params, Failure> {
        if body::media_type(&self.headers) == "application/json" { Params::json(&self.body) } else { self.form()?.no_repeats() }
    }
}

/// Answers a request, with the emulator to itself.
type Judge = fn(&mut State, &Asked) -> Answer;

#[derive(Clone, Copy)]
struct Endpoint(Judge, Option<Api>);

/// Bodies here are small.
const BODY_BYTES: usize = 65_536;

async fn serve(
    Shared(state): Emulated,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Extension(Endpoint(judge, api)): Extension<Endpoint>,
    request: Request,
) -> Response {
    let mut call = Call::of(api, &request);
    let (parts, body) = request.into_parts();
    let body = match body::read(body, BODY_BYTES).await {
        Ok(body) => body,
        Err(answer) => return call.answer(&state, &cut, |_| answer).await,
    };
    call.bytes = body.len();
    let asked = Asked {
        region: call.region,
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
    };
    call.answer(&state, &cut, |state| judge(state, &asked)).await
}

type Routes = Router<Arc<Mutex<State>>>;

/// What each region has.
pub(super) fn router() -> Routes {
    let at = |route: MethodRouter<Arc<Mutex<State>>>, judge: Judge, api| route.layer(Extension(Endpoint(judge, api)));
    let pages = Router::new()
        .route("/authorize", at(get(serve).post(serve), authorize::authorize, None))
        .route("/activate", at(get(serve).post(serve), activate::activate, None))
        .layer(middleware::from_fn(guard::own_pages_alone));
    Router::new()
        .merge(pages)
        .route("/.well-known/oauth-protected-resource", at(get(serve), metadata::resource, None))
        .route("/.well-known/oauth-authorization-server", at(get(serve), metadata::server, None))
        .route("/register", at(post(serve), clients::register, None))
        .route("/register/{client_id}", at(get(serve).put(serve).delete(serve), clients::manage, None))
        .route("/token", at(post(serve), token::token, Some(Api::Token)))
        .route("/revoke", at(post(serve), revoke::revoke, Some(Api::Revoke)))
        .route("/v1/auth/device-authorization", at(post(serve), device::authorize, Some(Api::Device)))
        .route("/v1/auth/token", at(post(serve), device::token, Some(Api::Token)))
        .route("/v1/context", at(get(serve), context::context, Some(Api::Context)))
        .route("/mcp", at(any(serve), bearer::mcp, None))
}

/// What there is once: the controls, and the second region's documents where RFC 8414 and RFC 9728 put them.
pub(super) fn once() -> Routes {
    Router::new().merge(metadata::eu()).merge(control::router())
}
