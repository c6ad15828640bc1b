//! Reads the body of a reply. Only what the documentation names is looked at; every index is checked by `judge`.

use std::borrow::Cow;

use crate::json::{Kind, Reader};

/// The JSON texts of a reply's documented fields, by their places in [`FIELDS`]; empty where it lacks one.
pub(super) struct Body<'a>([&'a str; FIELDS.len()]);

/// What a field holds.
#[derive(Clone, Copy)]
enum Shape {
    Integer,
    Text,
    /// `[index]`
    Indexes,
    /// `{"field": [index]}`
    IndexesByField,
    /// `["id"]`, or the keys of `{"id": number}`
    Ids,
}

use Shape::{Ids, Indexes, IndexesByField, Integer, Text};

/// In the order of the places below.
const FIELDS: [(&str, Shape); 16] = [
    ("code", Integer),
    ("error", Text),
    ("missing_field", Text),
    ("events_ingested", Integer),
    ("server_upload_time", Integer),
    ("events_with_invalid_fields", IndexesByField),
    ("events_with_missing_fields", IndexesByField),
    ("events_with_invalid_id_lengths", IndexesByField),
    ("silenced_events", Indexes),
    ("silenced_devices", Ids),
    ("throttled_events", Indexes),
    ("throttled_users", Ids),
    ("throttled_devices", Ids),
    ("exceeded_daily_quota_users", Ids),
    ("exceeded_daily_quota_devices", Ids),
    ("eps_threshold", Integer),
];

pub(super) const CODE: usize = 0;
pub(super) const ERROR: usize = 1;
pub(super) const MISSING_FIELD: usize = 2;
pub(super) const EVENTS_INGESTED: usize = 3;
pub(super) const SERVER_UPLOAD_TIME: usize = 4;
pub(super) const INVALID_FIELDS: usize = 5;
pub(super) const MISSING_FIELDS: usize = 6;
pub(super) const ID_LENGTHS: usize = 7;
pub(super) const SILENCED_EVENTS: usize = 8;
pub(super) const SILENCED_DEVICES: usize = 9;
pub(super) const THROTTLED_EVENTS: usize = 10;
// The ids that wait, four fields in a row: users and devices that are throttled, users and devices beyond their quotas.
pub(super) const THROTTLED_USERS: usize = 11;
pub(super) const QUOTA_USERS: usize = 13;
pub(super) const QUOTA_DEVICES: usize = 14;
pub(super) const EPS_THRESHOLD: usize = 15;

/// What a walk through a field meets.
pub(super) enum Part<'a> {
    Number(i64),
    /// A text, an id, or the field that the numbers behind it are about.
    Name(&'a str),
}

impl<'a> Body<'a> {
    /// `None` where the body is no JSON object or one of its documented fields has another shape: then it is not Amplitude's.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut values = [""; FIELDS.len()];
        let mut reader = Reader::new(text);
        let mut first = open(&mut reader, Kind::Object)?;
        while let Some(key) = reader.next_key(&mut first).ok()? {
            let from = reader.offset();
            match FIELDS.iter().position(|(name, _)| *name == key) {
                Some(at) if reader.kind().ok()? != Kind::Null => {
                    walk(FIELDS[at].1, &mut reader, &mut |_| {})?;
                    values[at] = reader.slice(from);
                }
                _ => reader.skip().ok()?,
            }
        }
        reader.end().ok()?;
        Some(Self(values))
    }

    pub(super) fn has(&self, field: usize) -> bool {
        !self.0[field].is_empty()
    }

    pub(super) fn integer(&self, field: usize) -> Option<i64> {
        Reader::new(self.0[field]).integer().ok()
    }

    pub(super) fn text(&self, field: usize) -> Cow<'a, str> {
        Reader::new(self.0[field]).string().unwrap_or_default()
    }

    /// Tells what the field holds, in its order.
    pub(super) fn each(&self, field: usize, tell: &mut dyn FnMut(Part<'_>)) {
        // Its shape was checked.
        let _ = walk(FIELDS[field].1, &mut Reader::new(self.0[field]), tell);
    }
}

fn walk(shape: Shape, reader: &mut Reader<'_>, tell: &mut dyn FnMut(Part<'_>)) -> Option<()> {
    let kind = reader.kind().ok()?;
    match shape {
        Integer => tell(Part::Number(reader.integer().ok()?)),
        Text => {
            if kind != Kind::String {
                return None;
            }
            tell(Part::Name(&reader.string().ok()?));
        }
        Indexes => walk_list(Integer, reader, tell)?,
        Ids if kind == Kind::Array => walk_list(Text, reader, tell)?,
        Ids | IndexesByField => {
            let mut first = open(reader, Kind::Object)?;
            while let Some(key) = reader.next_key(&mut first).ok()? {
                tell(Part::Name(&key));
                match shape {
                    Ids => reader.skip().ok()?,
                    _ => walk(Indexes, reader, tell)?,
                }
            }
        }
    }
    Some(())
}

fn walk_list(items: Shape, reader: &mut Reader<'_>, tell: &mut dyn FnMut(Part<'_>)) -> Option<()> {
    let mut first = open(reader, Kind::Array)?;
    while reader.next_item(&mut first).ok()? {
        walk(items, reader, tell)?;
    }
    Some(())
}

/// Enters a list or an object; what it answers tells the reader that its first entry comes.
fn open(reader: &mut Reader<'_>, kind: Kind) -> Option<bool> {
    (reader.kind().ok()? == kind).then(|| reader.open()).map(|()| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_table() {
        let places = [
            (CODE, "code"),
            (ERROR, "error"),
            (MISSING_FIELD, "missing_field"),
            (EVENTS_INGESTED, "events_ingested"),
            (SERVER_UPLOAD_TIME, "server_upload_time"),
            (INVALID_FIELDS, "events_with_invalid_fields"),
            (MISSING_FIELDS, "events_with_missing_fields"),
            (ID_LENGTHS, "events_with_invalid_id_lengths"),
            (SILENCED_EVENTS, "silenced_events"),
            (SILENCED_DEVICES, "silenced_devices"),
            (THROTTLED_EVENTS, "throttled_events"),
            (THROTTLED_USERS, "throttled_users"),
            (THROTTLED_USERS + 1, "throttled_devices"),
            (QUOTA_USERS, "exceeded_daily_quota_users"),
            (QUOTA_DEVICES, "exceeded_daily_quota_devices"),
            (EPS_THRESHOLD, "eps_threshold"),
        ];
        assert_eq!(places.len(), FIELDS.len());
        for (place, name) in places {
            assert_eq!(FIELDS[place].0, name);
        }
    }
}
