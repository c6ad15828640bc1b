//! What `track` fills and the driver empties. `track` takes this lock alone, and for one record, so that it never waits for what the driver
//! does with those that came before.

use super::rooms::{Rooms, Ticket};
use crate::{
    Error, ErrorKind, Event, Result,
    client::Receipt,
    context::InsertIds,
    event::{IdHashes, Stamp},
    pipeline::{Bounds, Header, RecordId, Wants},
    platform,
    promise::Promise,
    store::MemoryStore,
};

pub(super) struct Inbox {
    bounds: Bounds,
    insert_ids: InsertIds,
    /// The record being sealed; kept for its capacity.
    record: String,
    next_id: RecordId,
    /// Bytes of all that is not settled, as far as the driver has told.
    queued_bytes: usize,
    rooms: Rooms,
    wants: Wants,
    pub(super) contents: Contents,
    pub(super) driver: DriverState,
    /// Nobody can track any more: the driver ends when nothing is pending.
    pub(super) closing: bool,
    told_of_long_strings: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum DriverState {
    #[default]
    NotStarted,
    Running,
    Stopped,
}

/// What came since the driver looked last.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) headers: Vec<Header>,
    pub(super) store: MemoryStore,
    pub(super) receipts: Vec<Receipt>,
    pub(super) bytes: usize,
    pub(super) long_strings: u64,
    pub(super) dropped_by_plugins: u64,
}

/// What `track` is to do after a record was taken.
pub(super) struct Taken {
    pub(super) receipt: Option<Receipt>,
    /// The driver must be woken.
    pub(super) wake: bool,
    /// The owner must be told that Amplitude will shorten a string: once.
    pub(super) long_string: bool,
}

impl Inbox {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            insert_ids: InsertIds::new(),
            record: String::new(),
            next_id: 1,
            queued_bytes: 0,
            rooms: Rooms::default(),
            wants: Wants::default(),
            contents: Contents::default(),
            driver: DriverState::default(),
            closing: false,
            told_of_long_strings: false,
        }
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.closing { Err(Error::new(ErrorKind::Closed, "the client was shut down")) } else { Ok(()) }
    }

    /// Seals an event that was checked and keeps it for the driver. A ticket is a place in the line for room, which this gives up.
    pub(super) fn take(
        &mut self,
        event: &Event,
        ids: IdHashes,
        ticket: Option<Ticket>,
        want_receipt: bool,
        unix_ms: u64,
    ) -> Result<Taken> {
        let keep = match ticket {
            Some(ticket) => self.rooms.leave(ticket),
            None => self.rooms.kept(),
        };
        self.record.clear();
        let stamp = Stamp {
            time_ms: i64::try_from(unix_ms).unwrap_or(i64::MAX),
            insert_id: self.insert_ids.next(),
            library: platform::LIBRARY,
        };
        event.seal(&stamp, &mut self.record);
        let bytes = self.record.len();
        self.bounds.check(bytes, self.queued_bytes, keep).map_err(|refusal| refusal.into_error(bytes))?;
        let id = self.next_id;
        if !self.contents.store.append(id, self.record.as_bytes()) {
            return Err(Error::new(ErrorKind::Store, "there is no memory for the event"));
        }
        self.next_id += 1;
        self.queued_bytes += bytes;
        let contents = &mut self.contents;
        contents.bytes += bytes;
        // A record that passed the check fits into a request, far below 4 GiB.
        contents.headers.push(Header { user: ids.user, device: ids.device, bytes: bytes as u32 });
        let long_strings = event.long_strings();
        contents.long_strings += u64::from(long_strings);
        let long_string = long_strings > 0 && !std::mem::replace(&mut self.told_of_long_strings, true);
        let receipt = want_receipt.then(|| Receipt::new(id));
        if let Some(receipt) = &receipt {
            receipt.stored.set(Ok(()));
            contents.receipts.push(receipt.clone());
        }
        let wake = self.wants.are_met(contents.headers.len(), contents.bytes);
        if wake {
            // Once is enough: the driver says anew what it wants.
            self.wants = Wants::NOTHING;
        }
        Ok(Taken { receipt, wake, long_string })
    }

    /// The driver tells how much is queued beside what is here, and for what it wants to be woken. Answers whether that is here already.
    pub(super) fn expect(&mut self, queued_bytes: u64, wants: Wants) -> bool {
        self.queued_bytes = usize::try_from(queued_bytes).unwrap_or(usize::MAX).saturating_add(self.contents.bytes);
        let met = wants.are_met(self.contents.headers.len(), self.contents.bytes);
        self.wants = if met { Wants::NOTHING } else { wants };
        met
    }

    /// Keeps when there is room for that many bytes beside what others wait for.
    pub(super) fn wait_for_room(&mut self, bytes: usize) -> Promise<()> {
        self.rooms.ask(bytes)
    }

    /// A place in the line for room, and when it is there.
    pub(super) fn join_line(&mut self, bytes: usize) -> (Ticket, Promise<()>) {
        self.rooms.join(bytes)
    }

    pub(super) fn leave_line(&mut self, ticket: Ticket) {
        self.rooms.leave(ticket);
    }

    /// The promises of room that can be kept now.
    pub(super) fn grant_rooms(&mut self, granted: &mut Vec<Promise<()>>) {
        self.rooms.grant(&self.bounds, self.queued_bytes, self.closing, granted);
    }
}
