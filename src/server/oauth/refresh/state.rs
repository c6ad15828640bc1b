//! What is known of a token, and what is done when one is asked for. No I/O.

use std::{sync::Arc, time::Duration};

use super::{
    super::{AuthError, Lease, Reauth},
    current::Current,
    failure::{MIN_GAP, delay, share},
};
use crate::promise::Promise;

/// How a search for a newer token ended, for all who waited for it.
pub(super) type Outcome = Result<Arc<Current>, Arc<AuthError>>;

#[derive(Default)]
pub(super) struct State {
    pub(super) current: Option<Arc<Current>>,
    serial: u64,
    /// The search that is under way.
    pub(super) flight: Option<Promise<Outcome>>,
    failed: Option<Failed>,
    /// When the last request began.
    pub(super) asked_at: Option<Duration>,
    /// A refresh token may be spent, and what came for it lost: it is used again when nothing else is left, not before.
    pub(super) in_doubt: bool,
    /// Why there is no token, since that was told.
    pub(super) ended: Option<Reauth>,
}

/// The last attempt.
struct Failed {
    attempts: u32,
    not_before: Duration,
    error: Arc<AuthError>,
}

pub(super) enum Step {
    Serve { lease: Lease, renew: bool },
    Await(Promise<Outcome>),
    Start,
    Refuse(AuthError),
}

impl State {
    /// `rejected`: the serial of a token that a server refused.
    pub(super) fn step(&self, rejected: Option<u64>, now: Duration) -> Step {
        if let Some(current) = self.usable(rejected, now) {
            let idle = self.flight.is_none() && self.may_try(now) && !self.in_doubt;
            if current.serves(now) {
                return Step::Serve { lease: current.lease(), renew: idle && current.is_due(now) };
            }
            if !idle && self.flight.is_none() {
                return Step::Serve { lease: current.lease(), renew: false };
            }
        }
        match (&self.flight, &self.failed) {
            (Some(flight), _) => Step::Await(flight.clone()),
            (None, Some(failed)) if now < failed.not_before => Step::Refuse(share(&failed.error, Some(failed.not_before - now))),
            _ => Step::Start,
        }
    }

    /// What can be sent now, if it must.
    pub(super) fn usable(&self, rejected: Option<u64>, now: Duration) -> Option<&Arc<Current>> {
        self.current.as_ref().filter(|current| Some(current.serial) != rejected && current.lives(now))
    }

    /// How long to wait, so that requests do not follow each other too closely.
    pub(super) fn gap(&self, now: Duration) -> Duration {
        self.asked_at.map_or(Duration::ZERO, |at| at.saturating_add(MIN_GAP).saturating_sub(now))
    }

    fn may_try(&self, now: Duration) -> bool {
        self.gap(now).is_zero() && self.failed.as_ref().is_none_or(|failed| now >= failed.not_before)
    }

    pub(super) fn publish(&mut self, mut current: Current) -> Arc<Current> {
        self.serial += 1;
        current.serial = self.serial;
        self.failed = None;
        self.in_doubt = false;
        self.ended = None;
        Arc::clone(self.current.insert(Arc::new(current)))
    }

    /// There is no token any more. Answers whether that is news.
    pub(super) fn end(&mut self, why: Reauth) -> bool {
        self.current = None;
        self.in_doubt = false;
        self.ended.replace(why) != Some(why)
    }

    /// Answers how many attempts have failed in a row.
    pub(super) fn fail(&mut self, error: &Arc<AuthError>, now: Duration, random: impl FnOnce(u64) -> u64) -> u32 {
        let attempts = self.failed.as_ref().map_or(0, |failed| failed.attempts).saturating_add(1);
        let not_before = now.saturating_add(delay(error, attempts, random));
        self.failed = Some(Failed { attempts, not_before, error: Arc::clone(error) });
        attempts
    }
}
