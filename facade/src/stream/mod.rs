//! Blocking TLS streams.
//!
//! | file | holds |
//! |---|---|
//! | `shared` | the state of one stream, and the two ways to reach it: alone, or under its lock |
//! | `drive` | handshake, read, write: moving bytes between a connection and its socket |
//! | `clock` | one deadline over many system calls |
//! | `close` | ending a stream, with and without waiting |
//! | `halves` | the two halves of a stream, for two threads |

mod clock;
mod close;
mod drive;
mod halves;
mod shared;

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use polytls_core::{Certificate, CipherSuite, Error, ProtocolVersion, Socket, StreamSocket, Tls};
use socket2::{SockAddr, SockRef};

pub(crate) use clock::Clock;
pub use halves::{ReadHalf, WriteHalf};

use crate::connection::Connection;
use crate::connection::facts::facts_of_connection;
use crate::connection::output::PATIENCE;
use shared::Shared;

/// A TLS connection over a blocking stream socket.
///
/// It is `Read` and `Write`, a [`StreamSocket`] itself (so TLS runs inside TLS), and tells what it
/// negotiated by [`Tls`]. The handshake happens with the first read or write, or by
/// [`handshake`](Self::handshake).
///
/// A timeout, by the socket's own timeouts or the handshake's deadline, is an error of kind
/// `Timeout`, never `WouldBlock`, and leaves the connection intact: the call can be repeated. So does
/// `Io`, as far as the transport does, and `Config`, which a socket in non-blocking mode gets. Every other
/// failure is final, and later calls return it again.
///
/// Two threads use it through `&TlsStream`, which is `Read` and `Write` too, or as its two
/// [halves](Self::into_halves).
///
/// Dropping a stream sends close_notify only if that takes no waiting; to be sure that the peer gets
/// everything, call [`close`](Self::close).
pub struct TlsStream<S: StreamSocket = TcpStream> {
    shared: Shared<S>,
}

impl<S: StreamSocket> TlsStream<S> {
    /// Puts a connection on a socket. The handshake has not begun; it must be over by `deadline`.
    pub(crate) fn new(connection: Connection, socket: S, deadline: Option<Instant>) -> Self {
        Self { shared: Shared::new(connection, socket, deadline) }
    }

    /// Takes the handshake to its end; once it is done, does nothing.
    ///
    /// # Errors
    ///
    /// `Timeout` by the handshake's deadline or the socket's own timeouts; `Certificate`,
    /// `CertificateRejected`, `ClientCertificateRequired`, `NoCommonVersion`,
    /// `NoCommonCipherSuite`, `NoCommonAlpn`, `PeerNotTls`, `Protocol`, `Alert`, `Truncated`, `Io`.
    pub fn handshake(&mut self) -> Result<(), Error> {
        let (socket, mut access) = self.shared.alone();
        drive::handshake(&mut access, socket)
    }

    /// Gives the handshake this long from now; `None` is for ever.
    pub fn set_handshake_timeout(&mut self, timeout: Option<Duration>) {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.shared.state_mut().deadline = deadline;
    }

    /// Sends close_notify, ends the transport's write side, and drains what still comes until the
    /// peer ends too, for 5 s and 64 MiB at most.
    ///
    /// Without that drain, a client that only wrote loses the end of its data: the server's unread
    /// session tickets make the kernel reset the connection.
    ///
    /// # Errors
    ///
    /// `Timeout` when what was written cannot be sent in time; what a fatal alert of the peer means,
    /// such as `ClientCertificateRequired`; `Io`; the error of an earlier call. That the peer does
    /// not end in time is none.
    pub fn close(&mut self) -> Result<(), Error> {
        self.close_within(PATIENCE)
    }

    /// [`close`](Self::close), with another bound of time.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    pub fn close_within(&mut self, timeout: Duration) -> Result<(), Error> {
        let (socket, mut access) = self.shared.alone();
        close::close(&mut access, socket, timeout)
    }

    /// Sends close_notify and ends the transport's write side; reading goes on until the peer closes
    /// too.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    pub fn close_write(&mut self) -> Result<(), Error> {
        let (socket, mut access) = self.shared.alone();
        close::close_write(&mut access, socket)
    }

    /// Splits the stream into two halves that two threads use at the same time, neither waiting for
    /// the other's system calls. Completes the handshake first.
    ///
    /// # Errors
    ///
    /// As [`handshake`](Self::handshake); the stream is dropped then.
    pub fn into_halves(mut self) -> Result<(ReadHalf<S>, WriteHalf<S>), Error> {
        self.handshake()?;
        Ok(halves::split(self.shared))
    }

    /// How long one wait of a read may last; `None` is for ever.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.get_ref().read_timeout()
    }

    /// Sets how long one wait of a read may last.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for zero; `Unsupported` where it cannot be set.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.get_ref().set_read_timeout(timeout)
    }

    /// How long one wait of a write may last; `None` is for ever.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.get_ref().write_timeout()
    }

    /// Sets how long one wait of a write may last.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for zero; `Unsupported` where it cannot be set.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.get_ref().set_write_timeout(timeout)
    }

    /// The socket beneath. Whoever reads or writes there breaks the TLS connection.
    pub fn get_ref(&self) -> &S {
        self.shared.socket()
    }

    /// Gives the socket back, without close_notify, and the bytes that were received and that the
    /// backend has not taken. What was written and has not left is lost, and so is plaintext that
    /// nobody has read.
    pub fn into_inner(self) -> (S, Vec<u8>) {
        self.shared.into_parts()
    }

    /// What the handshake agreed on, with the peer's certificates and exported keying material.
    pub fn with_connection<R>(&self, look: impl FnOnce(&Connection) -> R) -> R {
        look(&self.shared.lock().connection)
    }
}

impl TlsStream<TcpStream> {
    /// The address of this end.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().peer_addr()
    }
}

impl<S: StreamSocket> io::Read for TlsStream<S> {
    /// Reads plaintext; `Ok(0)` once the peer has sent close_notify. An end of the transport without
    /// it is an error, `Truncated` ([`io::ErrorKind::UnexpectedEof`]).
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (socket, mut access) = self.shared.alone();
        Ok(drive::read(&mut access, socket, buf)?)
    }
}

impl<S: StreamSocket> io::Write for TlsStream<S> {
    /// Encrypts and sends at most 48 KiB of `data`. Once plaintext has been taken, the result is
    /// `Ok`; a transport that then fails or blocks shows at the next call.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let (socket, mut access) = self.shared.alone();
        Ok(drive::write(&mut access, socket, &[io::IoSlice::new(data)])?)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let (socket, mut access) = self.shared.alone();
        Ok(drive::write(&mut access, socket, parts)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        let (socket, mut access) = self.shared.alone();
        Ok(drive::flush(&mut access, socket)?)
    }
}

impl<S: StreamSocket> io::Read for &TlsStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv(buf)
    }
}

impl<S: StreamSocket> io::Write for &TlsStream<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.send(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        StreamSocket::flush(*self)
    }
}

impl<S: StreamSocket> Socket for TlsStream<S> {
    fn local_addr(&self) -> io::Result<SockAddr> {
        Socket::local_addr(self.get_ref())
    }

    fn options(&self) -> Option<SockRef<'_>> {
        self.get_ref().options()
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.get_ref().read_timeout()
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.get_ref().set_read_timeout(timeout)
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.get_ref().write_timeout()
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.get_ref().set_write_timeout(timeout)
    }

    /// As [`TlsStream::close`], and ends the transport. A call of another thread that is reading gets
    /// what still comes, within that time; after that it is `Closed`, and so it is for whoever begins to
    /// write once goodbye is said. A write that is under way is cut off, which is an error of kind `Io`
    /// to whoever closes; a handshake just ends.
    fn close(&self) -> io::Result<()> {
        Ok(self.shared.close(PATIENCE)?)
    }
}

impl<S: StreamSocket> StreamSocket for TlsStream<S> {
    fn peer_addr(&self) -> io::Result<SockAddr> {
        self.get_ref().peer_addr()
    }

    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.shared.reading(|access, socket| drive::read(access, socket, buf))?)
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        let parts = [io::IoSlice::new(data)];
        Ok(self.shared.writing(|access, socket| drive::write(access, socket, &parts))?)
    }

    fn flush(&self) -> io::Result<()> {
        Ok(self.shared.writing(drive::flush)?)
    }

    /// `Write` sends close_notify, unless the handshake is not done, and ends the transport's write
    /// side; somebody who is writing is cut off, which is an error of kind `Io` to whoever does this.
    /// `Both` ends the transport, with close_notify only if that takes no waiting; whoever is reading or
    /// writing gets `Closed`. After `Read`, reading is at its end, and a handshake is `Closed`.
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shared.shutdown(how)
    }
}

impl<S: StreamSocket> Tls for TlsStream<S> {
    facts_of_connection!();
}

impl<S: StreamSocket> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("shared", &self.shared).finish()
    }
}

#[cfg(unix)]
impl<S: StreamSocket + std::os::fd::AsFd> std::os::fd::AsFd for TlsStream<S> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

#[cfg(unix)]
impl<S: StreamSocket + std::os::fd::AsRawFd> std::os::fd::AsRawFd for TlsStream<S> {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.get_ref().as_raw_fd()
    }
}

#[cfg(windows)]
impl<S: StreamSocket + std::os::windows::io::AsSocket> std::os::windows::io::AsSocket
    for TlsStream<S>
{
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.get_ref().as_socket()
    }
}
