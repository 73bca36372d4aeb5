//! TLS over a stream that is already open: STARTTLS, proxies, Unix sockets.

use std::io::BufReader;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use polytls_core::{Error, ErrorKind, ServerName, StreamSocket};

use crate::connection::Connection;
use crate::context::{ClientContext, ServerContext, default_client_ssl_context};
use crate::stream::TlsStream;

/// How to upgrade a stream.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing by themselves"]
pub struct UpgradeOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) context: Option<ClientContext>,
    pub(crate) leftover: Vec<u8>,
}

impl UpgradeOptions {
    /// The defaults: the handshake's own deadline, the default client context, nothing left over.
    pub fn new() -> Self {
        Self::default()
    }

    /// A deadline for the handshake; the context's unless set. One call of a stream without timeouts,
    /// as a [`StreamAdapter`](crate::StreamAdapter) is, may last beyond it.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// The client's context; [`default_client_ssl_context`] unless set. A server upgrades by its own.
    pub fn context(mut self, context: ClientContext) -> Self {
        self.context = Some(context);
        self
    }

    /// Bytes that were read from the stream already and are the beginning of the peer's TLS.
    ///
    /// Only say so when the protocol does. What a buffered reader has read *before* the peer could
    /// know of the upgrade is plaintext that anyone on the path may have injected; see [`unbuffer`].
    pub fn leftover_is_tls(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.leftover = bytes.into();
        self
    }

    /// A client's connection, and when its handshake must be over.
    pub(crate) fn client(
        &self,
        context: &ClientContext,
        name: &ServerName,
        now: Instant,
    ) -> Result<(Connection, Option<Instant>), Error> {
        let connection = Connection::client(context, name)?;
        Ok(self.begin(connection, context.handshake_timeout(), now))
    }

    /// A server's connection, and when its handshake must be over.
    pub(crate) fn server(
        &self,
        context: &ServerContext,
        now: Instant,
    ) -> Result<(Connection, Option<Instant>), Error> {
        if self.context.is_some() {
            return Err(Error::new(ErrorKind::Config)
                .with_detail("a client's context was given for a server's upgrade"));
        }
        let connection = Connection::server(context)?;
        Ok(self.begin(connection, context.handshake_timeout(), now))
    }

    fn begin(
        &self,
        mut connection: Connection,
        own: Option<Duration>,
        now: Instant,
    ) -> (Connection, Option<Instant>) {
        connection.received_before(&self.leftover);
        (connection, earlier(None, self.timeout.or(own), now))
    }
}

/// Makes TLS of a client's open stream: STARTTLS, a tunnel through a proxy, a Unix socket.
///
/// The stream is closed if the handshake fails.
///
/// # Errors
///
/// `ServerName` for a host that cannot be verified; whatever a handshake can fail with (see
/// [`TlsStream::handshake`]); whatever [`default_client_ssl_context`] fails with.
///
/// # Examples
///
/// ```no_run
/// use std::io::{BufRead, BufReader, Write};
/// use std::net::TcpStream;
///
/// use polytls::{UpgradeOptions, ssl_client_upgrade, unbuffer};
///
/// let mut stream = BufReader::new(TcpStream::connect("mail.example.com:143")?);
/// let mut line = String::new();
/// stream.read_line(&mut line)?; // the greeting
/// stream.get_mut().write_all(b"a STARTTLS\r\n")?;
/// stream.read_line(&mut line)?; // the consent
/// let stream = unbuffer(stream)?; // refuses what an attacker may have sent behind it
/// let stream = ssl_client_upgrade(stream, "mail.example.com", UpgradeOptions::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ssl_client_upgrade<S: StreamSocket>(
    socket: S,
    host: &str,
    options: UpgradeOptions,
) -> Result<TlsStream<S>, Error> {
    let name = ServerName::parse(host)?;
    let context = options.context.clone().map_or_else(default_client_ssl_context, Ok)?;
    let (connection, deadline) = options.client(&context, &name, Instant::now())?;
    shake_hands(TlsStream::new(connection, socket, deadline))
}

/// Makes TLS of a server's open stream: the server's side of STARTTLS.
///
/// The stream is closed if the handshake fails.
///
/// # Errors
///
/// Whatever a handshake can fail with (see [`TlsStream::handshake`]).
///
/// # Examples
///
/// ```no_run
/// use std::net::TcpListener;
///
/// use polytls::{ProtocolVersion, make_server_ssl_context, ssl_server_upgrade};
///
/// let context = make_server_ssl_context("chain.pem", "key.pem", ProtocolVersion::default())?;
/// let (stream, _) = TcpListener::bind("127.0.0.1:0")?.accept()?;
/// // The client says STARTTLS, and the server agrees; then:
/// let stream = ssl_server_upgrade(stream, &context)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ssl_server_upgrade<S: StreamSocket>(
    socket: S,
    context: &ServerContext,
) -> Result<TlsStream<S>, Error> {
    ssl_server_upgrade_with(socket, context, UpgradeOptions::new())
}

/// [`ssl_server_upgrade`], with options.
///
/// # Errors
///
/// As [`ssl_server_upgrade`]; `Config` for options that are a client's.
pub fn ssl_server_upgrade_with<S: StreamSocket>(
    socket: S,
    context: &ServerContext,
    options: UpgradeOptions,
) -> Result<TlsStream<S>, Error> {
    let (connection, deadline) = options.server(context, Instant::now())?;
    shake_hands(TlsStream::new(connection, socket, deadline))
}

/// Takes the buffer off a stream before it is upgraded.
///
/// # Errors
///
/// `PlaintextBeforeTls`, with the first bytes, when the buffer is not empty: they came before TLS
/// and must not be read as if they came from inside (a known attack on STARTTLS). If the protocol
/// says that they are TLS, take [`BufReader::buffer`] and [`BufReader::into_inner`] and hand them
/// over by [`UpgradeOptions::leftover_is_tls`].
pub fn unbuffer<S>(reader: BufReader<S>) -> Result<S, Error>
where
    S: std::io::Read,
{
    refuse_plaintext(reader.buffer())?;
    Ok(reader.into_inner())
}

/// What is left in a buffer before an upgrade is refused.
pub(crate) fn refuse_plaintext(left: &[u8]) -> Result<(), Error> {
    match left {
        [] => Ok(()),
        left => {
            let first = &left[..left.len().min(16)];
            Err(Error::new(ErrorKind::PlaintextBeforeTls).with_first_bytes(first))
        }
    }
}

/// Takes the handshake to its end.
pub(crate) fn shake_hands<S: StreamSocket>(
    mut stream: TlsStream<S>,
) -> Result<TlsStream<S>, Error> {
    match stream.handshake() {
        Ok(()) => Ok(stream),
        Err(error) => {
            // Whoever else holds the socket must not go on in plaintext.
            let _ = stream.get_ref().shutdown(Shutdown::Both);
            Err(error)
        }
    }
}

/// The earlier of a deadline and a time from now.
pub(crate) fn earlier(
    deadline: Option<Instant>,
    timeout: Option<Duration>,
    now: Instant,
) -> Option<Instant> {
    let from_now = timeout.and_then(|timeout| now.checked_add(timeout));
    match (deadline, from_now) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
