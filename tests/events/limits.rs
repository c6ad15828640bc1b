//! Every documented limit, on both of its sides, as it is built and as text. The numbers are written again here, by hand.

use amplitude_sdk::{Event, EventBuilder, Properties};
use serde_json::{Value, json};

use super::{builder, refusal, sent};

const FORBIDDEN: [&str; 14] = [
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "",
    "00000000-0000-0000-0000-000000000000",
    "{}",
    "lmy47d",
    "0",
    "-1",
];

const RESERVED: [&str; 6] = [
    "[Amplitude] Start Session",
    "[Amplitude] End Session",
    "[Amplitude] Revenue",
    "[Amplitude] Revenue (Verified)",
    "[Amplitude] Revenue (Unverified)",
    "[Amplitude] Merged User",
];

/// An object with one key in another, `levels` deep.
fn nested(levels: usize) -> Properties {
    (1..levels).fold(Properties::new(), |inner, _| {
        let mut outer = Properties::new();
        outer.set("n", inner).unwrap();
        outer
    })
}

fn keys(count: usize) -> Value {
    (0..count).map(|index| (format!("k{index}"), json!(index))).collect::<serde_json::Map<_, _>>().into()
}

/// An event with these event properties, read as text.
fn with_properties(properties: &str) -> amplitude_sdk::Result<Event> {
    Event::from_json(&[r#"{"event_type":"e","event_properties":"#, properties, "}"].concat())
}

#[test]
fn objects_and_lists_are_nested_forty_deep() {
    // The object of properties itself is the first level.
    builder().property("n", nested(40 - 1)).build().unwrap();
    let text = refusal(builder().property("n", nested(40)).build());
    assert_eq!(text, "event_properties.n: is nested deeper than 40");
    let mut deepest = nested(40);
    assert!(refusal(Properties::new().set("n", deepest.clone())).contains("deeper than 40"));
    deepest.set("flat", 1).unwrap();
    // A list is a level as well.
    builder().property("list", [nested(40 - 2)]).build().unwrap();
    assert!(refusal(builder().property("list", [nested(40 - 1)]).build()).contains("deeper than 40"));

    for (open, close) in [("[", "]"), (r#"{"n":"#, "}")] {
        let text = |levels: usize| format!(r#"{{"n":{}1{}}}"#, open.repeat(levels - 1), close.repeat(levels - 1));
        with_properties(&text(40)).unwrap();
        let refused = refusal(with_properties(&text(40 + 1)));
        assert!(refused.starts_with("event_properties.n") && refused.ends_with("is nested deeper than 40"), "{refused}");
        // No nesting reaches the stack's end.
        assert!(refusal(with_properties(&text(100_000))).ends_with("is nested deeper than 40"));
        assert!(refusal(with_properties(&open.repeat(100_000))).contains("event_properties"));
    }
    for name in ["user_properties", "groups", "plan", "price", "nonsense"] {
        let text = format!(r#"{{"event_type":"e","{name}":{}"#, "[".repeat(100_000));
        assert!(refusal(Event::from_json(&text)).starts_with(name), "{name}");
    }
}

#[test]
fn an_object_has_at_most_a_thousand_keys_at_every_level() {
    let mut properties = Properties::new();
    for index in 0..1000 {
        properties.set(&format!("k{index}"), index).unwrap();
    }
    assert_eq!(refusal(properties.set("one more", 1)), "properties: has more than 1000 keys");
    // Setting one again is no further key, and removing one makes room.
    properties.set("k7", "again").unwrap();
    properties.remove("k8");
    properties.set("one more", 1).unwrap();
    assert_eq!(properties.len(), 1000);

    for (of, name) in
        [("{}", "event_properties"), (r#"{"in":{}}"#, "event_properties.in"), (r#"{"in":[{}]}"#, "event_properties.in.0")]
    {
        let with = |count| with_properties(&of.replace("{}", &keys(count).to_string()));
        with(1000).unwrap();
        assert_eq!(refusal(with(1000 + 1)), format!("{name}: has more than 1000 keys"));
    }
}

#[test]
fn strings_of_more_than_1024_utf16_units_are_counted_and_sent_whole() {
    // One unit, one unit in two bytes, and two units in four bytes.
    for (char, units) in [("x", 1), ("ä", 1), ("𝄞", 2)] {
        let text = |units_in_all: usize| char.repeat(units_in_all / units);
        for (length, long) in [(1024, 0), (1024 + 2, 1)] {
            let built = builder().property("text", text(length)).build().unwrap();
            let read = with_properties(&json!({ "text": text(length) }).to_string()).unwrap();
            let nested = with_properties(&json!({ "list": [{ "text": text(length) }] }).to_string()).unwrap();
            let field = builder().city(&text(length)).build().unwrap();
            for event in [&built, &read, &nested, &field] {
                assert_eq!(event.long_strings(), long, "{char} {length}");
            }
            assert_eq!(sent(&built)["event_properties"]["text"], text(length));
            assert_eq!(sent(&field)["city"], text(length));
        }
    }
    // Escapes count as what they stand for: 1024 units, written with six characters each.
    let escaped = with_properties(&format!(r#"{{"text":"{}"}}"#, "\\u00e4".repeat(1024))).unwrap();
    assert_eq!(escaped.long_strings(), 0);
    let escaped = with_properties(&format!(r#"{{"text":"{}"}}"#, "\\ud834\\udd1e".repeat(513))).unwrap();
    assert_eq!(escaped.long_strings(), 1);
}

#[test]
fn what_has_gone_is_not_counted_against_what_stays() {
    // A plugin shortens what Amplitude would.
    let mut event = builder().property("text", "x".repeat(2000)).property("list", ["y".repeat(2000)]).build().unwrap();
    assert_eq!(event.long_strings(), 2);
    event.event_properties_mut().set("text", "x").unwrap();
    assert_eq!(event.long_strings(), 1);
    event.event_properties_mut().remove("list");
    assert_eq!(event.long_strings(), 0);

    let mut properties = nested(40);
    properties.set("flat", 1).unwrap();
    properties.set("n", 1).unwrap();
    let mut outer = Properties::new();
    outer.set("in", properties).unwrap();
}

#[test]
fn an_insert_id_is_not_empty() {
    assert_eq!(refusal(builder().insert_id("").build()), "insert_id: is empty; leave it out for a random one");
    assert!(refusal(Event::from_json(r#"{"event_type":"e","insert_id":""}"#)).starts_with("insert_id: is empty"));
    assert!(refusal(builder().build().unwrap().set_field("insert_id", "\"\"")).starts_with("insert_id: is empty"));
}

#[test]
fn ids_are_bounded_and_some_are_refused_in_any_case() {
    for set in [|id: &str| Event::builder("e").user_id(id).build(), |id: &str| Event::builder("e").device_id(id).build()] {
        for char in ["x", "ä", "𝄞"] {
            set(&char.repeat(1024)).unwrap();
            assert!(refusal(set(&char.repeat(1024 + 1))).ends_with("_id: is longer than 1024 characters"));
        }
        for id in FORBIDDEN {
            for id in [id.to_string(), id.to_uppercase(), id[..id.len().min(1)].to_uppercase() + id.get(1..).unwrap_or_default()]
            {
                let text = refusal(set(&id));
                assert!(text.ends_with(&format!("_id: \"{id}\" is an id that Amplitude refuses")), "{text}");
            }
        }
        // Those are compared whole.
        for id in ["nonexistent", "00", "null-island", "unknown-1"] {
            set(id).unwrap();
        }
    }
    let text = refusal(Event::from_json(r#"{"event_type":"e","user_id":"\u004eull"}"#));
    assert_eq!(text, "user_id: \"Null\" is an id that Amplitude refuses");
}

#[test]
fn an_event_needs_a_type_that_is_not_amplitudes() {
    assert_eq!(refusal(Event::builder("").build()), "event_type: is missing or empty");
    assert_eq!(refusal(Event::from_json(r#"{"user_id":"user123"}"#)), "event_type: is missing or empty");
    for name in RESERVED {
        assert_eq!(refusal(Event::builder(name).build()), format!("event_type: \"{name}\" is reserved by Amplitude"));
        assert!(refusal(Event::from_json(&json!({ "event_type": name }).to_string())).contains("reserved"));
    }
    Event::builder("[amplitude] start session").build().unwrap();
}

#[test]
fn an_event_belongs_to_five_types_and_ten_groups_at_most() {
    let types = |count: usize| (0..count).fold(builder(), |event, index| event.group(&format!("type {index}"), "one"));
    types(5).build().unwrap();
    assert!(refusal(types(5 + 1).build()).starts_with("groups: has more than 5 group types"));

    let names = |count: usize| (0..count).map(|index| format!("group {index}")).collect::<Vec<_>>();
    builder().group("a", names(10)).build().unwrap();
    builder().group("a", names(4)).group("b", names(6)).build().unwrap();
    assert!(refusal(builder().group("a", names(10 + 1)).build()).starts_with("groups: has more than 10 groups"));
    assert!(refusal(builder().group("a", names(5)).group("b", names(6)).build()).starts_with("groups: has more than 10"));

    assert_eq!(refusal(builder().group("a", 1).build()), "groups.a: must be a string or a list of strings");
    for wrong in [json!(null), json!([1]), json!(["x", null]), json!({ "b": "c" }), json!([["x"]])] {
        let text = refusal(Event::from_json(&json!({ "event_type": "e", "groups": { "a": wrong } }).to_string()));
        assert_eq!(text, "groups.a: must be a string or a list of strings", "{wrong}");
    }
}

#[test]
fn money_needs_a_price_and_a_currency_of_three_letters() {
    let setters: [fn(EventBuilder) -> EventBuilder; 4] =
        [|it| it.product_id("sku"), |it| it.revenue_type("purchase"), |it| it.currency("USD"), |it| it.quantity(2)];
    for set in setters {
        assert!(refusal(set(builder()).build()).starts_with("price: is missing"));
        set(builder()).price(0.0).build().unwrap();
        set(builder()).revenue(-1.5).build().unwrap();
    }
    for code in ["usd", "US", "USDX", "U$D", "", "ÄÖ", "US\u{0}"] {
        assert_eq!(refusal(builder().price(1.0).currency(code).build()), "currency: must be three upper-case letters (ISO 4217)");
        let text = json!({ "event_type": "e", "price": 1, "currency": code }).to_string();
        assert!(refusal(Event::from_json(&text)).starts_with("currency: must be three"), "{code}");
    }
}

#[test]
fn numbers_are_finite_and_places_are_on_earth() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for event in
            [builder().price(value), builder().revenue(value), builder().location_lat(value), builder().location_lng(value)]
        {
            assert!(refusal(event.build()).contains("finite"));
        }
        assert_eq!(
            refusal(builder().property("n", value).build()),
            "event_properties.n: is not a finite number, which JSON cannot hold"
        );
        assert!(refusal(builder().property("n", [1.0, value]).build()).contains("finite"));
        assert!(refusal(builder().property("n", Some(value as f32)).build()).contains("finite"));
    }
    for (lat, lng) in [(90.1, 0.0), (-90.1, 0.0), (0.0, 180.1), (0.0, -180.1), (f64::MAX, 0.0)] {
        let text = refusal(builder().location_lat(lat).location_lng(lng).build());
        assert!(text.starts_with("location_l") && text.contains("must be a number from"), "{text}");
    }
    for name in ["price", "revenue", "location_lat"] {
        let text = refusal(Event::from_json(&format!(r#"{{"event_type":"e","{name}":1e999}}"#)));
        assert!(text.starts_with(name), "{text}");
    }
    for number in ["1e400", "-1e309", "1E999999999999999999999", &"9".repeat(400), &format!("{}.5", "9".repeat(309))] {
        for of in [r#"{"n":VALUE}"#, r#"{"in":[{"n":VALUE}]}"#] {
            let text = refusal(with_properties(&of.replace("VALUE", number)));
            assert!(
                text.starts_with("event_properties.") && text.ends_with("holds a number that is larger than any finite one"),
                "{text}"
            );
        }
    }
    for number in ["1e308", "-1.7976931348623157e308", "1e-400", &"9".repeat(308), "0.1"] {
        with_properties(&format!(r#"{{"n":{number}}}"#)).unwrap();
    }
    for (text, problem) in
        [("1.5", "not whole"), ("1e3", "not whole"), ("9223372036854775808", "64 bits"), ("-9223372036854775809", "64 bits")]
    {
        let refused = refusal(Event::from_json(&format!(r#"{{"event_type":"e","time":{text}}}"#)));
        assert!(refused.starts_with("time: ") && refused.contains(problem), "{text}: {refused}");
    }
}
