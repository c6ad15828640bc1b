//! Settings from the environment, or from the file that a variable's `_FILE` twin names.

use std::{env, fs::File, io::Read as _};

use crate::{Error, ErrorKind, Result};

/// A file for one credential is smaller; a larger one was named by mistake.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// The text of a variable, or of the file that `{name}_FILE` names, without its last line break. `None` when neither is set.
pub(crate) fn environment(name: &str) -> Result<Option<String>> {
    let file_name = [name, "_FILE"].concat();
    match (read(name)?, read(&file_name)?) {
        (Some(_), Some(_)) => Err(Error::invalid(&[name, ": is set, and so is ", &file_name, "; set one of them"])),
        (Some(text), None) => Ok(Some(text)),
        (None, Some(path)) => read_file(&file_name, &path).map(Some),
        (None, None) => Ok(None),
    }
}

/// A variable that is set to nothing counts as not set.
fn read(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Error::invalid(&[name, ": is not UTF-8"])),
    }
}

fn read_file(name: &str, path: &str) -> Result<String> {
    let failed = |error: std::io::Error| Error::invalid(&[name, ": the file \"", path, "\" cannot be read"]).with_source(error);
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::invalid(&[name, ": the file \"", path, "\" is larger than 64 KiB"]));
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid(&[name, ": the file \"", path, "\" is not UTF-8"]))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, [name, ": the file \"", path, "\" is empty"].concat()));
    }
    Ok(text.to_owned())
}
