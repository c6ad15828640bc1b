//! The class that the npm package's JavaScript drives. Wasm with feature `npm` only.
//!
//! Requests, timers and storage are the page's own, so `pkg-template/uploader.js` does them and this class decides: futures, an executor and
//! bindings to the engine's interfaces would be a third of the download. Between the two go JSON texts and numbers.

use wasm_bindgen::prelude::*;

use crate::{
    Config, DropReason, Error, IngestionApi, LongStrings, Outcome, ProjectKey, Rejection, Result,
    delivery::{Delivery, Effect},
    event::{fields, rules, seal::raw_id_hash, text},
    pipeline::{Failure, Header, Input, Now, Outage, Reply, verdict::is_untouched},
    plugin,
};

/// Half the size of std's.
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

#[wasm_bindgen]
extern "C" {
    /// What `uploader.js` gives to be told; it must not call back before the call that tells has ended.
    pub type Host;
    /// Something is due sooner than `step` said.
    #[wasm_bindgen(method)]
    fn wake(this: &Host);
    /// The bytes are valid during the call alone.
    #[wasm_bindgen(method)]
    fn send(this: &Host, batch: f64, ids: &[f64], body: &[u8]);
    /// An event, in the order of the ids that `settled` tells next, that nobody will send again. The bytes are valid during the call alone.
    #[wasm_bindgen(method)]
    fn given_up(this: &Host, event: &[u8]);
    #[wasm_bindgen(method)]
    fn settled(this: &Host, ids: &[f64], status: &str, reason: &str);
    #[wasm_bindgen(method)]
    fn notice(this: &Host, text: &str);
}

/// Events in, requests out. Errors are strings: their kind, a line feed, their text.
#[wasm_bindgen]
#[expect(missing_debug_implementations, reason = "nobody in Rust sees it")]
pub struct Core {
    delivery: Delivery,
    last_id: u64,
    min_id_chars: usize,
    long_strings: LongStrings,
    /// Where JavaScript writes events before it tells of them: no allocation for each.
    desk: Vec<u8>,
    host: Host,
}

#[wasm_bindgen]
impl Core {
    /// `options.js` checks the values, and gives all but the first two in this order. A number that is 0, and an interval below 0, stands for
    /// the default.
    #[wasm_bindgen(constructor)]
    #[expect(clippy::too_many_arguments, reason = "an object would have to be taken apart by bindings of their own")]
    pub fn new(
        host: Host,
        key: Vec<u8>,
        batch_api: bool,
        refuse_long_strings: bool,
        flush_interval_ms: f64,
        flush_at: usize,
        batch_events: usize,
        queue_bytes: usize,
        min_id_length: usize,
        max_age_ms: f64,
        seed: f64,
    ) -> Result<Core, JsValue> {
        let mut config = Config::new(ProjectKey::new(text_of(&key)).map_err(js)?);
        if batch_api {
            config.api = IngestionApi::Batch;
        }
        if refuse_long_strings {
            config.long_strings = LongStrings::Refuse;
        }
        let set = |place: &mut usize, number| {
            if number > 0 {
                *place = number;
            }
        };
        if flush_interval_ms >= 0.0 {
            config.flush_interval = std::time::Duration::from_millis(flush_interval_ms as u64);
        }
        set(&mut config.flush_events, flush_at);
        set(&mut config.batch_events, batch_events);
        if queue_bytes > 0 {
            config = config.queue_bytes(queue_bytes);
        }
        config.min_id_length = (min_id_length > 0).then_some(min_id_length);
        if max_age_ms > 0.0 {
            config = config.max_age(std::time::Duration::from_millis(max_age_ms as u64));
        }
        let delivery = Delivery::new(&config, None, seed.to_bits());
        Ok(Self {
            delivery,
            last_id: 0,
            min_id_chars: config.min_id_chars(),
            long_strings: config.long_strings,
            desk: Vec::new(),
            host,
        })
    }

    /// A desk of at least so many bytes, for texts in UTF-8. What stood on a smaller one is gone. Answers where in the memory it is.
    pub fn desk(&mut self, bytes: usize) -> usize {
        if self.desk.len() < bytes {
            self.desk = vec![0; bytes];
        }
        self.desk.as_ptr() as usize
    }

    /// Checks the JSON text on the desk, and that it fits into a request.
    pub fn check(&self, from: usize, bytes: usize) -> Result<(), JsValue> {
        self.checked(text_on(&self.desk, from, bytes)?).map_err(js)?;
        self.fits(bytes, 0)
    }

    /// Queues an event that has all its fields; its text on the desk goes as it is. Answers with its number. `tracked` and `first_attempt`: since
    /// when it waits and when it was sent first, in seconds since 1970, or 0.
    pub fn track(
        &mut self,
        from: usize,
        bytes: usize,
        tracked: u32,
        first_attempt: u32,
        mono_ms: f64,
        unix_ms: f64,
    ) -> Result<f64, JsValue> {
        let event = text_on(&self.desk, from, bytes)?;
        let (values, long_strings) = self.checked(event).map_err(js)?;
        let header = Header {
            user: raw_id_hash(values[fields::USER_ID]),
            device: raw_id_hash(values[fields::DEVICE_ID]),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            tracked_secs: tracked,
            first_attempt,
        };
        let now = now(mono_ms, unix_ms);
        self.fits(bytes, self.delivery.pipeline.counts().pending_bytes as usize)?;
        let Delivery { pipeline, store, .. } = &mut self.delivery;
        self.last_id += 1;
        let id = self.last_id;
        pipeline.take(id, header);
        let stored = store.append(id, event.as_bytes());
        pipeline.stored(id, stored, now);
        if pipeline.must_wake(now) {
            self.host.wake();
        }
        let first = long_strings > 0 && pipeline.counts().long_strings == 0;
        pipeline.count_long_strings(u64::from(long_strings));
        if first {
            self.host.notice(&plugin::long_string(&rules::text(values[fields::EVENT_TYPE])));
        }
        Ok(id as f64)
    }

    /// Does what is due, in requests of at most so many bytes where `most_bytes` is above 0. Answers when the next thing is, or infinity.
    pub fn step(&mut self, most_bytes: usize, mono_ms: f64, unix_ms: f64) -> f64 {
        let now = now(mono_ms, unix_ms);
        self.delivery.pipeline.most_bytes = if most_bytes > 0 { most_bytes } else { usize::MAX };
        while let Some(effect) = self.delivery.next(now) {
            match effect {
                Effect::Send(request) => self.host.send(request.batch as f64, &numbers(&request.ids), &request.body),
                Effect::Settled { ids, outcome } => {
                    if outcome.makes_a_dead_letter() {
                        // Before the store forgets them.
                        for id in &ids {
                            self.host.given_up(self.delivery.text(*id).unwrap_or_default());
                        }
                    }
                    if let Some((status, reason)) = outcome_text(&outcome) {
                        self.host.settled(&numbers(&ids), status, &reason);
                    }
                }
                Effect::Paused { reason } => self.host.notice(&plugin::paused(reason)),
            }
        }
        match self.delivery.pipeline.wake_at(now) {
            u64::MAX => f64::INFINITY,
            at => at as f64,
        }
    }

    /// The answer to a request. `retry_after_s` below 0: the server did not say. Status 0: no answer came; 1: the server cannot have seen
    /// the request. Answers whether the server may have taken the events.
    pub fn reply(&mut self, batch: f64, status: u16, retry_after_s: f64, body: Vec<u8>, mono_ms: f64, unix_ms: f64) -> bool {
        let reply = match status {
            0 => Err(Failure::Interrupted),
            1 => Err(Failure::Connect),
            _ => Ok(Reply {
                status,
                retry_after: (retry_after_s >= 0.0).then(|| std::time::Duration::from_secs(retry_after_s as u64)),
                body: text_of(&body),
            }),
        };
        let taken = !is_untouched(&reply);
        self.delivery.pipeline.handle(Input::Reply { batch: batch as u64, reply }, now(mono_ms, unix_ms));
        taken
    }

    /// What waits goes without waiting for more, from the next step on.
    pub fn flush(&mut self) {
        self.delivery.pipeline.handle(Input::Flush { through: self.last_id }, now(0.0, 0.0));
    }

    /// Failures in a row, for the next page; 0: there is no outage.
    pub fn failures(&self) -> u32 {
        self.delivery.pipeline.outage(Now::default()).failures
    }

    /// Until when nothing is sent because of them, in milliseconds since 1970.
    pub fn paused_until(&self, mono_ms: f64, unix_ms: f64) -> f64 {
        self.delivery.pipeline.outage(now(mono_ms, unix_ms)).until_ms as f64
    }

    /// Goes on with the outage that an earlier page met.
    pub fn resume(&mut self, failures: u32, until_ms: f64, mono_ms: f64, unix_ms: f64) {
        self.delivery.pipeline.resume(Outage { failures, until_ms: until_ms as u64 }, now(mono_ms, unix_ms));
    }

    /// The network is back: what failed without an answer goes again from the next step on.
    pub fn online(&mut self) {
        self.delivery.pipeline.handle(Input::Online, now(0.0, 0.0));
    }
}

impl Core {
    fn fits(&self, bytes: usize, queued: usize) -> Result<(), JsValue> {
        self.delivery.pipeline.bounds().check(bytes, queued, 0).map_err(|refusal| js(refusal.into_error(bytes)))
    }

    fn checked<'a>(&self, event: &'a str) -> Result<(rules::Values<'a>, u32)> {
        let (values, long_strings) = text::check(event)?;
        rules::check_ids(values[fields::USER_ID], values[fields::DEVICE_ID], self.min_id_chars)?;
        self.long_strings.check(long_strings)?;
        Ok((values, long_strings))
    }
}

fn text_on(desk: &[u8], from: usize, bytes: usize) -> Result<&str, JsValue> {
    let text = desk.get(from..from.saturating_add(bytes)).and_then(utf8);
    text.ok_or_else(|| js(Error::at("event", "is not UTF-8")))
}

/// A text comes as its bytes, because bindings for strings are longer. No answer of Amplitude's, and no key, is not UTF-8.
fn text_of(bytes: &[u8]) -> String {
    utf8(bytes).unwrap_or_default().to_owned()
}

/// Once in the download.
#[inline(never)]
fn utf8(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}

/// Times of this century are whole numbers in a double, and `as` saturates what is not.
fn now(mono_ms: f64, unix_ms: f64) -> Now {
    Now { mono_ms: mono_ms as u64, unix_ms: unix_ms as u64 }
}

fn numbers(ids: &[u64]) -> Vec<f64> {
    ids.iter().map(|id| *id as f64).collect()
}

fn js(error: Error) -> JsValue {
    [error.kind().as_str(), "\n", error.message()].concat().into()
}

/// `None`: nothing has become of the events.
fn outcome_text(outcome: &Outcome) -> Option<(&'static str, String)> {
    Some(match outcome {
        Outcome::Delivered => ("delivered", String::new()),
        Outcome::Rejected(rejection) => ("rejected", rejection_text(rejection)),
        Outcome::Dropped(DropReason::Expired) => ("dropped", "it waited longer than `maxAgeMs`".to_owned()),
        // Plugins and shutdowns are not this class's.
        Outcome::Dropped(_) => ("dropped", "the store failed".to_owned()),
        Outcome::Unknown => ("unknown", "no answer came, and it is too old to be sent again".to_owned()),
        // Of clients that end, which this class does not: a page goes without a word to it, and what it has is the page's to keep.
        Outcome::Kept => return None,
    })
}

fn rejection_text(rejection: &Rejection) -> String {
    match rejection {
        Rejection::InvalidField(field) => ["the field ", field, " is invalid"].concat(),
        Rejection::MissingField(field) => ["the field ", field, " is missing"].concat(),
        Rejection::IdLength(field) => [field, " is too short or too long"].concat(),
        Rejection::Silenced => "its device is silenced".to_owned(),
        Rejection::TooLarge => "it is too large".to_owned(),
        Rejection::Unexplained => "the server does not say why".to_owned(),
    }
}
