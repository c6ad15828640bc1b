//! A ZIP archive, read from its start as it arrives: libraries want to seek to its end first.
//!
//! Members are stored or deflated, with their sizes before or behind them, ZIP64 or not. One that is broken is reported and passed over,
//! where its end can be found.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{
    lines::broken,
    records::{DESCRIPTOR_BYTES, LocalHeader, Record, descriptor, end_of_data, record},
};
use crate::{Error, Result};

const BUFFER_BYTES: usize = 64 << 10;

/// What comes next of an archive.
#[derive(Debug)]
pub(super) enum Part<'a> {
    Start(String),
    /// Bytes of the member; tell [`Archive::consume`] how many were used.
    Bytes(&'a [u8]),
    /// Nothing more comes of the member, and what is wrong with it.
    EndOfMember(Option<Error>),
    NeedInput,
    End,
}

pub(super) struct Archive {
    input: Vec<u8>,
    at: usize,
    /// What a deflated member gave and was not yet used.
    plain: Vec<u8>,
    taken: usize,
    member: Option<Member>,
    /// Members so far, and how many of them the directory has named.
    members: u64,
    entries: u64,
    has_begun: bool,
    has_ended: bool,
}

struct Member {
    header: LocalHeader,
    body: Body,
    /// Compressed bytes, so far.
    read: u64,
    crc: Crc,
}

enum Body {
    Stored,
    Deflated {
        inflate: Box<Decompress>,
        has_ended: bool,
    },
    /// Why it cannot be read; not reported yet.
    Unreadable(&'static str),
    /// What is wrong with it was reported.
    Skipped,
}

/// A [`Part`] that borrows nothing.
enum Next {
    Start(String),
    Stored(usize),
    Plain,
    EndOfMember(Option<Error>),
    NeedInput,
    End,
    /// Something was done that has no part.
    Again,
}

impl Archive {
    pub(super) fn new() -> Self {
        Self {
            input: Vec::new(),
            at: 0,
            plain: Vec::with_capacity(BUFFER_BYTES),
            taken: 0,
            member: None,
            members: 0,
            entries: 0,
            has_begun: false,
            has_ended: false,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.drain(..self.at);
        self.at = 0;
        self.input.extend_from_slice(bytes);
    }

    /// An error is one of the archive itself: nothing can be read behind it.
    pub(super) fn part(&mut self) -> Result<Part<'_>> {
        loop {
            match self.next()? {
                Next::Start(name) => return Ok(Part::Start(name)),
                Next::Stored(size) => return Ok(Part::Bytes(&self.input[self.at..self.at + size])),
                Next::Plain => return Ok(Part::Bytes(&self.plain[self.taken..])),
                Next::EndOfMember(problem) => return Ok(Part::EndOfMember(problem)),
                Next::NeedInput => return Ok(Part::NeedInput),
                Next::End => return Ok(Part::End),
                Next::Again => {}
            }
        }
    }

    /// So many of the bytes that were handed out are done with.
    pub(super) fn consume(&mut self, used: usize) {
        let Some(member) = &mut self.member else { return };
        match &member.body {
            Body::Stored => {
                member.crc.update(&self.input[self.at..self.at + used]);
                member.read += used as u64;
                self.at += used;
            }
            Body::Deflated { .. } => self.taken += used,
            Body::Unreadable(_) | Body::Skipped => {}
        }
    }

    /// Passes over what is left of the member, without a further part for it.
    pub(super) fn skip_member(&mut self) {
        self.plain.clear();
        self.taken = 0;
        if let Some(member) = &mut self.member {
            member.body = Body::Skipped;
        }
    }

    /// All that is held, in bytes.
    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.input.capacity() + self.plain.capacity()
    }

    fn next(&mut self) -> Result<Next> {
        let Some(member) = &mut self.member else { return self.between_members() };
        let input = &self.input[self.at..];
        let size = member.header.compressed.or_else(|| Some(member.read + end_of_data(input, member.read)? as u64));
        member.header.compressed = size;
        // Without a size, what may be the start of a descriptor is no data yet.
        let own = match size {
            Some(size) => input.len().min(usize::try_from(size.saturating_sub(member.read)).unwrap_or(usize::MAX)),
            None => input.len().saturating_sub(DESCRIPTOR_BYTES - 1),
        };
        Ok(match &mut member.body {
            Body::Deflated { .. } if self.taken < self.plain.len() => Next::Plain,
            Body::Deflated { has_ended: true, .. } => self.end_of_member()?,
            Body::Deflated { .. } => self.inflate(own),
            Body::Unreadable(problem) => {
                let problem = *problem;
                self.give_up(problem)
            }
            _ if own == 0 && size == Some(member.read) => self.end_of_member()?,
            _ if own == 0 => Next::NeedInput,
            Body::Stored => Next::Stored(own),
            Body::Skipped => {
                self.at += own;
                member.read += own as u64;
                Next::Again
            }
        })
    }

    fn between_members(&mut self) -> Result<Next> {
        if self.has_ended {
            return Ok(Next::End);
        }
        let found = record(&self.input[self.at..]).map_err(|problem| {
            if self.has_begun {
                broken(&["the archive is broken: ", problem])
            } else {
                broken(&["the answer is no ZIP archive; is there a proxy or a login page in between?"])
            }
        })?;
        self.has_begun |= found.is_some();
        Ok(match found {
            None => Next::NeedInput,
            Some(Record::Entry(bytes)) => {
                self.at += bytes;
                self.entries += 1;
                Next::Again
            }
            Some(Record::Other(bytes)) => {
                self.at += bytes;
                Next::Again
            }
            Some(Record::End) if self.members != self.entries => {
                return Err(broken(&["the archive is broken: its directory does not name the files that it holds"]));
            }
            Some(Record::End) => {
                self.has_ended = true;
                Next::End
            }
            Some(Record::Member(header)) => {
                self.at += header.bytes;
                self.members += 1;
                self.plain.clear();
                self.taken = 0;
                let name = header.name.clone();
                self.member = Some(Member { body: body(&header), header, read: 0, crc: Crc::new() });
                Next::Start(name)
            }
        })
    }

    fn inflate(&mut self, own: usize) -> Next {
        let Some(member) = &mut self.member else { return Next::Again };
        let Body::Deflated { inflate, has_ended } = &mut member.body else { return Next::Again };
        self.plain.clear();
        self.taken = 0;
        let before = inflate.total_in();
        let input = &self.input[self.at..self.at + own];
        let Ok(status) = inflate.decompress_vec(input, &mut self.plain, FlushDecompress::None) else {
            return self.give_up("its deflated data is broken");
        };
        let used = inflate.total_in() - before;
        *has_ended = status == Status::StreamEnd;
        self.at += usize::try_from(used).unwrap_or(usize::MAX);
        member.read += used;
        member.crc.update(&self.plain);
        if used > 0 || *has_ended || !self.plain.is_empty() {
            Next::Again
        } else if own == 0 && member.header.compressed != Some(member.read) {
            Next::NeedInput
        } else {
            self.give_up("its deflated data is cut off")
        }
    }

    /// Compares the member with its checksum, but for one that was given up.
    fn end_of_member(&mut self) -> Result<Next> {
        let Some(member) = &self.member else { return Ok(Next::Again) };
        if member.header.compressed.is_some_and(|size| size != member.read) {
            return Ok(self.give_up("its data ends before its size says"));
        }
        let (crc, bytes) = if member.header.has_descriptor {
            let input = &self.input[self.at..];
            match descriptor(input, member.read) {
                Some(found) => found,
                None if input.len() < DESCRIPTOR_BYTES => return Ok(Next::NeedInput),
                None if member.header.compressed.is_none() => return Ok(self.give_up("its end is not where its data ends")),
                None => return Err(broken(&["the archive is broken: ", &member.header.name, " is not as large as it says"])),
            }
        } else {
            (member.header.crc, 0)
        };
        let is_right = crc == member.crc.sum();
        let problem = || broken(&[&member.header.name, ": its checksum is wrong"]);
        let next = match member.body {
            Body::Skipped => Next::Again,
            _ => Next::EndOfMember((!is_right).then(problem)),
        };
        self.at += bytes;
        self.member = None;
        Ok(next)
    }

    fn give_up(&mut self, problem: &str) -> Next {
        let name = self.member.as_ref().map_or("", |member| &member.header.name);
        let error = broken(&[name, ": ", problem]);
        self.skip_member();
        Next::EndOfMember(Some(error))
    }
}

fn body(header: &LocalHeader) -> Body {
    match header.method {
        _ if header.is_encrypted => Body::Unreadable("is encrypted"),
        0 => Body::Stored,
        8 => Body::Deflated { inflate: Box::new(Decompress::new(false)), has_ended: false },
        _ => Body::Unreadable("is compressed by a method that exports do not use"),
    }
}
