//! `ssl_listen`: accepting connections that are TLS.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use polytls_core::{Error, ErrorKind, Phase, ServerSocket, Socket};
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use crate::address::Address;
use crate::connection::Connection;
use crate::context::ServerContext;
use crate::stream::{Clock, TlsStream};
use crate::upgrade::UpgradeOptions;

/// How to listen.
#[derive(Clone)]
#[must_use = "options do nothing by themselves"]
pub struct ListenOptions {
    backlog: i32,
    sockopts: Arc<SetOptions>,
}

type SetOptions = dyn Fn(&SockRef<'_>) -> io::Result<()> + Send + Sync;

impl ListenOptions {
    /// How many connections the kernel holds until they are accepted, unless set.
    pub const DEFAULT_BACKLOG: u16 = 1024;

    /// The defaults: a backlog of 1,024 and, on Unix, `SO_REUSEADDR`.
    pub fn new() -> Self {
        Self {
            backlog: i32::from(Self::DEFAULT_BACKLOG),
            // Elsewhere the option lets another program take over a port that is in use.
            sockopts: Arc::new(
                |socket| {
                    if cfg!(unix) { socket.set_reuse_address(true) } else { Ok(()) }
                },
            ),
        }
    }

    /// How many connections the kernel holds until they are accepted; it may have a lower bound.
    pub fn backlog(mut self, connections: u16) -> Self {
        self.backlog = i32::from(connections);
        self
    }

    /// Sets the socket's options before it is bound, in place of the default ones.
    pub fn sockopts(
        mut self,
        set: impl Fn(&SockRef<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.sockopts = Arc::new(set);
        self
    }

    /// A bound and listening socket.
    pub(crate) fn bind(&self, address: &Address) -> Result<TcpListener, Error> {
        let addresses: Vec<SocketAddr> = match address.socket_addr() {
            Some(address) => vec![address],
            None => (address.host().as_str(), address.port())
                .to_socket_addrs()
                .map_err(|error| {
                    let detail = format!("{:?}, check the name", address.host());
                    Error::io(ErrorKind::Resolve, error).with_detail(detail)
                })?
                .collect(),
        };
        let mut last = None;
        for address in addresses {
            match self.bind_one(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => {
                    let detail = format!("cannot listen on {address}");
                    last = Some(Error::io(ErrorKind::Io, error).with_detail(detail));
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::io(ErrorKind::Resolve, io::ErrorKind::NotFound.into())))
    }

    fn bind_one(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let domain = Domain::for_address(address);
        let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        (self.sockopts)(&SockRef::from(&socket))?;
        socket.bind(&address.into())?;
        socket.listen(self.backlog)?;
        Ok(socket.into())
    }
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ListenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenOptions").field("backlog", &self.backlog).finish_non_exhaustive()
    }
}

/// Listens for TLS connections by TCP.
///
/// # Errors
///
/// `ServerName` for an address that cannot be used; `Resolve`; `Io`, with the system's own kind, when
/// the address is in use or may not be bound.
///
/// # Examples
///
/// ```no_run
/// use std::io::Write;
///
/// use polytls::{ListenOptions, ProtocolVersion, make_server_ssl_context, ssl_listen};
///
/// let context = make_server_ssl_context("chain.pem", "key.pem", ProtocolVersion::default())?;
/// let listener = ssl_listen("127.0.0.1:8443", context, ListenOptions::new())?;
/// for stream in listener.incoming() {
///     let mut stream = match stream {
///         Ok(stream) => stream,
///         Err(error) => {
///             // No file descriptors left, say: no reason to stop.
///             eprintln!("{error}");
///             continue;
///         }
///     };
///     // The handshake happens here, so a silent client holds up its own thread only.
///     std::thread::spawn(move || stream.write_all(b"hello\n").and_then(|()| Ok(stream.close()?)));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ssl_listen<A>(
    address: A,
    context: ServerContext,
    options: ListenOptions,
) -> Result<TlsListener, Error>
where
    A: TryInto<Address>,
    A::Error: Into<Error>,
{
    let listener = options.bind(&address.try_into().map_err(Into::into)?)?;
    Ok(TlsListener::new(listener, context))
}

/// A listening socket whose accepted connections are TLS.
///
/// [`accept`](Self::accept) hands a connection out as soon as the transport has it. The handshake
/// happens with its first read or write, or by [`TlsStream::handshake`], within the context's
/// deadline, which counts from accept. So a silent or broken client is one bad connection: it never
/// holds up or ends the accept loop.
///
/// [`Socket::close`] ends it, for whoever accepts in another thread too.
pub struct TlsListener<L: ServerSocket = TcpListener> {
    listener: L,
    context: CurrentContext,
    /// Ended here.
    closed: AtomicBool,
}

impl<L: ServerSocket> TlsListener<L> {
    /// Makes a TLS listener of one that is bound already: TCP or Unix, or one's own.
    pub fn new(listener: L, context: ServerContext) -> Self {
        let context = CurrentContext::new(context);
        Self { listener, context, closed: AtomicBool::new(false) }
    }

    /// Waits for the next connection. Its handshake has not begun.
    ///
    /// # Errors
    ///
    /// `Timeout` by the listener's read timeout; `Io`, when the process has no file descriptors left
    /// for example, and `Config`, when it is in non-blocking mode, after a pause of 50 ms, so that a loop
    /// which goes on does not spin; `Internal` when there is no memory for a connection. The listener
    /// goes on after any error but `Closed`, which follows [`Socket::close`].
    pub fn accept(&self) -> Result<(TlsStream<L::Stream>, L::Address), Error> {
        let (socket, address) = self.accept_transport()?;
        let (connection, deadline) = self.context.start(Instant::now())?;
        Ok((TlsStream::new(connection, socket, deadline), address))
    }

    /// An iterator over accepted connections, which ends when the listener is closed.
    pub fn incoming(&self) -> Incoming<'_, L> {
        Incoming { listener: self }
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

    fn accept_transport(&self) -> Result<(L::Stream, L::Address), Error> {
        let check_closed = || match self.closed.load(Ordering::Acquire) {
            true => Err(Error::new(ErrorKind::Closed)),
            false => Ok(()),
        };
        loop {
            check_closed()?;
            let accepted = self.listener.accept();
            check_closed()?;
            match accepted {
                Ok((socket, address)) => {
                    // No TCP on a Unix socket; then there is nothing to set.
                    let _ = Socket::options(&socket).map(|options| options.set_tcp_nodelay(true));
                    return Ok((socket, address));
                }
                // That client is gone again; the next one is not.
                Err(error) if is_about_one_client(&error) => {}
                Err(error) => {
                    let error = Clock::none(Phase::Accept).judge(&self.listener, error);
                    if !matches!(error.kind(), ErrorKind::Timeout(_)) {
                        std::thread::sleep(PAUSE);
                    }
                    return Err(error);
                }
            }
        }
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

impl<L: ServerSocket> fmt::Debug for TlsListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl<L: ServerSocket> Socket for TlsListener<L> {
    fn local_addr(&self) -> io::Result<SockAddr> {
        Socket::local_addr(&self.listener)
    }

    fn options(&self) -> Option<SockRef<'_>> {
        self.listener.options()
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.listener.read_timeout()
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.listener.set_read_timeout(timeout)
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.listener.write_timeout()
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.listener.set_write_timeout(timeout)
    }

    fn close(&self) -> io::Result<()> {
        self.closed.store(true, Ordering::Release);
        self.listener.close()
    }
}

impl<L: ServerSocket> ServerSocket for TlsListener<L> {
    type Stream = TlsStream<L::Stream>;
    type Address = L::Address;

    fn accept(&self) -> io::Result<(Self::Stream, Self::Address)> {
        Ok(TlsListener::accept(self)?)
    }
}

/// The context that a listener accepts the next connection with.
pub(crate) struct CurrentContext(RwLock<ServerContext>);

impl CurrentContext {
    pub(crate) fn new(context: ServerContext) -> Self {
        Self(RwLock::new(context))
    }

    pub(crate) fn get(&self) -> ServerContext {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, context: ServerContext) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = context;
    }

    /// A connection, and when its handshake must be over.
    pub(crate) fn start(&self, now: Instant) -> Result<(Connection, Option<Instant>), Error> {
        UpgradeOptions::new().server(&self.get(), now)
    }
}

/// How long a listener waits before it tells why it cannot accept: what is the matter, too many open
/// files for example, is still the matter at the next call.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// Whether an accept failed for a client, or the way to it, rather than for the listener (accept(2)
/// passes on what happened to the connection).
pub(crate) fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | Interrupted
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
    )
}

/// An iterator over the connections of a [`TlsListener`], until that is closed.
#[derive(Debug)]
pub struct Incoming<'a, L: ServerSocket = TcpListener> {
    listener: &'a TlsListener<L>,
}

impl<L: ServerSocket> Iterator for Incoming<'_, L> {
    type Item = Result<TlsStream<L::Stream>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.listener.accept() {
            Err(error) if error.kind() == ErrorKind::Closed => None,
            accepted => Some(accepted.map(|(stream, _address)| stream)),
        }
    }
}

impl<'a, L: ServerSocket> IntoIterator for &'a TlsListener<L> {
    type Item = Result<TlsStream<L::Stream>, Error>;
    type IntoIter = Incoming<'a, L>;

    fn into_iter(self) -> Incoming<'a, L> {
        self.incoming()
    }
}
