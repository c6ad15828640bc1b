//! npm.
