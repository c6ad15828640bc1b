//! The examples of OAuth as programs of their own, with the emulator's program in Amplitude's place: each does what it says, and neither its output
//! nor its pages show a token or a secret.

#![cfg(all(not(target_family = "wasm"), feature = "emulator", feature = "oauth"))]

mod browser;
mod command_line;
mod programs;
mod service_account;
mod web_app;
mod web_app_attacks;
