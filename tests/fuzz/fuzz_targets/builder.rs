//! Each line is a call: of one of a builder's setters, and once the event is built, of what changes it. A line holds a name and a value, those
//! of properties a key in between.

#![no_main]

mod accepted;

use amplitude_sdk::{Event, EventBuilder, GroupIdentify, Identify, Properties, Result, Revenue};
use libfuzzer_sys::fuzz_target;

type Text = fn(EventBuilder, &str) -> EventBuilder;
type Integer = fn(EventBuilder, i64) -> EventBuilder;
type Number = fn(EventBuilder, f64) -> EventBuilder;

const TEXTS: &[(&str, Text)] = &[
    ("user_id", EventBuilder::user_id),
    ("device_id", EventBuilder::device_id),
    ("app_version", EventBuilder::app_version),
    ("country", EventBuilder::country),
    ("ip", EventBuilder::ip),
    ("insert_id", EventBuilder::insert_id),
    ("currency", EventBuilder::currency),
    ("product_id", EventBuilder::product_id),
    ("revenue_type", EventBuilder::revenue_type),
    ("library", EventBuilder::library),
];
const INTEGERS: &[(&str, Integer)] = &[
    ("time_ms", EventBuilder::time_ms),
    ("session_id", EventBuilder::session_id),
    ("event_id", EventBuilder::event_id),
    ("quantity", EventBuilder::quantity),
];
const NUMBERS: &[(&str, Number)] = &[
    ("price", EventBuilder::price),
    ("revenue", EventBuilder::revenue),
    ("location_lat", EventBuilder::location_lat),
    ("location_lng", EventBuilder::location_lng),
];

/// A value as its text looks: an object, a list of one object or of texts, null, a number, which may be one that JSON has not, or text.
macro_rules! with_value {
    ($text:expr, $value:ident => $then:expr) => {{
        let text: &str = $text;
        match (Properties::from_json(text.trim_start_matches('[')), text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(object), ..) if text.starts_with('[') => {
                let $value = [object];
                $then
            }
            (Ok($value), ..) => $then,
            (_, Ok($value), _) => $then,
            (.., Ok($value)) => $then,
            _ if text == "null" => {
                let $value = None::<bool>;
                $then
            }
            _ if text.starts_with('[') => {
                let $value = list(text);
                $then
            }
            _ => {
                let $value = text;
                $then
            }
        }
    }};
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let lines: Vec<_> = text.split('\n').map(|line| line.split_once(' ').unwrap_or((line, ""))).collect();
    let mut builder = start(lines[0], &lines[1..]);
    for &(name, value) in &lines[1..] {
        builder = set(builder, name, value);
    }
    let Ok(mut event) = builder.build() else { return };
    accepted::check(&event);
    accepted::check_properties(event.event_properties());
    for &(name, value) in &lines[1..] {
        let before = event.to_json();
        match change(&mut event, name, value) {
            // A refused change is none.
            Some(Err(_)) => assert_eq!(event.to_json(), before),
            Some(Ok(())) => {
                accepted::check(&event);
                accepted::check_properties(event.event_properties());
            }
            None => {}
        }
    }
});

/// The first line says what kind of event it is; operations and revenue are made of the lines with their names.
fn start((kind, value): (&str, &str), lines: &[(&str, &str)]) -> EventBuilder {
    // The same calls of two types.
    macro_rules! operations {
        ($identify:expr) => {
            lines.iter().fold($identify, |identify, (name, rest)| {
                let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                match *name {
                    "$set" => with_value!(value, value => identify.set(key, value)),
                    "$setOnce" => identify.set_once(key, value),
                    "$append" => identify.append(key, list(value)),
                    "$prepend" => identify.prepend(key, list(value)),
                    "$preInsert" => identify.pre_insert(key, value),
                    "$postInsert" => identify.post_insert(key, value),
                    "$remove" => identify.remove(key, value),
                    "$unset" => identify.unset(key),
                    "$add" => value.parse::<f64>().map(|value| identify.clone().add(key, value)).unwrap_or(identify),
                    _ => identify,
                }
            })
        };
    }
    match kind {
        "identify" => {
            let identify = operations!(Identify::new());
            Event::identify(if value == "clear" { identify.clear_all() } else { identify })
        }
        "group_identify" => Event::group_identify(operations!(GroupIdentify::new("company", value))),
        "revenue_amount" => {
            let revenue = Revenue::new(value.parse().unwrap_or(1.0));
            Event::revenue(lines.iter().fold(revenue, |revenue, (name, value)| match *name {
                "$quantity" => value.parse().map(|quantity| revenue.clone().quantity(quantity)).unwrap_or(revenue),
                "$currency" => revenue.currency(value),
                "$productId" => revenue.product_id(value),
                "$receipt" => revenue.receipt(value),
                _ => revenue,
            }))
        }
        _ => Event::builder(value),
    }
}

fn set(builder: EventBuilder, name: &str, value: &str) -> EventBuilder {
    if let Some((_, set)) = TEXTS.iter().find(|(known, _)| *known == name) {
        return set(builder, value);
    }
    if let Some((_, set)) = INTEGERS.iter().find(|(known, _)| *known == name) {
        return value.parse().map(|value| set(builder.clone(), value)).unwrap_or(builder);
    }
    if let Some((_, set)) = NUMBERS.iter().find(|(known, _)| *known == name) {
        return value.parse().map(|value| set(builder.clone(), value)).unwrap_or(builder);
    }
    let (key, rest) = value.split_once(' ').unwrap_or((value, ""));
    match name {
        "property" => with_value!(rest, value => builder.property(key, value)),
        "user_property" => with_value!(rest, value => builder.user_property(key, value)),
        "properties" => Properties::from_json(value).map(|value| builder.clone().properties(value)).unwrap_or(builder),
        "group" => builder.group(key, list(rest)),
        "plan" => builder.plan(Some(key), None, Some(rest), None),
        "ingestion_metadata" => builder.ingestion_metadata(Some(key), Some(rest)),
        "skip" => builder.skip_user_properties_sync(value == "true"),
        _ => builder,
    }
}

/// Answers `None` where the line changes nothing.
fn change(event: &mut Event, name: &str, value: &str) -> Option<Result<()>> {
    let (key, rest) = value.split_once(' ').unwrap_or((value, ""));
    Some(match name {
        "set_field" => event.set_field(key, rest),
        "remove_field" => {
            let before = event.field(value).is_some();
            let removed = event.remove_field(value);
            assert!(!removed || before && event.field(value).is_none());
            Ok(())
        }
        "set_user_id" => event.set_user_id(value),
        "set_device_id" => event.set_device_id(value),
        "set_property" => with_value!(rest, value => event.event_properties_mut().set(key, value)),
        "remove_property" => {
            let properties = event.event_properties_mut();
            assert_eq!(properties.json(value).is_some(), properties.remove(value));
            assert!(properties.json(value).is_none());
            Ok(())
        }
        _ => return None,
    })
}

fn list(text: &str) -> Vec<&str> {
    text.split(',').collect()
}
