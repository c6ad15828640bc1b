//! JSON at the level of bytes: a writer that escapes, and a reader that pulls. Both targets; no tree is ever built.
//!
//! The reader never recurses, so that no nesting can overflow the stack, and names what is wrong.

use std::{borrow::Cow, ops::Range};

/// What is wrong with a text that should be JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed(pub(crate) &'static str);

pub(crate) type Result<T> = std::result::Result<T, Malformed>;

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut from = 0;
    while let Some(plain) = bytes.get(from..).map(plain_prefix) {
        let until = from + plain;
        out.extend_from_slice(&bytes[from..until]);
        let Some(&byte) = bytes.get(until) else { break };
        push_escape(out, byte);
        from = until + 1;
    }
    out.push(b'"');
}

/// `text` as a JSON string, quotes included.
pub(crate) fn text(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    push_string(&mut out, text);
    // What `push_string` writes is UTF-8 where its input is.
    String::from_utf8(out).unwrap_or_default()
}

/// Whether a text stands in JSON as it is.
pub(crate) fn is_plain(text: &str) -> bool {
    plain_prefix(text.as_bytes()) == text.len()
}

/// How many bytes from the start need no escape: eight at a time where there are eight.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..at + 8).and_then(|chunk| <[u8; 8]>::try_from(chunk).ok()) {
        let word = u64::from_le_bytes(chunk);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let zero = |x: u64| x.wrapping_sub(ONES) & !x;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        if (zero(quote) | zero(backslash) | control) & HIGHS != 0 {
            break;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count()
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.push(b'\\');
    out.push(short);
}

/// Pulls values out of a JSON text, left to right.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
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
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the next value starts, white space skipped.
    pub(crate) fn offset(&mut self) -> usize {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.at
    }

    /// The text from there to here.
    pub(crate) fn slice(&self, from: usize) -> &'a [u8] {
        self.bytes.get(from..self.at).unwrap_or_default()
    }

    pub(crate) fn kind(&mut self) -> Result<Kind> {
        let at = self.offset();
        match self.bytes.get(at) {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::String),
            Some(b'[') => Ok(Kind::Array),
            Some(b'{') => Ok(Kind::Object),
            Some(_) => Err(Malformed("is not JSON: a value was expected")),
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
            return Err(Malformed("is not JSON: a key must be a string"));
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

    fn next_entry(&mut self, end: u8, first: &mut bool) -> Result<bool> {
        let at = self.offset();
        if self.bytes.get(at) == Some(&end) {
            self.at += 1;
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.expect(b',', "is not JSON: a comma was expected")?;
        }
        Ok(true)
    }

    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<()> {
        match self.bytes.get(self.at) {
            Some(&found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(Malformed(otherwise)),
            None => Err(Malformed("is cut off")),
        }
    }

    /// A string, unescaped.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>> {
        let (range, escaped) = self.string_range()?;
        let text = self
            .bytes
            .get(range)
            .and_then(|bytes| str::from_utf8(bytes).ok())
            .ok_or(Malformed("holds a string that is not UTF-8"))?;
        if escaped { unescape(text).map(Cow::Owned) } else { Ok(Cow::Borrowed(text)) }
    }

    /// The bytes between the quotes, and whether any is escaped.
    fn string_range(&mut self) -> Result<(Range<usize>, bool)> {
        let start = self.offset() + 1;
        let mut escaped = false;
        let mut at = start;
        loop {
            at += self.bytes.get(at..).map_or(0, plain_prefix);
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok((start..at, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(_) => return Err(Malformed("holds a string with a raw control character")),
                None => return Err(Malformed("is cut off")),
            }
        }
    }

    /// A whole number that fits; anything else is an error.
    pub(crate) fn integer(&mut self) -> Result<i64> {
        let start = self.offset();
        self.number()?;
        self.bytes
            .get(start..self.at)
            .and_then(|digits| str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse().ok())
            .ok_or(Malformed("holds a number that is not whole or does not fit into 64 bits"))
    }

    fn number(&mut self) -> Result<()> {
        const WRONG: Malformed = Malformed("is not JSON: a number is malformed");
        let digits = |reader: &mut Self| {
            let from = reader.at;
            while reader.bytes.get(reader.at).is_some_and(u8::is_ascii_digit) {
                reader.at += 1;
            }
            reader.at - from
        };
        let accept = |reader: &mut Self, set: &[u8]| {
            let found = reader.bytes.get(reader.at).is_some_and(|byte| set.contains(byte));
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
            Kind::String => self.string().map(drop),
            Kind::Null => self.literal(b"null"),
            Kind::Bool if self.bytes.get(self.at) == Some(&b't') => self.literal(b"true"),
            Kind::Bool => self.literal(b"false"),
            Kind::Array | Kind::Object => Err(Malformed("holds a list or an object where a plain value belongs")),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<()> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) == Some(word) {
            self.at = end;
            Ok(())
        } else {
            Err(Malformed("is not JSON: a word that is none of true, false, null"))
        }
    }

    /// Passes over a value of any kind and depth, checking it.
    pub(crate) fn skip(&mut self) -> Result<()> {
        // The open containers, innermost last, one bit of information each.
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
        if self.offset() == self.bytes.len() { Ok(()) } else { Err(Malformed("is not JSON: something follows the value")) }
    }
}

fn unescape(text: &str) -> Result<String> {
    const LONE: Malformed = Malformed("holds an escape of half a character (a lone surrogate)");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut after = escape.chars();
        let (char, used) = match after.next() {
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some('t') => ('\t', 1),
            Some('b') => ('\u{8}', 1),
            Some('f') => ('\u{c}', 1),
            Some(char @ ('"' | '\\' | '/')) => (char, 1),
            Some('u') => {
                let high = hex(escape.get(1..5))?;
                if (0xd800..0xdc00).contains(&high) {
                    if escape.get(5..7) != Some("\\u") {
                        return Err(LONE);
                    }
                    let low = hex(escape.get(7..11))?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(LONE);
                    }
                    (char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or(LONE)?, 11)
                } else {
                    (char::from_u32(high).ok_or(LONE)?, 5)
                }
            }
            _ => return Err(Malformed("is not JSON: an unknown escape")),
        };
        out.push(char);
        rest = escape.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

fn hex(digits: Option<&str>) -> Result<u32> {
    digits
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or(Malformed("is not JSON: an escape is malformed"))
}

/// A whole number's digits.
pub(crate) fn decimal(value: u64) -> String {
    let mut digits = Vec::with_capacity(20);
    push_unsigned(&mut digits, value);
    String::from_utf8(digits).unwrap_or_default()
}

/// Appends a whole number.
pub(crate) fn push_integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_unsigned(out, value.unsigned_abs());
}

/// Appends a whole number.
pub(crate) fn push_unsigned(out: &mut Vec<u8>, value: u64) {
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
    out.extend_from_slice(&digits[at..]);
}
