//! Events that come as JSON text: checked in one pass that builds nothing. The npm package's text, which the engine wrote, goes as it came.

use crate::{
    Error, Result,
    event::{
        fields::{self, Shape},
        rules::{self, Values},
        scan::Scan,
    },
    json::{Kind, Reader},
};

/// Checks an event object as HTTP V2 takes it, by every rule that needs no configuration. Answers with the values that rules look at, and how
/// many strings Amplitude will shorten. Keys of properties are not looked for twice, and their numbers are not read: an engine writes
/// finite ones.
pub(crate) fn check(text: &str) -> Result<(Values<'_>, u32)> {
    let mut values: Values<'_> = [""; fields::RULED];
    let mut seen = 0_u64;
    let mut long_strings = 0;
    let mut reader = Reader::new(text);
    let event = Scan::new("event");
    if event.lift(reader.kind())? != Kind::Object {
        return Err(event.error("must be an object"));
    }
    reader.open();
    let mut first = true;
    while let Some(key) = event.lift(reader.next_key(&mut first))? {
        let (at, shape) = fields::find(&key)?;
        if seen >> at & 1 == 1 {
            return Err(Error::at(&key, "stands twice"));
        }
        seen |= 1 << at;
        let from = reader.offset();
        if shape == Shape::Properties {
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
    event.lift(reader.end())?;
    rules::check(&values)?;
    Ok((values, long_strings))
}
