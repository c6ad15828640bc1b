//! Client of Amplitude's product analytics.

mod client;
mod config;
mod context;
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
mod region;
mod store;

#[cfg(not(target_family = "wasm"))]
pub mod server;

#[cfg(all(not(target_family = "wasm"), feature = "emulator"))]
pub mod emulator;

#[cfg(all(target_family = "wasm", feature = "npm"))]
mod npm;

pub use crate::{
    client::{Capacity, Client, Flush, Receipt, Settled},
    config::{Config, IngestionApi, LongStrings},
    error::{Error, ErrorKind, Result},
    event::{Event, EventBuilder, GroupIdentify, Identify, Number, Properties, PropertyValue, Revenue},
    key::ProjectKey,
    pipeline::{Counts, DropReason, Outcome, Rejection, Report},
    plugin::{Flow, Notice, Plugin, PluginError, Progress},
    region::Region,
};

/// The examples of the README are tested like those of the documentation.
#[cfg(all(doctest, not(target_family = "wasm")))]
#[doc = include_str!("../README.md")]
struct Readme;
