//! Plugins, and events of every kind, on their way to the wire.

use std::sync::{Arc, Mutex};

use amplitude_sdk::{Client, DropReason, Event, Flow, GroupIdentify, Identify, Notice, Outcome, Plugin, PluginError, Revenue};

use crate::{
    block_on, config, event,
    support::{self, PATIENCE, Stub},
};

struct Step(&'static str, fn(&mut Event) -> Result<Flow, PluginError>);

impl Plugin for Step {
    fn name(&self) -> &str {
        self.0
    }

    fn process(&self, event: &mut Event) -> Result<Flow, PluginError> {
        self.1(event)
    }
}

#[test]
fn plugins_enrich_drop_and_fail_alone() {
    let stub = Stub::start([]);
    let notices = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&notices);
    let client = Client::new(
        config(&stub)
            .plugin(Step("enrich", |event| {
                event.event_properties_mut().set("plan", "pro")?;
                Ok(Flow::Continue)
            }))
            .plugin(Step("fails", |event| {
                event.event_properties_mut().set("half_done", true)?;
                Err("no network".into())
            }))
            .plugin(Step("panics", |event| {
                event.event_properties_mut().set("half_done", true)?;
                panic!("a plugin's panic, on purpose")
            }))
            .plugin(Step("drop", |event| Ok(if event.event_type() == "internal" { Flow::Drop } else { Flow::Continue })))
            .on_notice(move |notice| seen.lock().unwrap().push(notice.clone())),
    )
    .unwrap();
    let kept = client.track_with_receipt(event("user123")).unwrap();
    let dropped = client.track_with_receipt(Event::builder("internal").user_id("user123").build().unwrap()).unwrap();
    assert_eq!(block_on(kept.settled()), Outcome::Delivered);
    assert_eq!(block_on(dropped.settled()), Outcome::Dropped(DropReason::Plugin));
    let events: Vec<_> = stub.seen().iter().flat_map(support::Seen::events).collect();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event_properties"]["plan"], "pro");
    assert!(events[0]["event_properties"].get("half_done").is_none());
    let failed: Vec<_> = notices
        .lock()
        .unwrap()
        .iter()
        .map(|notice| match notice {
            Notice::PluginFailed { plugin, .. } => plugin.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(failed, ["fails", "panics", "fails", "panics"]);
    let counts = client.counts();
    assert_eq!(counts.accepted, counts.delivered + counts.rejected + counts.dropped + counts.unknown + counts.pending);
    assert_eq!(counts.dropped, 1);
}

#[test]
fn identify_groups_and_revenue_have_their_shapes() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub)).unwrap();
    client.identify(Some("user123"), None, Identify::new().set("plan", "pro").add("logins", 1)).unwrap();
    client.group_identify(Some("user123"), None, GroupIdentify::new("org id", "12345678").set("plan", "enterprise")).unwrap();
    client.revenue(None, Some("device-1"), Revenue::new(4.99).quantity(2).product_id("sku-1")).unwrap();
    client.flush_blocking(PATIENCE);
    let events: Vec<_> = stub.seen().iter().flat_map(support::Seen::events).collect();
    let find = |kind: &str| events.iter().find(|event| event["event_type"] == kind).unwrap();
    assert_eq!(find("$identify")["user_properties"]["$set"]["plan"], "pro");
    assert_eq!(find("$identify")["user_properties"]["$add"]["logins"], 1);
    assert_eq!(find("$groupidentify")["groups"]["org id"], "12345678");
    assert_eq!(find("$groupidentify")["group_properties"]["$set"]["plan"], "enterprise");
    assert_eq!(find("revenue_amount")["event_properties"]["$price"], 4.99);
    assert_eq!(find("revenue_amount")["event_properties"]["$quantity"], 2);
}
