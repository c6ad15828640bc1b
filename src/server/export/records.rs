//! The records of a ZIP archive, read from the bytes that are there. Source: PKWARE's APPNOTE.TXT 6.3.10, §4.3.

const LOCAL_HEADER: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END_64: u32 = 0x0606_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;
const END: u32 = 0x0605_4b50;

const IN_64_BIT_FIELD: u32 = u32::MAX;
/// No writer puts this much into the record that is the only one with a 64-bit size of its own.
const MAX_END_64_BYTES: u64 = 1 << 20;

/// What stands between the data of two members.
pub(super) enum Record {
    Member(LocalHeader),
    /// What the directory repeats of one member: its bytes.
    Entry(usize),
    /// Another part of the directory: its bytes.
    Other(usize),
    End,
}

/// What a member's header says, and its own bytes.
pub(super) struct LocalHeader {
    pub(super) name: String,
    pub(super) method: u16,
    pub(super) is_encrypted: bool,
    /// The checksum stands behind the data.
    pub(super) has_descriptor: bool,
    pub(super) crc: u32,
    /// `None` where the size stands behind the data as well.
    pub(super) compressed: Option<u64>,
    pub(super) bytes: usize,
}

/// The next record; `None` when its bytes are not all there yet.
pub(super) fn record(input: &[u8]) -> Result<Option<Record>, &'static str> {
    let Some(signature) = u32_at(input, 0) else { return Ok(None) };
    let bytes = match signature {
        LOCAL_HEADER => return Ok(local_header(input)?.map(Record::Member)),
        CENTRAL_HEADER => sizes(input, 46, &[28, 30, 32]),
        END_64 => match u64_at(input, 4) {
            Some(size) if size > MAX_END_64_BYTES => return Err("its directory is broken"),
            size => size.and_then(|size| usize::try_from(size).ok()).map(|size| 12 + size),
        },
        END_64_LOCATOR => Some(20),
        END => sizes(input, 22, &[20]),
        _ => return Err("it holds what no ZIP archive holds at this place"),
    };
    Ok(match bytes.filter(|bytes| *bytes <= input.len()) {
        Some(_) if signature == END => Some(Record::End),
        Some(bytes) if signature == CENTRAL_HEADER => Some(Record::Entry(bytes)),
        Some(bytes) => Some(Record::Other(bytes)),
        None => None,
    })
}

/// The size of a record with parts of variable size, each named by the place of its 16-bit length.
fn sizes(input: &[u8], fixed: usize, variable: &[usize]) -> Option<usize> {
    variable.iter().try_fold(fixed, |sum, at| Some(sum + usize::from(u16_at(input, *at)?)))
}

fn local_header(input: &[u8]) -> Result<Option<LocalHeader>, &'static str> {
    let (Some(flags), Some(method), Some(crc), Some(compressed), Some(uncompressed)) =
        (u16_at(input, 6), u16_at(input, 8), u32_at(input, 14), u32_at(input, 18), u32_at(input, 22))
    else {
        return Ok(None);
    };
    let (Some(name_size), Some(extra_size)) = (u16_at(input, 26), u16_at(input, 28)) else { return Ok(None) };
    let name_end = 30 + usize::from(name_size);
    let bytes = name_end + usize::from(extra_size);
    let (Some(name), Some(extra)) = (input.get(30..name_end), input.get(name_end..bytes)) else { return Ok(None) };

    let has_descriptor = flags & 8 != 0;
    let compressed = if compressed == IN_64_BIT_FIELD {
        let behind_uncompressed = if uncompressed == IN_64_BIT_FIELD { 8 } else { 0 };
        zip64_field(extra, behind_uncompressed)
    } else {
        Some(u64::from(compressed))
    };
    let compressed = compressed.filter(|size| *size != 0 || !has_descriptor);
    if compressed.is_none() && !has_descriptor {
        return Err("a file in it does not tell its size");
    }
    let name = String::from_utf8_lossy(name).into_owned();
    Ok(Some(LocalHeader { name, method, is_encrypted: flags & 1 != 0, has_descriptor, crc, compressed, bytes }))
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

/// The descriptor forms: with or without a signature, with sizes of 32 or 64 bits. Bytes before the checksum, bytes of a size.
const FORMS: [(usize, usize); 4] = [(4, 4), (4, 8), (0, 4), (0, 8)];
/// Bytes of the longest descriptor and of the signature behind it.
pub(super) const DESCRIPTOR_BYTES: usize = 28;

/// The checksum that stands behind a member's data, and the bytes of the descriptor that holds it. Its form is known by its compressed
/// size, which must be what was read, and by the record that must follow.
pub(super) fn descriptor(input: &[u8], read: u64) -> Option<(u32, usize)> {
    FORMS.into_iter().find_map(|(signature, size)| {
        let bytes = signature + 4 + 2 * size;
        let compressed = if size == 8 { u64_at(input, signature + 4)? } else { u64::from(u32_at(input, signature + 4)?) };
        let fits = compressed == read
            && (signature == 0 || u32_at(input, 0)? == DESCRIPTOR)
            && matches!(u32_at(input, bytes)?, LOCAL_HEADER | CENTRAL_HEADER | END | END_64);
        if fits { Some((u32_at(input, signature)?, bytes)) } else { None }
    })
}

/// Where in the input a member's data ends, of which so much was read before: where a descriptor fits. Both the size in it and the record
/// behind it must be right by chance for data to look like one.
pub(super) fn end_of_data(input: &[u8], read: u64) -> Option<usize> {
    memchr::memmem::find_iter(input, b"PK").find_map(|record| {
        FORMS.into_iter().find_map(|(signature, size)| {
            let at = record.checked_sub(signature + 4 + 2 * size)?;
            descriptor(&input[at..], read + at as u64).map(|_| at)
        })
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
