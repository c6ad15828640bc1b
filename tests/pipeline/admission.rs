//! What `track` takes and refuses because of its configuration, and how what it took is cut into requests, to the byte.

use std::time::Duration;

use amplitude_sdk::{ErrorKind, Event, LongStrings};

use super::{
    client, config,
    server::{PATIENCE, Server},
};

const HOUR: Duration = Duration::from_secs(3600);

fn with_text(text: &str) -> Event {
    Event::builder("step").user_id("user123").insert_id("i").property("text", text).build().unwrap()
}

#[test]
fn ids_are_as_long_as_the_configuration_says_in_characters() {
    let server = Server::start();
    let of = |user: &str| Event::builder("e").user_id(user).build().unwrap();
    let usual = client(config(&server));
    // Four characters in eight bytes are four; five are enough, escaped or not.
    for user in ["abcd", "ääää", "\"\"\"\"", "𝄞𝄞𝄞𝄞"] {
        let error = usual.track(of(user)).unwrap_err();
        assert_eq!(error.to_string(), "user_id: is shorter than 5 characters; see `min_id_length`, on a page `minIdLength`");
        assert_eq!(error.into_event(), Some(of(user)));
    }
    for user in ["abcde", "äääää", "\"\"\"\"\"", "𝄞𝄞𝄞𝄞𝄞"] {
        usual.track(of(user)).unwrap();
    }
    let both = Event::builder("e").user_id("user123").device_id("d").build().unwrap();
    assert!(usual.track(both).unwrap_err().to_string().starts_with("device_id: is shorter"));
    let neither = Event::builder("e").build().unwrap();
    assert_eq!(usual.track(neither).unwrap_err().to_string(), "user_id, device_id: an event needs at least one of them");

    let lenient = client(config(&server).min_id_length(1));
    lenient.track(of("a")).unwrap();
    let strict = client(config(&server).min_id_length(7));
    assert!(strict.track(of("abcdef")).unwrap_err().to_string().starts_with("user_id: is shorter than 7"));
    strict.track(of("abcdefg")).unwrap();
}

#[test]
fn a_string_of_1025_units_is_refused_where_that_is_wanted() {
    let server = Server::start();
    let client = client(config(&server).long_strings(LongStrings::Refuse));
    client.track(with_text(&"𝄞".repeat(512))).unwrap();
    let error = client.track(with_text(&["x", &"𝄞".repeat(512)].concat())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("1024"), "{error}");
    assert_eq!(client.counts().accepted, 1);
}

#[test]
fn a_device_is_one_device_however_its_text_spells_it() {
    let server = Server::start();
    let client = client(config(&server).batch_events(1).max_in_flight(2));
    client.track(Event::builder("e").device_id("device/1").property("n", 1).build().unwrap()).unwrap();
    let request = server.next();
    let text = r#"{"event_type":"e","device_id":"d\u0065vice\/1","event_properties":{"n":2}}"#;
    client.track(Event::from_json(text).unwrap()).unwrap();
    assert!(server.is_silent(Duration::from_millis(150)), "two requests share a device");
    request.say(429, r#"{"code":429,"throttled_devices":{"device/1":31},"throttled_events":[0]}"#);
    assert!(server.is_silent(Duration::from_millis(150)), "a throttled device was sent");
}

#[test]
fn the_largest_event_that_fits_makes_a_request_of_just_the_limit() {
    let server = Server::start();
    let client = client(config(&server).batch_bytes(2000));
    let error = client.track(with_text(&"x".repeat(2000))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let fits = (0..2000).rev().find(|length| client.track(with_text(&"x".repeat(*length))).is_ok());
    assert!(fits.is_some());
    assert_eq!(server.next().body.len(), 2000);
}

#[test]
fn requests_are_as_full_as_their_bounds_let_them_be() {
    let server = Server::start();
    let client = client(config(&server).flush_interval(HOUR).flush_at(2000).batch_bytes(3000).max_in_flight(1));
    // Requests are cut from all that waits: while the first one is under way, none is.
    client.track(super::event(0)).unwrap();
    drop(client.flush(HOUR));
    let first = server.next();
    // Sizes that never fill a request by chance.
    for length in 0..60 {
        let event = Event::builder("step").device_id(&format!("device-{length}")).property("text", "x".repeat(length * 3));
        client.track(event.build().unwrap()).unwrap();
    }
    let flush = client.flush(HOUR);
    first.confirm();
    let mut requests = Vec::new();
    while requests.iter().map(|(_, events): &(usize, Vec<usize>)| events.len()).sum::<usize>() < 60 {
        let request = server.next();
        let sizes = request.events().iter().map(|event| event.to_string().len()).collect();
        requests.push((request.body.len(), sizes));
        request.confirm();
    }
    assert_eq!(super::wait(flush).pending, 0);
    for pair in requests.windows(2) {
        let ((bytes, _), (_, next)) = (&pair[0], &pair[1]);
        assert!(*bytes <= 3000 && bytes + ",".len() + next[0] > 3000, "{bytes} bytes, and the next event has {}", next[0]);
    }

    // By count as well.
    let client = super::client(config(&server).flush_interval(HOUR).flush_at(7).batch_events(7));
    (0..15).for_each(|n| client.track(super::event(n)).unwrap());
    for _ in 0..2 {
        let request = server.next();
        assert_eq!(request.events().len(), 7);
        request.confirm();
    }
    let flush = client.flush(PATIENCE);
    assert_eq!(server.next().numbers(), [14]);
    drop(flush);
}
