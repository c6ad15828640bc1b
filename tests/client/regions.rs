//! Each region and API has its host and path. They are asked for by their real names, through a proxy that leads them all to a server of the
//! test's own.

use amplitude_sdk::{
    Client, Config, IngestionApi, ProjectKey, Region,
    server::{ExportRange, IngestOptions, Options},
};

use crate::{
    KEY,
    authority::{Authority, Identity},
    block_on, event,
    proxy::Tunnel,
    server_client,
    support::{Answer, PATIENCE, Stub},
};

const HOSTS: [&str; 4] = ["api2.amplitude.com", "api.eu.amplitude.com", "amplitude.com", "analytics.eu.amplitude.com"];

/// What one call asked for: the host of CONNECT, the one of the request, and the request's line.
fn asked(answer: Answer, call: impl FnOnce(&str, &str)) -> (String, String, String) {
    let authority = Authority::new();
    let stub = Stub::start_tls(authority.server(Identity { names: &HOSTS, ..Identity::default() }), [answer]);
    let tunnel = Tunnel::to(stub.address());
    call(&tunnel.url(), &authority.pem);
    let (connects, requests) = (tunnel.asked(), stub.seen());
    assert_eq!((connects.len(), requests.len()), (1, 1));
    let connect = connects[0].split(' ').nth(1).unwrap().to_owned();
    (connect, requests[0].header("host").unwrap().to_owned(), requests[0].line.clone())
}

#[test]
fn events_go_to_the_ingestion_host_of_their_region() {
    for (region, api, host, line) in [
        (Region::Us, IngestionApi::HttpV2, "api2.amplitude.com", "POST /2/httpapi HTTP/1.1"),
        (Region::Us, IngestionApi::Batch, "api2.amplitude.com", "POST /batch HTTP/1.1"),
        (Region::Eu, IngestionApi::HttpV2, "api.eu.amplitude.com", "POST /2/httpapi HTTP/1.1"),
        (Region::Eu, IngestionApi::Batch, "api.eu.amplitude.com", "POST /batch HTTP/1.1"),
    ] {
        let expected = (format!("{host}:443"), host.to_owned(), line.to_owned());
        let tracked = asked(Answer::Confirm, |proxy, pem| {
            let config = Config::new(ProjectKey::new(KEY).unwrap()).region(region).api(api);
            let client = Client::new(config.proxy(proxy).add_root_certificate(pem)).unwrap();
            client.track(event("user123")).unwrap();
            client.shutdown_blocking(PATIENCE);
            assert_eq!(client.counts().delivered, 1);
        });
        assert_eq!(tracked, expected);
        let ingested = asked(Answer::Confirm, |proxy, pem| {
            let client = server_client(Options::new().region(region).proxy(proxy).add_root_certificate(pem));
            block_on(client.ingest(&mut [event("user123")], IngestOptions::new().api(api))).unwrap();
        });
        assert_eq!(ingested, expected);
    }
}

#[test]
fn exports_come_from_the_analytics_host_of_their_region() {
    for (region, host) in [(Region::Us, "amplitude.com"), (Region::Eu, "analytics.eu.amplitude.com")] {
        let empty = Answer::Say(404, "text/plain", "Raw data files were not found.".to_owned());
        let exported = asked(empty, |proxy, pem| {
            let client = server_client(Options::new().region(region).proxy(proxy).add_root_certificate(pem));
            block_on(client.export(ExportRange::parse("20260101T00", "20260101T23").unwrap())).unwrap();
        });
        let line = "GET /api/2/export?start=20260101T00&end=20260101T23 HTTP/1.1";
        assert_eq!(exported, (format!("{host}:443"), host.to_owned(), line.to_owned()));
    }
}

#[test]
fn a_region_is_named_in_any_case_and_nothing_else_is_one() {
    for (name, region) in [("us", Region::Us), ("US", Region::Us), ("eu", Region::Eu), ("Eu", Region::Eu)] {
        assert_eq!(Region::parse(name).unwrap(), region);
    }
    for name in ["", " us", "usa", "europe", "e\u{301}u", &"u".repeat(1 << 20)] {
        assert!(Region::parse(name).unwrap_err().to_string().contains("`us` or `eu`"));
    }
}
