//! The table of replies: what each status and body means.

use super::*;
use verdict::{Named, Verdict, judge};

#[test]
fn the_table_of_replies() {
    let of = |status, body: &str| judge(&reply(status, body), 2);
    assert_eq!(of(200, OK), Verdict::Delivered { short: true, server_ms: Some(1) });
    assert_eq!(of(200, r#"{"code":200,"events_ingested":2}"#), Verdict::Delivered { short: false, server_ms: None });
    for (status, body) in
        [(200, "success"), (200, "{}"), (204, ""), (200, r#"{"code":500}"#), (200, "<html>"), (302, ""), (404, "")]
    {
        assert!(matches!(of(status, body), Verdict::Fault { .. }), "{status} {body}");
    }
    assert!(matches!(of(400, r#"{"code":400,"missing_field":"api_key"}"#), Verdict::Fault { .. }));
    assert!(matches!(of(401, ""), Verdict::Fault { .. }));
    // These say that the request was wrong or was changed on its way, not that an event is.
    for error in ["Invalid request path", "Missing request body", "Invalid JSON request body"] {
        let body = format!(r#"{{"code":400,"error":"{error}"}}"#);
        assert!(matches!(of(400, &body), Verdict::Fault { .. }), "{error}");
    }
    assert_eq!(of(400, "<h1>400 Bad Request</h1>"), of(400, "<h1>Bad</h1>"));
    assert_eq!(of(400, r#"{"code":400,"error":"Invalid event JSON"}"#), Verdict::Unexplained);
    assert_eq!(
        of(400, r#"{"code":400,"events_with_missing_fields":{"event_type":[1,2,-1]}}"#),
        Verdict::Named(Named {
            rejected: vec![(1, Rejection::MissingField("event_type".to_owned()))],
            window: 900,
            ..Named::default()
        })
    );
    assert_eq!(of(413, "anything"), Verdict::TooLarge);
    assert_eq!(of(408, ""), Verdict::Retry { at_least: None });
    let wait = Some(Duration::from_secs(9));
    assert_eq!(judge(&Reply { retry_after: wait, ..reply(503, "") }, 2), Verdict::Retry { at_least: wait });
}

#[test]
fn a_hostile_list_costs_no_more_than_an_honest_one() {
    let (field, indexes) = ("x".repeat(10_000), "1,".repeat(5000));
    let body = format!(r#"{{"code":400,"events_with_invalid_fields":{{"{field}":[{indexes}0,-1,2,1e9]}}}}"#);
    // A number that is not whole: not Amplitude's.
    assert!(matches!(judge(&reply(400, &body), 2), Verdict::Fault { .. }));
    let body = body.replace("1e9", "9223372036854775807");
    let Verdict::Named(named) = judge(&reply(400, &body), 2) else { panic!("two indexes are right") };
    let names = named.rejected.iter().map(|(index, reason)| match reason {
        Rejection::InvalidField(name) => (*index, name.len()),
        other => panic!("{other:?}"),
    });
    assert_eq!(names.collect::<Vec<_>>(), [(1, 100), (0, 100)]);
}
