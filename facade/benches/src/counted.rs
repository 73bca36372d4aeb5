//! A transport that counts how often it is called: each call of a socket is one of the system.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use polytls::{Socket, StreamSocket};
use socket2::{SockAddr, SockRef};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How often a transport was called.
#[derive(Debug, Default)]
pub struct Calls {
    /// Receiving.
    pub receive: AtomicUsize,
    /// Sending.
    pub send: AtomicUsize,
    /// Options, timeouts, shutdown.
    pub other: AtomicUsize,
}

impl Calls {
    /// All of them since the last time, and starts again at zero.
    pub fn take(&self) -> usize {
        self.receive.swap(0, Relaxed) + self.send.swap(0, Relaxed) + self.other.swap(0, Relaxed)
    }

    /// Receiving and sending since the last time, and starts again at zero.
    pub fn take_receive_send(&self) -> (usize, usize) {
        self.other.store(0, Relaxed);
        (self.receive.swap(0, Relaxed), self.send.swap(0, Relaxed))
    }
}

/// A transport whose calls are counted.
#[derive(Debug)]
pub struct Counted<S> {
    inner: S,
    calls: Arc<Calls>,
}

impl<S> Counted<S> {
    /// Counts the calls of `inner`.
    pub fn new(inner: S, calls: &Arc<Calls>) -> Self {
        Self { inner, calls: Arc::clone(calls) }
    }

    fn received(&self) -> &S {
        self.calls.receive.fetch_add(1, Relaxed);
        &self.inner
    }

    fn sent(&self) -> &S {
        self.calls.send.fetch_add(1, Relaxed);
        &self.inner
    }

    fn asked(&self) -> &S {
        self.calls.other.fetch_add(1, Relaxed);
        &self.inner
    }
}

impl<S: StreamSocket> Socket for Counted<S> {
    fn local_addr(&self) -> io::Result<SockAddr> {
        self.asked().local_addr()
    }

    fn options(&self) -> Option<SockRef<'_>> {
        self.asked().options()
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.asked().read_timeout()
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.asked().set_read_timeout(timeout)
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.asked().write_timeout()
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.asked().set_write_timeout(timeout)
    }

    fn close(&self) -> io::Result<()> {
        self.asked().close()
    }
}

impl<S: StreamSocket> StreamSocket for Counted<S> {
    fn peer_addr(&self) -> io::Result<SockAddr> {
        self.asked().peer_addr()
    }

    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.received().recv(buf)
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.sent().send(data)
    }

    fn discard_now(&self) -> io::Result<usize> {
        self.received().discard_now()
    }

    fn directions_are_independent(&self) -> bool {
        self.inner.directions_are_independent()
    }

    fn send_now(&self, data: &[u8]) -> io::Result<usize> {
        self.sent().send_now(data)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.asked().shutdown(how)
    }
}

impl<S: StreamSocket> io::Read for Counted<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.received().recv(buf)
    }
}

impl<S: StreamSocket + io::Write> io::Write for Counted<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.sent().send(data)
    }

    // A socket sends several pieces with one call: rustls makes use of it.
    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.sent();
        self.inner.write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.received();
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.sent();
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.sent();
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket's flush is no call of the system.
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.asked();
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
