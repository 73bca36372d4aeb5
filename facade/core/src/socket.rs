//! What a socket is: the standard library's shape, as traits.

use std::fmt::{self, Debug};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{SockAddr, SockRef};

use crate::{Certificate, CipherSuite, ProtocolVersion};

/// What every socket has: an address, options, timeouts.
pub trait Socket: Debug + Send + Sync {
    /// The address of this end.
    ///
    /// # Errors
    ///
    /// The operating system's; `Unsupported` where there is no address.
    fn local_addr(&self) -> io::Result<SockAddr>;

    /// The socket's options; `None` for a stream that is no socket.
    fn options(&self) -> Option<SockRef<'_>>;

    /// How long one wait of a read, or of an accept, may last; `None` is for ever.
    ///
    /// # Errors
    ///
    /// The operating system's.
    fn read_timeout(&self) -> io::Result<Option<Duration>>;

    /// Sets how long one wait of a read, or of an accept, may last. A read that gets a part of what it
    /// needs, of a TLS record say, waits anew for the rest.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for zero; `Unsupported` where it cannot be set.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// How long one wait of a write may last; `None` is for ever.
    ///
    /// # Errors
    ///
    /// The operating system's.
    fn write_timeout(&self) -> io::Result<Option<Duration>>;

    /// Sets how long one wait of a write may last.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for zero; `Unsupported` where it cannot be set.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Ends both directions, whoever else holds the socket. TLS says goodbye first, which may wait. Of a
    /// listener: nothing is accepted any more, and whoever waits for that is woken, on systems that can
    /// (Linux).
    ///
    /// # Errors
    ///
    /// The operating system's; TLS's own.
    fn close(&self) -> io::Result<()>;
}

/// A connected socket that carries bytes both ways.
///
/// Methods take `&self`, so that one thread may receive while another sends.
pub trait StreamSocket: Socket {
    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// The operating system's; `Unsupported` where there is no address.
    fn peer_addr(&self) -> io::Result<SockAddr>;

    /// Receives what has come, at least one byte; 0 at the end.
    ///
    /// # Errors
    ///
    /// `WouldBlock` or `TimedOut` when the read timeout passes; the operating system's.
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Sends at least one byte and returns how many.
    ///
    /// # Errors
    ///
    /// `WouldBlock` or `TimedOut` when the write timeout passes; the operating system's.
    fn send(&self, data: &[u8]) -> io::Result<usize>;

    /// Throws away what has come already, up to a few KiB, and returns how much that was; 0 at the
    /// end. A socket that is closed with unread bytes resets the connection, and what was sent last
    /// is lost with it.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing has come, or when it cannot be told.
    fn discard_now(&self) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Sends only what can go without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing can, or when it cannot be told.
    fn send_now(&self, data: &[u8]) -> io::Result<usize> {
        let _ = data;
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Whether receiving never waits for something to be sent, nor sending for something to come: true
    /// of sockets, not of TLS inside TLS. Where it is not, a deadline is laid on both timeouts.
    fn directions_are_independent(&self) -> bool {
        false
    }

    /// Passes on what a buffer of this stream still holds; sockets have none.
    ///
    /// # Errors
    ///
    /// As [`StreamSocket::send`].
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// Ends one direction or both; both without waiting, where the stream can.
    ///
    /// # Errors
    ///
    /// The operating system's.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

/// A listening socket.
pub trait ServerSocket: Socket {
    /// What it accepts.
    type Stream: StreamSocket;

    /// Where that comes from.
    type Address: Debug + Send + 'static;

    /// Waits for a connection, which has no timeouts, whatever the listener's are.
    ///
    /// # Errors
    ///
    /// `WouldBlock` or `TimedOut` when the listener's read timeout passes; the operating system's.
    fn accept(&self) -> io::Result<(Self::Stream, Self::Address)>;
}

/// What TLS knows of a connection. Before the handshake is done, everything is `None` or empty.
pub trait Tls {
    /// The peer's certificate.
    fn peer_certificate(&self) -> Option<Certificate>;

    /// The peer's certificates as it sent them, leaf first; only the leaf on a backend without the
    /// capability `PeerChain`.
    fn peer_certificates(&self) -> Vec<Certificate>;

    /// The protocol version.
    fn protocol_version(&self) -> Option<ProtocolVersion>;

    /// The cipher suite.
    fn cipher_suite(&self) -> Option<CipherSuite>;

    /// The application protocol that was agreed on (RFC 7301).
    fn alpn(&self) -> Option<Vec<u8>>;

    /// The name that the client asked for (RFC 6066, section 3).
    fn server_name(&self) -> Option<String>;

    /// Whether an earlier session was resumed; `None` where the library does not tell.
    fn resumed(&self) -> Option<bool>;

    /// The name of the backend.
    fn backend(&self) -> &'static str;
}

/// A stream socket that speaks TLS.
pub trait SslSocket: StreamSocket + Tls {}

impl<T: StreamSocket + Tls + ?Sized> SslSocket for T {}

macro_rules! reads_and_writes {
    ($stream:ty) => {
        impl io::Read for $stream {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.recv(buf)
            }
        }

        impl io::Write for $stream {
            fn write(&mut self, data: &[u8]) -> io::Result<usize> {
                self.send(data)
            }

            fn flush(&mut self) -> io::Result<()> {
                StreamSocket::flush(self)
            }
        }
    };
}

reads_and_writes!(dyn StreamSocket + '_);
reads_and_writes!(dyn SslSocket + '_);

macro_rules! system_stream {
    ($stream:ty) => {
        impl Socket for $stream {
            system_socket!($stream);

            fn close(&self) -> io::Result<()> {
                ignore_disconnected(<$stream>::shutdown(self, Shutdown::Both))
            }
        }

        impl StreamSocket for $stream {
            fn peer_addr(&self) -> io::Result<SockAddr> {
                SockRef::from(self).peer_addr()
            }

            fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
                io::Read::read(&mut &*self, buf)
            }

            fn send(&self, data: &[u8]) -> io::Result<usize> {
                io::Write::write(&mut &*self, data)
            }

            fn discard_now(&self) -> io::Result<usize> {
                let mut discarded = [std::mem::MaybeUninit::uninit(); 4096];
                without_waiting(&SockRef::from(self), |socket, flag| {
                    socket.recv_with_flags(&mut discarded, flag)
                })
            }

            fn directions_are_independent(&self) -> bool {
                true
            }

            fn send_now(&self, data: &[u8]) -> io::Result<usize> {
                without_waiting(&SockRef::from(self), |socket, flag| {
                    socket.send_with_flags(data, flag)
                })
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                ignore_disconnected(<$stream>::shutdown(self, how))
            }
        }
    };
}

/// The part of [`Socket`] that streams and listeners of the operating system share.
macro_rules! system_socket {
    ($socket:ty) => {
        fn local_addr(&self) -> io::Result<SockAddr> {
            SockRef::from(self).local_addr()
        }

        fn options(&self) -> Option<SockRef<'_>> {
            Some(SockRef::from(self))
        }

        fn read_timeout(&self) -> io::Result<Option<Duration>> {
            SockRef::from(self).read_timeout()
        }

        fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            SockRef::from(self).set_read_timeout(settable(timeout)?)
        }

        fn write_timeout(&self) -> io::Result<Option<Duration>> {
            SockRef::from(self).write_timeout()
        }

        fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            SockRef::from(self).set_write_timeout(settable(timeout)?)
        }
    };
}

system_stream!(TcpStream);
#[cfg(unix)]
system_stream!(std::os::unix::net::UnixStream);

impl Socket for TcpListener {
    system_socket!(TcpListener);

    fn close(&self) -> io::Result<()> {
        ignore_disconnected(SockRef::from(self).shutdown(Shutdown::Both))
    }
}

impl ServerSocket for TcpListener {
    type Stream = TcpStream;
    type Address = SocketAddr;

    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = TcpListener::accept(self)?;
        drop_inherited_timeouts(self, &stream);
        Ok((stream, address))
    }
}

#[cfg(unix)]
impl Socket for std::os::unix::net::UnixListener {
    system_socket!(std::os::unix::net::UnixListener);

    fn close(&self) -> io::Result<()> {
        ignore_disconnected(SockRef::from(self).shutdown(Shutdown::Both))
    }
}

#[cfg(unix)]
impl ServerSocket for std::os::unix::net::UnixListener {
    type Stream = std::os::unix::net::UnixStream;
    type Address = std::os::unix::net::SocketAddr;

    fn accept(&self) -> io::Result<(Self::Stream, Self::Address)> {
        let (stream, address) = std::os::unix::net::UnixListener::accept(self)?;
        drop_inherited_timeouts(self, &stream);
        Ok((stream, address))
    }
}

/// Linux gives a connection the timeouts of its listener, which are about accepting.
fn drop_inherited_timeouts(listener: &impl Socket, stream: &impl Socket) {
    // A connection that is gone again may refuse; its handshake tells.
    if !matches!(listener.read_timeout(), Ok(None)) {
        let _ = stream.set_read_timeout(None);
    }
    if !matches!(listener.write_timeout(), Ok(None)) {
        let _ = stream.set_write_timeout(None);
    }
}

/// The system takes zero for "for ever", which a caller who computed a deadline does not mean, and
/// it counts in microseconds.
fn settable(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    match timeout {
        Some(Duration::ZERO) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "a timeout of zero"))
        }
        timeout => Ok(timeout.map(|timeout| timeout.max(Duration::from_micros(1)))),
    }
}

/// A peer that is gone already is no reason for a shutdown to fail.
fn ignore_disconnected(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

/// Runs `operation` on the socket without waiting. The socket's mode is shared with whoever else
/// holds it and may be blocked right now, so it is not changed where a flag will do.
#[cfg(unix)]
fn without_waiting<T>(
    socket: &socket2::Socket,
    operation: impl FnOnce(&socket2::Socket, i32) -> io::Result<T>,
) -> io::Result<T> {
    operation(socket, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
}

#[cfg(not(unix))]
fn without_waiting<T>(
    socket: &socket2::Socket,
    operation: impl FnOnce(&socket2::Socket, i32) -> io::Result<T>,
) -> io::Result<T> {
    socket.set_nonblocking(true)?;
    let result = operation(socket, 0);
    // What has gone has gone, whatever comes of this.
    let _ = socket.set_nonblocking(false);
    result
}

macro_rules! forward {
    ($pointer:ty) => {
        impl<T: Socket + ?Sized> Socket for $pointer {
            fn local_addr(&self) -> io::Result<SockAddr> {
                (**self).local_addr()
            }

            fn options(&self) -> Option<SockRef<'_>> {
                (**self).options()
            }

            fn read_timeout(&self) -> io::Result<Option<Duration>> {
                (**self).read_timeout()
            }

            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                (**self).set_read_timeout(timeout)
            }

            fn write_timeout(&self) -> io::Result<Option<Duration>> {
                (**self).write_timeout()
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                (**self).set_write_timeout(timeout)
            }

            fn close(&self) -> io::Result<()> {
                (**self).close()
            }
        }

        impl<T: StreamSocket + ?Sized> StreamSocket for $pointer {
            fn peer_addr(&self) -> io::Result<SockAddr> {
                (**self).peer_addr()
            }

            fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
                (**self).recv(buf)
            }

            fn send(&self, data: &[u8]) -> io::Result<usize> {
                (**self).send(data)
            }

            fn discard_now(&self) -> io::Result<usize> {
                (**self).discard_now()
            }

            fn directions_are_independent(&self) -> bool {
                (**self).directions_are_independent()
            }

            fn send_now(&self, data: &[u8]) -> io::Result<usize> {
                (**self).send_now(data)
            }

            fn flush(&self) -> io::Result<()> {
                (**self).flush()
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                (**self).shutdown(how)
            }
        }

        impl<T: ServerSocket + ?Sized> ServerSocket for $pointer {
            type Stream = T::Stream;
            type Address = T::Address;

            fn accept(&self) -> io::Result<(Self::Stream, Self::Address)> {
                (**self).accept()
            }
        }

        impl<T: Tls + ?Sized> Tls for $pointer {
            fn peer_certificate(&self) -> Option<Certificate> {
                (**self).peer_certificate()
            }

            fn peer_certificates(&self) -> Vec<Certificate> {
                (**self).peer_certificates()
            }

            fn protocol_version(&self) -> Option<ProtocolVersion> {
                (**self).protocol_version()
            }

            fn cipher_suite(&self) -> Option<CipherSuite> {
                (**self).cipher_suite()
            }

            fn alpn(&self) -> Option<Vec<u8>> {
                (**self).alpn()
            }

            fn server_name(&self) -> Option<String> {
                (**self).server_name()
            }

            fn resumed(&self) -> Option<bool> {
                (**self).resumed()
            }

            fn backend(&self) -> &'static str {
                (**self).backend()
            }
        }
    };
}

forward!(&T);
forward!(&mut T);
forward!(Box<T>);
forward!(std::sync::Arc<T>);

/// Makes a [`StreamSocket`] of any stream that reads and writes: a pipe, a pseudo terminal, a
/// tunnel, a test double.
///
/// It has no address, no options and no timeouts: setting one is `Unsupported`, and a handshake's
/// deadline is looked at only between two calls of the stream. One lock stands around the stream,
/// so a read that blocks holds up a write from another thread.
pub struct StreamAdapter<T>(Mutex<T>);

impl<T: io::Read + io::Write + Send> StreamAdapter<T> {
    /// Wraps a stream.
    pub fn new(stream: T) -> Self {
        Self(Mutex::new(stream))
    }

    /// The stream.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Debug for StreamAdapter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamAdapter").finish_non_exhaustive()
    }
}

fn no_socket<R>(what: &'static str) -> io::Result<R> {
    Err(io::Error::new(io::ErrorKind::Unsupported, what))
}

impl<T: io::Read + io::Write + Send> Socket for StreamAdapter<T> {
    fn local_addr(&self) -> io::Result<SockAddr> {
        no_socket("this stream has no address")
    }

    fn options(&self) -> Option<SockRef<'_>> {
        None
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        timeout.map_or(Ok(()), |_| no_socket("this stream has no timeouts"))
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        timeout.map_or(Ok(()), |_| no_socket("this stream has no timeouts"))
    }

    fn close(&self) -> io::Result<()> {
        self.lock().flush()
    }
}

impl<T: io::Read + io::Write + Send> StreamSocket for StreamAdapter<T> {
    fn peer_addr(&self) -> io::Result<SockAddr> {
        no_socket("this stream has no address")
    }

    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buf)
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.lock().write(data)
    }

    fn flush(&self) -> io::Result<()> {
        self.lock().flush()
    }

    fn shutdown(&self, _how: Shutdown) -> io::Result<()> {
        self.lock().flush()
    }
}
