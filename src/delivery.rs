//! The pipeline and its store as one: takes records, cuts requests, tells outcomes. Both targets; what a loop drives, native or JavaScript.

use crate::{
    config::Config,
    context::Envelope,
    pipeline::{Action, BatchId, Header, Input, Now, Outcome, Pipeline, RecordId},
    store::MemoryStore,
};

pub(crate) struct Delivery {
    pub(crate) pipeline: Pipeline,
    pub(crate) store: MemoryStore,
    envelope: Envelope,
    /// Requests that are loaded and not yet on their way.
    loaded: Vec<Outgoing>,
}

/// A request and the records in it.
pub(crate) struct Outgoing {
    pub(crate) batch: BatchId,
    pub(crate) ids: Vec<RecordId>,
    pub(crate) body: Vec<u8>,
}

/// What a loop is to do, or to tell.
pub(crate) enum Effect {
    /// Send it, then feed [`Input::Reply`].
    Send(Outgoing),
    /// The outcome of these records is known.
    Settled { ids: Vec<RecordId>, outcome: Outcome },
    /// Delivery is paused, and why.
    Paused { reason: &'static str },
}

impl Delivery {
    pub(crate) fn new(config: &Config, seed: u64) -> Self {
        let envelope = Envelope::new(&config.key, config.min_id_length);
        let pipeline = Pipeline::new(config.pipeline(envelope.bytes()), seed);
        Self { pipeline, store: MemoryStore::default(), envelope, loaded: Vec::new() }
    }

    /// Takes over records that were checked against the bounds, with the store that holds them.
    pub(crate) fn take(&mut self, headers: &[Header], store: &mut MemoryStore, now: Now) {
        self.store.absorb(store);
        for &header in headers {
            let id = self.pipeline.take(header);
            self.pipeline.stored(id, true, now);
        }
    }

    /// The next thing to do, until `None`.
    pub(crate) fn next(&mut self, now: Now) -> Option<Effect> {
        loop {
            match self.pipeline.next(now)? {
                Action::Load { batch, ids, bytes } => {
                    let mut body = Vec::with_capacity(bytes);
                    self.envelope.open(&mut body);
                    if self.store.load(&ids, &mut body) {
                        self.loaded.push(Outgoing { batch, ids, body });
                        self.pipeline.handle(Input::Loaded { batch }, now);
                    } else {
                        self.pipeline.handle(Input::LoadFailed { batch, lost: Vec::new() }, now);
                    }
                }
                Action::Send { batch } => {
                    if let Some(at) = self.loaded.iter().position(|loaded| loaded.batch == batch) {
                        let mut outgoing = self.loaded.swap_remove(at);
                        self.envelope.close(&mut outgoing.body, now.unix_ms);
                        return Some(Effect::Send(outgoing));
                    }
                }
                Action::Settle { ids, outcome } => {
                    self.store.settle(&ids);
                    return Some(Effect::Settled { ids, outcome });
                }
                Action::Paused { reason } => return Some(Effect::Paused { reason }),
            }
        }
    }

    /// The records that are not settled, as the text of one JSON array: UTF-8, as its records are.
    pub(crate) fn pending_json(&self) -> Vec<u8> {
        let mut text = vec![b'['];
        self.store.load_all(&mut text);
        text.push(b']');
        text
    }
}
