//! The pages that people see. No script, no foreign content, and nothing of a request that is not escaped.

use std::{fmt::Write as _, sync::LazyLock};

use axum::http::header;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest;

use crate::emulator::answer::{Answer, Body};

const STYLE: &str = include_str!("page.css");

/// The style sheet as a content security policy names it.
static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()))));

/// A question with scopes to choose from.
pub(super) struct Form<'a> {
    pub(super) action: &'a str,
    /// Where the answer's redirect leads, as a source of a content security policy: browsers hold redirects of forms to it.
    pub(super) may_lead_to: Option<&'a str>,
    pub(super) title: &'a str,
    pub(super) app: &'a str,
    pub(super) login_id: &'a str,
    pub(super) notes: &'a [&'a str],
    pub(super) hidden: &'a [(&'a str, &'a str)],
    /// Names with what they mean.
    pub(super) scopes: &'a [(&'a str, &'a str)],
    /// Keys and numbers of the projects to choose from.
    pub(super) projects: &'a [(String, u64)],
}

pub(super) fn consent(form: &Form<'_>) -> Answer {
    let mut body = String::new();
    let code = form.hidden.iter().find(|(name, _)| *name == "user_code").map(|(_, code)| *code);
    let asks = match code {
        Some(code) => {
            format!("<p class=lead>{}</p><p class=code>{}</p><p class=lead>wants to:</p>", escaped(form.app), escaped(code))
        }
        None => format!("<p class=lead><b>{}</b> wants to:</p>", escaped(form.app)),
    };
    let _ = write!(body, "<h1>{}</h1><p class=who>Signed in as <b>{}</b></p>{asks}", escaped(form.title), escaped(form.login_id));
    let _ = write!(body, r#"<form method=post action="{}"><ul>"#, escaped(form.action));
    for (name, value) in form.hidden {
        let _ = write!(body, r#"<input type=hidden name="{}" value="{}">"#, escaped(name), escaped(value));
    }
    for (name, meaning) in form.scopes {
        let (name, meaning) = (escaped(name), escaped(meaning));
        let _ = write!(
            body,
            r#"<li><label><input type=checkbox name=scope value="{name}" checked><span>{meaning}<code>{name}</code></span></label></li>"#
        );
    }
    body.push_str("</ul><p class=hint>Uncheck what you do not want to allow.</p>");
    if !form.projects.is_empty() {
        body.push_str("<label class=field>Project<select name=project>");
        for (key, number) in form.projects {
            let start: String = key.chars().take(8).collect();
            let _ = write!(body, r#"<option value="{}">Project {number}, key {}…</option>"#, escaped(key), escaped(&start));
        }
        body.push_str("</select></label>");
    }
    for note in form.notes {
        let _ = write!(body, "<p class=hint>{}</p>", escaped(note));
    }
    body.push_str("<div class=buttons><button name=decision value=deny class=quiet>Deny</button>");
    body.push_str("<button name=decision value=allow>Allow</button></div></form>");
    page(200, form.title, &body, &format!("'self' {}", form.may_lead_to.unwrap_or_default()))
}

/// Asks for the code that a device shows.
pub(super) fn enter_code(action: &str, is_unknown: bool) -> Answer {
    let wrong = if is_unknown {
        "<p class=wrong role=alert>No device waits with this code. Codes are good for a few minutes.</p>"
    } else {
        ""
    };
    let body = format!(
        r#"<h1>Connect a device</h1>{wrong}<form method=get action="{}"><label class=field>The code that it shows
<input name=user_code required maxlength=20 autocomplete=off autocapitalize=characters spellcheck=false placeholder="XXXX-XXXX" class=code></label>
<div class=buttons><button>Go on</button></div></form>"#,
        escaped(action)
    );
    page(if is_unknown { 404 } else { 200 }, "Connect a device", &body, "'self'")
}

/// Tells something, and offers nothing.
pub(super) fn message(status: u16, title: &str, text: &str) -> Answer {
    page(status, title, &format!("<h1>{}</h1><p class=lead>{}</p>", escaped(title), escaped(text)), "'none'")
}

pub(super) fn broken() -> Answer {
    message(400, "This answer cannot be read", "Start again from the application.")
}

fn page(status: u16, title: &str, body: &str, form_action: &str) -> Answer {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <title>{} · Amplitude emulator</title><link rel=icon href=\"data:,\"><style>{STYLE}</style>\
         <header>Amplitude emulator</header><main>{body}</main>\
         <footer>This is a local emulator for tests: no account of yours is behind it.</footer></html>",
        escaped(title)
    );
    let policy = format!(
        "default-src 'none'; style-src {}; img-src data:; form-action {}; frame-ancestors 'none'; base-uri 'none'",
        *STYLE_HASH,
        form_action.trim_end()
    );
    Answer::new(status, Body::Html(html.into()))
        .unstored()
        .with(header::CONTENT_SECURITY_POLICY, &policy)
        .with(header::X_FRAME_OPTIONS, "DENY")
        .with(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        // With less than this, browsers would not say where a form comes from.
        .with(header::REFERRER_POLICY, "same-origin")
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(it),
        }
    }
    safe
}
