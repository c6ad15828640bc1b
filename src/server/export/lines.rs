//! The lines of an archive's files: each file is gzip, each line of it an event.

use std::mem;

use flate2::{Decompress, FlushDecompress, Status};

use super::archive::{Archive, Part};
use crate::{Error, ErrorKind, Result};

/// A longer line is no event: the largest request that Amplitude takes is 20 MB, a single event is far below.
const MAX_LINE_BYTES: usize = 16 << 20;
const BUFFER_BYTES: usize = 64 << 10;

/// A line and where it stands.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) member: String,
    pub(super) number: u64,
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) enum Step {
    /// A line, or why this one cannot be read.
    Line(Result<Line>),
    /// Nothing can be done before more of the archive is fed.
    NeedInput,
    /// The archive is complete.
    End,
}

/// Turns the bytes of an archive into lines, a buffer at a time.
pub(super) struct Lines {
    archive: Archive,
    member: String,
    /// `None` between two files.
    gzip: Option<Decompress>,
    /// Bytes of the file that are decompressed and not yet in a line.
    plain: Vec<u8>,
    taken: usize,
    line: Vec<u8>,
    number: u64,
    /// The line is longer than a line may be; its rest is passed over.
    too_long: bool,
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
            number: 0,
            too_long: false,
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

    pub(super) fn step(&mut self) -> Result<Step> {
        loop {
            if let Some(line) = self.next_line() {
                return Ok(Step::Line(line));
            }
            match self.archive.part()? {
                Part::Start(name) => {
                    self.member = name;
                    self.number = 0;
                }
                Part::Bytes(bytes) => {
                    let (used, ended) = decompress(&mut self.gzip, bytes, &mut self.plain, &self.member)?;
                    self.archive.consume(used, ended)?;
                }
                Part::EndOfMember => {
                    if self.gzip.is_some() {
                        return Err(broken(&[&self.member, ": its gzip data is cut off"]));
                    }
                    if let Some(line) = self.last_line() {
                        return Ok(Step::Line(line));
                    }
                }
                Part::NeedInput => return Ok(Step::NeedInput),
                Part::End => return Ok(Step::End),
            }
        }
    }

    fn next_line(&mut self) -> Option<Result<Line>> {
        while self.taken < self.plain.len() {
            let rest = &self.plain[self.taken..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            let piece = &rest[..end.unwrap_or(rest.len())];
            self.too_long |= self.line.len() + piece.len() > MAX_LINE_BYTES;
            if !self.too_long {
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
    fn last_line(&mut self) -> Option<Result<Line>> {
        let bytes = mem::take(&mut self.line);
        let too_long = mem::take(&mut self.too_long);
        self.number += 1;
        let fail = |problem| Err(broken(&[&self.member, " line ", &self.number.to_string(), problem]));
        if too_long {
            return Some(fail(": is longer than 16 MB"));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        Some(match String::from_utf8(bytes) {
            Ok(text) => Ok(Line { member: self.member.clone(), number: self.number, text }),
            Err(_) => fail(": is not UTF-8"),
        })
    }
}

/// Decompresses into a buffer's room. Answers how many bytes were used, and whether a gzip file ended with them.
fn decompress(gzip: &mut Option<Decompress>, bytes: &[u8], plain: &mut Vec<u8>, member: &str) -> Result<(usize, bool)> {
    let stream = gzip.get_or_insert_with(|| Decompress::new_gzip(15));
    let before = stream.total_in();
    let status = stream
        .decompress_vec(bytes, plain, FlushDecompress::None)
        .map_err(|error| broken(&[member, ": its gzip data is broken"]).with_source(error))?;
    let used = usize::try_from(stream.total_in() - before).unwrap_or(usize::MAX);
    let ended = status == Status::StreamEnd;
    if ended {
        *gzip = None;
    }
    Ok((used, ended))
}

pub(super) fn broken(parts: &[&str]) -> Error {
    Error::new(ErrorKind::Protocol, ["export: ", &parts.concat()].concat())
}
