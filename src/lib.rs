//! A client of [Amplitude](https://amplitude.com)'s product analytics: one crate, two builds.
//!
//! | Build | Holds |
//! | --- | --- |
//! | native | [`Client`], which sends events with a [`ProjectKey`]; `server::Client`, which does with a secret key what a page must not |
//! | wasm32 | [`Client`] alone, and with feature `npm` the class behind the npm package `amplitude-sdk-wasm` |
//!
//! An [`Event`] is checked against every documented limit when it is built. [`Client::track`] seals and queues it and returns at once; a
//! driver of the client's own cuts batches, sends them, and judges each reply event by event. Every event ends in one [`Outcome`], counted in
//! [`Counts`], told by a [`Receipt`] to who asks for one, and covered by the [`Report`] of [`Client::flush`] and [`Client::shutdown`].
//! What was refused or given up stays as a [`DeadLetter`], to be mended and sent again; [`Client::purge`] forgets what waits.
//!
//! ```no_run
//! use amplitude_sdk::{Client, Config, Event};
//! use std::time::Duration;
//!
//! # fn main() -> amplitude_sdk::Result<()> {
//! let client = Client::new(Config::from_env()?)?;
//! client.track(Event::builder("Product Purchased").user_id("user123").property("price", 29.99).build()?)?;
//! let report = client.shutdown_blocking(Duration::from_secs(10));
//! assert_eq!(report.pending, 0);
//! # Ok(())
//! # }
//! ```
//!
//! | Feature | Default | Brings |
//! | --- | --- | --- |
//! | `disk` | yes | [`DiskOptions`]: events survive the process (native) |
//! | `oauth` | yes | `server::oauth`: OAuth 2.0 (native) |
//! | `keyring` | no | `server::oauth`: the key of an encrypted token store in the system's keyring (native) |
//! | `open-browser` | no | `server::oauth`: opens the user's browser for a login (native) |
//! | `metrics` | no | counts what happens to credentials in the `metrics` facade (native) |
//! | `emulator` | no | `emulator` and its program: a local Amplitude for demos and tests (native) |
//! | `npm` | no | the class of the npm package; applications in Rust leave it off (wasm) |
//!
//! The `server` module is gated by the target alone: on wasm no feature brings it back.

mod client;
mod config;
mod context;
mod dead_letters;
mod delivery;
mod driver;
mod error;
mod event;
mod json;
mod key;
pub mod limits;
mod pipeline;
mod platform;
mod plugin;
mod promise;
mod purge;
mod receipt;
mod region;
mod store;

#[cfg(not(target_family = "wasm"))]
pub mod server;

#[cfg(all(not(target_family = "wasm"), feature = "emulator"))]
pub mod emulator;

#[cfg(all(target_family = "wasm", feature = "npm"))]
mod npm;

#[cfg(all(test, not(target_family = "wasm"), feature = "disk"))]
mod simulation;

/// For the fuzz targets of this crate.
#[cfg(all(fuzzing, not(target_family = "wasm"), feature = "disk"))]
#[doc(hidden)]
pub mod fuzzing;

pub use crate::{
    client::Client,
    config::{Config, IngestionApi, LongStrings, WhenFull},
    dead_letters::DeadLetter,
    error::{Error, ErrorKind, Result},
    event::{Event, EventBuilder, GroupIdentify, Identify, Number, Properties, PropertyValue, Revenue},
    key::ProjectKey,
    pipeline::{Counts, DropReason, Outcome, ProxyReply, RejectReason, Rejection, Report},
    plugin::{Flow, Notice, Plugin, PluginError, Progress},
    purge::Purged,
    receipt::{Capacity, Flush, Receipt, Settled},
    region::Region,
};

#[cfg(all(not(target_family = "wasm"), feature = "disk"))]
pub use crate::store::{DiskOptions, DiskSync};

/// The examples of the README are tested like those of the documentation.
#[cfg(all(doctest, not(target_family = "wasm")))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(doctest, not(target_family = "wasm")))]
#[doc = include_str!("../docs/credentials.md")]
struct Credentials;
