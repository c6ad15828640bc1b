//! (driver)
