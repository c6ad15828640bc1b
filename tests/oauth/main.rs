//! OAuth against a real authorization server (npm `oidc-provider`) over TLS, and against stubs for what no real one does. A test whose name
//! begins with `t_` proves a requirement of a standard.

#![cfg(all(not(target_family = "wasm"), feature = "oauth"))]

#[path = "../client/authority.rs"]
mod authority;
#[cfg(all(target_os = "linux", feature = "open-browser"))]
mod browser;
mod canaille;
mod code_flow;
#[cfg(feature = "emulator")]
mod delegated;
mod device;
mod device_answers;
mod discovery;
mod echo;
mod flow;
mod listener;
mod login;
#[path = "../trace/outcome.rs"]
mod outcome;
mod processes;
mod refresh;
mod registration;
mod revocation;
mod secrets;
mod server;
mod settings;
mod shown;
mod stores;
mod stub;
mod tokens;
#[path = "../trace/mod.rs"]
mod trace;
mod transport;
mod whole;
