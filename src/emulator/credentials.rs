//! Credentials that are no project's, and what of a credential a request carries.

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Body},
    oauth::{self, Delegated, Scopes},
    sealed::Sealed,
    state::State,
};
use crate::Region;

/// A kind of credential beside projects and OAuth.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CredentialKind {
    /// An organization's API key and secret key: Basic.
    Org,
    /// A SCIM key: Bearer.
    Scim,
    /// A client deployment key of Experiment, which is no secret: `Api-Key`.
    ClientDeployment,
    /// A server deployment key of Experiment: `Api-Key`.
    ServerDeployment,
    /// A management key of Experiment: Bearer.
    Management,
    /// A personal access token of the Developer API: `Bearer PAT=amp_...`.
    PersonalAccessToken,
}

impl CredentialKind {
    /// Its name in options and answers: `org`, `scim`, `client_deployment`, `server_deployment`, `management` or `pat`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Scim => "scim",
            Self::ClientDeployment => "client_deployment",
            Self::ServerDeployment => "server_deployment",
            Self::Management => "management",
            Self::PersonalAccessToken => "pat",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        use CredentialKind::*;
        [Org, Scim, ClientDeployment, ServerDeployment, Management, PersonalAccessToken].into_iter().find(|it| it.name() == name)
    }

    fn is_sent_as(self, presented: &Presented) -> bool {
        match presented {
            Presented::Basic(..) => self == Self::Org,
            Presented::ApiKey(_) => matches!(self, Self::ClientDeployment | Self::ServerDeployment),
            Presented::Bearer(_) => matches!(self, Self::Scim | Self::Management),
            Presented::PersonalAccessToken(_) => self == Self::PersonalAccessToken,
            Presented::Nothing | Presented::Unreadable => false,
        }
    }
}

/// A credential that the emulator knows. Of its secret only a digest is kept.
#[derive(Clone, Debug)]
#[must_use]
pub struct Credential {
    pub(super) kind: CredentialKind,
    /// The public half of a pair; empty for others.
    key: String,
    secret: Sealed,
    pub(super) region: Region,
    pub(super) scopes: Scopes,
}

impl Credential {
    /// A credential of that kind and region. That of [`CredentialKind::Org`] is `KEY:SECRET`. A personal access token may read: it has the
    /// reading scopes of the Developer API.
    pub fn new(kind: CredentialKind, secret: &str, region: Region) -> Self {
        let (key, secret) = match (kind, secret.split_once(':')) {
            (CredentialKind::Org, Some(pair)) => pair,
            _ => ("", secret),
        };
        let scopes = match kind {
            CredentialKind::PersonalAccessToken => Scopes::developer_reads(),
            _ => Scopes::default(),
        };
        Self { kind, key: key.to_owned(), secret: Sealed::of(secret), region, scopes }
    }

    pub(super) fn secret(&self) -> &Sealed {
        &self.secret
    }
}

/// Whether a secret is still taken.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CredentialState {
    /// It is taken.
    Good,
    /// No more: its time is over.
    Expired,
    /// No more: somebody has revoked it.
    Revoked,
}

impl CredentialState {
    /// Why it is not taken; in words of the emulator's own.
    pub(super) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Good => None,
            Self::Expired => Some("the credential has expired"),
            Self::Revoked => Some("the credential was revoked"),
        }
    }
}

/// What stands in `Authorization`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Presented {
    Nothing,
    Basic(String, Sealed),
    ApiKey(Sealed),
    Bearer(Sealed),
    PersonalAccessToken(Sealed),
    Unreadable,
}

impl Presented {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Nothing,
            (Some(value), None) => value.to_str().ok().and_then(Self::read).unwrap_or(Self::Unreadable),
            (Some(_), Some(_)) => Self::Unreadable,
        }
    }

    fn read(value: &str) -> Option<Self> {
        let (scheme, rest) = value.split_once(' ')?;
        let rest = rest.trim_matches(' ');
        if rest.is_empty() {
            return None;
        }
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => {
                let plain = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
                let (key, secret) = plain.split_once(':')?;
                Some(Self::Basic(key.to_owned(), Sealed::of(secret)))
            }
            "api-key" => Some(Self::ApiKey(Sealed::of(rest))),
            "bearer" => Some(match rest.strip_prefix("PAT=") {
                Some(token) => Self::PersonalAccessToken(Sealed::of(token)),
                None => Self::Bearer(Sealed::of(rest)),
            }),
            _ => None,
        }
    }

    fn secret(&self) -> Option<&Sealed> {
        match self {
            Self::Basic(_, secret) | Self::ApiKey(secret) | Self::Bearer(secret) | Self::PersonalAccessToken(secret) => {
                Some(secret)
            }
            Self::Nothing | Self::Unreadable => None,
        }
    }

    /// The credential of that region that it is, where it is one of these.
    pub(super) fn find<'a>(&self, known: &'a [Credential], region: Region) -> Option<&'a Credential> {
        let key = if let Self::Basic(key, _) = self { key } else { "" };
        known
            .iter()
            .find(|it| it.kind.is_sent_as(self) && it.region == region && it.key == key && Some(&it.secret) == self.secret())
    }
}

/// The key of the project whose data a request may have: its API key and secret key, or a token that was granted this.
pub(super) fn project_of(state: &State, region: Region, presented: &Presented, what: Delegated) -> Result<String, Answer> {
    match presented {
        Presented::Basic(key, secret) if state.has_pair(key, secret, region) => {
            state.credential_state(secret).refusal().map_or(Ok(key.clone()), |text| Err(Answer::text(401, text)))
        }
        Presented::Bearer(token) => oauth::permit(state, region, token, what),
        // Amplitude may not say so.
        Presented::Basic(key, secret) if [Region::Us, Region::Eu].into_iter().any(|it| state.has_pair(key, secret, it)) => {
            Err(Answer::text(401, "the API key and the secret key are of another region"))
        }
        _ => Err(Answer::text(401, "the API key or the secret key is wrong")),
    }
}

/// The kind and the secret of a credential that is no token of OAuth.
fn known<'a>(state: &State, region: Region, presented: &'a Presented) -> Option<(&'static str, &'a Sealed)> {
    let kind = match presented {
        Presented::Basic(key, secret) if state.has_pair(key, secret, region) => "project",
        Presented::ApiKey(secret) if state.has_secret(secret, region) => "secret_key",
        _ => presented.find(&state.credentials, region)?.kind.name(),
    };
    Some((kind, presented.secret()?))
}

/// Ends the credential that a request carries, or makes it good again.
pub(super) fn set_state(state: &mut State, region: Region, presented: &Presented, now: CredentialState) -> Answer {
    match known(state, region, presented) {
        Some((_, secret)) => {
            state.set_credential_state(*secret, now);
            Answer::new(204, Body::Empty)
        }
        None => Answer::text(404, "credential: the request carries none of this region that is known here and no token of OAuth"),
    }
}

/// Says which of the known credentials a request carries; where none, why, in Amplitude's words where those are public.
pub(super) fn describe(state: &State, region: Region, presented: &Presented) -> Result<Value, &'static str> {
    let told = |kind: &str, secret: &Sealed| match state.credential_state(secret).refusal() {
        None => Ok(json!({"kind": kind, "fingerprint": secret.to_string()})),
        Some(text) => Err(text),
    };
    if let Some((kind, secret)) = known(state, region, presented) {
        return told(kind, secret);
    }
    match presented {
        Presented::Bearer(token) if state.oauth.access(region, token, state.now_ms()).is_ok() => told("oauth", token),
        Presented::Nothing | Presented::Unreadable => Err("Missing Api-Key in Authorization header"),
        Presented::ApiKey(_) => Err("Invalid Api-Key"),
        _ => Err("no credential of this region is like this"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_or_refused() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().expect("a header's value"));
            }
            Presented::of(&headers)
        };
        let sealed = |text| Sealed::of(text);
        assert_eq!(of(&[]), Presented::Nothing);
        // "key:a:b"
        assert_eq!(of(&["bAsIc a2V5OmE6Yg=="]), Presented::Basic("key".to_owned(), sealed("a:b")));
        assert_eq!(of(&["Api-Key  abc"]), Presented::ApiKey(sealed("abc")));
        assert_eq!(of(&["bearer abc"]), Presented::Bearer(sealed("abc")));
        assert_eq!(of(&["Bearer PAT=amp_abc"]), Presented::PersonalAccessToken(sealed("amp_abc")));
        for bad in [&["Bearer"][..], &["Bearer "], &["Basic a2V5"], &["Basic !"], &["Digest abc"], &["Bearer a", "Bearer b"]] {
            assert_eq!(of(bad), Presented::Unreadable, "{bad:?}");
        }
    }
}
