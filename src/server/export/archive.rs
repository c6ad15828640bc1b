//! A ZIP archive, read from its start as it arrives: libraries want to seek to its end first.
//!
//! Members are stored or deflated, with their sizes before or behind them, ZIP64 or not. Source: PKWARE's APPNOTE.TXT 6.3.10, §4.3.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::lines::broken;
use crate::Result;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END_64: u32 = 0x0606_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;
const END: u32 = 0x0605_4b50;

const IN_64_BIT_FIELD: u32 = u32::MAX;
const BUFFER_BYTES: usize = 64 << 10;

/// What comes next of an archive.
#[derive(Debug)]
pub(super) enum Part<'a> {
    Start(String),
    /// Bytes of the member; tell [`Archive::consume`] how many were used.
    Bytes(&'a [u8]),
    EndOfMember,
    NeedInput,
    End,
}

pub(super) struct Archive {
    input: Vec<u8>,
    at: usize,
    member: Option<Member>,
    ended: bool,
}

struct Member {
    name: String,
    body: Body,
    /// The sizes and the checksum stand behind the data.
    has_descriptor: bool,
    crc: u32,
    compressed: u64,
    read_crc: Crc,
    read_compressed: u64,
}

enum Body {
    /// That many bytes are left.
    Stored(u64),
    /// As many bytes as the gzip file in it has; `true` once that has ended.
    StoredToItsEnd(bool),
    Deflated {
        inflate: Box<Decompress>,
        plain: Vec<u8>,
        taken: usize,
        ended: bool,
    },
}

impl Archive {
    pub(super) fn new() -> Self {
        Self { input: Vec::new(), at: 0, member: None, ended: false }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.drain(..self.at);
        self.at = 0;
        self.input.extend_from_slice(bytes);
    }

    pub(super) fn part(&mut self) -> Result<Part<'_>> {
        if self.ended {
            return Ok(Part::End);
        }
        let Some(member) = &mut self.member else { return self.header() };
        let input = &self.input[self.at..];
        match &mut member.body {
            Body::Stored(0) => self.end_of_member(),
            Body::Stored(left) => {
                let size = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                Ok(if size == 0 { Part::NeedInput } else { Part::Bytes(&self.input[self.at..self.at + size]) })
            }
            // Behind a gzip file there is another one, or the descriptor.
            Body::StoredToItsEnd(true) => match input {
                [_, _, ..] if !input.starts_with(&[0x1f, 0x8b]) => self.end_of_member(),
                [_, _, ..] => {
                    member.body = Body::StoredToItsEnd(false);
                    Ok(Part::Bytes(&self.input[self.at..]))
                }
                _ => Ok(Part::NeedInput),
            },
            Body::StoredToItsEnd(false) => {
                Ok(if input.is_empty() { Part::NeedInput } else { Part::Bytes(&self.input[self.at..]) })
            }
            Body::Deflated { inflate, plain, taken, ended } => {
                if *taken == plain.len() && !*ended {
                    plain.clear();
                    *taken = 0;
                    let before = inflate.total_in();
                    let status = inflate
                        .decompress_vec(input, plain, FlushDecompress::None)
                        .map_err(|error| broken(&[&member.name, ": its deflated data is broken"]).with_source(error))?;
                    let used = inflate.total_in() - before;
                    self.at += usize::try_from(used).unwrap_or(usize::MAX);
                    member.read_compressed += used;
                    member.read_crc.update(plain);
                    *ended = status == Status::StreamEnd;
                    if plain.is_empty() && !*ended {
                        return Ok(Part::NeedInput);
                    }
                }
                if *taken == plain.len() {
                    return self.end_of_member();
                }
                match &self.member {
                    Some(Member { body: Body::Deflated { plain, taken, .. }, .. }) => Ok(Part::Bytes(&plain[*taken..])),
                    _ => Ok(Part::NeedInput),
                }
            }
        }
    }

    /// So many of the bytes that were handed out are done with; `gzip_ended` says that a gzip file ended with them.
    pub(super) fn consume(&mut self, used: usize, gzip_ended: bool) -> Result<()> {
        let Some(member) = &mut self.member else { return Ok(()) };
        match &mut member.body {
            Body::Deflated { taken, .. } => *taken += used,
            Body::Stored(left) => {
                *left -= used as u64;
                member.read_crc.update(&self.input[self.at..self.at + used]);
                member.read_compressed += used as u64;
                self.at += used;
            }
            Body::StoredToItsEnd(ended) => {
                *ended = gzip_ended;
                member.read_crc.update(&self.input[self.at..self.at + used]);
                member.read_compressed += used as u64;
                self.at += used;
            }
        }
        Ok(())
    }

    fn end_of_member(&mut self) -> Result<Part<'_>> {
        let Some(member) = &self.member else { return Ok(Part::EndOfMember) };
        let input = &self.input[self.at..];
        let (crc, compressed, used) = if member.has_descriptor {
            match descriptor(input, member.read_compressed) {
                Some(found) => found,
                None if input.len() < 28 => return Ok(Part::NeedInput),
                None => return Err(broken(&[&member.name, ": what follows it does not tell its size"])),
            }
        } else {
            (member.crc, member.compressed, 0)
        };
        if crc != member.read_crc.sum() || compressed != member.read_compressed {
            return Err(broken(&[&member.name, ": its checksum or size is wrong"]));
        }
        self.at += used;
        self.member = None;
        Ok(Part::EndOfMember)
    }

    /// Reads what stands between members.
    fn header(&mut self) -> Result<Part<'_>> {
        loop {
            let input = &self.input[self.at..];
            let Some(signature) = u32_at(input, 0) else { return Ok(Part::NeedInput) };
            let size = match signature {
                LOCAL_HEADER => {
                    let Some((member, used)) = local_header(input)? else { return Ok(Part::NeedInput) };
                    let name = member.name.clone();
                    self.member = Some(member);
                    self.at += used;
                    return Ok(Part::Start(name));
                }
                CENTRAL_HEADER => sizes(input, 46, &[28, 30, 32]),
                END_64 => u64_at(input, 4).map(|size| 12 + usize::try_from(size).unwrap_or(usize::MAX / 2)),
                END_64_LOCATOR => Some(20),
                END => sizes(input, 22, &[20]),
                _ => return Err(broken(&["this is no ZIP archive, or it is broken"])),
            };
            match size.filter(|size| *size <= input.len()) {
                Some(_) if signature == END => {
                    self.ended = true;
                    return Ok(Part::End);
                }
                Some(size) => self.at += size,
                None if input.len() > 1 << 20 => return Err(broken(&["its directory is broken"])),
                None => return Ok(Part::NeedInput),
            }
        }
    }
}

/// The size of a record with parts of variable size, each named by the place of its 16-bit length.
fn sizes(input: &[u8], fixed: usize, variable: &[usize]) -> Option<usize> {
    variable.iter().try_fold(fixed, |sum, at| Some(sum + usize::from(u16_at(input, *at)?)))
}

fn local_header(input: &[u8]) -> Result<Option<(Member, usize)>> {
    let (Some(flags), Some(method), Some(crc), Some(compressed), Some(uncompressed)) =
        (u16_at(input, 6), u16_at(input, 8), u32_at(input, 14), u32_at(input, 18), u32_at(input, 22))
    else {
        return Ok(None);
    };
    let (Some(name_size), Some(extra_size)) = (u16_at(input, 26), u16_at(input, 28)) else { return Ok(None) };
    let name_end = 30 + usize::from(name_size);
    let end = name_end + usize::from(extra_size);
    let (Some(name), Some(extra)) = (input.get(30..name_end), input.get(name_end..end)) else { return Ok(None) };
    let name = String::from_utf8_lossy(name).into_owned();
    if flags & 1 != 0 {
        return Err(broken(&[&name, ": is encrypted"]));
    }
    let has_descriptor = flags & 8 != 0;
    let compressed = if compressed == IN_64_BIT_FIELD {
        let uncompressed_first = if uncompressed == IN_64_BIT_FIELD { 8 } else { 0 };
        zip64_field(extra, uncompressed_first).ok_or_else(|| broken(&[&name, ": does not tell its size"]))?
    } else {
        u64::from(compressed)
    };
    let body = match method {
        0 if has_descriptor && compressed == 0 => Body::StoredToItsEnd(false),
        0 => Body::Stored(compressed),
        8 => Body::Deflated {
            inflate: Box::new(Decompress::new(false)),
            plain: Vec::with_capacity(BUFFER_BYTES),
            taken: 0,
            ended: false,
        },
        _ => return Err(broken(&[&name, ": is compressed by a method that exports do not use"])),
    };
    Ok(Some((Member { name, body, has_descriptor, crc, compressed, read_crc: Crc::new(), read_compressed: 0 }, end)))
}

/// A 64-bit size in the extra field with id 1.
fn zip64_field(mut extra: &[u8], at: usize) -> Option<u64> {
    loop {
        let (id, size) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let field = extra.get(4..4 + size)?;
        if id == 1 {
            return u64_at(field, at);
        }
        extra = extra.get(4 + size..)?;
    }
}

/// Checksum, compressed size and length of a descriptor: with or without its signature, with sizes of 32 or 64 bits, as the size that was
/// read tells.
fn descriptor(input: &[u8], read: u64) -> Option<(u32, u64, usize)> {
    let forms = [(4, false), (4, true), (0, false), (0, true)];
    forms.into_iter().find_map(|(skip, wide)| {
        if skip == 4 && u32_at(input, 0) != Some(DESCRIPTOR) {
            return None;
        }
        let crc = u32_at(input, skip)?;
        let (compressed, length) =
            if wide { (u64_at(input, skip + 4)?, skip + 20) } else { (u64::from(u32_at(input, skip + 4)?), skip + 12) };
        // The next record must be there to be seen: a size alone may fit by chance.
        let next = u32_at(input, length)?;
        let follows = matches!(next, LOCAL_HEADER | CENTRAL_HEADER | END | END_64);
        (compressed == read && follows).then_some((crc, compressed, length))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}
