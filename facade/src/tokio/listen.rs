//! Accepting connections that are TLS.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use polytls_core::{Error, ErrorKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::now;
use super::stream::TlsStream;
use crate::address::Address;
use crate::context::ServerContext;
use crate::listen::{CurrentContext, ListenOptions, PAUSE, is_about_one_client};

/// Listens for TLS connections by TCP: the twin of [`crate::ssl_listen`].
///
/// # Errors
///
/// As [`crate::ssl_listen`].
///
/// # Cancel safety
///
/// Dropping the future closes the listener.
///
/// # Examples
///
/// ```no_run
/// use polytls::tokio::ssl_listen;
/// use polytls::{ListenOptions, ProtocolVersion, make_server_ssl_context};
/// use tokio::io::AsyncWriteExt;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let context = make_server_ssl_context("chain.pem", "key.pem", ProtocolVersion::default())?;
/// let listener = ssl_listen("127.0.0.1:8443", context, ListenOptions::new()).await?;
/// loop {
///     let (mut stream, _address) = listener.accept().await?;
///     // The handshake happens here, so a silent client holds up its own task only.
///     tokio::spawn(async move {
///         stream.write_all(b"hello\n").await?;
///         stream.close().await.map_err(std::io::Error::from)
///     });
/// }
/// # }
/// ```
pub async fn ssl_listen<A>(
    address: A,
    context: ServerContext,
    options: ListenOptions,
) -> Result<TlsListener, Error>
where
    A: TryInto<Address>,
    A::Error: Into<Error>,
{
    let address = address.try_into().map_err(Into::into)?;
    let bind = tokio::task::spawn_blocking(move || options.bind(&address));
    let listener = bind.await.map_err(|error| Error::io(ErrorKind::Io, error.into()))??;
    let listener = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
    let listener = listener.map_err(|error| Error::io(ErrorKind::Io, error))?;
    Ok(TlsListener::new(listener, context))
}

/// What a [`TlsListener`] accepts from.
pub trait Listener: fmt::Debug + Send + Sync {
    /// What it accepts.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Where that comes from.
    type Address: fmt::Debug + Send + 'static;

    /// Waits for a connection; must be cancel safe.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Address)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Address = SocketAddr;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // The connection may be gone again; then its handshake tells.
        let _ = stream.set_nodelay(true);
        Ok((stream, address))
    }
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Stream = tokio::net::UnixStream;
    type Address = tokio::net::unix::SocketAddr;

    async fn accept(&self) -> io::Result<(Self::Stream, Self::Address)> {
        tokio::net::UnixListener::accept(self).await
    }
}

/// A listening socket whose accepted connections are TLS: the twin of
/// [`crate::TlsListener`].
pub struct TlsListener<L: Listener = TcpListener> {
    listener: L,
    context: CurrentContext,
    /// After an error: how long the next call waits.
    paused: Mutex<Option<Instant>>,
}

impl<L: Listener> TlsListener<L> {
    /// Makes a TLS listener of one that is bound already.
    pub fn new(listener: L, context: ServerContext) -> Self {
        let context = CurrentContext::new(context);
        Self { listener, context, paused: Mutex::new(None) }
    }

    /// Waits for the next connection. Its handshake has not begun: it happens with the first read or
    /// write, or by [`TlsStream::handshake`], so no client holds up this call.
    ///
    /// # Errors
    ///
    /// `Io`, when the process has no file descriptors left for example: the next call then waits for
    /// 50 ms, so that a loop which goes on does not spin. `Internal` when there is no memory for a
    /// connection. The listener goes on after any error.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost.
    pub async fn accept(&self) -> Result<(TlsStream<L::Stream>, L::Address), Error> {
        let paused = *self.paused();
        if let Some(until) = paused {
            sleep_until(until).await;
            *self.paused() = None;
        }
        let (stream, address) = loop {
            match self.listener.accept().await {
                Ok(accepted) => break accepted,
                // That client is gone again; the next one is not.
                Err(error) if is_about_one_client(&error) => {}
                Err(error) => {
                    *self.paused() = Some(Instant::now() + PAUSE);
                    return Err(Error::io(ErrorKind::Io, error));
                }
            }
        };
        let (connection, deadline) = self.context.start(now())?;
        Ok((TlsStream::new(connection, stream, deadline), address))
    }

    fn paused(&self) -> MutexGuard<'_, Option<Instant>> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs handshakes inside the listener, at most `limit` at a time, so that only connections whose
    /// handshake is done are handed out.
    pub fn handshaken(self, limit: usize) -> HandshakenListener<L> {
        HandshakenListener { listener: self, limit: limit.max(1), handshakes: JoinSet::new() }
    }

    /// The context that the next connection is accepted with.
    pub fn context(&self) -> ServerContext {
        self.context.get()
    }

    /// Accepts the next connections with another context: a renewed certificate, say. Connections
    /// that were accepted before keep theirs.
    pub fn set_context(&self, context: ServerContext) {
        self.context.set(context);
    }

    /// The listener beneath.
    pub fn get_ref(&self) -> &L {
        &self.listener
    }

    /// Gives the listener back.
    pub fn into_inner(self) -> L {
        self.listener
    }
}

impl TlsListener<TcpListener> {
    /// The address that the listener is bound to: with port 0 asked for, the one it got.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl<L: Listener> fmt::Debug for TlsListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// A client whose handshake failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct HandshakeFailure<A> {
    /// Where it came from.
    pub address: A,
    /// What went wrong.
    pub error: Error,
}

/// A [`TlsListener`] that hands out connections whose handshake is done.
///
/// Handshakes run in tasks of their own, each within the context's deadline, so a silent client
/// takes one of the places and holds up nobody else. With all places taken, further clients wait in
/// the kernel's backlog. Dropping the listener ends the handshakes that are under way.
pub struct HandshakenListener<L: Listener> {
    listener: TlsListener<L>,
    limit: usize,
    handshakes: JoinSet<Outcome<L>>,
}

type Outcome<L> = (Result<TlsStream<<L as Listener>::Stream>, Error>, <L as Listener>::Address);

/// What a [`HandshakenListener`] has next: a connection, or a client that failed.
type Next<L> = Result<
    (TlsStream<<L as Listener>::Stream>, <L as Listener>::Address),
    HandshakeFailure<<L as Listener>::Address>,
>;

impl<L: Listener> HandshakenListener<L> {
    /// Waits for the next handshake to end. `Ok(Err(..))` is a client that failed: log it, count it,
    /// and go on.
    ///
    /// # Errors
    ///
    /// As [`TlsListener::accept`]: the listener's own, never a client's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost, and handshakes go on.
    pub async fn accept(&mut self) -> Result<Next<L>, Error> {
        loop {
            tokio::select! {
                Some(ended) = self.handshakes.join_next() => {
                    // A task that panicked, or that is being shut down, has no client to tell of.
                    if let Ok((result, address)) = ended {
                        return Ok(match result {
                            Ok(stream) => Ok((stream, address)),
                            Err(error) => Err(HandshakeFailure { address, error }),
                        });
                    }
                }
                accepted = self.listener.accept(), if self.handshakes.len() < self.limit => {
                    let (mut stream, address) = accepted?;
                    self.handshakes.spawn(async move {
                        (stream.handshake().await.map(|()| stream), address)
                    });
                }
            }
        }
    }

    /// The listener beneath.
    pub fn get_ref(&self) -> &TlsListener<L> {
        &self.listener
    }
}

impl<L: Listener> fmt::Debug for HandshakenListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakenListener")
            .field("listener", &self.listener)
            .field("limit", &self.limit)
            .field("under_way", &self.handshakes.len())
            .finish()
    }
}
