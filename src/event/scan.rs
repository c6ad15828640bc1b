//! The scanner: checks values that a caller gave as JSON text, and names the one that is wrong. Builds nothing.

use crate::{
    Error, Result,
    json::{self, Chars, Kind, Reader},
    limits,
};

/// Where the scan stands, and what it found.
pub(super) struct Scan {
    /// The name of the value, from the event on.
    path: String,
    /// Containers inside each other at most.
    pub(super) depth: usize,
    pub(super) long_strings: u32,
}

impl Scan {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), depth: 0, long_strings: 0 }
    }

    /// Enters an object of properties.
    pub(super) fn open_object(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let kind = self.lift(reader.kind())?;
        if kind != Kind::Object {
            return Err(Error::invalid(&[&self.path, ": must be an object, not ", kind.name()]));
        }
        reader.open();
        Ok(())
    }

    /// Passes over an object of properties.
    pub(super) fn object(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let mut start = reader.clone();
        self.open_object(&mut start)?;
        self.value(reader, 1)
    }

    /// Passes over a value that stands in `depth - 1` containers. The recursion is bounded by the limit on depth.
    pub(super) fn value(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<()> {
        let kind = self.lift(reader.kind())?;
        match kind {
            Kind::String => {
                self.long_strings += u32::from(self.lift(long_string(reader))?);
                return Ok(());
            }
            Kind::Object | Kind::Array => {}
            _ => return self.lift(reader.scalar()),
        }
        if depth > limits::DEPTH {
            return Err(self.error("is nested deeper than 40"));
        }
        self.depth = self.depth.max(depth);
        reader.open();
        let mut first = true;
        let mut entries = 0;
        loop {
            let from = self.path.len();
            if kind == Kind::Object {
                let Some(key) = self.lift(reader.next_key(&mut first))? else { return Ok(()) };
                if entries == limits::KEYS {
                    return Err(self.error("has more than 1000 keys"));
                }
                self.enter(&key);
            } else {
                if !self.lift(reader.next_item(&mut first))? {
                    return Ok(());
                }
                self.enter(&json::decimal(entries as u64));
            }
            entries += 1;
            self.value(reader, depth + 1)?;
            self.path.truncate(from);
        }
    }

    /// Adds a key to the path; answers where to cut the path again.
    pub(super) fn enter(&mut self, key: &str) -> usize {
        let from = self.path.len();
        self.path.push('.');
        self.path.push_str(clipped(key));
        from
    }

    pub(super) fn leave(&mut self, from: usize) {
        self.path.truncate(from);
    }

    pub(super) fn lift<T>(&self, result: json::Result<T>) -> Result<T> {
        result.map_err(|malformed| self.error(malformed.0))
    }

    pub(super) fn error(&self, problem: &str) -> Error {
        Error::at(&self.path, problem)
    }
}

/// A key for an error's text: one of a megabyte would make that as long.
pub(super) fn clipped(key: &str) -> &str {
    let mut end = key.len().min(100);
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    &key[..end]
}

/// Passes over a string; answers whether Amplitude shortens it: more than 1024 UTF-16 code units.
pub(super) fn long_string(reader: &mut Reader<'_>) -> json::Result<bool> {
    let raw = reader.raw_string()?;
    if raw.len() <= limits::STRING_CHARS && !json::has_escape(raw) {
        return Ok(false);
    }
    let mut units = 0;
    for char in Chars(raw) {
        units += char?.len_utf16();
    }
    Ok(units > limits::STRING_CHARS)
}

/// How deep a value is that was checked, and how many of its strings Amplitude shortens.
pub(super) fn measure(json: &str) -> (usize, u32) {
    let mut scan = Scan::new("");
    let _ = scan.value(&mut Reader::new(json), 1);
    (scan.depth, scan.long_strings)
}

/// Whether Amplitude shortens a string: more than 1024 UTF-16 code units.
pub(super) fn is_long(text: &str) -> bool {
    text.len() > limits::STRING_CHARS && text.encode_utf16().count() > limits::STRING_CHARS
}
