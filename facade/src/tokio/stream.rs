//! A TLS stream that tokio polls.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use polytls_core::{Certificate, CipherSuite, Error, ErrorKind, Phase, ProtocolVersion, Tls};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::drive::{Driver, LastFlight};
use super::now;
use super::wake::Task;
use crate::connection::Connection;
use crate::connection::facts::facts_of_connection;
use crate::connection::output::{MOST_DRAINED, PATIENCE};

/// A TLS connection over any asynchronous stream.
///
/// It is `AsyncRead` and `AsyncWrite`, and tells what it negotiated by [`Tls`]. The handshake happens
/// with the first read or write, or by [`handshake`](Self::handshake). The rules are those of the
/// blocking [`TlsStream`](crate::TlsStream).
///
/// `flush` returns when everything written is with the transport. `shutdown` sends close_notify and
/// ends the transport's write side, within 5 s of its first poll; reading goes on until the peer closes
/// too. It does not listen: that a TLS 1.3 server refuses the client's certificate is told by `close`, or
/// by the next read. Of two halves that [`tokio::io::split`] makes, dropping the one that writes says
/// nothing to the peer: shut it down.
///
/// # Cancel safety
///
/// Dropping a future of a read or write loses no byte: what was read stays in the stream, and a
/// write has either taken plaintext and said so, or not. Dropping the stream sends close_notify only
/// if that takes no waiting; to be sure that the peer gets everything, call
/// [`close`](Self::close).
pub struct TlsStream<S: AsyncRead + AsyncWrite + Unpin = TcpStream> {
    /// `None` only after [`TlsStream::into_inner`], which consumes the stream.
    transport: Option<S>,
    driver: Driver,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Puts a connection on a transport. The handshake has not begun; it must be over by `deadline`.
    pub(super) fn new(connection: Connection, transport: S, deadline: Option<Instant>) -> Self {
        let driver = Driver::new(connection, deadline);
        Self { transport: Some(transport), driver }
    }

    /// Takes the handshake to its end; once it is done, does nothing.
    ///
    /// # Errors
    ///
    /// As the blocking [`TlsStream::handshake`](crate::TlsStream::handshake).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the handshake goes on with the next call.
    pub async fn handshake(&mut self) -> Result<(), Error> {
        std::future::poll_fn(|cx| {
            let (transport, driver) = self.parts();
            driver.poll_handshake(transport, LastFlight::Whole, Task::Reader, cx)
        })
        .await
    }

    /// Gives the handshake this long from now; `None` is for ever.
    pub fn set_handshake_timeout(&mut self, timeout: Option<Duration>) {
        self.driver.set_deadline(timeout.and_then(|timeout| now().checked_add(timeout)));
    }

    /// Sends close_notify, ends the transport's write side, and drains what still comes until the
    /// peer ends too, for 5 s and 64 MiB at most. See the blocking
    /// [`TlsStream::close`](crate::TlsStream::close) for why.
    ///
    /// # Errors
    ///
    /// `Timeout` when what was written cannot be sent in time; what a fatal alert of the peer means,
    /// such as `ClientCertificateRequired`; `Io`; the error of an earlier call. That the peer does
    /// not end in time is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: close_notify is sent once, whatever is called again.
    pub async fn close(&mut self) -> Result<(), Error> {
        self.close_within(PATIENCE).await
    }

    /// [`close`](Self::close), with another bound of time.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// As [`close`](Self::close).
    pub async fn close_within(&mut self, timeout: Duration) -> Result<(), Error> {
        // A bound too far off to be a moment is none.
        let deadline = now().checked_add(timeout).map(tokio::time::Instant::from);
        let sent = std::future::poll_fn(|cx| {
            let (transport, driver) = self.parts();
            driver.poll_close(transport, cx)
        });
        let late = || Err(Error::new(ErrorKind::Timeout(Phase::Close)));
        let said = match within(deadline, sent).await.unwrap_or_else(late) {
            Err(error) if error.phase() == Some(Phase::Close) => return Err(error),
            said => said,
        };
        // Why the peer did not want what was lost is worth more than that it was lost; that it does
        // not end in time is no error.
        within(deadline, self.drain()).await.unwrap_or(Ok(())).and(said)
    }

    /// Takes what still comes, until the transport ends. A fatal alert among it says that what was
    /// written was for nothing.
    async fn drain(&mut self) -> Result<(), Error> {
        let mut sink = [0; 4096];
        let mut drained = 0;
        let mut listening = !self.connection().is_handshaking();
        while drained < MOST_DRAINED {
            let (transport, driver) = self.parts();
            if listening {
                let read = std::future::poll_fn(|cx| driver.poll_read(transport, cx, &mut sink));
                match read.await {
                    Ok(n) if n > 0 => drained += n,
                    Err(error) if error.alert().is_some() => return Err(error),
                    // The peer's end, or nothing that can be read.
                    _ => listening = false,
                }
                continue;
            }
            match transport.read(&mut sink).await {
                Ok(n) if n > 0 => drained += n,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// The transport beneath. Whoever reads or writes there breaks the TLS connection.
    pub fn get_ref(&self) -> &S {
        there(self.transport.as_ref())
    }

    /// Gives the transport back, without close_notify, and the bytes that were received and that the
    /// backend has not taken.
    pub fn into_inner(mut self) -> (S, Vec<u8>) {
        let unread = self.driver.connection.unread_input().to_vec();
        (there(self.transport.take()), unread)
    }

    /// What the handshake agreed on, with the peer's certificates and exported keying material.
    pub fn connection(&self) -> &Connection {
        &self.driver.connection
    }

    /// The same by a closure, as of the blocking [`TlsStream`](crate::TlsStream::with_connection).
    pub fn with_connection<R>(&self, look: impl FnOnce(&Connection) -> R) -> R {
        look(self.connection())
    }

    fn parts(&mut self) -> (&mut S, &mut Driver) {
        (there(self.transport.as_mut()), &mut self.driver)
    }

    fn poll_write_parts(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (transport, driver) = self.parts();
        driver.poll_write(transport, cx, parts).map_err(Into::into)
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

/// What `future` comes to, unless the deadline passes first.
async fn within<T>(
    deadline: Option<tokio::time::Instant>,
    future: impl Future<Output = T>,
) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

#[expect(clippy::expect_used, reason = "only `into_inner` takes it, and consumes the stream")]
fn there<T>(transport: Option<T>) -> T {
    transport.expect("the transport is there until the stream is consumed")
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (transport, driver) = self.parts();
        let n = ready!(driver.poll_read(transport, cx, buf.initialize_unfilled()))?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_parts(cx, &[io::IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_parts(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (transport, driver) = self.parts();
        driver.poll_flush(transport, cx).map_err(Into::into)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (transport, driver) = self.parts();
        driver.poll_shutdown(transport, cx).map_err(Into::into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for TlsStream<S> {
    fn drop(&mut self) {
        // A panic may have cut a message short: an end that looks proper would be a lie.
        if let (Some(transport), false) = (&mut self.transport, std::thread::panicking()) {
            self.driver.abandon(transport);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tls for TlsStream<S> {
    facts_of_connection!();
}

impl<S: AsyncRead + AsyncWrite + Unpin + fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("transport", &self.transport)
            .field("connection", self.connection())
            .finish()
    }
}

#[cfg(unix)]
impl<S> std::os::fd::AsFd for TlsStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin + std::os::fd::AsFd,
{
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

#[cfg(unix)]
impl<S> std::os::fd::AsRawFd for TlsStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin + std::os::fd::AsRawFd,
{
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.get_ref().as_raw_fd()
    }
}

#[cfg(windows)]
impl<S> std::os::windows::io::AsSocket for TlsStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin + std::os::windows::io::AsSocket,
{
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.get_ref().as_socket()
    }
}
