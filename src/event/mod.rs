//! Events.

/// One event.
#[derive(Clone, Debug)]
pub struct Event {}
