//! Events as callers make them: every field under its name on the wire, every limit refused by its name, nothing changed in silence. What
//! is sent is read by serde_json, so that nothing here shares code with the crate.

#![cfg(not(target_family = "wasm"))]

mod fields;
mod hostile;
mod limits;
mod operations;
mod values;

use amplitude_sdk::{Event, EventBuilder, Result};
use serde_json::Value;

fn builder() -> EventBuilder {
    Event::builder("Product Purchased").user_id("user123")
}

/// An event as it is sent, read by somebody else.
fn sent(event: &Event) -> Value {
    serde_json::from_str(&event.to_json()).expect("an event is JSON")
}

/// The text of a refusal.
fn refusal<T>(result: Result<T>) -> String {
    let error = result.err().expect("it is refused");
    assert_eq!(error.kind(), amplitude_sdk::ErrorKind::Invalid);
    error.to_string()
}
