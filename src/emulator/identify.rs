//! Identify and Group Identify: forms, not JSON bodies; what they change is no event.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{answer::Answer, check::is_forbidden, ingest::Endpoint, properties, state::State};
use crate::{Region, limits};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Subject {
    User,
    Group,
}

impl Subject {
    pub(super) fn max_bytes(self) -> usize {
        match self {
            // Nothing is documented: so much that nobody meets it.
            Self::User => limits::BATCH_BYTES,
            Self::Group => limits::GROUP_IDENTIFY_BYTES,
        }
    }
}

/// Takes `api_key` and `identification`. Bodies of answers are not documented; the texts say what is wrong.
pub(super) fn identify(state: &mut State, region: Region, subject: Subject, form: &HashMap<String, String>) -> Answer {
    let Some(key) = form.get("api_key") else { return Answer::text(400, "missing_api_key") };
    let (now_ms, throttle) = (state.now_ms(), state.throttle);
    let Some(project) = state.project_in(key, region) else { return Answer::text(400, "invalid_api_key") };
    project.counts.requests += 1;
    let Some(objects) = form.get("identification").and_then(|text| objects(text)) else {
        return Answer::text(400, "missing_event");
    };
    let count = objects.len();
    let check = match subject {
        Subject::User => objects.iter().try_for_each(check_user),
        Subject::Group => check_groups(&objects),
    };
    if let Err(text) = check {
        return Answer::text(400, text).of(count);
    }
    let objects: Vec<Value> = objects.into_iter().map(Value::Object).collect();
    if let Some(allowance) = throttle.allowance(Endpoint::HttpV2)
        && project.rates.admit(Endpoint::HttpV2, allowance, &objects, now_ms).is_err()
    {
        return Answer::text(429, "too_many_requests").of(count);
    }
    for object in objects {
        let Value::Object(object) = object else { continue };
        if let Err(error) = project.take_identification(now_ms, object) {
            return Answer::text(500, format!("the data folder cannot be written: {error}")).of(count);
        }
    }
    Answer::text(200, "success").of(count)
}

/// One object or an array of them.
fn objects(text: &str) -> Option<Vec<Map<String, Value>>> {
    let items = match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items,
        Ok(object) => vec![object],
        Err(_) => return None,
    };
    let object = |value| if let Value::Object(object) = value { Some(object) } else { None };
    items.into_iter().map(object).collect()
}

fn check_user(object: &Map<String, Value>) -> Result<(), String> {
    let given = |name: &str| object.get(name).filter(|value| !value.is_null());
    let ids = ["user_id", "device_id"].map(|name| (name, given(name)));
    if ids.iter().all(|(_, id)| id.is_none()) {
        return Err("missing user_id or device_id".to_owned());
    }
    for (name, id) in ids {
        let is_good = |id: &str| id.chars().count() <= limits::ID_CHARS && !is_forbidden(id);
        if id.is_some_and(|id| !id.as_str().is_some_and(is_good)) {
            return Err(format!("invalid {name}"));
        }
    }
    if given("user_properties").is_some_and(|changes| properties::form(changes).is_none()) {
        return Err("invalid user_properties".to_owned());
    }
    if given("groups").is_some_and(|groups| !properties::are_groups(groups)) {
        return Err("invalid groups".to_owned());
    }
    let texts = [
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
        "start_version",
        "paying",
    ];
    match texts.into_iter().find(|name| given(name).is_some_and(|value| !value.is_string())) {
        Some(name) => Err(format!("invalid {name}")),
        None => Ok(()),
    }
}

fn check_groups(objects: &[Map<String, Value>]) -> Result<(), String> {
    if objects.len() > limits::GROUP_IDENTIFIES {
        return Err("more than 1024 group identifies".to_owned());
    }
    let mut count = 0;
    for object in objects {
        if object.get("group_type").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err("missing group_type".to_owned());
        }
        if !object.get("group_value").is_some_and(|name| name.is_number() || name.as_str().is_some_and(|name| !name.is_empty())) {
            return Err("missing group_value".to_owned());
        }
        let changes = object.get("group_properties").filter(|value| !value.is_null());
        let Some(changes) = changes else { return Err("missing group_properties".to_owned()) };
        let Some(form) = properties::form(changes) else { return Err("invalid group_properties".to_owned()) };
        count += properties::count(changes, form);
    }
    if count > limits::GROUP_IDENTIFIES { Err("more than 1024 group properties".to_owned()) } else { Ok(()) }
}
