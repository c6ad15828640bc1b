//! Archives of every form, broken at every place, in pieces of any size.

mod writer;

use std::{
    io::{Cursor, Read as _},
    ops::Range,
};

use proptest::prelude::*;

use self::writer::{Form, Writer, forms, gzip};
use super::{
    event::ExportedEvent,
    lines::{Lines, MAX_LINE_BYTES, Step},
};
use crate::ErrorKind;

fn event(name: &str) -> String {
    format!("{{\"event_type\":\"{name}\"}}\n")
}

/// Twenty events of an hour.
fn hour(hour: usize) -> String {
    (0..20).map(|number| event(&format!("{hour}-{number}"))).collect()
}

/// What an archive gives.
#[derive(Debug, Default, PartialEq)]
struct Found {
    events: Vec<String>,
    errors: Vec<String>,
    /// Why it ended before its end.
    fatal: Option<String>,
}

impl Found {
    fn of_hour(&self, hour: usize) -> usize {
        self.events.iter().filter(|event| event.starts_with(&format!("{hour}-"))).count()
    }
}

#[test]
fn documented_fields_are_typed() {
    let line = r#"{"$insert_id":"9d0c","amplitude_id":123,"app":187520,"event_type":"Song Played","event_time":"2026-01-01 00:00:00.123000",
        "user_id":"user-1","device_id":null,"session_id":-1,"location_lat":-33.5,"paying":"none","start_version":"1.0","idfa":"i",
        "event_properties":{"a\"b":[1,{"c":null}],"price":29.99},"groups":{"org":["x"]},"group_properties":{},"data":{"first_event":true},
        "amplitude_attribution_ids":["x"],"sample_rate":null,"$schema":13}"#;
    let event = ExportedEvent::read(line.to_owned()).unwrap();
    assert_eq!((event.event_type(), event.insert_id(), event.amplitude_id()), ("Song Played", Some("9d0c"), Some(123)));
    assert_eq!(
        (event.app(), event.session_id(), event.user_id(), event.device_id()),
        (Some(187_520), Some(-1), Some("user-1"), None)
    );
    assert_eq!((event.location_lat(), event.location_lng(), event.paying()), (Some(-33.5), None, None));
    assert_eq!(
        (event.event_time(), event.start_version(), event.idfa()),
        (Some("2026-01-01 00:00:00.123000"), Some("1.0"), Some("i"))
    );
    assert_eq!(event.event_property("price"), Some("29.99"));
    assert_eq!(event.event_property("a\"b"), Some(r#"[1,{"c":null}]"#));
    assert_eq!(event.event_property("missing"), None);
    assert_eq!(event.event_properties(), Some(r#"{"a\"b":[1,{"c":null}],"price":29.99}"#));
    assert_eq!((event.group("org"), event.group_property("x"), event.user_property("x")), (Some(r#"["x"]"#), None, None));
    assert_eq!((event.group_properties(), event.user_properties()), (Some("{}"), None));
    assert_eq!(event.data(), Some(r#"{"first_event":true}"#));
    assert_eq!(event.json(), line);
    assert!(!format!("{event:?}").contains("user-1"));
    for (paying, read) in [("true", Some(true)), ("false", Some(false)), ("null", None)] {
        let event = ExportedEvent::read(format!(r#"{{"event_type":"x","paying":{paying}}}"#)).unwrap();
        assert_eq!(event.paying(), read);
    }
}

fn read(archive: &[u8], piece: usize) -> Found {
    let mut lines = Lines::new();
    let piece = piece.min(archive.len().max(1));
    let mut pieces = archive.chunks(piece);
    let mut found = Found::default();
    // Every step gives a line or takes a piece.
    for _ in 0..2_000_000 {
        match lines.step() {
            Ok(Step::Line(Ok(line))) => match ExportedEvent::read(line) {
                Ok(event) => found.events.push(event.event_type().to_owned()),
                Err(problem) => found.errors.push(lines.broken_line(&problem).to_string()),
            },
            Ok(Step::Line(Err(error))) => {
                assert_eq!(error.kind(), ErrorKind::Protocol);
                found.errors.push(error.to_string());
            }
            Ok(Step::NeedInput) => match pieces.next() {
                Some(piece) => lines.feed(piece),
                None => {
                    found.fatal = Some(lines.cut_off().to_string());
                    return found;
                }
            },
            Ok(Step::End) => return found,
            Err(error) => {
                found.fatal = Some(error.to_string());
                return found;
            }
        }
        assert!(lines.buffered() <= 2 * MAX_LINE_BYTES + piece + (1 << 20), "memory grows with the archive");
    }
    panic!("the archive does not end");
}

/// Three hours, the data of the second one given.
fn three(form: Form, second: &[u8]) -> (Vec<u8>, Range<usize>) {
    let mut writer = Writer::default();
    writer.add(form, "7/7_2026-01-01_0#0.json.gz", &gzip(hour(0)));
    let data = writer.add(form, "7/7_2026-01-01_1#0.json.gz", second);
    writer.add(form, "7/7_2026-01-01_2#0.json.gz", &gzip(hour(2)));
    (writer.finish(), data)
}

#[test]
fn every_form_is_read_in_pieces_of_any_size() {
    for form in forms() {
        let (archive, _) = three(form, &gzip(hour(1)));
        // That these are archives says a library that had no part in them.
        let mut zip = zip::ZipArchive::new(Cursor::new(archive.as_slice())).unwrap();
        assert_eq!(zip.len(), 3);
        let mut member = Vec::new();
        zip.by_index(1).unwrap().read_to_end(&mut member).unwrap();
        assert_eq!(member, gzip(hour(1)), "{form:?}");

        let expected: Vec<_> = (0..3).flat_map(|hour| (0..20).map(move |number| format!("{hour}-{number}"))).collect();
        for piece in [1, 2, 7, 64, 1000, usize::MAX] {
            let found = read(&archive, piece);
            assert_eq!((found.errors, found.fatal), (vec![], None), "{form:?} by {piece}");
            assert_eq!(found.events, expected, "{form:?} by {piece}");
        }
    }
}

#[test]
fn files_may_be_empty_folders_of_several_gzip_parts_or_without_a_last_line_break() {
    for form in forms() {
        let mut writer = Writer::default();
        writer.add(Form { descriptor: None, ..form }, "7/", b"");
        writer.add(form, "no data", b"");
        writer.add(form, "no lines", &gzip(b""));
        // A line may go from one part to the next.
        writer.add(form, "parts", &[gzip("{\"event_type\":"), gzip("\"0-0\"}\n"), gzip(""), gzip(event("0-1"))].concat());
        writer.add(form, "blank lines", &gzip("\n \r\n{\"event_type\":\"0-2\"}\r\n\n{\"event_type\":\"0-3\"}"));
        let archive = writer.finish();
        for piece in [1, 50, usize::MAX] {
            let found = read(&archive, piece);
            assert_eq!((found.errors, found.fatal), (vec![], None), "{form:?} by {piece}");
            assert_eq!(found.events, ["0-0", "0-1", "0-2", "0-3"], "{form:?} by {piece}");
        }
    }
}

#[test]
fn broken_lines_are_named_and_the_rest_goes_on() {
    let lines = [
        event("1-0").as_bytes(),
        b"not json\n",
        b"\"sentinel\xff\"\n",
        b"{\"event_type\":\"1-1\"",
        b"\n[]\n{}\n",
        b"{\"event_type\":7}\n{\"event_type\":\"x\",\"user_id\":[\"sentinel\"]}\n",
        b"{\"event_type\":\"x\",\"event_properties\":\"sentinel\"}\n",
        b"{\"event_type\":\"x\",\"session_id\":99999999999999999999}\n",
        b"{\"event_type\":\"x\",\"paying\":\"sentinel\"}\n",
        b"{\"event_type\":\"x\",\"event_type\":\"y\"}\n",
        event("1-2").as_bytes(),
    ]
    .concat();
    for form in forms() {
        let found = read(&three(form, &gzip(&lines)).0, 100);
        assert_eq!((found.of_hour(0), found.of_hour(1), found.of_hour(2)), (20, 2, 20));
        let place = |line: u32| format!("export: 7/7_2026-01-01_1#0.json.gz line {line}: ");
        let expected = [
            place(2) + "is no JSON object (at its column 2)",
            place(3) + "is not UTF-8",
            place(4) + "is no JSON object (at its column 19)",
            place(5) + "is no JSON object (at its column 2)",
            place(6) + "has no `event_type`",
            place(7) + "its `event_type` has another type than Amplitude documents",
            place(8) + "its `user_id` has another type than Amplitude documents",
            place(9) + "its `event_properties` has another type than Amplitude documents",
            place(10) + "its `session_id` has another type than Amplitude documents",
            place(11) + "its `paying` has another type than Amplitude documents",
            place(12) + "is no event (at its column 30)",
        ];
        assert_eq!(found.errors, expected);
        assert_eq!(found.fatal, None);
    }
}

#[test]
fn a_broken_file_is_named_and_the_others_are_read() {
    let whole = gzip(hour(1));
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle..middle + 8].fill(0xff);
    let mut wrong_sum = whole.clone();
    let end = wrong_sum.len() - 8;
    wrong_sum[end] ^= 1;
    let cut = &whole[..whole.len() - 9];
    for form in forms() {
        for (data, said) in [
            (&flipped[..], "its gzip data is broken"),
            (&wrong_sum[..], "its gzip data is broken"),
            (&[&whole[..], b"garbage"].concat()[..], "gzip"),
            (cut, "its gzip data is"),
            (hour(1).as_bytes(), "gzip"),
        ] {
            for piece in [1, 33, usize::MAX] {
                let found = read(&three(form, data).0, piece);
                let context = format!("{form:?} by {piece}, {said}: {found:?}");
                assert_eq!(found.fatal, None, "{context}");
                assert_eq!((found.of_hour(0), found.of_hour(2)), (20, 20), "{context}");
                assert_eq!(found.errors.len(), 1, "{context}");
                assert!(found.errors[0].contains("7/7_2026-01-01_1#0.json.gz") && found.errors[0].contains(said), "{context}");
            }
        }
    }
}

#[test]
fn a_file_whose_bytes_are_not_those_of_its_checksum_is_named_behind_its_events() {
    for form in forms() {
        let (mut archive, data) = three(form, &gzip(hour(1)));
        let crc = match form.descriptor {
            None => archive[..data.start].windows(4).rposition(|bytes| bytes == [0x50, 0x4b, 3, 4]).unwrap() + 14,
            Some(descriptor) => data.end + if descriptor.has_signature { 4 } else { 0 },
        };
        archive[crc] ^= 1;
        for piece in [1, usize::MAX] {
            let found = read(&archive, piece);
            assert_eq!((found.of_hour(0), found.of_hour(1), found.of_hour(2)), (20, 20, 20), "{form:?}");
            assert_eq!(found.errors, ["export: 7/7_2026-01-01_1#0.json.gz: its checksum is wrong"], "{form:?}");
            assert_eq!(found.fatal, None);
        }
    }
}

#[test]
fn a_file_of_another_kind_is_named_and_the_others_are_read() {
    for form in forms() {
        let (archive, data) = three(form, &gzip(hour(1)));
        let header = archive[..data.start].windows(4).rposition(|bytes| bytes == [0x50, 0x4b, 3, 4]).unwrap();
        for (place, value, said) in [(6, 1, "is encrypted"), (8, 12, "is compressed by a method that exports do not use")] {
            let mut archive = archive.clone();
            archive[header + place] |= value;
            if place == 8 {
                archive[header + place] = value;
            }
            for piece in [1, usize::MAX] {
                let found = read(&archive, piece);
                assert_eq!((found.of_hour(0), found.of_hour(1), found.of_hour(2)), (20, 0, 20), "{form:?} {said}");
                assert_eq!(found.errors, [format!("export: 7/7_2026-01-01_1#0.json.gz: {said}")], "{form:?}");
                assert_eq!(found.fatal, None);
            }
        }
    }
}

#[test]
fn an_archive_that_is_cut_off_ends_with_an_error_that_says_so() {
    for form in forms() {
        let (archive, _) = three(form, &gzip(hour(1)));
        for end in 0..archive.len() {
            let found = read(&archive[..end], 97);
            let fatal = found.fatal.unwrap_or_else(|| panic!("{form:?} cut at {end} ends well"));
            assert!(fatal.starts_with("export: the archive is cut off in "), "{fatal}");
            assert_eq!(found.errors, Vec::<String>::new(), "{form:?} cut at {end}");
        }
        assert_eq!(read(&archive, 97).fatal, None);
    }
}

#[test]
fn what_is_no_archive_is_told_from_one_that_is_broken() {
    for other in ["<html><body>Please log in</body></html>", "{\"error\":\"Exceeded rate limit\"}", "\0\0\0\0\0\0"] {
        let found = read(other.as_bytes(), 5);
        assert_eq!(found.fatal.unwrap(), "export: the answer is no ZIP archive; is there a proxy or a login page in between?");
    }
    let (mut archive, data) = three(Form::default(), &gzip(hour(1)));
    archive[data.end] = b'X';
    let found = read(&archive, 5);
    assert_eq!((found.of_hour(0), found.of_hour(1)), (20, 20));
    assert_eq!(found.fatal.unwrap(), "export: the archive is broken: it holds what no ZIP archive holds at this place");
    // An end before the end.
    let early = [&archive[..data.end], &[0x50, 0x4b, 5, 6], &[0; 18], &archive[data.end..]].concat();
    let said = "export: the archive is broken: its directory does not name the files that it holds";
    assert_eq!(read(&early, 5).fatal.unwrap(), said);
    // A size of 2^64 in the directory must not be waited for.
    let huge = [&archive[..data.end], &[0x50, 0x4b, 6, 6], &[0xff; 8], &[0; 100]].concat();
    assert_eq!(read(&huge, 1).fatal.unwrap(), "export: the archive is broken: its directory is broken");
    // Nor must one that a header does not tell.
    let mut unknown = Writer::default();
    unknown.add(Form { is_zip64: true, ..Form::default() }, "7", &gzip(hour(0)));
    let mut unknown = unknown.finish();
    unknown[31 + 8] = 9;
    let unknown = [&archive[..data.end], &unknown].concat();
    assert_eq!(read(&unknown, 1).fatal.unwrap(), "export: the archive is broken: a file in it does not tell its size");
}

#[test]
fn a_line_may_have_16_mb_and_no_byte_more() {
    let long = |bytes: usize| {
        let (head, tail) = ("{\"event_type\":\"1-0\",\"x\":\"", "\"}");
        [head, &"x".repeat(bytes - head.len() - tail.len()), tail, "\n"].concat()
    };
    let text = [long(MAX_LINE_BYTES), long(MAX_LINE_BYTES + 1), long(4 * MAX_LINE_BYTES), event("1-1")].concat();
    let found = read(&three(Form::default(), &gzip(text)).0, 1000);
    assert_eq!(found.events[20..22], ["1-0", "1-1"]);
    assert_eq!(found.of_hour(2), 20);
    let place = |line: u32| format!("export: 7/7_2026-01-01_1#0.json.gz line {line}: is longer than 16 MB");
    assert_eq!(found.errors, [place(2), place(3)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..2000), piece in 1usize..300) {
        read(&bytes, piece);
    }

    #[test]
    fn any_bytes_in_a_file_of_any_form_cost_no_neighbour(
        form in prop::sample::select(forms()),
        data in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600),
            prop::collection::vec(any::<u8>(), 0..600).prop_map(gzip),
            prop::collection::vec("[ -~]{0,30}", 0..20).prop_map(|lines| gzip(lines.join("\n"))),
        ],
        piece in 1usize..300,
    ) {
        let found = read(&three(form, &data).0, piece);
        prop_assert_eq!(found.fatal, None);
        let of = |member: &str| found.events.iter().filter(|it| it.starts_with(member)).count();
        prop_assert_eq!((of("0-"), of("2-")), (20, 20));
    }

    #[test]
    fn an_archive_with_a_few_wrong_bytes_ends_and_loses_nothing_in_silence(
        form in prop::sample::select(forms()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        removed in prop::option::of((any::<prop::sample::Index>(), 1usize..40)),
        piece in 1usize..300,
    ) {
        let (mut archive, _) = three(form, &gzip(hour(1)));
        for (index, byte) in changes {
            let at = index.index(archive.len());
            archive[at] = byte;
        }
        if let Some((index, count)) = removed {
            let start = index.index(archive.len());
            archive.drain(start..(start + count).min(archive.len()));
        }
        let found = read(&archive, piece);
        let expected: Vec<_> = (0..3).flat_map(|hour| (0..20).map(move |number| format!("{hour}-{number}"))).collect();
        let is_told = !found.errors.is_empty() || found.fatal.is_some();
        prop_assert!(is_told || found.events == expected, "events are lost or changed in silence: {:?}", found.events);
    }
}
