//! `ssl_connect`: resolving, connecting and shaking hands under one deadline.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use polytls_core::{Error, ErrorKind, Phase, ServerName};

use crate::address::Address;
use crate::connection::Connection;
use crate::context::{ClientContext, default_client_ssl_context};
use crate::stream::TlsStream;
use crate::upgrade::{earlier, shake_hands};

/// How to connect.
///
/// ```
/// use std::time::Duration;
///
/// use polytls::ConnectOptions;
///
/// let options = ConnectOptions::new().timeout(Duration::from_secs(10)).host("example.com");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing by themselves"]
pub struct ConnectOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) context: Option<ClientContext>,
    pub(crate) host: Option<String>,
    pub(crate) resolver: Option<Resolver>,
}

impl ConnectOptions {
    /// The defaults: no deadline but the handshake's, the default client context, the host of the
    /// address.
    pub fn new() -> Self {
        Self::default()
    }

    /// One deadline over resolving, connecting and shaking hands. None unless set; the handshake's
    /// own, 60 s unless the context says otherwise, holds as well.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// The context; [`default_client_ssl_context`] unless set.
    pub fn context(mut self, context: ClientContext) -> Self {
        self.context = Some(context);
        self
    }

    /// The name to verify; the host of the address unless set. For when the address is an IP address
    /// and the certificate has a name.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Looks host names up another way than by the system's resolver.
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = Some(resolver);
        self
    }
}

/// A way to look up host names.
#[derive(Clone)]
pub struct Resolver(Arc<Lookup>);

type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

impl Resolver {
    /// A resolver that is this function of a host name and a port. It may block; one that is still at
    /// it when the deadline passes is abandoned on its thread.
    pub fn new(
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(lookup))
    }

    pub(crate) fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        (self.0)(host, port)
    }

    fn system() -> Self {
        Self::new(|host, port| Ok((host, port).to_socket_addrs()?.collect()))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// Connects by TCP and shakes hands.
///
/// Every address that the host resolves to is tried in turn, each with its share of the time left.
/// `TCP_NODELAY` is on.
///
/// # Errors
///
/// `ServerName` for an address or host that cannot be used; `Resolve`; `Connect`; `Timeout`, with
/// the phase; whatever a handshake can fail with (see [`TlsStream::handshake`]); whatever
/// [`default_client_ssl_context`] fails with.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use polytls::{ConnectOptions, Tls, ssl_connect};
///
/// let options = ConnectOptions::new().timeout(Duration::from_secs(10));
/// let stream = ssl_connect("example.com:443", options)?;
/// println!("{:?}", stream.peer_certificate());
/// # Ok::<(), polytls::Error>(())
/// ```
pub fn ssl_connect<A>(address: A, options: ConnectOptions) -> Result<TlsStream<TcpStream>, Error>
where
    A: TryInto<Address>,
    A::Error: Into<Error>,
{
    let deadline = options.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let Plan { address, name } = Plan::new(address, options.host.as_deref())?;
    let context = options.context.map_or_else(default_client_ssl_context, Ok)?;
    let candidates = resolve(&address, options.resolver, deadline)?;
    let socket = connect_to_any(&candidates, deadline)?;
    // A handshake is small messages back and forth: waiting to fill segments costs 40 ms each.
    socket.set_nodelay(true).map_err(|error| Error::io(ErrorKind::Connect, error))?;
    let deadline = earlier(deadline, context.handshake_timeout(), Instant::now());
    shake_hands(TlsStream::new(Connection::client(&context, &name)?, socket, deadline))
}

/// Where to, and whom to expect there.
pub(crate) struct Plan {
    pub(crate) address: Address,
    pub(crate) name: ServerName,
}

impl Plan {
    pub(crate) fn new<A>(address: A, host: Option<&str>) -> Result<Self, Error>
    where
        A: TryInto<Address>,
        A::Error: Into<Error>,
    {
        let address = address.try_into().map_err(Into::into)?;
        let name = match host {
            Some(host) => ServerName::parse(host)?,
            None => ServerName::parse(&address.host())?,
        };
        Ok(Self { address, name })
    }
}

fn resolve(
    address: &Address,
    resolver: Option<Resolver>,
    deadline: Option<Instant>,
) -> Result<Vec<SocketAddr>, Error> {
    if let Some(address) = address.socket_addr() {
        return Ok(vec![address]);
    }
    let (host, port) = (address.host(), address.port());
    let resolver = resolver.unwrap_or_else(Resolver::system);
    let found = match deadline {
        None => resolver.look_up(&host, port),
        Some(deadline) => {
            // The system's resolver knows no deadline, so it runs aside and may be left behind.
            let (answer, answered) = mpsc::sync_channel(1);
            let asked = host.clone();
            std::thread::Builder::new()
                .name("polytls-resolve".into())
                .spawn(move || drop(answer.send(resolver.look_up(&asked, port))))
                .map_err(|error| Error::io(ErrorKind::Resolve, error))?;
            match answered.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(found) => found,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(resolved_too_late(&host));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    Err(io::Error::other("the resolver gave up"))
                }
            }
        }
    };
    judge_resolution(&host, found)
}

/// What a lookup came to, the same for every runtime.
pub(crate) fn judge_resolution(
    host: &str,
    found: io::Result<Vec<SocketAddr>>,
) -> Result<Vec<SocketAddr>, Error> {
    match found {
        Ok(found) if found.is_empty() => Err(no_address(host)),
        Ok(found) => Ok(found),
        Err(error) => {
            Err(Error::io(ErrorKind::Resolve, error)
                .with_detail(format!("{host:?}, check the name")))
        }
    }
}

/// The deadline passed before a lookup came to anything.
pub(crate) fn resolved_too_late(host: &str) -> Error {
    Error::new(ErrorKind::Timeout(Phase::Resolve)).with_detail(format!("{host:?}"))
}

fn no_address(host: &str) -> Error {
    Error::io(ErrorKind::Resolve, io::ErrorKind::NotFound.into())
        .with_detail(format!("{host:?} has no address"))
}

fn connect_to_any(
    candidates: &[SocketAddr],
    deadline: Option<Instant>,
) -> Result<TcpStream, Error> {
    let mut failures = Failures::default();
    for (i, &address) in candidates.iter().enumerate() {
        let attempt = match share(deadline, candidates.len() - i, Instant::now())? {
            None => TcpStream::connect(address),
            Some(share) => TcpStream::connect_timeout(&address, share),
        };
        match attempt {
            Ok(socket) => return Ok(socket),
            Err(error) => failures.add(address, error),
        }
    }
    Err(failures.into_error(deadline, Instant::now()))
}

/// An equal share of the time that is left for each address that is left.
pub(crate) fn share(
    deadline: Option<Instant>,
    addresses: usize,
    now: Instant,
) -> Result<Option<Duration>, Error> {
    let Some(deadline) = deadline else { return Ok(None) };
    let left = deadline.saturating_duration_since(now);
    let parts = u32::try_from(addresses).unwrap_or(u32::MAX).max(1);
    match left / parts {
        Duration::ZERO => Err(Error::new(ErrorKind::Timeout(Phase::Connect))),
        share => Ok(Some(share)),
    }
}

/// The addresses that could not be connected to.
#[derive(Default)]
pub(crate) struct Failures {
    tried: Vec<SocketAddr>,
    last: Option<io::Error>,
}

impl Failures {
    pub(crate) fn add(&mut self, address: SocketAddr, error: io::Error) {
        self.tried.push(address);
        self.last = Some(error);
    }

    pub(crate) fn into_error(self, deadline: Option<Instant>, now: Instant) -> Error {
        let late = deadline.is_some_and(|deadline| now >= deadline);
        let tried: Vec<_> = self.tried.iter().map(ToString::to_string).collect();
        let error = match self.last {
            Some(error) if late && error.kind() == io::ErrorKind::TimedOut => {
                Error::new(ErrorKind::Timeout(Phase::Connect)).with_source(error)
            }
            Some(error) => Error::io(ErrorKind::Connect, error),
            None => Error::new(ErrorKind::Connect),
        };
        error.with_detail(format!("tried {}", tried.join(", ")))
    }
}
