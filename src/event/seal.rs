//! Sealing: an event becomes the bytes of its record, with the fields that only `track` knows.

use crate::{
    Result,
    event::{Event, Object, rules},
    json,
    pipeline::{self, fnv1a},
};

/// What `track` adds where an event does not bring it.
#[derive(Debug)]
pub(crate) struct Stamp<'a> {
    pub(crate) time_ms: i64,
    pub(crate) insert_id: &'a str,
    pub(crate) library: &'a str,
}

/// The hashes of an event's ids, by which its lanes are told and replies are judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct IdHashes {
    pub(crate) user: Option<u64>,
    pub(crate) device: Option<u64>,
}

impl Event {
    /// Checks what needs a client's configuration: that there is an id, and that no id is shorter than `min_chars`. Answers with their hashes.
    pub(crate) fn check_ids(&self, min_chars: usize) -> Result<IdHashes> {
        let (mut user, mut device) = ("", "");
        for (name, value) in self.fields.iter() {
            match name {
                "user_id" => user = value,
                "device_id" => device = value,
                _ => {}
            }
        }
        rules::check_ids(user, device, min_chars)?;
        Ok(IdHashes { user: hash(user), device: hash(device) })
    }

    /// Appends the record's bytes. Every value was checked when it was set.
    pub(crate) fn seal(&self, stamp: &Stamp<'_>, out: &mut String) {
        let (mut time, mut insert_id, mut library) = (false, false, false);
        for name in self.fields.keys() {
            match name {
                "time" => time = true,
                "insert_id" => insert_id = true,
                "library" => library = true,
                _ => {}
            }
        }
        self.write(out, |out| {
            if !time {
                out.push_str(",\"time\":");
                json::push_integer(out, stamp.time_ms);
            }
            if !insert_id {
                push_text(out, ",\"insert_id\":\"", stamp.insert_id);
            }
            if !library {
                push_text(out, ",\"library\":\"", stamp.library);
            }
        });
    }

    /// Appends the event's JSON, with what `more` adds to its fields. An event always has a type, so a comma always fits.
    pub(super) fn write(&self, out: &mut String, more: impl FnOnce(&mut String)) {
        out.push('{');
        out.push_str(self.fields.text());
        more(out);
        let objects: [(&str, &Object); 4] = [
            (",\"event_properties\":{", &self.event_properties.0),
            (",\"user_properties\":{", &self.user_properties.0),
            (",\"groups\":{", &self.groups.0),
            (",\"group_properties\":{", &self.group_properties.0),
        ];
        for (head, object) in objects {
            if !object.is_empty() {
                out.push_str(head);
                out.push_str(object.text());
                out.push('}');
            }
        }
        out.push('}');
    }
}

/// The hash of an id, given as its JSON text: however a caller's text spells an id, it is one lane. `None` for no text.
fn hash(json: &str) -> Option<u64> {
    if json.get(1..json.len().checked_sub(1)?).is_some_and(json::has_escape) {
        return Some(pipeline::id_hash(&rules::text(json)));
    }
    raw_id_hash(json)
}

/// The hash of an id, given as its JSON text; `None` for no text. As `pipeline::lanes::id_hash` makes it of the id itself, where the text was
/// written by this crate or by the engine of a page.
pub(crate) fn raw_id_hash(json: &str) -> Option<u64> {
    json.get(1..json.len().checked_sub(1)?).map(|id| fnv1a(id.as_bytes()))
}

/// Neither a UUID nor a library's name holds a character that JSON escapes.
fn push_text(out: &mut String, head: &str, text: &str) {
    out.push_str(head);
    out.push_str(text);
    out.push('"');
}
