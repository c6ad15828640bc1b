//! The one error of this crate.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use crate::event::Event;

/// The result of this crate's fallible calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) type Source = Box<dyn StdError + Send + Sync>;

/// What went wrong, opaque but for the questions that a caller can act on.
///
/// The text names what is wrong (the field, the shape of its value, the limit) and never holds a
/// credential, a property's value or the body of a reply.
pub struct Error(pub(crate) Box<Inner>);

pub(crate) struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<Duration>,
    /// In place of what the kind says.
    pub(crate) retryable: Option<bool>,
    pub(crate) source: Option<Source>,
    /// The message is the source's own, so that what lies behind is the source's source.
    pub(crate) speaks_for_source: bool,
    event: Option<Box<Event>>,
    /// For [`ErrorKind::Full`]: the room that the event needs.
    needed_bytes: usize,
}

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call's input breaks a documented limit or rule.
    Invalid,
    /// The queue is at its bound; wait for capacity and try again.
    Full,
    /// The client was shut down.
    Closed,
    /// The credential is missing, mistyped, revoked or of the wrong region (401, 403, an invalid key).
    Unauthorized,
    /// There is nothing under this address or in this range (404).
    NotFound,
    /// The request or its answer is over a size limit.
    TooLarge,
    /// The server asks to slow down (429).
    Throttled,
    /// The server answered with another error status.
    Status,
    /// The answer is not what the API documents (cut off, HTML, wrong types).
    Protocol,
    /// The request did not reach the server, or its answer did not come back.
    Transport,
    /// A time limit passed.
    Timeout,
    /// A local file or store failed, or the system gave no thread to work on.
    Store,
}

impl ErrorKind {
    /// The kind's name as the JavaScript build spells it, e.g. `"invalid"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Full => "full",
            Self::Closed => "closed",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::Throttled => "throttled",
            Self::Status => "status",
            Self::Protocol => "protocol",
            Self::Transport => "transport",
            Self::Timeout => "timeout",
            Self::Store => "store",
        }
    }
}

impl Error {
    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The HTTP status, where a server's answer is the reason.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Whether the same call can succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        if let Some(retryable) = self.0.retryable {
            return retryable;
        }
        match self.0.kind {
            ErrorKind::Full | ErrorKind::Throttled | ErrorKind::Transport | ErrorKind::Timeout => true,
            ErrorKind::Status => self.0.status.is_some_and(|status| status >= 500 || status == 408),
            _ => false,
        }
    }

    /// How long the server asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The event that `track` refused, for the caller to mend or to track again.
    #[must_use]
    pub fn into_event(self) -> Option<Event> {
        self.0.event.map(|event| *event)
    }

    /// The text with those of the errors behind it.
    pub(crate) fn with_reasons(&self) -> String {
        with_reasons(self)
    }

    /// What `Display` shows.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            status: None,
            retry_after: None,
            retryable: None,
            source: None,
            speaks_for_source: false,
            event: None,
            needed_bytes: 0,
        }))
    }

    /// An [`ErrorKind::Invalid`] whose text is the parts put together (no `format!`, which the wasm build would pay for).
    pub(crate) fn invalid(parts: &[&str]) -> Self {
        Self::new(ErrorKind::Invalid, parts.concat())
    }

    /// An [`ErrorKind::Invalid`] that names a value and what is wrong with it.
    pub(crate) fn at(path: &str, problem: &str) -> Self {
        Self::invalid(&[path, ": ", problem])
    }

    pub(crate) fn full(needed_bytes: usize) -> Self {
        let mut error = Self::new(ErrorKind::Full, "the queue is full");
        error.0.needed_bytes = needed_bytes;
        error
    }

    pub(crate) fn needed_bytes(&self) -> usize {
        self.0.needed_bytes
    }

    pub(crate) fn with_event(mut self, event: Event) -> Self {
        self.0.event = Some(Box::new(event));
        self
    }
}

/// An error's text with those of the errors behind it.
pub(crate) fn with_reasons(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        text = [&text, ": ", &reason.to_string()].concat();
        source = reason.source();
    }
    text
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("status", &self.0.status)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.0.source.as_deref()?;
        if self.0.speaks_for_source { source.source() } else { Some(source) }
    }
}
