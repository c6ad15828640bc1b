//! Events and plugins that spoil others.

use amplitude_sdk::{Client, ErrorKind, Event, Flow, Notice, Outcome, Plugin, PluginError, Rejection};
use serde_json::Value;

use super::{
    Answer, Stub, config, event, heard, json, numbers, page, patient,
    support::{PATIENCE, Seen},
    wait,
};

struct Step(fn(&mut Event) -> Result<Flow, PluginError>);

impl Plugin for Step {
    fn name(&self) -> &str {
        "spoiler"
    }

    fn process(&self, event: &mut Event) -> Result<Flow, PluginError> {
        (self.0)(event)
    }
}

/// T6: a plugin that throws once stops everything for good: none of three events was sent.
#[test]
fn t6_a_plugin_that_fails_is_skipped_and_stops_nothing() {
    type Process = fn(&mut Event) -> Result<Flow, PluginError>;
    let fails: [Process; 2] = [|_| Err("no network".into()), |_| panic!("a plugin's panic, on purpose")];
    for fail in fails {
        let stub = Stub::start([]);
        let (client, hear) = heard(config(&stub).plugin(Step(fail)));
        (0..3).for_each(|n| client.track(event(n)).unwrap());
        assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
        assert_eq!(client.counts().delivered, 3);
        let notices: Vec<_> = hear.try_iter().collect();
        assert_eq!(notices.len(), 3);
        assert!(notices.iter().all(|it| matches!(it, Notice::PluginFailed { plugin, .. } if plugin == "spoiler")), "{notices:?}");
    }
}

/// T7 and P5: a value that is no JSON (a BigInt, NaN) stops the queue, fails the whole batch without a word, or goes out as invalid JSON.
#[test]
fn t7_p5_a_value_that_is_no_json_is_refused_where_it_is_set_and_spoils_no_neighbour() {
    let stub = Stub::start([]);
    let spoil = Step(|event| {
        event.event_properties_mut().set("n", f64::NAN)?;
        Ok(Flow::Continue)
    });
    let (client, hear) = heard(config(&stub).plugin(spoil));
    client.track(event(1)).unwrap();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = Event::builder("step").device_id("device-1").property("price", value).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with("event_properties.price"), "{error}");
    }
    client.track(event(2)).unwrap();
    assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
    assert_eq!(stub.seen().iter().flat_map(numbers).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(hear.try_iter().count(), 2, "the plugin is told of, and was skipped");
}

/// Go: events that it finds invalid are logged, and queued all the same.
#[test]
fn go_an_invalid_event_is_refused_and_not_queued() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub)).unwrap();
    let nobodys = Event::builder("step").build().unwrap();
    let error = client.track(nobodys.clone()).unwrap_err();
    assert_eq!((error.kind(), error.into_event()), (ErrorKind::Invalid, Some(nobodys)));
    assert_eq!(client.counts().accepted, 0);
    client.track(event(1)).unwrap();
    client.shutdown_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, 1);
    assert_eq!(stub.seen().iter().map(numbers).collect::<Vec<_>>(), [[1]]);
}

/// What became of three events of one request that the server answered so.
fn outcomes(answer: Answer) -> (Vec<Outcome>, Vec<Seen>) {
    let stub = Stub::start([answer]);
    let client = patient(&stub, 3);
    let receipts: Vec<_> = (0..3).map(|n| client.track_with_receipt(event(n)).unwrap()).collect();
    let outcomes = receipts.into_iter().map(|receipt| wait(receipt.settled())).collect();
    (outcomes, stub.seen())
}

/// Kotlin does not read the list of bad ids and sends the same file for ever; amplitude-rs reads it under another name and drops the batch.
/// amplitude-rs and Swift know nothing of silenced events.
#[test]
fn kotlin_amplitude_rs_every_list_of_a_400_is_read_and_costs_only_those_in_it() {
    let reason = || "device_id".to_owned();
    for (list, rejection) in [
        (r#""events_with_invalid_id_lengths":{"device_id":[1]}"#, Rejection::IdLength(reason())),
        (r#""events_with_invalid_fields":{"device_id":[1]}"#, Rejection::InvalidField(reason())),
        (r#""events_with_missing_fields":{"device_id":[1]}"#, Rejection::MissingField(reason())),
        (r#""silenced_events":[1]"#, Rejection::Silenced),
        (r#""silenced_devices":["device-1"]"#, Rejection::Silenced),
    ] {
        let (outcomes, seen) = outcomes(json(400, &format!(r#"{{"code":400,"error":"Bad","{}}}"#, &list[1..])));
        assert_eq!(outcomes, [Outcome::Delivered, Outcome::Rejected(rejection), Outcome::Delivered], "{list}");
        assert_eq!(numbers(&seen[1]), [0, 2]);
    }
}

/// amplitude-rs knows no daily quota, either: all events wait, or go, with those beyond it.
#[test]
fn amplitude_rs_a_user_beyond_the_daily_quota_holds_up_nobody_else() {
    let stub = Stub::start([json(429, r#"{"code":429,"exceeded_daily_quota_devices":{"device-1":500001}}"#)]);
    let client = patient(&stub, 3);
    let receipts: Vec<_> = (0..3).map(|n| client.track_with_receipt(event(n)).unwrap()).collect();
    assert_eq!((wait(receipts[0].settled()), wait(receipts[2].settled())), (Outcome::Delivered, Outcome::Delivered));
    assert_eq!(client.counts().pending, 1);
    assert_eq!(numbers(&stub.seen()[1]), [0, 2]);
}

/// Kotlin takes a 400 without indexes for a proxy's, and sends the same file for ever, with all later ones behind it; Swift writes its events
/// anew.
#[test]
fn kotlin_swift_a_400_without_indexes_blocks_no_later_event() {
    let refuses = |request: &Seen| numbers(request).contains(&1);
    for (answer, ends) in [(json(400, r#"{"code":400,"error":"Invalid event JSON"}"#), true), (page(400), false)] {
        // Three; the first alone; the other two; the guilty one. Then the rest is confirmed.
        let stub = Stub::start([answer.clone(), Answer::Confirm, answer.clone(), answer.clone()]);
        let client = patient(&stub, 3);
        let receipts: Vec<_> = (0..3).map(|n| client.track_with_receipt(event(n)).unwrap()).collect();
        assert_eq!(wait(receipts[0].settled()), Outcome::Delivered);
        assert_eq!(wait(receipts[2].settled()), Outcome::Delivered);
        let later = client.track_with_receipt(event(3)).unwrap();
        drop(client.flush(PATIENCE));
        assert_eq!(wait(later.settled()), Outcome::Delivered);
        assert!(stub.seen()[..4].iter().enumerate().all(|(index, request)| refuses(request) == (index != 1)));
        let counts = client.counts();
        // Amplitude's word is the end of it; a page proves nothing, and the event waits.
        assert_eq!((counts.rejected, counts.pending), if ends { (1, 0) } else { (0, 1) }, "{answer:?}");
        // Nothing was written anew: the same events under the same ids.
        let mut ids: Vec<_> =
            stub.seen().iter().flat_map(Seen::events).map(|event: Value| event["insert_id"].to_string()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 4);
    }
}
