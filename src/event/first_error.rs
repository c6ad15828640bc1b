//! The first error of a builder, told when it builds.

use crate::{Error, ErrorKind, Result};

/// Kept as text, because builders can be cloned and errors cannot.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstError(Option<String>);

impl FirstError {
    pub(super) fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.0.get_or_insert_with(|| error.message().to_owned());
        }
    }

    /// # Errors
    /// [`ErrorKind::Invalid`] with the text of the first error that was noted.
    pub(super) fn check(self) -> Result<()> {
        match self.0 {
            Some(text) => Err(Error::new(ErrorKind::Invalid, text)),
            None => Ok(()),
        }
    }
}
