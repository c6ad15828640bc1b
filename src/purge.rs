//! Forgetting events on their owner's wish: whose, and what came of it. Both targets.

use crate::{
    json::{Kind, Reader},
    pipeline::{Header, id_hash},
};

/// What [`crate::Client::purge`] and its kind found and forgot.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Purged {
    /// Events that waited; they end as [`crate::DropReason::Purged`].
    pub events: u64,
    /// Events that are on their way to Amplitude and cannot be called back. They may arrive; where they do not, they are not sent again.
    pub under_way: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

/// Whose events.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose<'a> {
    Everybodys,
    Users(&'a str),
    Devices(&'a str),
}

impl Whose<'_> {
    /// Whether an event, as JSON text, is meant.
    pub(crate) fn is(self, event: &[u8]) -> bool {
        match self {
            Self::Everybodys => true,
            Self::Users(id) => has(event, "user_id", id).unwrap_or(false),
            Self::Devices(id) => has(event, "device_id", id).unwrap_or(false),
        }
    }

    /// A test that needs no reading of the event, for `is` to confirm.
    pub(crate) fn may_be(self) -> impl Fn(&Header) -> bool {
        let (user, device) = match self {
            Self::Everybodys => (None, None),
            Self::Users(id) => (Some(id_hash(id)), None),
            Self::Devices(id) => (None, Some(id_hash(id))),
        };
        move |header| user.is_none_or(|id| header.user == Some(id)) && device.is_none_or(|id| header.device == Some(id))
    }
}

fn has(event: &[u8], field: &str, id: &str) -> Option<bool> {
    let mut reader = Reader::new(str::from_utf8(event).ok()?);
    if reader.kind().ok()? != Kind::Object {
        return None;
    }
    reader.open();
    let mut first = true;
    while let Some(key) = reader.next_key(&mut first).ok()? {
        if key == field {
            return Some(reader.string().ok()? == id);
        }
        reader.skip().ok()?;
    }
    Some(false)
}
