//! A project: its events, its people, what it saw before, and the file that keeps them.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{Project, cohorts::Cohort, people::People, properties, throttle::Rates};
use crate::{limits, pipeline::fnv1a};

/// What a project has seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests to HTTP V2, Batch, Identify and Group Identify.
    pub requests: u64,
    /// Events that were taken.
    pub accepted: u64,
    /// Events that a reply of 400 named, or all of its request where it named none.
    pub rejected: u64,
    /// Events that were known already, and ignored.
    pub duplicates: u64,
}

/// An event that was taken.
#[derive(Debug)]
pub(super) struct Stored {
    /// Rises over all projects.
    pub(super) number: u64,
    pub(super) received_ms: u64,
    pub(super) event: Value,
    /// What was known of its user then.
    pub(super) user_properties: Arc<Map<String, Value>>,
}

/// Everything about one project.
#[derive(Debug)]
pub(super) struct ProjectState {
    pub(super) project: Project,
    /// The number that exports use.
    pub(super) id: u64,
    pub(super) counts: Counts,
    pub(super) rates: Rates,
    pub(super) people: People,
    pub(super) cohorts: Vec<Cohort>,
    stored: Vec<Stored>,
    /// When a device's insert id was first seen, in seconds.
    seen: HashMap<(String, String), u64>,
    file: Option<File>,
}

impl ProjectState {
    pub(super) fn new(id: u64, project: Project) -> Self {
        Self {
            project,
            id,
            counts: Counts::default(),
            rates: Rates::default(),
            people: People::default(),
            cohorts: Vec::new(),
            stored: Vec::new(),
            seen: HashMap::new(),
            file: None,
        }
    }

    /// The events whose number is higher.
    pub(super) fn events_after(&self, number: u64) -> &[Stored] {
        &self.stored[self.stored.partition_point(|stored| stored.number <= number)..]
    }

    /// Takes an event unless its device sent the same insert id in the last seven days.
    pub(super) fn take(&mut self, number: u64, now_ms: u64, event: Map<String, Value>) -> io::Result<()> {
        if self.is_known(&event, now_ms / 1000) {
            self.counts.duplicates += 1;
            return Ok(());
        }
        let event = properties::kept(event);
        self.keep(now_ms, "event", &event)?;
        self.add(number, now_ms, event);
        Ok(())
    }

    /// Takes an object of Identify or Group Identify, which is no event.
    pub(super) fn take_identification(&mut self, now_ms: u64, object: Map<String, Value>) -> io::Result<()> {
        self.keep(now_ms, "identification", &object)?;
        self.learn(&object);
        Ok(())
    }

    fn is_known(&mut self, event: &Map<String, Value>, now_s: u64) -> bool {
        let Some(insert_id) = event.get("insert_id").and_then(Value::as_str).map(str::to_owned) else { return false };
        let first = self.seen.entry((device_id(event), insert_id)).or_insert(u64::MAX);
        let known = *first != u64::MAX && now_s.saturating_sub(*first) < limits::DEDUP_DAYS * 86_400;
        if !known {
            *first = now_s;
        }
        known
    }

    fn add(&mut self, number: u64, received_ms: u64, event: Map<String, Value>) {
        let known = self.people.learn(&event).unwrap_or_default();
        if event.get("event_type").is_some_and(|it| it == "$groupidentify") {
            self.learn_groups(&event);
        }
        let own = || event.get("user_properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let skips = event.get("$skip_user_properties_sync").is_some_and(|it| it == true);
        let user_properties = if skips { Arc::new(own()) } else { known };
        self.counts.accepted += 1;
        self.stored.push(Stored { number, received_ms, event: Value::Object(event), user_properties });
    }

    fn learn(&mut self, object: &Map<String, Value>) {
        let (kind, name) = (object.get("group_type"), object.get("group_value"));
        if let (Some(Value::String(kind)), Some(name), Some(Value::Object(changes))) =
            (kind, name, object.get("group_properties"))
        {
            self.people.learn_group(kind, &group_name(name), changes);
        } else {
            self.people.learn(object);
        }
    }

    fn learn_groups(&mut self, event: &Map<String, Value>) {
        let (Some(Value::Object(groups)), Some(Value::Object(changes))) = (event.get("groups"), event.get("group_properties"))
        else {
            return;
        };
        for (kind, names) in groups {
            for name in names.as_array().map_or(std::slice::from_ref(names), Vec::as_slice) {
                self.people.learn_group(kind, &group_name(name), changes);
            }
        }
    }

    /// Forgets everything but the project itself.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        let file = self.file.take();
        *self = Self::new(self.id, self.project.clone());
        if let Some(file) = file {
            file.set_len(0)?;
            self.file = Some(file);
        }
        Ok(())
    }

    fn keep(&mut self, now_ms: u64, what: &str, object: &Map<String, Value>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = json!({"received_ms": now_ms, what: object}).to_string();
        line.push('\n');
        file.write_all(line.as_bytes())
    }

    /// Reads what an earlier emulator kept in a file, and keeps the rest there. A last line that was cut off is removed.
    pub(super) fn open(&mut self, path: &Path, next_number: &mut u64) -> io::Result<()> {
        let broken = |why: &dyn std::fmt::Display| io::Error::other(format!("{}: {why}", path.display()));
        let file = File::options().append(true).create(true).open(path)?;
        file.try_lock().map_err(|error| broken(&format_args!("another emulator uses it: {error}")))?;
        let text = fs::read(path)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        file.set_len(whole as u64)?;
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).map_err(|error| broken(&error))?;
            let Some(received_ms) = line["received_ms"].as_u64() else { return Err(broken(&"a line has no received_ms")) };
            match (line["event"].as_object(), line["identification"].as_object()) {
                (Some(event), _) => {
                    *next_number += 1;
                    self.is_known(event, received_ms / 1000);
                    self.add(*next_number, received_ms, event.clone());
                }
                (None, Some(object)) => self.learn(object),
                (None, None) => return Err(broken(&"a line has neither an event nor an identification")),
            }
        }
        self.file = Some(file);
        Ok(())
    }
}

/// The device of an event; where none is named, one derived from its user.
pub(super) fn device_id(event: &Map<String, Value>) -> String {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    text("device_id").map_or_else(|| format!("{:016x}R", fnv1a(text("user_id").unwrap_or_default().as_bytes())), str::to_owned)
}

/// Groups are named by texts; a number is one.
fn group_name(name: &Value) -> String {
    name.as_str().map_or_else(|| name.to_string(), str::to_owned)
}
