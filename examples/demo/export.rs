//! What the server reads back with the project's secret key, which nobody else here knows.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use amplitude_sdk::{
    Error, ErrorKind,
    server::{CanExport, Client, Export, ExportRange, ExportedEvent, Options, ProjectClient, ProjectPair},
};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use crate::{Failure, reply};

/// Of a large export the newest events are shown.
const SHOWN_EVENTS: usize = 500;
const SHOWN_ERRORS: usize = 20;

pub(crate) fn router(pair: ProjectPair, amplitude: &str) -> Result<Router, Failure> {
    let options = Options::new().base_url(amplitude).request_timeout(Duration::from_secs(10));
    let client = Client::with_options(pair, options)?;
    Ok(Router::new().route("/api/export", get(export)).with_state(Arc::new(client)))
}

/// What the Export API returns for `start` to `end` (`20260101T05`), or for the last 24 hours.
async fn export(State(client): State<Arc<ProjectClient>>, Query(query): Query<HashMap<String, String>>) -> Response {
    match try_export(&client, &query).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => reply::failed(&error, StatusCode::BAD_GATEWAY),
    }
}

async fn try_export(client: &ProjectClient, query: &HashMap<String, String>) -> Result<Value, Error> {
    let range = match (query.get("start"), query.get("end")) {
        (None, None) => last_day()?,
        (start, end) => ExportRange::parse(start.map_or("", String::as_str), end.map_or("", String::as_str))?,
    };
    let (mut total, mut newest) = (0_u64, VecDeque::new());
    let unreadable = read(client, range, |event| {
        total += 1;
        newest.push_front(row(&event));
        newest.truncate(SHOWN_EVENTS);
    })
    .await?;
    let Some(unreadable) = unreadable else {
        return Ok(json!({"outcome": "no_data", "total": 0, "events": [], "unreadable": []}));
    };
    Ok(json!({"outcome": "events", "total": total, "events": newest, "unreadable": unreadable}))
}

/// The hours since this time yesterday.
pub(crate) fn last_day() -> Result<ExportRange, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    ExportRange::from_unix_seconds(now.saturating_sub(23 * 3600), now)
}

/// Exports with whatever credential may do that, and gives each event away. The answer is what could not be read, or `None` where there is
/// no event.
pub(crate) async fn read<C: CanExport>(
    client: &Client<C>,
    range: ExportRange,
    mut take: impl FnMut(ExportedEvent),
) -> Result<Option<Vec<String>>, Error> {
    let Export::Events(mut events) = client.export(range).await? else { return Ok(None) };
    let mut unreadable = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => take(event),
            // A line or a file of the archive; what can be read is shown all the same.
            Err(error) if error.kind() == ErrorKind::Protocol => {
                unreadable.push(error.to_string());
                unreadable.truncate(SHOWN_ERRORS);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(unreadable))
}

fn row(event: &ExportedEvent) -> Value {
    // The line was read as JSON once already; its properties are shown as they came.
    let line: Value = serde_json::from_str(event.json()).unwrap_or_default();
    json!({
        "event_type": event.event_type(), "user_id": event.user_id(), "device_id": event.device_id(), "session_id": event.session_id(),
        "insert_id": event.insert_id(), "event_time": event.event_time(), "server_upload_time": event.server_upload_time(),
        "event_properties": line["event_properties"],
    })
}
