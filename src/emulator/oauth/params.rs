//! Parameters of a request: each at most once, and one without a value is none (RFC 6749, section 3.1).

use serde_json::Value;

use super::{failure::Failure, scopes::Scopes};
use crate::emulator::body;

#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn urlencoded(text: &[u8]) -> Result<Self, Failure> {
        let mut pairs = body::pairs(text).map_err(Failure::request)?;
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self(pairs))
    }

    /// An object of texts.
    pub(super) fn json(text: &[u8]) -> Result<Self, Failure> {
        let Ok(Value::Object(object)) = serde_json::from_slice(text) else {
            return Err(Failure::request("the body must be a JSON object"));
        };
        let pair = |(name, value): (String, Value)| match value {
            Value::String(value) => Ok((name, value)),
            _ => Err(Failure::request(format!("{}: must be a text", shown(&name)))),
        };
        let mut pairs = object.into_iter().map(pair).collect::<Result<Vec<_>, _>>()?;
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self(pairs))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn need(&self, name: &'static str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| Failure::request(format!("{name}: is missing")))
    }

    pub(super) fn is_repeated(&self, name: &str) -> bool {
        self.all(name).count() > 1
    }

    pub(super) fn no_repeats(self) -> Result<Self, Failure> {
        match self.0.iter().find(|(name, _)| self.is_repeated(name)) {
            Some((name, _)) => Err(Failure::request(format!("{}: is there more than once", shown(name)))),
            None => Ok(self),
        }
    }

    /// The scopes of `scope`, where there is one.
    pub(super) fn scopes(&self) -> Result<Option<Scopes>, Failure> {
        self.get("scope")
            .map(|text| Scopes::parse(text).ok_or_else(|| Failure::scope("scope: has forbidden characters")))
            .transpose()
    }
}

/// A name as an `error_description` may have it: what it may not have is left out.
fn shown(name: &str) -> String {
    name.chars().filter(|it| matches!(it, ' '..='~') && !matches!(it, '"' | '\\')).take(50).collect()
}
