//! When to ask whether the user has answered (RFC 8628 §3.5). Without clock and network: it is told the time and what was said.

use std::time::Duration;

/// What `slow_down` adds, for good.
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// Between two requests after failures, unless the server's own interval is longer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Between two requests, whatever a server says.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// What came of a request, where it is not the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Said {
    /// The user has not answered.
    Pending,
    /// The same, and this side asks too often.
    SlowDown,
    /// No answer, or one that says that the server cannot answer now.
    Failed,
}

/// All times are from one beginning, e.g. that of the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Poll {
    interval: Duration,
    deadline: Duration,
    next: Duration,
    /// In a row.
    failures: u32,
    is_over: bool,
}

impl Poll {
    pub(super) fn new(now: Duration, deadline: Duration, interval: Duration) -> Self {
        let interval = interval.max(SHORTEST_INTERVAL);
        Self { interval, deadline, next: now.saturating_add(interval), failures: 0, is_over: false }.within(now)
    }

    /// With what the server has added to it.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// When to ask; `None` after the last time, which is at the deadline.
    pub(super) fn next(&self) -> Option<Duration> {
        (!self.is_over).then_some(self.next)
    }

    /// A request goes out. Told before its answer, which its caller may not wait for.
    pub(super) fn ask(&mut self, now: Duration) {
        self.is_over |= now >= self.deadline;
        self.next = now.saturating_add(self.interval);
        *self = self.within(now);
    }

    /// What came of it; `retry_after` is the time that the server asked for.
    pub(super) fn said(&mut self, now: Duration, said: Said, retry_after: Option<Duration>) {
        self.failures = if said == Said::Failed { self.failures.saturating_add(1) } else { 0 };
        if said == Said::SlowDown {
            self.interval = self.interval.saturating_add(SLOW_DOWN);
        }
        let wait = match (said, retry_after) {
            (_, Some(asked)) => self.interval.max(asked),
            (Said::Failed, None) => {
                let doubled = self.interval.saturating_mul(1 << self.failures.min(16));
                doubled.min(LONGEST_BACKOFF).max(self.interval)
            }
            _ => self.interval,
        };
        self.next = now.saturating_add(wait);
        *self = self.within(now);
    }

    /// Nothing more is asked.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// What lies behind the deadline happens at it.
    fn within(self, now: Duration) -> Self {
        Self { next: self.next.min(self.deadline).max(now), ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Asks whenever it is time, and hears at once what the script says; `Pending` when it is empty. Answers when it asked.
    fn run(mut poll: Poll, script: &[(Said, Option<Duration>)]) -> Vec<u64> {
        let (mut script, mut asked) = (script.iter(), Vec::new());
        while let Some(at) = poll.next() {
            asked.push(at.as_secs());
            assert!(asked.len() < 10_000, "it asks without end");
            poll.ask(at);
            let (said, retry_after) = *script.next().unwrap_or(&(Said::Pending, None));
            poll.said(at, said, retry_after);
        }
        asked
    }

    #[test]
    fn t_c1_it_asks_at_the_interval_and_a_last_time_at_the_deadline() {
        use Said::{Failed, Pending, SlowDown};
        let plain = |said| (said, None);
        let after = |said, seconds| (said, Some(secs(seconds)));
        for (name, interval, deadline, script, expected) in [
            ("all pending", 5, 21, vec![], vec![5, 10, 15, 20, 21]),
            ("the deadline is a turn", 5, 20, vec![], vec![5, 10, 15, 20]),
            ("slow_down adds for good", 5, 50, vec![plain(SlowDown), plain(Pending), plain(SlowDown)], vec![5, 15, 25, 40, 50]),
            ("failures double", 5, 60, vec![plain(Failed), plain(Failed)], vec![5, 15, 35, 40, 45, 50, 55, 60]),
            (
                "an answer ends the doubling",
                5,
                45,
                vec![plain(Failed), plain(Pending), plain(Failed)],
                vec![5, 15, 20, 30, 35, 40, 45],
            ),
            ("up to a minute", 5, 200, vec![plain(Failed); 9], vec![5, 15, 35, 75, 135, 195, 200]),
            ("not below the interval", 90, 300, vec![plain(Failed); 9], vec![90, 180, 270, 300]),
            ("Retry-After", 5, 40, vec![after(Failed, 12), after(Failed, 1)], vec![5, 17, 22, 27, 32, 37, 40]),
            ("Retry-After of slow_down", 5, 60, vec![after(SlowDown, 30), after(SlowDown, 1)], vec![5, 35, 50, 60]),
            ("Retry-After beyond the deadline", 5, 40, vec![after(Failed, 3600)], vec![5, 40]),
            ("no interval at all", 0, 3, vec![], vec![1, 2, 3]),
            ("a code that expires at once", 5, 0, vec![], vec![0]),
            ("an interval beyond the deadline", 600, 30, vec![], vec![30]),
        ] {
            let poll = Poll::new(secs(0), secs(deadline), secs(interval));
            assert_eq!(run(poll, &script), expected, "{name}");
        }
    }

    #[test]
    fn who_leaves_a_request_unanswered_does_not_ask_again_at_once() {
        let mut poll = Poll::new(secs(0), secs(60), secs(5));
        poll.ask(secs(5));
        assert_eq!(poll.next(), Some(secs(10)));
        // It left and came back long after.
        assert_eq!(poll.next().map(|next| next.max(secs(30))), Some(secs(30)));
        poll.ask(secs(30));
        poll.said(secs(30), Said::SlowDown, None);
        assert_eq!((poll.next(), poll.interval()), (Some(secs(40)), secs(10)));
    }

    #[test]
    fn the_last_time_is_the_last_however_late_it_is() {
        let mut poll = Poll::new(secs(0), secs(60), secs(5));
        // The machine slept.
        poll.ask(secs(4000));
        poll.said(secs(4001), Said::Pending, None);
        assert_eq!(poll.next(), None);
        // An answer that comes behind the deadline, to a question from before it, leaves one more.
        let mut poll = Poll::new(secs(0), secs(60), secs(5));
        poll.ask(secs(59));
        poll.said(secs(69), Said::Failed, None);
        assert_eq!(poll.next(), Some(secs(69)));
        poll.ask(secs(69));
        assert_eq!(poll.next(), None);
        poll.said(secs(70), Said::Pending, None);
        assert_eq!(poll.next(), None);
    }

    fn said() -> impl Strategy<Value = Said> {
        prop_oneof![4 => Just(Said::Pending), 1 => Just(Said::SlowDown), 2 => Just(Said::Failed)]
    }

    proptest! {
        /// Whatever servers and clocks do: never sooner than the interval but for the one last time, which always comes; the interval never
        /// shrinks; nothing overflows.
        #[test]
        fn t_c1_no_schedule_asks_too_often_or_without_end(
            begin in any::<u64>(), lifetime in 0_u64..5_000, interval in prop_oneof![0_u64..100, any::<u64>()],
            steps in prop::collection::vec((said(), prop::option::of(prop_oneof![0_u64..200, any::<u64>()]), 0_u64..30, 0_u64..30), 0..300),
        ) {
            let begin = secs(begin / 2);
            let deadline = begin + secs(lifetime);
            let mut poll = Poll::new(begin, deadline, secs(interval));
            let (mut answered, mut asked, mut last) = (begin, 0_u64, false);
            let mut steps = steps.into_iter();
            while let Some(next) = poll.next() {
                let (said, retry_after, late, took) = steps.next().unwrap_or((Said::Pending, None, 0, 0));
                prop_assert!(!last, "it asked again after the last time");
                prop_assert!(next <= deadline.max(answered));
                prop_assert!(next >= answered && (next == deadline.max(answered) || next - answered >= poll.interval()));
                let now = next + secs(late);
                last = now >= deadline;
                asked += 1;
                prop_assert!(asked <= lifetime + 2);
                let interval = poll.interval();
                poll.ask(now);
                answered = now + secs(took);
                poll.said(answered, said, retry_after.map(secs));
                let grown = if said == Said::SlowDown { SLOW_DOWN } else { Duration::ZERO };
                prop_assert_eq!(poll.interval(), interval.saturating_add(grown));
            }
            prop_assert!(last && asked > 0, "the last time is missing");
        }
    }
}
