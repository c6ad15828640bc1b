//! What each credential sends, and where to. Real names are asked for through a proxy that leads them all to a server of the test's own.

use amplitude_sdk::{
    Error, ErrorKind, ProjectKey, Region,
    server::{
        AnyClient, AnyCredential, CanVerify, Client, Credential, CredentialError, CredentialKind, DeploymentKey, ExportRange,
        IngestOptions, ManagementKey, Options, OrgKey, OrgPair, OrgSecretKey, PersonalAccessToken, ProfileKey, ProjectPair,
        Refusal, ScimKey, SecretKey, ServerDeploymentKey,
    },
};

use crate::{
    KEY, SECRET,
    authority::{Authority, Identity},
    block_on, event, pair,
    proxy::Tunnel,
    support::{Answer, Stub},
};

const HOSTS: [&str; 12] = [
    "amplitude.com",
    "analytics.eu.amplitude.com",
    "profile-api.amplitude.com",
    "core.amplitude.com",
    "core.eu.amplitude.com",
    "api.lab.amplitude.com",
    "api.lab.eu.amplitude.com",
    "experiment.amplitude.com",
    "experiment.eu.amplitude.com",
    "developer-api.amplitude.com",
    "developer-api.eu.amplitude.com",
    "api2.amplitude.com",
];

pub(crate) fn profile() -> ProfileKey {
    ProfileKey::new(SecretKey::new(SECRET).unwrap())
}

pub(crate) fn org(secret: &str) -> OrgPair {
    OrgPair::new(OrgKey::new(KEY).unwrap(), OrgSecretKey::new(secret).unwrap())
}

fn range() -> ExportRange {
    ExportRange::parse("20260101T00", "20260101T23").unwrap()
}

/// The host, path and `Authorization` of the one request that verifies a credential.
fn verified(credential: impl CanVerify, region: Region) -> (String, String, String) {
    let authority = Authority::new();
    let stub = Stub::start_tls(authority.server(Identity { names: &HOSTS, ..Identity::default() }), []);
    let tunnel = Tunnel::to(stub.address());
    let options = Options::new().region(region).proxy(tunnel.url()).add_root_certificate(authority.pem);
    block_on(Client::with_options(credential, options).unwrap().verify()).unwrap();
    let requests = stub.seen();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    let text = |name| request.header(name).unwrap_or_default().to_owned();
    (text("host"), request.line.clone(), text("authorization"))
}

fn basic(key: &str, secret: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    format!("Basic {}", BASE64_STANDARD.encode(format!("{key}:{secret}")))
}

#[test]
fn each_credential_goes_to_its_own_hosts_in_its_own_words() {
    for (region, eu, analytics) in [(Region::Us, "", "amplitude.com"), (Region::Eu, "eu.", "analytics.eu.amplitude.com")] {
        let (host, line, authorization) = verified(pair(SECRET), region);
        let export = "GET /api/2/export?start=20000101T00&end=20000101T00 HTTP/1.1";
        assert_eq!((host.as_str(), line.as_str(), authorization), (analytics, export, basic(KEY, SECRET)));

        let (host, line, authorization) = verified(org(SECRET), region);
        assert_eq!((host, authorization), (format!("core.{eu}amplitude.com"), basic(KEY, SECRET)));
        assert_eq!(line, "GET /user-management/1/roles HTTP/1.1");

        let bearer = format!("Bearer {SECRET}");
        let (host, line, authorization) = verified(ScimKey::new(SECRET).unwrap(), region);
        assert_eq!((host, authorization), (format!("core.{eu}amplitude.com"), bearer.clone()));
        assert_eq!(line, "GET /scim/1/Users?startIndex=1&itemsPerPage=1 HTTP/1.1");

        let (host, line, authorization) = verified(ManagementKey::new(SECRET).unwrap(), region);
        assert_eq!((host, authorization), (format!("experiment.{eu}amplitude.com"), bearer));
        assert_eq!(line, "GET /api/1/flags?limit=1 HTTP/1.1");

        let lab = format!("api.lab.{eu}amplitude.com");
        let (host, line, authorization) = verified(ServerDeploymentKey::new("server-fake").unwrap(), region);
        assert_eq!((host, authorization), (lab.clone(), "Api-Key server-fake".to_owned()));
        assert_eq!(line, "GET /v1/flags HTTP/1.1");
        let (host, _, authorization) = verified(DeploymentKey::new("client-demo").unwrap(), region);
        assert_eq!((host, authorization), (lab, "Api-Key client-demo".to_owned()));

        let (host, line, authorization) = verified(PersonalAccessToken::new("amp_fake").unwrap(), region);
        assert_eq!((host, authorization), (format!("developer-api.{eu}amplitude.com"), "Bearer PAT=amp_fake".to_owned()));
        assert_eq!(line, "GET /v1/context HTTP/1.1");
    }
    let (host, line, authorization) = verified(profile(), Region::Us);
    assert_eq!((host.as_str(), authorization), ("profile-api.amplitude.com", format!("Api-Key {SECRET}")));
    assert!(line.starts_with("GET /v1/userprofile?user_id="), "{line}");
    let eu = Client::with_options(profile(), Options::new().region(Region::Eu)).unwrap();
    let error = block_on(eu.verify()).unwrap_err();
    assert!(error.to_string().contains("in the US only"), "{error}");
}

fn verify_at<C: CanVerify>(credential: C, answer: Answer) -> Result<(), Error> {
    let stub = Stub::start([answer]);
    block_on(Client::with_options(credential, Options::new().base_url(stub.base_url())).unwrap().verify())
}

#[test]
fn a_server_that_has_nothing_to_show_has_taken_the_credential_all_the_same() {
    let say = |status, text: &str| Answer::Say(status, "text/plain", text.to_owned());
    verify_at(pair(SECRET), say(404, "Raw data files were not found.")).unwrap();
    verify_at(profile(), say(400, r#"{"error":"User id and device id not seen before"}"#)).unwrap();
    let not_enrolled = verify_at(org(SECRET), say(403, r#"{"error":"org_not_enrolled"}"#));
    not_enrolled.unwrap();
    for (answer, kind) in [
        (say(404, "<html>no such page</html>"), ErrorKind::NotFound),
        (say(401, ""), ErrorKind::Unauthorized),
        (say(403, ""), ErrorKind::Unauthorized),
        (say(429, ""), ErrorKind::Throttled),
        (say(500, ""), ErrorKind::Status),
        (Answer::Header(302, "location: /login".to_owned()), ErrorKind::Protocol),
        (Answer::HangUp, ErrorKind::Transport),
    ] {
        assert_eq!(verify_at(pair(SECRET), answer.clone()).unwrap_err().kind(), kind, "{answer:?}");
        assert_eq!(verify_at(org(SECRET), answer.clone()).unwrap_err().kind(), kind, "{answer:?}");
    }
}

/// What stands behind the error.
fn reason(error: &Error) -> &CredentialError {
    error.credential_error().unwrap_or_else(|| panic!("{error:?}"))
}

#[test]
fn a_refused_credential_says_what_to_do_next() {
    for (status, text, why, said) in [
        (401, "", Refusal::Unknown, "EU hosts only"),
        (401, "Invalid Api-Key", Refusal::Unknown, "Settings → Projects → your project → General"),
        (403, r#"{"error":"this key has expired"}"#, Refusal::Expired, "get a new one"),
        (401, r#"{"error":"API key was revoked"}"#, Refusal::Revoked, "put it where the old one is read from"),
        (401, r#"{"error":"project is in the EU region"}"#, Refusal::WrongRegion, "AMPLITUDE_REGION"),
        (401, "<html>your session expired</html>", Refusal::Unknown, "whole and without white space"),
    ] {
        let stub = Stub::start([Answer::Say(status, "text/plain", text.to_owned())]);
        let client = Client::with_options(pair(SECRET), Options::new().base_url(stub.base_url())).unwrap();
        let error = block_on(client.export(range())).unwrap_err();
        assert_eq!((error.kind(), error.status(), error.is_retryable()), (ErrorKind::Unauthorized, Some(status), false));
        let host = "127.0.0.1".to_owned();
        assert_eq!(*reason(&error), CredentialError::Refused { kind: CredentialKind::ProjectPair, why, host });
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(stub.seen().len(), 1, "the same key is not tried again");
    }
}

#[test]
fn a_token_may_be_good_and_not_allow_a_call() {
    let challenge = r#"www-authenticate: Bearer error="insufficient_scope", scope="projects:read""#;
    let expired = r#"www-authenticate: Bearer error="invalid_token", error_description="The access token expired""#;
    let (kind, host) = (CredentialKind::PersonalAccessToken, "127.0.0.1".to_owned());
    let forbidden = Answer::Say(403, "application/json", r#"{"error_code":"forbidden"}"#.to_owned());
    for (answer, why, is_good) in [
        (
            Answer::Header(403, challenge.to_owned()),
            CredentialError::InsufficientScope { needed: "projects:read".parse().unwrap() },
            true,
        ),
        (forbidden, CredentialError::Forbidden { kind, host: host.clone() }, true),
        (
            Answer::Header(401, expired.to_owned()),
            CredentialError::Refused { kind, why: Refusal::Expired, host: host.clone() },
            false,
        ),
    ] {
        let stub = Stub::start([answer.clone(), answer]);
        let token = PersonalAccessToken::new("amp_fake").unwrap();
        let client = Client::with_options(token, Options::new().base_url(stub.base_url())).unwrap();
        assert_eq!(*reason(&block_on(client.context()).unwrap_err()), why);
        assert_eq!(block_on(client.verify()).is_ok(), is_good, "{why}");
    }
}

#[test]
fn keys_that_are_swapped_or_mistyped_are_refused_where_they_are_given() {
    let of = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    for (said, error) in [
        ("server deployment key (`ServerDeploymentKey`)", of(SecretKey::new("server-sentinel").unwrap_err())),
        ("personal access token (`PersonalAccessToken`)", of(OrgSecretKey::new("amp_sentinel").unwrap_err())),
        ("client deployment key (`DeploymentKey`)", of(ServerDeploymentKey::new("client-sentinel").unwrap_err())),
        ("server deployment key (`ServerDeploymentKey`)", of(DeploymentKey::new("server-sentinel").unwrap_err())),
        ("server deployment key (`ServerDeploymentKey`)", of(ManagementKey::new("server-sentinel").unwrap_err())),
        ("client deployment key (`DeploymentKey`)", of(ScimKey::new("client-sentinel").unwrap_err())),
        ("server deployment key (`ServerDeploymentKey`)", of(PersonalAccessToken::new("server-sentinel").unwrap_err())),
        ("personal access token (`PersonalAccessToken`)", of(OrgKey::new("amp_sentinel").unwrap_err())),
        ("is no part of it", of(PersonalAccessToken::new("PAT=amp_sentinel").unwrap_err())),
        ("has quotes around it", of(SecretKey::new("\"sentinel\"").unwrap_err())),
        ("white space", of(ManagementKey::new("sentinel ").unwrap_err())),
        ("is empty", of(ScimKey::new("").unwrap_err())),
    ] {
        assert!(error.contains(said) && !error.contains("sentinel"), "{error}");
    }
}

#[test]
fn every_credential_comes_from_its_variables() {
    type Read = fn(&dyn Fn(&str) -> Option<String>) -> Result<String, Error>;
    fn shown(credential: Result<impl std::fmt::Debug, Error>) -> Result<String, Error> {
        credential.map(|credential| format!("{credential:?}"))
    }
    let cases: [(&[(&str, &str)], Read); 8] = [
        (&[("AMPLITUDE_API_KEY", KEY), ("AMPLITUDE_SECRET_KEY", SECRET)], |it| shown(ProjectPair::from_lookup(it))),
        (&[("AMPLITUDE_SECRET_KEY", SECRET)], |it| shown(ProfileKey::from_lookup(it))),
        (&[("AMPLITUDE_ORG_API_KEY", KEY), ("AMPLITUDE_ORG_SECRET_KEY", SECRET)], |it| shown(OrgPair::from_lookup(it))),
        (&[("AMPLITUDE_SCIM_KEY", SECRET)], |it| shown(ScimKey::from_lookup(it))),
        (&[("AMPLITUDE_DEPLOYMENT_KEY", "server-fake")], |it| shown(ServerDeploymentKey::from_lookup(it))),
        (&[("AMPLITUDE_DEPLOYMENT_KEY", "client-demo")], |it| shown(DeploymentKey::from_lookup(it))),
        (&[("AMPLITUDE_MANAGEMENT_KEY", SECRET)], |it| shown(ManagementKey::from_lookup(it))),
        (&[("AMPLITUDE_PERSONAL_ACCESS_TOKEN", "amp_fake")], |it| shown(PersonalAccessToken::from_lookup(it))),
    ];
    for (variables, read) in cases {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        let shown = read(&find).unwrap();
        assert!(!shown.contains(SECRET) && !shown.contains("fake"), "{shown}");
        // From files, the key's too.
        let folder = tempfile::tempdir().unwrap();
        let in_file = |name: &str| {
            let text = find(name.strip_suffix("_FILE")?)?;
            let path = folder.path().join(name);
            std::fs::write(&path, format!("{text}\n")).unwrap();
            Some(path.to_str().unwrap().to_owned())
        };
        let shown = read(&in_file).unwrap();
        assert!(!shown.contains(SECRET) && !shown.contains("fake"), "{shown}");
        for (name, _) in variables {
            let without = |asked: &str| find(asked).filter(|_| asked != *name);
            let error = read(&without).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().starts_with(&format!("{name}: is not set or empty, and so is {name}_FILE")), "{error}");
        }
    }
}

/// The error of a client whose credential is known at run time.
fn unable(error: Error) -> (CredentialKind, &'static str) {
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, None));
    match reason(&error) {
        CredentialError::Unable { held, needs, .. } => (*held, *needs),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_credential_of_any_kind_does_what_its_kind_can_and_names_the_right_one_for_the_rest() {
    let stub = Stub::start([]);
    let client = |credential: AnyCredential| -> AnyClient {
        Client::with_options(credential, Options::new().base_url(stub.base_url())).unwrap()
    };
    let ingest = |client: &AnyClient| block_on(client.ingest(&mut [event("user123")], IngestOptions::new()));
    let alone = client(ProjectKey::new(KEY).unwrap().into());
    ingest(&alone).unwrap();
    let (kind, needs) = unable(block_on(alone.export(range())).unwrap_err());
    assert!(kind == CredentialKind::ProjectKey && needs.contains("`ProjectPair`"), "{needs}");
    assert_eq!(unable(block_on(alone.verify()).unwrap_err()).0, CredentialKind::ProjectKey);

    let scim = client(ScimKey::new(SECRET).unwrap().into());
    block_on(scim.verify()).unwrap();
    let (kind, needs) = unable(ingest(&scim).unwrap_err());
    assert!(kind == CredentialKind::ScimKey && needs.contains("`ProjectKey`"), "{needs}");
    let (_, needs) = unable(block_on(scim.context()).unwrap_err());
    assert!(needs.contains("`PersonalAccessToken`"), "{needs}");

    let with_secret = IngestOptions::new().with_secret();
    let error = block_on(alone.ingest(&mut [event("user123")], with_secret)).unwrap_err();
    assert!(error.to_string().starts_with("with_secret: "), "{error}");
    let both = Client::with_options(pair(SECRET), Options::new().base_url(stub.base_url())).unwrap();
    let both = both.with_bearer(PersonalAccessToken::new("amp_fake").unwrap()).into_any();
    block_on(both.ingest(&mut [event("user123")], with_secret)).unwrap();
    block_on(both.verify()).unwrap();
    let seen = stub.seen();
    assert_eq!(seen.len(), 5, "what cannot be done is not tried: {seen:?}");
    assert_eq!(seen[2].json()["secret"], SECRET);
    let authorizations: Vec<_> = seen.iter().map(|it| it.header("authorization")).collect();
    let (basic, bearer) = (basic(KEY, SECRET), format!("Bearer {SECRET}"));
    assert_eq!(authorizations, [None, Some(&*bearer), None, Some(&*basic), Some("Bearer PAT=amp_fake")]);
}

#[test]
fn clients_of_all_credentials_are_send_sync_and_clone() {
    fn check<C: Credential>() {
        fn check<T: Send + Sync + Clone + 'static>() {}
        check::<Client<C>>();
    }
    check::<AnyCredential>();
    check::<ProjectPair>();
    check::<ScimKey>();
    fn check_future<T: Send>(_: T) {}
    let client = Client::new(pair(SECRET)).unwrap();
    check_future(client.export(range()));
    check_future(client.verify());
}
