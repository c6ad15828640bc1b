//! What servers and resources say of themselves.

use std::time::Duration;

use amplitude_sdk::server::oauth::{AuthError, AuthorizationServer, Discovery, Stage};
use serde_json::{Value, json};

use crate::{
    server::Server,
    shown::Shown as _,
    stub::{Reply, Seen, Stub},
};

const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

fn metadata(origin: &str) -> Value {
    json!({"issuer": origin, "authorization_endpoint": format!("{origin}/authorize"), "token_endpoint": format!("{origin}/token")})
}

async fn discover(answer: impl Fn(&Seen, &str) -> Reply + Send + Sync + 'static) -> Result<AuthorizationServer, AuthError> {
    let stub = Stub::start(answer);
    AuthorizationServer::discover(&stub.url(""), &stub.options()).await.shown()
}

fn problem(result: Result<impl std::fmt::Debug, AuthError>) -> &'static str {
    match result.shown() {
        Err(AuthError::Protocol { stage: Stage::Discovery, problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn t_a9_a_real_server_is_discovered() {
    let Some(server) = Server::shared() else { return };
    let known = AuthorizationServer::discover(&server.issuer, &server.options()).await.unwrap();
    assert_eq!(known.issuer(), server.issuer);
    assert_eq!(known.hosts(), ["127.0.0.1"]);
    let scopes = known.scopes().unwrap().to_string();
    assert_eq!(scopes, "mcp:read mcp:write offline_access openid");
    // It calls itself by a name without a slash.
    let slash = AuthorizationServer::discover(&format!("{}/", server.issuer), &server.options()).await;
    assert_eq!(problem(slash), "names another issuer");
}

#[tokio::test]
async fn t_a9_what_is_not_the_issuers_own_document_is_refused() {
    for wrong in ["https://elsewhere.example", "/", ""] {
        let found = discover(move |_, origin| {
            let named = if wrong == "/" { format!("{origin}/") } else { wrong.to_owned() };
            Reply::json(200, &json!({"issuer": named, "token_endpoint": format!("{origin}/token")}))
        });
        assert_eq!(problem(found.await), "names another issuer", "{wrong}");
    }
    let html = discover(|_, origin| Reply::new(200, "text/html", metadata(origin).to_string()));
    assert_eq!(problem(html.await), "is not JSON (content type)");
    let huge = discover(|_, origin| {
        let mut body = metadata(origin);
        body["filler"] = "x".repeat(2 << 20).into();
        Reply::json(200, &body)
    });
    assert_eq!(problem(huge.await), "is longer than 64 KiB");
    for broken in ["", "{", "[]", "null", r#"{"issuer":7}"#] {
        let found = discover(move |_, _| Reply::new(200, "application/json", broken));
        assert_eq!(problem(found.await), "is not the JSON that the standard says", "{broken}");
    }
    let cut_off = discover(|_, _| Reply::hang_up()).await;
    assert!(matches!(&cut_off, Err(error @ AuthError::Transient { .. }) if error.is_retryable()), "{cut_off:?}");
}

#[tokio::test]
async fn t_a9_endpoints_are_https_and_may_be_elsewhere() {
    let with = |endpoint: &'static str| {
        discover(move |_, origin| {
            let mut body = metadata(origin);
            body["token_endpoint"] = endpoint.into();
            Reply::json(200, &body)
        })
    };
    for insecure in ["http://localhost/token", "http://elsewhere.example/token"] {
        assert!(matches!(with(insecure).await, Err(AuthError::Insecure { what: "token_endpoint" })), "{insecure}");
    }
    assert!(matches!(with("token").await, Err(AuthError::Invalid(_))));
    with("https://elsewhere.example/token").await.unwrap();
}

#[tokio::test]
async fn t_a9_the_next_place_is_asked_where_there_is_nothing() {
    let openid_alone = |seen: &Seen, origin: &str| match seen.path.as_str() {
        "/tenant/.well-known/openid-configuration" => {
            let mut body = metadata(origin);
            body["issuer"] = format!("{origin}/tenant").into();
            Reply::json(200, &body)
        }
        _ => Reply::new(404, "text/html", "<html>"),
    };
    let stub = Stub::start(openid_alone);
    AuthorizationServer::discover(&stub.url("/tenant"), &stub.options()).await.unwrap();
    let asked: Vec<_> = stub.seen().into_iter().map(|seen| seen.path).collect();
    let expected = [
        format!("{WELL_KNOWN}/tenant"),
        "/.well-known/openid-configuration/tenant".to_owned(),
        "/tenant/.well-known/openid-configuration".to_owned(),
    ];
    assert_eq!(asked, expected);
    // A server that fails is not one that has nothing.
    let stub = Stub::start(|_, _| Reply::json(503, &json!({})).header("retry-after", "7"));
    let error = AuthorizationServer::discover(&stub.url(""), &stub.options()).await.shown().unwrap_err();
    assert!(matches!(error, AuthError::Transient { retry_after: Some(after), .. } if after == Duration::from_secs(7)));
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn t_a9_an_answer_is_remembered_for_a_time() {
    let stub = Stub::start(|_, origin| Reply::json(200, &metadata(origin)));
    let discovery = Discovery::new(&stub.options()).unwrap();
    for _ in 0..3 {
        discovery.clone().server(&stub.url("")).await.unwrap();
    }
    assert_eq!(stub.seen().len(), 1);
    // What is asked for is no more than what is remembered.
    assert!(discovery.server(&stub.url("/")).await.is_err());
    let forgetful = discovery.max_age(Duration::ZERO);
    for _ in 0..2 {
        forgetful.server(&stub.url("")).await.unwrap();
    }
    assert_eq!(stub.seen_at(WELL_KNOWN).len(), 4);
}

/// As Amplitude's: the metadata with the path has nothing, and the resource is the origin.
fn amplitude(seen: &Seen, origin: &str) -> Reply {
    match seen.path.as_str() {
        "/.well-known/oauth-protected-resource" => {
            let body =
                json!({"resource": origin, "authorization_servers": [origin], "scopes_supported": ["mcp:read", "mcp:write"]});
            Reply::json(200, &body)
        }
        WELL_KNOWN => Reply::json(200, &metadata(origin)),
        _ => Reply::json(404, &json!({})),
    }
}

#[tokio::test]
async fn t_a10_a_resource_is_asked_as_amplitudes_answers() {
    let stub = Stub::start(amplitude);
    let discovery = Discovery::new(&stub.options()).unwrap();
    let resource = discovery.resource(&stub.url("/mcp")).await.unwrap();
    assert_eq!((resource.resource(), resource.authorization_server()), (&*stub.url(""), &*stub.url("")));
    assert_eq!(resource.scopes().unwrap().to_string(), "mcp:read mcp:write");
    discovery.server(resource.authorization_server()).await.unwrap();

    let challenge = format!(
        r#"Bearer realm="OAuth", resource_metadata="{}", error="invalid_request""#,
        stub.url("/.well-known/oauth-protected-resource")
    );
    let of_challenge = discovery.resource_of_challenge(&stub.url("/mcp"), &challenge).await.unwrap();
    assert_eq!(of_challenge.resource(), stub.url(""));
}

#[tokio::test]
async fn t_a10_a_challenge_leads_to_its_own_origin_alone() {
    let (stub, elsewhere) = (Stub::start(amplitude), Stub::start(amplitude));
    let discovery = Discovery::new(&stub.options()).unwrap();
    let foreign = format!(r#"Bearer resource_metadata="{}""#, elsewhere.url("/.well-known/oauth-protected-resource"));
    for challenge in [&*foreign, "Bearer", "Basic realm=x", r#"Bearer resource_metadata="/x""#] {
        let error = discovery.resource_of_challenge(&stub.url("/mcp"), challenge).await.shown().unwrap_err();
        assert!(error.to_string().starts_with("resource_metadata: "), "{challenge}: {error}");
    }
    let insecure = discovery.resource_of_challenge(&stub.url("/mcp"), r#"Bearer resource_metadata="http://a.example/""#).await;
    assert!(matches!(insecure, Err(AuthError::Insecure { what: "resource_metadata" })));
    assert_eq!((stub.seen().len(), elsewhere.seen().len()), (0, 0));
}

#[tokio::test]
async fn t_a10_a_resource_does_not_speak_for_another() {
    let with = |change: fn(&mut Value, &str)| async move {
        let stub = Stub::start(move |_, origin| {
            let mut body = json!({"resource": origin, "authorization_servers": [origin]});
            change(&mut body, origin);
            Reply::json(200, &body)
        });
        Discovery::new(&stub.options()).unwrap().resource(&stub.url("/mcp")).await
    };
    with(|body, origin| body["resource"] = format!("{origin}/mcp").into()).await.unwrap();
    for change in [
        (|body, _| body["resource"] = "https://elsewhere.example".into()) as fn(&mut Value, &str),
        |body, origin| body["resource"] = format!("{origin}/mcpx").into(),
        |body, origin| body["resource"] = format!("{origin}/mcp/deeper").into(),
        |body, origin| body["resource"] = origin.replace("https", "http").into(),
    ] {
        assert_eq!(problem(with(change).await), "is of another resource");
    }
    assert_eq!(problem(with(|body, _| body["authorization_servers"] = json!([])).await), "names no authorization server");
    let insecure = with(|body, _| body["authorization_servers"] = json!(["http://a.example", "https://b.example"])).await;
    assert!(matches!(insecure, Err(AuthError::Insecure { .. })), "the first counts");
    let loopback = with(|body, _| body["authorization_servers"] = json!(["http://localhost:1"])).await;
    assert!(matches!(loopback, Err(AuthError::Insecure { what: "authorization_servers" })));
}
