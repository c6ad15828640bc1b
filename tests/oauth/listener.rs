//! The loopback listener, met by browsers and by what else can reach a port of this machine.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use amplitude_sdk::server::oauth::{AuthError, CallbackFault, Loopback, LoopbackHost, LoopbackListener, Stage};

use crate::{shown::Shown as _, trace};

/// What a test waits for at most; a passing test never comes near it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A wait in a thread of its own.
struct Waiting {
    address: SocketAddr,
    outcome: mpsc::Receiver<Result<String, AuthError>>,
    verified: mpsc::Receiver<String>,
}

impl Waiting {
    /// The right state is `good`; an error parameter ends the wait.
    fn start(listener: LoopbackListener) -> Self {
        let address = listener.addresses().unwrap()[0];
        let ((send, outcome), (saw, verified)) = (mpsc::channel(), mpsc::channel());
        thread::spawn(move || {
            let wait = listener.wait(|callback| {
                saw.send(callback.to_owned()).unwrap();
                if !callback.contains("state=good") {
                    return Err(AuthError::CallbackRejected(CallbackFault::State));
                }
                match callback.contains("error=") {
                    true => Err(AuthError::Denied { code: "access_denied".to_owned(), description: None }),
                    false => Ok(callback.to_owned()),
                }
            });
            // Without sockets and timers of its own: the library brings them.
            let outcome = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(wait);
            // A test that has seen enough is gone.
            let _ = send.send(outcome);
        });
        Self { address, outcome, verified }
    }

    fn outcome(&self) -> Result<String, AuthError> {
        self.outcome.recv_timeout(PATIENCE).expect("the wait ends")
    }

    fn is_open(&self) -> bool {
        matches!(self.outcome.try_recv(), Err(mpsc::TryRecvError::Empty))
    }

    /// What the listener answers to a request's head.
    fn say(&self, head: &str) -> String {
        say(self.address, head)
    }

    fn get(&self, target: &str) -> String {
        self.say(&format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    /// The right callback still comes through, and at once.
    fn takes_the_good_one(&self) {
        let started = Instant::now();
        let page = self.get("/callback?code=c&state=good");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("You can close this page"), "{page}");
        assert_eq!(self.outcome().unwrap(), format!("http://{}/callback?code=c&state=good", self.address));
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        self.is_closed();
    }

    fn is_closed(&self) {
        let error = TcpStream::connect(self.address).expect_err("the port is closed");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

pub(crate) fn say(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn listen(settings: Loopback) -> LoopbackListener {
    trace::start();
    settings.listen().unwrap()
}

fn waiting() -> Waiting {
    Waiting::start(listen(Loopback::new()))
}

#[test]
fn t_a7_one_callback_is_taken_and_the_port_is_closed() {
    let waiting = waiting();
    waiting.takes_the_good_one();
    assert_eq!(waiting.verified.iter().count(), 1);
}

#[test]
fn t_a7_forged_callbacks_do_not_end_the_wait() {
    let waiting = waiting();
    for forged in ["/callback", "/callback?", "/callback?code=c&state=bad", "/callback?error=access_denied&state=bad"] {
        let page = waiting.get(forged);
        assert!(page.starts_with("HTTP/1.1 400 ") && page.contains("not the expected answer"), "{page}");
        assert!(waiting.is_open());
    }
    waiting.takes_the_good_one();
}

#[test]
fn t_a7_other_methods_paths_and_hosts_are_ignored() {
    let waiting = waiting();
    let host = format!("Host: {}\r\n\r\n", waiting.address);
    for (head, status) in [
        (format!("POST /callback?code=c&state=good HTTP/1.1\r\nContent-Length: 0\r\n{host}"), "405"),
        (format!("HEAD /callback?code=c&state=good HTTP/1.1\r\n{host}"), "405"),
        (format!("GET /favicon.ico HTTP/1.1\r\n{host}"), "404"),
        (format!("GET /?code=c&state=good HTTP/1.1\r\n{host}"), "404"),
        (format!("GET /callback/?code=c&state=good HTTP/1.1\r\n{host}"), "404"),
        ("GET /callback?code=c&state=good HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), "403"),
        ("GET /callback?code=c&state=good HTTP/1.1\r\nHost: localhost:1\r\n\r\n".to_owned(), "403"),
        ("GET /callback?code=c&state=good HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = waiting.say(&head);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head:?}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n") && answer.contains("default-src 'none'"), "{answer}");
    }
    assert!(waiting.verified.try_recv().is_err(), "nobody asked whether these are right");
    waiting.takes_the_good_one();
}

#[test]
fn t_a7_a_page_repeats_nothing_of_the_request() {
    let waiting = waiting();
    let sentinel = "<script>alert(1)</script>";
    for (name, query) in [
        ("raw", format!("error=access_denied&error_description={sentinel}")),
        ("escaped", "error=access_denied&error_description=%3Cscript%3Ealert%281%29%3C%2Fscript%3E".to_owned()),
        ("code", "code=alert1&iss=https://alert.example&x=\"onload=alert(1)".to_owned()),
    ] {
        let page = waiting.get(&format!("/callback?state=alert&{query}"));
        assert!(page.starts_with("HTTP/1.1 400 "), "{name}: {page}");
        assert!(!page.contains("alert") && !page.contains("script>"), "{name}: {page}");
    }
    let page = waiting.get(&format!("/callback?state=good&error=access_denied&error_description={sentinel}"));
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("Access was not granted"), "{page}");
    assert!(!page.contains("alert") && !page.contains("script>"), "{page}");
    assert!(matches!(waiting.outcome(), Err(AuthError::Denied { code, .. }) if code == "access_denied"));
    waiting.is_closed();
}

#[test]
fn t_a7_fifty_parallel_junk_connections_keep_nobody_out() {
    let waiting = waiting();
    let junk: Vec<_> = (0..50_u8)
        .map(|index| {
            let mut stream = TcpStream::connect(waiting.address).unwrap();
            match index % 4 {
                0 => {}
                1 => stream.write_all(b"GET /callback?state=go").unwrap(),
                2 => stream.write_all(&[index; 3000]).unwrap(),
                _ => stream.write_all(b"GET /callback HTTP/1.1\r\nX: y\r\n").unwrap(),
            }
            stream
        })
        .collect();
    // Too many at a time end the oldest, long before their own time is over.
    let mut oldest = &junk[0];
    oldest.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    assert_eq!(oldest.read(&mut [0]).expect("it was closed"), 0);
    waiting.takes_the_good_one();
}

#[test]
fn t_a7_a_request_line_of_a_mebibyte_is_cut_short() {
    let waiting = waiting();
    let mut stream = TcpStream::connect(waiting.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let line = [b"GET /callback?state=good&x=", &vec![b'a'; 1 << 20][..]].concat();
    // The listener may close before all of it is written.
    let _ = stream.write_all(&line);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 414 "), "{}", String::from_utf8_lossy(&answer));
    assert!(waiting.verified.try_recv().is_err());
    waiting.takes_the_good_one();
}

#[test]
fn t_a7_who_sends_byte_by_byte_is_cut_off_after_five_seconds() {
    let waiting = waiting();
    let started = Instant::now();
    let mut stream = TcpStream::connect(waiting.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while started.elapsed() < PATIENCE {
        let written = stream.write_all(b"G");
        // One byte each tenth of a second, which is the time that the read takes.
        match stream.read(&mut [0]) {
            Err(error) if written.is_ok() && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(0) | Err(_) => break,
            Ok(_) => panic!("there is nothing to answer"),
        }
    }
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(4900) && took < Duration::from_secs(12), "{took:?}");
    waiting.takes_the_good_one();
}

#[test]
fn t_a7_it_is_not_reachable_under_another_address() {
    let listener = listen(Loopback::new());
    let addresses = listener.addresses().unwrap();
    assert_eq!(addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>(), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    let port = addresses[0].port();
    TcpStream::connect(addresses[0]).expect("it is bound");
    // On Linux all of 127.0.0.0/8 is this machine: bound to 0.0.0.0, it would answer here.
    let mut others = vec![IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))];
    // The address that would be used to the outside; choosing one sends nothing.
    let outward = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    if outward.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).is_ok() {
        others.push(outward.local_addr().unwrap().ip());
    }
    for other in others {
        let connected = TcpStream::connect_timeout(&SocketAddr::new(other, port), Duration::from_secs(2));
        assert!(connected.is_err(), "{other} answers");
    }
}

#[test]
fn t_a7_a_busy_port_is_passed_over_for_the_next() {
    let (busy, free) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = [busy.local_addr().unwrap().port(), free.local_addr().unwrap().port()];
    let both_busy = Loopback::new().ports(ports).listen().shown().unwrap_err();
    assert!(matches!(&both_busy, AuthError::System(_)), "{both_busy:?}");
    assert!(both_busy.to_string().contains(&format!("{ports:?}")), "{both_busy}");
    drop(free);
    let listener = listen(Loopback::new().ports(ports).host(LoopbackHost::Localhost).path("/oauth/done"));
    assert_eq!(listener.redirect_uri(), format!("http://localhost:{}/oauth/done", ports[1]));
    assert_eq!(listener.addresses().unwrap(), [SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ports[1])]);

    let waiting = Waiting::start(listener);
    let head = format!("GET /oauth/done?state=good HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", ports[1]);
    assert!(waiting.say(&head).starts_with("HTTP/1.1 200 "));
    assert_eq!(waiting.outcome().unwrap(), format!("http://localhost:{}/oauth/done?state=good", ports[1]));

    // The same port serves the next sign-in at once.
    drop(listen(Loopback::new().ports([ports[1]])));
}

#[test]
fn t_a7_the_sixth_version_is_bound_where_it_is_asked_for() {
    let has_v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    for (host, name, expected) in [
        (LoopbackHost::Ipv6, "[::1]", vec![IpAddr::V6(Ipv6Addr::LOCALHOST)]),
        (LoopbackHost::LocalhostBoth, "localhost", vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]),
    ] {
        let listener = match Loopback::new().host(host).listen() {
            Ok(listener) => listener,
            Err(error) => {
                assert!(!has_v6 && matches!(error, AuthError::System(_)), "{error:?}");
                continue;
            }
        };
        let addresses = listener.addresses().unwrap();
        assert_eq!(addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>(), expected);
        let port = addresses[0].port();
        assert!(addresses.iter().all(|address| address.port() == port));
        assert_eq!(listener.redirect_uri(), format!("http://{name}:{port}/callback"));
        let waiting = Waiting::start(listener);
        let last = *addresses.last().unwrap();
        let page = say(last, &format!("GET /callback?state=good HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n"));
        assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
        waiting.outcome().unwrap();
        waiting.is_closed();
    }
}

#[test]
fn t_a7_the_time_is_over_once() {
    let waiting = Waiting::start(listen(Loopback::new().timeout(Duration::from_millis(50))));
    assert!(matches!(waiting.outcome(), Err(AuthError::Expired { stage: Stage::Authorization })));
    waiting.is_closed();
}

#[test]
fn t_a7_it_is_closed_when_nobody_waits_any_more() {
    let listener = listen(Loopback::new());
    let address = listener.addresses().unwrap()[0];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let wait = listener.wait(|_| Ok(()));
    assert!(runtime.block_on(async { tokio::time::timeout(Duration::from_millis(50), wait).await }).is_err());
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn an_expired_request_ends_the_wait_because_no_answer_can_be_right() {
    let listener = listen(Loopback::new());
    let address = listener.addresses().unwrap()[0];
    let browser = thread::spawn(move || say(address, &format!("GET /callback HTTP/1.1\r\nHost: {address}\r\n\r\n")));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcome = runtime.block_on(listener.wait(|_| Err::<(), _>(AuthError::CallbackRejected(CallbackFault::Expired))));
    assert!(matches!(outcome, Err(AuthError::CallbackRejected(CallbackFault::Expired))), "{outcome:?}");
    assert!(browser.join().unwrap().starts_with("HTTP/1.1 200 "));
}

#[test]
fn what_cannot_be_a_redirect_uri_is_refused() {
    for path in ["", "callback", "/call back", "/a?b", "/a#b", "/\u{e9}", "/a\r\nb", "/%41", &format!("/{}", "a".repeat(256))] {
        assert!(matches!(Loopback::new().path(path).listen(), Err(AuthError::Invalid(_))), "{path:?}");
    }
    assert!(matches!(Loopback::new().ports([]).listen(), Err(AuthError::Invalid(_))));
}
