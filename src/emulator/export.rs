//! Export: a ZIP archive of hours, each a gzip file of lines.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Cursor, Write as _},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{
    answer::{Answer, Body},
    credentials::{self, Presented},
    oauth::Delegated,
    people::amplitude_id,
    project::{ProjectState, Stored, device_id},
    state::State,
    time,
};
use crate::{Region, limits, pipeline::fnv1a};

const HOUR_MS: u64 = 3_600_000;

/// Answers with an archive, or with a status and why.
pub(super) fn export(state: &mut State, region: Region, presented: &Presented, query: &HashMap<String, String>) -> Answer {
    match find(state, region, presented, query) {
        Ok(archive) => Answer::new(200, Body::Archive(archive)),
        Err(answer) => answer,
    }
}

fn find(state: &mut State, region: Region, presented: &Presented, query: &HashMap<String, String>) -> Result<Vec<u8>, Answer> {
    let now_ms = state.now_ms();
    let delay_ms = u64::try_from(state.export_delay.as_millis()).unwrap_or(u64::MAX);
    let limit = state.export_limit_bytes;
    let key = credentials::project_of(state, region, presented, Delegated::Events)?;
    let project = state.project_in(&key, region).ok_or_else(|| Answer::text(401, "the project is not known"))?;
    let hour = |name: &str| {
        query
            .get(name)
            .and_then(|text| time::parse_hour(text))
            .ok_or_else(|| Answer::text(400, format!("{name}: must be like 20260101T05")))
    };
    let (start, end) = (hour("start")?, hour("end")?);
    if end < start {
        return Err(Answer::text(400, "end: is before start"));
    }
    if end - start >= limits::EXPORT_DAYS * 24 {
        return Err(Answer::text(400, "the range is longer than 365 days"));
    }
    let mut hours: BTreeMap<u64, Vec<&Stored>> = BTreeMap::new();
    for stored in project.events_after(0) {
        let hour = stored.received_ms / HOUR_MS;
        let ready = stored.received_ms.saturating_add(delay_ms) <= now_ms;
        let is_event = !matches!(stored.event["event_type"].as_str(), Some("$identify" | "$groupidentify"));
        if (start..=end).contains(&hour) && ready && is_event {
            hours.entry(hour).or_default().push(stored);
        }
    }
    if hours.is_empty() {
        return Err(Answer::text(404, "Raw data files were not found."));
    }
    let archive = archive(project, &hours).map_err(|error| Answer::text(500, error.to_string()))?;
    if archive.len() as u64 > limit {
        return Err(Answer::text(400, "The file you are trying to download is too large; use a smaller range."));
    }
    Ok(archive)
}

fn archive(project: &ProjectState, hours: &BTreeMap<u64, Vec<&Stored>>) -> io::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (hour, events) in hours {
        let mut lines = GzEncoder::new(Vec::new(), Compression::fast());
        for stored in events {
            serde_json::to_writer(&mut lines, &exported(project.id, stored))?;
            lines.write_all(b"\n")?;
        }
        archive.start_file(format!("{0}/{0}_{1}#0.json.gz", project.id, time::member_hour(*hour)), options)?;
        archive.write_all(&lines.finish()?)?;
    }
    Ok(archive.finish()?.into_inner())
}

/// Names in an export, each with the name that the field had when it came.
const TEXTS: [(&str, &str); 17] = [
    ("event_type", "event_type"),
    ("user_id", "user_id"),
    ("library", "library"),
    ("city", "city"),
    ("region", "region"),
    ("country", "country"),
    ("dma", "dma"),
    ("language", "language"),
    ("platform", "platform"),
    ("os_name", "os_name"),
    ("os_version", "os_version"),
    ("version_name", "app_version"),
    ("device_carrier", "carrier"),
    ("device_type", "device_model"),
    ("ip_address", "ip"),
    ("$insert_id", "insert_id"),
    ("event_id", "event_id"),
];

fn exported(app: u64, stored: &Stored) -> Value {
    let event = &stored.event;
    let who = event["user_id"].as_str().or_else(|| event["device_id"].as_str()).unwrap_or_default();
    let object = |name: &str| if event[name].is_object() { event[name].clone() } else { json!({}) };
    let uploaded = time::export_text(stored.received_ms);
    let happened = time::export_text(event["time"].as_u64().unwrap_or(stored.received_ms));
    let mut line = json!({
        "app": app, "amplitude_id": amplitude_id(who), "uuid": uuid(stored), "device_id": event.as_object().map(device_id),
        "event_time": happened, "client_event_time": happened, "client_upload_time": uploaded, "server_received_time": uploaded,
        "server_upload_time": uploaded, "processed_time": uploaded,
        "event_properties": object("event_properties"), "user_properties": *stored.user_properties,
        "groups": object("groups"), "group_properties": object("group_properties"), "data": {},
        "location_lat": event["location_lat"], "location_lng": event["location_lng"],
        "session_id": event["session_id"].as_i64().unwrap_or(-1),
        "amplitude_attribution_ids": null, "device_family": null, "paying": null, "sample_rate": null, "start_version": null,
    });
    for (exported, name) in TEXTS {
        line[exported] = event[name].clone();
    }
    line
}

fn uuid(stored: &Stored) -> String {
    let (high, low) = (fnv1a(&stored.number.to_le_bytes()), stored.number);
    format!("{:08x}-{:04x}-4{:03x}-8000-{low:012x}", high >> 32, high >> 16 & 0xffff, high & 0xfff)
}
