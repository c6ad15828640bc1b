//! Events: what a caller tells, valid once it is built. Both targets; before plugins and sealing.
//!
//! An event is JSON text from the start: its fields in one buffer, each object of properties in another, with the places of the keys.
//! Limits and field names: "HTTP V2 API", amplitude.com/docs, read 2026-03-13.

mod builder;
pub(crate) mod fields;
mod first_error;
mod identify;
mod object;
mod properties;
mod revenue;
pub(crate) mod rules;
mod scan;
pub(crate) mod seal;
pub(crate) mod text;
mod value;

use std::{borrow::Cow, fmt};

use crate::{
    Error, Result,
    json::{Malformed, Reader},
};

use fields::Shape;
use object::Object;

pub use self::{
    builder::EventBuilder,
    identify::{GroupIdentify, Identify},
    properties::Properties,
    revenue::Revenue,
    value::{Number, PropertyValue},
};
pub(crate) use self::{
    seal::{IdHashes, Stamp},
    value::ValueWriter,
};

/// One event, checked against every documented limit that needs no configuration.
///
/// Made with [`Event::builder`], or from JSON text with [`Event::from_json`]. `Debug` shows names and sizes, never values.
///
/// ```
/// use amplitude_sdk::Event;
///
/// let event = Event::builder("Product Purchased")
///     .user_id("user123")
///     .property("product_id", "sku456")
///     .property("price", 29.99)
///     .property("tags", ["new", "sale"])
///     .build()?;
/// assert_eq!(event.event_type(), "Product Purchased");
///
/// let error = Event::builder("Broken").property("price", f64::NAN).build().unwrap_err();
/// assert_eq!(error.to_string(), "event_properties.price: is not a finite number, which JSON cannot hold");
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Event {
    /// All fields but the four objects of properties.
    fields: Object,
    event_properties: Properties,
    user_properties: Properties,
    groups: Properties,
    group_properties: Properties,
}

impl Event {
    /// Starts an event of that type.
    pub fn builder(event_type: &str) -> EventBuilder {
        EventBuilder::new(event_type)
    }

    /// Reads an event object as HTTP V2 takes it and checks all of it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that names the field, what it must be and what it is; also for a field that is not documented, because
    /// Amplitude would ignore it in silence.
    pub fn from_json(text: &str) -> Result<Self> {
        let (_, long_strings) = text::check(text)?;
        let lift = |malformed: Malformed| Error::at("event", malformed.0);
        let mut event = Self::empty();
        let mut reader = Reader::new(text);
        reader.open();
        let mut first = true;
        while let Some(key) = reader.next_key(&mut first).map_err(lift)? {
            let (_, shape) = fields::find(&key)?;
            if shape == Shape::Properties {
                event.properties_of(&key).0 = Object::read(&key, &mut reader)?;
                continue;
            }
            let from = reader.offset();
            let long_strings = fields::check(&key, shape, &mut reader)?;
            event.supply(&key, reader.slice(from), long_strings);
        }
        debug_assert_eq!(event.long_strings(), long_strings);
        Ok(event)
    }

    /// The event's type.
    #[must_use]
    pub fn event_type(&self) -> Cow<'_, str> {
        self.text("event_type").unwrap_or_default()
    }

    /// The user's id.
    #[must_use]
    pub fn user_id(&self) -> Option<Cow<'_, str>> {
        self.text("user_id")
    }

    /// The device's id.
    #[must_use]
    pub fn device_id(&self) -> Option<Cow<'_, str>> {
        self.text("device_id")
    }

    /// Replaces the user's id.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for an id of more than 1024 characters, or one that Amplitude refuses (`"anonymous"`, `"null"`, ...).
    pub fn set_user_id(&mut self, id: &str) -> Result<()> {
        self.set_id("user_id", id)
    }

    /// Replaces the device's id.
    ///
    /// # Errors
    /// As [`Event::set_user_id`].
    pub fn set_device_id(&mut self, id: &str) -> Result<()> {
        self.set_id("device_id", id)
    }

    /// The JSON text of a field by its name on the wire, e.g. `"time"`; objects of properties have their own methods.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.raw(name)
    }

    /// Sets a field by its name on the wire to a JSON text, checked as [`Event::from_json`] checks it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that names the field and what it must be. The event is unchanged then.
    pub fn set_field(&mut self, name: &str, json: &str) -> Result<()> {
        let (_, shape) = fields::find(name)?;
        let mut reader = Reader::new(json);
        let long_strings = fields::check(name, shape, &mut reader)?;
        reader.end().map_err(|malformed| Error::at(name, malformed.0))?;
        let mut changed = self.clone();
        changed.fields.remove(name);
        changed.fields.add_raw(name, json.trim(), long_strings);
        changed.check()?;
        *self = changed;
        Ok(())
    }

    /// Removes a field by its name on the wire; answers whether it was there and the event is one without it. The event's type stays, and so
    /// does a price that other fields need.
    pub fn remove_field(&mut self, name: &str) -> bool {
        let mut changed = self.clone();
        let removed = changed.fields.remove(name) && changed.check().is_ok();
        if removed {
            *self = changed;
        }
        removed
    }

    /// What happened, in detail.
    #[must_use]
    pub fn event_properties(&self) -> &Properties {
        &self.event_properties
    }

    /// What happened, for plugins to change.
    pub fn event_properties_mut(&mut self) -> &mut Properties {
        &mut self.event_properties
    }

    /// What is set on the user with this event.
    #[must_use]
    pub fn user_properties(&self) -> &Properties {
        &self.user_properties
    }

    /// What is set on the user, for plugins to change.
    pub fn user_properties_mut(&mut self) -> &mut Properties {
        &mut self.user_properties
    }

    /// The groups that the event belongs to.
    #[must_use]
    pub fn groups(&self) -> &Properties {
        &self.groups
    }

    /// The groups, for plugins to change.
    pub fn groups_mut(&mut self) -> &mut Properties {
        &mut self.groups
    }

    /// What is set on a group: of events of type `$groupidentify` alone.
    #[must_use]
    pub fn group_properties(&self) -> &Properties {
        &self.group_properties
    }

    /// What is set on a group, for plugins to change.
    pub fn group_properties_mut(&mut self) -> &mut Properties {
        &mut self.group_properties
    }

    /// The event as HTTP V2 takes it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, |_| {});
        text
    }

    /// How many strings Amplitude will shorten: those of more than 1024 characters, counted as UTF-16 code units.
    #[must_use]
    pub fn long_strings(&self) -> u32 {
        [&self.event_properties, &self.user_properties, &self.groups, &self.group_properties]
            .into_iter()
            .map(|properties| properties.0.long_strings())
            .sum::<u32>()
            + self.fields.long_strings()
    }

    /// Adds a field whose JSON text was checked; answers whether the event did not have it yet, or else nothing has changed.
    pub(crate) fn supply(&mut self, name: &str, json: &str, long_strings: u32) -> bool {
        self.fields.add_raw(name, json, long_strings)
    }

    fn empty() -> Self {
        Self {
            fields: Object::default(),
            event_properties: Properties::new(),
            user_properties: Properties::new(),
            groups: Properties::new(),
            group_properties: Properties::new(),
        }
    }

    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.fields.raw_field(name).map(rules::text)
    }

    fn set_id(&mut self, name: &str, id: &str) -> Result<()> {
        rules::check_id(name, id)?;
        self.fields.set("event", name, id)
    }

    fn properties_of(&mut self, name: &str) -> &mut Properties {
        match name {
            "user_properties" => &mut self.user_properties,
            "groups" => &mut self.groups,
            "group_properties" => &mut self.group_properties,
            _ => &mut self.event_properties,
        }
    }

    /// The rules that concern more than one field.
    pub(crate) fn check(&self) -> Result<()> {
        let mut values: rules::Values<'_> = [""; fields::RULED];
        for (name, value) in self.fields.iter() {
            if let Some(at) = fields::ruled(name) {
                values[at] = value;
            }
        }
        let objects = [&self.user_properties, &self.groups, &self.group_properties].map(Properties::object_text);
        for (value, object) in values[fields::USER_PROPERTIES..].iter_mut().zip(&objects) {
            *value = object;
        }
        rules::check(&values)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("event_type", &self.event_type())
            .field("fields", &self.fields.len())
            .field("event_properties", &self.event_properties)
            .field("user_properties", &self.user_properties)
            .finish_non_exhaustive()
    }
}
