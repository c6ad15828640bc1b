//! [`Client`]: takes events, answers with receipts and reports. Both targets; the driver delivers behind it.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Error, ErrorKind, Event, Result,
    config::Config,
    dead_letters::DeadLetter,
    driver::{Shared, Ticket},
    event::{GroupIdentify, Identify, Revenue},
    pipeline::{Counts, DropReason, Outcome},
    platform,
    plugin::{Flow, Notice},
    purge::{Purged, Whose},
    receipt::{Capacity, Flush, Receipt},
};

/// Sends events to one Amplitude project.
///
/// Cheap to clone; all clones share one queue. `track` validates, seals and queues an event and returns; a driver of the client's own
/// (a thread on native, a task in the browser) delivers, so no async runtime is needed. When the last clone is dropped, what waits is
/// still delivered for as long as the process lives; call [`Client::shutdown`] before a process ends.
///
/// ```no_run
/// use amplitude_sdk::{Client, Config, Event, ProjectKey};
/// use std::time::Duration;
///
/// # async fn run() -> amplitude_sdk::Result<()> {
/// let client = Client::new(Config::new(ProjectKey::new("YOUR_API_KEY")?))?;
/// client.track(
///     Event::builder("Product Purchased")
///         .user_id("user123")
///         .property("product_id", "sku456")
///         .property("price", 29.99)
///         .build()?,
/// )?;
/// let report = client.shutdown(Duration::from_secs(10)).await;
/// assert_eq!(report.pending, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Handle>);

/// What all clones hold; the driver holds only what is inside, so that it learns when nobody can track any more.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Client {
    /// A client with its own queue. Nothing is opened or sent before the first event, but where a disk store holds what an earlier process
    /// left: that is sent at once.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] that names the setting that is out of its range; [`ErrorKind::Store`] that names the folder that cannot be
    /// used, and why.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let shared = Arc::new(Shared::new(config)?);
        shared.go_on()?;
        Ok(Self(Arc::new(Handle(shared))))
    }

    /// Queues an event. Returns at once: the network is never waited for.
    ///
    /// # Errors
    /// [`ErrorKind::Full`] when the queue is at its bound, [`ErrorKind::Invalid`] when an id breaks a rule of this client,
    /// [`ErrorKind::TooLarge`] when the event can fit no request, [`ErrorKind::Store`] when the store cannot take it, [`ErrorKind::Closed`] after
    /// [`Client::shutdown`] and in a process that was forked from the one that used the client. Until delivery has started, which the first
    /// event does, also [`ErrorKind::Invalid`] when the machine has no certificate authorities and [`ErrorKind::Store`] when it gives no thread.
    /// The event comes back with [`Error::into_event`].
    pub fn track(&self, event: Event) -> Result<()> {
        self.accept(event, false).map(drop)
    }

    /// Queues an event and answers with a receipt that tells what became of it.
    ///
    /// # Errors
    /// As [`Client::track`].
    pub fn track_with_receipt(&self, event: Event) -> Result<Receipt> {
        Ok(self.accept(event, true)?.unwrap_or_else(|| Receipt::new(0)))
    }

    /// Queues an event, after waiting for room in the queue where there is none. Waiting calls are served in their order, and the room that
    /// they wait for is kept from others, so that a large event is not starved by small ones.
    ///
    /// # Errors
    /// As [`Client::track`], but never [`ErrorKind::Full`].
    pub async fn track_when_ready(&self, event: Event) -> Result<()> {
        let shared = &self.0.0;
        let (original, event) = self.prepare(event)?;
        let Some(mut event) = event else { return Ok(()) };
        let mut place: Option<Place> = None;
        loop {
            let error = match shared.admit(event, false, place.as_ref().map(|place| place.ticket)) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let needed = error.needed_bytes();
            event = match error.kind() {
                ErrorKind::Full => error.into_event(),
                _ => return Err(given_back(error, original)),
            }
            .ok_or_else(|| Error::new(ErrorKind::Full, "the queue is full"))?;
            let (ticket, promise) = shared.join_line(needed);
            place = Some(Place { ticket, shared: Arc::clone(shared) });
            promise.await;
        }
    }

    /// Resolves as soon as the queue has room for that many bytes of events, and for an impossible number when it is empty.
    pub fn capacity(&self, bytes: usize) -> Capacity {
        Capacity(self.0.0.wait_for_room(bytes))
    }

    /// Tracks changes of a user's properties. `user_id` and `device_id`: at least one.
    ///
    /// # Errors
    /// As [`Client::track`].
    pub fn identify(&self, user_id: Option<&str>, device_id: Option<&str>, identify: Identify) -> Result<()> {
        self.track(Event::identify(identify).ids(user_id, device_id).build()?)
    }

    /// Tracks changes of a group's properties. The ids name who is told to have made them: at least one.
    ///
    /// # Errors
    /// As [`Client::track`].
    pub fn group_identify(&self, user_id: Option<&str>, device_id: Option<&str>, identify: GroupIdentify) -> Result<()> {
        self.track(Event::group_identify(identify).ids(user_id, device_id).build()?)
    }

    /// Tracks revenue. `user_id` and `device_id`: at least one.
    ///
    /// # Errors
    /// As [`Client::track`].
    pub fn revenue(&self, user_id: Option<&str>, device_id: Option<&str>, revenue: Revenue) -> Result<()> {
        self.track(Event::revenue(revenue).ids(user_id, device_id).build()?)
    }

    /// Sends what waits without waiting for its interval, from this call on, and reports on everything that was pending then: when all of it
    /// is settled, or after `deadline`.
    pub fn flush(&self, deadline: Duration) -> Flush {
        Flush(self.0.0.flush(deadline))
    }

    /// Refuses new events from now on, then does as [`Client::flush`]. What is not settled at the deadline is dropped and reported as
    /// [`DropReason::Shutdown`], and what the server may have as unknown; with a disk store it stays pending, its receipts tell
    /// [`Outcome::Kept`], and the next client of the folder delivers it.
    pub fn shutdown(&self, deadline: Duration) -> Flush {
        Flush(self.0.0.shutdown(deadline))
    }

    /// The events that Amplitude refused, that waited too long, or of which nobody knows whether they arrived, the oldest first: for somebody
    /// to look at, mend with [`Client::replay`], or [`Client::discard`]. With a disk store they are those of all processes that share the
    /// folder, and outlive them; otherwise this client's, in memory. [`Config::dead_letter_bytes`] bounds them.
    ///
    /// ```no_run
    /// # fn run(client: &amplitude_sdk::Client) -> amplitude_sdk::Result<()> {
    /// use amplitude_sdk::{Outcome, Rejection};
    ///
    /// for letter in client.dead_letters()? {
    ///     println!("{}", letter.to_json());
    ///     if *letter.outcome() == Outcome::Rejected(Rejection::InvalidField("time".to_owned())) {
    ///         let mut event = letter.event()?;
    ///         event.remove_field("time");
    ///         client.replay(&letter, event)?;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Store`] when their file cannot be read or tidied, [`ErrorKind::Closed`] in a process that was forked from the one that used
    /// the client.
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        self.0.0.dead_letters()
    }

    /// Tracks a dead letter's event, as it was or mended, and removes the letter. Plugins do not see it again. It keeps its insert id, so that
    /// Amplitude, which remembers these for seven days, takes it once; what is older and [`Outcome::Unknown`] may be counted twice.
    ///
    /// # Errors
    /// As [`Client::track`]; the letter stays then, and [`Error::into_event`] gives the event back. Also [`ErrorKind::Store`] when the letter cannot
    /// be removed, though the event is tracked: that error gives none back.
    pub fn replay(&self, letter: &DeadLetter, event: Event) -> Result<()> {
        self.0.0.admit(event, false, None)?;
        self.discard(letter)
    }

    /// Removes a dead letter.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] when the file of the letters cannot be written, [`ErrorKind::Closed`] in a process that was forked from the one that
    /// used the client.
    pub fn discard(&self, letter: &DeadLetter) -> Result<()> {
        self.0.0.discard(letter)
    }

    /// Forgets all events that wait, in memory and on the disk, and all dead letters. With a disk store the events' text is overwritten in the
    /// files before this returns, also that of events whose outcome is known and whose file is not gone yet, and also in what processes that are
    /// gone have left in the folder; the file of the dead letters is replaced by one without them. Other processes that share the folder and
    /// run keep what they have until they call it, too.
    ///
    /// What is on its way to Amplitude cannot be called back; see [`Purged::under_way`]. What Amplitude has is not touched.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] when a file cannot be changed; all else is forgotten. [`ErrorKind::Closed`] after [`Client::shutdown`], which lets
    /// go of the folder. As [`Client::track`] where it is the first to need delivery, for what others have left.
    pub fn purge(&self) -> Result<Purged> {
        self.0.0.purge(Whose::Everybodys)
    }

    /// Forgets the events of one user, as [`Client::purge`] does all.
    ///
    /// # Errors
    /// As [`Client::purge`].
    pub fn purge_user(&self, user_id: &str) -> Result<Purged> {
        self.0.0.purge(Whose::Users(user_id))
    }

    /// Forgets the events of one device, as [`Client::purge`] does all.
    ///
    /// # Errors
    /// As [`Client::purge`].
    pub fn purge_device(&self, device_id: &str) -> Result<Purged> {
        self.0.0.purge(Whose::Devices(device_id))
    }

    /// Tells that the network is back, for programs that hear of it: what failed without an answer is tried again at once. What a server
    /// answered stands; a wait that it asked for is kept.
    pub fn network_is_back(&self) {
        self.0.0.online();
    }

    /// What became of all events so far: accepted = delivered + rejected + dropped + unknown + pending.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.0.counts()
    }

    /// The events in memory that are not settled, as the text of one JSON array: for who must end before they are delivered and can keep them. Read
    /// again with [`Event::from_json`], they have the insert ids that they had, so that Amplitude knows what it already has.
    #[must_use]
    pub fn pending_json(&self) -> String {
        self.0.0.pending_json()
    }

    fn accept(&self, event: Event, want_receipt: bool) -> Result<Option<Receipt>> {
        let (original, event) = self.prepare(event)?;
        match event {
            Some(event) => self.0.0.admit(event, want_receipt, None).map_err(|error| given_back(error, original)),
            None => Ok(want_receipt.then(|| {
                let receipt = Receipt::new(0);
                receipt.stored.set(Ok(()));
                receipt.settled.set(Outcome::Dropped(DropReason::Plugin));
                receipt
            })),
        }
    }

    /// The event as the plugins leave it, `None` where one drops it; before it, where there are plugins, the event as it was.
    fn prepare(&self, event: Event) -> Result<(Option<Event>, Option<Event>)> {
        let shared = &self.0.0;
        if shared.config.plugins.is_empty() {
            return Ok((None, Some(event)));
        }
        if let Err(error) = shared.check_open() {
            return Err(error.with_event(event));
        }
        let processed = run_plugins(shared, event.clone());
        if processed.is_none() {
            shared.count_plugin_drop();
        }
        Ok((Some(event), processed))
    }
}

/// What a caller gets back from a refusal is what he gave, or a second try would meet the plugins twice.
fn given_back(error: Error, original: Option<Event>) -> Error {
    match original {
        Some(event) => error.with_event(event),
        None => error,
    }
}

/// A place in the line for room, given up when its call ends.
struct Place {
    ticket: Ticket,
    shared: Arc<Shared>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.leave_line(self.ticket);
    }
}

/// The event as the plugins leave it; `None` where one drops it.
fn run_plugins(shared: &Shared, mut event: Event) -> Option<Event> {
    for plugin in &shared.config.plugins {
        let before = event.clone();
        let failure = match platform::catch_panic(|| plugin.process(&mut event)) {
            Some(Ok(Flow::Continue)) => match event.check() {
                Ok(()) => continue,
                Err(error) => error.message().to_owned(),
            },
            Some(Ok(Flow::Drop)) => return None,
            Some(Err(error)) => error.message().to_owned(),
            None => "panicked".to_owned(),
        };
        event = before;
        let name = platform::catch_panic(|| plugin.name().to_owned()).unwrap_or_else(|| "whose name panicked".to_owned());
        shared.notify(&Notice::PluginFailed { plugin: name, reason: failure });
    }
    Some(event)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.0.0.config).field("counts", &self.counts()).finish()
    }
}
