//! Tasks of several processes in simulated time, polled in an order that a seed decides.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::super::world::World;
use crate::{promise::lock, server::BoxFuture};

/// When the wall clocks start.
pub(super) const EPOCH: i64 = 1_700_000_000;

/// SplitMix64: a schedule is its seed.
pub(super) struct Random(AtomicU64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// So often in a hundred times.
    pub(super) fn percent(&self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

#[derive(Clone)]
pub(super) struct Executor(Arc<Inner>);

struct Inner {
    random: Random,
    now: Mutex<Duration>,
    tasks: Mutex<BTreeMap<u64, Task>>,
    next: AtomicU64,
    ready: Arc<Mutex<Vec<u64>>>,
    timers: Mutex<Vec<(Duration, Waker)>>,
}

struct Task {
    process: u64,
    future: BoxFuture<'static, ()>,
}

struct TaskWaker {
    task: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = lock(&self.ready);
        if !ready.contains(&self.task) {
            ready.push(self.task);
        }
    }
}

impl Executor {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Inner {
            random: Random::new(seed),
            now: Mutex::default(),
            tasks: Mutex::default(),
            next: AtomicU64::new(0),
            ready: Arc::default(),
            timers: Mutex::default(),
        }))
    }

    pub(super) fn random(&self) -> &Random {
        &self.0.random
    }

    pub(super) fn now(&self) -> Duration {
        *lock(&self.0.now)
    }

    pub(super) fn spawn(&self, process: u64, future: impl Future<Output = ()> + Send + 'static) {
        let task = self.0.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.0.tasks).insert(task, Task { process, future: Box::pin(future) });
        lock(&self.0.ready).push(task);
    }

    /// A process that is no more: its tasks are dropped where they are.
    pub(super) fn crash(&self, process: u64) {
        let dropped: Vec<Task> = {
            let mut tasks = lock(&self.0.tasks);
            let of_it: Vec<u64> = tasks.iter().filter(|(_, task)| task.process == process).map(|(id, _)| *id).collect();
            of_it.iter().filter_map(|id| tasks.remove(id)).collect()
        };
        drop(dropped);
    }

    pub(super) fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + 'static {
        let (executor, until) = (self.clone(), self.now().saturating_add(time));
        let mut is_set = false;
        poll_fn(move |cx| {
            if executor.now() >= until {
                return Poll::Ready(());
            }
            if !is_set {
                is_set = true;
                lock(&executor.0.timers).push((until, cx.waker().clone()));
            }
            Poll::Pending
        })
    }

    pub(super) async fn pause(&self, up_to_ms: u64) {
        let time = self.random().below(up_to_ms + 1);
        self.sleep(Duration::from_millis(time)).await;
    }

    /// Polls a task, or lets time pass; `false`: nothing happens before `until`.
    pub(super) fn step(&self, until: Duration) -> bool {
        let task = {
            let mut ready = lock(&self.0.ready);
            let count = ready.len() as u64;
            (count > 0).then(|| ready.swap_remove(self.random().below(count) as usize))
        };
        let Some(id) = task else { return self.pass(until) };
        let task = lock(&self.0.tasks).remove(&id);
        if let Some(mut task) = task {
            let waker = Waker::from(Arc::new(TaskWaker { task: id, ready: Arc::clone(&self.0.ready) }));
            // A panic ends its task alone, as it does on a real runtime.
            let polled = catch_unwind(AssertUnwindSafe(|| task.future.as_mut().poll(&mut Context::from_waker(&waker))));
            if matches!(polled, Ok(Poll::Pending)) {
                lock(&self.0.tasks).insert(id, task);
            }
        }
        true
    }

    fn pass(&self, until: Duration) -> bool {
        let due = {
            let mut timers = lock(&self.0.timers);
            let next = timers.iter().map(|(at, _)| *at).min().filter(|at| *at <= until);
            let now = next.unwrap_or(until);
            let mut clock = lock(&self.0.now);
            *clock = (*clock).max(now);
            if next.is_none() {
                return false;
            }
            timers.extract_if(.., |(at, _)| *at <= now).map(|(_, waker)| waker).collect::<Vec<_>>()
        };
        due.into_iter().for_each(Waker::wake);
        true
    }

    /// Runs everything for so long.
    pub(super) fn run_for(&self, time: Duration) {
        let until = self.now() + time;
        while self.step(until) {}
    }

    /// Runs everything until this is done.
    pub(super) fn block_on<T: Send + 'static>(&self, process: u64, future: impl Future<Output = T> + Send + 'static) -> T {
        let done = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&done);
        self.spawn(process, async move {
            let value = future.await;
            *lock(&slot) = Some(value);
        });
        let until = self.now() + Duration::from_secs(100_000);
        loop {
            if let Some(value) = lock(&done).take() {
                return value;
            }
            assert!(self.step(until), "it never ends");
        }
    }
}

/// A process of the simulation.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) executor: Executor,
    pub(super) number: u64,
    /// How wrong its wall clock is, in seconds.
    pub(super) clock_error: Arc<AtomicI64>,
}

impl Process {
    pub(super) fn new(executor: &Executor, number: u64) -> Self {
        Self { executor: executor.clone(), number, clock_error: Arc::default() }
    }
}

impl World for Process {
    fn now(&self) -> Duration {
        self.executor.now()
    }

    fn wall(&self) -> Duration {
        let shift = EPOCH + self.clock_error.load(Ordering::Relaxed);
        let by = Duration::from_secs(shift.unsigned_abs());
        if shift < 0 { self.now().saturating_sub(by) } else { self.now() + by }
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.executor.sleep(time))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.executor.spawn(self.number, task);
    }

    fn random(&self, bound: u64) -> u64 {
        self.executor.random().below(bound)
    }
}
