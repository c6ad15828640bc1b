//! Identify and Group Identify: forms, not JSON bodies; their results are no events.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::state::State;
use crate::Region;

/// Takes `api_key` and `identification`. Its bodies are not documented; the texts say what is wrong.
pub(super) fn identify(state: &mut State, region: Region, event_type: &str, form: &HashMap<String, String>) -> (u16, String) {
    let Some(project) = form.get("api_key").and_then(|key| state.project_in(key, region)) else {
        return (400, "invalid_api_key".to_owned());
    };
    project.counts.requests += 1;
    let parsed = form.get("identification").and_then(|text| serde_json::from_str::<Value>(text).ok());
    let objects = match parsed {
        Some(Value::Array(objects)) if objects.iter().all(Value::is_object) => objects,
        Some(object @ Value::Object(_)) => vec![object],
        _ => return (400, "missing_event".to_owned()),
    };
    let group = event_type == "$groupidentify";
    let complete = |object: &Value| {
        if group {
            object["group_type"].is_string() && !object["group_value"].is_null()
        } else {
            object["user_id"].is_string() || object["device_id"].is_string()
        }
    };
    if !objects.iter().all(complete) {
        return (400, if group { "missing group_type or group_value" } else { "missing user_id or device_id" }.to_owned());
    }
    let key = form.get("api_key").cloned().unwrap_or_default();
    for object in objects {
        let mut event = json!({"event_type": event_type});
        if let (Value::Object(event), Value::Object(object)) = (&mut event, object) {
            event.extend(object);
        }
        let (number, now_ms) = (state.next_number(), state.now_ms());
        if let Some(project) = state.project_in(&key, region)
            && let Err(error) = project.take(number, now_ms, event)
        {
            return (500, format!("the data folder cannot be written: {error}"));
        }
    }
    (200, "success".to_owned())
}
