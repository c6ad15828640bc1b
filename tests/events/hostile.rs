//! Texts that are not what they should be: an error that names what is wrong, or an event that is the text.

use amplitude_sdk::{Event, Properties};
use proptest::prelude::*;
use serde_json::Value;

use super::{builder, refusal, sent};

#[test]
fn what_is_no_event_is_refused_and_named() {
    for (text, problem) in [
        ("", "event: is cut off"),
        (" \n\t", "event: is cut off"),
        ("null", "event: must be an object"),
        ("[]", "event: must be an object"),
        ("\"e\"", "event: must be an object"),
        ("7", "event: must be an object"),
        ("nonsense", "event: must be an object"),
        ("{", "event: is cut off"),
        ("{}", "event_type: is missing or empty"),
        ("{\"event_type\":\"e\"", "event: is cut off"),
        ("{\"event_type\":\"e", "event_type: is cut off"),
        ("{\"event_type\":", "event_type: is cut off"),
        ("{\"event_type\"", "event: is cut off"),
        ("{\"event_type\" \"e\"}", "event: is not JSON: a colon was expected"),
        ("{event_type:\"e\"}", "event: is not JSON"),
        ("{\"event_type\":'e'}", "event_type: is not JSON"),
        ("{\"event_type\":\"e\",}", "event: is not JSON"),
        ("{,\"event_type\":\"e\"}", "event: is not JSON"),
        ("{\"event_type\":\"e\"\"city\":\"x\"}", "event: is not JSON: a comma was expected"),
        ("{\"event_type\":\"e\"}}", "event: is not JSON: something follows the value"),
        ("{\"event_type\":\"e\"} {}", "event: is not JSON: something follows the value"),
        ("\u{feff}{\"event_type\":\"e\"}", "event: is not JSON"),
        ("{\"event_type\":\"a\nb\"}", "event_type: holds a string with a raw control character"),
        ("{\"event_type\":\"\\x\"}", "event_type: is not JSON: an unknown escape"),
        ("{\"event_type\":\"\\u12\"}", "event_type: is not JSON: an escape is malformed"),
        ("{\"event_type\":\"\\u+123\"}", "event_type: is not JSON: an escape is malformed"),
        ("{\"event_type\":\"\\ud800\"}", "event_type: holds an escape of half a character (a lone surrogate)"),
        ("{\"event_type\":\"\\udc00\"}", "event_type: holds an escape of half a character (a lone surrogate)"),
        ("{\"event_type\":\"\\ud800\\u0041\"}", "event_type: holds an escape of half a character (a lone surrogate)"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":{\"\\ud800\":1}}}", "event_properties.a: holds an escape of half"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":[\"\\udfff\"]}}", "event_properties.a.0: holds an escape of half"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":NaN}}", "event_properties.a: is not JSON"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":-Infinity}}", "event_properties.a: is not JSON"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":01}}", "event_properties: is not JSON"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":1.}}", "event_properties.a: is not JSON: a number is malformed"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":.5}}", "event_properties.a: is not JSON"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":+1}}", "event_properties.a: is not JSON"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":1e}}", "event_properties.a: is not JSON: a number is malformed"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":tru}}", "event_properties.a: is not JSON"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":[1,]}}", "event_properties.a"),
        ("{\"event_type\":\"e\",\"event_properties\":{\"a\":undefined}}", "event_properties.a: is not JSON"),
        ("{\"event_type\":\"e\",\"event_properties\":null}", "event_properties: must be an object, not null"),
        ("{\"event_type\":\"e\",\"event_properties\":[]}", "event_properties: must be an object, not a list"),
    ] {
        let refused = refusal(Event::from_json(text));
        assert!(refused.starts_with(problem), "{text}: {refused}");
    }
    for text in ["", "null", "[]", "{", "{\"a\":1}x", "{\"a\":1,\"a\":2}"] {
        assert!(refusal(Properties::from_json(text)).starts_with("properties"), "{text}");
    }
}

#[test]
fn every_cut_of_an_event_is_refused() {
    let event = builder()
        .device_id("device \"1\" ä")
        .property("nested", Properties::from_json(r#"{"a":[1,-2.5e3,true,null,{"b":"\ud834\udd1e"}]}"#).unwrap())
        .plan(Some("main"), None, None, None)
        .build()
        .unwrap();
    let text = event.to_json();
    assert_eq!(sent(&Event::from_json(&text).unwrap()), sent(&event));
    for (end, _) in text.char_indices() {
        assert!(Event::from_json(&text[..end]).is_err(), "{}", &text[..end]);
    }
}

#[test]
fn a_key_of_a_megabyte_is_a_key() {
    let key = "k".repeat(1 << 20);
    let event = builder().property(&key, 1).build().unwrap();
    assert_eq!(event.event_properties().json(&key), Some("1"));
    let text = format!(r#"{{"event_type":"e","event_properties":{{"{key}":[1,nonsense]}}}}"#);
    // It is not repeated in the error.
    assert!(refusal(Event::from_json(&text)).len() < 300);
    assert!(refusal(Event::from_json(&format!(r#"{{"event_type":"e","{key}":1}}"#))).len() < 300);
    assert!(refusal(builder().property(&key, f64::NAN).build()).len() < 300);
}

/// Texts that look like events, so that the reader gets far into them.
fn texts() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("\"event_type\":\"e\"".to_owned()),
        Just("\"event_properties\":{".to_owned()),
        Just("\"groups\":{\"a\":[\"b\"]}".to_owned()),
        Just("\"user_properties\":{\"$set\":{".to_owned()),
        Just("\"time\":".to_owned()),
        Just("\"price\":".to_owned()),
        "\"[a-c]{0,2}\":",
        "[{}\\[\\],: ]",
        "-?[0-9]{1,25}",
        "-?[0-9]{1,3}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        "\"(\\\\[\"\\\\/bfnrtu]|\\\\u[0-9a-fD-F]{4}|[ -~&&[^\"\\\\]]){0,4}\"",
        Just("true".to_owned()),
        Just("null".to_owned()),
        any::<String>(),
    ];
    prop::collection::vec(word, 0..14).prop_map(|words| words.concat())
}

/// A value without objects of properties that are empty: an event does not send those.
fn without_empty(mut value: Value) -> Value {
    if let Some(event) = value.as_object_mut() {
        for name in ["event_properties", "user_properties", "groups", "group_properties"] {
            if event.get(name).and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
                event.remove(name);
            }
        }
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_text_is_an_event_that_says_the_same_or_an_error(middle in texts(), whole in any::<bool>()) {
        let text = if whole { middle } else { format!("{{\"event_type\":\"e\",{middle}}}") };
        match Event::from_json(&text) {
            Ok(event) => {
                let read: Value = serde_json::from_str(&text).expect("what is taken is JSON");
                prop_assert_eq!(sent(&event), without_empty(read));
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn any_json_is_taken_as_properties_or_refused_for_a_limit(value in any::<i64>(), key in any::<String>(), text in any::<String>()) {
        let object = serde_json::json!({ &key: [value, &text, { &text: null }] });
        let properties = Properties::from_json(&object.to_string()).unwrap();
        let event = builder().properties(properties).build().unwrap();
        prop_assert_eq!(&sent(&event)["event_properties"], &object);
    }
}
