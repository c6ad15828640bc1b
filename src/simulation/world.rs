//! A schedule's world: the client, its server and its clock, and what must be true of them.

mod ending;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use crate::{
    Config, DiskOptions, DropReason, Event, Outcome, ProjectKey,
    delivery::Outgoing,
    driver::by_hand::ByHand,
    pipeline::{BatchId, Failure, Now, Reply},
    purge::Whose,
};

const DEVICES: u64 = 5;
/// So little that a few events fill it.
const MEMORY: usize = 3000;
/// The largest event, and what a large one has more than others.
const LARGEST: usize = 2000;
const FILLER: usize = 1600;
/// A queue that a few dozen events fill, and one that nothing here does.
const LITTLE_QUEUE: usize = 12_000;
const LARGE_QUEUE: usize = 64 << 20;
/// The number of the first device that is used once.
const FRESH: u64 = 1000;

/// Who tracks too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hot {
    Nobody,
    /// The first one.
    Device,
    /// One with two of the devices and ever new ones.
    User,
}

/// An event as the world knows it.
#[derive(Clone, Copy)]
struct Tracked {
    device: u64,
    hot: bool,
}

/// SplitMix64: a schedule is its seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A request under way: the numbers of its events.
struct Request {
    batch: BatchId,
    numbers: Vec<u64>,
}

pub(super) struct World {
    pub(super) random: Random,
    client: Option<ByHand>,
    now: Now,
    hot: Hot,
    tracked: Vec<Tracked>,
    in_flight: Vec<Request>,
    /// By the server: events that it has, in the order of their first arrival, and how often each came.
    arrived: Vec<u64>,
    copies: BTreeMap<u64, u32>,
    refused: BTreeSet<u64>,
    /// How many copies of an event may be on the wire: one for each time that nobody knows what became of it.
    excused: BTreeMap<u64, u32>,
    /// What the owner wants forgotten.
    purged: BTreeSet<u64>,
    /// How many made room for newer ones.
    evicted: usize,
    config: Config,
}

fn config(dir: &Path, queue_bytes: usize) -> Config {
    Config::new(ProjectKey::new("demo0000000000000000000000000key").unwrap())
        .server_url("http://127.0.0.1:9/")
        .flush_interval(Duration::from_millis(50))
        .flush_at(4)
        .batch_events(6)
        .queue_bytes(queue_bytes)
        .disk(DiskOptions::new(dir).memory_bytes(MEMORY))
}

fn event(number: u64, tracked: Tracked, user: &str, filler: usize) -> Event {
    Event::builder("simulated")
        .user_id(user)
        .device_id(&format!("device-{}", tracked.device))
        .insert_id(&format!("insert-{number}"))
        .property("n", number)
        .property("filler", "x".repeat(filler).as_str())
        .build()
        .unwrap()
}

fn reply(status: u16, body: &str) -> Result<Reply, Failure> {
    Ok(Reply { status, retry_after: None, body: body.to_owned() })
}

const OK: &str = r#"{"code":200,"events_ingested":1,"server_upload_time":1}"#;

impl World {
    pub(super) fn new(seed: u64, dir: &Path) -> Self {
        let now = Now { mono_ms: 1000, unix_ms: 1_760_000_000_000 };
        let mut random = Random(seed);
        // They take ten times as long as the others.
        let hot = match random.below(36) {
            0 => Hot::Device,
            1 => Hot::User,
            _ => Hot::Nobody,
        };
        let queue_bytes = if random.below(8) == 0 { LITTLE_QUEUE } else { LARGE_QUEUE };
        let config = config(dir, queue_bytes);
        let client = Some(ByHand::new(config.clone(), seed).unwrap());
        Self {
            random,
            client,
            now,
            hot,
            tracked: Vec::new(),
            in_flight: Vec::new(),
            arrived: Vec::new(),
            copies: BTreeMap::new(),
            refused: BTreeSet::new(),
            excused: BTreeMap::new(),
            purged: BTreeSet::new(),
            evicted: 0,
            config,
        }
    }

    fn client(&mut self) -> &mut ByHand {
        self.client.as_mut().unwrap()
    }

    /// Most bugs need few steps; some need what many leave behind, and who is hot must first fill the memory.
    pub(super) fn length(&mut self) -> u64 {
        let is_long = self.hot != Hot::Nobody || self.random.below(4) == 0;
        if is_long { 20 + self.random.below(60) } else { 4 + self.random.below(16) }
    }

    pub(super) fn step(&mut self) {
        match self.random.below(20) {
            0 if self.random.below(6) == 0 => self.purge(),
            0..=7 => self.track(),
            8..=12 => self.answer(),
            13..=15 => self.pass(),
            16 => {
                let now = self.now;
                self.client().flush(now);
            }
            17 => self.crash(),
            18 => {
                // The wall clock is set, forward or back.
                let jump = self.random.below(7_200_000);
                self.now.unix_ms = (self.now.unix_ms + jump).saturating_sub(3_600_000);
            }
            _ => (0..10).for_each(|_| self.track()),
        }
        self.drive();
    }

    fn track(&mut self) {
        let hot = self.hot != Hot::Nobody && self.random.below(4) > 0;
        let number = self.tracked.len() as u64;
        let device = match self.hot {
            Hot::Device if hot => 0,
            Hot::Device => 1 + self.random.below(DEVICES - 1),
            Hot::User if hot && self.random.below(2) == 0 => FRESH + number,
            // The others use one of the hot user's, too.
            Hot::User if hot => self.random.below(2),
            Hot::User => 1 + self.random.below(DEVICES - 1),
            Hot::Nobody => number % DEVICES,
        };
        let large = self.random.below(40) == 0;
        self.track_as(Tracked { device, hot }, if large { FILLER } else { 0 });
    }

    fn track_as(&mut self, tracked: Tracked, filler: usize) {
        let user = if tracked.hot && self.hot == Hot::User { "user-hot" } else { "user-other" };
        let (event, now) = (event(self.tracked.len() as u64, tracked, user, filler), self.now);
        if self.client().track(&event, now).unwrap() {
            self.tracked.push(tracked);
        }
    }

    fn purge(&mut self) {
        let (device, now) = (self.random.below(DEVICES), self.now);
        self.client().purge(Whose::Devices(&format!("device-{device}")), now).unwrap();
        let numbers = 0..self.tracked.len() as u64;
        self.purged.extend(numbers.filter(|number| self.tracked[*number as usize].device == device));
    }

    fn pass(&mut self) {
        let ms = [1, 60, 300, 5000, 60_000, 3_600_000][self.random.below(6) as usize];
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
    }

    /// The process is gone, with all that it had in memory.
    fn crash(&mut self) {
        for request in std::mem::take(&mut self.in_flight) {
            // The server may have got it.
            if self.random.below(2) == 0 {
                self.arrive(&request.numbers);
            }
            self.excuse(&request.numbers);
        }
        self.client = None;
        // Its successor has a clock of its own.
        self.now.mono_ms = 1000;
        let seed = self.random.below(u64::MAX);
        self.client = Some(ByHand::new(self.config.clone(), seed).unwrap());
        // Before its driver has looked at anything.
        (0..self.random.below(3)).for_each(|_| self.track());
    }

    fn answer(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let which = self.random.below(self.in_flight.len() as u64) as usize;
        let Request { batch, numbers } = self.in_flight.remove(which);
        if self.random.below(4) > 0
            && let Some(answer) = self.too_hot(&numbers)
        {
            self.client().reply(batch, answer);
            return;
        }
        let answer = match self.random.below(12) {
            0..=3 => {
                self.arrive(&numbers);
                reply(200, OK)
            }
            4 => reply(200, "<html>log in</html>"),
            5 => {
                let index = self.random.below(numbers.len() as u64);
                self.refused.insert(numbers[index as usize]);
                reply(400, &format!(r#"{{"code":400,"events_with_invalid_fields":{{"time":[{index}]}}}}"#))
            }
            6 => reply(429, r#"{"code":429,"throttled_events":[0]}"#),
            7 => reply(503, ""),
            8 => Err(Failure::Connect),
            // It arrived, and nobody hears of it.
            9 => {
                self.arrive(&numbers);
                self.excuse(&numbers);
                Err(Failure::Timeout)
            }
            10 => {
                self.arrive(&numbers);
                self.excuse(&numbers);
                reply(502, "")
            }
            _ => reply(413, ""),
        };
        // A body of 413 halves a request until one event is alone, which is then refused.
        if answer.as_ref().is_ok_and(|answer| answer.status == 413) && numbers.len() == 1 {
            self.refused.extend(&numbers);
        }
        self.client().reply(batch, answer);
    }

    fn of(&self, number: u64) -> Tracked {
        self.tracked[number as usize]
    }

    /// What a server says to a request that holds events of who is hot: to some that this is too fast, to some that it was enough for a day.
    fn too_hot(&self, numbers: &[u64]) -> Option<Result<Reply, Failure>> {
        let (kind, id) = if self.hot == Hot::Device { ("devices", "device-0") } else { ("users", "user-hot") };
        let why = if numbers[0].is_multiple_of(2) { "throttled" } else { "exceeded_daily_quota" };
        let body = format!(r#"{{"code":429,"{why}_{kind}":{{"{id}":500001}},"throttled_events":[]}}"#);
        numbers.iter().any(|number| self.of(*number).hot).then(|| reply(429, &body))
    }

    fn arrive(&mut self, numbers: &[u64]) {
        for number in numbers {
            let copies = self.copies.entry(*number).or_default();
            *copies += 1;
            if *copies == 1 {
                self.arrived.push(*number);
            }
            let excused = self.excused.get(number).copied().unwrap_or(0);
            assert!(*copies <= 1 + excused, "event {number} came {copies} times, and {excused} attempts had no answer");
        }
    }

    fn excuse(&mut self, numbers: &[u64]) {
        for number in numbers {
            *self.excused.entry(*number).or_default() += 1;
        }
    }

    fn drive(&mut self) {
        let now = self.now;
        // What is due at once may take a few steps.
        for _ in 0..50 {
            let done = self.client().step(now);
            for (ids, outcome) in &done.settled {
                match outcome {
                    Outcome::Delivered | Outcome::Rejected(_) => {}
                    Outcome::Dropped(DropReason::Purged) => assert!(!self.purged.is_empty(), "nobody wanted it forgotten"),
                    Outcome::Dropped(DropReason::Evicted) => self.evicted += ids.len(),
                    _ => panic!("{outcome:?}"),
                }
            }
            for Outgoing { batch, body, .. } in done.sends {
                self.send(batch, &body);
            }
            if done.wake_at.is_some_and(|at| at > now.mono_ms) {
                break;
            }
        }
        let counts = self.client().counts(now);
        assert_eq!(counts.accepted, counts.delivered + counts.rejected + counts.dropped + counts.unknown + counts.pending);
        assert_eq!(counts.unknown, 0);
        assert!(counts.pending_bytes <= self.config.queue_bytes.unwrap() as u64, "{counts:?}");
        let (bytes, entries, lanes) = self.client().in_memory();
        assert!(bytes <= MEMORY + LARGEST, "{bytes} bytes in memory");
        assert!(entries * 150 <= bytes, "{entries} entries for {bytes} bytes");
        assert!(lanes <= 60, "{lanes} lanes");
    }

    fn send(&mut self, batch: BatchId, body: &[u8]) {
        let body: serde_json::Value = serde_json::from_slice(body).expect("a request is JSON");
        let numbers: Vec<u64> = body["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| {
                let number = event["event_properties"]["n"].as_u64().unwrap();
                assert_eq!(event["insert_id"], format!("insert-{number}"), "an insert id has changed");
                number
            })
            .collect();
        for other in self.in_flight.iter().flat_map(|request| &request.numbers) {
            let device = self.of(*other).device;
            assert!(numbers.iter().all(|number| self.of(*number).device != device), "two requests share a device");
        }
        assert!(numbers.iter().all(|number| !self.refused.contains(number)), "sent after it was refused");
        assert!(numbers.iter().all(|number| !self.purged.contains(number)), "sent after it was to be forgotten");
        self.in_flight.push(Request { batch, numbers });
    }
}
