//! The authorization server of `tests/as` (npm `oidc-provider`), started by the tests, with a certificate of their own authority; and what a user
//! with a browser does there.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, OnceLock},
};

use amplitude_sdk::server::oauth::OAuthOptions;
use reqwest::{
    Method, StatusCode,
    header::{COOKIE, LOCATION, SET_COOKIE},
    redirect,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::pem::PemObject as _};
use serde_json::{Value, json};
use url::Url;

use crate::{
    authority::{Authority, Identity},
    trace,
};

/// A server of its own process. It ends with this value, or with this process, because its input does.
pub(crate) struct Server {
    child: Child,
    /// Held open for as long as the server is to live.
    _input: ChildStdin,
    pub(crate) issuer: String,
    authority_pem: String,
    http: reqwest::Client,
}

/// A client as the server knows it.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
}

/// Where clients of these tests have the user's browser sent back to. Nobody listens there: the browser of these tests stops before it.
pub(crate) const REDIRECT: &str = "https://app.example/callback";

impl Server {
    /// The one that the tests of a program share: each registers a client of its own.
    /// `None` where there is no Node, which a machine that tests for all must have.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Server>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    pub(crate) fn start() -> Option<Self> {
        Self::node(false)
    }

    /// One that takes pushed authorization requests alone (RFC 9126).
    pub(crate) fn of_pushed_requests() -> Option<Self> {
        Self::node(true)
    }

    fn node(pushed: bool) -> Option<Self> {
        let mut command = Command::new("node");
        Self::launch(command.arg("server.mjs").env("NODE_NO_WARNINGS", "1"), pushed)
    }

    /// The one of other makers, which Python runs (`AMPLITUDE_SDK_PYTHON`, with what `scripts/setup python` installs).
    pub(crate) fn canaille() -> Option<Self> {
        let python = env::var_os("AMPLITUDE_SDK_PYTHON").unwrap_or_else(|| "AMPLITUDE_SDK_PYTHON is not set".into());
        Self::launch(Command::new(python).arg("canaille_server.py"), false)
    }

    fn launch(command: &mut Command, pushed: bool) -> Option<Self> {
        trace::start();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/as");
        let mut child = match command.current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) if env::var_os("CI").is_none() => {
                eprintln!(
                    "SKIPPED: {:?} does not start here ({error}), so nothing runs against its server",
                    command.get_program()
                );
                return None;
            }
            Err(error) => panic!("{:?} is needed: {error}", command.get_program()),
        };
        let authority = Authority::new();
        let (certificate, key) = authority.certify(&Identity::default());
        let mut input = child.stdin.take().expect("piped");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        writeln!(input, "{}", json!({"cert": certificate.pem(), "key": key.serialize_pem(), "pushed": pushed}))
            .expect("the server reads its settings");
        let mut line = String::new();
        // It prints the line or ends, so that this does too.
        output.read_line(&mut line).expect("the server's output");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!("the authorization server does not start (scripts/setup js python installs what it needs): {line:?}")
        });
        Some(Self {
            child,
            _input: input,
            issuer: ready["issuer"].as_str().expect("an issuer").to_owned(),
            http: browser(&authority.pem),
            authority_pem: authority.pem,
        })
    }

    /// Options that trust it.
    pub(crate) fn options(&self) -> OAuthOptions {
        OAuthOptions::new().add_root_certificate(self.authority_pem.as_str())
    }

    /// The certificate of who vouches for it.
    pub(crate) fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Registers a client, with what is beside the usual in `metadata`.
    pub(crate) async fn register(&self, metadata: Value) -> Registered {
        let mut wanted = json!({
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        for (name, value) in metadata.as_object().expect("an object") {
            wanted[name] = value.clone();
        }
        let request = self.http.post(format!("{}/reg", self.issuer)).header("content-type", "application/json");
        let answer = request.body(wanted.to_string()).send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        Registered { id: text("client_id").unwrap_or_else(|| panic!("{answer}")), secret: text("client_secret") }
    }

    /// How often what happened to a client, as the server saw it, e.g. `grant.success:refresh_token`.
    pub(crate) async fn counts(&self, client_id: &str) -> BTreeMap<String, u64> {
        let url = format!("{}/_test/counts?client_id={client_id}", self.issuer);
        serde_json::from_str(&self.http.get(url).send().await.unwrap().text().await.unwrap()).unwrap()
    }

    /// Gives a client another secret, as somebody does in the server's settings.
    pub(crate) async fn change_secret(&self, client_id: &str, secret: &str) {
        let url =
            Url::parse_with_params(&format!("{}/_test/secret", self.issuer), [("client_id", client_id), ("secret", secret)]);
        assert_eq!(self.http.post(url.unwrap()).send().await.unwrap().status(), StatusCode::OK);
    }

    /// A request of a new browser, or of a program that is not the library.
    pub(crate) fn request(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        self.http.request(method, url)
    }

    /// What a user with a new browser does who opens this address: follows the server's pages until they lead away from it, and answers where
    /// to. `Err` is the status and text of a page that leads nowhere.
    pub(crate) async fn browse(&self, url: &str) -> Result<String, (StatusCode, String)> {
        let mut cookies = BTreeMap::<String, String>::new();
        let mut url = Url::parse(url).unwrap();
        for _ in 0..20 {
            let jar: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let answer = self.http.get(url.clone()).header(COOKIE, jar.join("; ")).send().await.unwrap();
            for cookie in answer.headers().get_all(SET_COOKIE) {
                let pair = cookie.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let Some(location) = answer.headers().get(LOCATION) else {
                return Err((answer.status(), answer.text().await.unwrap()));
            };
            let next = url.join(location.to_str().unwrap()).unwrap();
            if !next.as_str().starts_with(&self.issuer) {
                return Ok(next.into());
            }
            url = next;
        }
        panic!("the server's pages do not end")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps no cookies and follows no redirects by itself.
fn browser(authority_pem: &str) -> reqwest::Client {
    let mut roots = RootCertStore::empty();
    for certificate in rustls::pki_types::CertificateDer::pem_slice_iter(authority_pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A connection belongs to the runtime of the test that made it.
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy();
    client.tls_backend_preconfigured(tls).redirect(redirect::Policy::none()).build().unwrap()
}
