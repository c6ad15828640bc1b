//! What only an emulator has: the live view, its data, and the controls for tests.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Query, State as Shared},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, Body},
    body, faults,
    project::Counts,
    routes::Emulated,
    state::State,
};
use crate::promise::lock;

pub(super) fn router() -> Router<std::sync::Arc<std::sync::Mutex<State>>> {
    Router::new()
        .route("/", get(|| async { Html(include_str!("view.html")) }))
        .route("/_emulator/state", get(show_state))
        .route("/_emulator/events", get(show_events))
        .route("/_emulator/requests", get(show_requests))
        .route("/_emulator/people", get(show_people))
        .route("/_emulator/faults", post(add_fault))
        .route("/_emulator/clock", post(advance))
        .route("/_emulator/silence", post(silence))
        .route("/_emulator/reset", post(reset))
        .layer(axum::middleware::from_fn(super::guard::own_pages_alone))
}

async fn show_state(Shared(state): Emulated) -> Json<Value> {
    let state = lock(&state);
    let counts = |counts: Counts| {
        json!({
            "requests": counts.requests, "accepted": counts.accepted, "rejected": counts.rejected, "duplicated": counts.duplicates,
        })
    };
    let mut total = Counts { requests: state.requests, ..Counts::default() };
    let mut projects = Map::new();
    for project in &state.projects {
        total.accepted += project.counts.accepted;
        total.rejected += project.counts.rejected;
        total.duplicates += project.counts.duplicates;
        projects.insert(project.project.key.clone(), counts(project.counts));
    }
    let mut answer = counts(total);
    answer["projects"] = Value::Object(projects);
    Json(answer)
}

#[derive(Deserialize)]
struct Which {
    project: Option<String>,
    #[serde(default)]
    after: u64,
}

/// At most so many in one answer; who wants more asks again, after the last.
const AT_ONCE: usize = 500;

async fn show_events(Shared(state): Emulated, Query(which): Query<Which>) -> Json<Value> {
    let state = lock(&state);
    let projects = state.projects.iter().filter(|it| which.project.as_ref().is_none_or(|key| it.project.key == *key));
    let mut events: Vec<_> = projects
        .flat_map(|it| it.events_after(which.after).iter().take(AT_ONCE).map(|stored| (it.project.key.as_str(), stored)))
        .collect();
    events.sort_by_key(|(_, stored)| stored.number);
    let shown = events.into_iter().take(AT_ONCE).map(|(project, stored)| {
        json!({"number": stored.number, "project": project, "received_ms": stored.received_ms, "event": stored.event})
    });
    Json(shown.collect())
}

async fn show_requests(Shared(state): Emulated, Query(which): Query<Which>) -> Json<Value> {
    let state = lock(&state);
    let shown: Vec<_> = state.answered.iter().filter(|it| it.number > which.after).take(AT_ONCE).collect();
    Json(json!(shown))
}

async fn show_people(Shared(state): Emulated, Query(which): Query<Which>) -> Response {
    let state = lock(&state);
    let project = match &which.project {
        Some(key) => state.project(key),
        None => state.projects.first(),
    };
    match project {
        Some(project) => Json(project.people.describe()).into_response(),
        None => Answer::text(404, "no such project").into_response(),
    }
}

fn done() -> Answer {
    Answer::new(204, Body::Empty)
}

/// Bodies of controls are small.
const CONTROL_BYTES: usize = 10_000;

async fn add_fault(Shared(state): Emulated, body: axum::body::Body) -> Answer {
    let body = match body::read(body, CONTROL_BYTES).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    match faults::parse(&body) {
        Ok((api, fault, times)) => {
            lock(&state).faults.add(api, fault, times);
            done()
        }
        Err(text) => Answer::text(400, text),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: u64,
}

async fn advance(Shared(state): Emulated, Json(advance): Json<Advance>) -> Answer {
    lock(&state).advance(Duration::from_millis(advance.advance_ms));
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Silence {
    device_id: String,
}

async fn silence(Shared(state): Emulated, Json(silence): Json<Silence>) -> Answer {
    lock(&state).silenced.insert(silence.device_id);
    done()
}

async fn reset(Shared(state): Emulated) -> Answer {
    match lock(&state).reset() {
        Ok(()) => done(),
        Err(error) => Answer::text(500, error.to_string()),
    }
}
