//! What a program could print of an outcome.

use std::{error::Error, fmt};

pub(crate) fn all_of<T: fmt::Debug, E: Error>(outcome: &Result<T, E>) -> String {
    let error = match outcome {
        Ok(value) => return format!("shown: {value:?} {value:#?}\n"),
        Err(error) => error,
    };
    let mut all = format!("shown: {error} {error:?} {error:#?}\n");
    let mut source = error.source();
    while let Some(cause) = source {
        all += &format!("shown: {cause} {cause:?}\n");
        source = cause.source();
    }
    all
}

pub(crate) fn show<T: fmt::Debug, E: Error>(outcome: &Result<T, E>) {
    print!("{}", all_of(outcome));
}
