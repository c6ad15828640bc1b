//! The invariants, checked after every step of random schedules, and the bugs that they must find.

mod cases;
mod outage;
mod peers;
mod shares;
mod shed;
mod table;
mod world;

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use proptest::{
    prelude::*,
    test_runner::{TestError, TestRunner},
};

use super::{verdict::Verdict, *};
use crate::limits;
use world::{OK, World, config, flush, hash, reply, take};

/// What happens, and three numbers that say how.
type Step = (u8, u8, u8, u32);

fn schedules() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0u8..14, any::<u8>(), any::<u8>(), 1u32..300), 1..160)
}

fn run(steps: Vec<Step>) {
    let mut world = World::new();
    let rate = steps[0].3;
    steps.into_iter().for_each(|step| world.step(step));
    world.finish(rate);
}

thread_local! {
    static PLANTED: Cell<&'static str> = const { Cell::new("") };
}

/// Switches a break on, for this thread; none for no text.
pub(crate) fn plant(bug: &'static str) {
    PLANTED.set(bug);
}

/// Whether this thread's test has switched that break on.
pub(crate) fn planted(bug: &str) -> bool {
    PLANTED.get() == bug
}

#[test]
fn the_invariants_find_every_planted_bug() {
    let bugs = [
        "an index off by one",
        "a lease is lost",
        "the later half is forgotten",
        "a comma is not counted",
        "a batch of one too many",
        "the queue has no bound",
        "a later event overtakes",
        "a byte is counted twice",
        "a lane is not held",
        "a lane is not given back",
        "a parked event is forgotten",
        "a portal's page delivers",
        "an attempt is forgotten",
        "the wall clock alone counts",
        "a batch comes back too soon",
        "a throttled user's other device goes",
        "a throttled lane sends all at once",
        "a list of nobody brings the request back",
        // The store's side.
        "an unanswered append counts as stored",
        "a failed append is sent",
        "a failed append holds up the rest",
        "a failed load is forgotten",
        "a lost record is loaded again",
        "a late answer counts",
        "an abandoned record is settled twice",
        "the newest make room",
        "a purged event is sent again",
    ];
    for bug in bugs {
        PLANTED.set(bug);
        let config =
            ProptestConfig { cases: 20_000, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() };
        let result = TestRunner::new(config).run(&schedules(), |steps| {
            run(steps);
            Ok(())
        });
        PLANTED.set("");
        assert!(matches!(result, Err(TestError::Fail(..))), "nothing noticed: {bug}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_event_has_one_end_in_order_and_within_bounds(steps in schedules()) {
        run(steps);
    }

    #[test]
    fn no_body_makes_the_judge_panic_or_deliver(status in 200u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let verdict = verdict::judge(&Reply { status, retry_after: None, body: String::from_utf8_lossy(&body).into_owned() }, 3);
        let delivered = matches!(verdict, Verdict::Delivered { .. });
        prop_assert!(!delivered);
    }
}
