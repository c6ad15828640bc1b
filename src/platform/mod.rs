//! What the two targets do differently, under the same names. No policy lives here.
//!
//! | Name | Native | Browser |
//! | --- | --- | --- |
//! | `LIBRARY` | `amplitude-sdk-rust/VERSION` | `amplitude-sdk-wasm/VERSION` |
//! | `now`, `unix_ms` | `SystemTime` and `Instant` | `Date.now`, `performance.now` |
//! | `process_id` | the system's | always the same |
//! | `fill_random` | the system's entropy | WebCrypto |
//! | `EXPLAINS_JSON` | yes | no: the engine wrote it |
//! | `parse_number`, `push_number` | std, zmij | the engine |
//! | `sleep` | tokio's timer | `setTimeout` |
//! | `Driver::start` | a thread with a runtime of its own | `spawn_local` |
//! | `spawn` | onto that runtime | `spawn_local` |
//! | `Transport::send` | reqwest | `fetch` |
//! | `TransportOptions` | gzip, time limits, proxy, certificates | time limit |
//! | `check_url` | https, or http on loopback | the same, or relative to the page |
//! | `log` | `tracing`, without what may name a person | the console |
//! | `catch_panic` | catches | runs: a panic ends the instance |
//! | `Shared` | `Send + Sync` | everything |

#[cfg(not(target_family = "wasm"))]
pub(crate) mod http;
#[cfg(not(target_family = "wasm"))]
#[path = "native.rs"]
mod sys;

#[cfg(all(not(target_family = "wasm"), not(unix)))]
#[path = "modes_elsewhere.rs"]
mod modes;
#[cfg(all(not(target_family = "wasm"), unix))]
#[path = "modes_unix.rs"]
mod modes;

#[cfg(target_family = "wasm")]
#[path = "browser.rs"]
mod sys;

#[cfg(not(target_family = "wasm"))]
pub(crate) use modes::is_open_to_others;
pub(crate) use sys::{
    Driver, EXPLAINS_JSON, LIBRARY, Shared, Transport, TransportOptions, catch_panic, check_url, fill_random, log, now,
    parse_number, process_id, push_number, sleep, spawn, unix_ms,
};
