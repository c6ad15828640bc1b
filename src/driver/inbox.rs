//! What `track` fills and the driver empties. `track` takes this lock alone, and for one record, so that it never waits for what the driver
//! does with those that came before.

use super::rooms::{Rooms, Ticket};
use crate::{
    Error, ErrorKind, Event, Result,
    config::Config,
    context::InsertIds,
    event::{IdHashes, Stamp},
    pipeline::{Bounds, Header, RecordId, Wants, planted},
    platform,
    promise::Promise,
    receipt::Receipt,
    store::{Journal, MemoryStore, Place, Written},
};

/// By how much a clock is set back when it is corrected, as against set anew.
const CORRECTION_MS: u64 = 60_000;

pub(super) struct Inbox {
    bounds: Bounds,
    insert_ids: InsertIds,
    /// The record being sealed; kept for its capacity.
    record: String,
    next_id: RecordId,
    /// When the last event was stamped.
    last_ms: u64,
    /// Bytes of all that is not settled, as far as the driver has told.
    queued_bytes: usize,
    rooms: Rooms,
    wants: Wants,
    pub(super) contents: Contents,
    pub(super) driver: DriverState,
    /// Nobody can track any more: the driver ends when nothing is pending.
    pub(super) closing: bool,
    told_of_long_strings: bool,
    disk: Option<Disk>,
}

/// Where records are kept on the disk, too.
struct Disk {
    journal: Journal,
    /// Bytes of records in memory at most, and as far as the driver has told.
    memory_bound: usize,
    memory_bytes: usize,
    /// Records go to the disk alone, because memory is full or others before them are not read back yet.
    spilling: bool,
    /// A receipt's `stored` waits for the disk itself.
    syncs: bool,
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
    pub(super) records: Vec<(RecordId, Header)>,
    pub(super) store: MemoryStore,
    pub(super) receipts: Vec<Receipt>,
    /// Of `records`, and of those that went to the disk alone.
    pub(super) bytes: usize,
    pub(super) spilled_bytes: usize,
    pub(super) spilled_records: usize,
    /// What the disk's journal has written, and how far that is also in `records`.
    pub(super) written: Vec<Written>,
    pub(super) here_to: Option<Place>,
    pub(super) last_id: RecordId,
    pub(super) long_strings: u64,
    pub(super) dropped_by_plugins: u64,
}

impl Contents {
    /// Whether that is here for which the driver wants to be woken, in memory or on the disk.
    fn meet(&self, wants: Wants) -> bool {
        wants.are_met(self.records.len() + self.spilled_records, self.bytes + self.spilled_bytes)
    }
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
    /// `left_bytes`: of the records that an earlier process left on the disk, which come first.
    pub(super) fn new(bounds: Bounds, config: &Config, journal: Option<Journal>, left_bytes: u64) -> Self {
        let disk = journal.zip(config.disk.as_ref()).map(|(journal, options)| Disk {
            journal,
            memory_bound: options.memory_bound(),
            memory_bytes: 0,
            spilling: left_bytes > 0 && !planted("new records overtake those that were left"),
            syncs: options.sync_ms().is_some(),
        });
        Self {
            bounds,
            insert_ids: InsertIds::new(),
            record: String::new(),
            next_id: 1,
            last_ms: 0,
            queued_bytes: as_usize(left_bytes),
            rooms: Rooms::default(),
            wants: Wants::default(),
            contents: Contents::default(),
            driver: DriverState::default(),
            closing: false,
            told_of_long_strings: false,
            disk,
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
        mut unix_ms: u64,
    ) -> Result<Taken> {
        let keep = match ticket {
            Some(ticket) => self.rooms.leave(ticket),
            None => self.rooms.kept(),
        };
        self.record.clear();
        // A clock that is corrected by a little must not turn the order of a device's events round. One that was wrong by more is believed.
        if (1..CORRECTION_MS).contains(&self.last_ms.saturating_sub(unix_ms)) {
            unix_ms = self.last_ms;
        }
        self.last_ms = unix_ms;
        let stamp = Stamp {
            time_ms: i64::try_from(unix_ms).unwrap_or(i64::MAX),
            insert_id: self.insert_ids.next(),
            library: platform::LIBRARY,
        };
        event.seal(&stamp, &mut self.record);
        let bytes = self.record.len();
        self.bounds.check(bytes, self.queued_bytes, keep).map_err(|refusal| refusal.into_error(bytes))?;
        // A record that passed the check fits into a request, far below 4 GiB.
        let tracked_secs = u32::try_from(unix_ms / 1000).unwrap_or(u32::MAX);
        let header = Header { user: ids.user, device: ids.device, bytes: bytes as u32, tracked_secs, first_attempt: 0 };
        let id = self.keep(header)?;
        self.queued_bytes += bytes;
        let contents = &mut self.contents;
        contents.last_id = id;
        let long_strings = event.long_strings();
        contents.long_strings += u64::from(long_strings);
        let long_string = long_strings > 0 && !std::mem::replace(&mut self.told_of_long_strings, true);
        let receipt = want_receipt.then(|| Receipt::new(id));
        if let Some(receipt) = &receipt {
            if !self.disk.as_ref().is_some_and(|disk| disk.syncs) {
                receipt.stored.set(Ok(()));
            }
            contents.receipts.push(receipt.clone());
        }
        let wake = contents.meet(self.wants);
        if wake {
            // Once is enough: the driver says anew what it wants.
            self.wants = Wants::NOTHING;
        }
        Ok(Taken { receipt, wake, long_string })
    }

    /// Keeps the record that was sealed: on the disk where there is one, and in memory where there is room.
    fn keep(&mut self, header: Header) -> Result<RecordId> {
        let contents = &mut self.contents;
        let bytes = self.record.len();
        let id = match &mut self.disk {
            None => self.next_id,
            Some(disk) => {
                let id = disk.journal.append(&header, self.record.as_bytes())?;
                disk.spilling |= disk.memory_bytes + contents.bytes + bytes > disk.memory_bound;
                if disk.spilling {
                    contents.spilled_bytes += bytes;
                    contents.spilled_records += 1;
                    return Ok(id);
                }
                id
            }
        };
        if !contents.store.append(id, self.record.as_bytes()) {
            match &mut self.disk {
                None => return Err(Error::new(ErrorKind::Store, "there is no memory for the event")),
                Some(disk) => disk.spilling = true,
            }
            contents.spilled_bytes += bytes;
            contents.spilled_records += 1;
            return Ok(id);
        }
        self.next_id += 1;
        contents.here_to = self.disk.as_ref().and_then(|disk| disk.journal.end());
        contents.bytes += bytes;
        contents.records.push((id, header));
        Ok(id)
    }

    /// Fills in what is told of the disk, for the driver that takes the contents.
    pub(super) fn tell_written(&mut self) {
        if let Some(disk) = &mut self.disk {
            self.contents.written = disk.journal.take_changes();
        }
    }

    /// The driver tells how much is pending in memory and on the disk alone, whether that may be read back, and for what it wants to be woken.
    /// Answers whether that is here already.
    pub(super) fn expect(&mut self, in_memory: u64, on_disk: u64, has_room: bool, wants: Wants) -> bool {
        let (in_memory, on_disk) = (as_usize(in_memory), as_usize(on_disk));
        let contents = &self.contents;
        self.queued_bytes = in_memory + on_disk + contents.bytes + contents.spilled_bytes;
        if let Some(disk) = &mut self.disk {
            disk.memory_bytes = in_memory;
            // Once all of it is in memory again, the next record may go there, too.
            if on_disk > 0 {
                disk.spilling = true;
            } else if contents.spilled_bytes == 0 {
                disk.spilling = false;
            }
        }
        // What was spilled since the driver looked must be read back, or it would wait for the next event.
        let met = contents.meet(wants) || (has_room && contents.spilled_bytes > 0);
        self.wants = if met { Wants::NOTHING } else { wants };
        met
    }

    /// Lets go of the disk; nothing can be tracked any more.
    pub(super) fn close_disk(&mut self) {
        self.disk = None;
    }

    /// What is tracked from now on comes into a new segment.
    pub(super) fn end_segment(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.journal.close();
        }
    }

    /// So many segments come in between that others have left: new records go to the disk alone until those are read.
    pub(super) fn make_way(&mut self, segments: u32) {
        if let Some(disk) = &mut self.disk {
            disk.journal.make_way(segments);
            disk.spilling = true;
        }
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

fn as_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use crate::{Config, Event, ProjectKey, driver::by_hand::ByHand, pipeline::Now};

    #[test]
    fn a_corrected_clock_does_not_turn_the_order_round_and_one_set_anew_is_believed() {
        let key = ProjectKey::new("demo0000000000000000000000000key").unwrap();
        let mut client = ByHand::new(Config::new(key), 7).unwrap();
        let event = Event::builder("counted").device_id("device-1").build().unwrap();
        let base = 1_760_000_000_000;
        for unix_ms in [base, base - 900, base + 5, base - 3_600_000, base - 3_599_000] {
            client.track(&event, Now { mono_ms: 0, unix_ms }).unwrap();
        }
        let now = Now { mono_ms: 1, unix_ms: base };
        client.flush(now);
        let body: serde_json::Value = serde_json::from_slice(&client.step(now).sends[0].body).unwrap();
        let times: Vec<_> = body["events"].as_array().unwrap().iter().map(|event| event["time"].as_u64().unwrap()).collect();
        assert_eq!(times, [base, base, base + 5, base - 3_600_000, base - 3_599_000]);
    }
}
