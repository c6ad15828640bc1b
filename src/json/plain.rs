//! The short way over values that are plainly fine, as nearly all are: one loop over bytes that notes no names. What it answers `None` to needs the
//! reader, which looks closer and says what is wrong. Both targets.

use super::writer::plain_prefix;
use crate::limits;

/// Where a value ends that starts there, if it is JSON without white space that breaks no limit: no string of it is one that Amplitude shortens,
/// and it holds fewer entries and is less deep than any object may be.
pub(super) fn value(bytes: &[u8], mut at: usize) -> Option<usize> {
    // A bit for each open container, the innermost lowest: 1 for an object. The highest one ends them.
    let mut open = 1_u32;
    let mut entries = 0;
    loop {
        match *bytes.get(at)? {
            b'"' => at = string(bytes, at)?,
            opening @ (b'{' | b'[') => {
                let object = opening == b'{';
                open = open.checked_mul(2)? | u32::from(object);
                at += 1;
                // Behind both, the closing byte comes two later in ASCII.
                if *bytes.get(at)? != opening + 2 {
                    if object {
                        at = key(bytes, at)?;
                    }
                    continue;
                }
            }
            b't' => at = word(bytes, at, b"true")?,
            b'f' => at = word(bytes, at, b"false")?,
            b'n' => at = word(bytes, at, b"null")?,
            _ => at = number(bytes, at)?,
        }
        loop {
            if open == 1 {
                return Some(at);
            }
            let object = open & 1 == 1;
            let byte = *bytes.get(at)?;
            at += 1;
            if byte == b',' {
                entries += 1;
                if entries == limits::KEYS {
                    return None;
                }
                if object {
                    at = key(bytes, at)?;
                }
                break;
            }
            if byte != if object { b'}' } else { b']' } {
                return None;
            }
            open >>= 1;
        }
    }
}

/// Behind a key and its colon.
#[inline(always)]
fn key(bytes: &[u8], at: usize) -> Option<usize> {
    byte(bytes, string(bytes, at)?, b':')
}

fn string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = byte(bytes, start, b'"')?;
    loop {
        at += plain_prefix(bytes.get(at..)?);
        match bytes.get(at)? {
            b'"' if at - start <= limits::STRING_CHARS => return Some(at + 1),
            b'\\' if matches!(bytes.get(at + 1)?, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
            _ => return None,
        }
    }
}

fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    at = byte(bytes, at, b'-').unwrap_or(at);
    at = byte(bytes, at, b'0').or_else(|| digits(bytes, at))?;
    if let Some(fraction) = byte(bytes, at, b'.') {
        at = digits(bytes, fraction)?;
    }
    (!matches!(bytes.get(at), Some(b'e' | b'E'))).then_some(at)
}

#[inline(always)]
fn digits(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    (at > from).then_some(at)
}

#[inline(always)]
fn byte(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    (*bytes.get(at)? == byte).then_some(at + 1)
}

fn word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(word).then_some(at + word.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::json::Reader;

    fn end(text: &str) -> Option<usize> {
        super::value(text.as_bytes(), 0)
    }

    #[test]
    fn what_needs_a_closer_look_is_left_to_the_reader() {
        for text in ["{\"a\":[1,-2.5,true,false,null,\"x\\n\\\"ä\",{}],\"b\":[]}", "0", "-0.0", "[[[]],{}]", "\"\""] {
            assert_eq!(end(text), Some(text.len()), "{text}");
        }
        for text in [
            "\"\\u0041\"",
            "1e3",
            "{ }",
            "[1, 2]",
            "\"a\nb\"",
            "\"",
            "",
            "[",
            "[1",
            "[1,",
            "[1}",
            "{\"a\"}",
            "{1:2}",
            "tru",
            "-",
            "1.",
            "[,]",
            "{,}",
        ] {
            assert_eq!(end(text), None, "{text}");
        }
        let list = |entries: usize| format!("[{}]", vec!["1"; entries].join(","));
        assert!(end(&list(1000)).is_some());
        assert!(end(&list(1001)).is_none());
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        assert!(end(&text(1023)).is_some());
        assert!(end(&text(1025)).is_none());
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(end(&deep(30)).is_some());
        assert!(end(&deep(41)).is_none());
    }

    proptest! {
        #[test]
        fn what_it_passes_the_reader_passes_to_the_same_end(text in "[\\[\\]{}:,\"\\\\ 0-9eE.a-fntruls\\-]{0,30}") {
            if let Some(end) = end(&text) {
                let mut reader = Reader::new(&text);
                reader.skip().unwrap();
                prop_assert_eq!(reader.slice(0), &text[..end]);
            }
        }
    }
}
