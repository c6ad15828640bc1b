//! Identify, group identify and revenue.

use amplitude_sdk::{Event, GroupIdentify, Identify, Revenue};
use serde_json::json;

use super::{refusal, sent};

#[test]
fn every_operation_has_its_name_on_the_wire() {
    let identify = Identify::new()
        .set("plan", "pro")
        .set_once("first", true)
        .add("logins", 1)
        .add("balance", -2.5)
        .append("tags", "a")
        .prepend("queue", ["b", "c"])
        .pre_insert("seen", 1)
        .post_insert("later", [2])
        .remove("tags gone", "x")
        .unset("old");
    let event = Event::identify(identify).user_id("user123").device_id("device-1").build().unwrap();
    let expected = json!({
        "event_type": "$identify", "user_id": "user123", "device_id": "device-1",
        "user_properties": {
            "$set": { "plan": "pro" }, "$setOnce": { "first": true }, "$add": { "logins": 1, "balance": -2.5 },
            "$append": { "tags": "a" }, "$prepend": { "queue": ["b", "c"] }, "$preInsert": { "seen": 1 },
            "$postInsert": { "later": [2] }, "$remove": { "tags gone": "x" }, "$unset": { "old": "-" }
        }
    });
    assert_eq!(sent(&event), expected);
    assert_eq!(sent(&Event::from_json(&event.to_json()).unwrap()), expected);

    let event = Event::identify(Identify::new().clear_all()).user_id("user123").build().unwrap();
    assert_eq!(sent(&event)["user_properties"], json!({ "$clearAll": "-" }));

    let identify = GroupIdentify::new("org id", "12345678").set("plan", "enterprise").add("seats", 5).unset("trial");
    let event = Event::group_identify(identify).user_id("user123").build().unwrap();
    let expected = json!({
        "event_type": "$groupidentify", "user_id": "user123", "groups": { "org id": "12345678" },
        "group_properties": { "$set": { "plan": "enterprise" }, "$add": { "seats": 5 }, "$unset": { "trial": "-" } }
    });
    assert_eq!(sent(&event), expected);
    assert_eq!(sent(&Event::from_json(&event.to_json()).unwrap()), expected);
}

#[test]
fn a_property_has_one_operation() {
    for identify in [
        Identify::new().set("plan", "a").set("plan", "b"),
        Identify::new().set("plan", "a").unset("plan"),
        Identify::new().add("plan", 1).append("other", 1).prepend("plan", 2),
    ] {
        assert!(
            refusal(Event::identify(identify).user_id("user123").build())
                .ends_with(".plan: the property already has an operation")
        );
    }
    let text = refusal(Event::identify(Identify::new().set("a", 1).clear_all()).user_id("user123").build());
    assert!(text.starts_with("user_properties.$clearAll: stands beside other operations"), "{text}");
}

#[test]
fn operations_stand_where_amplitude_reads_them_and_have_their_values() {
    for (text, problem) in [
        (r#"{"event_type":"e","user_properties":{"$set":{"a":1}}}"#, "user_properties.$set: "),
        (r#"{"event_type":"$groupidentify","groups":{"a":"b"},"user_properties":{"$add":{"a":1}}}"#, "user_properties.$add: "),
        (r#"{"event_type":"e","group_properties":{"a":1}}"#, "group_properties: "),
        (r#"{"event_type":"$groupidentify","group_properties":{"$set":{"a":1}}}"#, "groups: are missing"),
        (r#"{"event_type":"$identify","group_properties":{"$set":{"a":1}}}"#, "group_properties: "),
        (r#"{"event_type":"$identify","user_properties":{"$set":{"a":1},"b":2}}"#, "user_properties.b: "),
        (r#"{"event_type":"$identify","user_properties":{"b":2,"$set":{"a":1}}}"#, "user_properties.b: "),
        (r#"{"event_type":"$identify","user_properties":{"$clearAll":"-","$set":{"a":1}}}"#, "user_properties.$clearAll: "),
        (r#"{"event_type":"$identify","user_properties":{"$set":"a"}}"#, "user_properties.$set: "),
        (r#"{"event_type":"$identify","user_properties":{"$set":["a"]}}"#, "user_properties.$set: "),
        (r#"{"event_type":"$identify","user_properties":{"$add":{"a":"1"}}}"#, "user_properties.$add.a: "),
        (r#"{"event_type":"$identify","user_properties":{"\u0024add":{"a":null}}}"#, "user_properties.$add.a: "),
    ] {
        let refused = refusal(Event::from_json(text));
        assert!(refused.starts_with(problem), "{text}: {refused}");
    }
    // Plain keys alone are an identify as well.
    Event::from_json(r#"{"event_type":"$identify","user_id":"user123","user_properties":{"plan":"pro"}}"#).unwrap();
}

#[test]
fn an_operations_value_that_breaks_a_limit_is_named() {
    let refused = refusal(Event::identify(Identify::new().set("a", 1).add("n", f64::NAN)).user_id("user123").build());
    assert!(refused.starts_with("$add.n: is not a finite number"), "{refused}");
    let many = (0..1001).fold(Identify::new(), |identify, index| identify.set(&format!("k{index}"), index));
    assert_eq!(refusal(Event::identify(many).user_id("user123").build()), "$set: has more than 1000 keys");
    let refused = refusal(Event::group_identify(GroupIdentify::new("org", 7).set("a", 1)).user_id("user123").build());
    assert_eq!(refused, "groups.org: must be a string or a list of strings");
    // The first thing that is wrong is told, whatever follows.
    let refused = refusal(Event::identify(Identify::new().add("n", f32::INFINITY).set("n", 1)).user_id("null").build());
    assert!(refused.starts_with("$add.n"), "{refused}");
}

#[test]
fn revenue_is_sent_as_amplitudes_own_clients_send_it() {
    let revenue = Revenue::new(4.99)
        .quantity(2)
        .revenue(9.5)
        .product_id("sku-1")
        .revenue_type("purchase")
        .currency("EUR")
        .receipt("receipt")
        .receipt_signature("signature")
        .property("coupon", "SPRING");
    let event = Event::revenue(revenue).device_id("device-1").build().unwrap();
    let expected = json!({
        "event_type": "revenue_amount", "device_id": "device-1",
        "event_properties": {
            "$price": 4.99, "$quantity": 2, "$revenue": 9.5, "$productId": "sku-1", "$revenueType": "purchase",
            "$currency": "EUR", "$receipt": "receipt", "$receiptSig": "signature", "coupon": "SPRING"
        }
    });
    assert_eq!(sent(&event), expected);
    let event = Event::revenue(Revenue::new(-1.0)).user_id("user123").build().unwrap();
    assert_eq!(sent(&event)["event_properties"], json!({ "$price": -1.0, "$quantity": 1 }));

    for (revenue, problem) in [
        (Revenue::new(f64::NAN), "event_properties.$price: "),
        (Revenue::new(1.0).revenue(f64::INFINITY), "event_properties.$revenue: "),
        (Revenue::new(1.0).currency("euro"), "$currency: must be three upper-case letters"),
    ] {
        let refused = refusal(Event::revenue(revenue).user_id("user123").build());
        assert!(refused.starts_with(problem), "{refused}");
    }
}
