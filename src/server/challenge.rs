//! `WWW-Authenticate` (RFC 9110 §11.6.1), read by parameter: Amplitude's own puts them in an order of its own.

/// The parameters of a header's `Bearer` challenge.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Challenge(Vec<(String, String)>);

impl Challenge {
    /// `None` where the header holds no `Bearer` challenge, or cannot be read.
    pub(crate) fn bearer(header: &str) -> Option<Self> {
        let mut rest = header.trim_start_matches([' ', '\t', ',']);
        let mut found: Option<Self> = None;
        while !rest.is_empty() {
            let (name, after) = token(rest)?;
            // A parameter has `=` behind its name, a scheme has not; spaces may stand before it.
            match after.trim_start_matches([' ', '\t']).strip_prefix('=') {
                Some(value) if after.starts_with(['=', ' ', '\t']) => {
                    let (value, after) = value_of(value.trim_start_matches([' ', '\t']))?;
                    if let Some(Self(parameters)) = &mut found {
                        let is_new = !parameters.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
                        // The same one twice means nothing that can be relied on.
                        is_new.then(|| parameters.push((name.to_ascii_lowercase(), value)))?;
                    }
                    rest = after;
                }
                _ if found.is_some() => break,
                _ => {
                    found = name.eq_ignore_ascii_case("bearer").then(Self::default);
                    // What credentials another scheme has in place of parameters is skipped.
                    rest = after.trim_start_matches([' ', '\t']);
                    if found.is_none() {
                        rest = skip_token68(rest);
                    }
                }
            }
            rest = rest.trim_start_matches([' ', '\t', ',']);
        }
        found
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A token, or a quoted string without its quotes and escapes.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(value, rest)| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

/// `abc==` of `Negotiate abc==`; a parameter stays.
fn skip_token68(text: &str) -> &str {
    let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let is_token68 = !word.trim_end_matches('=').contains(['=', '"']) && (word.ends_with('=') || !word.contains('='));
    if is_token68 && !rest.trim_start_matches([' ', '\t']).starts_with('=') { rest } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(header: &str, name: &str) -> Option<String> {
        Challenge::bearer(header)?.parameter(name).map(str::to_owned)
    }

    #[test]
    fn t_a10_the_challenge_is_read_by_parameter() {
        let amplitude = r#"Bearer realm="OAuth", resource_metadata="https://mcp.amplitude.com/.well-known/oauth-protected-resource", error="invalid_request", error_description="Missing authorization header""#;
        let metadata = Some("https://mcp.amplitude.com/.well-known/oauth-protected-resource".to_owned());
        assert_eq!(find(amplitude, "resource_metadata"), metadata);
        assert_eq!(find(amplitude, "error_description").as_deref(), Some("Missing authorization header"));
        for (header, expected) in [
            (r#"bearer Scope="a b""#, Some("a b")),
            (r#"Basic realm="scope=\"no\"", Bearer scope="a""#, Some("a")),
            (r#"Negotiate abc==, Bearer scope = a"#, Some("a")),
            (r#"Negotiate, Bearer realm=x,scope=a, Basic scope="of another""#, Some("a")),
            (r#"Bearer scope="quoted \"x\" \\ y""#, Some(r#"quoted "x" \ y"#)),
            (r#"Digest scope="of another", Bearer"#, None),
            (r#"Bearer scope="one", scope="two""#, None),
            (r#"Bearer scope="open"#, None),
            (r#"Bearer realm="scope=\"hidden\"""#, None),
            ("Basic realm=x", None),
            ("", None),
            (", ,", None),
            ("\u{e9}", None),
        ] {
            assert_eq!(find(header, "scope").as_deref(), expected, "{header}");
        }
    }
}
