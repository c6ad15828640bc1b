//! Proxies: https goes through them by CONNECT, so that they see no more than a host's name. `HTTPS_PROXY` and its like are read in child
//! processes, because the environment belongs to the whole process.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use amplitude_sdk::{
    Client, Config, ErrorKind, ProjectKey,
    server::{IngestOptions, Options},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::{
    KEY,
    authority::{Authority, Identity},
    block_on, config, event, server_client,
    support::{PATIENCE, Stub},
};

/// A proxy that leads all connections to one server, whatever host they ask for, and records how they ask.
pub(crate) struct Tunnel {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    pub(crate) fn to(server: SocketAddr) -> Self {
        Self::start(move |mut client| {
            client.get_mut().write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            let server = TcpStream::connect(server)?;
            let (mut up, mut down) = (server.try_clone()?, client.get_ref().try_clone()?);
            thread::spawn(move || {
                let _ = io::copy(&mut client, &mut up);
                up.shutdown(Shutdown::Write)
            });
            io::copy(&mut &server, &mut down)?;
            down.shutdown(Shutdown::Write)
        })
    }

    /// A proxy that answers so and leads nowhere.
    fn that_says(answer: &'static str) -> Self {
        Self::start(move |mut client| client.get_mut().write_all(answer.as_bytes()))
    }

    fn start(lead: impl Fn(BufReader<TcpStream>) -> io::Result<()> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (lead, heads) = (lead.clone(), Arc::clone(&heads));
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|bytes| bytes > 0) {}
                    heads.lock().unwrap().push(head);
                    lead(reader)
                });
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// What the child does: sends one event with each client to the server that it is given. In the parent's run it has nothing to do.
#[test]
fn child() {
    let (Ok(url), Ok(pem)) = (env::var("PROXY_TEST_URL"), env::var("PROXY_TEST_PEM")) else { return };
    let config = Config::new(ProjectKey::new(KEY).unwrap()).server_url(format!("{url}/2/httpapi"));
    let client = Client::new(config.add_root_certificate(pem.as_str())).unwrap();
    client.track(event("user123")).unwrap();
    let report = client.shutdown_blocking(PATIENCE);
    let server = server_client(Options::new().base_url(url).add_root_certificate(pem));
    let ingested = block_on(server.ingest(&mut [event("user456")], IngestOptions::new()));
    println!("delivered={} ingested={}", report.delivered, ingested.is_ok());
}

fn run_child(url: &str, authority: &Authority, variables: &[(&str, &str)]) {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "proxy::child", "--nocapture"]);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        child.env_remove(name).env_remove(name.to_uppercase());
    }
    child.env("PROXY_TEST_URL", url).env("PROXY_TEST_PEM", &authority.pem).envs(variables.iter().copied());
    let output = child.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("delivered=1 ingested=true"), "{said}");
}

#[test]
fn https_goes_through_the_proxy_of_the_environment_by_connect() {
    let authority = Authority::new();
    let stub = Stub::start_tls(authority.server(Identity { names: &["api.example.test"], ..Identity::default() }), []);
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let tunnel = Tunnel::to(stub.address());
        run_child("https://api.example.test", &authority, &[(name, &tunnel.url())]);
        assert_eq!(tunnel.asked().len(), 2, "{name}");
        for head in tunnel.asked() {
            assert!(head.starts_with("CONNECT api.example.test:443 HTTP/1.1\r\n"), "{head}");
            assert!(!head.contains(KEY), "{head}");
        }
    }
    assert_eq!(stub.seen().len(), 6);
}

#[test]
fn no_proxy_is_an_exception() {
    let authority = Authority::new();
    let stub = Stub::start_tls(authority.server(Identity::default()), []);
    for (no_proxy, asked) in [("localhost", 0), ("example.test", 2)] {
        let tunnel = Tunnel::to(stub.address());
        run_child(&stub.base_url(), &authority, &[("HTTPS_PROXY", &tunnel.url()), ("NO_PROXY", no_proxy)]);
        assert_eq!(tunnel.asked().len(), asked, "{no_proxy}");
    }
}

/// A proxy would read the keys.
#[test]
fn plain_http_on_loopback_goes_through_no_proxy() {
    let authority = Authority::new();
    let stub = Stub::start([]);
    let tunnel = Tunnel::to(stub.address());
    let url = tunnel.url();
    run_child(&stub.base_url(), &authority, &[("HTTP_PROXY", &url), ("http_proxy", &url), ("ALL_PROXY", &url)]);
    let client = Client::new(config(&stub).proxy(&url)).unwrap();
    client.track(event("user123")).unwrap();
    client.shutdown_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, 1);
    assert_eq!((stub.seen().len(), tunnel.asked()), (3, vec![]));
}

#[test]
fn a_proxys_password_is_for_the_proxy_alone() {
    let authority = Authority::new();
    let stub = Stub::start_tls(authority.server(Identity::default()), []);
    let tunnel = Tunnel::to(stub.address());
    let proxy = format!("http://someone:hunter2@{}", tunnel.address);
    let client = Client::new(config(&stub).proxy(&proxy).add_root_certificate(&*authority.pem)).unwrap();
    client.track(event("user123")).unwrap();
    client.shutdown_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, 1);
    let basic = format!("Basic {}\r\n", BASE64_STANDARD.encode("someone:hunter2"));
    assert!(tunnel.asked()[0].to_lowercase().contains(&format!("proxy-authorization: {}", basic.to_lowercase())));
    assert!(!format!("{:?}", stub.seen()).contains(basic.trim_end()));

    let closed = Tunnel::that_says("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    let options = Options::new().base_url(stub.base_url()).proxy(format!("http://someone:hunter2@{}", closed.address));
    assert!(!format!("{options:?}").contains("hunter2"));
    let client = server_client(options.add_root_certificate(&*authority.pem));
    let error = block_on(client.ingest(&mut [event("user123")], IngestOptions::new())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(!format!("{error:?} {client:?}").contains("hunter2"), "{error:?}");
    assert_eq!((closed.asked().len(), stub.seen().len()), (1, 1));
}
