//! The first error of a builder, told when it builds.

use crate::{Error, ErrorKind, Result};

/// One word, so that a builder that moves through its setters stays in registers.
#[derive(Debug, Default)]
pub(super) struct FirstError(Option<Error>);

impl FirstError {
    #[inline]
    pub(super) fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.0.get_or_insert(error);
        }
    }

    /// # Errors
    /// [`ErrorKind::Invalid`] with the text of the first error that was noted.
    pub(super) fn check(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// Builders can be cloned and errors cannot: the text is what matters.
impl Clone for FirstError {
    fn clone(&self) -> Self {
        Self(self.0.as_ref().map(|error| Error::new(ErrorKind::Invalid, error.message().to_owned())))
    }
}
