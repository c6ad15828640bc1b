//! HTTP V2 and Batch: from a body to an answer, in the order in which Amplitude is known to check.

use serde_json::{Value, json};

use super::{answer::Answer, check::check, state::State};
use crate::{Region, limits};

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Endpoint {
    /// HTTP V2 and, for its rates, Identify.
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

/// Judges a request's body, without its compression and no longer than its endpoint takes, and takes its events.
pub(super) fn ingest(state: &mut State, endpoint: Endpoint, region: Region, body: &[u8]) -> Answer {
    if body.is_empty() {
        return Answer::refusal("Missing request body");
    }
    // The reader refuses nesting that would overflow a stack.
    let Ok(Value::Object(mut request)) = serde_json::from_slice::<Value>(body) else {
        return Answer::refusal("Invalid JSON request body");
    };
    let missing =
        |field: &str| Answer::coded(json!({"code": 400, "error": "Request missing required field", "missing_field": field}));
    let Some(Value::String(key)) = request.remove("api_key") else { return missing("api_key") };
    let (now_ms, throttle) = (state.now_ms(), state.throttle);
    let silenced = state.silenced.clone();
    let Some(project) = state.project_in(&key, region) else { return Answer::refusal(&format!("Invalid API key: {key}")) };
    project.counts.requests += 1;
    let events = match request.remove("events") {
        None | Some(Value::Null) => return missing("events"),
        Some(Value::Array(events)) => events,
        Some(_) => return Answer::refusal("Invalid event JSON"),
    };
    let count = events.len();
    if count > limits::BATCH_EVENTS {
        return Answer::too_large().of(count);
    }
    let Some(min_id) = min_id_length(request.get("options")) else {
        return Answer::refusal("Invalid JSON request body: options.min_id_length must be a whole number").of(count);
    };
    if let Err(refusal) = check(&events, min_id, &silenced) {
        project.counts.rejected += refusal.named as u64;
        return Answer::coded(refusal.answer).of(count);
    }
    if let Some(allowance) = throttle.allowance(endpoint)
        && let Err(answer) = project.rates.admit(endpoint, allowance, &events, now_ms)
    {
        return Answer::coded(answer).of(count);
    }
    for event in events {
        let number = state.next_number();
        let (Some(project), Value::Object(event)) = (state.project_in(&key, region), event) else { continue };
        if let Err(error) = project.take(number, now_ms, event) {
            return Answer::coded(json!({"code": 500, "error": format!("the data folder cannot be written: {error}")})).of(count);
        }
    }
    let answer = json!({"code": 200, "events_ingested": count, "payload_size_bytes": body.len(), "server_upload_time": now_ms});
    Answer::coded(answer).of(count)
}

/// The least characters of an id; `None` for what is no length.
fn min_id_length(options: Option<&Value>) -> Option<usize> {
    match options {
        None | Some(Value::Null) => Some(limits::MIN_ID_CHARS),
        Some(Value::Object(options)) => match options.get("min_id_length") {
            None | Some(Value::Null) => Some(limits::MIN_ID_CHARS),
            Some(length) => length.as_u64().and_then(|length| usize::try_from(length).ok()),
        },
        Some(_) => None,
    }
}
