//! Every field of HTTP V2 has its own setter, type and name on the wire, and the same rules as text.

use amplitude_sdk::{Event, EventBuilder, Properties};
use serde_json::{Value, json};

use super::{builder, refusal, sent};

type Setter = fn(EventBuilder) -> EventBuilder;

/// The table of "HTTP V2 API" (amplitude.com/docs), by hand: name, setter, what is sent.
fn table() -> Vec<(&'static str, Setter, Value)> {
    vec![
        ("user_id", |it| it.user_id("user456"), json!("user456")),
        ("device_id", |it| it.device_id("device-1"), json!("device-1")),
        ("time", |it| it.time_ms(1_760_000_000_000), json!(1_760_000_000_000_i64)),
        ("user_agent", |it| it.user_agent("Mozilla/5.0"), json!("Mozilla/5.0")),
        ("event_properties", |it| it.property("tags", ["a", "b"]), json!({ "tags": ["a", "b"] })),
        ("user_properties", |it| it.user_property("plan", "pro"), json!({ "plan": "pro" })),
        ("groups", |it| it.group("org id", ["12345678"]), json!({ "org id": ["12345678"] })),
        ("$skip_user_properties_sync", |it| it.skip_user_properties_sync(true), json!(true)),
        ("app_version", |it| it.app_version("1.2.3"), json!("1.2.3")),
        ("platform", |it| it.platform("Web"), json!("Web")),
        ("os_name", |it| it.os_name("Linux"), json!("Linux")),
        ("os_version", |it| it.os_version("6.1"), json!("6.1")),
        ("device_brand", |it| it.device_brand("Fairphone"), json!("Fairphone")),
        ("device_manufacturer", |it| it.device_manufacturer("Fairphone"), json!("Fairphone")),
        ("device_model", |it| it.device_model("5"), json!("5")),
        ("carrier", |it| it.carrier("T"), json!("T")),
        ("country", |it| it.country("Austria"), json!("Austria")),
        ("region", |it| it.region("Tyrol"), json!("Tyrol")),
        ("city", |it| it.city("Innsbruck"), json!("Innsbruck")),
        ("dma", |it| it.dma("San Francisco-Oakland-San Jose, CA"), json!("San Francisco-Oakland-San Jose, CA")),
        ("language", |it| it.language("de-AT"), json!("de-AT")),
        ("price", |it| it.price(-4.5), json!(-4.5)),
        ("quantity", |it| it.price(1.0).quantity(3), json!(3)),
        ("revenue", |it| it.revenue(0.1), json!(0.1)),
        ("productId", |it| it.price(1.0).product_id("sku-1"), json!("sku-1")),
        ("revenueType", |it| it.price(1.0).revenue_type("purchase"), json!("purchase")),
        ("currency", |it| it.price(1.0).currency("EUR"), json!("EUR")),
        ("location_lat", |it| it.location_lat(-90.0), json!(-90.0)),
        ("location_lng", |it| it.location_lng(180.0), json!(180.0)),
        ("ip", |it| it.ip("$remote"), json!("$remote")),
        ("idfa", |it| it.idfa("a"), json!("a")),
        ("idfv", |it| it.idfv("b"), json!("b")),
        ("adid", |it| it.adid("c"), json!("c")),
        ("android_id", |it| it.android_id("d"), json!("d")),
        ("android_app_set_id", |it| it.android_app_set_id("e"), json!("e")),
        ("event_id", |it| it.event_id(23), json!(23)),
        ("session_id", |it| it.session_id(-1), json!(-1)),
        ("insert_id", |it| it.insert_id("9d0c"), json!("9d0c")),
        (
            "plan",
            |it| it.plan(Some("main"), Some("web"), Some("7"), Some("id-7")),
            json!({ "branch": "main", "source": "web", "version": "7", "versionId": "id-7" }),
        ),
        (
            "ingestion_metadata",
            |it| it.ingestion_metadata(Some("etl"), Some("1.0")),
            json!({ "source_name": "etl", "source_version": "1.0" }),
        ),
        ("partner_id", |it| it.partner_id("partner"), json!("partner")),
        ("library", |it| it.library("http/1.0"), json!("http/1.0")),
        ("version_name", |it| it.version_name("1.2.3-beta"), json!("1.2.3-beta")),
        ("receipt", |it| it.receipt("receipt"), json!("receipt")),
        ("receiptSig", |it| it.receipt_signature("signature"), json!("signature")),
    ]
}

#[test]
fn every_field_has_a_setter_and_its_name_on_the_wire() {
    for (name, set, value) in table() {
        let event = set(builder()).build().unwrap();
        assert_eq!(sent(&event)[name], value, "{name}");
        // The text that is sent reads as the same event.
        assert_eq!(sent(&Event::from_json(&event.to_json()).unwrap()), sent(&event), "{name}");
    }
    // All of them at once.
    let event = table().into_iter().fold(builder(), |event, (_, set, _)| set(event)).build().unwrap();
    let all = sent(&event);
    for (name, _, value) in table() {
        // `price` was set again by those that need one.
        assert!(name == "price" || all[name] == value, "{name}");
    }
    assert_eq!(all.as_object().unwrap().len(), table().len() + 1);
    assert_eq!(all["event_type"], "Product Purchased");
}

#[test]
fn a_field_of_another_type_is_refused_by_name_and_by_what_it_is() {
    for (name, _, value) in table() {
        for wrong in [json!(null), json!(true), json!(1.5), json!("text"), json!(["x"]), json!({ "x": 1 })] {
            let fits = match &value {
                Value::String(_) => wrong.is_string(),
                Value::Number(number) => wrong.is_number() && (number.is_f64() || wrong.is_i64()),
                Value::Bool(_) => wrong.is_boolean(),
                // Groups and the texts of a plan are strings, properties are anything.
                _ => wrong.is_object(),
            };
            if fits {
                continue;
            }
            let event = json!({ "event_type": "e", "price": 1, "revenue": 1, name: wrong });
            let text = refusal(Event::from_json(&event.to_string()));
            assert!(text.starts_with(name), "{name} = {wrong}: {text}");
            if !name.ends_with("properties") && name != "groups" {
                let mut event = builder().price(1.0).build().unwrap();
                let before = event.clone();
                assert_eq!(refusal(event.set_field(name, &wrong.to_string())), text);
                assert_eq!(event, before);
            }
        }
    }
}

#[test]
fn a_field_that_amplitude_does_not_know_is_refused() {
    for name in ["eventType", "userId", "product_id", "revenue_type", "User_id", "event_properties ", "", "receipt_sig"] {
        let text = refusal(Event::from_json(&json!({ "event_type": "e", name: "x" }).to_string()));
        assert!(text.starts_with(&format!("{name}: is no field")), "{text}");
        assert!(refusal(builder().build().unwrap().set_field(name, "1")).contains("is no field"));
    }
    let text = refusal(Event::from_json(r#"{"event_type":"e","plan":{"brunch":"main"}}"#));
    assert_eq!(text, "plan.brunch: is no documented field");
}

#[test]
fn what_is_set_twice_counts_as_it_was_set_last_and_text_that_says_it_twice_is_refused() {
    let event = builder().country("Chile").country("Peru").property("a", 1).property("b", 2).property("a", 3).build().unwrap();
    assert_eq!(sent(&event)["country"], "Peru");
    assert_eq!(sent(&event)["event_properties"], json!({ "a": 3, "b": 2 }));
    let mut properties = Properties::new();
    properties.set("x", 1).unwrap();
    let event = builder().property("a", 1).properties(properties).build().unwrap();
    assert_eq!(sent(&event)["event_properties"], json!({ "x": 1 }));

    for text in [
        r#"{"event_type":"e","country":"Chile","country":"Peru"}"#,
        r#"{"event_type":"e","country":"Chile","count\u0072y":"Peru"}"#,
        r#"{"event_type":"e","event_type":"e"}"#,
        r#"{"event_type":"e","groups":{},"groups":{"a":"b"}}"#,
        r#"{"event_type":"e","event_properties":{"a":1,"a":2}}"#,
        r#"{"event_type":"e","event_properties":{"a":1,"\u0061":2}}"#,
    ] {
        let refused = refusal(Event::from_json(text));
        assert!(refused.ends_with(": stands twice"), "{text}: {refused}");
    }
}

#[test]
fn a_plugins_changes_are_held_to_the_same_rules() {
    let mut event = builder().price(1.0).property("a", 1).build().unwrap();
    event.set_field("country", " \"Peru\" ").unwrap();
    event.set_user_id("user789").unwrap();
    event.event_properties_mut().set("b", 2).unwrap();
    assert!(event.event_properties_mut().remove("a") && !event.event_properties_mut().remove("a"));
    assert!(event.remove_field("price") && !event.remove_field("price") && !event.remove_field("event_type"));
    let expected = json!({
        "event_type": "Product Purchased", "user_id": "user789", "country": "Peru", "event_properties": { "b": 2 }
    });
    assert_eq!(sent(&event), expected);
    // A price that others need stays, or the event would be none that could be built.
    event.set_field("price", "2").unwrap();
    event.set_field("productId", "\"sku\"").unwrap();
    assert!(!event.remove_field("price"));
    assert!(event.remove_field("productId") && event.remove_field("price"));
    for (name, json, problem) in [
        ("event_type", "\"\"", "event_type: is missing or empty"),
        ("user_id", "\"null\"", "user_id: \"null\" is an id that Amplitude refuses"),
        ("productId", "\"sku\"", "price: is missing"),
        ("price", "1 2", "price: is not JSON"),
        ("price", "", "price: is cut off"),
        ("event_properties", "{}", "event_properties: is an object of properties"),
    ] {
        let text = refusal(event.set_field(name, json));
        assert!(text.starts_with(problem), "{name} {json}: {text}");
        assert_eq!(sent(&event), expected);
    }
    assert!(refusal(event.set_user_id("Anonymous")).contains("refuses"));
    assert_eq!(sent(&event), expected);
}
