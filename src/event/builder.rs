//! [`EventBuilder`]: sets an event's fields; the first thing that is wrong is told by `build`.

use crate::{
    Error, Result,
    event::{Event, Properties, fields, first_error::FirstError, value::PropertyValue},
    json::Reader,
};

/// Builds an [`Event`]. Each setter checks its value; [`EventBuilder::build`] answers with the first error.
#[derive(Clone, Debug)]
#[must_use = "an event is made by `build`"]
pub struct EventBuilder {
    /// In a box, because each setter moves the builder.
    event: Box<Event>,
    error: FirstError,
}

/// One setter for each field of HTTP V2, named as Rust names things; the wire's name is in the docs where it differs.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident => $wire:literal, $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(self, value: $type) -> Self {
            self.field($wire, value)
        }
    )*};
}

impl EventBuilder {
    pub(super) fn new(event_type: &str) -> Self {
        Self { event: Box::new(Event::empty()), error: FirstError::default() }.field("event_type", event_type)
    }

    /// Carries an error from before the building to its end.
    pub(super) fn failed(event_type: &str, error: Error) -> Self {
        Self::new(event_type).note(Err(error))
    }

    setters! {
        /// The user's id: a stable one of your own, of 5 to 1024 characters.
        user_id => "user_id", &str;
        /// The device's id: one that stays on the device, of 5 to 1024 characters.
        device_id => "device_id", &str;
        /// When it happened, in milliseconds since 1970 UTC. Default: when it is tracked.
        time_ms => "time", i64;
        /// The start of the session in milliseconds since 1970 UTC; -1 for an event outside of sessions.
        session_id => "session_id", i64;
        /// A number that tells the order of events with the same time.
        event_id => "event_id", i64;
        /// The version of your app.
        app_version => "app_version", &str;
        /// The platform, e.g. `"Web"`.
        platform => "platform", &str;
        /// The operating system or browser.
        os_name => "os_name", &str;
        /// Its version.
        os_version => "os_version", &str;
        /// The device's brand.
        device_brand => "device_brand", &str;
        /// The device's manufacturer.
        device_manufacturer => "device_manufacturer", &str;
        /// The device's model.
        device_model => "device_model", &str;
        /// The mobile carrier.
        carrier => "carrier", &str;
        /// The country.
        country => "country", &str;
        /// The region within the country.
        region => "region", &str;
        /// The city.
        city => "city", &str;
        /// The designated market area.
        dma => "dma", &str;
        /// The user's language.
        language => "language", &str;
        /// The IP address, or `"$remote"` for the address that the request comes from.
        ip => "ip", &str;
        /// The user agent, from which Amplitude derives device and system.
        user_agent => "user_agent", &str;
        /// The price of one item; negative for a refund.
        price => "price", f64;
        /// How many items.
        quantity => "quantity", i64;
        /// The revenue; price times quantity wins where both are there.
        revenue => "revenue", f64;
        /// The product's id (`productId`); needs a price or a revenue.
        product_id => "productId", &str;
        /// The type of revenue (`revenueType`), e.g. `"purchase"`; needs a price or a revenue.
        revenue_type => "revenueType", &str;
        /// Apple's identifier for advertisers.
        idfa => "idfa", &str;
        /// Apple's identifier for vendors.
        idfv => "idfv", &str;
        /// Google's advertising id.
        adid => "adid", &str;
        /// Android's id.
        android_id => "android_id", &str;
        /// Android's app set id.
        android_app_set_id => "android_app_set_id", &str;
        /// The partner that sends the event.
        partner_id => "partner_id", &str;
        /// What sent the event. Default: this crate's name and version.
        library => "library", &str;
        /// The app's version name, as Amplitude's mobile SDKs send it.
        version_name => "version_name", &str;
        /// The store's receipt, as Amplitude's mobile SDKs send it.
        receipt => "receipt", &str;
        /// The signature of the store's receipt (`receiptSig`).
        receipt_signature => "receiptSig", &str;
        /// Leaves the user's properties out of the event (`$skip_user_properties_sync`).
        skip_user_properties_sync => "$skip_user_properties_sync", bool;
    }

    /// Tells copies of an event apart from new ones: Amplitude ignores a second event of a device with the same id for seven days. Default: a
    /// random UUID.
    pub fn insert_id(self, id: &str) -> Self {
        self.field("insert_id", id).check_shape("insert_id")
    }

    /// The currency of price and revenue: three upper-case letters (ISO 4217).
    pub fn currency(self, code: &str) -> Self {
        self.field("currency", code).check_shape("currency")
    }

    /// The latitude, -90 to 90.
    pub fn location_lat(self, degrees: f64) -> Self {
        self.field("location_lat", degrees).check_shape("location_lat")
    }

    /// The longitude, -180 to 180.
    pub fn location_lng(self, degrees: f64) -> Self {
        self.field("location_lng", degrees).check_shape("location_lng")
    }

    /// Sets those of the two ids that are there.
    pub fn ids(mut self, user_id: Option<&str>, device_id: Option<&str>) -> Self {
        if let Some(id) = user_id {
            self = self.user_id(id);
        }
        match device_id {
            Some(id) => self.device_id(id),
            None => self,
        }
    }

    /// Sets an event property.
    pub fn property(mut self, key: &str, value: impl PropertyValue) -> Self {
        let result = self.event.event_properties.0.set("event_properties", key, value);
        self.note(result)
    }

    /// Sets all event properties at once, in place of those set before.
    pub fn properties(mut self, properties: Properties) -> Self {
        self.event.event_properties = properties;
        self
    }

    /// Sets a user property along with the event.
    pub fn user_property(mut self, key: &str, value: impl PropertyValue) -> Self {
        let result = self.event.user_properties.0.set("user_properties", key, value);
        self.note(result)
    }

    /// Names the group, or the list of groups, of that type that the event belongs to: at most 5 types and 10 groups.
    pub fn group(mut self, group_type: &str, name: impl PropertyValue) -> Self {
        let result = self.event.groups.0.set("groups", group_type, name);
        self.note(result)
    }

    /// The tracking plan that the event follows; what is `None` is left out.
    pub fn plan(self, branch: Option<&str>, source: Option<&str>, version: Option<&str>, version_id: Option<&str>) -> Self {
        self.texts("plan", [("branch", branch), ("source", source), ("version", version), ("versionId", version_id)])
    }

    /// The tool that ingests the event, and its version.
    pub fn ingestion_metadata(self, source_name: Option<&str>, source_version: Option<&str>) -> Self {
        self.texts("ingestion_metadata", [("source_name", source_name), ("source_version", source_version)])
    }

    /// Makes the event.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that names the first field or property that breaks a limit, and the limit.
    pub fn build(self) -> Result<Event> {
        self.error.check()?;
        self.event.check()?;
        Ok(*self.event)
    }

    /// Sets a field that stands in the table of fields.
    fn field(mut self, name: &'static str, value: impl PropertyValue) -> Self {
        let result = self.event.fields.set("event", name, value);
        self.note(result)
    }

    /// Checks a field against the table, where its Rust type alone does not ensure its shape.
    fn check_shape(self, name: &str) -> Self {
        let (Ok((_, shape)), Some(raw)) = (fields::find(name), self.event.fields.raw_field(name)) else { return self };
        let result = fields::check(name, shape, &mut Reader::new(raw)).map(drop);
        self.note(result)
    }

    fn texts<const N: usize>(self, name: &'static str, texts: [(&str, Option<&str>); N]) -> Self {
        let mut object = Properties::new();
        for (key, text) in texts {
            if let Some(text) = text
                && let Err(error) = object.0.set(name, key, text)
            {
                return self.note(Err(error));
            }
        }
        self.field(name, object)
    }

    fn note(mut self, result: Result<()>) -> Self {
        self.error.note(result);
        self
    }

    pub(super) fn event_mut(&mut self) -> &mut Event {
        &mut self.event
    }
}
