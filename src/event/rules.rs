//! The rules that concern more than one field of an event, or its ids. They see JSON texts: an event that is built and one that came as text
//! are judged alike.

use std::borrow::Cow;

use crate::{
    Error, Result,
    event::{fields, identify},
    json::{self, Kind, Reader},
    limits,
};

/// The JSON texts of the fields that rules look at, by their places in the table of fields; empty where an event lacks one.
pub(crate) type Values<'a> = [&'a str; fields::RULED];

/// Checks what needs no configuration.
pub(super) fn check(values: &Values<'_>) -> Result<()> {
    let event_type = text(values[fields::EVENT_TYPE]);
    if event_type.is_empty() {
        return Err(Error::at("event_type", "is missing or empty"));
    }
    if event_type.starts_with('[') && limits::RESERVED_EVENT_TYPES.contains(&&*event_type) {
        return Err(Error::invalid(&["event_type: \"", &event_type, "\" is reserved by Amplitude"]));
    }
    for at in [fields::USER_ID, fields::DEVICE_ID] {
        if !values[at].is_empty() {
            check_id(fields::name(at), &text(values[at]))?;
        }
    }
    let needs_price = values[fields::NEED_PRICE].iter().any(|value| !value.is_empty());
    if needs_price && values[fields::PRICE].is_empty() && values[fields::REVENUE].is_empty() {
        return Err(Error::at("price", "is missing; productId, revenueType, currency and quantity need it, or revenue"));
    }
    identify::check_operations("user_properties", "$identify", &event_type, values[fields::USER_PROPERTIES])?;
    let of_group = values[fields::GROUP_PROPERTIES];
    if !of_group.is_empty() && event_type != "$groupidentify" {
        return Err(Error::at("group_properties", "Amplitude reads them on events of type $groupidentify alone"));
    }
    identify::check_operations("group_properties", "$groupidentify", &event_type, of_group)?;
    if event_type == "$groupidentify" && values[fields::GROUPS].is_empty() {
        return Err(Error::at("groups", "are missing; $groupidentify changes nothing without"));
    }
    check_groups(values[fields::GROUPS])
}

/// Checks what needs a client's configuration: that there is an id, and that no id is shorter than `min_chars`.
pub(crate) fn check_ids(user_id: &str, device_id: &str, min_chars: usize) -> Result<()> {
    for (at, value) in [(fields::USER_ID, user_id), (fields::DEVICE_ID, device_id)] {
        // Bytes first: an id of enough bytes in ASCII needs no count of its characters.
        if !value.is_empty() && (value.len() < min_chars + 2 || !value.is_ascii() || json::has_escape(&value[1..value.len() - 1]))
        {
            let id = text(value);
            if id.chars().count() < min_chars {
                let limit = json::decimal(min_chars as u64);
                return Err(Error::invalid(&[
                    fields::name(at),
                    ": is shorter than ",
                    &limit,
                    " characters; see `min_id_length`, on a page `minIdLength`",
                ]));
            }
        }
    }
    if user_id.is_empty() && device_id.is_empty() {
        return Err(Error::at("user_id, device_id", "an event needs at least one of them"));
    }
    Ok(())
}

/// The rules for ids that need no configuration.
pub(crate) fn check_id(name: &str, id: &str) -> Result<()> {
    if id.len() > limits::ID_CHARS && id.chars().count() > limits::ID_CHARS {
        return Err(Error::at(name, "is longer than 1024 characters"));
    }
    if limits::FORBIDDEN_IDS.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(id)) {
        return Err(Error::invalid(&[name, ": \"", id, "\" is an id that Amplitude refuses"]));
    }
    Ok(())
}

/// The text of a JSON string that was checked.
pub(crate) fn text(json: &str) -> Cow<'_, str> {
    match json.get(1..json.len().saturating_sub(1)) {
        Some(text) if !json::has_escape(text) => Cow::Borrowed(text),
        _ => Reader::new(json).string().unwrap_or_default(),
    }
}

fn check_groups(json: &str) -> Result<()> {
    if json.is_empty() {
        return Ok(());
    }
    let mut reader = Reader::new(json);
    reader.open();
    let (mut first, mut types, mut groups) = (true, 0, 0);
    while let Ok(Some(kind)) = reader.next_key(&mut first) {
        types += 1;
        groups += group_values(&mut reader)
            .ok_or_else(|| Error::invalid(&["groups.", &kind, ": must be a string or a list of strings"]))?;
    }
    if types > limits::GROUP_TYPES {
        return Err(Error::at("groups", "has more than 5 group types, which Amplitude would ignore"));
    }
    if groups > limits::GROUPS {
        return Err(Error::at("groups", "has more than 10 groups, which Amplitude would ignore"));
    }
    Ok(())
}

/// How many groups a value names; `None` where it is neither a string nor a list of strings.
fn group_values(reader: &mut Reader<'_>) -> Option<usize> {
    match reader.kind().ok()? {
        Kind::String => reader.raw_string().ok().map(|_| 1),
        Kind::Array => {
            reader.open();
            let (mut first, mut count) = (true, 0);
            while reader.next_item(&mut first).ok()? {
                if reader.kind().ok()? != Kind::String {
                    return None;
                }
                reader.raw_string().ok()?;
                count += 1;
            }
            Some(count)
        }
        _ => None,
    }
}
