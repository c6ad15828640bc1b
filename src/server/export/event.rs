//! An exported event: one line of an archive, typed.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Deserializer, de::Visitor};
use serde_json::value::RawValue;

/// An event as Amplitude exports it. `Debug` shows its type and its row id, nothing personal.
pub struct ExportedEvent {
    json: Box<str>,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    event_type: String,
    #[serde(rename = "$insert_id")]
    insert_id: Option<String>,
    user_id: Option<String>,
    device_id: Option<String>,
    amplitude_id: Option<i64>,
    app: Option<i64>,
    event_id: Option<i64>,
    session_id: Option<i64>,
    uuid: Option<String>,
    event_time: Option<String>,
    client_event_time: Option<String>,
    client_upload_time: Option<String>,
    server_received_time: Option<String>,
    server_upload_time: Option<String>,
    processed_time: Option<String>,
    platform: Option<String>,
    os_name: Option<String>,
    os_version: Option<String>,
    version_name: Option<String>,
    start_version: Option<String>,
    device_type: Option<String>,
    device_family: Option<String>,
    device_brand: Option<String>,
    device_manufacturer: Option<String>,
    device_model: Option<String>,
    device_carrier: Option<String>,
    country: Option<String>,
    region: Option<String>,
    city: Option<String>,
    dma: Option<String>,
    language: Option<String>,
    library: Option<String>,
    ip_address: Option<String>,
    idfa: Option<String>,
    adid: Option<String>,
    location_lat: Option<f64>,
    location_lng: Option<f64>,
    #[serde(default, deserialize_with = "bool_or_none")]
    paying: Option<bool>,
    event_properties: Option<Object>,
    user_properties: Option<Object>,
    groups: Option<Object>,
    group_properties: Option<Object>,
    data: Option<Object>,
}

/// The JSON text of an object. Few readers want all of its values, so they are found when they are asked for.
type Object = Box<RawValue>;

impl Fields {
    /// The first field that should be an object and is not.
    fn wrong_object(&self) -> Option<&'static str> {
        let objects = [
            ("event_properties", &self.event_properties),
            ("user_properties", &self.user_properties),
            ("groups", &self.groups),
            ("group_properties", &self.group_properties),
            ("data", &self.data),
        ];
        objects.into_iter().find(|(_, object)| object.as_ref().is_some_and(|it| !it.get().starts_with('{'))).map(|(name, _)| name)
    }
}

fn find<'a>(object: &'a Option<Object>, name: &str) -> Option<&'a str> {
    Some(members(object.as_ref()?.get())?.get(name)?.get())
}

/// The values of an object by their names.
fn members(json: &str) -> Option<HashMap<String, &RawValue>> {
    serde_json::from_str(json).ok()
}

/// Users who never paid have `null` here, or "none".
fn bool_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    struct Paying;
    impl Visitor<'_> for Paying {
        type Value = Option<bool>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a boolean or none")
        }

        fn visit_bool<E>(self, paying: bool) -> Result<Option<bool>, E> {
            Ok(Some(paying))
        }

        fn visit_unit<E>(self) -> Result<Option<bool>, E> {
            Ok(None)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Option<bool>, E> {
            if text.eq_ignore_ascii_case("none") { Ok(None) } else { Err(E::custom("is no boolean")) }
        }
    }
    deserializer.deserialize_any(Paying)
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $read:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(&self) -> Option<$type> {
            self.fields.$name.$read()
        }
    )*};
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(&self) -> Option<&str> {
            self.fields.$name.as_ref().map(|object| object.get())
        }
    )*};
}

impl ExportedEvent {
    /// Reads a line, or tells what is wrong with it.
    pub(super) fn read(json: String) -> Result<Self, String> {
        let fields: Fields = serde_json::from_str(&json).map_err(|error| problem(&json, &error))?;
        match fields.wrong_object() {
            Some(name) => Err(wrong_type(name)),
            None => Ok(Self { json: json.into_boxed_str(), fields }),
        }
    }

    /// The event's type.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.fields.event_type
    }

    accessors! {
        /// The id that told copies apart when it was sent.
        insert_id: &str, as_deref;
        /// The user's id.
        user_id: &str, as_deref;
        /// The device's id.
        device_id: &str, as_deref;
        /// Amplitude's own number of the user.
        amplitude_id: i64, clone;
        /// The project's number.
        app: i64, clone;
        /// The number that orders events of the same time.
        event_id: i64, clone;
        /// The session's start in milliseconds since 1970, -1 outside of sessions.
        session_id: i64, clone;
        /// Amplitude's own id of this row.
        uuid: &str, as_deref;
        /// When it happened by the client's clock, corrected; UTC, e.g. `2026-01-01 00:00:00.123000`. All times have this form.
        event_time: &str, as_deref;
        /// When it happened by the client's clock.
        client_event_time: &str, as_deref;
        /// When it was sent by the client's clock.
        client_upload_time: &str, as_deref;
        /// When Amplitude received it.
        server_received_time: &str, as_deref;
        /// When Amplitude took it; what ranges go by.
        server_upload_time: &str, as_deref;
        /// When Amplitude processed it.
        processed_time: &str, as_deref;
        /// The platform.
        platform: &str, as_deref;
        /// The operating system or browser.
        os_name: &str, as_deref;
        /// Its version.
        os_version: &str, as_deref;
        /// The app's version.
        version_name: &str, as_deref;
        /// The version in which the user was first seen.
        start_version: &str, as_deref;
        /// The device's type, e.g. `Apple iPhone`.
        device_type: &str, as_deref;
        /// The device's family.
        device_family: &str, as_deref;
        /// The device's brand.
        device_brand: &str, as_deref;
        /// Who made the device.
        device_manufacturer: &str, as_deref;
        /// The device's model.
        device_model: &str, as_deref;
        /// The mobile carrier.
        device_carrier: &str, as_deref;
        /// The country.
        country: &str, as_deref;
        /// The region within the country.
        region: &str, as_deref;
        /// The city.
        city: &str, as_deref;
        /// The designated market area.
        dma: &str, as_deref;
        /// The user's language.
        language: &str, as_deref;
        /// What sent the event.
        library: &str, as_deref;
        /// The IP address.
        ip_address: &str, as_deref;
        /// The identifier for advertisers of an iOS device.
        idfa: &str, as_deref;
        /// The advertising id of an Android device.
        adid: &str, as_deref;
        /// The latitude.
        location_lat: f64, clone;
        /// The longitude.
        location_lng: f64, clone;
        /// Whether the user ever paid.
        paying: bool, clone;
    }

    /// The JSON text of an event property.
    #[must_use]
    pub fn event_property(&self, name: &str) -> Option<&str> {
        find(&self.fields.event_properties, name)
    }

    /// The JSON text of a user property.
    #[must_use]
    pub fn user_property(&self, name: &str) -> Option<&str> {
        find(&self.fields.user_properties, name)
    }

    /// The JSON text of the groups of a type.
    #[must_use]
    pub fn group(&self, group_type: &str) -> Option<&str> {
        find(&self.fields.groups, group_type)
    }

    /// The JSON text of a group property.
    #[must_use]
    pub fn group_property(&self, name: &str) -> Option<&str> {
        find(&self.fields.group_properties, name)
    }

    objects! {
        /// All event properties: the JSON text of an object, for a type of your own.
        event_properties;
        /// All user properties, as the event found them: the JSON text of an object.
        user_properties;
        /// All groups: the JSON text of an object.
        groups;
        /// All group properties: the JSON text of an object.
        group_properties;
        /// What Amplitude notes for itself, e.g. `first_event`: the JSON text of an object.
        data;
    }

    /// The whole line as it came, with fields that have no method here.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// What is wrong with a line. An error of serde can repeat a value; a field's name and a place cannot.
fn problem(json: &str, error: &serde_json::Error) -> String {
    let column = error.column();
    let Some(members) = members(json) else { return format!("is no JSON object (at its column {column})") };
    if !members.contains_key("event_type") {
        return "has no `event_type`".to_owned();
    }
    let wrong = members.iter().find(|(_, value)| {
        let start = value.get().as_ptr().addr() - json.as_ptr().addr();
        (start..=start + value.get().len()).contains(&column)
    });
    match wrong {
        Some((name, _)) => wrong_type(name),
        None => format!("is no event (at its column {column})"),
    }
}

fn wrong_type(name: &str) -> String {
    format!("its `{name}` has another type than Amplitude documents")
}

impl fmt::Debug for ExportedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportedEvent")
            .field("event_type", &self.fields.event_type)
            .field("uuid", &self.fields.uuid)
            .finish_non_exhaustive()
    }
}
