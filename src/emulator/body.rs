//! Bodies as they come: read within bounds, without their compression, and forms of either kind.

use std::{collections::HashMap, future::poll_fn, io::Read as _, pin::Pin};

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest as _, Multipart, Request},
    http::{HeaderMap, header, request::Parts},
};

use super::answer::Answer;

pub(super) type Form = HashMap<String, String>;

/// What is above a limit is read so far and thrown away, because who still writes does not see an answer.
const READ_BYTES: usize = 100_000_000;

/// Reads a body. One of more than `max` bytes, or that ends early, is answered.
pub(super) async fn read(mut body: Body, max: usize) -> Result<Vec<u8>, Answer> {
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(frame) = frame else { return Err(Answer::refusal("Invalid JSON request body: it ends early")) };
        let Ok(bytes) = frame.into_data() else { continue };
        length += bytes.len();
        if length <= max {
            kept.extend_from_slice(&bytes);
        } else if length > READ_BYTES {
            break;
        } else {
            kept = Vec::new();
        }
    }
    if length > max { Err(Answer::too_large()) } else { Ok(kept) }
}

/// A body without its compression, read no further than its limit needs.
pub(super) fn plain(headers: &HeaderMap, body: Vec<u8>, max: usize) -> Result<Vec<u8>, Answer> {
    let encoding = text(headers, header::CONTENT_ENCODING).to_ascii_lowercase();
    match encoding.as_str() {
        "" | "identity" => Ok(body),
        "gzip" => {
            let mut plain = Vec::new();
            // One byte more than fits tells that it does not fit.
            match flate2::read::MultiGzDecoder::new(&*body).take(max as u64 + 1).read_to_end(&mut plain) {
                Ok(_) if plain.len() > max => Err(Answer::too_large()),
                Ok(_) => Ok(plain),
                Err(_) => Err(Answer::refusal("Invalid JSON request body: it is no gzip, which Content-Encoding says it is")),
            }
        }
        _ => Err(Answer::refusal("Invalid JSON request body: Content-Encoding must be gzip, where there is one")),
    }
}

/// `type/subtype` of Content-Type, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let kind = text(headers, header::CONTENT_TYPE);
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The fields of a form of either kind; a text that says what is wrong with it.
pub(super) async fn form(parts: Parts, body: Vec<u8>) -> Result<Form, &'static str> {
    match media_type(&parts.headers).as_str() {
        "application/x-www-form-urlencoded" => urlencoded(&body),
        "multipart/form-data" => multipart(Request::from_parts(parts, Body::from(body))).await,
        _ => Err("the Content-Type must be application/x-www-form-urlencoded or multipart/form-data"),
    }
}

async fn multipart(request: Request) -> Result<Form, &'static str> {
    const BROKEN: &str = "the multipart form is broken";
    let mut fields = Form::new();
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| BROKEN)?;
    while let Some(field) = form.next_field().await.map_err(|_| BROKEN)? {
        let name = field.name().unwrap_or_default().to_owned();
        let value = String::from_utf8(field.bytes().await.map_err(|_| BROKEN)?.into()).map_err(|_| NOT_UTF8)?;
        fields.insert(name, value);
    }
    Ok(fields)
}

const NOT_UTF8: &str = "the form is not UTF-8";

/// Reads `name=value&name=value`; what is not UTF-8 is refused, because to replace it would change it in silence.
pub(super) fn urlencoded(text: &[u8]) -> Result<Form, &'static str> {
    Ok(pairs(text)?.into_iter().collect())
}

/// The same, in order and with all that come twice.
pub(super) fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
    let decode = |text: &[u8]| String::from_utf8(unescaped(text)).map_err(|_| NOT_UTF8);
    let pair = |pair: &[u8]| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        Ok((decode(halves.next().unwrap_or_default())?, decode(halves.next().unwrap_or_default())?))
    };
    text.split(|byte| *byte == b'&').filter(|text| !text.is_empty()).map(pair).collect()
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        plain.push(match (byte, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                // A stray percent sign stands for itself.
                _ => b'%',
            },
            _ => *byte,
        });
    }
    plain
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let form =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (String::from(*name), String::from(*value))).collect();
        let expected: [(&[u8], Form); 4] = [
            (b"", form(&[])),
            (b"a=1&b=x+y%20z&&c", form(&[("a", "1"), ("b", "x y z"), ("c", "")])),
            (b"a=%C3%A4&a=%c3%b6", form(&[("a", "\u{f6}")])),
            (b"a=100%&b=%4&c=%zz", form(&[("a", "100%"), ("b", "%4"), ("c", "%zz")])),
        ];
        for (text, form) in expected {
            assert_eq!(urlencoded(text), Ok(form), "{}", String::from_utf8_lossy(text));
        }
        for bad in [&b"a=%ff"[..], b"\xff=1"] {
            assert_eq!(urlencoded(bad), Err(NOT_UTF8));
        }
    }
}
