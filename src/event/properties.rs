//! Properties: names and values, JSON text from the start.

use std::fmt;

use crate::{
    Error, Result,
    event::{object::Object, value::PropertyValue},
    json::Reader,
};

/// An object of properties: at most 1000 keys, nested at most 40 deep, every number finite.
///
/// Nothing is cut: what breaks a limit is refused when it is set. Strings of more than 1024 characters, which Amplitude shortens, are
/// [a matter of configuration](crate::Config::long_strings). `Debug` shows names and no values.
///
/// ```
/// use amplitude_sdk::Properties;
///
/// let mut size = Properties::new();
/// size.set("width", 30)?;
/// size.set("unit", "cm")?;
/// let mut product = Properties::new();
/// product.set("size", size)?;
/// product.set("tags", ["new", "sale"])?;
/// assert_eq!(product.json("size"), Some(r#"{"width":30,"unit":"cm"}"#));
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Properties(pub(super) Object);

impl Properties {
    /// No properties.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a JSON object.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that names the key and what is wrong with its value.
    pub fn from_json(text: &str) -> Result<Self> {
        let mut reader = Reader::new(text);
        let object = Object::read("properties", &mut reader)?;
        reader.end().map_err(|error| Error::at("properties", error.0))?;
        Ok(Self(object))
    }

    /// Sets a property; a value that it had before is replaced.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that names the key and the limit. Nothing has changed then.
    pub fn set(&mut self, key: &str, value: impl PropertyValue) -> Result<()> {
        self.0.set("properties", key, value)
    }

    /// Removes a property; answers whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key)
    }

    /// The JSON text of a property's value.
    #[must_use]
    pub fn json(&self, key: &str) -> Option<&str> {
        self.0.raw(key)
    }

    /// Keys (as JSON spells them, without quotes) and the JSON texts of their values, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter()
    }

    /// The object's JSON text; empty where there is no property.
    pub(super) fn object_text(&self) -> String {
        if self.is_empty() { String::new() } else { ["{", self.0.text(), "}"].concat() }
    }

    /// How many properties there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
