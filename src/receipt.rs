//! What a caller awaits: an event's receipt, room in the queue, the report of a flush. Both targets.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    Error, ErrorKind, Result,
    pipeline::{Outcome, RecordId, Report},
    promise::Promise,
};

/// What became of one event: first that it is stored, then its outcome. May be dropped at any time; the event goes on.
///
/// Awaiting the receipt itself waits for the outcome.
#[derive(Clone)]
pub struct Receipt {
    id: RecordId,
    pub(crate) stored: Promise<Result<(), ErrorKind>>,
    pub(crate) settled: Promise<Outcome>,
}

impl Receipt {
    pub(crate) fn new(id: RecordId) -> Self {
        Self { id, stored: Promise::new(), settled: Promise::new() }
    }

    /// The number that [`crate::Progress`] gives the event in this client; 0 for one that a plugin dropped.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Resolves when the store holds the event: at once, but for a disk store that brings events to the disk itself (`DiskSync::Every`).
    ///
    /// # Errors
    /// [`ErrorKind::Store`] when the system could not bring it to the disk; the event goes on its way all the same.
    pub async fn stored(&self) -> Result<()> {
        self.stored.clone().await.map_err(|kind| Error::new(kind, "the event is not on the disk itself"))
    }

    /// Resolves when the event's outcome is known.
    pub async fn settled(&self) -> Outcome {
        self.settled.clone().await
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}

impl IntoFuture for Receipt {
    type Output = Outcome;
    type IntoFuture = Settled;

    fn into_future(self) -> Settled {
        Settled(self.settled)
    }
}

/// Makes a named future of a promise, so that callers may store it and no executor shows.
macro_rules! promised {
    ($(#[$doc:meta])* $name:ident -> $value:ty) => {
        $(#[$doc])*
        #[must_use = "it has nothing to tell before it is awaited"]
        pub struct $name(pub(crate) Promise<$value>);

        impl Future for $name {
            type Output = $value;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<$value> {
                Pin::new(&mut self.0).poll(cx)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

promised! {
    /// The outcome of an event, from [`Receipt`].
    Settled -> Outcome
}

promised! {
    /// Room in the queue, from [`crate::Client::capacity`].
    Capacity -> ()
}

promised! {
    /// The report of [`crate::Client::flush`] and [`crate::Client::shutdown`]. The flush goes on when this future is dropped.
    Flush -> Report
}
