//! How a token lives: when it is renewed, by whom, and what happens when that fails.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use super::{
    super::super::{AuthError, Reauth, StoreFault, TokenProvider},
    executor::EPOCH,
    rig::{HOUR, Rig},
    server::Fate,
};
use crate::{promise::lock, server::Expose};

#[test]
fn t_r1_256_tasks_on_an_expired_token_make_one_request() {
    let rig = Rig::new(Some(HOUR));
    let user = rig.login();
    assert_eq!(user.text(), "access-1");
    rig.wait(HOUR);
    let got = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..256 {
        let (tokens, got) = (user.tokens.clone(), Arc::clone(&got));
        rig.executor.spawn(1, async move {
            let lease = tokens.token(None).await.unwrap();
            lock(&got).push(lease.token.expose().to_owned());
        });
    }
    rig.wait(Duration::from_secs(10));
    assert_eq!(*lock(&got), vec!["access-2"; 256]);
    assert_eq!((rig.requests(), rig.told("TokenRefreshed")), (1, 1));
    rig.check();
}

#[test]
fn t_r2_a_refresh_goes_on_when_its_caller_leaves() {
    let rig = Rig::new(Some(HOUR));
    let user = rig.login();
    rig.wait(HOUR);
    let (tokens, executor) = (user.tokens.clone(), rig.executor.clone());
    let left = rig.executor.block_on(1, async move {
        tokio::select! {
            biased;
            _ = tokens.token(None) => false,
            () = executor.sleep(Duration::from_millis(30)) => true,
        }
    });
    assert!(left && rig.requests() == 1 && rig.stored().unwrap().access.expose() == "access-1");
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.stored().unwrap().access.expose(), "access-2");
    assert_eq!((user.text().as_str(), rig.requests()), ("access-2", 1));
}

#[test]
fn a_newer_token_is_got_in_the_last_quarter_and_nobody_waits_for_it() {
    let rig = Rig::new(Some(Duration::from_secs(100)));
    let user = rig.login();
    rig.wait(Duration::from_secs(74));
    assert_eq!((user.text().as_str(), rig.requests()), ("access-1", 0));
    rig.wait(Duration::from_secs(2));
    let before = rig.executor.now();
    assert_eq!((user.text().as_str(), rig.executor.now()), ("access-1", before));
    rig.wait(Duration::from_secs(3));
    assert_eq!((user.text().as_str(), rig.requests()), ("access-2", 1));
    // Who asks for nothing causes nothing.
    rig.wait(HOUR);
    assert_eq!(rig.requests(), 1);
}

#[test]
fn in_the_last_fifth_callers_wait_for_the_newer_one() {
    let rig = Rig::new(Some(Duration::from_secs(100)));
    let user = rig.login();
    rig.wait(Duration::from_secs(81));
    assert_eq!(user.text(), "access-2");
}

#[test]
fn another_process_adopts_what_is_stored() {
    let rig = Rig::new(Some(HOUR));
    let (one, other) = (rig.login(), rig.resume());
    assert_eq!(other.text(), "access-1");
    rig.wait(HOUR);
    assert_eq!((one.text().as_str(), other.text().as_str()), ("access-2", "access-2"));
    assert_eq!((rig.requests(), rig.told("adopted: true")), (1, 1));
    // And one that is started anew has no request to make.
    assert_eq!((rig.resume().text().as_str(), rig.requests()), ("access-2", 1));
}

#[test]
fn t_r6_clocks_that_jump_change_nothing_for_a_token_at_hand() {
    let rig = Rig::new(Some(HOUR));
    let user = rig.login();
    for jump in [3600, -3600, -EPOCH, i64::MAX / 2, 0] {
        user.process.clock_error.store(jump, Ordering::Relaxed);
        rig.wait(Duration::from_secs(60));
        assert_eq!((user.text().as_str(), rig.requests()), ("access-1", 0), "{jump}");
    }
}

#[test]
fn t_r6_a_stored_token_lives_no_longer_because_a_clock_was_set_back() {
    // How wrong the clock is of the process that finds the token, and whether it asks for another one at once.
    for (jump, asks_at_once) in [(0, false), (3600, true), (i64::MAX / 2, true), (-3600, false), (-EPOCH, false)] {
        let rig = Rig::new(Some(HOUR));
        rig.login();
        let user = rig.start(None, Arc::new(jump.into())).unwrap();
        assert_eq!(user.text() == "access-2", asks_at_once, "{jump}");
        rig.wait(HOUR);
        user.text();
        assert_eq!(rig.requests(), if asks_at_once { 2 } else { 1 }, "{jump}");
        rig.check();
    }
}

/// What is on its way takes of a token's life: by the clock of the process, and in what is stored.
#[test]
fn t_r6_a_life_counts_from_before_the_request_and_its_last_minute_does_not() {
    let minute = Duration::from_secs(60);
    for fraction in (0..1000).step_by(100) {
        let at_the_limit = |early: Duration| {
            let rig = Rig::new(Some(HOUR));
            let user = rig.login();
            rig.wait(HOUR + Duration::from_millis(fraction));
            assert_eq!((user.text().as_str(), rig.requests()), ("access-2", 1));
            let asked = lock(&rig.server).requests[0].1;
            let stored = rig.stored().unwrap();
            let obtained_at = (Duration::from_secs(EPOCH.unsigned_abs()) + asked).as_secs();
            assert_eq!((stored.obtained_at, stored.expires_at), (obtained_at, Some(obtained_at + HOUR.as_secs())));
            rig.wait(asked + HOUR - minute - early - rig.executor.now());
            user.text()
        };
        assert_eq!(at_the_limit(Duration::from_millis(1)), "access-2");
        assert_eq!(at_the_limit(Duration::ZERO), "access-3");
    }
}

#[test]
fn t_r6_times_that_cannot_be_do_no_harm() {
    for (obtained_at, expires_at) in [(0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX), (0, 0)] {
        let rig = Rig::new(Some(HOUR));
        let mut tokens = lock(&rig.server).consent(rig.executor.now());
        (tokens.obtained_at, tokens.expires_at) = (obtained_at, Some(expires_at));
        let user = rig.start(Some(tokens), Arc::default()).unwrap();
        let expected = if (obtained_at, expires_at) == (0, u64::MAX) { "access-1" } else { "access-2" };
        assert_eq!(user.text(), expected, "{obtained_at} {expires_at}");
    }
}

#[test]
fn t_r7_short_lives_cause_no_storm() {
    for lifetime in [0, 1] {
        let rig = Rig::new(Some(Duration::from_secs(lifetime)));
        let user = rig.login();
        let until = rig.executor.now() + Duration::from_secs(10);
        let mut served = 0;
        while rig.executor.now() < until {
            served += usize::from(user.token(None).is_ok());
            rig.wait(Duration::from_millis(20));
        }
        assert!((5..=11).contains(&rig.requests()), "lifetime {lifetime}: {} requests", rig.requests());
        assert!(served >= rig.requests(), "lifetime {lifetime}");
        rig.check();
    }
}

#[test]
fn t_r7_a_server_that_refuses_each_token_causes_no_storm() {
    let rig = Rig::new(None);
    let user = rig.login();
    let until = rig.executor.now() + Duration::from_secs(10);
    let mut rejected = None;
    while rig.executor.now() < until {
        rejected = Some(user.token(rejected).unwrap().generation);
    }
    assert!(rig.requests() <= 11, "{} requests", rig.requests());
    rig.check();
}

#[test]
fn t_r8_a_failure_is_not_the_end() {
    for fate in [Fate::Busy(None), Fate::Busy(Some(20)), Fate::InvalidRequest, Fate::ClientRejected, Fate::RequestLost] {
        let rig = Rig::new(Some(Duration::from_secs(100)));
        let user = rig.login();
        (0..2).for_each(|_| rig.next(fate));
        rig.wait(Duration::from_secs(85));
        // It waits, is told no, and goes on with what it has.
        assert_eq!((user.text().as_str(), rig.requests()), ("access-1", 1), "{fate:?}");
        assert_eq!((rig.told("RefreshDeferred"), rig.told("RefreshFailed")), (1, 0), "{fate:?}");
        rig.wait(Duration::from_secs(15));
        if let Fate::Busy(Some(_)) = fate {
            let Err(AuthError::Transient { retry_after: Some(wait), .. }) = user.token(None) else { panic!("{fate:?}") };
            assert!(wait > Duration::from_secs(1) && wait <= Duration::from_secs(20) && rig.requests() == 1, "{wait:?}");
            rig.wait(wait);
        }
        let error = user.token(None).unwrap_err();
        let is_expected = match fate {
            Fate::Busy(_) | Fate::RequestLost => matches!(error, AuthError::Transient { .. }),
            Fate::InvalidRequest => matches!(&error, AuthError::Denied { code, .. } if code == "invalid_request"),
            _ => matches!(&error, AuthError::ClientRejected { code } if code == "invalid_client"),
        };
        assert!(is_expected && rig.requests() == 2 && rig.told("RefreshFailed") == 1, "{fate:?}: {error:?}");
        // The next one in a moment is not even asked for, and has the same reason.
        assert_eq!(user.token(None).unwrap_err().kind(), error.kind());
        assert_eq!(rig.requests(), 2, "{fate:?}");
        rig.wait(Duration::from_secs(30));
        assert_eq!((user.text().as_str(), rig.told("ReauthRequired")), ("access-2", 0), "{fate:?}");
        rig.check();
    }
}

#[test]
fn t_r8_attempts_become_rarer_and_never_stop() {
    let rig = Rig::new(Some(Duration::from_secs(1)));
    let user = rig.login();
    (0..100).for_each(|_| rig.next(Fate::Busy(None)));
    rig.wait(Duration::from_secs(2));
    let start = rig.executor.now();
    while rig.executor.now() - start < Duration::from_secs(1800) {
        user.token(None).unwrap_err();
        rig.wait(Duration::from_millis(500));
    }
    let times: Vec<Duration> = lock(&rig.server).requests.iter().map(|(_, at)| *at).collect();
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((30..=90).contains(&times.len()), "{} attempts", times.len());
    assert!(gaps[0] < Duration::from_secs(4) && gaps.iter().all(|gap| *gap < Duration::from_secs(63)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap > Duration::from_secs(20)), "{gaps:?}");
}

#[test]
fn t_r9_after_a_lost_answer_the_old_token_serves_to_its_end_and_the_refresh_token_is_tried_once_more() {
    for fate in [Fate::AnswerLost, Fate::Garbled] {
        let rig = Rig::new(Some(Duration::from_secs(100)));
        let user = rig.login();
        rig.next(fate);
        rig.wait(Duration::from_secs(76));
        user.text();
        rig.wait(Duration::from_secs(2));
        assert_eq!(rig.requests(), 1);
        while rig.executor.now() < Duration::from_secs(99) {
            assert_eq!(user.text(), "access-1");
            rig.wait(Duration::from_millis(100));
        }
        assert_eq!(rig.requests(), 1, "{fate:?}");
        rig.wait(Duration::from_secs(2));
        let error = user.token(None).unwrap_err();
        assert!(matches!(error, AuthError::ReauthRequired(Reauth::GrantRefused)), "{error:?}");
        assert_eq!((rig.requests(), rig.told("ReauthRequired"), rig.stored().is_none()), (2, 1, true));
        // The end is the end, told once, without further requests.
        rig.wait(HOUR);
        assert!(matches!(user.token(None), Err(AuthError::ReauthRequired(Reauth::GrantRefused))));
        assert_eq!((rig.requests(), rig.told("ReauthRequired")), (2, 1));
        // Until another process has the user's consent.
        let other = rig.login();
        rig.wait(Duration::from_secs(2));
        assert_eq!(user.text(), other.text());
    }
}

#[test]
fn t_b9_a_rejected_token_is_replaced_if_it_is_still_the_current_one() {
    let rig = Rig::new(Some(HOUR));
    let user = rig.login();
    let first = user.token(None).unwrap();
    let got = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..50 {
        let (tokens, got) = (user.tokens.clone(), Arc::clone(&got));
        rig.executor.spawn(1, async move {
            let lease = tokens.token(Some(first.generation)).await.unwrap();
            lock(&got).push((lease.token.expose().to_owned(), lease.generation));
        });
    }
    rig.wait(Duration::from_secs(5));
    let got = lock(&got).clone();
    assert_eq!(got, vec![("access-2".to_owned(), got[0].1); 50]);
    assert_ne!(got[0].1, first.generation);
    // One that comes late with the old one gets the new one.
    assert_eq!(user.token(Some(first.generation)).unwrap().generation, got[0].1);
    assert_eq!(rig.requests(), 1);
}

#[test]
fn t_b9_a_rejected_token_is_not_given_again_when_there_is_no_other() {
    let rig = Rig::new(Some(HOUR));
    let user = rig.login();
    let first = user.token(None).unwrap();
    rig.next(Fate::Busy(None));
    assert!(matches!(user.token(Some(first.generation)), Err(AuthError::Transient { .. })));
    // To others, who know nothing against it, it is.
    assert_eq!(user.text(), "access-1");
}

#[test]
fn t_r4_while_a_newer_token_cannot_be_stored_the_lock_is_kept() {
    let rig = Rig::new(Some(Duration::from_secs(100)));
    let (one, other) = (rig.login(), rig.resume());
    rig.wait(Duration::from_secs(101));
    let store = rig.store.clone();
    rig.executor.spawn(0, async move {
        // Once the request is on its way.
        store.executor.sleep(Duration::from_millis(50)).await;
        store.faults.store(100, Ordering::Relaxed);
    });
    assert_eq!(one.text(), "access-2");
    assert!(rig.told("PersistFailed") >= 1 && one.settle().is_err());
    assert_eq!(rig.stored().unwrap().access.expose(), "access-1");
    // Its refresh token is spent: the other process must not use it.
    let before = rig.executor.now();
    assert!(matches!(other.token(None), Err(AuthError::Store(StoreFault::Locked, _))));
    assert!(rig.executor.now() - before >= Duration::from_secs(30) && rig.requests() == 1);
    rig.store.faults.store(0, Ordering::Relaxed);
    rig.wait(Duration::from_secs(61));
    assert_eq!(rig.stored().unwrap().access.expose(), "access-2");
    one.settle().unwrap();
    rig.wait(Duration::from_secs(61));
    assert_eq!(other.text(), one.text());
    rig.check();
}

#[test]
fn without_a_consent_there_is_no_token_and_no_request() {
    let rig = Rig::new(Some(HOUR));
    let user = rig.resume();
    for _ in 0..3 {
        assert!(matches!(user.token(None), Err(AuthError::ReauthRequired(Reauth::NoToken))));
        rig.wait(Duration::from_secs(5));
    }
    assert_eq!((rig.requests(), rig.told("ReauthRequired")), (0, 1));
    assert!(user.tokens.granted().is_empty());
}

#[test]
fn a_panic_on_the_way_ends_the_search_and_nothing_else() {
    let rig = Rig::new(Some(HOUR));
    let user = rig.login();
    rig.wait(HOUR);
    rig.next(Fate::Panic);
    assert!(matches!(user.token(None), Err(AuthError::Store(StoreFault::Io, _))));
    rig.wait(Duration::from_secs(3));
    assert_eq!(user.text(), "access-2");
}

#[test]
fn t_r4_a_store_that_panics_loses_no_newer_token() {
    let rig = Rig::new(Some(Duration::from_secs(100)));
    let (one, other) = (rig.login(), rig.resume());
    rig.wait(Duration::from_secs(101));
    // As the newer token is stored, and as that is tried again.
    rig.store.panics.store(3, Ordering::Relaxed);
    assert_eq!(one.text(), "access-2");
    assert_eq!((rig.told("PersistFailed"), rig.stored().unwrap().access.expose()), (1, "access-1"));
    rig.wait(Duration::from_secs(61));
    assert_eq!(rig.stored().unwrap().access.expose(), "access-2");
    // What is not stored yet outlives a panic on the way to the next one, too.
    rig.wait(Duration::from_secs(40));
    rig.store.panics.store(2, Ordering::Relaxed);
    assert_eq!(one.text(), "access-3");
    rig.next(Fate::Panic);
    let generation = one.token(None).unwrap().generation;
    assert!(one.token(Some(generation)).is_err());
    rig.wait(Duration::from_secs(61));
    assert_eq!(other.text(), one.text());
    rig.check();
}
