//! An exported event: one line of an archive, typed.

use std::{collections::HashMap, fmt};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lines::Line;
use crate::{Error, ErrorKind, Result};

/// An event as Amplitude exports it. `Debug` shows its type and its number, nothing personal.
pub struct ExportedEvent {
    json: String,
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
    device_type: Option<String>,
    device_family: Option<String>,
    device_carrier: Option<String>,
    country: Option<String>,
    region: Option<String>,
    city: Option<String>,
    dma: Option<String>,
    language: Option<String>,
    library: Option<String>,
    ip_address: Option<String>,
    location_lat: Option<f64>,
    location_lng: Option<f64>,
    paying: Option<bool>,
    event_properties: Option<HashMap<String, Box<RawValue>>>,
    user_properties: Option<HashMap<String, Box<RawValue>>>,
    groups: Option<HashMap<String, Box<RawValue>>>,
    group_properties: Option<HashMap<String, Box<RawValue>>>,
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

impl ExportedEvent {
    pub(super) fn read(line: Line) -> Result<Self> {
        let fields = serde_json::from_str(&line.text).map_err(|error| {
            // The error's own text can repeat a value; its place cannot.
            let message = format!("{} line {}: is no event (at its column {})", line.member, line.number, error.column());
            Error::new(ErrorKind::Protocol, message)
        })?;
        Ok(Self { json: line.text, fields })
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
        /// The device's model.
        device_type: &str, as_deref;
        /// The device's family.
        device_family: &str, as_deref;
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

    /// The whole line as it came, with fields that have no method here.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

fn find<'a>(properties: &'a Option<HashMap<String, Box<RawValue>>>, name: &str) -> Option<&'a str> {
    properties.as_ref()?.get(name).map(|value| value.get())
}

impl fmt::Debug for ExportedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportedEvent")
            .field("event_type", &self.fields.event_type)
            .field("uuid", &self.fields.uuid)
            .finish_non_exhaustive()
    }
}
