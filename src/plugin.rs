//! Plugins: synchronous steps between `track` and sealing, and the notices that report what went wrong beside the events.

use std::fmt;

use crate::{Error, Event, pipeline::Outcome, platform::Shared};

/// What becomes of an event after a plugin saw it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Flow {
    /// The event goes on, as the plugin left it.
    Continue,
    /// The event ends here, counted as [`crate::DropReason::Plugin`].
    Drop,
}

/// A step that may read, enrich or drop an event before it is sealed.
///
/// Plugins run in the order in which they were added, on the thread that calls `track`. A plugin that returns an error or
/// panics, or leaves an event that breaks a limit, is reported through [`crate::Config::on_notice`] and skipped: the event goes on as it was
/// before that plugin.
/// (In the browser build a panic ends the wasm instance; return an error there.)
///
/// ```
/// use amplitude_sdk::{Event, Flow, Plugin, PluginError};
///
/// struct DropInternal;
///
/// impl Plugin for DropInternal {
///     fn name(&self) -> &str {
///         "drop-internal"
///     }
///
///     fn process(&self, event: &mut Event) -> Result<Flow, PluginError> {
///         if event.event_type().starts_with("internal.") {
///             return Ok(Flow::Drop);
///         }
///         event.event_properties_mut().set("plan", "pro")?;
///         Ok(Flow::Continue)
///     }
/// }
/// ```
pub trait Plugin: Shared {
    /// The name that notices use.
    fn name(&self) -> &str;

    /// Sees one event.
    ///
    /// # Errors
    /// Whatever kept the plugin from its work; the event goes on without it.
    fn process(&self, event: &mut Event) -> Result<Flow, PluginError>;
}

/// Why a plugin failed: a text for the one who runs the application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PluginError(String);

impl PluginError {
    /// That text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PluginError {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

impl From<String> for PluginError {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<Error> for PluginError {
    fn from(error: Error) -> Self {
        Self(error.message().to_owned())
    }
}

/// Something that the owner of a client should know and that is not the outcome of one event.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// A plugin returned an error or panicked and was skipped for one event.
    PluginFailed {
        /// The plugin's name.
        plugin: String,
        /// Its error's text, or that it panicked.
        reason: String,
    },
    /// An event holds a string of more than 1024 characters, which Amplitude shortens. Reported once for each client.
    LongString {
        /// The type of the first such event.
        event_type: String,
    },
    /// Something is wrong with the disk store; what it still holds is kept.
    Store {
        /// What is wrong with which file.
        reason: String,
    },
    /// Delivery is paused because of the configuration or the network between; events are kept.
    DeliveryPaused {
        /// What is wrong, e.g. that the server does not know the API key.
        reason: String,
    },
}

impl Notice {
    /// The notice as a sentence.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::PluginFailed { plugin, reason } => ["plugin ", plugin, " failed and was skipped: ", reason].concat(),
            Self::LongString { event_type } => long_string(event_type),
            Self::Store { reason } => reason.clone(),
            Self::DeliveryPaused { reason } => paused(reason),
        }
    }
}

pub(crate) fn long_string(event_type: &str) -> String {
    ["an event of type ", event_type, " holds a string of more than 1024 characters, which Amplitude shortens"].concat()
}

pub(crate) fn paused(reason: &str) -> String {
    ["delivery is paused, events are kept: ", reason].concat()
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

/// A step on the way of events that were tracked, for those who show it live. Receipts answer for single events.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A request with these events is on its way.
    Sending {
        /// As [`crate::Receipt::id`] gives them.
        ids: &'a [u64],
    },
    /// The outcome of these events is known.
    Settled {
        /// As [`crate::Receipt::id`] gives them.
        ids: &'a [u64],
        /// What became of them.
        outcome: &'a Outcome,
    },
}

/// A callback for notices, `Send + Sync` on native.
pub(crate) trait NoticeHook: Fn(&Notice) + Shared {}
impl<F: Fn(&Notice) + Shared> NoticeHook for F {}

/// A callback for progress, `Send + Sync` on native.
pub(crate) trait ProgressHook: Fn(&Progress<'_>) + Shared {}
impl<F: Fn(&Progress<'_>) + Shared> ProgressHook for F {}
