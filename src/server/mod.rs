//! Server APIs.
