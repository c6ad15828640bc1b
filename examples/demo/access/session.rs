//! Sessions: what the application knows of a visitor, by a cookie that says nothing by itself.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use amplitude_sdk::server::oauth::OAuthApp;
use axum::http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

use super::{
    Grant,
    application::CALLBACK,
    timeline::{Listener, Timeline},
};

/// More visitors than these a demo has not; the oldest is forgotten.
const MAX_SESSIONS: usize = 64;

/// As long as a request for consent waits.
const PENDING_SECONDS: u32 = 600;

pub(super) struct Sessions {
    /// Cookies know no ports, so that two demos on one machine need different names.
    port: u16,
    /// By what their cookies say, the newest last.
    all: Mutex<VecDeque<(String, Arc<Session>)>>,
}

/// A visitor.
#[derive(Default)]
pub(super) struct Session {
    pub(super) timeline: Timeline,
    state: Mutex<Story>,
}

#[derive(Default)]
struct Story {
    /// The application that has asked and waits for an answer, and who hears what becomes of it.
    asked: Option<(OAuthApp, Listener)>,
    grant: Option<Arc<Grant>>,
    note: Option<Note>,
}

/// How the last step ended.
#[derive(Clone, Serialize)]
pub(super) struct Note {
    pub(super) tone: &'static str,
    pub(super) text: String,
}

impl Note {
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { tone: "good", text: text.into() }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { tone: "bad", text: text.into() }
    }
}

impl Sessions {
    pub(super) fn new(port: u16) -> Self {
        Self { port, all: Mutex::default() }
    }

    pub(super) fn of(&self, headers: &HeaderMap) -> Option<Arc<Session>> {
        let id = cookie(headers, &self.name("session"))?;
        lock(&self.all).iter().find(|(known, _)| known == id).map(|(_, session)| Arc::clone(session))
    }

    pub(super) fn has_cookie(&self, headers: &HeaderMap) -> bool {
        cookie(headers, &self.name("session")).is_some()
    }

    /// The visitor's session, or a new one with its cookie.
    pub(super) fn of_or_new(&self, headers: &HeaderMap) -> Result<(Arc<Session>, Option<HeaderValue>), String> {
        if let Some(session) = self.of(headers) {
            return Ok((session, None));
        }
        let id: String = random()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let session = Arc::<Session>::default();
        let cookie = self.cookie("session", &id, "/access", None);
        let mut all = lock(&self.all);
        if all.len() >= MAX_SESSIONS {
            all.pop_front();
        }
        all.push_back((id, Arc::clone(&session)));
        Ok((session, Some(cookie)))
    }

    /// Has the browser keep a request for consent, until it comes back.
    pub(super) fn keep_pending(&self, sealed: &str) -> HeaderValue {
        self.cookie("pending", sealed, CALLBACK, Some(PENDING_SECONDS))
    }

    pub(super) fn pending<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        cookie(headers, &self.name("pending"))
    }

    pub(super) fn forget_pending(&self) -> HeaderValue {
        self.cookie("pending", "", CALLBACK, Some(0))
    }

    fn name(&self, of: &str) -> String {
        format!("{of}-{}", self.port)
    }

    /// Kept from scripts, and from requests that other sites make, but for a link that leads here. `Secure` is missing because there is no
    /// https on loopback; elsewhere it belongs here.
    fn cookie(&self, of: &str, value: &str, path: &str, max_age: Option<u32>) -> HeaderValue {
        let max_age = max_age.map_or(String::new(), |seconds| format!("; Max-Age={seconds}"));
        let text = format!("{}={value}; Path={path}; HttpOnly; SameSite=Lax{max_age}", self.name(of));
        HeaderValue::from_str(&text).expect("names and values are hexadecimal or base64url")
    }
}

impl Session {
    /// Begins: an application waits for an answer.
    pub(super) fn ask(&self, app: OAuthApp, listener: Listener) {
        let mut state = lock(&self.state);
        (state.asked, state.note) = (Some((app, listener)), None);
    }

    /// The application that has asked.
    pub(super) fn asked(&self) -> Option<(OAuthApp, Listener)> {
        lock(&self.state).asked.clone()
    }

    /// The answer was yes; what was granted before is answered.
    pub(super) fn grant_anew(&self, grant: Grant, note: Note) -> Option<Arc<Grant>> {
        let mut state = lock(&self.state);
        (state.asked, state.note) = (None, Some(note));
        state.grant.replace(Arc::new(grant))
    }

    /// It is over.
    pub(super) fn end(&self, note: Note) {
        let mut state = lock(&self.state);
        (state.grant, state.note) = (None, Some(note));
    }

    pub(super) fn grant(&self) -> Option<Arc<Grant>> {
        lock(&self.state).grant.clone()
    }

    pub(super) fn tell(&self, note: Note) {
        lock(&self.state).note = Some(note);
    }

    pub(super) fn note(&self) -> Option<Note> {
        lock(&self.state).note.clone()
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

pub(super) fn random() -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(bytes)
}

/// What a panic left behind is whole: nothing is changed in two steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
