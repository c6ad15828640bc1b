//! The fields of an HTTP V2 event: each name once, with the shape that its value must have.
//!
//! Source: "HTTP V2 API", amplitude.com/docs, read 2026-03-13; those marked [SDK] are sent by Amplitude's SDKs and named on no page.

use crate::{
    Error, Result,
    event::object::is_long,
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
    /// A number from -90 to 90.
    Latitude,
    /// A number from -180 to 180.
    Longitude,
    /// An object with these text fields.
    Texts(&'static [&'static str]),
    /// An object of properties, which an event holds apart.
    Properties,
}

use Shape::{Currency, Flag, Integer, Latitude, Longitude, Number, Properties, Text, Texts};

pub(super) const FIELDS: &[(&str, Shape)] = &[
    ("event_type", Text),
    ("user_id", Text),
    ("device_id", Text),
    ("time", Integer),
    ("event_properties", Properties),
    ("user_properties", Properties),
    ("groups", Properties),
    ("group_properties", Properties),
    ("session_id", Integer),
    ("insert_id", Text),
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
    ("price", Number),
    ("quantity", Integer),
    ("revenue", Number),
    ("productId", Text),
    ("revenueType", Text),
    ("currency", Currency),
    ("location_lat", Latitude),
    ("location_lng", Longitude),
    ("ip", Text),
    ("idfa", Text),
    ("idfv", Text),
    ("adid", Text),
    ("android_id", Text),
    ("android_app_set_id", Text),
    ("event_id", Integer),
    ("plan", Texts(&["branch", "source", "version", "versionId"])),
    ("ingestion_metadata", Texts(&["source_name", "source_version"])),
    ("partner_id", Text),
    ("library", Text),
    // [SDK]
    ("version_name", Text),
    ("receipt", Text),
    ("receiptSig", Text),
];

pub(super) fn shape(name: &str) -> Option<Shape> {
    FIELDS.iter().find(|(field, _)| *field == name).map(|(_, shape)| *shape)
}

/// Checks a value in JSON text against a field's shape and passes over it. Answers how many of its strings Amplitude will shorten.
pub(super) fn check(name: &str, shape: Shape, reader: &mut Reader<'_>) -> Result<u32> {
    let lift = |error: json::Malformed| Error::invalid(&[name, ": ", error.0]);
    let kind = reader.kind().map_err(lift)?;
    let expected = |what: &str| Error::invalid(&[name, ": must be ", what, ", not ", kind.name()]);
    match shape {
        Text | Currency => {
            if kind != Kind::String {
                return Err(expected("a string"));
            }
            let text = reader.string().map_err(lift)?;
            if shape == Currency && !(text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())) {
                return Err(Error::invalid(&[name, ": must be three upper-case letters (ISO 4217)"]));
            }
            Ok(u32::from(is_long(&text)))
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
            check_number(name, shape, str::from_utf8(reader.slice(from)).ok().map(platform::parse_number))?;
            Ok(0)
        }
        Flag => {
            if kind != Kind::Bool {
                return Err(expected("true or false"));
            }
            reader.scalar().map_err(lift)?;
            Ok(0)
        }
        Texts(keys) => {
            if kind != Kind::Object {
                return Err(expected("an object"));
            }
            reader.open();
            let (mut first, mut long) = (true, 0);
            while let Some(key) = reader.next_key(&mut first).map_err(lift)? {
                let path = [name, ".", &key].concat();
                if !keys.contains(&&*key) {
                    return Err(Error::invalid(&[&path, ": is no documented field"]));
                }
                long += check(&path, Text, reader)?;
            }
            Ok(long)
        }
        Properties => Err(Error::invalid(&[name, ": is an object of properties"])),
    }
}

/// Checks that a number is finite and in its field's range.
pub(super) fn check_number(name: &str, shape: Shape, value: Option<f64>) -> Result<()> {
    let (bound, problem) = match shape {
        Latitude => (90.0, ": must be a number from -90 to 90"),
        Longitude => (180.0, ": must be a number from -180 to 180"),
        _ => (f64::MAX, ": must be a finite number"),
    };
    // NaN is in no range.
    if value.is_some_and(|value| value.abs() <= bound) { Ok(()) } else { Err(Error::invalid(&[name, problem])) }
}
