//! Answers of every kind: statuses, web pages, silence, connections that break, and executors of every kind.

use std::{
    future::Future,
    net::TcpListener,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake},
    thread,
    time::Duration,
};

use amplitude_sdk::{
    Error, ErrorKind,
    server::{Client, Export, ExportRange, ExportedEvents, Options, ProjectPair},
};
use futures_core::Stream;
use zip::CompressionMethod;

use super::{After, DEMO_KEY, DEMO_SECRET, Server, archive, client, pair, read, show_traced, this_hour};

const PAGE: &str = "<html><body>Please log in</body></html>";

async fn refusal(head: &str, body: &str) -> Result<Export, Error> {
    let answer = client(Server::start(head, body.as_bytes(), 100, After::Close).url()).export(this_hour()).await;
    show_traced(&answer);
    answer
}

#[tokio::test]
async fn statuses_have_their_kinds() {
    for (status, body, kind, said) in [
        (400, "too large", ErrorKind::TooLarge, "split its range"),
        (400, "", ErrorKind::TooLarge, "split its range"),
        // A load balancer's page is not Amplitude's word on the size.
        (400, "<h1>400 Bad Request</h1>", ErrorKind::Invalid, "400"),
        (401, "", ErrorKind::Unauthorized, "does not take"),
        (403, "Invalid API Key", ErrorKind::Unauthorized, "does not take"),
        (403, PAGE, ErrorKind::Unauthorized, "does not take"),
        (404, PAGE, ErrorKind::NotFound, "404"),
        (413, PAGE, ErrorKind::TooLarge, "413"),
        (429, "Exceeded concurrent limit", ErrorKind::Throttled, "429"),
        (500, PAGE, ErrorKind::Status, "error status"),
        (502, PAGE, ErrorKind::Status, "error status"),
        (504, PAGE, ErrorKind::Status, "split its range"),
        (204, "", ErrorKind::Status, "error status"),
        (302, "", ErrorKind::Protocol, "another address"),
    ] {
        let error = refusal(&format!("HTTP/1.1 {status} X\r\ncontent-length: {}", body.len()), body).await.expect_err(said);
        assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{status} {body}");
        assert!(error.to_string().contains(said), "{status}: {error}");
        assert_eq!(error.is_retryable(), status == 429 || status >= 500, "{status}");
        assert!(!body.contains("log in") || !format!("{error:?}").contains("log in"), "a body is in {error:?}");
    }
    let error = refusal("HTTP/1.1 429 X\r\nretry-after: 17\r\ncontent-length: 0", "").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    let error = refusal("HTTP/1.1 503 X\r\nretry-after: 18446744073709551615\r\ncontent-length: 0", "").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(u64::MAX)));
}

#[tokio::test]
async fn an_empty_range_is_no_error() {
    let page = "<html><title>404: Raw data files were not found.</title></html>";
    for body in ["Raw data files were not found.", "", "{}", page] {
        let found = refusal(&format!("HTTP/1.1 404 X\r\ncontent-length: {}", body.len()), body).await.unwrap();
        assert!(matches!(found, Export::NoData), "{body}");
    }
}

#[tokio::test]
async fn a_refusal_without_end_is_not_read_to_its_end() {
    let server = Server::start("HTTP/1.1 400 X", &[b'x'; 10_000], 10_000, After::Repeat);
    assert_eq!(client(server.url()).export(this_hour()).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_page_in_place_of_an_archive_is_told() {
    for body in [PAGE, "{\"error\":\"Exceeded rate limit\"}"] {
        let server = Server::start("HTTP/1.1 200 OK", body.as_bytes(), 3, After::Close);
        let (events, errors) = read(&client(server.url())).await;
        assert_eq!((events, errors.len()), (0, 1));
        assert_eq!(errors[0].kind(), ErrorKind::Protocol);
        assert!(errors[0].to_string().contains("no ZIP archive"), "{}", errors[0]);
    }
}

#[tokio::test]
async fn the_request_is_the_documented_one() {
    let server = Server::start("HTTP/1.1 404 X\r\ncontent-length: 0", b"", 1, After::Close);
    for (base, path) in [("", "/api/2/export"), ("/", "/api/2/export"), ("/proxy/", "/proxy/api/2/export")] {
        let client = client(server.url() + base);
        client.export(ExportRange::parse("20240229T05", "20240301T00").unwrap()).await.unwrap();
        let request = server.requests().pop().unwrap();
        assert!(request.starts_with(&format!("GET {path}?start=20240229T05&end=20240301T00 HTTP/1.1\r\n")), "{request}");
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        let basic = BASE64_STANDARD.encode(format!("{DEMO_KEY}:{DEMO_SECRET}"));
        assert!(request.contains(&format!("authorization: Basic {basic}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn a_range_that_is_too_long_is_refused_before_it_is_sent() {
    let server = Server::start("HTTP/1.1 404 X\r\ncontent-length: 0", b"", 1, After::Close);
    let client = client(server.url());
    let range = ExportRange::parse("20240101T00", "20251231T23").unwrap();
    let error = client.export(range).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("365 days"), "{error}");
    assert!(server.requests().is_empty());
    for part in range.split(365 * 24) {
        assert!(matches!(client.export(part).await.unwrap(), Export::NoData));
    }
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect() {
    let other = Server::start("HTTP/1.1 200 OK", &archive(CompressionMethod::Stored, false), 1000, After::Close);
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} X\r\nlocation: {}/api/2/export\r\ncontent-length: 0", other.url());
        assert_eq!(refusal(&head, "").await.unwrap_err().kind(), ErrorKind::Protocol);
    }
    assert_eq!(other.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_connection_that_breaks_ends_the_events_with_an_error() {
    let whole = archive(CompressionMethod::Deflated, false);
    let half = &whole[..whole.len() / 2];
    let promised = format!("HTTP/1.1 200 OK\r\ncontent-length: {}", whole.len());
    for (head, body, kind) in [
        (promised.as_str(), half, ErrorKind::Transport),
        // The end of the connection is the end of the body: only the archive knows that it is not whole.
        ("HTTP/1.1 200 OK", half, ErrorKind::Protocol),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", half, ErrorKind::Transport),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0", b"", ErrorKind::Protocol),
    ] {
        let (_, errors) = read(&client(Server::start(head, body, 100, After::Close).url())).await;
        // Before it may stand the one of a line.
        let error = errors.last().unwrap();
        assert_eq!((error.kind(), error.is_retryable()), (kind, kind == ErrorKind::Transport), "{errors:?}");
        assert!(kind == ErrorKind::Transport || error.to_string().contains("is cut off"), "{errors:?}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    // Without a limit the silence would last as long as the test.
    tokio::time::timeout(Duration::from_secs(30), silences()).await.expect("the limits are those of the options");
}

async fn silences() {
    let whole = archive(CompressionMethod::Stored, false);
    let options = |server: &Server| Options::new().base_url(server.url()).read_timeout(Duration::from_millis(300));
    let before_the_body = Server::start("HTTP/1.1 200 OK", b"", 1, After::Silence);
    let (_, errors) = read(&Client::with_options(pair(DEMO_SECRET), options(&before_the_body)).unwrap()).await;
    assert_eq!(errors.iter().map(Error::kind).collect::<Vec<_>>(), [ErrorKind::Timeout]);
    let in_the_body = Server::start("HTTP/1.1 200 OK", &whole[..whole.len() / 2], 100, After::Silence);
    let (events, errors) = read(&Client::with_options(pair(DEMO_SECRET), options(&in_the_body)).unwrap()).await;
    assert!(events > 0);
    let error = errors.last().unwrap();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Timeout, "the server did not answer in time"));
    // The system takes the connection, and nobody answers on it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let before_the_answer = Options::new().base_url(url).read_timeout(Duration::from_millis(300));
    let client = Client::with_options(pair(DEMO_SECRET), before_the_answer).unwrap();
    assert_eq!(client.export(this_hour()).await.unwrap_err().kind(), ErrorKind::Timeout);
}

/// The smallest executor, to show that no other is needed.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

#[test]
fn any_executor_will_do_and_none_has_to_live_on() {
    let server = Server::start("HTTP/1.1 200 OK", &archive(CompressionMethod::Stored, false), 50, After::Close);
    let client = block_on(async { client(server.url()) });
    assert_eq!(block_on(read(&client)).0, 61);
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(read(&client)).0, 61, "in a runtime without sockets and timers of its own");
    }
    // Begun in one runtime, read in none.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Export::Events(mut events) = runtime.block_on(client.export(this_hour())).unwrap() else { panic!("200") };
    drop(runtime);
    let mut count = 0;
    while let Some(event) = block_on(events.next()) {
        count += usize::from(event.is_ok());
    }
    assert_eq!(count, 61);
}

#[test]
fn clients_and_events_go_to_other_threads() {
    fn check<T: Send + Sync + Clone + 'static>() {}
    check::<Client<ProjectPair>>();
    fn check_stream<T: Stream<Item = Result<amplitude_sdk::server::ExportedEvent, Error>> + Send + Unpin + 'static>() {}
    check_stream::<ExportedEvents>();
    fn check_future<T: Send>(_: T) {}
    check_future(client("http://127.0.0.1:1".to_owned()).export(this_hour()));
}

#[tokio::test]
async fn what_cannot_be_reached_is_a_transport_error_and_bad_options_are_named() {
    let unreachable = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let error = client(unreachable.clone()).export(this_hour()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Transport, true));
    for options in [
        Options::new().base_url("http://example.com"),
        Options::new().base_url(""),
        Options::new().base_url("https://user:hunter2@example.com"),
        Options::new().proxy("http://user:hunter2@"),
        Options::new().add_root_certificate("hunter2"),
        Options::new().add_root_certificate(""),
        Options::new().add_root_certificate(b"\xff\xfe".to_vec()),
        Options::new().add_root_certificate("-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n"),
    ] {
        assert!(!format!("{options:?}").contains("hunter2"), "{options:?}");
        let error = Client::with_options(pair(DEMO_SECRET), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    }
    // Limits that no clock reaches, or that are over at once, are limits like others.
    let endless = Options::new().base_url(&unreachable).connect_timeout(Duration::MAX).read_timeout(Duration::MAX);
    let endless = Client::with_options(pair(DEMO_SECRET), endless.request_timeout(Duration::MAX)).unwrap();
    assert_eq!(endless.export(this_hour()).await.unwrap_err().kind(), ErrorKind::Transport);
    let server = Server::start("HTTP/1.1 200 OK", b"", 1, After::Silence);
    let hasty = Options::new().base_url(server.url()).read_timeout(Duration::ZERO);
    let hasty = Client::with_options(pair(DEMO_SECRET), hasty).unwrap();
    let error = match hasty.export(this_hour()).await {
        Ok(Export::Events(mut events)) => events.next().await.unwrap().unwrap_err(),
        Ok(_) => panic!("not 404"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Timeout);
}
