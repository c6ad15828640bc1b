//! Prints what a program could print of an outcome, where all that is printed is looked through.

use std::{error::Error, fmt};

use crate::{outcome::show, trace};

pub(crate) trait Shown {
    /// The same, after it was printed.
    #[must_use]
    fn shown(self) -> Self;
}

impl<T: fmt::Debug, E: Error> Shown for Result<T, E> {
    fn shown(self) -> Self {
        trace::start();
        if trace::is_on() {
            show(&self);
        }
        self
    }
}
