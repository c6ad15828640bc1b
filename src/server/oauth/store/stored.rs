//! [`StoredTokens`]: the text that stores keep.
//!
//! ```text
//! {"version":1,"generation":7,"issuer":..,"client_id":..,"resource":..,"profile":..,      the head: whose tokens, which write
//!  "access_token":..,"refresh_token":..,"id_token":..,"requested":..,"granted":..,"obtained_at":..,"expires_at":..}
//!  "sealed":..}                                                                          or this, where they are encrypted
//! ```
//!
//! Members that this version does not know are kept.

use std::{borrow::Cow, collections::BTreeMap, fmt, io, mem};

use serde::{
    Deserialize,
    ser::{SerializeMap as _, Serializer as _},
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::super::{AuthError, StoreFault, StoreKey, TokenSet};
use crate::{
    error::Source,
    server::{AccessToken, Expose, IdToken, RefreshToken},
};

const VERSION: u32 = 1;

/// The tokens of one [`StoreKey`] as a store keeps them: a JSON object, **in clear** where no
/// [`EncryptedTokenStore`](super::EncryptedTokenStore) made it, that says whose tokens it holds and how many writes were before.
///
/// Its text is overwritten in memory when it is dropped, and `Debug` does not show it.
///
/// ```
/// use amplitude_sdk::server::oauth::StoredTokens;
///
/// // What an own store has read back.
/// let row = r#"{"version":1,"generation":7,"issuer":"https://mcp.amplitude.com","client_id":"demo","resource":null,
///               "profile":"default","access_token":"fake","obtained_at":1700000000,"expires_at":1700003600}"#;
/// let tokens = StoredTokens::from_json(row)?;
/// assert_eq!((tokens.generation(), tokens.as_json()), (7, row));
/// # Ok::<(), amplitude_sdk::server::oauth::AuthError>(())
/// ```
#[derive(Clone)]
pub struct StoredTokens {
    json: Zeroizing<String>,
    generation: u64,
}

/// Whose tokens, and which write. Anything else in the text is the business of who reads it.
#[derive(Deserialize)]
struct Head<'a> {
    version: u32,
    generation: u64,
    #[serde(borrow)]
    issuer: Cow<'a, str>,
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    #[serde(borrow)]
    resource: Option<Cow<'a, str>>,
    #[serde(borrow)]
    profile: Cow<'a, str>,
}

impl StoredTokens {
    /// Text that [`StoredTokens::as_json`] gave.
    ///
    /// # Errors
    /// [`StoreFault::Corrupt`] for anything else, and for the text of a newer version of this crate that this one cannot read.
    pub fn from_json(json: impl Into<String>) -> Result<Self, AuthError> {
        let json = Zeroizing::new(json.into());
        let generation = head(&json)?.generation;
        Ok(Self { json, generation })
    }

    /// The text to store.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// One more with each write: what [`TokenStore::save`](super::super::TokenStore::save) compares.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// # Errors
    /// [`StoreFault::Corrupt`] when these are the tokens of another client, server, resource or profile.
    pub(crate) fn check_key(&self, key: &StoreKey) -> Result<(), AuthError> {
        let head = head(&self.json)?;
        let is_same = head.issuer == key.issuer
            && head.client_id == key.client_id
            && head.resource.as_deref() == key.resource.as_deref()
            && head.profile == key.profile;
        if is_same { Ok(()) } else { Err(corrupt("these tokens belong to another issuer, client, resource or profile")) }
    }

    /// # Errors
    /// [`StoreFault::Corrupt`] for tokens of another key, encrypted ones, and what are none.
    pub(crate) fn read(&self, key: &StoreKey) -> Result<TokenSet, AuthError> {
        self.check_key(key)?;
        let mut members: Members<'_> = serde_json::from_str(&self.json).map_err(|_| corrupt("it is not a JSON object"))?;
        if members.0.contains_key("sealed") {
            return Err(corrupt("it is encrypted"));
        }
        for known in ["version", "generation", "issuer", "client_id", "resource", "profile"] {
            members.0.remove(known);
        }
        let secret = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let unusable = |_| corrupt("a token in it cannot be one");
        let access = secret(members.take("access_token")?).ok_or_else(|| corrupt("it holds no access token"))?;
        let (refresh, id_token) = (secret(members.take("refresh_token")?), secret(members.take("id_token")?));
        let mut scopes = |name| -> Result<_, AuthError> {
            let text: Option<String> = members.take(name)?;
            text.unwrap_or_default().parse().map_err(|_| corrupt("a scope in it cannot be one"))
        };
        let (requested, granted) = (scopes("requested")?, scopes("granted")?);
        Ok(TokenSet {
            access: AccessToken::new(access).map_err(unusable)?,
            refresh: refresh.map(RefreshToken::new).transpose().map_err(unusable)?,
            id_token: id_token.map(IdToken::new).transpose().map_err(unusable)?,
            requested,
            granted,
            obtained_at: members.take("obtained_at")?.unwrap_or_default(),
            expires_at: members.take("expires_at")?,
            generation: self.generation,
            unknown: members.unknown()?,
        })
    }

    pub(crate) fn write(key: &StoreKey, tokens: &TokenSet) -> Self {
        Self::make(key, tokens.generation, |map| {
            map.serialize_entry("access_token", tokens.access.expose())?;
            if let Some(refresh) = &tokens.refresh {
                map.serialize_entry("refresh_token", refresh.expose())?;
            }
            if let Some(id_token) = &tokens.id_token {
                map.serialize_entry("id_token", id_token.expose())?;
            }
            map.serialize_entry("requested", &tokens.requested.to_string())?;
            map.serialize_entry("granted", &tokens.granted.to_string())?;
            map.serialize_entry("obtained_at", &tokens.obtained_at)?;
            map.serialize_entry("expires_at", &tokens.expires_at)?;
            tokens.unknown.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
        })
    }

    /// The same head, and what only who has the key can read.
    pub(crate) fn sealed(key: &StoreKey, generation: u64, sealed: &str) -> Self {
        Self::make(key, generation, |map| map.serialize_entry("sealed", sealed))
    }

    pub(super) fn sealed_part(&self) -> Result<Cow<'_, str>, AuthError> {
        let mut members: Members<'_> = serde_json::from_str(&self.json).map_err(|_| corrupt("it is not a JSON object"))?;
        members.take("sealed")?.ok_or_else(|| corrupt("it is not encrypted"))
    }

    fn make(key: &StoreKey, generation: u64, rest: impl FnOnce(&mut Map<'_>) -> serde_json::Result<()>) -> Self {
        let mut text = Wiping::default();
        let written = (|| {
            let mut serializer = serde_json::Serializer::new(&mut text);
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("version", &VERSION)?;
            map.serialize_entry("generation", &generation)?;
            map.serialize_entry("issuer", &key.issuer)?;
            map.serialize_entry("client_id", &key.client_id)?;
            map.serialize_entry("resource", &key.resource)?;
            map.serialize_entry("profile", &key.profile)?;
            rest(&mut map)?;
            map.end()
        })();
        written.expect("text, numbers and JSON values can be written to memory");
        let json = String::from_utf8(mem::take(&mut text.0)).expect("JSON is UTF-8");
        Self { json: Zeroizing::new(json), generation }
    }
}

impl fmt::Debug for StoredTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredTokens").field("generation", &self.generation).finish_non_exhaustive()
    }
}

type Map<'a> = serde_json::ser::Compound<'a, &'a mut Wiping, serde_json::ser::CompactFormatter>;

/// What encryption binds to the tokens: they open for this key and this write alone.
pub(super) fn binding(key: &StoreKey, generation: u64) -> Vec<u8> {
    let StoreKey { issuer, client_id, resource, profile } = key;
    let parts = ("amplitude-sdk tokens", VERSION, generation, issuer, client_id, resource, profile);
    serde_json::to_vec(&parts).expect("text and numbers can be written to memory")
}

fn head(json: &str) -> Result<Head<'_>, AuthError> {
    // What the parser says may repeat what it read.
    let head: Head<'_> = serde_json::from_str(json).map_err(|_| corrupt("it is not what this crate has stored"))?;
    match head {
        Head { version: VERSION, generation: u64::MAX, .. } => Err(corrupt("after its last write there can be none")),
        Head { version: VERSION, .. } => Ok(head),
        _ => Err(corrupt("a newer version of this crate has stored it")),
    }
}

/// The object's members as they stand in its text, so that no copy of a token is made on the way.
#[derive(Deserialize)]
struct Members<'a>(#[serde(borrow)] BTreeMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    /// `None` for `null`, too.
    fn take<T: FromRaw<'a>>(&mut self, name: &str) -> Result<Option<T>, AuthError> {
        let Some(raw) = self.0.remove(name).filter(|raw| raw.get() != "null") else { return Ok(None) };
        T::from_raw(raw.get()).map(Some).map_err(|_| corrupt("a member of it has another type"))
    }

    fn unknown(self) -> Result<serde_json::Map<String, serde_json::Value>, AuthError> {
        let read = |(name, raw): (String, &RawValue)| Ok((name, serde_json::from_str(raw.get())?));
        self.0.into_iter().map(read).collect::<serde_json::Result<_>>().map_err(|_| corrupt("a member of it cannot be read"))
    }
}

trait FromRaw<'a>: Sized {
    fn from_raw(json: &'a str) -> serde_json::Result<Self>;
}

/// Text that has no escapes, as tokens have none, is not copied.
impl<'a> FromRaw<'a> for Cow<'a, str> {
    fn from_raw(json: &'a str) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        serde_json::from_str::<Text<'a>>(json).map(|text| text.0)
    }
}

impl FromRaw<'_> for String {
    fn from_raw(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }
}

impl FromRaw<'_> for u64 {
    fn from_raw(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }
}

/// Grows without leaving copies behind.
#[derive(Default)]
struct Wiping(Vec<u8>);

impl io::Write for Wiping {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.capacity() - self.0.len() < bytes.len() {
            let mut larger = Vec::with_capacity((self.0.len() + bytes.len()).max(1024) * 2);
            larger.extend_from_slice(&self.0);
            drop(Zeroizing::new(mem::replace(&mut self.0, larger)));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn corrupt(problem: &'static str) -> AuthError {
    AuthError::Store(StoreFault::Corrupt, Some(Source::from(problem)))
}
