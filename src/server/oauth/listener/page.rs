//! What the listener answers: fixed pages, which hold nothing of the request.

/// One of the answers there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Page {
    /// The answer that was waited for.
    Done,
    /// The same, and it says no.
    Refused,
    /// To the right address, but not the answer to this sign-in.
    Foreign,
    /// No HTTP request.
    Malformed,
    /// Sent under a name that is not this machine's own.
    Host,
    /// Another path.
    Path,
    /// Another method than GET.
    Method,
    /// The request line is longer than any callback.
    LongLine,
    /// All headers together are longer than a browser's.
    LongHead,
}

/// The style stands in the page, so that nothing is fetched; its hash is all that the policy allows.
const STYLE: &str = include_str!("page.css");
const STYLE_HASH: &str = "sha256-GDASr6RW7ZHC/drbALg5wv4iDPRzM8H1tZCeS5hMvNU=";
const TICK: &str = "M15 24.5l6.5 6.5 12-13";
const CROSS: &str = "M17 17l14 14M31 17l-14 14";
const DASH: &str = "M15 24h18";

impl Page {
    /// The whole HTTP answer.
    pub(super) fn response(self) -> String {
        let (status, title, text) = self.words();
        let (tone, mark) = match self {
            Self::Done => ("good", TICK),
            Self::Refused | Self::Foreign => ("bad", CROSS),
            _ => ("soft", DASH),
        };
        let body = include_str!("page.html")
            .replace("{title}", title)
            .replace("{text}", text)
            .replace("{tone}", tone)
            .replace("{mark}", mark)
            .replace("{style}", STYLE);
        let allow = if self == Self::Method { "Allow: GET\r\n" } else { "" };
        format!(
            "HTTP/1.1 {status}\r\n{allow}Content-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'\r\n\r\n{body}",
            body.len(),
        )
    }

    /// Status, title and text.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        let nothing = "This address only takes the answer to a sign-in that a program on this computer waits for.";
        match self {
            Self::Done => (
                "200 OK",
                "You can close this page",
                "Your answer has reached the program that asked for it. Go back to it: it goes on by itself.",
            ),
            Self::Refused => (
                "200 OK",
                "Access was not granted",
                "The program that asked for it has been told, and says what can be done. You can close this page.",
            ),
            Self::Foreign => (
                "400 Bad Request",
                "This is not the expected answer",
                "It may belong to an earlier attempt. The program still waits for the right one: sign in with the address that it shows.",
            ),
            Self::Malformed => ("400 Bad Request", "This cannot be read", nothing),
            Self::Host => ("403 Forbidden", "Not under this name", nothing),
            Self::Path => ("404 Not Found", "Nothing is here", nothing),
            Self::Method => ("405 Method Not Allowed", "Not in this way", nothing),
            Self::LongLine => ("414 URI Too Long", "This is too long", nothing),
            Self::LongHead => ("431 Request Header Fields Too Large", "This is too long", nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    const ALL: [Page; 9] = [
        Page::Done,
        Page::Refused,
        Page::Foreign,
        Page::Malformed,
        Page::Host,
        Page::Path,
        Page::Method,
        Page::LongLine,
        Page::LongHead,
    ];

    #[test]
    fn the_policy_names_the_style_that_is_in_the_page() {
        let digest = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
        assert_eq!(STYLE_HASH, format!("sha256-{}", STANDARD.encode(digest)));
    }

    /// Nothing is loaded from elsewhere, no script runs, and no page is kept or told to the next one.
    #[test]
    fn t_r11_a_page_fetches_nothing_and_is_kept_nowhere() {
        for page in ALL {
            let response = page.response();
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            for header in [
                "Connection: close",
                "Cache-Control: no-store",
                "Referrer-Policy: no-referrer",
                "X-Content-Type-Options: nosniff",
                "Content-Type: text/html; charset=utf-8",
                &format!("Content-Length: {}", body.len()),
            ] {
                assert!(head.lines().any(|line| line == header), "{page:?}: no {header:?} in {head}");
            }
            let policy = head.lines().find_map(|line| line.strip_prefix("Content-Security-Policy: ")).unwrap();
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
            assert!(!head.contains("Location") && !head.contains("Set-Cookie"), "{head}");
            for fetched in
                ["<script", "<link", "<img", "<iframe", "<form", "href", "src=", "url(", "@import", "http:", "https:", " style="]
            {
                assert!(!body.contains(fetched), "{page:?} holds {fetched:?}");
            }
            for filled in ["{title}", "{text}", "{tone}", "{mark}", "{style}"] {
                assert!(!body.contains(filled) && include_str!("page.html").contains(filled), "{page:?} holds {filled}");
            }
        }
    }
}
