//! What the emulator knows: its projects, its clock, the faults to come, and the requests it answered.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fs, io,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use super::{
    Builder,
    credentials::{Credential, CredentialState},
    faults::Faults,
    oauth::OAuth,
    project::ProjectState,
    sealed::Sealed,
    throttle::Throttle,
};
use crate::Region;

/// A request and what was answered, as the live view tells it.
#[derive(Debug, Serialize)]
pub(super) struct Answered {
    pub(super) path: String,
    /// None where the connection was broken instead.
    pub(super) status: Option<u16>,
    /// Whether a fault was the answer.
    pub(super) fault: bool,
    /// None where the body could not be read as far as that.
    pub(super) events: Option<usize>,
    /// Of the body as it came.
    pub(super) bytes: usize,
    pub(super) error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Remembered {
    /// Rises over requests and events.
    pub(super) number: u64,
    at_ms: u64,
    #[serde(flatten)]
    answered: Answered,
}

/// So many requests are remembered.
const ANSWERED: usize = 1000;

#[derive(Debug)]
pub(super) struct State {
    pub(super) projects: Vec<ProjectState>,
    pub(super) credentials: Vec<Credential>,
    /// Secrets that are not good any more.
    ended: HashMap<Sealed, CredentialState>,
    pub(super) oauth: OAuth,
    pub(super) throttle: Throttle,
    pub(super) silenced: BTreeSet<String>,
    pub(super) export_delay: Duration,
    pub(super) export_limit_bytes: u64,
    pub(super) faults: Faults,
    pub(super) answered: VecDeque<Remembered>,
    /// All requests, also those that no project knows of.
    pub(super) requests: u64,
    started: (SystemTime, Instant),
    ahead: Duration,
    last_number: u64,
}

impl State {
    pub(super) fn new(settings: Builder, address: SocketAddr) -> io::Result<Self> {
        let mut state = Self {
            projects: Vec::new(),
            credentials: settings.credentials,
            ended: HashMap::new(),
            oauth: OAuth::new(settings.oauth, address)?,
            throttle: settings.throttle,
            silenced: settings.silenced_devices.into_iter().collect(),
            export_delay: settings.export_delay,
            export_limit_bytes: settings.export_limit_bytes,
            faults: Faults::default(),
            answered: VecDeque::new(),
            requests: 0,
            started: (SystemTime::now(), Instant::now()),
            ahead: Duration::ZERO,
            last_number: 0,
        };
        for (id, project) in (100_001..).zip(settings.projects) {
            if state.project(&project.key).is_some() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "two projects have the same API key"));
            }
            state.projects.push(ProjectState::new(id, project));
        }
        if let Some(dir) = settings.data_dir {
            fs::create_dir_all(&dir)?;
            for project in &mut state.projects {
                project.open(&dir.join(format!("{}.ndjson", project.id)), &mut state.last_number)?;
            }
        }
        Ok(state)
    }

    /// Never goes back, whatever the system's clock does.
    pub(super) fn now_ms(&self) -> u64 {
        let (wall, instant) = self.started;
        let started = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = started.saturating_add(instant.elapsed()).saturating_add(self.ahead);
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn advance(&mut self, time: Duration) {
        self.ahead = self.ahead.saturating_add(time);
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn remember(&mut self, answered: Answered) {
        let remembered = Remembered { number: self.next_number(), at_ms: self.now_ms(), answered };
        self.requests += 1;
        if self.answered.len() == ANSWERED {
            self.answered.pop_front();
        }
        self.answered.push_back(remembered);
    }

    pub(super) fn project(&self, key: &str) -> Option<&ProjectState> {
        self.projects.iter().find(|it| it.project.key == key)
    }

    pub(super) fn projects_of(&self, region: Region) -> impl Iterator<Item = &ProjectState> {
        self.projects.iter().filter(move |it| it.project.region == region)
    }

    /// The key of a region's first project.
    pub(super) fn first_project(&self, region: Region) -> Option<String> {
        self.projects_of(region).next().map(|it| it.project.key.clone())
    }

    /// Whether these are a project's API key and secret key.
    pub(super) fn has_pair(&self, key: &str, secret: &Sealed, region: Region) -> bool {
        self.projects_of(region).any(|it| it.project.key == key && Sealed::of(&it.project.secret) == *secret)
    }

    /// Whether this is a project's secret key.
    pub(super) fn has_secret(&self, secret: &Sealed, region: Region) -> bool {
        self.projects_of(region).any(|it| Sealed::of(&it.project.secret) == *secret)
    }

    /// Whether this is a secret of any project or credential.
    pub(super) fn has_any(&self, secret: &Sealed) -> bool {
        let of_projects = self.projects.iter().any(|it| Sealed::of(&it.project.secret) == *secret);
        of_projects || self.credentials.iter().any(|it| it.secret() == secret)
    }

    pub(super) fn credential_state(&self, secret: &Sealed) -> CredentialState {
        self.ended.get(secret).copied().unwrap_or(CredentialState::Good)
    }

    pub(super) fn set_credential_state(&mut self, secret: Sealed, now: CredentialState) {
        self.ended.insert(secret, now);
    }

    /// A key is known in its own region alone.
    pub(super) fn project_in(&mut self, key: &str, region: Region) -> Option<&mut ProjectState> {
        self.projects.iter_mut().find(|it| it.project.key == key && it.project.region == region)
    }

    /// Forgets all events, requests, faults to come, what was granted, and which credentials have ended; projects and clients stay.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        self.faults.clear();
        self.answered.clear();
        self.requests = 0;
        self.ended.clear();
        self.oauth.reset();
        self.projects.iter_mut().try_for_each(ProjectState::reset)
    }
}
