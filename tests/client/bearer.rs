//! Tokens of OAuth in a client: where they go, what happens when a server refuses one, and what was granted.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use amplitude_sdk::{
    Error, ErrorKind, Region,
    server::{
        AccessToken, AuthEvent, BoxFuture, Client, CredentialError, ExportRange, OAuth, Options, ProjectBearer, Scope,
        ScopeMonitor, ScopeSet, SecretSource, SecretText, StaticToken, VersionedSecret,
        oauth::{AuthError, Lease, Reauth, TokenProvider},
        scope,
    },
};

use crate::{
    authority::{Authority, Identity},
    block_on,
    proxy::Tunnel,
    support::{Answer, Stub},
};

/// Gives `fake-token-0` and, for one that was rejected, the next one.
#[derive(Clone)]
struct Tokens {
    generation: Arc<AtomicU64>,
    asked: Arc<Mutex<Vec<Option<u64>>>>,
    hosts: &'static [&'static str],
    granted: ScopeSet,
    renews: bool,
}

impl Default for Tokens {
    fn default() -> Self {
        let (generation, asked) = Default::default();
        Self { generation, asked, hosts: &["127.0.0.1"], granted: ScopeSet::new(), renews: true }
    }
}

impl TokenProvider for Tokens {
    fn token(&self, rejected: Option<u64>) -> BoxFuture<'_, Result<Lease, AuthError>> {
        self.asked.lock().unwrap().push(rejected);
        Box::pin(async move {
            let mut generation = self.generation.load(Ordering::Relaxed);
            if rejected == Some(generation) && self.renews {
                generation += 1;
                self.generation.store(generation, Ordering::Relaxed);
            }
            Ok(Lease::new(AccessToken::new(format!("fake-token-{generation}")).unwrap(), generation))
        })
    }

    fn granted(&self) -> ScopeSet {
        self.granted.clone()
    }

    fn is_for(&self, host: &str) -> bool {
        self.hosts.contains(&host)
    }
}

const CONTEXT: &str = r#"{"data":{"principal":{"login_id":"user@example.com","org_id":"7","org_name":"Demo","auth_type":"oauth","scopes":["projects:read"]}}}"#;

fn context() -> Answer {
    Answer::Say(200, "application/json", CONTEXT.to_owned())
}

fn invalid_token() -> Answer {
    Answer::Header(401, r#"www-authenticate: Bearer error="invalid_token""#.to_owned())
}

fn client(tokens: &Tokens, stub: &Stub) -> Client<OAuth> {
    Client::with_options(OAuth::new(tokens.clone()), Options::new().base_url(stub.base_url())).unwrap()
}

fn bearers(stub: &Stub) -> Vec<String> {
    stub.seen().iter().map(|request| request.header("authorization").unwrap_or_default().to_owned()).collect()
}

fn range() -> ExportRange {
    ExportRange::parse("20260101T00", "20260101T23").unwrap()
}

fn auth_error(error: &Error) -> &AuthError {
    error.auth_error().unwrap_or_else(|| panic!("{error:?}"))
}

#[test]
fn t_b8_a_token_goes_in_the_header_and_nowhere_else() {
    let stub = Stub::start([context()]);
    let found = block_on(client(&Tokens::default(), &stub).context()).unwrap();
    assert_eq!((found.auth_type.as_str(), found.org_name.as_deref()), ("oauth", Some("Demo")));
    assert_eq!(found.scopes, ScopeSet::from([scope::PROJECTS_READ]));
    let seen = stub.seen();
    assert_eq!(bearers(&stub), ["Bearer fake-token-0"]);
    assert_eq!((seen[0].line.as_str(), seen[0].text.as_str()), ("GET /v1/context HTTP/1.1", ""));
}

/// Gives one token, numbered anew whenever it is asked.
struct Renumbering(AtomicU64);

impl SecretSource for Renumbering {
    fn current(&self) -> BoxFuture<'_, Result<VersionedSecret, Error>> {
        let version = self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { Ok(VersionedSecret::new(SecretText::new("fake-token")?, version)) })
    }

    fn invalidate(&self, _: u64) {}
}

#[test]
fn a_refused_token_is_not_sent_again_under_another_number() {
    let stub = Stub::start([invalid_token(), invalid_token()]);
    let token = StaticToken::from_source(Renumbering(AtomicU64::new(0)), Region::Us).host("127.0.0.1").unwrap();
    let client = Client::with_options(OAuth::new(token), Options::new().base_url(stub.base_url())).unwrap();
    assert_eq!(block_on(client.context()).unwrap_err().status(), Some(401));
    assert_eq!(bearers(&stub), ["Bearer fake-token"]);
}

#[test]
fn t_b9_a_refused_token_is_replaced_once_and_the_request_repeated() {
    let (tokens, stub) = (Tokens::default(), Stub::start([invalid_token(), context(), context()]));
    let client = client(&tokens, &stub);
    block_on(client.context()).unwrap();
    block_on(client.context()).unwrap();
    assert_eq!(bearers(&stub), ["Bearer fake-token-0", "Bearer fake-token-1", "Bearer fake-token-1"]);
    assert_eq!(*tokens.asked.lock().unwrap(), [None, Some(0), None]);
}

#[test]
fn t_b9_two_refused_tokens_are_enough() {
    let (tokens, stub) = (Tokens::default(), Stub::start(vec![invalid_token(); 5]));
    let error = block_on(client(&tokens, &stub).context()).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, Some(401)));
    assert_eq!(bearers(&stub), ["Bearer fake-token-0", "Bearer fake-token-1"]);

    let tokens = Tokens { renews: false, ..Tokens::default() };
    let stub = Stub::start(vec![invalid_token(); 5]);
    block_on(client(&tokens, &stub).context()).unwrap_err();
    assert_eq!(bearers(&stub), ["Bearer fake-token-0"], "the same token is not sent again");
}

#[test]
fn t_b9_too_few_scopes_are_told_and_no_other_token_is_asked_for() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&told);
    let challenge = r#"www-authenticate: Bearer realm="x", error="insufficient_scope", scope="projects:read taxonomy:read""#;
    let stub = Stub::start([Answer::Header(403, challenge.to_owned())]);
    let tokens = Tokens::default();
    let options = Options::new().base_url(stub.base_url()).observer(move |event: &AuthEvent<'_>| {
        if let AuthEvent::InsufficientScope { needed } = event {
            heard.lock().unwrap().push(needed.to_string());
        }
    });
    let error = block_on(Client::with_options(OAuth::new(tokens.clone()), options).unwrap().context()).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, Some(403)));
    let AuthError::InsufficientScope { needed } = auth_error(&error) else { panic!("{error:?}") };
    assert_eq!(needed.to_string(), "projects:read taxonomy:read");
    assert_eq!(*told.lock().unwrap(), ["projects:read taxonomy:read"]);
    assert_eq!((stub.seen().len(), tokens.asked.lock().unwrap().len()), (1, 1));
}

#[test]
fn t_b10_a_token_goes_to_no_host_but_its_own() {
    // For localhost, and so for neither 127.0.0.1 nor a host of Amplitude's.
    let tokens = Tokens { hosts: &["localhost"], ..Tokens::default() };
    let stub = Stub::start([]);
    let error = block_on(client(&tokens, &stub).context()).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, None));
    assert!(matches!(auth_error(&error), AuthError::ForeignHost { host } if host == "127.0.0.1"), "{error:?}");
    assert!(error.to_string().contains("check the region"), "{error}");
    assert!(tokens.asked.lock().unwrap().is_empty(), "a token was asked for");
    assert!(stub.seen().is_empty());
}

#[test]
fn t_b10_a_token_of_one_region_does_not_go_to_the_other() {
    let authority = Authority::new();
    let names = ["developer-api.amplitude.com", "developer-api.eu.amplitude.com"];
    let stub = Stub::start_tls(authority.server(Identity { names: &names, ..Identity::default() }), [context(), context()]);
    let tunnel = Tunnel::to(stub.address());
    for (of, at, is_sent) in [
        (Region::Us, Region::Us, true),
        (Region::Us, Region::Eu, false),
        (Region::Eu, Region::Us, false),
        (Region::Eu, Region::Eu, true),
    ] {
        let before = stub.seen().len();
        let token = OAuth::new(StaticToken::new(AccessToken::new("fake-token").unwrap(), of));
        let options = Options::new().region(at).proxy(tunnel.url()).add_root_certificate(authority.pem.as_str());
        let result = block_on(Client::with_options(token, options).unwrap().context());
        assert_eq!((result.is_ok(), stub.seen().len() - before), (is_sent, usize::from(is_sent)), "{of:?} {at:?}");
    }
}

#[test]
fn t_b10_a_token_follows_no_redirect_and_needs_tls() {
    let other = Stub::start([]);
    let leads = |status| Answer::Header(status, format!("location: {}/v1/context", other.base_url()));
    let stub = Stub::start([301, 302, 303, 307, 308].map(leads));
    let (tokens, count) = (Tokens::default(), 5);
    for _ in 0..count {
        assert_eq!(block_on(client(&tokens, &stub).context()).unwrap_err().kind(), ErrorKind::Protocol);
    }
    assert_eq!((stub.seen().len(), other.seen().len()), (count, 0));
    let error = Client::with_options(OAuth::new(tokens), Options::new().base_url("http://developer-api.amplitude.com"));
    assert!(error.unwrap_err().to_string().contains("must be https"));
    // Of an authority that is not trusted.
    let authority = Authority::new();
    let stub = Stub::start_tls(authority.server(Identity::default()), [context()]);
    let tokens = Tokens { hosts: &["localhost"], ..Tokens::default() };
    assert_eq!(block_on(client(&tokens, &stub).context()).unwrap_err().kind(), ErrorKind::Transport);
    assert!(stub.seen().is_empty());
}

#[test]
fn a_provider_that_has_no_token_ends_the_call_with_its_own_error() {
    struct Gone;
    impl TokenProvider for Gone {
        fn token(&self, _: Option<u64>) -> BoxFuture<'_, Result<Lease, AuthError>> {
            Box::pin(async { Err(AuthError::ReauthRequired(Reauth::GrantRefused)) })
        }
        fn granted(&self) -> ScopeSet {
            ScopeSet::new()
        }
        fn is_for(&self, _: &str) -> bool {
            true
        }
    }
    let stub = Stub::start([]);
    let client = Client::with_options(OAuth::new(Gone), Options::new().base_url(stub.base_url())).unwrap();
    let error = block_on(client.context()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(matches!(auth_error(&error), AuthError::ReauthRequired(Reauth::GrantRefused)));
    assert!(error.to_string().contains("have the user consent again"), "{error}");
    assert!(stub.seen().is_empty());
}

#[test]
fn delegated_access_reads_events_with_the_scope_that_was_granted() {
    let read_events = Scope::new("events-of-the-application").unwrap();
    let none = || Answer::Say(404, "text/plain", "Raw data files were not found.".to_owned());
    let stub = Stub::start([none(), invalid_token(), none()]);
    let scopes = ScopeMonitor::new();
    let options = || Options::new().base_url(stub.base_url()).observer(scopes.clone());

    let granted = Tokens { granted: [read_events.clone()].into(), ..Tokens::default() };
    let bearer = Client::with_options(ProjectBearer::new(OAuth::new(granted), read_events.clone()), options()).unwrap();
    block_on(bearer.export(range())).unwrap();
    block_on(bearer.export(range())).unwrap();
    assert_eq!(bearers(&stub), ["Bearer fake-token-0", "Bearer fake-token-0", "Bearer fake-token-1"]);
    assert_eq!(scopes.report().used, [(read_events.clone(), 3)].into());

    let other = Tokens { granted: [scope::MCP_READ].into(), ..Tokens::default() };
    let bearer = Client::with_options(ProjectBearer::new(OAuth::new(other), read_events.clone()), options()).unwrap();
    let error = block_on(bearer.export(range())).unwrap_err();
    let AuthError::InsufficientScope { needed } = auth_error(&error) else { panic!("{error:?}") };
    assert_eq!(*needed, ScopeSet::from([read_events]));
    assert_eq!((error.status(), stub.seen().len()), (None, 3), "nothing was sent");
}

#[test]
fn a_project_api_that_takes_no_tokens_is_told_apart() {
    let scope = Scope::new("reads").unwrap();
    for (status, requests) in [(401, 2), (403, 1)] {
        let stub = Stub::start(vec![Answer::Say(status, "text/plain", "Invalid API Key".to_owned()); 3]);
        let tokens = Tokens { granted: [scope.clone()].into(), ..Tokens::default() };
        let bearer = ProjectBearer::new(OAuth::new(tokens), scope.clone());
        let client = Client::with_options(bearer, Options::new().base_url(stub.base_url())).unwrap();
        let error = block_on(client.export(range())).unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, Some(status)));
        assert_eq!(error.credential_error(), Some(&CredentialError::BearerUndocumented { host: "127.0.0.1".to_owned() }));
        assert!(error.to_string().contains("only on the Developer API and MCP"), "{error}");
        assert_eq!(stub.seen().len(), requests);
    }
}

#[test]
fn a_token_from_the_environment_has_its_regions_hosts_and_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "fake-token-a\n").unwrap();
    let stub = Stub::start([invalid_token(), context(), invalid_token(), context()]);
    let lookup = |name: &str| match name {
        "AMPLITUDE_ACCESS_TOKEN_FILE" => Some(path.to_str().unwrap().to_owned()),
        "AMPLITUDE_BASE_URL" => Some(stub.base_url()),
        "AMPLITUDE_OAUTH_SCOPES" => Some("projects:read mcp:read".to_owned()),
        _ => None,
    };
    let token = OAuth::from_lookup(lookup).unwrap();
    assert_eq!(token.granted().to_string(), "mcp:read projects:read");
    let client = Client::with_options(token, Options::new().base_url(stub.base_url())).unwrap();
    block_on(client.context()).unwrap_err();
    std::fs::write(&path, "fake-token-b\n").unwrap();
    block_on(client.context()).unwrap();
    // Read a moment ago: without a refusal it is not read again.
    block_on(client.context()).unwrap();
    let (a, b) = ("Bearer fake-token-a", "Bearer fake-token-b");
    assert_eq!(bearers(&stub), [a, a, a, b]);
    for (names, said) in [
        (&[][..], "AMPLITUDE_ACCESS_TOKEN: is not set or empty"),
        (&[("AMPLITUDE_ACCESS_TOKEN", "a b")], "AMPLITUDE_ACCESS_TOKEN: access token: holds white space"),
        (&[("AMPLITUDE_ACCESS_TOKEN", "a"), ("AMPLITUDE_OAUTH_SCOPES", "\"")], "AMPLITUDE_OAUTH_SCOPES: scope: "),
        (&[("AMPLITUDE_ACCESS_TOKEN", "a"), ("AMPLITUDE_BASE_URL", "http://example.com")], "AMPLITUDE_BASE_URL: must be https"),
    ] {
        let find = |name: &str| names.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        let error = OAuth::from_lookup(find).unwrap_err();
        assert!(error.to_string().starts_with(said), "{error}");
    }
}
