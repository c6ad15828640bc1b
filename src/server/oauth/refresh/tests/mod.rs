//! The engine over a server, a store and clocks of the tests' own.

mod ends;
mod executor;
mod life;
mod rig;
mod server;
mod simulation;
mod store;
