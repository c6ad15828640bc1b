//! Writes JSON: strings with what they need escaped, and whole numbers. Both targets.

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    if is_plain(text) {
        out.push_str(text);
    } else {
        push_escaped(out, text);
    }
    out.push('"');
}

fn push_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    // What needs an escape is one byte of ASCII.
    while let Some((head, tail)) = rest.split_at_checked(plain_prefix(rest.as_bytes())) {
        out.push_str(head);
        let Some(&byte) = tail.as_bytes().first() else { return };
        push_escape(out, byte);
        rest = tail.get(1..).unwrap_or_default();
    }
}

/// Whether a text stands in JSON as it is. Most do, and most are short: whole words, the last of them over the one before it.
pub(crate) fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some(last) = bytes.last_chunk::<8>() else {
        return match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(&[a, b, c, d]), Some(&[e, f, g, h])) => is_plain_word([a, b, c, d, e, f, g, h]),
            _ => bytes.iter().all(|&byte| !ENDS_PLAIN[usize::from(byte)]),
        };
    };
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().chain([last]).all(|word| is_plain_word(*word))
}

/// How many bytes from the start need no escape: eight at a time where there are eight.
pub(super) fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let ends = ends_in_word(*word);
        if ends != 0 {
            // The first of them is one; those above it may be there for its borrow.
            return at + ends.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + rest.iter().take_while(|&&byte| !ENDS_PLAIN[usize::from(byte)]).count()
}

fn is_plain_word(bytes: [u8; 8]) -> bool {
    ends_in_word(bytes) == 0
}

/// A byte is subtracted from below zero, which sets its high bit, where it is a quote, a backslash or a control character. One that has its
/// high bit from the start is part of a character beyond ASCII, and plain. The first byte is the lowest.
#[inline(always)]
fn ends_in_word(bytes: [u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(bytes);
    let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    let control = word.wrapping_sub(ONES * 0x20);
    (quote | backslash | control) & !word & HIGHS
}

/// The bytes that cannot stand in a string as they are.
const ENDS_PLAIN: [bool; 256] = {
    let mut ends = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        ends[control] = true;
        control += 1;
    }
    ends[b'"' as usize] = true;
    ends[b'\\' as usize] = true;
    ends
};

fn push_escape(out: &mut String, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.push_str("\\u00");
            for digit in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(u32::from(digit), 16));
            }
            return;
        }
    };
    out.push('\\');
    out.push(char::from(short));
}

/// A whole number's digits.
pub(crate) fn decimal(value: u64) -> String {
    let mut text = String::new();
    push_unsigned(&mut text, value);
    text
}

/// Appends a whole number.
pub(crate) fn push_integer(out: &mut String, value: i64) {
    if value < 0 {
        out.push('-');
    }
    push_unsigned(out, value.unsigned_abs());
}

/// Appends a whole number that is not negative.
pub(crate) fn push_unsigned(out: &mut String, value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        // One digit always fits.
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|&digit| char::from(digit)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Reader, *};

    proptest! {
        /// Lengths about the width of a word, and what needs an escape at every place of it.
        #[test]
        fn strings_are_written_as_others_read_them(text in "[ -~äß€😀\"\\\\\n\u{1}\u{1f}\u{7f}]{0,40}") {
            let mut written = String::new();
            push_string(&mut written, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text.as_str());
            let plain = !text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            prop_assert_eq!(is_plain(&text), plain);
            prop_assert_eq!(plain, written.len() == text.len() + 2);
            let mut reader = Reader::new(&written);
            prop_assert_eq!(reader.string().unwrap(), text.as_str());
            prop_assert!(reader.end().is_ok());
        }
    }
}
