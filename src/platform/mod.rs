//! What both targets export under the same names.

#[cfg(not(target_family = "wasm"))]
#[path = "native.rs"]
mod sys;

#[cfg(target_family = "wasm")]
#[path = "browser.rs"]
mod sys;
