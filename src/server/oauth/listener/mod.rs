//! The loopback listener (RFC 8252 §7.3): where a program without a web server takes the answer to a sign-in. It is reachable from this
//! machine alone, takes one answer that its caller accepts, and is gone then.

mod page;
mod request;

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use self::{
    page::Page,
    request::{Rules, read_head},
};
use super::{AuthError, CallbackFault, Stage};
use crate::{Error, ErrorKind, server::runtime::Runtime};

/// From a connection to the end of its request's head, so that a slow one holds no place.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// From an answer's first byte to the browser's having it.
const WRITE_LIMIT: Duration = Duration::from_secs(2);
/// Connections at a time; one more ends the oldest, so that idle ones keep nobody out.
const CONNECTIONS: usize = 32;

/// How the host of a loopback redirect URI is spelled. What is bound are loopback addresses, whatever the spelling.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum LoopbackHost {
    /// `127.0.0.1`, which is bound: what RFC 8252 advises.
    #[default]
    Ipv4,
    /// `[::1]`, which is bound.
    Ipv6,
    /// `localhost`, for clients that are registered so; `127.0.0.1` is bound.
    Localhost,
    /// `localhost`, with `127.0.0.1` and `[::1]` bound, for browsers that look for `localhost` at `[::1]` alone.
    LocalhostBoth,
}

/// Where a program on the user's machine takes the answer to a sign-in: a redirect URI on loopback, as the client was registered.
///
/// ```
/// use amplitude_sdk::server::oauth::{AuthError, CallbackFault, Loopback};
/// use std::time::Duration;
///
/// let listener = Loopback::new().timeout(Duration::from_millis(10)).listen()?;
/// assert!(listener.redirect_uri().starts_with("http://127.0.0.1:"));
/// // Show the user an address to sign in at, then:
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let answer = listener.wait(|callback| match callback.contains("state=the-one-that-was-sent") {
///     true => Ok(callback.to_owned()),
///     false => Err(AuthError::CallbackRejected(CallbackFault::State)),
/// });
/// assert!(matches!(answer.await, Err(AuthError::Expired { .. })));
/// # });
/// # Ok::<(), AuthError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Loopback {
    host: LoopbackHost,
    ports: Vec<u16>,
    path: String,
    timeout: Duration,
}

impl Default for Loopback {
    fn default() -> Self {
        Self { host: LoopbackHost::default(), ports: vec![0], path: "/callback".to_owned(), timeout: Duration::from_secs(300) }
    }
}

impl Loopback {
    /// `http://127.0.0.1:PORT/callback`, a port of the system's choice, five minutes.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the host is spelled, and what is bound. Default: [`LoopbackHost::Ipv4`].
    pub fn host(mut self, host: LoopbackHost) -> Self {
        self.host = host;
        self
    }

    /// The ports that the client is registered with: the first free one is taken. Default: one of the system's choice, which a server must allow
    /// (RFC 8252 §7.3), but some do not.
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// The path that the client is registered with. Default: `/callback`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// How long [`LoopbackListener::wait`] waits. Default: five minutes.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Binds the first port that is free. Do this first, because the port is part of the redirect URI, and then
    /// [`wait`](LoopbackListener::wait).
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for a path that is none, or no ports; [`AuthError::System`] when none can be bound.
    pub fn listen(&self) -> Result<LoopbackListener, AuthError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if !self.path.starts_with('/') || self.path.len() > 256 || !self.path.bytes().all(allowed) {
            return Err(AuthError::Invalid(Error::at("path", "starts with `/` and holds letters, digits and `/-._~` alone")));
        }
        let (name, addresses): (_, &[IpAddr]) = match self.host {
            LoopbackHost::Ipv4 => ("127.0.0.1", &[IpAddr::V4(Ipv4Addr::LOCALHOST)]),
            LoopbackHost::Ipv6 => ("[::1]", &[IpAddr::V6(Ipv6Addr::LOCALHOST)]),
            LoopbackHost::Localhost => ("localhost", &[IpAddr::V4(Ipv4Addr::LOCALHOST)]),
            LoopbackHost::LocalhostBoth => ("localhost", &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]),
        };
        let mut failed = None;
        for port in &self.ports {
            match bind(addresses, *port) {
                Ok((sockets, port)) => {
                    return Ok(LoopbackListener {
                        redirect_uri: format!("http://{name}:{port}{}", self.path),
                        sockets,
                        rules: Rules { port, path: self.path.clone() },
                        timeout: self.timeout,
                    });
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(match failed {
            None => AuthError::Invalid(Error::at("ports", "there is none")),
            Some(error) => AuthError::System(
                Error::new(ErrorKind::Store, format!("no port on loopback can be bound, of {:?}", self.ports)).with_source(error),
            ),
        })
    }
}

/// One port at all addresses.
fn bind(addresses: &[IpAddr], port: u16) -> io::Result<(Vec<std::net::TcpListener>, u16)> {
    // What is free at one address may be taken at the other: then the system chooses again.
    let attempts = if port == 0 { 16 } else { 1 };
    let mut bound = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..attempts {
        bound = bind_once(addresses, port);
        if !matches!(&bound, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
            break;
        }
    }
    bound
}

fn bind_once(addresses: &[IpAddr], mut port: u16) -> io::Result<(Vec<std::net::TcpListener>, u16)> {
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        let socket = std::net::TcpListener::bind(SocketAddr::new(*address, port))?;
        socket.set_nonblocking(true)?;
        port = socket.local_addr()?.port();
        sockets.push(socket);
    }
    Ok((sockets, port))
}

/// A port on loopback that waits for the answer to a sign-in. Dropped, or with its [`wait`](Self::wait) dropped, it is closed.
#[derive(Debug)]
#[must_use]
pub struct LoopbackListener {
    redirect_uri: String,
    sockets: Vec<std::net::TcpListener>,
    rules: Rules,
    timeout: Duration,
}

impl LoopbackListener {
    /// The redirect URI, with the port that was bound: to be sent with both requests of the sign-in.
    #[must_use]
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The addresses that are bound: of loopback alone.
    ///
    /// # Errors
    /// [`AuthError::System`] when the system does not say.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, AuthError> {
        let failed = |error| system("the callback's address cannot be read", error);
        self.sockets.iter().map(|socket| socket.local_addr().map_err(failed)).collect()
    }

    /// Gives each request of the redirect URI, with its query, to `verify`, until one is the answer. One that `verify` refuses with
    /// [`AuthError::CallbackRejected`] was forged or is of an earlier attempt, and the wait goes on; any other error ends it, as does
    /// [`CallbackFault::Expired`], after which none can be right. The browser is shown a page that says which it was; nothing of the request is
    /// in it.
    ///
    /// # Errors
    /// What `verify` answers; [`AuthError::Expired`] when the time is over; [`AuthError::System`] when the machine gives no thread.
    pub async fn wait<T>(self, mut verify: impl FnMut(&str) -> Result<T, AuthError>) -> Result<T, AuthError> {
        let runtime = Runtime::shared().map_err(AuthError::System)?;
        let limit = self.timeout;
        let serve = async { timeout(limit, self.serve(&mut verify)).await };
        runtime.run(serve).await.unwrap_or(Err(AuthError::Expired { stage: Stage::Authorization }))
    }

    async fn serve<T>(self, verify: &mut impl FnMut(&str) -> Result<T, AuthError>) -> Result<T, AuthError> {
        let failed = |error| system("the callback's port cannot be waited for", error);
        let sockets: Vec<_> = self.sockets.into_iter().map(TcpListener::from_std).collect::<Result<_, _>>().map_err(failed)?;
        let rules = Arc::new(self.rules);
        let (calls, mut called) = mpsc::channel::<Call>(1);
        let mut connections = Connections::default();
        loop {
            let call = tokio::select! {
                biased;
                Some(call) = called.recv() => call,
                accepted = accept(&sockets) => {
                    match accepted {
                        Ok(stream) => connections.add(converse(stream, Arc::clone(&rules), calls.clone())),
                        // Too many open files, perhaps: a connection that is not taken stays in the system's queue.
                        Err(error) => {
                            tracing::debug!(target: "amplitude_sdk::auth", %error, "a connection to the callback failed");
                            sleep(Duration::from_millis(50)).await;
                        }
                    }
                    continue;
                }
            };
            let callback = [&self.redirect_uri, "?", &call.query].concat();
            let (page, verdict) = match verify(&callback) {
                Ok(accepted) => (Page::Done, Some(Ok(accepted))),
                Err(AuthError::CallbackRejected(fault)) if fault != CallbackFault::Expired => (Page::Foreign, None),
                Err(error) => (Page::Refused, Some(Err(error))),
            };
            // A browser that left meanwhile misses its page; the answer counts.
            let _ = call.page.send(page);
            if let Some(verdict) = verdict {
                drop(sockets);
                // Ends when the page is written or the connection is gone.
                let _ = timeout(WRITE_LIMIT, call.written).await;
                return verdict;
            }
        }
    }
}

fn system(what: &'static str, error: io::Error) -> AuthError {
    AuthError::System(Error::new(ErrorKind::Store, what).with_source(error))
}

async fn accept(sockets: &[TcpListener]) -> io::Result<TcpStream> {
    poll_fn(|cx| {
        for socket in sockets {
            if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    })
    .await
}

/// A request of the redirect URI that waits for its page.
struct Call {
    query: String,
    page: oneshot::Sender<Page>,
    /// Ends with the connection.
    written: oneshot::Receiver<()>,
}

/// Those that are open; all end when this is dropped.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    oldest_first: VecDeque<AbortHandle>,
}

impl Connections {
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.oldest_first.retain(|task| !task.is_finished());
        if self.oldest_first.len() >= CONNECTIONS
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            oldest.abort();
        }
        self.oldest_first.push_back(self.tasks.spawn(connection));
    }
}

/// One connection: one request, one page.
async fn converse(mut stream: TcpStream, rules: Arc<Rules>, calls: mpsc::Sender<Call>) {
    let (written, has_written) = oneshot::channel();
    let page = match timeout(READ_LIMIT, read_head(&mut stream)).await {
        Ok(Ok(Some(head))) => match rules.judge(&head) {
            Ok(query) => {
                let (page, answer) = oneshot::channel();
                let call = Call { query: query.to_owned(), page, written: has_written };
                // Without anybody who waits, the wait is over.
                let Ok(()) = calls.send(call).await else { return };
                let Ok(page) = answer.await else { return };
                page
            }
            Err(page) => page,
        },
        Ok(Err(page)) => page,
        // Gone, or too slow for an answer.
        Ok(Ok(None)) | Err(_) => return,
    };
    let response = page.response();
    // Whether the browser takes its page is its own affair.
    let _ = timeout(WRITE_LIMIT, async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
    drop(written);
    let _ = timeout(WRITE_LIMIT, drain(&mut stream)).await;
}

/// Reads on a little, because a connection that is closed with bytes unread is reset, and its page lost.
async fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let mut chunk = [0; 4096];
    for _ in 0..1024 {
        if stream.read(&mut chunk).await? == 0 {
            break;
        }
    }
    Ok(())
}
