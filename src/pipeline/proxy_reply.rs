//! What an own proxy answers in place of Amplitude, for [`crate::Config::proxy_reply`]. Both targets.

use super::Reply;
use crate::{
    Error, Result,
    event::{PropertyValue, ValueWriter},
    json::{Kind, Reader},
};

/// How a proxy of yours answers once it has the events for good, e.g. because it queues them itself.
///
/// Without one, only Amplitude's own answer counts: a status 2xx alone may come from a login page, and an event that was taken for delivered
/// would be gone. So say as precisely as you can what your proxy answers.
///
/// ```
/// use amplitude_sdk::{Config, ProjectKey, ProxyReply};
///
/// let config = Config::new(ProjectKey::new("00000000000000000000000000000000")?)
///     .server_url("https://example.com/collect")
///     .proxy_reply(ProxyReply::json_field("ok", true)?.status(202));
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProxyReply {
    status: Option<u16>,
    /// A field of a JSON object, or empty.
    name: String,
    /// The JSON of its value, or the whole text.
    value: String,
    /// Which of the two. A pointer, so that a build that makes none of these does not hold what compares them.
    says: fn(body: &str, name: &str, value: &str) -> bool,
}

impl ProxyReply {
    /// A JSON object that holds at least this field with this value: a text, an integer or a boolean.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for another value.
    pub fn json_field(name: &str, value: impl PropertyValue) -> Result<Self> {
        let mut json = String::new();
        value.write(&mut ValueWriter::new(&mut json));
        let mut reader = Reader::new(&json);
        let is_known = match reader.kind() {
            Ok(Kind::String) => reader.string().is_ok(),
            Ok(Kind::Number) => reader.integer().is_ok(),
            Ok(kind) => kind == Kind::Bool && reader.scalar().is_ok(),
            Err(_) => false,
        };
        if !is_known || reader.end().is_err() {
            return Err(Error::invalid(&["proxy_reply: the value of a field must be a text, an integer or a boolean"]));
        }
        Ok(Self {
            status: None,
            name: name.to_owned(),
            value: json,
            says: |body, name, value| field_is(body, name, value).unwrap_or(false),
        })
    }

    /// Exactly this text, but for white space around it; empty for no body at all.
    #[must_use]
    pub fn text(body: &str) -> Self {
        Self { status: None, name: String::new(), value: body.trim().to_owned(), says: |body, _, text| body.trim() == text }
    }

    /// Only with this status, 200 to 299; [`crate::Client::new`] refuses another. Default: any of these.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.status.is_some_and(|status| !(200..=299).contains(&status)) {
            return Err(Error::invalid(&["proxy_reply: the status must be 200 to 299"]));
        }
        Ok(())
    }

    /// Whether that is the answer.
    pub(super) fn is(&self, reply: &Reply) -> bool {
        self.status.is_none_or(|status| status == reply.status) && (self.says)(&reply.body, &self.name, &self.value)
    }
}

/// Whether a text is a JSON object with that field; the last one counts.
fn field_is(text: &str, name: &str, value: &str) -> Option<bool> {
    let mut reader = Reader::new(text);
    if reader.kind().ok()? != Kind::Object {
        return None;
    }
    reader.open();
    let (mut first, mut found) = (true, false);
    while let Some(key) = reader.next_key(&mut first).ok()? {
        let from = reader.offset();
        reader.skip().ok()?;
        if key == name {
            found = same(reader.slice(from), value);
        }
    }
    reader.end().ok()?;
    Some(found)
}

/// Whether two values are the same, however their texts are escaped.
fn same(one: &str, other: &str) -> bool {
    let text = |json| Reader::new(json).string().ok();
    one == other || text(one).is_some_and(|one| Some(one) == text(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, retry_after: None, body: body.to_owned() }
    }

    #[test]
    fn only_the_declared_answer_counts() {
        let ok = ProxyReply::json_field("ok", true).unwrap();
        for body in [
            r#"{"ok":true}"#,
            r#" { "id" : [1,{"ok":false}], "ok" : true } "#,
            r#"{"ok":false,"ok":true}"#,
            r#"{"\u006fk":true}"#,
        ] {
            assert!(ok.is(&reply(200, body)), "{body}");
        }
        for body in [
            "",
            "ok",
            "true",
            "[]",
            r#"{"ok":"true"}"#,
            r#"{"ok":false}"#,
            r#"{"ok":true"#,
            r#"{"ok":true}x"#,
            r#"{"x":{"ok":true}}"#,
        ] {
            assert!(!ok.is(&reply(200, body)), "{body}");
        }
        let text = ProxyReply::json_field("status", "ängenommen").unwrap().status(202);
        assert!(text.is(&reply(202, r#"{"status":"\u00e4ngenommen"}"#)));
        assert!(!text.is(&reply(200, r#"{"status":"ängenommen"}"#)));
        assert!(ProxyReply::text("").status(204).is(&reply(204, "\n")));
        assert!(!ProxyReply::text("").is(&reply(200, "<html>")));
        assert!(ProxyReply::json_field("n", 7).unwrap().is(&reply(200, r#"{"n":7}"#)));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for refused in
            [ProxyReply::json_field("a", vec![1]), ProxyReply::json_field("a", 1.5), ProxyReply::json_field("a", None::<bool>)]
        {
            assert!(refused.is_err_and(|error| error.to_string().contains("a text, an integer or a boolean")));
        }
        assert!(ProxyReply::text("").status(302).check().is_err_and(|error| error.to_string().contains("200 to 299")));
    }
}
