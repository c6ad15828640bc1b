//! What the emulator knows: projects, their events, what it saw before, its clock, and the faults to come.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File},
    io::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use super::{Builder, Project};
use crate::{Region, limits};

/// Whether ids that send too much are throttled.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Throttle {
    /// Never.
    #[default]
    Off,
    /// As documented: 30 events in one second for each user and device on HTTP V2, 1000 on Batch, and 500,000 a day for each device
    /// on Batch.
    Documented,
    /// As documented, with other numbers.
    Limits {
        /// Events of one id in one second.
        per_second: u64,
        /// Events of one id in 24 hours.
        per_day: u64,
    },
}

/// What one ingestion request meets instead of an answer, or along with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// This status with an empty body; nothing is taken.
    Status(u16),
    /// The right answer, after so long.
    Delay(Duration),
    /// The connection breaks; nothing is taken.
    HangUp,
    /// 200 with an HTML page, as a captive portal answers; nothing is taken.
    Html,
    /// The events are taken, then the connection breaks.
    AcceptThenHangUp,
    /// The events are taken, then this status is the answer.
    AcceptThenStatus(u16),
}

/// What a project has seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Ingestion requests.
    pub requests: u64,
    /// Events that were taken.
    pub accepted: u64,
    /// Events of requests that were refused with 400.
    pub rejected: u64,
    /// Events that were known already, and ignored.
    pub duplicates: u64,
}

#[derive(Debug)]
pub(super) struct Stored {
    /// Rises over all projects.
    pub(super) number: u64,
    pub(super) received_ms: u64,
    pub(super) event: Value,
}

#[derive(Debug)]
pub(super) struct ProjectState {
    pub(super) project: Project,
    /// The number that exports use.
    pub(super) id: u64,
    pub(super) counts: Counts,
    stored: Vec<Stored>,
    /// When a device's insert id was seen, in seconds.
    seen: HashMap<(String, String), u64>,
    /// The events of an id in this second and in these 24 hours, each with its start in milliseconds.
    rates: HashMap<String, [(u64, u64); 2]>,
    file: Option<File>,
}

impl ProjectState {
    pub(super) fn events(&self) -> impl Iterator<Item = &Stored> {
        self.stored.iter()
    }

    /// Takes an event unless its device sent the same insert id in the last seven days.
    pub(super) fn take(&mut self, number: u64, now_ms: u64, event: Value) -> io::Result<()> {
        let id = |name: &str| event[name].as_str().map(str::to_owned);
        if let Some(insert_id) = id("insert_id") {
            let device = id("device_id").or_else(|| id("user_id")).unwrap_or_default();
            let known = self.seen.insert((device, insert_id), now_ms / 1000);
            if known.is_some_and(|seen| now_ms / 1000 - seen < limits::DEDUP_DAYS * 86_400) {
                self.counts.duplicates += 1;
                return Ok(());
            }
        }
        self.counts.accepted += 1;
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", serde_json::json!({"received_ms": now_ms, "event": event}))?;
        }
        self.stored.push(Stored { number, received_ms: now_ms, event });
        Ok(())
    }

    /// The rate of an id with `more` events: in this second, and in 24 hours.
    pub(super) fn rate(&mut self, id: &str, more: u64, now_ms: u64) -> (u64, u64) {
        let windows = self.rates.entry(id.to_owned()).or_default();
        for (window, length) in windows.iter_mut().zip([1000, 86_400_000]) {
            if now_ms - window.0 >= length {
                *window = (now_ms, 0);
            }
        }
        (windows[0].1 + more, windows[1].1 + more)
    }

    pub(super) fn count_rate(&mut self, id: &str) {
        for (_, count) in self.rates.entry(id.to_owned()).or_default() {
            *count += 1;
        }
    }

    fn load(&mut self, path: &std::path::Path, next_number: &mut u64) -> io::Result<()> {
        if path.exists() {
            for line in fs::read_to_string(path)?.lines() {
                let mut line: Value =
                    serde_json::from_str(line).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
                let received_ms = line["received_ms"].as_u64().unwrap_or_default();
                *next_number += 1;
                self.take(*next_number, received_ms, line["event"].take())?;
            }
        }
        self.file = Some(File::options().append(true).create(true).open(path)?);
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct State {
    projects: Vec<ProjectState>,
    pub(super) settings: Builder,
    faults: VecDeque<(Fault, u32)>,
    ahead: Duration,
    last_number: u64,
}

impl State {
    pub(super) fn new(settings: Builder) -> io::Result<Self> {
        let mut state = Self { projects: Vec::new(), settings, faults: VecDeque::new(), ahead: Duration::ZERO, last_number: 0 };
        for (index, project) in state.settings.projects.clone().into_iter().enumerate() {
            state.projects.push(ProjectState {
                id: 100_001 + index as u64,
                project,
                counts: Counts::default(),
                stored: Vec::new(),
                seen: HashMap::new(),
                rates: HashMap::new(),
                file: None,
            });
        }
        if let Some(dir) = state.settings.data_dir.clone() {
            fs::create_dir_all(&dir)?;
            for project in &mut state.projects {
                project.load(&dir.join(format!("{}.ndjson", project.id)), &mut state.last_number)?;
            }
        }
        Ok(state)
    }

    pub(super) fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + self.ahead;
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn advance(&mut self, time: Duration) {
        self.ahead += time;
    }

    pub(super) fn add_fault(&mut self, fault: Fault, times: u32) {
        if times > 0 {
            self.faults.push_back((fault, times));
        }
    }

    pub(super) fn next_fault(&mut self) -> Option<Fault> {
        let (fault, left) = self.faults.front_mut()?;
        let fault = *fault;
        *left -= 1;
        if *left == 0 {
            self.faults.pop_front();
        }
        Some(fault)
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn projects(&self) -> &[ProjectState] {
        &self.projects
    }

    pub(super) fn project(&self, key: &str) -> Option<&ProjectState> {
        self.projects.iter().find(|it| it.project.key == key)
    }

    /// A key is known in its own region alone.
    pub(super) fn project_in(&mut self, key: &str, region: Region) -> Option<&mut ProjectState> {
        self.projects.iter_mut().find(|it| it.project.key == key && it.project.region == region)
    }

    /// Forgets all events and counts; the projects stay.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        self.faults.clear();
        for project in &mut self.projects {
            project.counts = Counts::default();
            project.stored.clear();
            project.seen.clear();
            project.rates.clear();
            if let Some(file) = &mut project.file {
                file.set_len(0)?;
            }
        }
        Ok(())
    }
}
