//! The session rule: events with less than 30 minutes between them are of one session. Pure; the browser build keeps the state.

/// A session ends after so much silence, unless a page says otherwise. "Track sessions", amplitude.com/docs: 30 minutes in browsers.
pub(crate) const TIMEOUT_MS: u64 = 30 * 60 * 1000;

/// The current session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Session {
    /// When it began, in milliseconds since 1970: also its id.
    pub(crate) id: u64,
    /// The last event's time.
    pub(crate) last_ms: u64,
}

impl Session {
    /// The session that an event at that time belongs to.
    pub(crate) fn at(last: Option<Self>, now_ms: u64, timeout_ms: u64) -> Self {
        match last {
            // A clock that was set back leaves the session as it is.
            Some(session) if now_ms.saturating_sub(session.last_ms) < timeout_ms => {
                Self { id: session.id, last_ms: session.last_ms.max(now_ms) }
            }
            _ => Self { id: now_ms, last_ms: now_ms },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_760_000_000_000;

    #[test]
    fn goes_on_while_events_come_and_ends_after_silence() {
        let first = Session::at(None, START, TIMEOUT_MS);
        assert_eq!(first, Session { id: START, last_ms: START });
        let second = Session::at(Some(first), START + TIMEOUT_MS - 1, TIMEOUT_MS);
        assert_eq!(second.id, START);
        let third = Session::at(Some(second), second.last_ms + TIMEOUT_MS - 1, TIMEOUT_MS);
        assert_eq!(third.id, START, "the silence counts from the last event, not from the start");
        let next = Session::at(Some(third), third.last_ms + TIMEOUT_MS, TIMEOUT_MS);
        assert_eq!(next.id, third.last_ms + TIMEOUT_MS);
    }

    #[test]
    fn a_clock_set_back_neither_ends_nor_shortens_it() {
        let session = Session { id: START, last_ms: START + 1000 };
        assert_eq!(Session::at(Some(session), START - 3_600_000, TIMEOUT_MS), session);
    }
}
