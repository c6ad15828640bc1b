//! TLS: who is trusted, which versions are spoken. Both clients against real handshakes.

use std::{
    net::TcpListener,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use amplitude_sdk::{
    Client, Config, Error, ErrorKind, ProjectKey,
    server::{IngestOptions, Ingested, Options},
};
use rustls::version::{TLS12, TLS13};

use crate::{
    KEY,
    authority::{Authority, Identity},
    block_on, config, event, server_client,
    support::{PATIENCE, Stub},
};

/// What a client is told beside the address.
#[derive(Clone, Copy)]
struct Told<'a> {
    trusts: &'a Authority,
    allows_tls_1_2: bool,
}

impl Told<'_> {
    fn config(self, config: Config) -> Config {
        let config = config.add_root_certificate(self.trusts.pem.as_str());
        if self.allows_tls_1_2 { config.allow_tls_1_2() } else { config }
    }

    fn options(self, url: String) -> Options {
        let options = Options::new().base_url(url).add_root_certificate(self.trusts.pem.as_str());
        if self.allows_tls_1_2 { options.allow_tls_1_2() } else { options }
    }
}

fn ingest(options: Options) -> Result<Ingested, Error> {
    block_on(server_client(options).ingest(&mut [event("user123")], IngestOptions::new()))
}

fn check_accepted(stub: &Stub, told: Told<'_>) {
    let client = Client::new(told.config(config(stub))).unwrap();
    client.track(event("user123")).unwrap();
    client.shutdown_blocking(PATIENCE);
    // Its report tells nothing of what was delivered before the call.
    assert_eq!(client.counts().delivered, 1, "{:?}", client.counts());
    assert_eq!(ingest(told.options(stub.base_url())).unwrap(), Ingested::Delivered { short: false });
    assert_eq!((stub.seen().len(), stub.refusals()), (2, vec![]));
}

/// Both refuse, for that reason, and send nothing. `advice` is what the server's client says about it.
fn check_refused(stub: &Stub, told: Told<'_>, reason: &str, advice: &str) {
    let error = ingest(told.options(stub.base_url())).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Transport, false));
    assert!(error.to_string().contains(advice), "{error}");
    assert!(format!("{error:?}").contains(reason), "{reason} is not in {error:?}");
    let before = stub.refusals().len();

    let client = Client::new(told.config(config(stub))).unwrap();
    client.track(event("user123")).unwrap();
    stub.wait_for_refusals(before + 1);
    let report = client.shutdown_blocking(Duration::from_millis(50));
    // Unknown, where the next attempt is under way at that moment.
    assert_eq!((report.delivered, report.dropped + report.unknown), (0, 1), "{report:?}");
    assert!(stub.seen().is_empty(), "a request went to a server that is not trusted");
}

#[test]
fn an_authority_is_trusted_when_it_is_added() {
    let authority = Authority::new();
    let told = Told { trusts: &authority, allows_tls_1_2: false };
    check_accepted(&Stub::start_tls(authority.server(Identity::default()), []), told);
    let other = Authority::new();
    let of_other = Stub::start_tls(other.server(Identity::default()), []);
    check_refused(&of_other, told, "UnknownIssuer", "`Options::add_root_certificate` adds one");
    // Several may be added, one after the other or in one text.
    let both = [authority.pem.as_str(), other.pem.as_str()].concat();
    let one_by_one =
        Options::new().base_url(of_other.base_url()).add_root_certificate(&*authority.pem).add_root_certificate(&*other.pem);
    ingest(one_by_one).unwrap();
    ingest(Options::new().base_url(of_other.base_url()).add_root_certificate(both)).unwrap();
}

#[test]
fn expired_certificates_and_those_of_another_host_are_refused() {
    let authority = Authority::new();
    let told = Told { trusts: &authority, allows_tls_1_2: false };
    let expired = authority.server(Identity { has_expired: true, ..Identity::default() });
    check_refused(&Stub::start_tls(expired, []), told, "Expired", "has expired");
    let of_another = authority.server(Identity { names: &["api2.amplitude.com"], ..Identity::default() });
    check_refused(&Stub::start_tls(of_another, []), told, "NotValidForName", "is for another host");
}

#[test]
fn tls_1_2_is_refused_unless_it_is_allowed() {
    let authority = Authority::new();
    let old = || Stub::start_tls(authority.server(Identity { versions: &[&TLS12], ..Identity::default() }), []);
    check_refused(
        &old(),
        Told { trusts: &authority, allows_tls_1_2: false },
        "ProtocolVersion",
        "`Options::allow_tls_1_2` lowers the floor",
    );
    check_accepted(&old(), Told { trusts: &authority, allows_tls_1_2: true });
    for versions in [&[&TLS13][..], &[&TLS12, &TLS13]] {
        for allows_tls_1_2 in [false, true] {
            let stub = Stub::start_tls(authority.server(Identity { versions, ..Identity::default() }), []);
            check_accepted(&stub, Told { trusts: &authority, allows_tls_1_2 });
        }
    }
}

#[test]
fn what_speaks_no_tls_gets_nothing_over_https() {
    let authority = Authority::new();
    let stub = Stub::start([]);
    let url = format!("https://localhost:{}", stub.address().port());
    let error = ingest(Told { trusts: &authority, allows_tls_1_2: true }.options(url)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(stub.seen().is_empty());
}

#[test]
fn a_handshake_that_does_not_end_is_given_up() {
    // The system takes the connection, and nobody answers on it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let authority = Authority::new();
    let start = Instant::now();
    let limited = Options::new().base_url(&url).connect_timeout(Duration::from_millis(200));
    let error = ingest(limited.add_root_certificate(&*authority.pem)).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true));
    assert!(start.elapsed() < PATIENCE, "the limit of a whole request is 30 seconds");

    let (connected, connections) = mpsc::channel();
    thread::spawn(move || listener.incoming().try_for_each(|stream| connected.send(stream.unwrap())));
    let config = Config::new(ProjectKey::new(KEY).unwrap()).server_url(url).flush_interval(Duration::from_millis(5));
    let config = config.connect_timeout(Duration::from_millis(200)).add_root_certificate(&*authority.pem);
    let client = Client::new(config).unwrap();
    client.track(event("user123")).unwrap();
    // The one of above, the first, and, because that is given up, another one.
    let _open: Vec<_> = (0..3).map(|_| connections.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(client.shutdown_blocking(Duration::ZERO).delivered, 0);
}
