//! Events that come as JSON text: checked in one pass that builds nothing. The npm package's text, which the engine wrote, goes as it came.

use crate::{
    Error, Result,
    event::{
        fields::{self, Shape},
        rules::{self, Values},
        scan::Scan,
    },
    json::{Kind, Malformed, Reader},
};

/// Checks an event object as HTTP V2 takes it, by every rule that needs no configuration. Answers with the values that rules look at, and how
/// many strings Amplitude will shorten. Keys of properties are not looked for twice, and their numbers are not read: an engine writes
/// finite ones.
pub(crate) fn check(text: &str) -> Result<(Values<'_>, u32)> {
    let mut values: Values<'_> = [""; fields::RULED];
    let mut seen = 0_u64;
    let mut long_strings = 0;
    let mut reader = Reader::new(text);
    let lift = |malformed: Malformed| Error::at("event", malformed.0);
    if reader.kind().map_err(lift)? != Kind::Object {
        return Err(Error::at("event", "must be an object"));
    }
    reader.open();
    let mut first = true;
    while let Some(key) = reader.next_key(&mut first).map_err(lift)? {
        let (at, shape) = fields::find(&key)?;
        if seen >> at & 1 == 1 {
            return Err(Error::at(&key, "stands twice"));
        }
        seen |= 1 << at;
        let from = reader.offset();
        if is_simple(shape, text.as_bytes().get(from..).unwrap_or_default()) && reader.skip_plain() {
            // As nearly all are.
        } else if shape == Shape::Properties {
            let mut scan = Scan::new(&key);
            scan.object(&mut reader)?;
            long_strings += scan.long_strings;
        } else {
            long_strings += fields::check(&key, shape, &mut reader)?;
        }
        if let Some(value) = values.get_mut(at) {
            *value = reader.slice(from);
        }
    }
    reader.end().map_err(lift)?;
    rules::check(&values)?;
    Ok((values, long_strings))
}

/// Whether a field of this shape takes every value that starts so and is plainly fine.
fn is_simple(shape: Shape, value: &[u8]) -> bool {
    match shape {
        Shape::Properties => value.starts_with(b"{"),
        Shape::Text => value.starts_with(b"\""),
        Shape::Key => value.starts_with(b"\"") && !value.starts_with(b"\"\""),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::check;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[ -~äß€😀\n\u{1}]{0,20}".prop_map(Value::from),
            (1020_usize..1030, prop::sample::select(vec!["x", "ä", "\n"])).prop_map(|(n, of)| Value::from(of.repeat(n))),
        ];
        leaf.prop_recursive(45, 60, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map("[a-c\n]{0,3}", inner, 0..3).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// White space keeps a value from the short way.
        #[test]
        fn the_short_way_and_the_long_one_agree(value in json()) {
            let event = |space: &str| format!("{{\"event_type\":\"a\",\"user_id\":\"user-1\",\"event_properties\":{space}{{{space}\"p\":{value}}}}}");
            let [short, long] = ["", " "].map(|space| {
                let text = event(space);
                check(&text).map(|(_, long_strings)| long_strings).map_err(|error| error.to_string())
            });
            prop_assert_eq!(short, long);
        }
    }
}
