//! The device flow as Amplitude's Developer API has it (RFC 8628): no client id, JSON or a form.

use serde_json::json;

use super::{
    Asked, OAuth,
    failure::Failure,
    grants::{Flow, Grant, Issued},
    ms,
    params::Params,
    prefix,
    scopes::{OFFLINE_ACCESS, OPENID, Scopes, Surface},
    token::{self, is_verifier},
};
use crate::{
    Region,
    emulator::{
        answer::{Answer, Body},
        sealed::{Sealed, mint},
        state::State,
    },
    platform,
};

/// The client that the service puts in by itself.
pub(super) const CLIENT: &str = "developer-api";

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Where a request stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    Waits,
    Granted(usize),
    Denied,
    Spent(usize),
}

/// A device that waits for its user.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) region: Region,
    pub(super) user_code: String,
    pub(super) scopes: Scopes,
    pub(super) stage: Stage,
    pub(super) expires_ms: u64,
    /// What a decision has to bring along, which only the page shows.
    pub(super) token: Option<Sealed>,
    challenge: Option<String>,
    interval_ms: u64,
    asked_ms: Option<u64>,
}

/// Where no scope is asked for, which Amplitude leaves open.
const DEFAULT_SCOPE: &str = "projects:read";

/// What `slow_down` adds to the interval.
const SLOWER_MS: u64 = 5000;

pub(super) fn authorize(state: &mut State, asked: &Asked) -> Answer {
    begin(state, asked).unwrap_or_else(Answer::from)
}

fn begin(state: &mut State, asked: &Asked) -> Result<Answer, Failure> {
    let (now_ms, project) = (state.now_ms(), state.first_project(asked.region));
    let oauth = &mut state.oauth;
    let params = asked.json_or_form()?;
    let scopes = params.scopes()?.filter(|it| !it.is_empty()).unwrap_or_else(|| [DEFAULT_SCOPE].into_iter().collect());
    if !scopes.is_within(&oauth.catalogue.all(Surface::Developer)) {
        return Err(Failure::scope("scope: has one that is not known"));
    }
    if scopes.has(OFFLINE_ACCESS) && !scopes.has(OPENID) {
        return Err(Failure::scope("scope: offline_access requires openid"));
    }
    let challenge = params.get("code_challenge").map(str::to_owned);
    if challenge.is_some() && params.get("code_challenge_method") != Some("S256") {
        return Err(Failure::request("code_challenge_method: must be S256"));
    }
    let lifetime = oauth.options.device_lifetime;
    let expires_ms = now_ms.saturating_add(ms(lifetime));
    let (device_code, user_code) = (mint("dc_"), user_code());
    let interval_ms = ms(oauth.options.device_interval);
    let page = format!("{}{}/activate", oauth.origin, prefix(asked.region));
    let body = json!({
        "device_code": device_code, "user_code": user_code, "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": lifetime.as_secs(), "interval": oauth.options.device_interval.as_secs(),
    });
    oauth.counts.asked += 1;
    let granted = oauth.options.granted(&scopes);
    let mut device = Device {
        region: asked.region,
        user_code,
        scopes,
        stage: Stage::Waits,
        expires_ms,
        token: None,
        challenge,
        interval_ms,
        asked_ms: None,
    };
    if let Some(granted) = granted {
        device.stage = oauth.decided(asked.region, granted, project);
    }
    oauth.devices.insert(Sealed::of(&device_code), device);
    Ok(Answer::new(200, Body::Json(body)).unstored())
}

pub(super) fn token(state: &mut State, asked: &Asked) -> Answer {
    token::answer(exchange(state, asked))
}

fn exchange(state: &mut State, asked: &Asked) -> Result<Issued, Failure> {
    let now_ms = state.now_ms();
    let params = asked.json_or_form()?;
    match params.need("grant_type")? {
        GRANT_TYPE => state.oauth.poll(asked.region, &params, now_ms),
        "refresh_token" => state.oauth.refresh(CLIENT, asked.region, &params, now_ms),
        _ => Err(Failure::new("unsupported_grant_type", "grant_type: is not supported")),
    }
}

impl OAuth {
    /// Grants these scopes to the device's client, or with none of them denies.
    pub(super) fn decided(&mut self, region: Region, granted: Scopes, project: Option<String>) -> Stage {
        if granted.is_empty() {
            self.counts.denied += 1;
            return Stage::Denied;
        }
        self.counts.consented += 1;
        let project = project.filter(|_| self.catalogue.need_a_project(&granted));
        Stage::Granted(self.grants.open(Grant {
            client_id: CLIENT.to_owned(),
            region,
            login_id: self.options.login_id.clone(),
            flow: Flow::Device,
            scopes: granted,
            project,
            resource: None,
            refreshes: true,
            ended: None,
        }))
    }

    fn poll(&mut self, region: Region, params: &Params, now_ms: u64) -> Result<Issued, Failure> {
        let device = self.devices.get_mut(&Sealed::of(params.need("device_code")?)).filter(|it| it.region == region);
        let device = device.ok_or_else(|| Failure::grant("device_code: is not known"))?;
        if let Stage::Spent(grant) = device.stage {
            self.counts.replayed += 1;
            self.grants.end(grant, "its device code was used twice", &mut self.counts);
            return Err(Failure::grant("device_code: was used already, which has ended the grant"));
        }
        if device.expires_ms <= now_ms {
            return Err(Failure::new("expired_token", "the user did not enter the code in time"));
        }
        let early = device.asked_ms.is_some_and(|asked_ms| now_ms < asked_ms.saturating_add(device.interval_ms));
        device.asked_ms = Some(now_ms);
        if early {
            device.interval_ms = device.interval_ms.saturating_add(SLOWER_MS);
            return Err(Failure::new("slow_down", "the device asks too often: from now on it waits 5 seconds longer"));
        }
        let grant = match device.stage {
            Stage::Waits => return Err(Failure::new("authorization_pending", "the user has not entered the code yet")),
            Stage::Denied => return Err(Failure::new("access_denied", "the user denied access")),
            Stage::Granted(grant) | Stage::Spent(grant) => grant,
        };
        if let Some(challenge) = &device.challenge {
            let verifier = params.need("code_verifier")?;
            if !is_verifier(verifier) || Sealed::of(verifier).base64url() != *challenge {
                return Err(Failure::grant("code_verifier: does not match"));
            }
        }
        if self.grants.get(grant).ended.is_some() {
            return Err(Failure::grant("the grant has ended"));
        }
        device.stage = Stage::Spent(grant);
        let scopes = self.grants.get(grant).scopes.clone();
        Ok(self.grants.issue(grant, scopes, &self.options, now_ms, &mut self.counts))
    }

    /// The device that waits with this code, however a person writes it.
    pub(super) fn waiting(&mut self, region: Region, user_code: &str, now_ms: u64) -> Option<&mut Device> {
        let letters = |text: &str| text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_uppercase();
        let code = letters(user_code);
        let waits = |it: &&mut Device| it.region == region && it.stage == Stage::Waits && it.expires_ms > now_ms;
        self.devices.values_mut().filter(waits).find(|it| letters(&it.user_code) == code)
    }
}

/// Eight consonants, so that no word comes out: `WDJB-MJHT`.
fn user_code() -> String {
    const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
    let mut code = String::new();
    while code.len() < 9 {
        let mut byte = [0];
        platform::fill_random(&mut byte);
        // 240 is the last multiple of 20: above it some letters would be likelier.
        if byte[0] < 240 {
            code.push(char::from(LETTERS[usize::from(byte[0] % 20)]));
            if code.len() == 4 {
                code.push('-');
            }
        }
    }
    code
}
