//! A tool on its user's machine: signs the user in, keeps the tokens in files of this user alone, makes a call, and signs out again.
//!
//! ```sh
//! # In one terminal:
//! cargo run --all-features --bin amplitude-emulator -- --public-revocation on \
//!   --client command-line::us:http://127.0.0.1/callback
//!
//! # In another one:
//! export AMPLITUDE_OAUTH_ISSUER=http://127.0.0.1:8787 AMPLITUDE_BASE_URL=http://127.0.0.1:8787
//! export AMPLITUDE_OAUTH_CLIENT_ID=command-line AMPLITUDE_OAUTH_SCOPES='mcp:read offline_access'
//! cargo run --all-features --example command_line -- login
//! cargo run --all-features --example command_line -- context
//! cargo run --all-features --example command_line -- logout
//! ```
//!
//! `--device` before the command signs in on a machine without a browser, at the Developer API, where no client is registered: the user opens an
//! address elsewhere. With the emulator it needs `AMPLITUDE_BASE_URL` alone, at Amplitude no variable, but `AMPLITUDE_REGION=eu` for an organization in
//! the EU.
//!
//! At Amplitude, the way with a browser needs a client that is registered for `AMPLITUDE_OAUTH_REDIRECT_URI`, e.g.
//! `http://localhost:13222/callback`. Tokens of the MCP server, which is the default, are for that server alone; those of
//! `AMPLITUDE_OAUTH_ISSUER=https://auth.amplitude.com` open the Developer API, which answers `context`.

use std::{env, error::Error, process::ExitCode, sync::Arc};

#[cfg(feature = "keyring")]
use amplitude_sdk::server::oauth::EncryptedTokenStore;
#[cfg(feature = "open-browser")]
use amplitude_sdk::server::oauth::open_browser;
use amplitude_sdk::server::{
    Client, OAuth, Options, ScopeSet,
    oauth::{
        AuthorizationServer, FileTokenStore, OAuthApp, OAuthClient, OAuthOptions, OAuthSettings, RefreshingToken, Revocation,
        TokenProvider as _, TokenSet, TokenStore,
    },
    scope,
};

const USAGE: &str = "usage: command_line [--device] [--keyring] login|context|logout

  --device   sign in on another machine, where there is no browser on this one
  --keyring  encrypt the tokens with a key that the system's keyring keeps (feature keyring)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("command_line: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (options, commands): (Vec<_>, Vec<_>) = env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let has = |name: &str| options.iter().any(|option| option == name);
    let [command] = &commands[..] else { return Err(USAGE.into()) };
    if options.iter().any(|option| option != "--device" && option != "--keyring") {
        return Err(USAGE.into());
    }
    let way = if has("--device") { Way::Device } else { Way::Browser(OAuthSettings::from_env()?) };
    let app = way.app().await?;
    let store = store(has("--keyring")).await?;
    match command.as_str() {
        "login" => {
            let tokens = way.sign_in(&app).await?;
            println!("signed in, and may: {}", tokens.granted());
            RefreshingToken::start(&app, tokens, store).await?;
        }
        "context" => {
            let tokens = RefreshingToken::resume(&app, store).await?;
            if tokens.granted().is_empty() {
                return Err("nobody is signed in; the command login does it".into());
            }
            let client = Client::with_options(OAuth::new(tokens.clone()), Options::from_env()?)?;
            let context = client.context().await?;
            println!("user:         {}", context.login_id.as_deref().unwrap_or("not known"));
            println!("organization: {}", context.org_name.as_deref().unwrap_or("not known"));
            println!("may:          {}", context.scopes);
            // A newer token that is on its way is stored before the program ends.
            tokens.settle().await?;
        }
        "logout" => {
            let tokens = RefreshingToken::resume(&app, store).await?;
            if tokens.granted().is_empty() {
                println!("nobody is signed in");
                return Ok(());
            }
            match tokens.revoke().await? {
                Revocation::ByServer => println!("signed out"),
                _ => println!("signed out here; to end the access as well, remove it in Amplitude's settings"),
            }
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

/// How the user signs in: each way has a server of its own, and tokens of its own.
enum Way {
    Browser(OAuthSettings),
    Device,
}

impl Way {
    async fn app(&self) -> Result<OAuthApp, Box<dyn Error>> {
        Ok(match self {
            Self::Browser(settings) => settings.app(&OAuthOptions::new()).await?,
            Self::Device => {
                OAuthApp::builder(AuthorizationServer::developer_api_from_env()?, OAuthClient::anonymous()).build()?
            }
        })
    }

    async fn sign_in(&self, app: &OAuthApp) -> Result<TokenSet, Box<dyn Error>> {
        match self {
            // The environment names the scopes that the client was registered with.
            Self::Browser(settings) => Ok(app.login(&settings.loopback()?, settings.scopes.clone(), show).await?),
            Self::Device => {
                // What `context` needs, and a refresh token.
                let scopes = ScopeSet::from([scope::PROJECTS_READ, scope::OPENID, scope::OFFLINE_ACCESS]);
                let mut login = app.device_login(scopes).await?;
                eprintln!("On any machine, open {}\nand enter {}", login.verification_uri(), login.user_code());
                Ok(login.wait().await?)
            }
        }
    }
}

/// Shows the address also where a browser opens: it may open where nobody looks.
fn show(url: &str) {
    eprintln!("To sign in, open {url}");
    #[cfg(feature = "open-browser")]
    if let Err(error) = open_browser(url) {
        eprintln!("{}", with_causes(&error));
    }
}

/// The tokens' files are in the folder where this user's programs keep what is theirs.
async fn store(in_keyring: bool) -> Result<Arc<dyn TokenStore>, Box<dyn Error>> {
    let files = FileTokenStore::user_default()?;
    if !in_keyring {
        return Ok(Arc::new(files));
    }
    #[cfg(feature = "keyring")]
    return Ok(Arc::new(EncryptedTokenStore::in_keyring(files, "amplitude-sdk command_line").await?));
    #[cfg(not(feature = "keyring"))]
    Err("--keyring: this program was built without the feature keyring".into())
}

fn with_causes(error: &dyn Error) -> String {
    let all = std::iter::successors(Some(error), |&error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
