//! What becomes of an event, and why.

/// What became of one event, for good.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// Amplitude said that it has the event.
    Delivered,
    /// Amplitude refused the event.
    Rejected(Rejection),
    /// This side gave the event up.
    Dropped(DropReason),
    /// The client ended before the outcome was known, and the store keeps the event for the next one.
    Kept,
    /// The event was sent and no answer came: it is too old to be sent again without the risk of a second copy, or the client ended before.
    Unknown,
}

impl Outcome {
    /// Whether somebody may want to look at the event, mend it and send it again.
    pub(crate) fn makes_a_dead_letter(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::Unknown | Self::Dropped(DropReason::Expired))
    }
}

/// Why Amplitude refused an event.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rejection {
    /// A field's value is not allowed; its name as the reply gave it.
    InvalidField(String),
    /// A field is missing; its name as the reply gave it.
    MissingField(String),
    /// An id is too short or too long; which one as the reply gave it.
    IdLength(String),
    /// Its device is silenced.
    Silenced,
    /// The event alone is larger than the server takes.
    TooLarge,
    /// The server refuses this event alone and does not say why.
    Unexplained,
}

/// Why this side gave an event up.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DropReason {
    /// A plugin dropped it.
    Plugin,
    /// The client was shut down before it was sent, and its store does not outlive the process.
    Shutdown,
    /// The store failed, or its file was broken.
    Store,
    /// It waited longer than [`crate::Config::max_age`].
    Expired,
    /// The queue was full and [`crate::WhenFull::DropOldest`] made room for newer events.
    Evicted,
    /// [`crate::Client::purge`] or one of its kind.
    Purged,
    /// The task that delivers has failed: a defect of this crate, or of a hook of yours that ended it.
    Driver,
}

/// What kind of [`Rejection`], without the names that one may hold: what is counted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RejectReason {
    /// [`Rejection::InvalidField`]
    InvalidField,
    /// [`Rejection::MissingField`]
    MissingField,
    /// [`Rejection::IdLength`]
    IdLength,
    /// [`Rejection::Silenced`]
    Silenced,
    /// [`Rejection::TooLarge`]
    TooLarge,
    /// [`Rejection::Unexplained`]
    Unexplained,
}

impl RejectReason {
    pub(crate) const ALL: [Self; 6] =
        [Self::InvalidField, Self::MissingField, Self::IdLength, Self::Silenced, Self::TooLarge, Self::Unexplained];

    /// Its name for logs and metrics, e.g. `invalid_field`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidField => "invalid_field",
            Self::MissingField => "missing_field",
            Self::IdLength => "id_length",
            Self::Silenced => "silenced",
            Self::TooLarge => "too_large",
            Self::Unexplained => "unexplained",
        }
    }
}

impl Rejection {
    /// What kind it is.
    #[must_use]
    pub fn reason(&self) -> RejectReason {
        match self {
            Self::InvalidField(_) => RejectReason::InvalidField,
            Self::MissingField(_) => RejectReason::MissingField,
            Self::IdLength(_) => RejectReason::IdLength,
            Self::Silenced => RejectReason::Silenced,
            Self::TooLarge => RejectReason::TooLarge,
            Self::Unexplained => RejectReason::Unexplained,
        }
    }
}

impl DropReason {
    pub(crate) const ALL: [Self; 7] =
        [Self::Plugin, Self::Shutdown, Self::Store, Self::Expired, Self::Evicted, Self::Purged, Self::Driver];

    /// Its name for logs and metrics, e.g. `expired`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::Shutdown => "shutdown",
            Self::Store => "store",
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::Purged => "purged",
            Self::Driver => "driver",
        }
    }
}
