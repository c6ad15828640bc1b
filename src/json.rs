//! JSON at the level of bytes: a reader that pulls, and a writer beside it. Both targets; no tree is ever built.
//!
//! The reader never recurses, so that no nesting can overflow the stack, and names what is wrong. What it does for each byte is inlined also where
//! the build is for size: the browser's check takes half the time, and no more room.

use std::borrow::Cow;

use crate::platform;

mod plain;
mod writer;

use writer::plain_prefix;
pub(crate) use writer::{decimal, is_plain, push_integer, push_string, push_unsigned};

/// What is wrong with a text that should be JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// What keeps a text from being JSON at all. A browser's engine wrote the texts of a page, so that they do not pay there for the detail.
const fn not_json(detail: &'static str) -> Malformed {
    Malformed(if platform::EXPLAINS_JSON { detail } else { "is not JSON" })
}

pub(crate) type Result<T> = std::result::Result<T, Malformed>;

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_as_others_read_it_or_refused(text in "[\\[\\]{}:,\"\\\\ 0-9eE+.a-fntruls\\-]{0,30}") {
            let mut reader = Reader::new(&text);
            let ours = reader.skip().and_then(|()| reader.end());
            let others = serde_json::from_str::<Box<serde_json::value::RawValue>>(&text);
            prop_assert_eq!(ours.is_ok(), others.is_ok(), "{} {:?}", text, ours);
        }
    }
}
