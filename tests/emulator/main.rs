//! The emulator's replies, each in its documented form, seen through plain HTTP.

#![cfg(all(not(target_family = "wasm"), feature = "emulator"))]

mod cohorts;
mod controls;
mod export;
mod hostile;
mod identify;
mod ingestion;
mod limits;
mod oauth;
mod refusals;
mod support;
#[path = "../trace/mod.rs"]
mod trace;
mod whole;
