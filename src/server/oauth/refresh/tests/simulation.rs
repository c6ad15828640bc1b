//! Seeded schedules of several processes that share a store: answers late and lost, crashes at any point, clocks that jump, a store that fails,
//! or that is silent and does what it was asked later.
//!
//! Checked: no refresh token goes out twice while its successor is not lost; no two requests at once, and no two of one process within a
//! second; nobody is given an expired token, nor told to have the user consent again while the grant stands. At the end, with a kind world:
//! everybody gets a token that works, and what is stored is the newest.

use std::{
    env, panic,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    super::{
        super::{AuthError, StoreKey, TokenProvider, TokenStore},
        RefreshingToken,
    },
    executor::{Executor, Process},
    server::{Endpoint, Fate, Server},
    store::Store,
};
use crate::{
    promise::lock,
    server::{Expose, observer::Observers},
};

/// In a run of `cargo test`; `SIMULATED_SCHEDULES` asks for another number, `SIMULATED_SEED` for another first one.
const SCHEDULES: u64 = 1500;

struct Schedule {
    executor: Executor,
    server: Arc<Mutex<Server>>,
    store: Store,
    slots: Vec<Slot>,
    /// What a schedule may do: lose tokens, and move clocks.
    rough: bool,
    clocks: bool,
    kind: Arc<AtomicBool>,
    problems: Arc<Mutex<Vec<String>>>,
    callers: Arc<AtomicU64>,
}

/// The number under which a process runs changes when it is started again.
struct Slot {
    process: Process,
    tokens: Option<RefreshingToken>,
}

fn rough_fate(executor: &Executor) -> Fate {
    match executor.random().below(20) {
        0 => Fate::AnswerLost,
        1 => Fate::Garbled,
        _ => gentle_fate(executor),
    }
}

fn gentle_fate(executor: &Executor) -> Fate {
    match executor.random().below(20) {
        0 | 1 => Fate::Busy(None),
        2 => Fate::Busy(Some(executor.random().below(30))),
        3 => Fate::InvalidRequest,
        4 => Fate::RequestLost,
        5 => Fate::ClientRejected,
        _ => Fate::Answered,
    }
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let executor = Executor::new(seed);
        let random = executor.random();
        let lifetime = [Some(1), Some(2), Some(10), Some(100), Some(1000), None][random.below(6) as usize];
        let server = Server::new(lifetime.map(Duration::from_secs));
        let store = Store::new(&executor, &server);
        store.faults.store([0, 0, 3, 30][random.below(4) as usize], Ordering::Relaxed);
        // A token that lives no longer than a store's silence is over before it is used.
        if lifetime.is_none_or(|lifetime| lifetime >= 100) {
            store.stalls.store([0, 2, 20][random.below(3) as usize], Ordering::Relaxed);
        }
        let (rough, clocks) = (random.percent(50), random.percent(30));
        let slots = (0..1 + random.below(3)).map(|_| Slot { process: Process::new(&executor, 0), tokens: None }).collect();
        let (kind, problems, callers) = Default::default();
        Self { executor, server, store, slots, rough, clocks, kind, problems, callers }
    }

    fn endpoint(&self, process: u64) -> Arc<Endpoint> {
        let kind = self.kind.load(Ordering::Relaxed);
        let chance: fn(&Executor) -> Fate = if self.rough { rough_fate } else { gentle_fate };
        let (server, executor) = (Arc::clone(&self.server), self.executor.clone());
        let chance = (!kind).then_some(chance);
        Arc::new(Endpoint { server, executor, process, hosts: Vec::new(), chance })
    }

    /// Starts a process, after a crash or for the first time; with a new consent where there is no usable token.
    fn start(&mut self, slot: usize, numbers: &mut u64, consents: bool) {
        *numbers += 1;
        let clock_error = Arc::clone(&self.slots[slot].process.clock_error);
        let process = Process { executor: self.executor.clone(), number: *numbers, clock_error };
        let first = consents.then(|| lock(&self.server).consent(self.executor.now()));
        let (endpoint, store) = (self.endpoint(*numbers), Arc::new(self.store.clone()));
        let world = Arc::new(process.clone());
        let started = self.executor.block_on(*numbers, async move {
            RefreshingToken::start_in(world, endpoint, store, first, Observers::default()).await
        });
        // A store that fails at the start is an error; the process is not there, then.
        self.slots[slot] = Slot { process, tokens: started.ok() };
    }

    fn crash(&mut self, slot: usize) {
        let number = self.slots[slot].process.number;
        self.slots[slot].tokens = None;
        self.executor.crash(number);
        lock(&self.server).crashed(number);
    }

    /// A task that wants tokens some times, uses each, and may lose its patience.
    fn call(&self, slot: usize) {
        let Some(tokens) = self.slots[slot].tokens.clone() else { return };
        let number = self.slots[slot].process.number;
        let (executor, server, problems) = (self.executor.clone(), Arc::clone(&self.server), Arc::clone(&self.problems));
        let (rough, clocks, callers) = (self.rough, self.clocks, Arc::clone(&self.callers));
        self.executor.clone().spawn(number, async move {
            let mut rejected = None;
            for _ in 0..1 + executor.random().below(5) {
                executor.pause(3000).await;
                let asked = executor.now();
                let patience = executor.random().percent(20).then(|| executor.random().below(700));
                let answer = tokio::select! {
                    biased;
                    answer = tokens.token(rejected) => answer,
                    () = executor.sleep(Duration::from_millis(patience.unwrap_or(u64::MAX))) => continue,
                };
                callers.fetch_add(1, Ordering::Relaxed);
                let now = executor.now();
                let problem = match answer {
                    Ok(lease) => {
                        let (expired, revoked) = {
                            let server = lock(&server);
                            (server.is_expired(lease.token.expose(), now), server.is_revoked(lease.token.expose()))
                        };
                        let was_rejected = rejected == Some(lease.generation);
                        rejected = (expired || revoked).then_some(lease.generation);
                        // One of a second may be in its last moments when its answer comes.
                        (was_rejected || expired && !clocks && now - asked < Duration::from_millis(400)).then(|| {
                            format!(
                                "{} was given at {now:?}, asked for at {asked:?}, rejected: {was_rejected}",
                                lease.token.expose()
                            )
                        })
                    }
                    Err(AuthError::ReauthRequired(why)) => (!rough).then(|| format!("{why:?} at {now:?}")),
                    Err(_) => None,
                };
                lock(&problems).extend(problem);
            }
        });
    }

    fn run(mut self) -> u64 {
        let mut numbers = 0;
        while self.slots[0].tokens.is_none() {
            self.start(0, &mut numbers, true);
        }
        for slot in 0..self.slots.len() {
            if self.slots[slot].tokens.is_none() {
                self.start(slot, &mut numbers, false);
            }
        }
        for _ in 0..10 + self.executor.random().below(60) {
            let slot = self.executor.random().below(self.slots.len() as u64) as usize;
            match self.executor.random().below(20) {
                0 if self.rough => {
                    self.crash(slot);
                    self.start(slot, &mut numbers, false);
                }
                1 if self.clocks => {
                    let jump = [3600, -3600, -super::executor::EPOCH, 0][self.executor.random().below(4) as usize];
                    self.slots[slot].process.clock_error.store(jump, Ordering::Relaxed);
                }
                2 => self.executor.run_for(Duration::from_secs(self.executor.random().below(400))),
                3..10 => self.call(slot),
                _ => {
                    let until = self.executor.now() + Duration::from_millis(self.executor.random().below(2000));
                    for _ in 0..self.executor.random().below(200) {
                        self.executor.step(until);
                    }
                }
            }
            if self.slots[slot].tokens.is_none() {
                self.start(slot, &mut numbers, false);
            }
        }
        self.finish(&mut numbers);
        self.callers.load(Ordering::Relaxed)
    }

    fn finish(&mut self, numbers: &mut u64) {
        self.kind.store(true, Ordering::Relaxed);
        self.store.faults.store(0, Ordering::Relaxed);
        self.store.stalls.store(0, Ordering::Relaxed);
        self.executor.run_for(Duration::from_secs(200));
        for slot in 0..self.slots.len() {
            // The way to the server is kind from here on.
            if self.slots[slot].tokens.is_some() {
                self.settle(slot);
                self.crash(slot);
            }
            self.start(slot, numbers, false);
        }
        for slot in 0..self.slots.len() {
            // While a token serves, a search may still find that a lost answer has ended the grant.
            let works = self.works(slot);
            self.settle(slot);
            if !works || !self.works(slot) {
                assert!(self.rough, "a grant was lost in a gentle world");
                self.start(slot, numbers, true);
                assert!(self.works(slot), "a new consent does not help");
            }
        }
        for slot in 0..self.slots.len() {
            assert!(self.works(slot), "somebody else's consent does not help");
            self.settle(slot);
        }
        let key = StoreKey::new("https://as.example.com", "demo");
        let store = self.store.clone();
        let read_key = key.clone();
        let stored = self.executor.block_on(0, async move { store.load(&read_key).await }).unwrap();
        let server = lock(&self.server);
        match stored {
            Some(stored) => {
                let refresh = stored.read(&key).unwrap().refresh.unwrap();
                assert!(server.is_newest(refresh.expose()), "{} is stored", refresh.expose());
            }
            // The last search of all found that a lost answer has ended the grant.
            None => assert!(self.rough, "nothing is stored"),
        }
        assert!(server.violations.is_empty(), "{:?}", server.violations);
        let problems = lock(&self.problems);
        assert!(problems.is_empty(), "{problems:?}");
    }

    fn settle(&self, slot: usize) {
        let Slot { process, tokens } = &self.slots[slot];
        let tokens = tokens.clone().unwrap();
        self.executor.block_on(process.number, async move { tokens.settle().await }).unwrap();
    }

    /// Whether there is a token that the server takes.
    fn works(&self, slot: usize) -> bool {
        let tokens = self.slots[slot].tokens.clone().unwrap();
        let (executor, server) = (self.executor.clone(), Arc::clone(&self.server));
        self.executor.block_on(self.slots[slot].process.number, async move {
            let mut rejected = None;
            for _ in 0..200 {
                match tokens.token(rejected).await {
                    Ok(lease) => {
                        let (token, server) = (lease.token.expose(), lock(&server));
                        if !server.is_revoked(token) && !server.is_expired(token, executor.now()) {
                            return true;
                        }
                        rejected = Some(lease.generation);
                    }
                    Err(AuthError::ReauthRequired(_)) => return false,
                    Err(_) => {}
                }
                executor.sleep(Duration::from_secs(1)).await;
            }
            panic!("neither a token nor the end");
        })
    }
}

#[test]
fn seeded_schedules_keep_the_invariants() {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    let (first, schedules) = (number("SIMULATED_SEED").unwrap_or(0), number("SIMULATED_SCHEDULES").unwrap_or(SCHEDULES));
    let mut calls = 0;
    for seed in first..first + schedules {
        match panic::catch_unwind(|| Schedule::new(seed).run()) {
            Ok(made) => calls += made,
            Err(_) => panic!("schedule {seed}"),
        }
    }
    // A schedule in which nobody asks proves nothing.
    assert!(calls > schedules * 10, "{calls} calls");
}
