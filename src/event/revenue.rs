//! Revenue as Amplitude's SDKs send it: an event of type `revenue_amount` with `$`-properties.

use crate::{
    Error, Result,
    event::{Event, EventBuilder, Properties, first_error::FirstError, value::PropertyValue},
};

/// Revenue of one kind of product.
///
/// ```
/// use amplitude_sdk::{Event, Revenue};
///
/// let event = Event::revenue(Revenue::new(4.99).quantity(2).product_id("sku-1")).user_id("user123").build()?;
/// assert_eq!(event.event_properties().json("$price"), Some("4.99"));
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it counts nothing until its event is tracked"]
pub struct Revenue {
    properties: Properties,
    error: FirstError,
}

impl Revenue {
    /// The price of one item; negative for a refund.
    pub fn new(price: f64) -> Self {
        Self { properties: Properties::new(), error: FirstError::default() }.property("$price", price).quantity(1)
    }

    /// How many items. Default: 1.
    pub fn quantity(self, quantity: i64) -> Self {
        self.property("$quantity", quantity)
    }

    /// The revenue, where it is not price times quantity.
    pub fn revenue(self, revenue: f64) -> Self {
        self.property("$revenue", revenue)
    }

    /// The product's id.
    pub fn product_id(self, id: &str) -> Self {
        self.property("$productId", id)
    }

    /// The type of revenue, e.g. `"purchase"`, `"refund"`, `"tax"`.
    pub fn revenue_type(self, kind: &str) -> Self {
        self.property("$revenueType", kind)
    }

    /// The currency: three upper-case letters (ISO 4217).
    pub fn currency(mut self, code: &str) -> Self {
        if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            self.error.note(Err(Error::at("$currency", "must be three upper-case letters (ISO 4217)")));
        }
        self.property("$currency", code)
    }

    /// The store's receipt.
    pub fn receipt(self, receipt: &str) -> Self {
        self.property("$receipt", receipt)
    }

    /// The signature of the store's receipt.
    pub fn receipt_signature(self, signature: &str) -> Self {
        self.property("$receiptSig", signature)
    }

    /// A further property of the event.
    pub fn property(mut self, key: &str, value: impl PropertyValue) -> Self {
        self.error.note(self.properties.0.set("event_properties", key, value));
        self
    }

    fn into_properties(self) -> Result<Properties> {
        self.error.check()?;
        Ok(self.properties)
    }
}

impl Event {
    /// Starts an event of revenue.
    pub fn revenue(revenue: Revenue) -> EventBuilder {
        match revenue.into_properties() {
            Ok(properties) => EventBuilder::new("revenue_amount").properties(properties),
            Err(error) => EventBuilder::failed("revenue_amount", error),
        }
    }
}
