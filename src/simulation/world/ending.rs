//! The end of a schedule: a kind server, and what must have arrived there.

use std::collections::{BTreeMap, BTreeSet};

use super::{FRESH, Hot, OK, Request, Tracked, World, reply};
use crate::pipeline::{Failure, Reply};

impl World {
    /// From now on the server is kind and nothing crashes.
    pub(in crate::simulation) fn finish(&mut self) {
        if self.hot != Hot::Nobody {
            self.finish_others();
        }
        let now = self.now;
        self.client().flush(now);
        self.go_on(
            10_000,
            u64::MAX,
            |_, _| reply(200, OK),
            |world| {
                let now = world.now;
                world.client().counts(now).pending == 0
            },
        );
        let missing: Vec<_> = (0..self.tracked.len() as u64).filter(|number| !self.is_done(*number)).collect();
        assert!(missing.len() <= self.evicted, "lost: {missing:?}, {} made room", self.evicted);
        let mut last = BTreeMap::new();
        for &number in &self.arrived {
            let device = self.of(number).device;
            let before = last.insert(device, number);
            assert!(before < Some(number), "device {device} out of order: {number} after {before:?}");
        }
    }

    /// The server goes on refusing what is hot; everybody else's events arrive meanwhile.
    fn finish_others(&mut self) {
        for device in [FRESH - 1, FRESH - 2, FRESH - 1] {
            self.track_as(Tracked { device, hot: false }, 0);
        }
        let now = self.now;
        self.client().flush(now);
        let shared: BTreeSet<_> = self.tracked.iter().filter(|tracked| tracked.hot).map(|tracked| tracked.device).collect();
        let others: Vec<_> = (0..self.tracked.len() as u64).filter(|number| !shared.contains(&self.of(*number).device)).collect();
        // Some were throttled, and failures may have come before.
        let until = now.mono_ms + 300_000;
        self.go_on(
            2000,
            until,
            |world, numbers| world.too_hot(numbers).unwrap_or_else(|| reply(200, OK)),
            |world| others.iter().all(|number| world.is_done(*number)),
        );
        let late: Vec<_> = others.iter().filter(|number| !self.is_done(**number)).collect();
        assert!(late.len() <= self.evicted, "held up by those who are hot: {late:?}");
    }

    fn is_done(&self, number: u64) -> bool {
        self.copies.contains_key(&number) || self.refused.contains(&number) || self.purged.contains(&number)
    }

    /// Lets requests be answered and time pass until that is done, no longer than `patience_ms` after the first request.
    fn go_on(
        &mut self,
        rounds: usize,
        patience_ms: u64,
        answer: impl Fn(&Self, &[u64]) -> Result<Reply, Failure>,
        is_done: impl Fn(&mut Self) -> bool,
    ) {
        let mut until_ms = u64::MAX;
        for _ in 0..rounds {
            self.drive();
            let requests = std::mem::take(&mut self.in_flight);
            if !requests.is_empty() {
                until_ms = until_ms.min(self.now.mono_ms.saturating_add(patience_ms));
            }
            for Request { batch, numbers } in &requests {
                let answer = answer(self, numbers);
                if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                    self.arrive(numbers);
                }
                self.client().reply(*batch, answer);
            }
            if is_done(self) {
                break;
            }
            if requests.is_empty() {
                let now = self.now;
                let wake_at = self.client().step(now).wake_at.expect("it goes on");
                assert_ne!(wake_at, u64::MAX, "something is pending and nothing is due");
                if wake_at > until_ms {
                    break;
                }
                let ms = wake_at.saturating_sub(now.mono_ms).clamp(1, 60_000);
                self.now.mono_ms += ms;
                self.now.unix_ms += ms;
            }
        }
    }
}
