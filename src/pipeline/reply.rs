//! Reads the body of a reply. Only what the documentation names is looked at; every index is checked by `judge`.

use crate::json::{Kind, Malformed, Reader};

/// What a reply's body says, as far as it is Amplitude's.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) code: Option<i64>,
    pub(super) error: String,
    pub(super) missing_field: Option<String>,
    pub(super) events_ingested: Option<i64>,
    pub(super) server_upload_time: Option<i64>,
    pub(super) invalid_fields: Vec<(String, Vec<i64>)>,
    pub(super) missing_fields: Vec<(String, Vec<i64>)>,
    pub(super) id_lengths: Vec<(String, Vec<i64>)>,
    pub(super) silenced_events: Vec<i64>,
    pub(super) silenced_devices: Vec<String>,
    pub(super) throttled_events: Vec<i64>,
    pub(super) throttled_users: Vec<String>,
    pub(super) throttled_devices: Vec<String>,
    pub(super) quota_users: Vec<String>,
    pub(super) quota_devices: Vec<String>,
}

impl Body {
    /// `None` where the body is no JSON object or one of its documented fields has another type: then it is not Amplitude's.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(str::from_utf8(bytes).ok()?);
        let body = read(&mut reader).ok()?;
        reader.end().ok()?;
        Some(body)
    }
}

fn read(reader: &mut Reader<'_>) -> Result<Body, Malformed> {
    let mut body = Body::default();
    if reader.kind()? != Kind::Object {
        return Err(Malformed("is not an object"));
    }
    reader.open();
    let mut first = true;
    while let Some(key) = reader.next_key(&mut first)? {
        if reader.kind()? == Kind::Null {
            reader.skip()?;
            continue;
        }
        match &*key {
            "code" => body.code = Some(reader.integer()?),
            "error" => body.error = text(reader)?,
            "missing_field" => body.missing_field = Some(text(reader)?),
            "events_ingested" => body.events_ingested = Some(reader.integer()?),
            "server_upload_time" => body.server_upload_time = Some(reader.integer()?),
            "events_with_invalid_fields" => body.invalid_fields = index_lists(reader)?,
            "events_with_missing_fields" => body.missing_fields = index_lists(reader)?,
            "events_with_invalid_id_lengths" => body.id_lengths = index_lists(reader)?,
            "silenced_events" => body.silenced_events = integers(reader)?,
            "silenced_devices" => body.silenced_devices = names(reader)?,
            "throttled_events" => body.throttled_events = integers(reader)?,
            "throttled_users" => body.throttled_users = names(reader)?,
            "throttled_devices" => body.throttled_devices = names(reader)?,
            "exceeded_daily_quota_users" => body.quota_users = names(reader)?,
            "exceeded_daily_quota_devices" => body.quota_devices = names(reader)?,
            _ => reader.skip()?,
        }
    }
    Ok(body)
}

fn text(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    if reader.kind()? == Kind::String { Ok(reader.string()?.into_owned()) } else { Err(Malformed("is not a string")) }
}

fn integers(reader: &mut Reader<'_>) -> Result<Vec<i64>, Malformed> {
    let mut list = Vec::new();
    if reader.kind()? != Kind::Array {
        return Err(Malformed("is not a list"));
    }
    reader.open();
    let mut first = true;
    while reader.next_item(&mut first)? {
        list.push(reader.integer()?);
    }
    Ok(list)
}

/// `{"field": [indexes]}`.
fn index_lists(reader: &mut Reader<'_>) -> Result<Vec<(String, Vec<i64>)>, Malformed> {
    let mut lists = Vec::new();
    if reader.kind()? != Kind::Object {
        return Err(Malformed("is not an object"));
    }
    reader.open();
    let mut first = true;
    while let Some(field) = reader.next_key(&mut first)? {
        lists.push((field.into_owned(), integers(reader)?));
    }
    Ok(lists)
}

/// `["name"]` or the keys of `{"name": number}`.
fn names(reader: &mut Reader<'_>) -> Result<Vec<String>, Malformed> {
    let mut list = Vec::new();
    let mut first = true;
    match reader.kind()? {
        Kind::Array => {
            reader.open();
            while reader.next_item(&mut first)? {
                list.push(text(reader)?);
            }
        }
        Kind::Object => {
            reader.open();
            while let Some(name) = reader.next_key(&mut first)? {
                reader.skip()?;
                list.push(name.into_owned());
            }
        }
        _ => return Err(Malformed("is neither a list nor an object")),
    }
    Ok(list)
}
