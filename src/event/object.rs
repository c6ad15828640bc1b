//! A JSON object as text with the places of its keys: built, read and changed without a tree.

use std::{mem, ops::Range};

use crate::{
    Error, Result,
    event::{
        scan::{self, Scan, clipped},
        value::{PropertyValue, ValueWriter},
    },
    json::{self, Reader},
    limits, platform,
};

/// `"key":value,"key":value`, and where each key and value stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Object {
    text: String,
    entries: Vec<Entry>,
    /// Containers inside each other at most, this one included.
    depth: u8,
    long_strings: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    start: u32,
    /// Behind the colon.
    value: u32,
    end: u32,
}

impl Entry {
    /// Two quotes and a colon.
    const AROUND_KEY: usize = 3;

    /// The key between its quotes, escapes and all.
    fn key(self) -> Range<usize> {
        self.start as usize + 1..self.value as usize - 2
    }

    fn value(self) -> Range<usize> {
        self.value as usize..self.end as usize
    }
}

impl Object {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn depth(&self) -> usize {
        usize::from(self.depth.max(1))
    }

    pub(crate) fn long_strings(&self) -> u32 {
        self.long_strings
    }

    /// The keys as they stand in the text, escapes and all.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| self.slice(entry.key()))
    }

    /// Keys and the JSON texts of their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (self.slice(entry.key()), self.slice(entry.value())))
    }

    /// The JSON text of a value.
    pub(crate) fn raw(&self, key: &str) -> Option<&str> {
        self.position(key).and_then(|at| self.entries.get(at)).map(|entry| self.slice(entry.value()))
    }

    /// The JSON text of a value whose key needs no escape, as no name of a field does.
    pub(crate) fn raw_field(&self, name: &str) -> Option<&str> {
        self.find(name.as_bytes()).and_then(|at| self.entries.get(at)).map(|entry| self.slice(entry.value()))
    }

    /// Adds a key whose value's JSON text was checked; answers whether the key was new, or else nothing has changed.
    pub(crate) fn add_raw(&mut self, key: &str, json: &str, long_strings: u32) -> bool {
        if self.position(key).is_some() {
            return false;
        }
        if !self.text.is_empty() {
            self.text.push(',');
        }
        let start = self.text.len();
        json::push_string(&mut self.text, key);
        self.text.push(':');
        let value = self.text.len();
        self.text.push_str(json);
        let entry = Entry { start: place(start), value: place(value), end: place(self.text.len()) };
        self.entries.push(entry);
        self.long_strings += long_strings;
        true
    }

    pub(crate) fn remove(&mut self, key: &str) -> bool {
        let found = self.position(key);
        if let Some(at) = found {
            self.remove_at(at);
        }
        found.is_some()
    }

    /// Sets a key; a value that it had before is replaced. On an error nothing has changed. `path` is the name of this object.
    pub(crate) fn set(&mut self, path: &str, key: &str, value: impl PropertyValue) -> Result<()> {
        let start = self.text.len();
        if start > 0 {
            self.text.push(',');
        } else if self.text.capacity() == 0 {
            // Enough for most events at once.
            self.text = String::with_capacity(240);
            self.entries = Vec::with_capacity(8);
        }
        let key_start = self.text.len();
        json::push_string(&mut self.text, key);
        self.text.push(':');
        let value_start = self.text.len();
        let mut writer = ValueWriter::new(&mut self.text);
        value.write(&mut writer);
        let (depth, long_strings) = (writer.deepest() + 1, writer.long_strings());
        let problem = writer.problem().or((depth > limits::DEPTH).then_some("is nested deeper than 40"));
        if let Some(problem) = problem {
            self.text.truncate(start);
            return Err(Error::invalid(&[path, ".", clipped(key), ": ", problem]));
        }
        let entry = Entry { start: place(key_start), value: place(value_start), end: place(self.text.len()) };
        self.push(path, entry, depth, long_strings).inspect_err(|_| self.text.truncate(start))
    }

    /// Lists an entry whose text was just appended; an older one of the same key goes.
    fn push(&mut self, path: &str, entry: Entry, depth: usize, long_strings: u32) -> Result<()> {
        let older = self.text.as_bytes().get(entry.key()).and_then(|key| self.find(key));
        if older.is_none() && self.entries.len() == limits::KEYS {
            return Err(Error::at(path, "has more than 1000 keys"));
        }
        self.entries.push(entry);
        self.depth = self.depth.max(depth as u8);
        self.long_strings += long_strings;
        if let Some(older) = older {
            self.remove_at(older);
        }
        Ok(())
    }

    fn remove_at(&mut self, at: usize) {
        let Some(&entry) = self.entries.get(at) else { return };
        self.entries.remove(at);
        // The comma before it goes too, or the one behind it where it is the first.
        let (from, until) = if at > 0 {
            (entry.start as usize - 1, entry.end as usize)
        } else {
            (entry.start as usize, (entry.end as usize + 1).min(self.text.len()))
        };
        self.text.drain(from..until);
        let shift = place(until - from);
        for later in self.entries.iter_mut().skip(at) {
            later.start -= shift;
            later.value -= shift;
            later.end -= shift;
        }
        // What was counted with the value that has gone must not be held against those that stay.
        if self.depth > 1 || self.long_strings > 0 {
            let (depth, long_strings) = scan::measure(&["{", &self.text, "}"].concat());
            (self.depth, self.long_strings) = (depth as u8, long_strings);
        }
    }

    /// Reads an object from a caller's JSON text. `path` is its name.
    pub(crate) fn read(path: &str, reader: &mut Reader<'_>) -> Result<Self> {
        let mut object = Self::default();
        let mut scan = Scan::new(path);
        scan.open_object(reader)?;
        let mut first = true;
        while let Some(key) = scan.lift(reader.next_key(&mut first))? {
            let from = scan.enter(&key);
            let value_start = reader.offset();
            scan.value(reader, 2)?;
            if holds_infinity(reader.slice(value_start)) {
                return Err(scan.error("holds a number that is larger than any finite one"));
            }
            let start = object.text.len() + usize::from(!object.text.is_empty());
            if start > 0 {
                object.text.push(',');
            }
            json::push_string(&mut object.text, &key);
            object.text.push(':');
            let value = object.text.len();
            object.text.push_str(reader.slice(value_start));
            let entry = Entry { start: place(start), value: place(value), end: place(object.text.len()) };
            if object.position(&key).is_some() {
                return Err(scan.error("stands twice"));
            }
            object.push(path, entry, scan.depth.max(1), mem::take(&mut scan.long_strings))?;
            scan.leave(from);
        }
        Ok(object)
    }

    fn position(&self, key: &str) -> Option<usize> {
        if json::is_plain(key) {
            return self.find(key.as_bytes());
        }
        let mut escaped = String::new();
        json::push_string(&mut escaped, key);
        self.find(escaped.as_bytes().get(1..escaped.len() - 1)?)
    }

    /// Looks for a key as it stands in the text. Lengths are compared first, because most keys differ in theirs.
    fn find(&self, key: &[u8]) -> Option<usize> {
        let text = self.text.as_bytes();
        let width = place(key.len() + Entry::AROUND_KEY);
        self.entries.iter().position(|entry| entry.value - entry.start == width && text.get(entry.key()) == Some(key))
    }

    fn slice(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }
}

/// Whether a value whose JSON text was checked holds a number that no double holds, such as 1e400: a server that cannot read it refuses the
/// whole request.
fn holds_infinity(json: &str) -> bool {
    let mut rest = json;
    while let Some(at) = rest.find(|char: char| char == '"' || char == '-' || char.is_ascii_digit()) {
        rest = &rest[at..];
        let end = if rest.starts_with('"') {
            let mut reader = Reader::new(rest);
            reader.raw_string().map_or(rest.len(), |string| string.len() + 2)
        } else {
            let end = rest.find(|char: char| !matches!(char, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
            if !platform::parse_number(&rest[..end]).is_finite() {
                return true;
            }
            end
        };
        rest = &rest[end..];
    }
    false
}

/// A place in a text. An event of 4 GiB fits into no request, and is refused before it matters.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
