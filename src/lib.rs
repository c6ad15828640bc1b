//! Client of Amplitude's product analytics.

mod client;
mod config;
mod context;
mod driver;
mod error;
mod event;
mod json;
mod key;
pub mod limits;
mod pipeline;
mod platform;
mod plugin;
mod region;
mod session;
mod store;

#[cfg(not(target_family = "wasm"))]
pub mod server;

#[cfg(all(not(target_family = "wasm"), feature = "emulator"))]
pub mod emulator;

#[cfg(target_family = "wasm")]
mod web;

#[cfg(all(target_family = "wasm", feature = "npm"))]
mod npm;

pub use crate::{
    error::{Error, ErrorKind, Result},
    event::Event,
    key::ProjectKey,
    region::Region,
};
