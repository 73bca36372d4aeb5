//! Connecting and upgrading.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use polytls_core::{Error, ErrorKind, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use super::now;
use super::stream::TlsStream;
use crate::address::Address;
use crate::connect::{
    ConnectOptions, Failures, Plan, Resolver, judge_resolution, resolved_too_late, share,
};
use crate::connection::Connection;
use crate::context::{
    ClientContext, ServerContext, built_default_client_ssl_context, default_client_ssl_context,
};
use crate::upgrade::{UpgradeOptions, earlier, refuse_plaintext};

/// Connects by TCP and shakes hands: the twin of [`crate::ssl_connect`].
///
/// # Errors
///
/// As [`crate::ssl_connect`].
///
/// # Cancel safety
///
/// Dropping the future closes the socket.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use polytls::ConnectOptions;
/// use polytls::tokio::ssl_connect;
///
/// # async fn example() -> Result<(), polytls::Error> {
/// let options = ConnectOptions::new().timeout(Duration::from_secs(10));
/// let stream = ssl_connect("example.com:443", options).await?;
/// # Ok(())
/// # }
/// ```
pub async fn ssl_connect<A>(
    address: A,
    options: ConnectOptions,
) -> Result<TlsStream<TcpStream>, Error>
where
    A: TryInto<Address>,
    A::Error: Into<Error>,
{
    let deadline = options.timeout.and_then(|timeout| now().checked_add(timeout));
    let Plan { address, name } = Plan::new(address, options.host.as_deref())?;
    let context = or_default(options.context).await?;
    let candidates = resolve(&address, options.resolver, deadline).await?;
    let socket = connect_to_any(&candidates, deadline).await?;
    // A handshake is small messages back and forth: waiting to fill segments costs 40 ms each.
    socket.set_nodelay(true).map_err(|error| Error::io(ErrorKind::Connect, error))?;
    let deadline = earlier(deadline, context.handshake_timeout(), now());
    shake_hands(TlsStream::new(Connection::client(&context, &name)?, socket, deadline)).await
}

/// Makes TLS of a client's open stream: the twin of [`crate::ssl_client_upgrade`].
///
/// # Errors
///
/// As [`crate::ssl_client_upgrade`].
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
///
/// # Examples
///
/// ```no_run
/// use polytls::UpgradeOptions;
/// use polytls::tokio::{ssl_client_upgrade, unbuffer};
/// use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
/// use tokio::net::TcpStream;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut stream = BufReader::new(TcpStream::connect("mail.example.com:143").await?);
/// let mut line = String::new();
/// stream.read_line(&mut line).await?; // the greeting
/// stream.write_all(b"a STARTTLS\r\n").await?;
/// stream.read_line(&mut line).await?; // the consent
/// let stream = unbuffer(stream)?; // refuses what an attacker may have sent behind it
/// let stream = ssl_client_upgrade(stream, "mail.example.com", UpgradeOptions::new()).await?;
/// # Ok(())
/// # }
/// ```
pub async fn ssl_client_upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    host: &str,
    options: UpgradeOptions,
) -> Result<TlsStream<S>, Error> {
    let name = ServerName::parse(host)?;
    let context = or_default(options.context.clone()).await?;
    let (connection, deadline) = options.client(&context, &name, now())?;
    shake_hands(TlsStream::new(connection, stream, deadline)).await
}

/// Makes TLS of a server's open stream: the twin of [`crate::ssl_server_upgrade`].
///
/// # Errors
///
/// As [`crate::ssl_server_upgrade`].
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
///
/// # Examples
///
/// ```no_run
/// use polytls::tokio::ssl_server_upgrade;
/// use polytls::{ProtocolVersion, make_server_ssl_context};
///
/// # async fn example(stream: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// let context = make_server_ssl_context("chain.pem", "key.pem", ProtocolVersion::default())?;
/// // The client says STARTTLS, and the server agrees; then:
/// let stream = ssl_server_upgrade(stream, &context).await?;
/// # Ok(())
/// # }
/// ```
pub async fn ssl_server_upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    context: &ServerContext,
) -> Result<TlsStream<S>, Error> {
    ssl_server_upgrade_with(stream, context, UpgradeOptions::new()).await
}

/// [`ssl_server_upgrade`], with options.
///
/// # Errors
///
/// As [`ssl_server_upgrade`]; `Config` for options that are a client's.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn ssl_server_upgrade_with<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    context: &ServerContext,
    options: UpgradeOptions,
) -> Result<TlsStream<S>, Error> {
    let (connection, deadline) = options.server(context, now())?;
    shake_hands(TlsStream::new(connection, stream, deadline)).await
}

/// Takes the buffer off a stream before it is upgraded: the twin of [`crate::unbuffer`].
///
/// # Errors
///
/// As [`crate::unbuffer`].
pub fn unbuffer<S: AsyncRead>(reader: BufReader<S>) -> Result<S, Error> {
    refuse_plaintext(reader.buffer())?;
    Ok(reader.into_inner())
}

/// The context, or the default one. The first call for that reads the system's trust store, for which a
/// runtime's thread is no place.
async fn or_default(context: Option<ClientContext>) -> Result<ClientContext, Error> {
    if let Some(context) = context.or_else(built_default_client_ssl_context) {
        return Ok(context);
    }
    let built = tokio::task::spawn_blocking(default_client_ssl_context).await;
    built.unwrap_or_else(|_panicked| Err(Error::internal("building the default context panicked")))
}

async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: TlsStream<S>,
) -> Result<TlsStream<S>, Error> {
    // A stream that fails is dropped here, and the transport with it.
    stream.handshake().await.map(|()| stream)
}

async fn resolve(
    address: &Address,
    resolver: Option<Resolver>,
    deadline: Option<Instant>,
) -> Result<Vec<SocketAddr>, Error> {
    if let Some(address) = address.socket_addr() {
        return Ok(vec![address]);
    }
    let (host, port) = (address.host(), address.port());
    let asked = host.clone();
    let lookup = async move {
        match resolver {
            None => Ok(tokio::net::lookup_host((asked, port)).await?.collect()),
            Some(resolver) => tokio::task::spawn_blocking(move || resolver.look_up(&asked, port))
                .await
                .unwrap_or_else(|_panicked| Err(io::Error::other("the resolver gave up"))),
        }
    };
    let found = match deadline {
        None => lookup.await,
        Some(deadline) => {
            timeout_at(deadline.into(), lookup).await.map_err(|_late| resolved_too_late(&host))?
        }
    };
    judge_resolution(&host, found)
}

async fn connect_to_any(
    candidates: &[SocketAddr],
    deadline: Option<Instant>,
) -> Result<TcpStream, Error> {
    let mut failures = Failures::default();
    for (i, &address) in candidates.iter().enumerate() {
        let attempt = TcpStream::connect(address);
        let attempt = match share(deadline, candidates.len() - i, now())? {
            None => attempt.await,
            Some(share) => tokio::time::timeout(share, attempt)
                .await
                .unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into())),
        };
        match attempt {
            Ok(socket) => return Ok(socket),
            Err(error) => failures.add(address, error),
        }
    }
    Err(failures.into_error(deadline, now()))
}
