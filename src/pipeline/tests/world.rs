//! A driver with a store and a network that answer when and as a schedule says, and a model of what must be true meanwhile.

use super::{shares::Server, *};

pub(super) const OK: &str = r#"{"code":200,"events_ingested":1,"server_upload_time":1}"#;
const DAY_MS: u64 = 86_400_000;

pub(super) fn config() -> PipelineConfig {
    PipelineConfig {
        batch_events: 5,
        bounds: Bounds { batch: 1000, envelope: 100, queue: 3000 },
        flush_interval_ms: 50,
        flush_events: 3,
        flush_bytes: 500,
        max_in_flight: 2,
        max_age_secs: u32::MAX,
        notes_attempts: false,
        backoff: Backoff::default(),
        proxy_reply: None,
    }
}

pub(super) fn reply(status: u16, body: &str) -> Reply {
    Reply { status, retry_after: None, body: body.to_owned() }
}

/// Takes the next record; they are numbered from 1.
pub(super) fn take(pipeline: &mut Pipeline, header: Header) -> RecordId {
    let id = pipeline.counts().accepted + 1;
    pipeline.take(id, header);
    id
}

/// All that was taken goes without waiting for more.
pub(super) fn flush(pipeline: &mut Pipeline, now: Now) {
    let through = pipeline.counts().accepted;
    pipeline.handle(Input::Flush { through }, now);
}

/// The replies of a hostile network, by number.
fn answer(pick: u8, size: usize) -> Result<Reply, Failure> {
    let last = size - 1;
    Ok(match pick % 20 {
        0 | 1 => reply(200, OK),
        2 => reply(200, "<html>log in</html>"),
        3 => reply(400, &format!(r#"{{"code":400,"events_with_invalid_fields":{{"time":[0,{last},0,99,-1,{}]}}}}"#, i64::MAX)),
        4 => reply(400, r#"{"code":400,"error":"Invalid event JSON"}"#),
        5 => reply(400, r#"{"code":400,"error":"Invalid API key: x"}"#),
        6 => reply(413, ""),
        7 => reply(429, r#"{"code":429,"throttled_devices":{"d1":31},"throttled_users":{"u2":31},"throttled_events":[0,0,-3]}"#),
        8 => reply(429, r#"{"code":429,"exceeded_daily_quota_devices":{"d0":1}}"#),
        9 => reply(503, "<html>"),
        10 => return Err(Failure::Timeout),
        11 => return Err(Failure::Connect),
        12 => reply(403, ""),
        13 => reply(400, r#"{"code":400,"events_with_missing_fields":{"event_type":["0"]}}"#),
        14 => Reply { retry_after: Some(WAIT), ..reply(503, "") },
        15 => {
            Reply { retry_after: Some(WAIT), ..reply(429, r#"{"code":429,"throttled_users":{"u1":31},"throttled_events":[]}"#) }
        }
        16 => reply(429, r#"{"code":429,"throttled_devices":{"nobody":31},"throttled_events":[99]}"#),
        17 => reply(500, ""),
        18 => reply(400, r#"{"code":400,"silenced_devices":["d2"],"silenced_events":[]}"#),
        _ => reply(429, ""),
    })
}

/// What the network asks for with `Retry-After`: longer than a throttled id waits without.
const WAIT: Duration = Duration::from_secs(100);

/// What the model knows of a record.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) lane: u64,
    pub(super) user: u64,
    bytes: u32,
    /// Whether the store holds it; `None` before its answer.
    held: Option<bool>,
    /// When a request left that the server may have taken it from.
    touched: Option<Now>,
    /// The time before which nobody may send it, by the clock that only runs forward.
    not_before: u64,
}

#[derive(Default)]
pub(super) struct World {
    pipeline: Option<Pipeline>,
    pub(super) now: Now,
    pub(super) records: BTreeMap<RecordId, Record>,
    settled: HashSet<RecordId>,
    /// Appends and loads that the store was asked for.
    appends: Vec<RecordId>,
    loads: Vec<(BatchId, Vec<RecordId>)>,
    loaded: HashMap<BatchId, Vec<RecordId>>,
    /// Requests and when they left.
    pub(super) in_flight: BTreeMap<BatchId, (Vec<RecordId>, Now)>,
    last_sent: HashMap<Vec<RecordId>, u64>,
    /// Users and lanes that were told to wait, and until when.
    pub(super) users: HashMap<u64, u64>,
    pub(super) lanes: HashMap<u64, u64>,
    /// What replies confirmed, what they named as invalid, what the store lost.
    pub(super) confirmed: HashSet<RecordId>,
    guilty: HashSet<RecordId>,
    lost: HashSet<RecordId>,
    purged: HashSet<RecordId>,
    abandoned: bool,
    /// In the end, a server that is kind and throttles by rate.
    throttles: Option<Server>,
}

pub(super) fn hash(kind: &str, number: u8) -> u64 {
    id_hash(&format!("{kind}{number}"))
}

impl World {
    pub(super) fn new() -> Self {
        let now = Now { mono_ms: 1000, unix_ms: 1_760_000_000_000 };
        Self { pipeline: Some(Pipeline::new(config(), 7)), now, ..Self::default() }
    }

    pub(super) fn pipeline(&mut self) -> &mut Pipeline {
        self.pipeline.as_mut().expect("made with one")
    }

    fn handle(&mut self, input: Input) {
        let now = self.now;
        self.pipeline().handle(input, now);
    }

    pub(super) fn counts(&self) -> Counts {
        self.pipeline.as_ref().expect("made with one").counts()
    }

    /// One step of a schedule.
    pub(super) fn step(&mut self, (kind, a, b, n): Step) {
        match kind {
            0 | 1 => self.track(a, b % 5, n),
            2 => self.track_and_store(a, b % 5, n),
            3 => self.answer_append(usize::from(b), a % 4 > 0),
            4 | 5 => self.answer_load(usize::from(b), a),
            6 | 7 => self.answer(a, usize::from(b)),
            8 => self.pass(match a % 8 {
                0..=3 => u64::from(n),
                4 => 125 * u64::from(n),
                5 => 30_000,
                6 => 3_600_000,
                _ => DAY_MS * u64::from(n % 8),
            }),
            9 => self.set_clock(i64::from(n) - 150),
            10 => {
                let now = self.now;
                flush(self.pipeline(), now);
            }
            11 if a < 6 => self.abandon(),
            12 => self.evict(u64::from(n) * 4),
            13 if a < 100 => self.purge(u64::from(a % 4)),
            _ => self.answer_all(),
        }
        self.obey();
    }

    fn track(&mut self, user: u8, device: u8, bytes: u32) {
        if self.abandoned {
            return;
        }
        let device = (device < 4).then(|| hash("d", device));
        let user = hash("u", user % 3);
        let queued = self.counts().pending_bytes as usize;
        if self.pipeline().bounds().check(bytes as usize, queued, 0).is_ok() {
            let id = take(self.pipeline(), Header { user: Some(user), device, bytes, tracked_secs: 0, first_attempt: 0 });
            let lane = device.unwrap_or(user);
            self.records.insert(id, Record { lane, user, bytes, held: None, touched: None, not_before: 0 });
            self.appends.push(id);
        }
    }

    pub(super) fn track_and_store(&mut self, user: u8, device: u8, bytes: u32) {
        self.track(user, device, bytes);
        self.answer_append(usize::MAX, true);
        self.obey();
    }

    /// The store answers in any order.
    fn answer_append(&mut self, which: usize, stored: bool) {
        if self.appends.is_empty() {
            return;
        }
        let id = self.appends.remove(which.min(self.appends.len() - 1));
        self.records.get_mut(&id).expect("tracked").held = Some(stored);
        let now = self.now;
        // The first answer counts.
        for stored in [stored, !stored] {
            self.pipeline().stored(id, stored, now);
        }
    }

    fn answer_load(&mut self, which: usize, pick: u8) {
        if self.loads.is_empty() {
            return;
        }
        let (batch, ids) = self.loads.remove(which % self.loads.len());
        let lost: Vec<_> = ids.iter().copied().filter(|id| self.lost.contains(id)).collect();
        match pick % 8 {
            0 => self.handle(Input::LoadFailed { batch, lost: Vec::new() }),
            1 => {
                self.lost.insert(ids[usize::from(pick) % ids.len()]);
                let lost = ids.into_iter().filter(|id| self.lost.contains(id)).collect();
                self.handle(Input::LoadFailed { batch, lost });
            }
            _ if !lost.is_empty() => self.handle(Input::LoadFailed { batch, lost }),
            _ => {
                self.loaded.insert(batch, ids);
                self.handle(Input::Loaded { batch });
                self.obey();
                // An answer that comes twice changes nothing.
                self.handle(Input::Loaded { batch });
                self.handle(Input::LoadFailed { batch, lost: Vec::new() });
            }
        }
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        self.obey();
    }

    /// Somebody sets the wall clock, by a tenth of a day for each step.
    fn set_clock(&mut self, steps: i64) {
        self.now.unix_ms = self.now.unix_ms.saturating_add_signed(steps * (DAY_MS as i64) / 10);
    }

    /// The oldest that are not under way make room.
    fn evict(&mut self, bytes: u64) {
        let evictable = self.evictable();
        let now = self.now;
        let freed = self.pipeline().evict(bytes, RecordId::MAX, now);
        let mut expected = 0;
        for id in evictable {
            let is_due = expected < bytes;
            assert_eq!(self.pipeline().settles(id), is_due, "not the oldest make room");
            expected += if is_due { u64::from(self.records[&id].bytes) } else { 0 };
        }
        assert_eq!(freed, expected);
    }

    /// In their order.
    fn evictable(&self) -> Vec<RecordId> {
        let loading = self.loads.iter().flat_map(|(_, ids)| ids);
        let sending = self.loaded.values().flatten().chain(self.in_flight.values().flat_map(|(ids, _)| ids));
        let under_way: HashSet<_> = loading.chain(sending).chain(&self.appends).collect();
        // What the store answered waits for what it did not.
        let stored = self.appends.iter().min().copied().unwrap_or(RecordId::MAX);
        let ids = self.records.keys().filter(|id| **id < stored && !self.settled.contains(id) && !under_way.contains(id));
        ids.copied().collect()
    }

    fn purge(&mut self, of_four: u64) {
        let now = self.now;
        self.pipeline().purge(&mut |id| id % 4 == of_four, now);
        self.purged.extend(self.records.keys().filter(|id| **id % 4 == of_four));
    }

    fn abandon(&mut self) {
        self.abandoned = true;
        for (ids, sent_at) in self.in_flight.values() {
            for id in ids {
                self.records.get_mut(id).expect("sent").touched.get_or_insert(*sent_at);
            }
        }
        self.pipeline().abandon(Some(DropReason::Shutdown));
    }

    pub(super) fn answer(&mut self, pick: u8, which: usize) {
        let batches: Vec<_> = self.in_flight.keys().copied().collect();
        let Some(&batch) = batches.get(which % batches.len().max(1)) else { return };
        let (ids, sent_at) = self.in_flight.remove(&batch).expect("one of them");
        let reply = match self.throttles.take() {
            Some(mut server) => {
                let reply = self.by_rate(&mut server, &ids);
                self.throttles = Some(server);
                reply
            }
            None => {
                let reply = answer(pick, ids.len());
                self.expect(pick, &reply, &ids, sent_at);
                reply
            }
        };
        self.handle(Input::Reply { batch, reply });
        // An answer that comes twice changes nothing.
        self.handle(Input::Reply { batch, reply: Ok(super::reply(200, OK)) });
        self.obey();
    }

    /// Notes what must hold after a reply.
    fn expect(&mut self, pick: u8, reply: &Result<Reply, Failure>, ids: &[RecordId], sent_at: Now) {
        let now = self.now.mono_ms;
        let retry_after = reply.as_ref().map_or(None, |reply| reply.retry_after).map_or(0, |wait| wait.as_millis() as u64);
        let touched = matches!(reply, Err(Failure::Timeout)) || reply.as_ref().is_ok_and(|it| matches!(it.status, 200 | 500));
        for id in ids {
            let record = self.records.get_mut(id).expect("sent");
            if touched {
                record.touched.get_or_insert(sent_at);
            }
            if pick % 20 == 14 {
                record.not_before = now + retry_after;
            }
        }
        let wait = |waits: &mut HashMap<u64, u64>, id: u64, ms: u64| {
            let until = waits.entry(id).or_default();
            *until = (*until).max(now + ms.max(retry_after));
        };
        for id in ids {
            let Record { lane, user, .. } = self.records[id];
            match pick % 20 {
                7 if lane == hash("d", 1) => wait(&mut self.lanes, lane, 30_000),
                7 if user == hash("u", 2) => wait(&mut self.users, user, 30_000),
                7 if *id == ids[0] => wait(&mut self.lanes, lane, 30_000),
                8 if lane == hash("d", 0) => wait(&mut self.lanes, lane, 3_600_000),
                15 if user == hash("u", 1) => wait(&mut self.users, user, 30_000),
                _ => {}
            }
        }
        match pick % 20 {
            0 | 1 => self.confirmed.extend(ids),
            3 => self.guilty.extend([ids[0], ids[ids.len() - 1]]),
            18 => self.guilty.extend(ids.iter().filter(|id| self.records[id].lane == hash("d", 2))),
            _ => {}
        }
    }

    pub(super) fn obey(&mut self) {
        let now = self.now;
        while let Some(action) = self.pipeline().next(now) {
            match action {
                Action::Load { batch, ids, bytes } => {
                    let sum: u32 = ids.iter().map(|id| self.records[id].bytes).sum();
                    assert_eq!(bytes, config().bounds.envelope + sum as usize + ids.len() - 1);
                    assert!(bytes <= config().bounds.batch && ids.len() <= config().batch_events && !ids.is_empty());
                    ids.iter().for_each(|id| self.check_load(*id));
                    self.loads.push((batch, ids));
                }
                Action::Send { batch } => {
                    let ids = self.loaded.remove(&batch).expect("sent only what was loaded");
                    self.check_request(&ids);
                    self.in_flight.insert(batch, (ids, now));
                }
                Action::Settle { ids, outcome } => self.settle(ids, &outcome),
                Action::NotAttempted { .. } | Action::Paused { .. } => {}
            }
            if !self.abandoned {
                assert!(self.in_flight.len() + self.loads.len() <= config().max_in_flight);
            }
        }
        self.check();
    }

    fn check_load(&self, id: RecordId) {
        let record = self.records[&id];
        assert_eq!(record.held, Some(true), "the store does not hold it");
        assert!(!self.lost.contains(&id), "the store has lost it");
        assert!(!self.settled.contains(&id), "loaded after its end");
        assert!(!self.purged.contains(&id), "loaded after it was purged");
        let until = self.lanes.get(&record.lane).max(self.users.get(&record.user)).copied().unwrap_or(0);
        assert!(until <= self.now.mono_ms, "a throttled id is to be sent");
        assert!(record.not_before <= self.now.mono_ms, "to be sent before its time");
        if let Some(touched) = record.touched {
            let wall = self.now.unix_ms.saturating_sub(touched.unix_ms);
            let age = wall.max(self.now.mono_ms - touched.mono_ms);
            assert!(age < 7 * DAY_MS, "to be sent again when its insert_id may be forgotten");
        }
    }

    fn check_request(&mut self, ids: &[RecordId]) {
        for (index, id) in ids.iter().enumerate() {
            let record = self.records[id];
            assert!(!self.settled.contains(id), "sent after its end");
            let earlier = self.records.range(..*id).filter(|(before, earlier)| {
                earlier.lane == record.lane && !self.settled.contains(before) && !ids[..index].contains(before)
            });
            assert_eq!(earlier.map(|(before, _)| before).next(), None, "an earlier event of the lane is not settled");
            for other in self.in_flight.values().flat_map(|(ids, _)| ids) {
                assert_ne!(self.records[other].lane, record.lane, "two requests share a lane");
            }
        }
        let before = self.last_sent.insert(ids.to_vec(), self.now.mono_ms);
        assert_ne!(before, Some(self.now.mono_ms), "the same request came back at once");
    }

    fn settle(&mut self, ids: Vec<RecordId>, outcome: &Outcome) {
        for id in ids {
            assert!(self.settled.insert(id), "settled twice");
            let record = self.records[&id];
            match outcome {
                Outcome::Kept => panic!("no store here outlives the client"),
                Outcome::Delivered => assert!(self.confirmed.contains(&id), "nobody confirmed it"),
                Outcome::Rejected(Rejection::InvalidField(_) | Rejection::Silenced) => {
                    assert!(self.guilty.contains(&id), "a neighbour pays");
                }
                Outcome::Rejected(_) => {}
                Outcome::Unknown => assert!(record.touched.is_some(), "the server cannot have it"),
                Outcome::Dropped(DropReason::Store) => {
                    assert!(record.held == Some(false) || self.lost.contains(&id), "the store holds it");
                }
                Outcome::Dropped(DropReason::Purged) => assert!(self.purged.contains(&id), "nobody wanted it forgotten"),
                // Which ones, `evict` has checked.
                Outcome::Dropped(DropReason::Evicted) => {}
                Outcome::Dropped(_) => {
                    assert!(self.abandoned, "given up without a reason");
                    assert!(record.touched.is_none(), "the server may have it");
                }
            }
        }
    }

    fn check(&self) {
        let counts = self.counts();
        assert_eq!(counts.accepted, counts.delivered + counts.rejected + counts.dropped + counts.unknown + counts.pending);
        assert_eq!(counts.accepted, self.records.len() as u64);
        assert_eq!(counts.pending, (self.records.len() - self.settled.len()) as u64);
        let pending = self.records.iter().filter(|(id, _)| !self.settled.contains(id));
        assert_eq!(counts.pending_bytes, pending.map(|(_, record)| u64::from(record.bytes)).sum::<u64>());
        assert!(counts.pending_bytes <= config().bounds.queue as u64);
        if let Some(pipeline) = &self.pipeline {
            assert!(pipeline.wake_at(self.now) > self.now.mono_ms, "woken with nothing to do");
            pipeline.check();
        }
    }

    /// A kind store and a kind network answer all that waits for them.
    pub(super) fn answer_all(&mut self) {
        while !self.appends.is_empty() {
            self.answer_append(0, true);
        }
        self.obey();
        while !(self.loads.is_empty() && self.in_flight.is_empty()) {
            self.answer_load(0, 7);
            self.answer(0, 0);
        }
    }

    /// With kindness all that is left is delivered within a bounded number of steps and a bounded time, or the pipeline has forgotten a record
    /// or a wake-up, or a lane starves. Half of the servers take no more than `rate` events of an id in a window.
    pub(super) fn finish(&mut self, rate: u32) {
        {
            let now = self.now;
            flush(self.pipeline(), now);
        };
        let pending = self.counts().pending;
        let mut steps = 2 * pending + 20;
        // What waits already, such as for an hour's quota.
        let mut until = self.now.mono_ms + 2 * 3_600_000;
        if rate % 2 == 1 {
            // The threshold that it names may be more than it takes.
            self.throttles = Some(Server::new(1 + rate as usize / 4 % 4, (rate / 2 % 2 == 1).then_some(30)));
            steps *= 8;
            // One share is refused for each that is taken, and each may hold one event alone; four times to find its size.
            until += (2 * pending + 8) * 31_000;
        }
        for _ in 0..steps {
            self.answer_all();
            if self.counts().pending == 0 {
                assert!(self.now.mono_ms <= until, "late by {} s", (self.now.mono_ms - until) / 1000);
                return;
            }
            let now = self.now;
            let at = self.pipeline().wake_at(now);
            assert_ne!(at, u64::MAX, "something is pending and nothing is due");
            self.pass(at - now.mono_ms);
        }
        panic!("{:?}", self.pipeline);
    }
}
