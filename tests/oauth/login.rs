//! A sign-in of a program on the user's machine, from the address to the tokens, with the real server and a user who has a browser.

use amplitude_sdk::server::{
    oauth::{AuthError, AuthorizationServer, ClientAuth, Loopback, LoopbackHost, OAuthApp, OAuthClient},
    scope,
};
use serde_json::json;
use tokio::sync::oneshot;
use url::Url;

use crate::{listener::say, server::Server, shown::Shown as _};

/// An application of a user's machine, which the server lets listen at any port of its redirect URI (RFC 8252 §7.3).
async fn app(server: &Server, redirect: &str, hint: Option<&str>) -> OAuthApp {
    let client = server.register(json!({"application_type": "native", "redirect_uris": [redirect]})).await;
    let known = AuthorizationServer::custom(&server.issuer)
        .authorization_endpoint(format!("{}/auth", server.issuer))
        .token_endpoint(format!("{}/token", server.issuer))
        .sends_issuer(true)
        .build()
        .unwrap();
    let mut app = OAuthApp::builder(known, OAuthClient::new(&client.id, ClientAuth::Public).unwrap())
        // Without it, the server gives no refresh token.
        .authorization_parameter("prompt", "consent")
        .options(server.options());
    if let Some(hint) = hint {
        app = app.authorization_parameter("login_hint", hint);
    }
    app.build().unwrap()
}

/// A browser's request of an address on loopback; the page that it shows.
async fn open(url: String) -> String {
    tokio::task::spawn_blocking(move || {
        let url = Url::parse(&url).unwrap();
        let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
        let target = format!("{}?{}", url.path(), url.query().unwrap());
        say(([127, 0, 0, 1], port).into(), &format!("GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn t_a7_a_program_signs_its_user_in_at_any_port_of_loopback() {
    let Some(server) = Server::shared() else { return };
    for (redirect, host) in
        [("http://127.0.0.1/callback", LoopbackHost::Ipv4), ("http://localhost/callback", LoopbackHost::Localhost)]
    {
        let app = app(server, redirect, None).await;
        let (show, shown) = oneshot::channel();
        let user = async {
            let url: String = shown.await.unwrap();
            let callback = server.browse(&url).await.unwrap();
            // Somebody else was faster; the wait goes on (T-A5).
            let forged = callback.replace("state=", "state=x");
            assert!(open(forged).await.starts_with("HTTP/1.1 400 "));
            open(callback).await
        };
        let loopback = Loopback::new().host(host);
        let login = app.login(&loopback, [scope::OPENID, scope::OFFLINE_ACCESS], |url| show.send(url.to_owned()).unwrap());
        let (tokens, page) = tokio::join!(login, user);
        assert!(tokens.shown().unwrap().is_refreshable());
        assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("You can close this page"), "{page}");
    }
}

#[tokio::test]
async fn t_a8_a_user_who_says_no_is_shown_that_it_arrived() {
    let Some(server) = Server::shared() else { return };
    let app = app(server, "http://127.0.0.1/callback", Some("deny")).await;
    let (show, shown) = oneshot::channel();
    let user = async {
        let url: String = shown.await.unwrap();
        open(server.browse(&url).await.unwrap()).await
    };
    let loopback = Loopback::new();
    let login = app.login(&loopback, [scope::OPENID], |url| show.send(url.to_owned()).unwrap());
    let (denied, page) = tokio::join!(login, user);
    let denied = denied.shown();
    assert!(matches!(&denied, Err(AuthError::Denied { code, .. }) if code == "access_denied"), "{denied:?}");
    assert!(page.contains("Access was not granted") && !page.contains("the user said no"), "{page}");
}
