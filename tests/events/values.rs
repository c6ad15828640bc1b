//! Values reach the wire as they were given, whatever they are.

use amplitude_sdk::{Event, Properties, PropertyValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{builder, sent};

/// What serde_json reads of a value that was set.
fn read(value: impl PropertyValue) -> Value {
    sent(&builder().property("value", value).build().unwrap())["event_properties"]["value"].clone()
}

/// What std reads of a number that was set; serde_json must take it as well.
fn float(value: impl PropertyValue) -> f64 {
    let event = builder().property("value", value).build().unwrap();
    assert!(sent(&event)["event_properties"]["value"].is_number());
    event.event_properties().json("value").expect("it was set").parse().expect("a number")
}

#[test]
fn numbers_keep_every_bit() {
    assert_eq!(read(u64::MAX), json!(u64::MAX));
    assert_eq!((read(i64::MIN), read(i64::MAX)), (json!(i64::MIN), json!(i64::MAX)));
    assert_eq!(
        (read(i8::MIN), read(u8::MAX), read(u32::MAX), read(usize::MAX)),
        (json!(-128), json!(255), json!(u32::MAX), json!(usize::MAX))
    );
    for value in [0.1, 29.99, 1.0, 1e21, 1e-7, f64::MAX, f64::MIN_POSITIVE, 5e-324, -1.5e300, 9_007_199_254_740_993.0] {
        assert_eq!(float(value).to_bits(), value.to_bits(), "{value}");
    }
    assert!(float(-0.0).is_sign_negative());
    // A number of 32 bits is the number that it is, with its own digits and no better ones.
    for value in [0.1_f32, f32::MAX, f32::MIN_POSITIVE] {
        assert_eq!(float(value), f64::from(value));
    }
    // As text, a number is what it was: not even its spelling changes.
    let event = Event::from_json(r#"{"event_type":"e","event_properties":{"n":123456789012345678901234567890.10e-3}}"#).unwrap();
    assert_eq!(event.event_properties().json("n"), Some("123456789012345678901234567890.10e-3"));
}

#[test]
fn texts_keep_every_character() {
    let controls: String = (0_u8..0x80).map(char::from).collect();
    for text in ["", " ", "\"\\/", controls.as_str(), "\u{7f}\u{80}\u{2028}\u{2029}\u{feff}\u{fffd}", "ä𝄞\u{10ffff}", "\\u0041"]
    {
        assert_eq!(read(text), json!(text));
        let event = builder().property(text, 1).build().unwrap();
        assert_eq!(sent(&event)["event_properties"], json!({ text: 1 }));
        assert_eq!(event.event_properties().json(text), Some("1"));
        let event = builder().city(text).insert_id(&format!("id {text}")).build().unwrap();
        assert_eq!((&sent(&event)["city"], &sent(&event)["insert_id"]), (&json!(text), &json!(format!("id {text}"))));
    }
    assert_eq!(builder().user_id("user \"1\"\n").build().unwrap().user_id().as_deref(), Some("user \"1\"\n"));
}

#[test]
fn other_values_are_what_json_has_for_them() {
    assert_eq!((read(true), read(None::<i32>), read(Some("x"))), (json!(true), json!(null), json!("x")));
    assert_eq!(read(vec![vec![1, 2], vec![], vec![3]]), json!([[1, 2], [], [3]]));
    assert_eq!(read(&[Some(1.5), None][..]), json!([1.5, null]));
    assert_eq!((read(String::from("x")), read(std::borrow::Cow::from("y"))), (json!("x"), json!("y")));
    assert_eq!((read(Properties::new()), read([Properties::new()])), (json!({}), json!([{}])));
}

/// Any value that JSON has, with objects as the crate builds them.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Those that serde_json reads as they are: it is off by a bit for some others, which have a test of their own.
        any::<i32>().prop_map(|it| Value::from(f64::from(it) / 4.0)),
        any::<String>().prop_map(Value::from),
        "[\u{0}-\u{7f}\"\\\\]{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Sets a value through the types of the API.
fn set(properties: &mut Properties, key: &str, value: &Value) {
    match value {
        Value::Null => properties.set(key, None::<bool>),
        Value::Bool(value) => properties.set(key, *value),
        Value::Number(value) => match (value.as_u64(), value.as_i64()) {
            (Some(value), _) => properties.set(key, value),
            (_, Some(value)) => properties.set(key, value),
            _ => properties.set(key, value.as_f64()),
        },
        Value::String(value) => properties.set(key, value.as_str()),
        // A list of the API holds values of one type, so each item gets an object around it.
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| object(&json!({ "item": item }))).collect();
            properties.set(key, items)
        }
        Value::Object(_) => properties.set(key, object(value)),
    }
    .unwrap();
}

fn object(value: &Value) -> Properties {
    let mut properties = Properties::new();
    for (key, value) in value.as_object().expect("an object") {
        set(&mut properties, key, value);
    }
    properties
}

/// The same value with each item of a list in an object, as `set` puts it.
fn wrapped(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| json!({ "item": wrapped(item) })).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), wrapped(value))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn every_finite_number_keeps_every_bit(value in any::<f64>().prop_filter("finite", |it| it.is_finite())) {
        prop_assert_eq!(float(value).to_bits(), value.to_bits());
    }

    #[test]
    fn whatever_is_set_is_what_is_sent(value in values()) {
        let event = builder().property("value", object(&json!({ "value": value }))).build().unwrap();
        prop_assert_eq!(&sent(&event)["event_properties"]["value"]["value"], &wrapped(&value));
        // And it is what is read again.
        prop_assert_eq!(&sent(&Event::from_json(&event.to_json()).unwrap()), &sent(&event));
    }

    #[test]
    fn whatever_is_read_is_what_is_sent(value in values()) {
        let text = format!(r#"{{"event_type":"e","event_properties":{{"value":{value}}}}}"#);
        let event = Event::from_json(&text).unwrap();
        prop_assert_eq!(event.to_json(), text);
    }

    #[test]
    fn setting_and_removing_leaves_what_a_map_would_hold(steps in prop::collection::vec((any::<bool>(), "[a-c\"\u{0}ä]{0,2}", any::<i64>()), 0..60)) {
        let mut properties = Properties::new();
        let mut model = serde_json::Map::new();
        for (add, key, value) in steps {
            if add {
                properties.set(&key, value).unwrap();
                model.insert(key, value.into());
            } else {
                prop_assert_eq!(properties.remove(&key), model.remove(&key).is_some());
            }
            prop_assert_eq!(properties.len(), model.len());
        }
        let event = builder().properties(properties).build().unwrap();
        prop_assert_eq!(sent(&event).get("event_properties").cloned().unwrap_or(json!({})), Value::Object(model));
    }
}
