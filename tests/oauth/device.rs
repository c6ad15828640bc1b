//! Signing in by device code, with a user at the real server's pages.

use std::{collections::BTreeMap, time::Duration};

use amplitude_sdk::server::{
    ClientSecret, ScopeSet,
    oauth::{AuthError, AuthorizationServer, ClientAuth, OAuthApp, OAuthClient},
    scope,
};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use crate::{
    device_answers::{DEVICE, TOKEN, app},
    server::{Registered, Server},
    shown::Shown as _,
    stub::{Reply, Seen, Stub},
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn scopes() -> ScopeSet {
    [scope::MCP_READ, scope::OPENID, scope::OFFLINE_ACCESS].into()
}

fn app_of(server: &Server, client: OAuthClient) -> OAuthApp {
    let known = AuthorizationServer::custom(&server.issuer)
        .device_authorization_endpoint(format!("{}/device/auth", server.issuer))
        .token_endpoint(format!("{}/token", server.issuer));
    OAuthApp::builder(known.build().unwrap(), client).options(server.options()).build().unwrap()
}

async fn register(server: &Server, method: &str) -> Registered {
    let registration = json!({
        "grant_types": [GRANT, "refresh_token"],
        "redirect_uris": [],
        "response_types": [],
        "token_endpoint_auth_method": method,
    });
    server.register(registration).await
}

/// What a user with a browser does at the address: submits each form that the server shows, and consents or does not where that is asked.
/// Answers with the last page.
async fn visit(server: &Server, url: &str, consents: bool) -> String {
    let mut cookies = BTreeMap::<String, String>::new();
    let (mut method, mut url, mut form) = (Method::GET, Url::parse(url).unwrap(), Vec::new());
    for _ in 0..20 {
        let jar: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = server.request(method.clone(), url.as_str()).header(header::COOKIE, jar.join("; "));
        if method == Method::POST {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        }
        let reply = request.send().await.unwrap();
        for cookie in reply.headers().get_all(header::SET_COOKIE) {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        if let Some(location) = reply.headers().get(header::LOCATION) {
            (method, url) = (Method::GET, url.join(location.to_str().unwrap()).unwrap());
            continue;
        }
        let (status, page) = (reply.status(), reply.text().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{page}");
        let is_confirmation = page.contains("op.deviceConfirmForm");
        // The form for a code, where none is filled in, asks for another.
        if !page.contains("<form") || page.contains("op.deviceInputForm") && !form_has_code(&page) {
            return page;
        }
        let action = attribute(page.split("<form").nth(1).unwrap(), "action").expect("a form has an action");
        (method, url) = (Method::POST, url.join(&action).unwrap());
        let inputs = page.split("<input").skip(1);
        form = inputs.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?))).collect();
        if is_confirmation && !consents {
            form.push(("abort".to_owned(), "yes".to_owned()));
        }
    }
    panic!("the server's pages do not end")
}

fn form_has_code(page: &str) -> bool {
    page.split("<input")
        .skip(1)
        .any(|input| attribute(input, "name").as_deref() == Some("user_code") && attribute(input, "value").is_some())
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next()?;
    let value = tag.split_once(&format!("{name}=\""))?.1.split('"').next()?;
    Some(value.to_owned())
}

#[tokio::test]
async fn t_c1_a_user_consents_on_another_device() {
    let Some(server) = Server::shared() else { return };
    let one = async |method: &str| {
        let client = register(server, method).await;
        let secret = || ClientSecret::new(client.secret.clone().unwrap()).unwrap().into();
        let auth = match method {
            "none" => ClientAuth::Public,
            "client_secret_post" => ClientAuth::SecretPost(secret()),
            _ => ClientAuth::SecretBasic(secret()),
        };
        let app = app_of(server, OAuthClient::new(&client.id, auth).unwrap());
        let mut login = app.device_login(scopes()).await.shown().unwrap();
        // The server says nothing of an interval.
        assert_eq!(login.interval(), Duration::from_secs(5));
        assert!(login.expires_in() > Duration::from_secs(500) && login.expires_at() > std::time::SystemTime::now());
        assert_eq!(login.verification_uri(), format!("{}/device", server.issuer));
        let complete = login.verification_uri_complete().unwrap().to_owned();
        assert!(complete.contains(login.user_code()), "{complete}");
        let page = visit(server, &complete, true).await;
        assert!(page.contains("Success"), "{page}");

        let tokens = login.wait().await.shown().unwrap();
        assert_eq!(tokens.granted(), tokens.requested());
        assert!(tokens.is_refreshable());
        app.refresh(&tokens, None).await.unwrap();
        let counts = server.counts(&client.id).await;
        assert_eq!((counts[&format!("grant.success:{GRANT}")], counts["grant.success:refresh_token"]), (1, 1));

        // The code is spent, and the sign-in over.
        assert!(matches!(login.wait().await, Err(AuthError::Expired { .. })));
    };
    tokio::join!(one("none"), one("client_secret_post"), one("client_secret_basic"));
}

#[tokio::test]
async fn t_c1_a_user_says_no_on_another_device() {
    let Some(server) = Server::shared() else { return };
    let client = register(server, "none").await;
    let app = app_of(server, OAuthClient::new(&client.id, ClientAuth::Public).unwrap());
    let mut login = app.device_login(scopes()).await.unwrap();
    visit(server, login.verification_uri_complete().unwrap(), false).await;
    let denied = login.wait().await.shown().unwrap_err();
    assert!(matches!(&denied, AuthError::Denied { code, .. } if code == "access_denied"), "{denied:?}");
    assert!(matches!(login.wait().await, Err(AuthError::Expired { .. })));
}

#[tokio::test]
async fn t_c1_a_server_that_knows_another_client_says_so() {
    let Some(server) = Server::shared() else { return };
    let app = app_of(server, OAuthClient::new("nobody", ClientAuth::Public).unwrap());
    let refused = app.device_login(scopes()).await.shown().unwrap_err();
    assert!(matches!(refused, AuthError::ClientRejected { .. }), "{refused:?}");
}

/// As the Developer API: takes no client, puts its own in, and asks the real server.
#[tokio::test]
async fn t_c1_amplitudes_form_has_no_client_and_a_verifier() {
    let Some(server) = Server::shared() else { return };
    let client = register(server, "client_secret_post").await;
    let (id, secret) = (client.id.clone(), client.secret.clone().unwrap());
    let front = Stub::start(move |seen, _| {
        let path = if seen.path == DEVICE { "/device/auth" } else { "/token" };
        let own = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
        let pairs = url::form_urlencoded::parse(seen.body.as_bytes());
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).extend_pairs(own).finish();
        let asked = async {
            let request = server.request(Method::POST, &format!("{}{path}", server.issuer));
            let reply =
                request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form).send().await.unwrap();
            (reply.status().as_u16(), serde_json::from_str::<Value>(&reply.text().await.unwrap()).unwrap())
        };
        let (status, mut body) = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(asked);
        if body["device_code"].is_string() {
            body["interval"] = json!(1);
        }
        Reply::json(status, &body)
    });
    let app = app(&front, front.options());
    let mut login = app.device_login(scopes()).await.unwrap();
    let complete = login.verification_uri_complete().unwrap().to_owned();
    let (tokens, page) = tokio::join!(login.wait(), visit(server, &complete, true));
    assert!(page.contains("Success"), "{page}");
    let tokens = tokens.unwrap();
    let refreshed = app.refresh(&tokens, None).await.unwrap();
    assert_eq!(refreshed.granted(), &scopes());

    let names = |seen: &Seen| {
        let pairs = url::form_urlencoded::parse(seen.body.as_bytes());
        let mut names: Vec<_> = pairs.map(|(name, _)| name.into_owned()).collect();
        names.sort();
        names
    };
    let started = &front.seen_at(DEVICE)[0];
    assert_eq!(names(started), ["code_challenge", "code_challenge_method", "scope"]);
    assert_eq!(started.field("code_challenge_method").unwrap(), "S256");
    let asked = front.seen_at(TOKEN);
    let (refresh, polls) = asked.split_last().unwrap();
    assert!(!polls.is_empty());
    for poll in polls {
        assert_eq!(names(poll), ["code_verifier", "device_code", "grant_type"]);
    }
    assert_eq!(names(refresh), ["grant_type", "refresh_token"]);
    assert!(front.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
    let digest = ring::digest::digest(&ring::digest::SHA256, polls[0].field("code_verifier").unwrap().as_bytes());
    let challenge = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, digest);
    assert_eq!(started.field("code_challenge").unwrap(), challenge);
}
