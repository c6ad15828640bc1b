//! How a record stands in a file: a head of 32 bytes (little-endian) that tells where it ends and whether it is whole, then its JSON.
//!
//! | Bytes | What |
//! | --- | --- |
//! | 0..4 | a mark, by which the next whole record is found behind a broken one |
//! | 4..8 | the JSON's length |
//! | 8..12 | CRC-32 of all that follows, and of the length |
//! | 12..20, 20..28 | the hashes of user and device; 0: none |
//! | 28..32 | when it was tracked, in seconds since 1970 |

use crate::pipeline::Header;

pub(super) const HEAD: usize = 32;
const MARK: [u8; 4] = [0xa5, b'E', b'v', 0x1e];
/// What is longer fits into no request of either endpoint.
const MOST: usize = crate::limits::BATCH_BYTES;

/// A whole record in a buffer.
pub(super) struct Frame<'a> {
    pub(super) header: Header,
    pub(super) record: &'a [u8],
}

impl Frame<'_> {
    /// Its bytes, the head included.
    pub(super) fn bytes(&self) -> usize {
        HEAD + self.record.len()
    }
}

/// Why there is no whole record at a place.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum NoFrame {
    /// The buffer ends before it does: that many bytes are needed.
    Needs(usize),
    Broken,
}

/// Writes a record in place of what the buffer holds.
pub(super) fn write(out: &mut Vec<u8>, header: &Header, record: &[u8]) {
    out.clear();
    out.reserve(HEAD + record.len());
    out.extend_from_slice(&MARK);
    // Records are bounded by the size of a request.
    out.extend_from_slice(&(record.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&header.user.unwrap_or_default().to_le_bytes());
    out.extend_from_slice(&header.device.unwrap_or_default().to_le_bytes());
    out.extend_from_slice(&header.tracked_secs.to_le_bytes());
    out.extend_from_slice(record);
    let sum = checksum(out);
    out[8..12].copy_from_slice(&sum.to_le_bytes());
}

/// Reads the record at the start of a buffer.
pub(super) fn read(bytes: &[u8]) -> Result<Frame<'_>, NoFrame> {
    let Some(head) = bytes.first_chunk::<HEAD>() else {
        let known = bytes.len().min(MARK.len());
        return Err(if bytes[..known] == MARK[..known] { NoFrame::Needs(HEAD) } else { NoFrame::Broken });
    };
    let length = u32_at(head, 4) as usize;
    if head[..4] != MARK || length > MOST {
        return Err(NoFrame::Broken);
    }
    let Some(frame) = bytes.get(..HEAD + length) else { return Err(NoFrame::Needs(HEAD + length)) };
    if u32_at(head, 8) != checksum(frame) {
        return Err(NoFrame::Broken);
    }
    let some = |id: u64| (id != 0).then_some(id);
    let header = Header {
        user: some(u64_at(head, 12)),
        device: some(u64_at(head, 20)),
        bytes: length as u32,
        tracked_secs: u32_at(head, 28),
        first_attempt: 0,
    };
    Ok(Frame { header, record: &frame[HEAD..] })
}

/// How far it is to the next place behind the first byte where a record may start; the whole length where there is none.
pub(super) fn resync(bytes: &[u8]) -> usize {
    let mark = memchr::memmem::find(bytes.get(1..).unwrap_or_default(), &MARK);
    // A mark may be cut in two by the buffer's end.
    mark.map_or(bytes.len().saturating_sub(MARK.len() - 1).max(1).min(bytes.len()), |at| at + 1)
}

fn checksum(frame: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&frame[4..8]);
    sum.update(&frame[12..]);
    sum.finalize()
}

fn u32_at(head: &[u8; HEAD], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&head[at..at + 4]);
    u32::from_le_bytes(bytes)
}

fn u64_at(head: &[u8; HEAD], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&head[at..at + 8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: Header = Header { user: Some(7), device: None, bytes: 0, tracked_secs: 1_760_000_000, first_attempt: 0 };

    fn frame(record: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, &HEADER, record);
        out
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let bytes = frame(b"{\"a\":1}");
        let read = read(&bytes).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!((read.record, read.header.tracked_secs, read.bytes()), (&b"{\"a\":1}"[..], 1_760_000_000, bytes.len()));
        assert_eq!((read.header.user, read.header.device, read.header.bytes), (Some(7), None, 7));
    }

    #[test]
    fn every_cut_asks_for_more_and_every_changed_byte_is_seen() {
        let whole = frame(b"{\"event_type\":\"x\"}");
        for cut in 0..whole.len() {
            assert!(matches!(read(&whole[..cut]), Err(NoFrame::Needs(needed)) if needed > cut), "{cut}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            // A longer length asks for bytes that are not there.
            assert!(read(&changed).is_err(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn whole_records_are_found_behind_anything(junk in prop::collection::vec(any::<u8>(), 1..200)) {
            let mut bytes = junk;
            let before = bytes.len();
            bytes.extend(frame(b"{}"));
            let mut at = 0;
            while let Err(problem) = read(&bytes[at..]) {
                // What looks like the head of a long record is given up at the end of the file.
                prop_assert!(problem == NoFrame::Broken || matches!(problem, NoFrame::Needs(_)));
                at += resync(&bytes[at..]);
            }
            prop_assert_eq!(at, before);
        }
    }
}
