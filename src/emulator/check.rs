//! What an event must be like: required fields, types, ids. Judges; takes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    properties::{self, Form},
    throttle::Id,
};
use crate::limits;

type Event = Map<String, Value>;

/// The body of the 400 that refuses these events, and how many of them it names.
pub(super) struct Refusal {
    pub(super) answer: Value,
    pub(super) named: usize,
}

/// Checks one thing after the other; the first that some events fail is the answer.
pub(super) fn check(events: &[Value], min_id: usize, silenced: &BTreeSet<String>) -> Result<(), Refusal> {
    if !events.iter().all(Value::is_object) {
        return Err(Refusal { answer: json!({"code": 400, "error": "Invalid event JSON"}), named: events.len() });
    }
    let missing = by_field(events, missing_fields);
    if !missing.is_empty() {
        return refuse("Request missing required field", &[("events_with_missing_fields", &missing)]);
    }
    let invalid = by_field(events, invalid_fields);
    if !invalid.is_empty() {
        return refuse("Invalid field values on some events", &[("events_with_invalid_fields", &invalid)]);
    }
    let has_length = |id: &str| (min_id..=limits::ID_CHARS).contains(&id.chars().count());
    let lengths = by_field(events, |event| bad_ids(event, |id| !has_length(id)));
    let forbidden = by_field(events, |event| bad_ids(event, |id| has_length(id) && is_forbidden(id)));
    let lists = [("events_with_invalid_id_lengths", &lengths), ("events_with_invalid_fields", &forbidden)];
    match (lengths.is_empty(), forbidden.is_empty()) {
        (true, true) => check_silenced(events, silenced),
        (true, false) => refuse("Invalid field values on some events", &lists[1..]),
        (false, true) => refuse("Invalid id length for user_id or device_id", &lists[..1]),
        (false, false) => refuse("Invalid id length for user_id or device_id", &lists),
    }
}

fn refuse(error: &str, lists: &[(&str, &Fields)]) -> Result<(), Refusal> {
    let mut answer = json!({"code": 400, "error": error});
    let mut named: BTreeSet<&usize> = BTreeSet::new();
    for (name, fields) in lists {
        answer[*name] = json!(fields);
        named.extend(fields.values().flatten());
    }
    Err(Refusal { answer, named: named.len() })
}

fn check_silenced(events: &[Value], silenced: &BTreeSet<String>) -> Result<(), Refusal> {
    let device = |index: &usize| events[*index]["device_id"].as_str().filter(|id| silenced.contains(*id));
    let indexes: Vec<usize> = (0..events.len()).filter(|index| device(index).is_some()).collect();
    if indexes.is_empty() {
        return Ok(());
    }
    let devices: BTreeSet<_> = indexes.iter().filter_map(device).collect();
    let answer = json!({
        "code": 400, "error": "Events silenced for device_id", "eps_threshold": limits::HTTP_V2_EPS,
        "exceeded_daily_quota_devices": {}, "silenced_devices": devices, "silenced_events": indexes,
        "throttled_devices": {}, "throttled_events": [],
    });
    Err(Refusal { answer, named: indexes.len() })
}

/// Indexes of events, by the field that is wrong with them.
type Fields = BTreeMap<String, Vec<usize>>;

fn by_field<'a>(events: &'a [Value], find: impl Fn(&'a Event) -> Vec<&'a str>) -> Fields {
    let mut found = Fields::new();
    for (index, event) in events.iter().enumerate() {
        for field in event.as_object().map(&find).unwrap_or_default() {
            found.entry(field.to_owned()).or_default().push(index);
        }
    }
    found
}

fn missing_fields(event: &Event) -> Vec<&str> {
    let has = |name: &str| event.get(name).is_some_and(|value| !value.is_null() && value != "");
    let mut missing = Vec::new();
    if !has("event_type") {
        missing.push("event_type");
    }
    if !has("user_id") && !has("device_id") {
        missing.push("user_id");
    }
    missing
}

fn invalid_fields(event: &Event) -> Vec<&str> {
    let is_wrong = |(name, value): &(&String, &Value)| !value.is_null() && !kind(name).admits(value, event);
    let mut invalid: Vec<&str> = event.iter().filter(is_wrong).map(|(name, _)| name.as_str()).collect();
    let event_type = event.get("event_type").and_then(Value::as_str).unwrap_or_default();
    if limits::RESERVED_EVENT_TYPES.contains(&event_type) {
        invalid.push("event_type");
    }
    invalid
}

/// What a field of an event holds.
enum Kind {
    Text,
    Currency,
    Integer,
    Number,
    Flag,
    Properties,
    /// Plain, or operations where the event's type is this.
    Changes(&'static str),
    Groups,
    /// An object of texts under these names.
    Texts(&'static [&'static str]),
    /// Not documented: passed over.
    Any,
}

fn kind(field: &str) -> Kind {
    match field {
        "time" | "session_id" | "event_id" | "quantity" => Kind::Integer,
        "price" | "revenue" | "location_lat" | "location_lng" => Kind::Number,
        "event_properties" => Kind::Properties,
        "user_properties" => Kind::Changes("$identify"),
        "group_properties" => Kind::Changes("$groupidentify"),
        "groups" => Kind::Groups,
        "$skip_user_properties_sync" => Kind::Flag,
        "currency" => Kind::Currency,
        "plan" => Kind::Texts(&["branch", "source", "version", "versionId"]),
        "ingestion_metadata" => Kind::Texts(&["source_name", "source_version"]),
        "event_type"
        | "user_id"
        | "device_id"
        | "insert_id"
        | "user_agent"
        | "app_version"
        | "platform"
        | "os_name"
        | "os_version"
        | "device_brand"
        | "device_manufacturer"
        | "device_model"
        | "carrier"
        | "country"
        | "region"
        | "city"
        | "dma"
        | "language"
        | "productId"
        | "revenueType"
        | "ip"
        | "idfa"
        | "idfv"
        | "adid"
        | "android_id"
        | "android_app_set_id"
        | "partner_id"
        | "library"
        | "version_name"
        | "receipt"
        | "receiptSig" => Kind::Text,
        _ => Kind::Any,
    }
}

impl Kind {
    fn admits(&self, value: &Value, event: &Event) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Currency => {
                value.as_str().is_some_and(|code| code.len() == 3 && code.bytes().all(|it| it.is_ascii_uppercase()))
            }
            Self::Integer => value.is_i64(),
            Self::Number => value.is_number(),
            Self::Flag => value.is_boolean(),
            Self::Properties => properties::form(value).is_some(),
            Self::Changes(event_type) => match properties::form(value) {
                Some(Form::Plain) => true,
                Some(Form::Operations) => event.get("event_type").is_some_and(|it| it == event_type),
                None => false,
            },
            Self::Groups => properties::are_groups(value),
            Self::Texts(names) => value.as_object().is_some_and(|members| {
                names.iter().all(|name| members.get(*name).is_none_or(|member| member.is_string() || member.is_null()))
            }),
            Self::Any => true,
        }
    }
}

fn bad_ids(event: &Event, is_bad: impl Fn(&str) -> bool) -> Vec<&str> {
    ["user_id", "device_id"].into_iter().filter(|name| event.get(*name).and_then(Value::as_str).is_some_and(&is_bad)).collect()
}

pub(super) fn is_forbidden(id: &str) -> bool {
    limits::FORBIDDEN_IDS.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(id))
}

/// The user and the device of an event.
pub(super) fn ids(event: &Value) -> Vec<Id> {
    let id = |name: &str| event[name].as_str().map(str::to_owned);
    id("user_id").map(Id::User).into_iter().chain(id("device_id").map(Id::Device)).collect()
}
