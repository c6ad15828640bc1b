//! JSON at the level of bytes: a writer that escapes, and a reader that pulls. Both targets; no tree is ever built.
//!
//! The reader never recurses, so that no nesting can overflow the stack, and names what is wrong. What it does for each byte is inlined also where
//! the build is for size: the browser's check takes half the time, and no more room.

use std::borrow::Cow;

use crate::platform;

mod plain;

/// What is wrong with a text that should be JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// What keeps a text from being JSON at all. A browser's engine wrote the texts of a page, so that they do not pay there for the detail.
const fn not_json(detail: &'static str) -> Malformed {
    Malformed(if platform::EXPLAINS_JSON { detail } else { "is not JSON" })
}

pub(crate) type Result<T> = std::result::Result<T, Malformed>;

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
fn plain_prefix(bytes: &[u8]) -> usize {
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

/// Pulls values out of a JSON text, left to right.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// The kind of a value, told by its first byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "a list",
            Self::Object => "an object",
        }
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte that is read next.
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Where the next value starts, white space skipped.
    pub(crate) fn offset(&mut self) -> usize {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.at
    }

    /// The text from there to here.
    pub(crate) fn slice(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// Passes over a value that needs no closer look and breaks no limit on strings, keys or depth; answers whether it did.
    pub(crate) fn skip_plain(&mut self) -> bool {
        let end = plain::value(self.text.as_bytes(), self.at);
        self.at = end.unwrap_or(self.at);
        end.is_some()
    }

    pub(crate) fn kind(&mut self) -> Result<Kind> {
        self.offset();
        match self.peek() {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::String),
            Some(b'[') => Ok(Kind::Array),
            Some(b'{') => Ok(Kind::Object),
            Some(_) => Err(not_json("is not JSON: a value was expected")),
            None => Err(Malformed("is cut off")),
        }
    }

    /// Enters an array or object whose kind is known.
    pub(crate) fn open(&mut self) {
        self.at = self.offset() + 1;
    }

    /// The next key of an object that was opened; `None` at its end. `first` starts as true.
    pub(crate) fn next_key(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>> {
        if !self.next_entry(b'}', first)? {
            return Ok(None);
        }
        if self.kind()? != Kind::String {
            return Err(not_json("is not JSON: a key must be a string"));
        }
        let key = self.string()?;
        self.offset();
        self.expect(b':', "is not JSON: a colon was expected")?;
        Ok(Some(key))
    }

    /// Whether an opened array has a further item. `first` starts as true.
    pub(crate) fn next_item(&mut self, first: &mut bool) -> Result<bool> {
        self.next_entry(b']', first)
    }

    #[inline(always)]
    fn next_entry(&mut self, end: u8, first: &mut bool) -> Result<bool> {
        self.offset();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.expect(b',', "is not JSON: a comma was expected")?;
        }
        Ok(true)
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<()> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(not_json(otherwise)),
            None => Err(Malformed("is cut off")),
        }
    }

    /// A string, unescaped.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>> {
        let raw = self.raw_string()?;
        if has_escape(raw) { Chars(raw).collect::<Result<_>>().map(Cow::Owned) } else { Ok(Cow::Borrowed(raw)) }
    }

    /// A string between its quotes, its escapes not looked at.
    pub(crate) fn raw_string(&mut self) -> Result<&'a str> {
        let bytes = self.text.as_bytes();
        let start = self.offset() + 1;
        let mut at = start;
        loop {
            at += bytes.get(at..).map_or(0, plain_prefix);
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(self.text.get(start..at).unwrap_or_default());
                }
                Some(b'\\') => at += 2,
                Some(_) => return Err(Malformed("holds a string with a raw control character")),
                None => return Err(Malformed("is cut off")),
            }
        }
    }

    /// A whole number that fits; anything else is an error.
    pub(crate) fn integer(&mut self) -> Result<i64> {
        let start = self.offset();
        self.number()?;
        self.slice(start).parse().ok().ok_or(Malformed("holds a number that is not whole or does not fit into 64 bits"))
    }

    fn number(&mut self) -> Result<()> {
        const WRONG: Malformed = not_json("is not JSON: a number is malformed");
        let digits = |reader: &mut Self| {
            let from = reader.at;
            while reader.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                reader.at += 1;
            }
            reader.at - from
        };
        let accept = |reader: &mut Self, set: &[u8]| {
            let found = reader.peek().is_some_and(|byte| set.contains(&byte));
            reader.at += usize::from(found);
            found
        };
        accept(self, b"-");
        if !accept(self, b"0") && digits(self) == 0 {
            return Err(WRONG);
        }
        if accept(self, b".") && digits(self) == 0 {
            return Err(WRONG);
        }
        if accept(self, b"eE") {
            accept(self, b"+-");
            if digits(self) == 0 {
                return Err(WRONG);
            }
        }
        Ok(())
    }

    /// A literal, number or string, checked and passed over.
    pub(crate) fn scalar(&mut self) -> Result<()> {
        match self.kind()? {
            Kind::Number => self.number(),
            Kind::String => Chars(self.raw_string()?).try_for_each(|char| char.map(drop)),
            Kind::Null => self.literal(b"null"),
            Kind::Bool if self.peek() == Some(b't') => self.literal(b"true"),
            Kind::Bool => self.literal(b"false"),
            Kind::Array | Kind::Object => Err(Malformed("holds a list or an object where a plain value belongs")),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<()> {
        let end = self.at + word.len();
        if self.text.as_bytes().get(self.at..end) == Some(word) {
            self.at = end;
            Ok(())
        } else {
            Err(not_json("is not JSON: a word that is none of true, false, null"))
        }
    }

    /// Passes over a value of any kind and depth, checking it.
    pub(crate) fn skip(&mut self) -> Result<()> {
        // What closes each open container, innermost last.
        let mut open: Vec<u8> = Vec::new();
        let mut first = true;
        loop {
            match self.kind()? {
                Kind::Object => {
                    self.open();
                    open.push(b'}');
                    first = true;
                }
                Kind::Array => {
                    self.open();
                    open.push(b']');
                    first = true;
                }
                _ => self.scalar()?,
            }
            loop {
                let more = match open.last() {
                    None => return Ok(()),
                    Some(b'}') => self.next_key(&mut first)?.is_some(),
                    Some(_) => self.next_item(&mut first)?,
                };
                if more {
                    break;
                }
                open.pop();
                first = false;
            }
        }
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.offset() == self.text.len() { Ok(()) } else { Err(not_json("is not JSON: something follows the value")) }
    }
}

/// Whether the text between the quotes of a JSON string needs unescaping.
pub(crate) fn has_escape(raw: &str) -> bool {
    raw.bytes().any(|byte| byte == b'\\')
}

/// The characters of a string, from its text between the quotes.
#[derive(Clone, Debug)]
pub(crate) struct Chars<'a>(pub(crate) &'a str);

impl Iterator for Chars<'_> {
    type Item = Result<char>;

    fn next(&mut self) -> Option<Result<char>> {
        let mut rest = self.0.chars();
        let mut char = rest.next()?;
        self.0 = rest.as_str();
        if char == '\\' {
            char = match self.escape() {
                Ok(char) => char,
                Err(malformed) => {
                    self.0 = "";
                    return Some(Err(malformed));
                }
            };
        }
        Some(Ok(char))
    }
}

impl Chars<'_> {
    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<char> {
        const LONE: Malformed = Malformed("holds an escape of half a character (a lone surrogate)");
        let byte = self.0.bytes().next();
        self.0 = self.0.get(1..).unwrap_or_default();
        Ok(match byte {
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'u') => {
                let mut code = self.hex()?;
                if code & 0xfc00 == 0xd800 {
                    self.0 = self.0.strip_prefix("\\u").ok_or(LONE)?;
                    let low = self.hex()?;
                    if low & 0xfc00 != 0xdc00 {
                        return Err(LONE);
                    }
                    code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
                }
                char::from_u32(code).ok_or(LONE)?
            }
            _ => return Err(not_json("is not JSON: an unknown escape")),
        })
    }

    fn hex(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.0.bytes().next().and_then(|byte| char::from(byte).to_digit(16));
            code = code << 4 | digit.ok_or(not_json("is not JSON: an escape is malformed"))?;
            self.0 = self.0.get(1..).unwrap_or_default();
        }
        Ok(code)
    }
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

    use super::*;

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

        #[test]
        fn any_text_is_read_as_others_read_it_or_refused(text in "[\\[\\]{}:,\"\\\\ 0-9eE+.a-fntruls\\-]{0,30}") {
            let mut reader = Reader::new(&text);
            let ours = reader.skip().and_then(|()| reader.end());
            let others = serde_json::from_str::<Box<serde_json::value::RawValue>>(&text);
            prop_assert_eq!(ours.is_ok(), others.is_ok(), "{} {:?}", text, ours);
        }
    }
}
