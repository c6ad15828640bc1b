//! Who the events are of: user, device and session, kept from page to page.

use crate::{
    Event, Result,
    context::InsertIds,
    event::check_id,
    json::{self, Kind, Reader},
    session::Session,
    web::Storage,
};

/// The last event's time is written no more often than this; a write costs more than the rest of `track`.
const WRITE_EVERY_MS: u64 = 5000;

/// The ids that a page's events carry.
pub(crate) struct Identity {
    storage: Storage,
    /// Where the state is kept: one place for each project.
    name: String,
    pub(crate) user_id: Option<String>,
    pub(crate) device_id: String,
    session: Option<Session>,
    written_ms: u64,
    timeout_ms: u64,
    /// Fields that every event of this page has, as JSON texts.
    page: Vec<(&'static str, String)>,
}

impl Identity {
    /// What the last page left, or a new device.
    pub(crate) fn open(project: &str, timeout_ms: u64, page: Vec<(&'static str, String)>) -> Self {
        let storage = Storage::open();
        let name = ["amplitude-sdk:", project].concat();
        let kept = storage.read(&name).and_then(|text| Kept::read(&text)).unwrap_or_default();
        let device_id = kept.device_id.unwrap_or_else(new_id);
        Self { storage, name, user_id: kept.user_id, device_id, session: kept.session, written_ms: 0, timeout_ms, page }
    }

    /// The session that is under way; `None` before the first event.
    pub(crate) fn session_id(&self) -> Option<u64> {
        self.session.map(|session| session.id)
    }

    /// Checks an id by an event's rules.
    pub(crate) fn set_user_id(&mut self, id: Option<String>) -> Result<()> {
        if let Some(id) = &id {
            check_id("user_id", id)?;
        }
        self.user_id = id;
        self.write(0);
        Ok(())
    }

    pub(crate) fn set_device_id(&mut self, id: String) -> Result<()> {
        check_id("device_id", &id)?;
        self.device_id = id;
        self.write(0);
        Ok(())
    }

    /// Forgets the user and becomes a new device.
    pub(crate) fn reset(&mut self) {
        self.user_id = None;
        self.device_id = new_id();
        self.write(0);
    }

    /// Gives an event what it does not bring itself.
    pub(crate) fn stamp(&mut self, event: &mut Event, time_ms: u64) {
        let session = Session::at(self.session, time_ms, self.timeout_ms);
        let is_new = self.session.is_none_or(|last| last.id != session.id);
        self.session = Some(session);
        if is_new || time_ms.saturating_sub(self.written_ms) >= WRITE_EVERY_MS {
            self.write(time_ms);
        }
        event.supply("time", json::decimal(time_ms).as_bytes(), 0);
        event.supply("session_id", json::decimal(session.id).as_bytes(), 0);
        event.supply("device_id", json::text(&self.device_id).as_bytes(), 0);
        if let Some(user) = &self.user_id {
            event.supply("user_id", json::text(user).as_bytes(), 0);
        }
        for (name, value) in &self.page {
            event.supply(name, value.as_bytes(), 0);
        }
    }

    fn write(&mut self, now_ms: u64) {
        self.written_ms = now_ms;
        let mut text = ["{\"deviceId\":", &json::text(&self.device_id)].concat();
        if let Some(user) = &self.user_id {
            text.push_str(&[",\"userId\":", &json::text(user)].concat());
        }
        if let Some(session) = self.session {
            text.push_str(
                &[",\"sessionId\":", &json::decimal(session.id), ",\"lastMs\":", &json::decimal(session.last_ms)].concat(),
            );
        }
        text.push('}');
        self.storage.write(&self.name, &text);
    }
}

fn new_id() -> String {
    InsertIds::new().next().to_owned()
}

/// What a page left in the storage, which anybody may have written to.
#[derive(Default)]
struct Kept {
    user_id: Option<String>,
    device_id: Option<String>,
    session: Option<Session>,
}

impl Kept {
    /// `None` for anything that this module did not write.
    fn read(text: &str) -> Option<Self> {
        let mut kept = Self::default();
        let (mut session_id, mut last_ms) = (None, None);
        let mut reader = Reader::new(text.as_bytes());
        if reader.kind().ok()? != Kind::Object {
            return None;
        }
        reader.open();
        let mut first = true;
        while let Some(key) = reader.next_key(&mut first).ok()? {
            match &*key {
                "userId" => kept.user_id = Some(reader.string().ok()?.into_owned()),
                "deviceId" => kept.device_id = Some(reader.string().ok()?.into_owned()),
                "sessionId" => session_id = u64::try_from(reader.integer().ok()?).ok(),
                "lastMs" => last_ms = u64::try_from(reader.integer().ok()?).ok(),
                _ => reader.skip().ok()?,
            }
        }
        kept.device_id = kept.device_id.filter(|id| check_id("device_id", id).is_ok());
        kept.user_id = kept.user_id.filter(|id| check_id("user_id", id).is_ok());
        kept.session = session_id.zip(last_ms).map(|(id, last_ms)| Session { id, last_ms });
        Some(kept)
    }
}
