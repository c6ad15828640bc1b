//! A service account: it acts for itself, proves who it is by a secret, asks Amplitude what it may do, and has its secret rotated while it runs.
//!
//! ```sh
//! # In one terminal:
//! cargo run --all-features --bin amplitude-emulator -- --service-account reports:fake-client-secret:us
//!
//! # In another one:
//! export AMPLITUDE_OAUTH_ISSUER=http://127.0.0.1:8787 AMPLITUDE_BASE_URL=http://127.0.0.1:8787
//! export AMPLITUDE_OAUTH_CLIENT_ID=reports AMPLITUDE_OAUTH_SCOPES=mcp:read
//! (umask 077; echo fake-client-secret > target/reports.secret)
//! AMPLITUDE_OAUTH_CLIENT_SECRET_FILE=target/reports.secret cargo run --all-features --example service_account
//! ```
//!
//! `cargo run --all-features --example service_account -- SECONDS` asks again and again, as a service does. Rotate the secret meanwhile: have the emulator
//! take both, put the new one into the file, and end the old one. The file is read when a new token is due and Amplitude refuses the old secret. A
//! token is due when the one before expires; the emulator's live for an hour, or as `--access-lifetime SECONDS` says.
//!
//! ```sh
//! rotate() { curl -H 'content-type: application/json' -d "$1" http://127.0.0.1:8787/_emulator/oauth/secret; }
//! rotate '{"client_id": "reports", "secrets": ["fake-next-secret", "fake-client-secret"]}'
//! echo fake-next-secret > target/reports.secret
//! rotate '{"client_id": "reports", "secrets": ["fake-next-secret"]}'
//! ```
//!
//! At Amplitude, an administrator makes the account in the organization's settings. Leave `AMPLITUDE_OAUTH_ISSUER` out there, and set
//! `AMPLITUDE_REGION=eu` for an organization in the EU. A token of the MCP server is for that server alone; who knows that the Developer API takes it
//! says so with `AMPLITUDE_BASE_URL=https://developer-api.amplitude.com`.

use std::{env, error::Error, process::ExitCode, time::Duration};

use amplitude_sdk::server::{
    AuthEvent, Client, OAuth, Options,
    oauth::{AuthError, MemoryTokenStore, OAuthOptions, OAuthSettings, RefreshingToken},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("service_account: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let every = match env::args().nth(1) {
        Some(text) => Some(Duration::from_secs(text.parse().map_err(|_| format!("{text}: must be a number of seconds"))?)),
        None => None,
    };
    // An event holds no secret, so that it may be logged as it is.
    let options = OAuthOptions::new().observer(|event: &AuthEvent<'_>| match event {
        AuthEvent::TokenIssued { requested, granted, .. } if requested != granted => {
            eprintln!("asked for {requested}, was granted {granted}");
        }
        AuthEvent::SecretReloaded { source, fingerprint } => eprintln!("{source} has a new secret: {fingerprint}"),
        AuthEvent::SecretNotYetActive { fingerprint } => {
            eprintln!("not known to Amplitude yet, so the one before serves: {fingerprint}")
        }
        AuthEvent::CredentialRefused { fingerprint } => eprintln!("refused: {fingerprint}"),
        _ => {}
    });
    let account = OAuthSettings::from_env()?.service_account(&options).await?;
    let tokens = RefreshingToken::service_account(&account, MemoryTokenStore::new()).await?;
    let client = Client::with_options(OAuth::new(tokens), Options::from_env()?)?;
    loop {
        match client.context().await {
            Ok(context) => println!(
                "{} of {} may: {}",
                context.login_id.as_deref().unwrap_or("somebody"),
                context.org_name.as_deref().unwrap_or("an organization"),
                context.scopes
            ),
            // What may work later does not end a service, and a secret that is not the right one yet does neither.
            Err(error) if every.is_some() && (error.is_retryable() || is_of_the_secret(&error)) => {
                eprintln!("service_account: {}", with_causes(&error))
            }
            Err(error) => return Err(error.into()),
        }
        let Some(every) = every else { return Ok(()) };
        tokio::time::sleep(every).await;
    }
}

fn is_of_the_secret(error: &amplitude_sdk::Error) -> bool {
    matches!(error.auth_error(), Some(AuthError::ClientRejected { .. }))
}

fn with_causes(error: &dyn Error) -> String {
    let all = std::iter::successors(Some(error), |&error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
