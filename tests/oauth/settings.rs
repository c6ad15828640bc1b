//! An application as its environment describes it, at the real server: the parts that follow from it fit together.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use amplitude_sdk::server::{
    AuthEvent,
    oauth::{MemoryTokenStore, OAuthOptions, OAuthSettings, RefreshingToken, Revocation, TokenProvider as _},
};
use serde_json::{Value, json};

use crate::{
    server::{REDIRECT, Registered, Server},
    stub::{Reply, Stub, token},
};

/// The environment of a client, its secret in a file.
struct Application {
    registered: Registered,
    folder: tempfile::TempDir,
    settings: OAuthSettings,
}

impl Application {
    async fn register(server: &Server, metadata: Value, scopes: &str) -> Self {
        let registered = server.register(metadata).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let has_secret = registered.secret.as_ref().map(|secret| fs::write(&file, format!("{secret}\n")).unwrap()).is_some();
        let settings = OAuthSettings::from_lookup(|name| match name {
            "AMPLITUDE_OAUTH_CLIENT_ID" => Some(registered.id.clone()),
            "AMPLITUDE_OAUTH_CLIENT_SECRET_FILE" if has_secret => Some(file.to_str().unwrap().to_owned()),
            "AMPLITUDE_OAUTH_REDIRECT_URI" => Some(REDIRECT.to_owned()),
            "AMPLITUDE_OAUTH_SCOPES" => Some(scopes.to_owned()),
            "AMPLITUDE_OAUTH_ISSUER" => Some(server.issuer.clone()),
            "AMPLITUDE_BASE_URL" => Some("https://api.example".to_owned()),
            _ => None,
        });
        Self { registered, folder, settings: settings.unwrap() }
    }

    async fn rotate(&self, server: &Server, secret: &str) {
        fs::write(self.folder.path().join("secret"), secret).unwrap();
        server.change_secret(&self.registered.id, secret).await;
    }
}

/// Where new secrets came from.
type Sources = Arc<Mutex<Vec<String>>>;

fn reloaded(options: OAuthOptions) -> (OAuthOptions, Sources) {
    let seen = Sources::default();
    let told = Arc::clone(&seen);
    let options = options.observer(move |event: &AuthEvent<'_>| {
        if let AuthEvent::SecretReloaded { source, .. } = event {
            told.lock().unwrap().push((*source).to_owned());
        }
    });
    (options, seen)
}

#[tokio::test]
async fn a_web_application_of_the_environment_has_its_user_consent_and_its_secret_rotated() {
    let Some(server) = Server::shared() else { return };
    let metadata = json!({"token_endpoint_auth_method": "client_secret_post"});
    let application = Application::register(server, metadata, "openid mcp:read").await;
    let (options, reloaded) = reloaded(server.options());
    let settings = &application.settings;
    let app = settings.app(&options).await.unwrap();
    let sign_in = async || {
        let (url, pending) = app.authorize(&settings.redirect().unwrap(), settings.scopes.clone()).unwrap();
        let code = pending.verify(&server.browse(&url).await.unwrap()).unwrap();
        pending.exchange(code).await
    };
    let tokens = sign_in().await.unwrap();
    assert!(tokens.granted().to_string().contains("mcp:read"), "{tokens:?}");
    assert!(reloaded.lock().unwrap().is_empty());

    application.rotate(server, "secret-2").await;
    let tokens = sign_in().await.unwrap();
    assert_eq!(*reloaded.lock().unwrap(), ["AMPLITUDE_OAUTH_CLIENT_SECRET_FILE"]);

    let tokens = RefreshingToken::start(&app, tokens, MemoryTokenStore::new()).await.unwrap();
    // For the server, and for where the environment has calls go.
    assert!(tokens.is_for("127.0.0.1") && tokens.is_for("api.example") && !tokens.is_for("mcp.amplitude.com"));
    assert_eq!(tokens.revoke().await.unwrap(), Revocation::ByServer);
}

#[tokio::test]
async fn a_service_account_of_the_environment_has_tokens() {
    let Some(server) = Server::shared() else { return };
    let metadata = json!({
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
        "token_endpoint_auth_method": "client_secret_post",
    });
    let application = Application::register(server, metadata, "mcp:read").await;
    let account = application.settings.service_account(&server.options()).await.unwrap();
    assert_eq!(account.token().await.unwrap().granted().to_string(), "mcp:read");
}

#[tokio::test]
async fn a_secret_goes_where_the_server_says_that_it_takes_it() {
    for (methods, in_header) in [
        (json!(["client_secret_basic"]), true),
        (json!(["client_secret_post"]), false),
        (json!(["client_secret_basic", "client_secret_post"]), false),
        (Value::Null, false),
    ] {
        let listed = methods.clone();
        let stub = Stub::start(move |seen, origin| match seen.path.as_str() {
            "/token" => Reply::json(200, &token()),
            _ => Reply::json(
                200,
                &json!({
                    "issuer": origin,
                    "token_endpoint": format!("{origin}/token"),
                    "token_endpoint_auth_methods_supported": methods,
                }),
            ),
        });
        let settings = OAuthSettings::from_lookup(|name| match name {
            "AMPLITUDE_OAUTH_CLIENT_ID" => Some("id".to_owned()),
            "AMPLITUDE_OAUTH_CLIENT_SECRET" => Some("fake-client-secret".to_owned()),
            "AMPLITUDE_OAUTH_SCOPES" => Some("mcp:read".to_owned()),
            "AMPLITUDE_OAUTH_ISSUER" => Some(stub.url("")),
            _ => None,
        });
        settings.unwrap().service_account(&stub.options()).await.unwrap().token().await.unwrap();
        let asked = stub.seen_at("/token").remove(0);
        assert_eq!(asked.headers.contains_key("authorization"), in_header, "{listed}");
        assert_eq!(asked.field("client_secret").is_none(), in_header, "{listed}");
    }
}
