//! The two halves of a stream, for two threads.

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use polytls_core::{Error, StreamSocket};

use super::shared::Shared;
use super::{TlsStream, close, drive};

/// Splits a stream whose handshake is done.
pub(super) fn split<S: StreamSocket>(shared: Shared<S>) -> (ReadHalf<S>, WriteHalf<S>) {
    let shared = Arc::new(shared);
    (ReadHalf { shared: Arc::clone(&shared) }, WriteHalf { shared })
}

/// The half of a [`TlsStream`] that reads.
///
/// The connection ends when both halves are dropped.
pub struct ReadHalf<S: StreamSocket = TcpStream> {
    shared: Arc<Shared<S>>,
}

/// The half of a [`TlsStream`] that writes.
///
/// The connection ends when both halves are dropped; [`close`](Self::close) ends this direction. Dropping
/// this half alone says nothing to the peer.
pub struct WriteHalf<S: StreamSocket = TcpStream> {
    shared: Arc<Shared<S>>,
}

impl<S: StreamSocket> ReadHalf<S> {
    /// The socket beneath.
    pub fn get_ref(&self) -> &S {
        self.shared.socket()
    }

    /// Ends one direction or both, also for another thread that is using them: that thread gets
    /// `Closed` from [`Shutdown::Both`]. As [`StreamSocket::shutdown`] of the whole stream.
    ///
    /// # Errors
    ///
    /// The operating system's; for `Write`, those of a write.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shared.shutdown(how)
    }

    /// Puts the halves of one stream together again.
    ///
    /// # Errors
    ///
    /// Gives the halves back when they are of two streams.
    pub fn reunite(self, other: WriteHalf<S>) -> Result<TlsStream<S>, (Self, WriteHalf<S>)> {
        if !Arc::ptr_eq(&self.shared, &other.shared) {
            return Err((self, other));
        }
        drop(other);
        match Arc::try_unwrap(self.shared) {
            Ok(shared) => Ok(TlsStream { shared }),
            // Only halves hold it, and there were two.
            Err(shared) => Err((Self { shared: Arc::clone(&shared) }, WriteHalf { shared })),
        }
    }
}

impl<S: StreamSocket> WriteHalf<S> {
    /// The socket beneath.
    pub fn get_ref(&self) -> &S {
        self.shared.socket()
    }

    /// Sends close_notify and ends the transport's write side; the other half reads on until the
    /// peer closes too.
    ///
    /// # Errors
    ///
    /// `Timeout` by the socket's write timeout; `Io`; the error of an earlier call.
    pub fn close(&mut self) -> Result<(), Error> {
        self.shared.writing(close::close_write)
    }

    /// Ends one direction or both, also for another thread that is using them: that thread gets
    /// `Closed` from [`Shutdown::Both`]. As [`StreamSocket::shutdown`] of the whole stream.
    ///
    /// # Errors
    ///
    /// The operating system's; for `Write`, those of a write.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shared.shutdown(how)
    }
}

impl<S: StreamSocket> io::Read for ReadHalf<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.shared.reading(|access, socket| drive::read(access, socket, buf))?)
    }
}

impl<S: StreamSocket> io::Write for WriteHalf<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[io::IoSlice::new(data)])
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.shared.writing(|access, socket| drive::write(access, socket, parts))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.shared.writing(drive::flush)?)
    }
}

impl<S: StreamSocket> fmt::Debug for ReadHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").field("shared", &self.shared).finish()
    }
}

impl<S: StreamSocket> fmt::Debug for WriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").field("shared", &self.shared).finish()
    }
}
