//! The same against a server of other makers (PyPI's `canaille`): it offers `plain`, takes secrets for revocation and introspection in a header
//! alone, and does not speak OpenID Connect's `offline_access`.

use amplitude_sdk::server::{
    Scope, ScopeSet,
    oauth::{AuthError, AuthorizationServer, ClientRegistration, OAuthApp, Reauth},
};

use crate::{
    flow::{parameter, redirect},
    server::Server,
    shown::Shown as _,
};

fn scopes() -> ScopeSet {
    ScopeSet::from([Scope::new("profile").unwrap(), Scope::new("email").unwrap()])
}

#[tokio::test]
async fn a_server_of_other_makers_understands_the_same() {
    let Some(server) = Server::canaille() else { return };
    let known = AuthorizationServer::discover(&server.issuer, &server.options()).await.unwrap();
    let wanted = ClientRegistration::new("a test's client").redirect(&redirect()).scopes(scopes());
    for registration in [wanted.clone().secret_basic(), wanted.secret_post()] {
        let registered = registration.register(&known, &server.options()).await.unwrap();
        let app = OAuthApp::builder(known.clone(), registered.client().unwrap()).options(server.options()).build().unwrap();

        let (url, pending) = app.authorize(&redirect(), scopes()).unwrap();
        assert_eq!(parameter(&url, "code_challenge_method").as_deref(), Some("S256"));
        let callback = server.browse(&url).await.unwrap();
        assert_eq!(parameter(&callback, "iss").as_deref(), Some(&*server.issuer));
        // As if somebody else had sent it.
        assert!(matches!(pending.verify(&callback.replace("iss=https", "iss=http")), Err(AuthError::CallbackRejected(_))));
        let code = pending.verify(&callback).unwrap();
        let first = pending.exchange(code).await.unwrap();
        assert_eq!(first.granted(), &scopes());

        let second = app.refresh(&first, None).await.unwrap();
        let told = app.introspect(&second).await.unwrap();
        assert!(told.is_active() && told.scopes() == Some(&scopes()), "{told:?}");
        let error = app.refresh(&first, None).await.shown().unwrap_err();
        assert!(matches!(error, AuthError::ReauthRequired(Reauth::GrantRefused)), "{error:?}");

        app.revoke(&second).await.unwrap();
        assert!(!app.introspect(&second).await.unwrap().is_active());
        let error = app.refresh(&second, None).await.shown().unwrap_err();
        assert!(matches!(error, AuthError::ReauthRequired(Reauth::GrantRefused)), "{error:?}");
    }
}
