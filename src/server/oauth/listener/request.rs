//! Reads the one kind of request that is meant: a browser's GET of the redirect URI, from this machine.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::page::Page;

/// Bytes of a request line. A code and a state together are a few hundred.
const LINE_BYTES: usize = 8 * 1024;
/// Bytes of a request line and all headers: browsers send what cookies other programs have left for `localhost`.
const HEAD_BYTES: usize = 64 * 1024;

/// What a request must be like.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) port: u16,
    pub(super) path: String,
}

impl Rules {
    /// The query of a callback, from a request's head.
    pub(super) fn judge<'a>(&self, head: &'a [u8]) -> Result<&'a str, Page> {
        let head = str::from_utf8(head).map_err(|_| Page::Malformed)?;
        let mut lines = head.split("\r\n");
        let mut line = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version), None) = (line.next(), line.next(), line.next(), line.next()) else {
            return Err(Page::Malformed);
        };
        if !matches!(version, "HTTP/1.1" | "HTTP/1.0") || !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(Page::Malformed);
        }
        let headers = lines.filter_map(|line| line.split_once(':'));
        let mut hosts = headers.filter(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value.trim());
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Page::Malformed) };
        // A page elsewhere whose name was made to lead here (DNS rebinding) keeps its own name.
        if !self.is_own(host) {
            return Err(Page::Host);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path != self.path {
            return Err(Page::Path);
        }
        if method != "GET" {
            return Err(Page::Method);
        }
        Ok(query)
    }

    fn is_own(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port),
            _ => (host, "80"),
        };
        let is_loopback = ["127.0.0.1", "localhost", "[::1]"].iter().any(|own| own.eq_ignore_ascii_case(name));
        is_loopback && port == self.port.to_string()
    }
}

/// Reads up to the empty line. `Ok(None)`: the connection broke, and there is nobody to answer.
pub(super) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Vec<u8>>, Page> {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(read) => read,
        };
        // The empty line may lie across two chunks.
        let seen = head.len().saturating_sub(3);
        head.extend_from_slice(&chunk[..read]);
        if memchr::memchr(b'\n', &head).unwrap_or(head.len()) > LINE_BYTES {
            return Err(Page::LongLine);
        }
        if let Some(end) = memchr::memmem::find(&head[seen..], b"\r\n\r\n") {
            head.truncate(seen + end);
            return Ok(Some(head));
        }
        if head.len() > HEAD_BYTES {
            return Err(Page::LongHead);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
    };

    use tokio::io::ReadBuf;

    use super::*;

    fn judge(head: &str) -> Result<&str, Page> {
        Rules { port: 13222, path: "/callback".to_owned() }.judge(head.as_bytes())
    }

    #[test]
    fn t_a7_only_a_get_of_the_redirect_uri_is_a_callback() {
        let host = "\r\nHost: 127.0.0.1:13222";
        for (line, expected) in [
            ("GET /callback?code=c&state=s HTTP/1.1", Ok("code=c&state=s")),
            ("GET /callback?a?b HTTP/1.0", Ok("a?b")),
            ("GET /callback HTTP/1.1", Ok("")),
            ("POST /callback?code=c HTTP/1.1", Err(Page::Method)),
            ("HEAD /callback HTTP/1.1", Err(Page::Method)),
            ("get /callback HTTP/1.1", Err(Page::Method)),
            ("OPTIONS * HTTP/1.1", Err(Page::Path)),
            ("GET / HTTP/1.1", Err(Page::Path)),
            ("GET /favicon.ico HTTP/1.1", Err(Page::Path)),
            ("GET /callback/ HTTP/1.1", Err(Page::Path)),
            ("GET /Callback HTTP/1.1", Err(Page::Path)),
            ("GET //callback HTTP/1.1", Err(Page::Path)),
            ("GET /callback%3Fcode=c HTTP/1.1", Err(Page::Path)),
            ("GET http://127.0.0.1:13222/callback HTTP/1.1", Err(Page::Path)),
            ("GET /callback#code=c HTTP/1.1", Err(Page::Malformed)),
            ("GET /callback?\u{e9} HTTP/1.1", Err(Page::Malformed)),
            ("GET /callback?\u{7f} HTTP/1.1", Err(Page::Malformed)),
            ("GET  /callback HTTP/1.1", Err(Page::Malformed)),
            ("GET /callback", Err(Page::Malformed)),
            ("GET /callback HTTP/1.1 x", Err(Page::Malformed)),
            ("GET /callback HTTP/2", Err(Page::Malformed)),
            ("\u{16}\u{3}\u{1}", Err(Page::Malformed)),
            ("", Err(Page::Malformed)),
        ] {
            assert_eq!(judge(&format!("{line}{host}")).map(str::to_owned), expected.map(str::to_owned), "{line}");
        }
        assert_eq!(Rules { port: 1, path: "/".into() }.judge(b"GET /\xff HTTP/1.1\r\nHost: localhost:1"), Err(Page::Malformed));
    }

    #[test]
    fn t_a7_the_host_is_this_machine() {
        for (host, expected) in [
            ("Host: 127.0.0.1:13222", Ok("q")),
            ("host:localhost:13222", Ok("q")),
            ("HOST: LocalHost:13222 ", Ok("q")),
            ("Host: [::1]:13222", Ok("q")),
            ("Host: 127.0.0.1", Err(Page::Host)),
            ("Host: [::1]", Err(Page::Host)),
            ("Host: 127.0.0.1:13223", Err(Page::Host)),
            ("Host: 127.0.0.1:013222", Err(Page::Host)),
            ("Host: evil.example:13222", Err(Page::Host)),
            ("Host: localhost.evil.example:13222", Err(Page::Host)),
            ("Host: evil@127.0.0.1:13222", Err(Page::Host)),
            ("Host: 0.0.0.0:13222", Err(Page::Host)),
            ("Host:", Err(Page::Host)),
            ("X: y", Err(Page::Malformed)),
            ("Host: 127.0.0.1:13222\r\nHost: evil.example", Err(Page::Malformed)),
        ] {
            assert_eq!(judge(&format!("GET /callback?q HTTP/1.1\r\nAccept: */*\r\n{host}")), expected, "{host}");
        }
        let default_port = Rules { port: 80, path: "/".to_owned() };
        assert_eq!(default_port.judge(b"GET /?q HTTP/1.1\r\nHost: [::1]"), Ok("q"));
    }

    fn read(bytes: &[u8]) -> Result<Option<Vec<u8>>, Page> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // One byte at a time, so that every boundary lies between two reads.
        let mut slow = Slow(bytes);
        let whole = runtime.block_on(read_head(&mut &bytes[..]));
        if bytes.len() < 20_000 {
            assert_eq!(runtime.block_on(read_head(&mut slow)), whole);
        }
        whole
    }

    /// A reader that gives a byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl AsyncRead for Slow<'_> {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if let Some((first, rest)) = self.0.split_first() {
                buffer.put_slice(&[*first]);
                self.0 = rest;
            }
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_head_ends_with_an_empty_line_and_has_its_limits() {
        assert_eq!(read(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nbody").unwrap().unwrap(), b"GET / HTTP/1.1\r\nHost: x");
        assert_eq!(read(b"GET / HTTP/1.1\r\nHost: x\r\n"), Ok(None));
        assert_eq!(read(b""), Ok(None));
        let line = |len: usize| [&vec![b'a'; len][..], b"\r\n\r\n"].concat();
        assert!(matches!(read(&line(LINE_BYTES - 1)), Ok(Some(_))));
        assert_eq!(read(&line(LINE_BYTES)), Err(Page::LongLine));
        assert_eq!(read(&vec![b'a'; 1 << 20]), Err(Page::LongLine));
        let many = [&b"GET / HTTP/1.1\r\n"[..], &b"a: b\r\n".repeat(1 << 20)].concat();
        assert_eq!(read(&many), Err(Page::LongHead));
    }
}
