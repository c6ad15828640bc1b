//! The lines of an archive's files: each file is gzip, each line of it an event.

use std::mem;

use flate2::{Decompress, FlushDecompress, Status};

use super::archive::{Archive, Part};
use crate::{Error, ErrorKind, Result};

/// A longer line is no event: the largest request that Amplitude takes is 20 MB, a single event is far below.
pub(super) const MAX_LINE_BYTES: usize = 16_000_000;
const BUFFER_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) enum Step {
    /// A line, or what cannot be read of a file; the rest goes on.
    Line(Result<String>),
    /// Nothing can be done before more of the archive is fed.
    NeedInput,
    /// The archive is complete.
    End,
}

/// Turns the bytes of an archive into lines, a buffer at a time.
pub(super) struct Lines {
    archive: Archive,
    member: String,
    /// `None` between two gzip files.
    gzip: Option<Decompress>,
    /// Bytes of the file that are decompressed and not yet in a line.
    plain: Vec<u8>,
    taken: usize,
    line: Vec<u8>,
    is_too_long: bool,
    /// Of the line that was given last.
    number: u64,
    /// What is wrong with the member, to be told behind its last line.
    problem: Option<Error>,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            archive: Archive::new(),
            member: String::new(),
            gzip: None,
            plain: Vec::with_capacity(BUFFER_BYTES),
            taken: 0,
            line: Vec::new(),
            is_too_long: false,
            number: 0,
            problem: None,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.archive.feed(bytes);
    }

    /// The error of an archive that ends here.
    pub(super) fn cut_off(&self) -> Error {
        let place = if self.member.is_empty() { "its start" } else { &self.member };
        broken(&["the archive is cut off in ", place])
    }

    /// An error about the line that was given last.
    pub(super) fn broken_line(&self, problem: &str) -> Error {
        broken(&[&self.member, " line ", &self.number.to_string(), ": ", problem])
    }

    /// An error is one of the archive itself: nothing can be read behind it.
    pub(super) fn step(&mut self) -> Result<Step> {
        loop {
            if let Some(line) = self.next_line() {
                return Ok(Step::Line(line));
            }
            if let Some(problem) = self.problem.take() {
                return Ok(Step::Line(Err(problem)));
            }
            match self.archive.part()? {
                Part::Start(name) => {
                    self.member = name;
                    self.number = 0;
                }
                Part::Bytes(bytes) => match decompress(&mut self.gzip, bytes, &mut self.plain) {
                    Some(used) => self.archive.consume(used),
                    None => {
                        self.archive.skip_member();
                        self.problem = Some(self.give_up("its gzip data is broken"));
                    }
                },
                Part::EndOfMember(problem) => {
                    self.problem = problem;
                    if self.gzip.is_some() {
                        let cut_off = self.give_up("its gzip data is cut off");
                        self.problem.get_or_insert(cut_off);
                    } else if let Some(line) = self.last_line() {
                        return Ok(Step::Line(line));
                    }
                }
                Part::NeedInput => return Ok(Step::NeedInput),
                Part::End => return Ok(Step::End),
            }
        }
    }

    /// All that is held, in bytes.
    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.archive.buffered() + self.plain.capacity() + self.line.capacity()
    }

    /// Forgets what is begun of the member.
    fn give_up(&mut self, problem: &str) -> Error {
        self.gzip = None;
        self.plain.clear();
        self.taken = 0;
        self.line = Vec::new();
        self.is_too_long = false;
        broken(&[&self.member, " behind line ", &self.number.to_string(), ": ", problem])
    }

    fn next_line(&mut self) -> Option<Result<String>> {
        while self.taken < self.plain.len() {
            let rest = &self.plain[self.taken..];
            let end = memchr::memchr(b'\n', rest);
            let piece = &rest[..end.unwrap_or(rest.len())];
            if self.line.len() + piece.len() > MAX_LINE_BYTES {
                self.is_too_long = true;
                self.line = Vec::new();
            }
            if !self.is_too_long {
                self.line.extend_from_slice(piece);
            }
            self.taken += piece.len() + usize::from(end.is_some());
            if end.is_some()
                && let Some(line) = self.last_line()
            {
                return Some(line);
            }
        }
        self.plain.clear();
        self.taken = 0;
        None
    }

    /// What was gathered as a line; nothing for an empty one.
    fn last_line(&mut self) -> Option<Result<String>> {
        let bytes = mem::take(&mut self.line);
        self.number += 1;
        if mem::take(&mut self.is_too_long) {
            return Some(Err(self.broken_line("is longer than 16 MB")));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        Some(String::from_utf8(bytes).map_err(|_| self.broken_line("is not UTF-8")))
    }
}

/// Decompresses into a buffer's room and answers how many bytes were used. `None` when they are not gzip; `gzip` is `None` when a file
/// ended with them.
fn decompress(gzip: &mut Option<Decompress>, bytes: &[u8], plain: &mut Vec<u8>) -> Option<usize> {
    let stream = gzip.get_or_insert_with(|| Decompress::new_gzip(15));
    let before = (stream.total_in(), stream.total_out());
    let status = stream.decompress_vec(bytes, plain, FlushDecompress::None).ok()?;
    let used = stream.total_in() - before.0;
    let is_stuck = used == 0 && stream.total_out() == before.1;
    match status {
        Status::StreamEnd => *gzip = None,
        _ if is_stuck => return None,
        _ => {}
    }
    usize::try_from(used).ok()
}

pub(super) fn broken(parts: &[&str]) -> Error {
    Error::new(ErrorKind::Protocol, ["export: ", &parts.concat()].concat())
}
