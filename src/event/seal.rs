//! Sealing: an event becomes the bytes of its record, with the fields that only `track` knows.

use crate::{
    Error, Result,
    event::{Event, Object},
    json, limits,
    pipeline::fnv1a,
};

/// What `track` adds where an event does not bring it.
#[derive(Debug)]
pub(crate) struct Stamp<'a> {
    pub(crate) time_ms: i64,
    pub(crate) insert_id: &'a str,
    pub(crate) library: &'a str,
}

/// The hashes of a sealed event's ids.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Sealed {
    pub(crate) user: Option<u64>,
    pub(crate) device: Option<u64>,
}

impl Event {
    /// Checks what needs a client's configuration: that there is an id, and that no id is shorter than `min_chars`.
    pub(crate) fn check_ids(&self, min_chars: usize) -> Result<()> {
        let mut any = false;
        for name in ["user_id", "device_id"] {
            if let Some(id) = self.text(name) {
                any = true;
                // Bytes first: an id of enough bytes in ASCII needs no count of its characters.
                if id.len() < min_chars || (!id.is_ascii() && id.chars().count() < min_chars) {
                    let limit = json::decimal(min_chars as u64);
                    return Err(Error::invalid(&[name, ": is shorter than ", &limit, " characters; see `min_id_length`"]));
                }
            }
        }
        if any { Ok(()) } else { Err(Error::invalid(&["user_id, device_id: an event needs at least one of them"])) }
    }

    /// Appends the record's bytes. Every value was checked when it was set.
    pub(crate) fn seal(&self, stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Sealed {
        self.write(out, |out| {
            if self.fields.raw("time").is_none() {
                out.extend_from_slice(b",\"time\":");
                json::push_integer(out, stamp.time_ms);
            }
            if self.fields.raw("insert_id").is_none() {
                push_text(out, b",\"insert_id\":\"", stamp.insert_id);
            }
            if self.fields.raw("library").is_none() {
                push_text(out, b",\"library\":\"", stamp.library);
            }
        });
        Sealed { user: self.id_hash("user_id"), device: self.id_hash("device_id") }
    }

    /// Appends the event's JSON, with what `more` adds to its fields. An event always has a type, so a comma always fits.
    pub(super) fn write(&self, out: &mut Vec<u8>, more: impl FnOnce(&mut Vec<u8>)) {
        out.push(b'{');
        out.extend_from_slice(self.fields.text());
        more(out);
        let objects: [(&[u8], &Object); 4] = [
            (b",\"event_properties\":{", &self.event_properties.0),
            (b",\"user_properties\":{", &self.user_properties.0),
            (b",\"groups\":{", &self.groups.0),
            (b",\"group_properties\":{", &self.group_properties.0),
        ];
        for (head, object) in objects {
            if !object.is_empty() {
                out.extend_from_slice(head);
                out.extend_from_slice(object.text());
                out.push(b'}');
            }
        }
        out.push(b'}');
    }

    /// The hash of an id over its JSON text without quotes.
    fn id_hash(&self, name: &str) -> Option<u64> {
        let raw = self.fields.raw(name)?.as_bytes();
        raw.get(1..raw.len().saturating_sub(1)).map(fnv1a)
    }
}

/// Neither a UUID nor a library's name holds a character that JSON escapes.
fn push_text(out: &mut Vec<u8>, head: &[u8], text: &str) {
    out.extend_from_slice(head);
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Refuses ids that Amplitude keeps for nobody.
pub(super) fn check_forbidden(name: &str, id: &str) -> Result<()> {
    if limits::FORBIDDEN_IDS.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(id)) {
        return Err(Error::invalid(&[name, ": \"", id, "\" is an id that Amplitude refuses"]));
    }
    Ok(())
}
