//! HTTP V2 and Batch: from a body to an answer, in the order in which Amplitude is known to check.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::state::{ProjectState, State, Throttle};
use crate::{Region, limits};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Endpoint {
    HttpV2,
    Batch,
}

impl Endpoint {
    pub(super) fn max_bytes(self) -> usize {
        match self {
            Self::HttpV2 => limits::HTTP_V2_BYTES,
            Self::Batch => limits::BATCH_BYTES,
        }
    }
}

pub(super) type Answer = (u16, Value);

fn refuse(error: &str) -> Value {
    json!({"code": 400, "error": error})
}

pub(super) fn too_large() -> Answer {
    (413, json!({"code": 413, "error": "Payload too large"}))
}

/// Judges a request's body and takes its events.
pub(super) fn ingest(state: &mut State, endpoint: Endpoint, region: Region, body: &[u8]) -> Answer {
    if body.is_empty() {
        return (400, refuse("Missing request body"));
    }
    if body.len() > endpoint.max_bytes() {
        return too_large();
    }
    let Ok(Value::Object(mut request)) = serde_json::from_slice::<Value>(body) else {
        return (400, refuse("Invalid JSON request body"));
    };
    let missing = |field: &str| (400, json!({"code": 400, "error": "Request missing required field", "missing_field": field}));
    let Some(key) = request.get("api_key").and_then(Value::as_str).map(str::to_owned) else { return missing("api_key") };
    let now_ms = state.now_ms();
    let throttle = state.settings.throttle;
    let silenced = state.settings.silenced_devices.clone();
    let Some(project) = state.project_in(&key, region) else {
        return (400, refuse(&format!("Invalid API key: {key}")));
    };
    project.counts.requests += 1;
    let events = match request.remove("events") {
        None | Some(Value::Null) => return missing("events"),
        Some(Value::Array(events)) => events,
        Some(_) => return (400, refuse("Invalid event JSON")),
    };
    if events.len() > limits::BATCH_EVENTS {
        return too_large();
    }
    let min_id = request
        .get("options")
        .and_then(|options| options["min_id_length"].as_u64())
        .map_or(limits::MIN_ID_CHARS, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if let Some(answer) = check(&events, min_id, &silenced) {
        project.counts.rejected += events.len() as u64;
        return (400, answer);
    }
    if let Some(answer) = throttled(project, &events, throttle, endpoint, now_ms) {
        return (429, answer);
    }
    let count = events.len();
    for event in events {
        let number = state.next_number();
        let Some(project) = state.project_in(&key, region) else { continue };
        for id in ids(&event) {
            project.count_rate(&id);
        }
        if let Err(error) = project.take(number, now_ms, shortened(event)) {
            return (500, json!({"code": 500, "error": format!("the data folder cannot be written: {error}")}));
        }
    }
    (200, json!({"code": 200, "events_ingested": count, "payload_size_bytes": body.len(), "server_upload_time": now_ms}))
}

fn check(events: &[Value], min_id: usize, silenced: &[String]) -> Option<Value> {
    if !events.iter().all(Value::is_object) {
        return Some(refuse("Invalid event JSON"));
    }
    let missing = by_field(events, missing_fields);
    if !missing.is_empty() {
        return Some(json!({"code": 400, "error": "Request missing required field", "events_with_missing_fields": missing}));
    }
    let invalid = by_field(events, invalid_fields);
    if !invalid.is_empty() {
        return Some(json!({"code": 400, "error": "Invalid field values on some events", "events_with_invalid_fields": invalid}));
    }
    let short = by_field(events, |event| {
        let bad = |name: &&str| {
            event.get(*name).and_then(Value::as_str).is_some_and(|id| id.chars().count() < min_id || is_forbidden(id))
        };
        ["user_id", "device_id"].iter().filter(|name| bad(name)).map(|name| (*name).to_owned()).collect()
    });
    if !short.is_empty() {
        return Some(json!({
            "code": 400, "error": "Invalid id length for user_id or device_id", "events_with_invalid_id_lengths": short,
        }));
    }
    let of_silenced: Vec<usize> = (0..events.len())
        .filter(|index| events[*index]["device_id"].as_str().is_some_and(|id| silenced.iter().any(|silenced| silenced == id)))
        .collect();
    if !of_silenced.is_empty() {
        let mut devices: Vec<_> = of_silenced.iter().filter_map(|index| events[*index]["device_id"].as_str()).collect();
        devices.dedup();
        return Some(json!({
            "code": 400, "error": "Events silenced for device_id", "eps_threshold": 30, "exceeded_daily_quota_devices": {},
            "silenced_devices": devices, "silenced_events": of_silenced, "throttled_devices": {}, "throttled_events": [],
        }));
    }
    None
}

/// The indexes of the events in which `find` finds a field.
fn by_field(events: &[Value], find: impl Fn(&Map<String, Value>) -> Vec<String>) -> BTreeMap<String, Vec<usize>> {
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        for field in event.as_object().map(&find).unwrap_or_default() {
            found.entry(field).or_default().push(index);
        }
    }
    found
}

fn missing_fields(event: &Map<String, Value>) -> Vec<String> {
    let has = |name: &str| event.get(name).is_some_and(|value| !value.is_null() && value != "");
    let mut missing = Vec::new();
    if !has("event_type") {
        missing.push("event_type".to_owned());
    }
    if !has("user_id") && !has("device_id") {
        missing.push("user_id".to_owned());
    }
    missing
}

const INTEGERS: [&str; 4] = ["time", "session_id", "event_id", "quantity"];
const NUMBERS: [&str; 4] = ["price", "revenue", "location_lat", "location_lng"];
const OBJECTS: [&str; 6] = ["event_properties", "user_properties", "groups", "group_properties", "plan", "ingestion_metadata"];
const TEXTS: [&str; 29] = [
    "event_type",
    "user_id",
    "device_id",
    "insert_id",
    "app_version",
    "platform",
    "os_name",
    "os_version",
    "device_brand",
    "device_manufacturer",
    "device_model",
    "carrier",
    "country",
    "region",
    "city",
    "dma",
    "language",
    "productId",
    "revenueType",
    "currency",
    "ip",
    "idfa",
    "idfv",
    "adid",
    "android_id",
    "android_app_set_id",
    "partner_id",
    "library",
    "user_agent",
];

fn invalid_fields(event: &Map<String, Value>) -> Vec<String> {
    let wrong = |(name, value): &(&String, &Value)| {
        let name = name.as_str();
        if value.is_null() {
            false
        } else if TEXTS.contains(&name) {
            !value.is_string()
                || (name.ends_with("_id") && value.as_str().is_some_and(|id| id.chars().count() > limits::ID_CHARS))
        } else if INTEGERS.contains(&name) {
            !value.is_i64()
        } else if NUMBERS.contains(&name) {
            !value.is_number()
        } else if OBJECTS.contains(&name) {
            !value.is_object() || depth(value) > limits::DEPTH
        } else {
            false
        }
    };
    let mut fields: Vec<String> = event.iter().filter(wrong).map(|(name, _)| name.clone()).collect();
    let reserved =
        event.get("event_type").and_then(Value::as_str).is_some_and(|kind| limits::RESERVED_EVENT_TYPES.contains(&kind));
    if reserved {
        fields.push("event_type".to_owned());
    }
    fields
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn is_forbidden(id: &str) -> bool {
    limits::FORBIDDEN_IDS.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(id))
}

/// Users and devices share one space of rates; their names keep them apart.
fn ids(event: &Value) -> Vec<String> {
    ["user_id", "device_id"].iter().filter_map(|name| event[*name].as_str().map(|id| format!("{name}:{id}"))).collect()
}

fn throttled(project: &mut ProjectState, events: &[Value], throttle: Throttle, endpoint: Endpoint, now_ms: u64) -> Option<Value> {
    let (per_second, per_day) = match (throttle, endpoint) {
        (Throttle::Off, _) => return None,
        (Throttle::Documented, Endpoint::HttpV2) => (30, u64::MAX),
        (Throttle::Documented, Endpoint::Batch) => (1000, 500_000),
        (Throttle::Limits { per_second, per_day }, _) => (per_second, per_day),
    };
    let mut wanted: BTreeMap<String, u64> = BTreeMap::new();
    events.iter().flat_map(ids).for_each(|id| *wanted.entry(id).or_default() += 1);
    let mut found: [Map<String, Value>; 4] = Default::default();
    let mut over = Vec::new();
    for (id, more) in wanted {
        let (second, day) = project.rate(&id, more, now_ms);
        let (name, text) = id.split_once(':').unwrap_or_default();
        let kind = usize::from(name == "device_id");
        if day > per_day {
            found[2 + kind].insert(text.to_owned(), day.into());
        } else if second > per_second {
            found[kind].insert(text.to_owned(), second.into());
        } else {
            continue;
        }
        over.push(id);
    }
    if over.is_empty() {
        return None;
    }
    let indexes: Vec<usize> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| ids(event).iter().any(|id| over.contains(id)))
        .map(|(index, _)| index)
        .collect();
    let [users, devices, quota_users, quota_devices] = found;
    Some(json!({
        "code": 429, "error": "Too many requests for some devices and users", "eps_threshold": per_second,
        "throttled_users": users, "throttled_devices": devices, "throttled_events": indexes,
        "exceeded_daily_quota_users": quota_users, "exceeded_daily_quota_devices": quota_devices,
    }))
}

/// Amplitude shortens strings of more than 1024 characters.
fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) if text.encode_utf16().count() > limits::STRING_CHARS => {
            let mut units = 0;
            Value::String(
                text.chars()
                    .take_while(|character| {
                        units += character.len_utf16();
                        units <= limits::STRING_CHARS
                    })
                    .collect(),
            )
        }
        Value::Array(items) => items.into_iter().map(shortened).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, shortened(value))).collect(),
        other => other,
    }
}
