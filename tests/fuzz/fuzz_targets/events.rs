//! Any text as an event and as properties.

#![no_main]

mod accepted;

use amplitude_sdk::{Event, Properties, fuzzing};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(properties) = Properties::from_json(text) {
        let sent = accepted::check_properties(&properties);
        assert_eq!(sent, read(text), "the properties are not the text's");
    }
    let event = Event::from_json(text);
    if let Ok(event) = &event {
        assert_eq!(accepted::check(event), without_empty(read(text)), "the event is not the text's");
    }
    match (fuzzing::check_text(text), event) {
        (Ok(long_strings), Ok(event)) => assert_eq!(long_strings, event.long_strings()),
        (Err(quick), Err(whole)) => assert_eq!(quick.to_string(), whole.to_string()),
        (Err(error), Ok(_)) => panic!("the npm package refuses what the crate takes: {error}"),
        // What an engine's `JSON.stringify` never writes.
        (Ok(_), Err(error)) => {
            let said = error.to_string();
            let excused = ["stands twice", "holds a number that is larger than any finite one"];
            assert!(excused.iter().any(|end| said.ends_with(end)), "the npm package takes what the crate refuses: {said}");
        }
    }
});

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("what is taken is JSON")
}

/// A value without objects of properties that are empty: an event does not send those.
fn without_empty(mut event: Value) -> Value {
    if let Some(fields) = event.as_object_mut() {
        fields.retain(|name, value| match name.as_str() {
            "event_properties" | "user_properties" | "groups" | "group_properties" => value != &Value::Object(Default::default()),
            _ => true,
        });
    }
    event
}
