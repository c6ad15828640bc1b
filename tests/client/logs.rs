//! What logs may show: no secret at any level, nobody's data above debug. Each case runs in a child process that prints all of its log, that
//! of its libraries too, because a process has one log and many tests.

use std::{
    env, fmt,
    process::{Command, Stdio},
    time::Duration,
};

use amplitude_sdk::{
    Client, Config, Event, Flow, Plugin, PluginError, ProjectKey,
    server::{
        AnyCredential, AuthEvent, CanVerify, ExportRange, FileSecret, IngestOptions, ManagementKey, Options, OrgKey, OrgPair,
        OrgSecretKey, PersonalAccessToken, ProfileKey, ScimKey, SecretChain, SecretFn, SecretKey, SecretText,
        ServerDeploymentKey, UsageMonitor,
    },
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};

use crate::{
    KEY,
    authority::{Authority, Identity},
    block_on, event,
    outcome::show,
    pair, server,
    support::{Answer, Stub},
    trace::sentinels::{Search, print_logs},
};

const SENTINEL: &str = "sentinel-00c0ffee-of-a-secret";

fn child(case: &str) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("logs::{case}"), "--ignored", "--nocapture"])
        .env("LOGS_TEST", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

fn is_child() -> bool {
    env::var_os("LOGS_TEST").is_some()
}

fn found_in(text: &str, secret: &str) -> Vec<String> {
    Search::new([("secret", secret.as_bytes())]).found_in(text.as_bytes())
}

/// What stands in a log by mistake is found, whatever stands around it and whichever way it was printed.
#[test]
fn the_search_finds_what_it_looks_for() {
    const ODD: &str = "a:b%c+d \"e\u{e9}";
    for secret in [SENTINEL, ODD] {
        let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let numbers = secret.as_bytes();
        let hex: String = numbers.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut planted = vec![
            secret.to_owned(),
            format!("{secret:?}"),
            format!("https://a.example/?code={form}&x=y"),
            format!("{numbers:?}"),
            format!("{:#?}", Some(numbers)),
            hex.to_uppercase(),
            hex,
            format!("b\"{}\"", numbers.escape_ascii()),
        ];
        for before in ["", "x", "xy", "user:"] {
            for behind in ["", "x", "xy"] {
                planted.push(BASE64_STANDARD.encode(format!("{before}{secret}{behind}")));
                planted.push(BASE64_URL_SAFE.encode(format!("{before}{secret}{behind}")));
                planted.push(BASE64_STANDARD.encode(format!("{before}{form}{behind}")));
            }
        }
        for leak in planted {
            assert!(!found_in(&leak, secret).is_empty(), "{leak}");
            assert!(!found_in(&format!("x{leak}x"), secret).is_empty(), "{leak}");
            assert!(found_in(&leak, "another-secret").is_empty(), "{leak}");
        }
        assert!(found_in(&secret[1..], secret).is_empty());
    }
    assert!(found_in("nothing", SENTINEL).is_empty());
}

#[test]
#[ignore = "a process of its own; the test below starts it"]
fn child_with_a_secret() {
    if !is_child() {
        return;
    }
    print_logs();
    let authority = Authority::new();
    let secret = pair(SENTINEL);
    println!("{secret:?} {:#?}", secret.clone());
    // A server that sends back what it was sent is of the kind that one meets.
    let echo = format!("{{\"code\":400,\"error\":\"{KEY}:{SENTINEL} is wrong\"}}");
    let answers = || {
        [200, 400, 401, 403, 404, 429, 500, 302]
            .map(|status| Answer::Say(status, "text/plain", echo.clone()))
            .into_iter()
            .chain([Answer::Header(302, format!("location: http://127.0.0.1:1/?secret={SENTINEL}")), Answer::HangUp])
    };
    let range = || ExportRange::parse("20260101T00", "20260101T23").unwrap();
    for stub in [Stub::start(answers()), Stub::start_tls(authority.server(Identity::default()), answers())] {
        let options = Options::new().base_url(stub.base_url()).add_root_certificate(&*authority.pem);
        let client = server::Client::with_options(secret.clone(), options).unwrap();
        println!("{client:?} {client:#?}");
        for _ in 0..11 {
            show(&block_on(client.ingest(&mut [event("user123")], IngestOptions::new().with_secret())));
        }
        let stub = Stub::start(answers());
        let client = server::Client::with_options(secret.clone(), Options::new().base_url(stub.base_url())).unwrap();
        for _ in 0..11 {
            show(&block_on(client.export(range())));
        }
        assert_eq!(stub.seen().len(), 11);
    }
    // The same with nobody there.
    let client = server::Client::with_options(secret, Options::new().base_url("http://127.0.0.1:1")).unwrap();
    show(&block_on(client.export(range())));
    show(&block_on(client.ingest(&mut [event("user123")], IngestOptions::new().with_secret())));
    show(&SecretKey::new(format!("{SENTINEL} ")));
    show(&SecretKey::new(SENTINEL.repeat(100)));
    println!("done");
}

#[test]
fn no_log_no_error_and_no_debug_text_shows_a_secret() {
    let said = child("child_with_a_secret");
    assert!(said.contains("\ndone\n"));
    assert!(said.contains("DEBUG amplitude_sdk: ingesting"), "the log of this crate is not there: {said}");
    for library in ["TRACE hyper", "DEBUG rustls", "DEBUG reqwest"] {
        assert!(said.lines().any(|line| line.starts_with(library)), "no line of the log starts with {library}");
    }
    assert_eq!(found_in(&said, SENTINEL), Vec::<String>::new());
    // The key is no secret, but a log is not where one looks for it.
    assert_eq!(found_in(&said, KEY), Vec::<String>::new());
}

/// Has a credential refused, in every way that a server has, and prints all that comes of it.
fn try_out<C: CanVerify + fmt::Debug>(credential: C) {
    let texts = ["", "expired", "revoked", "region", "<html>"].map(|why| format!("{why} {SENTINEL}"));
    let mut answers: Vec<_> =
        [401, 403].iter().flat_map(|status| texts.clone().map(|text| Answer::Say(*status, "text/plain", text))).collect();
    for error in ["invalid_token", "insufficient_scope"] {
        let challenge = format!("www-authenticate: Bearer error=\"{error}\", error_description=\"{SENTINEL}\"");
        answers.extend([401, 403].map(|status| Answer::Header(status, challenge.clone())));
    }
    answers
        .extend([200, 400, 429, 500].map(|status| Answer::Say(status, "application/json", format!("{{\"x\":\"{SENTINEL}\"}}"))));
    answers.extend([Answer::Header(302, format!("location: http://127.0.0.1:1/{SENTINEL}")), Answer::HangUp]);
    let count = answers.len();
    let stub = Stub::start(answers);
    println!("{credential:?} {credential:#?}");
    let monitor = UsageMonitor::new();
    let options = Options::new().base_url(stub.base_url()).usage(monitor.clone());
    let options = options.observer(|event: &AuthEvent<'_>| println!("{event:?} {event:#?}"));
    println!("{options:?} {options:#?}");
    let client = server::Client::with_options(credential, options).unwrap();
    println!("{client:?} {client:#?}");
    for _ in 0..count {
        show(&block_on(client.verify()));
    }
    println!("{monitor:?} {} {:?}", monitor.report(), monitor.report());
    let sent: Vec<_> = stub.seen().iter().map(|request| format!("{:?}", request.headers)).collect();
    assert!(sent.len() >= count && sent.iter().all(|headers| is_sent(headers)), "the secret was not sent");
}

/// As it is, or within Basic.
fn is_sent(headers: &str) -> bool {
    !found_in(headers, SENTINEL).is_empty()
}

#[test]
#[ignore = "a process of its own; the test below starts it"]
fn child_with_every_credential() {
    if !is_child() {
        return;
    }
    print_logs();
    let of = |prefix: &str| format!("{prefix}{SENTINEL}");
    let secret = || SecretKey::new(SENTINEL).unwrap();
    try_out(pair(SENTINEL));
    try_out(ProfileKey::new(secret()));
    try_out(OrgPair::new(OrgKey::new(KEY).unwrap(), OrgSecretKey::new(SENTINEL).unwrap()));
    try_out(ScimKey::new(SENTINEL).unwrap());
    try_out(ServerDeploymentKey::new(of("server-")).unwrap());
    try_out(ManagementKey::new(SENTINEL).unwrap());
    try_out(PersonalAccessToken::new(of("amp_")).unwrap());
    try_out(AnyCredential::from(ManagementKey::new(SENTINEL).unwrap()));

    // From sources, with a way back to another secret.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, SENTINEL).unwrap();
    try_out(ProfileKey::from_source(FileSecret::new(&path)));
    let number = std::sync::atomic::AtomicUsize::new(0);
    try_out(ScimKey::from_source(SecretFn::new("a closure", move || {
        let secret = format!("{SENTINEL}{}", number.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        async move { Ok(secret) }
    })));
    try_out(ManagementKey::from_source(SecretChain::new(SecretText::new(SENTINEL).unwrap())));
    #[cfg(feature = "oauth")]
    {
        use amplitude_sdk::server::{AccessToken, OAuth, ProjectBearer, Scope, StaticToken};
        let token = StaticToken::new(AccessToken::new(SENTINEL).unwrap(), amplitude_sdk::Region::Us).host("127.0.0.1").unwrap();
        println!("{token:?} {token:#?}");
        let scope = Scope::new("reads").unwrap();
        let bearer = ProjectBearer::new(OAuth::new(token.clone().granting([scope.clone()])), scope);
        println!("{bearer:?} {bearer:#?}");
        try_out(OAuth::new(token));
        let stub = Stub::start([401, 403].map(|status| Answer::Say(status, "text/plain", SENTINEL.to_owned())));
        let client = server::Client::with_options(bearer, Options::new().base_url(stub.base_url())).unwrap();
        for _ in 0..2 {
            show(&block_on(client.export(ExportRange::parse("20260101T00", "20260101T23").unwrap())));
        }
        assert!(stub.seen().iter().all(|request| is_sent(&format!("{:?}", request.headers))));
    }

    // What is refused where it is given.
    let spoiled = format!("{SENTINEL} ");
    show(&ScimKey::new(spoiled.clone()));
    show(&ManagementKey::new(of("server-")));
    show(&PersonalAccessToken::new(of("client-")));
    show(&ServerDeploymentKey::new(of("client-")));
    show(&OrgSecretKey::new(of("amp_")));
    show(&OrgKey::new(spoiled.clone()));
    std::fs::write(&path, &spoiled).unwrap();
    let file = ManagementKey::from_source(FileSecret::new(&path));
    show(&block_on(server::Client::with_options(file, Options::new().base_url("http://127.0.0.1:1")).unwrap().verify()));
    show(&ManagementKey::from_lookup(|_| Some(spoiled.clone())));
    show(&ManagementKey::from_lookup(|name| (name == "AMPLITUDE_MANAGEMENT_KEY").then(|| spoiled.clone())));
    println!("done");
}

#[test]
fn t_r3_no_credential_of_any_kind_shows_in_logs_errors_events_or_debug_texts() {
    let said = child("child_with_every_credential");
    assert!(said.contains("\ndone\n"));
    for part in
        ["TRACE hyper", "CredentialRefused", "SecretReloaded", "was revoked or deleted", "were two keys swapped?", "1 requests"]
    {
        assert!(said.contains(part), "{part} is not there, so that nothing is proven");
    }
    assert_eq!(found_in(&said, SENTINEL), Vec::<String>::new());
    assert_eq!(found_in(&said, KEY), Vec::<String>::new());
}

struct Fails(&'static str, bool);

impl Plugin for Fails {
    fn name(&self) -> &str {
        self.0
    }

    fn process(&self, event: &mut Event) -> Result<Flow, PluginError> {
        let text = format!("no profile of {}", event.user_id().unwrap_or_default());
        if self.1 { panic!("{text}") } else { Err(text.into()) }
    }
}

const PERSON: &str = "sentinel-person";

#[test]
#[ignore = "a process of its own; the test below starts it"]
fn child_with_a_person() {
    if !is_child() {
        return;
    }
    print_logs();
    let reply = |status: u16, fields: &str| {
        let body = format!(r#"{{"code":{status},"error":"{PERSON} is wrong",{fields}}}"#);
        Answer::Say(status, "application/json", body)
    };
    let stub = Stub::start([
        Answer::HangUp,
        Answer::Say(200, "text/html", format!("<html>{PERSON}</html>")),
        Answer::Say(403, "text/html", format!("<html>{PERSON}</html>")),
        reply(400, r#""events_with_invalid_fields":{"sentinel-person":[0]}"#),
        reply(400, r#""silenced_devices":["sentinel-person"],"silenced_events":[0]"#),
        reply(429, r#""throttled_users":{"sentinel-person":31},"throttled_events":[0]"#),
    ]);
    let config = Config::new(ProjectKey::new(KEY).unwrap()).server_url(stub.url()).flush_at(2);
    let config = config.plugin(Fails("fails", false)).plugin(Fails("panics", true)).queue_bytes(5000);
    let client = Client::new(config).unwrap();
    let of_a_person = || {
        let long = PERSON.repeat(100);
        let event = Event::builder("Product Purchased").user_id(PERSON).device_id("sentinel-person-device").ip(PERSON);
        event.property(PERSON, long).user_property("name", PERSON).group(PERSON, PERSON).build().unwrap()
    };
    let receipts: Vec<_> = (0..2).map(|_| client.track_with_receipt(of_a_person()).unwrap()).collect();
    for receipt in receipts {
        block_on(receipt.settled());
    }
    stub.wait_for_requests(5);
    while client.track(of_a_person()).is_ok() {}
    client.track(Event::builder("a").user_id("x").property("name", PERSON).build().unwrap()).unwrap_err();
    client.shutdown_blocking(Duration::from_millis(300));

    let client = server::Client::with_options(pair(SENTINEL), Options::new().base_url(stub.base_url())).unwrap();
    block_on(client.ingest(&mut [of_a_person()], IngestOptions::new())).ok();
    println!("done");
}

#[test]
fn no_log_above_debug_names_a_person() {
    let said = child("child_with_a_person");
    assert!(said.contains("\ndone\n"));
    let above: Vec<_> = said
        .lines()
        .map(str::trim_start)
        .filter(|line| ["ERROR", "WARN", "INFO"].iter().any(|level| line.starts_with(level)))
        .collect();
    for text in
        ["plugin fails failed", "plugin panics failed", "holds a string of more than 1024 characters", "delivery is paused"]
    {
        assert!(above.iter().any(|line| line.contains(text)), "{text:?} was not logged: {above:#?}");
    }
    let named: Vec<_> = above.iter().filter(|line| !found_in(line, PERSON).is_empty()).collect();
    assert!(named.is_empty(), "{named:#?}");
    // Why a plugin failed is for those who ask for more.
    assert!(said.lines().any(|line| line.trim_start().starts_with("DEBUG") && line.contains("no profile of sentinel-person")));
}
