//! The fields of an HTTP V2 event: each name once, with the shape that its value must have.
//!
//! Source: "HTTP V2 API", amplitude.com/docs, read 2026-03-13; those marked [SDK] are sent by Amplitude's SDKs and named on no page.

use std::ops::Range;

use crate::{
    Error, Result,
    event::scan::{clipped, long_string},
    json::{self, Kind, Reader},
    platform,
};

/// The shape of a field's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// true or false.
    Flag,
    /// Three upper-case letters.
    Currency,
    /// A string that tells copies from new events: an empty one would make all events copies of one.
    Key,
    /// A number from -90 to 90.
    Latitude,
    /// A number from -180 to 180.
    Longitude,
    /// An object with the text fields of a tracking plan.
    Plan,
    /// An object with the text fields of a source of events.
    Source,
    /// An object of properties, which an event holds apart.
    Properties,
}

use Shape::{Currency, Flag, Integer, Key, Latitude, Longitude, Number, Plan, Properties, Source, Text};

/// Those that [`rules`](super::rules) look at stand first.
const FIELDS: &[(&str, Shape)] = &[
    ("event_type", Text),
    ("user_id", Text),
    ("device_id", Text),
    ("price", Number),
    ("revenue", Number),
    ("productId", Text),
    ("revenueType", Text),
    ("currency", Currency),
    ("quantity", Integer),
    ("user_properties", Properties),
    ("groups", Properties),
    ("group_properties", Properties),
    ("time", Integer),
    ("event_properties", Properties),
    ("session_id", Integer),
    ("insert_id", Key),
    ("$skip_user_properties_sync", Flag),
    ("user_agent", Text),
    ("app_version", Text),
    ("platform", Text),
    ("os_name", Text),
    ("os_version", Text),
    ("device_brand", Text),
    ("device_manufacturer", Text),
    ("device_model", Text),
    ("carrier", Text),
    ("country", Text),
    ("region", Text),
    ("city", Text),
    ("dma", Text),
    ("language", Text),
    ("location_lat", Latitude),
    ("location_lng", Longitude),
    ("ip", Text),
    ("idfa", Text),
    ("idfv", Text),
    ("adid", Text),
    ("android_id", Text),
    ("android_app_set_id", Text),
    ("event_id", Integer),
    ("plan", Plan),
    ("ingestion_metadata", Source),
    ("partner_id", Text),
    ("library", Text),
    // [SDK]
    ("version_name", Text),
    ("receipt", Text),
    ("receiptSig", Text),
];

/// How many fields the rules look at.
pub(crate) const RULED: usize = 12;
pub(crate) const EVENT_TYPE: usize = 0;
pub(crate) const USER_ID: usize = 1;
pub(crate) const DEVICE_ID: usize = 2;
pub(super) const PRICE: usize = 3;
pub(super) const REVENUE: usize = 4;
pub(super) const NEED_PRICE: Range<usize> = 5..9;
pub(super) const USER_PROPERTIES: usize = 9;
pub(super) const GROUPS: usize = 10;
pub(super) const GROUP_PROPERTIES: usize = 11;

/// The name at a place of the table.
pub(super) fn name(at: usize) -> &'static str {
    FIELDS.get(at).map_or("", |(name, _)| name)
}

/// The place of a field that the rules look at.
pub(super) fn ruled(name: &str) -> Option<usize> {
    // As the table has them; a match compares whole words.
    Some(match name {
        "event_type" => EVENT_TYPE,
        "user_id" => USER_ID,
        "device_id" => DEVICE_ID,
        "price" => PRICE,
        "revenue" => REVENUE,
        "productId" => NEED_PRICE.start,
        "revenueType" => NEED_PRICE.start + 1,
        "currency" => NEED_PRICE.start + 2,
        "quantity" => NEED_PRICE.start + 3,
        "user_properties" => USER_PROPERTIES,
        "groups" => GROUPS,
        "group_properties" => GROUP_PROPERTIES,
        _ => return None,
    })
}

/// A field's place in the table and its shape.
pub(super) fn find(name: &str) -> Result<(usize, Shape)> {
    let is = |at: &usize| FIELDS[*at].0 == name;
    let guess = usize::from(GUESSES[slot(name.as_bytes())]);
    let at = if is(&guess) { Some(guess) } else { (0..FIELDS.len()).find(is) };
    at.map(|at| (at, FIELDS[at].1)).ok_or_else(|| Error::at(clipped(name), "is no field of an event"))
}

const SLOTS: usize = 128;

/// Where a name is looked for first. Of those that share a slot, one is found there.
const GUESSES: [u8; SLOTS] = {
    let mut guesses = [0; SLOTS];
    let mut at = FIELDS.len();
    while at > 0 {
        at -= 1;
        guesses[slot(FIELDS[at].0.as_bytes())] = at as u8;
    }
    guesses
};

/// With these factors all names but two have a slot of their own.
const fn slot(name: &[u8]) -> usize {
    match name {
        [first, .., last] => (name.len() * 13 + *first as usize * 7 + *last as usize * 6) % SLOTS,
        _ => 0,
    }
}

/// Checks a value in JSON text against a field's shape and passes over it. Answers how many of its strings Amplitude will shorten.
pub(super) fn check(name: &str, shape: Shape, reader: &mut Reader<'_>) -> Result<u32> {
    let lift = |malformed: json::Malformed| Error::at(name, malformed.0);
    let kind = reader.kind().map_err(lift)?;
    let expected = |what: &str| Error::invalid(&[name, ": must be ", what, ", not ", kind.name()]);
    match shape {
        Text | Currency | Key => {
            if kind != Kind::String {
                return Err(expected("a string"));
            }
            let from = reader.offset() + 1;
            let long = long_string(reader).map_err(lift)?;
            let code = reader.slice(from).as_bytes();
            if shape == Currency && !(code.len() == 4 && code[..3].iter().all(u8::is_ascii_uppercase)) {
                return Err(Error::at(name, "must be three upper-case letters (ISO 4217)"));
            }
            if shape == Key && code == b"\"" {
                return Err(Error::at(name, "is empty; leave it out for a random one"));
            }
            Ok(u32::from(long))
        }
        Integer => {
            if kind != Kind::Number {
                return Err(expected("a whole number"));
            }
            reader.integer().map_err(lift)?;
            Ok(0)
        }
        Number | Latitude | Longitude => {
            if kind != Kind::Number {
                return Err(expected("a number"));
            }
            let from = reader.offset();
            reader.scalar().map_err(lift)?;
            check_number(name, shape, Some(platform::parse_number(reader.slice(from))))?;
            Ok(0)
        }
        Flag => {
            if kind != Kind::Bool {
                return Err(expected("true or false"));
            }
            reader.scalar().map_err(lift)?;
            Ok(0)
        }
        Plan | Source => {
            let keys: &[&str] =
                if shape == Plan { &["branch", "source", "version", "versionId"] } else { &["source_name", "source_version"] };
            if kind != Kind::Object {
                return Err(expected("an object"));
            }
            reader.open();
            let (mut first, mut long) = (true, 0);
            while let Some(key) = reader.next_key(&mut first).map_err(lift)? {
                let path = [name, ".", &key].concat();
                if !keys.contains(&&*key) {
                    return Err(Error::at(&path, "is no documented field"));
                }
                long += check(&path, Text, reader)?;
            }
            Ok(long)
        }
        Properties => Err(Error::at(name, "is an object of properties")),
    }
}

/// Checks that a number is finite and in its field's range.
pub(super) fn check_number(name: &str, shape: Shape, value: Option<f64>) -> Result<()> {
    let (bound, problem) = match shape {
        Latitude => (90.0, "must be a number from -90 to 90"),
        Longitude => (180.0, "must be a number from -180 to 180"),
        _ => (f64::MAX, "must be a finite number"),
    };
    // NaN is in no range.
    if value.is_some_and(|value| value.abs() <= bound) { Ok(()) } else { Err(Error::at(name, problem)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_table() {
        for (place, expected) in [
            (EVENT_TYPE, "event_type"),
            (USER_ID, "user_id"),
            (DEVICE_ID, "device_id"),
            (PRICE, "price"),
            (REVENUE, "revenue"),
            (USER_PROPERTIES, "user_properties"),
            (GROUPS, "groups"),
            (GROUP_PROPERTIES, "group_properties"),
        ] {
            assert_eq!(name(place), expected);
            assert_eq!(ruled(expected), Some(place));
        }
        let need_price: Vec<_> = NEED_PRICE.map(name).collect();
        assert_eq!(need_price, ["productId", "revenueType", "currency", "quantity"]);
        assert_eq!(ruled(name(RULED)), None);
        assert!(FIELDS.len() <= 64, "`text::check` notes what it has seen in 64 bits");
    }

    #[test]
    fn every_field_is_found_and_nothing_else() {
        for (at, (name, shape)) in FIELDS.iter().enumerate() {
            assert_eq!(find(name).unwrap(), (at, *shape));
            let other = ["x", &name[1..]].concat();
            assert!(find(&other).is_err());
        }
        assert!(find("").is_err());
        let missed =
            FIELDS.iter().enumerate().filter(|(at, (name, _))| usize::from(GUESSES[slot(name.as_bytes())]) != *at).count();
        assert_eq!(missed, 2, "with other factors, more names would be found at once");
    }
}
